//! Finds events by words (DESIGN §7b): an inverted index of our own in the same store, filled by a follower of the commit log.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#server-side-search)
//!
//! An event lies in the index under each of its terms, at its own position; an edit changes what the original lies under. The
//! index is behind the log, and a search waits until it is not.

use std::{sync::Arc, time::Duration};

use rooms::{RoomError, Rooms};
use store::{Pos, RoomNid};
use tokio::sync::{Notify, watch};

mod find;
mod index;
mod words;

pub use find::{Found, Group, Hit, Order, Query};

/// What is searched; cheap to clone.
#[derive(Clone)]
pub struct Search(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    /// Something was sent.
    wake: Notify,
    /// Somebody waits for the index.
    hurry: Notify,
    /// Everything up to here is indexed.
    indexed: watch::Sender<Pos>,
}

/// What of an event is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `content.body` of `m.room.message`
    Body = 1,
    /// `content.name` of `m.room.name`
    Name = 2,
    /// `content.topic` of `m.room.topic`
    Topic = 4,
}

/// How long a search waits for the index. Beyond that it finds what is there.
const PATIENCE: Duration = Duration::from_secs(2);

impl Search {
    /// The index over the rooms' store. Nothing is indexed until [`Search::run`] runs.
    pub fn new(rooms: Rooms) -> Self {
        Self(Arc::new(Inner {
            rooms,
            wake: Notify::new(),
            hurry: Notify::new(),
            indexed: watch::Sender::new(Pos::ZERO),
        }))
    }

    /// Waits until everything is indexed that is visible now.
    async fn catch_up(&self) -> Pos {
        let visible = self.0.rooms.store().visible();
        let mut indexed = self.0.indexed.subscribe();
        if *indexed.borrow() < visible {
            self.0.wake.notify_one();
            self.0.hurry.notify_one();
        }
        let reached = indexed.wait_for(|indexed| *indexed >= visible);
        if tokio::time::timeout(PATIENCE, reached).await.is_err() {
            tracing::debug!("the search index is behind");
        }
        visible
    }

    /// Waits until everything that is visible now was looked at, for two seconds at most; whether it was.
    pub async fn settle(&self) -> bool {
        let visible = self.catch_up().await;
        *self.0.indexed.borrow() >= visible
    }

    async fn is_encrypted(&self, room: RoomNid) -> Result<bool, RoomError> {
        let event = self
            .0
            .rooms
            .state_event(room, "m.room.encryption", "")
            .await?;
        Ok(event.is_some())
    }
}
