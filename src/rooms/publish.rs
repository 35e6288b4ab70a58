//! Tells the world what a commit has kept, and keeps rooms in memory.

use std::sync::Arc;

use store::{Pos, RoomNid};
use tokio::sync::OnceCell;

use crate::{Event, Room, RoomCell, RoomNews, Rooms, What, append::Staged};

impl Rooms {
    /// Runs on the committer's thread, in commit order, once the events are on disk.
    pub(crate) fn publish(
        &self,
        first: Pos,
        staged: Vec<Staged>,
        redacted: Vec<(Arc<Room>, Event)>,
    ) {
        for (room, event) in redacted {
            self.publish_redacted(&room, event, &staged, first);
        }
        for staged in staged {
            let (room, member) = (Arc::clone(&staged.room), staged.member.clone());
            let counted = staged.counted;
            let event = match staged.into_event(first) {
                Ok(event) => Arc::new(event),
                Err(error) => {
                    // The same bytes were read before they were signed.
                    tracing::error!(room.id = %room.id, %error, "an event that was just written does not read");
                    continue;
                }
            };
            self.0
                .events
                .insert((event.room, event.rsn), Arc::clone(&event));
            room.published(Arc::clone(&event), counted);
            if event.is_state() {
                self.directory().room_changed(room.nid);
            }
            self.tell(&RoomNews {
                room: room.nid,
                pos: event.pos,
                what: What::Event { event, member },
            });
        }
    }

    fn publish_redacted(&self, room: &Arc<Room>, mut event: Event, staged: &[Staged], first: Pos) {
        let because = staged
            .iter()
            .find(|staged| staged.is(room, event.redacted_by));
        event.redacted_because = because
            .and_then(|because| because.clone().into_event(first).ok())
            .map(Arc::new);
        let event = Arc::new(event);
        if event.is_state() {
            // Its content may stand as `prev_content` in the event that replaced it. State is seldom redacted.
            self.0
                .events
                .retain(|_, other| !event.is_replaced_by(other));
        }
        self.0
            .events
            .insert((event.room, event.rsn), Arc::clone(&event));
        room.replaced(&event);
        if event.is_state() {
            self.directory().room_changed(room.nid);
        }
    }

    pub(crate) fn tell(&self, news: &RoomNews) {
        for follower in self.0.followers.get().into_iter().flatten() {
            follower.room_news(news);
        }
    }

    /// The place of a room in memory: the one that somebody holds, or a new one.
    pub(crate) fn cell(&self, nid: RoomNid) -> Arc<RoomCell> {
        if let Some(cell) = self.0.loaded.get(&nid) {
            return cell;
        }
        let mut alive = self.0.alive.lock();
        let entry = alive.entry(nid).or_default();
        let cell = entry
            .cell
            .upgrade()
            .unwrap_or_else(|| match entry.room.upgrade() {
                // The cache let go of the cell while somebody was still writing to the room.
                Some(room) => Arc::new(RoomCell(OnceCell::new_with(Some(room)))),
                None => Arc::default(),
            });
        entry.cell = Arc::downgrade(&cell);
        // Rooms that nobody holds any more leave a word behind each; sweep when they are many.
        if alive.len() > 2 * self.0.loaded.len() + SWEEP_SLACK {
            alive.retain(|_, entry| entry.cell.strong_count() + entry.room.strong_count() > 0);
        }
        drop(alive);
        self.0.loaded.insert(nid, Arc::clone(&cell));
        cell
    }

    /// Makes a loaded room known for as long as somebody holds it.
    pub(crate) fn register(&self, room: &Arc<Room>) {
        self.0.alive.lock().entry(room.nid).or_default().room = Arc::downgrade(room);
    }

    /// Puts a room that is being created into memory, unless there is one of its id.
    pub(crate) fn adopt(&self, room: &Arc<Room>) -> bool {
        let claimed = self.cell(room.nid).0.set(Arc::clone(room)).is_ok();
        if claimed {
            self.register(room);
        }
        claimed
    }

    /// Takes a room out of memory whose creation failed.
    pub(crate) fn disown(&self, nid: RoomNid) {
        self.0.loaded.remove(&nid);
        self.0.alive.lock().remove(&nid);
    }
}

/// Dead entries that are not worth a sweep.
const SWEEP_SLACK: usize = 1024;
