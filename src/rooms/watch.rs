//! Waits for the next event of a room: for those who peek into one without being in it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use parking_lot::Mutex;
use store::{Pos, RoomNid};
use tokio::sync::Notify;

use crate::{Follower, RoomNews, What};

/// Who waits for which room; cheap to clone.
#[derive(Clone, Default)]
pub struct Watch(Arc<Mutex<HashMap<RoomNid, Watched>>>);

#[derive(Default)]
struct Watched {
    bell: Arc<Bell>,
    watchers: usize,
}

#[derive(Default)]
struct Bell {
    rung: Notify,
    latest: AtomicI64,
}

/// Somebody who waits; forgotten when dropped.
pub struct Watcher {
    watch: Watch,
    room: RoomNid,
    bell: Arc<Bell>,
}

impl Watch {
    /// Begins to listen to a room.
    pub fn on(&self, room: RoomNid) -> Watcher {
        let mut rooms = self.0.lock();
        let watched = rooms.entry(room).or_default();
        watched.watchers += 1;
        Watcher {
            watch: self.clone(),
            room,
            bell: Arc::clone(&watched.bell),
        }
    }
}

impl Watcher {
    /// Rings with the next event. Make it ready (`enable`) before looking what there is, or one may be missed.
    pub fn next(&self) -> tokio::sync::futures::Notified<'_> {
        self.bell.rung.notified()
    }

    /// The place of the latest event heard of. News come a moment before they may be told: wait for the store to reach it.
    pub fn latest(&self) -> Pos {
        Pos(self.bell.latest.load(Ordering::Relaxed))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut rooms = self.watch.0.lock();
        if let Some(watched) = rooms.get_mut(&self.room) {
            watched.watchers -= 1;
            if watched.watchers == 0 {
                rooms.remove(&self.room);
            }
        }
    }
}

impl Follower for Watch {
    fn room_news(&self, news: &RoomNews) {
        if matches!(news.what, What::Event { .. })
            && let Some(watched) = self.0.lock().get(&news.room)
        {
            watched.bell.latest.store(news.pos.0, Ordering::Relaxed);
            watched.bell.rung.notify_waiters();
        }
    }
}
