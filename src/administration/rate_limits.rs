//! Who may do more or less than others at a time. Kept here; whoever limits requests is told.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use store::{Batch, Raw, Scan, StoreError, Table, UserNid, tables::RateLimitOverrides};

use crate::Administration;

/// How often one user may send, instead of what everybody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimitOverride {
    /// In the long run; 0 for a user whom nothing limits.
    pub messages_per_second: u32,
    /// At once.
    pub burst_count: u32,
}

impl Administration {
    /// What holds for a user, if it is not what holds for everybody.
    pub async fn rate_limit_override(
        &self,
        user: UserNid,
    ) -> Result<Option<RateLimitOverride>, StoreError> {
        let raw = self.0.store.get::<RateLimitOverrides>(&user).await?;
        raw.map(|raw| raw.parse()).transpose().map_err(corrupt)
    }

    /// Keeps what holds for a user from now on; none is what holds for everybody.
    pub async fn set_rate_limit_override(
        &self,
        user: UserNid,
        instead: Option<RateLimitOverride>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        match instead {
            Some(instead) => {
                let row = Raw::json(&instead).map_err(corrupt)?;
                batch.put::<RateLimitOverrides>(&user, &row);
            }
            None => batch.delete::<RateLimitOverrides>(&user),
        }
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// Everybody for whom something else holds.
    pub async fn rate_limit_overrides(
        &self,
    ) -> Result<Vec<(OwnedUserId, RateLimitOverride)>, StoreError> {
        let all = Scan::prefix::<RateLimitOverrides>(&());
        let mut overrides = Vec::new();
        for (user, raw) in self.0.store.scan::<RateLimitOverrides>(all).await? {
            let user_id = self.0.users.user_id(user).await?;
            overrides.push((user_id, raw.parse().map_err(corrupt)?));
        }
        Ok(overrides)
    }
}

fn corrupt(source: store::CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: RateLimitOverrides::NAME,
        source,
    }
}
