//! What the deprecated `/initialSync` and `/events` ask of a session.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events)

use std::pin::pin;

use ruma::OwnedUserId;
use store::{Pos, RoomNid, UserNid, rows::Membership};
use tokio::time::Instant;

use crate::{Engine, SyncError};

/// Rooms with new events.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The rooms, with the user's membership; none if time was up.
    pub rooms: Vec<(RoomNid, Membership)>,
    /// Up to where there is nothing else.
    pub upto: Pos,
}

impl Engine {
    /// The longest that a request waits from now on, if it asks for `timeout_ms`.
    pub fn deadline(&self, timeout_ms: u64) -> Instant {
        let longest = self.0.options.max_timeout;
        Instant::now() + std::time::Duration::from_millis(timeout_ms).min(longest)
    }

    /// Rooms of the user in which there are events after `since`; waits for some until the deadline, or until the server
    /// stops.
    pub async fn changed_rooms(
        &self,
        user: UserNid,
        mut since: Pos,
        deadline: Instant,
    ) -> Result<Changed, SyncError> {
        loop {
            let held = self.session(user).await?;
            // As in `/sync`: made before anything is read.
            let mut news = pin!(held.news());
            news.as_mut().enable();
            let latest = held.lock().latest;
            self.store().reached(latest).await;
            let upto = self.store().visible();
            since = since.min(upto);
            let changed = held.lock().changed_since(since).into_iter();
            let changed =
                changed.filter(|(_, entry)| entry.timeline > since || entry.member > since);
            let rooms: Vec<_> = changed
                .map(|(room, entry)| (room, entry.membership))
                .collect();
            // A store that is closed publishes nothing more.
            let stopping = self.0.shutdown.is_started() || upto < latest;
            if !rooms.is_empty() || stopping || Instant::now() >= deadline {
                return Ok(Changed { rooms, upto });
            }
            since = upto;
            if held.lock().latest > upto {
                continue;
            }
            self.wait(news, deadline).await;
        }
    }

    /// Who is not offline among those in the user's rooms, and the content of their `m.presence`.
    pub async fn presence_around(
        &self,
        user: UserNid,
    ) -> Result<Vec<(OwnedUserId, Vec<u8>)>, SyncError> {
        let rooms = self.0.rooms.rooms_of_nid(user).await?.into_iter();
        let joined = rooms.filter(|(_, row)| row.member.membership == Membership::Join);
        let around = self.0.presence.in_rooms(joined.map(|(room, _)| room));
        let others = around.into_iter().filter(|other| *other != user);
        Ok(others
            .filter_map(|other| self.0.presence.event(other))
            .collect())
    }
}
