//! Whose device list changed when: one row per change, the latest of each user
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user)).

use store::{Pos, Scan, StoreError, UserNid, tables::DeviceListLog};

use crate::{Encryption, change::EVERYBODY};

impl Encryption {
    /// Users whose device lists or cross-signing keys changed behind `since` and up to `upto`, for all that `reader`
    /// may be told: whether they share a room is the caller's question. What changed again later is left to the later
    /// call.
    pub async fn device_list_changes(
        &self,
        reader: UserNid,
        since: Pos,
        upto: Pos,
    ) -> Result<Vec<UserNid>, StoreError> {
        if since >= self.latest_list_change() {
            return Ok(Vec::new());
        }
        let range = Scan::range::<DeviceListLog>(&(since.next()), &(upto.next()));
        let rows = self.0.store.scan::<DeviceListLog>(range).await?;
        let mut users: Vec<UserNid> = rows
            .into_iter()
            .filter(|(_, (_, audience))| *audience == EVERYBODY || *audience == reader)
            .map(|(_, (user, _))| user)
            .collect();
        users.sort_unstable();
        users.dedup();
        Ok(users)
    }
}
