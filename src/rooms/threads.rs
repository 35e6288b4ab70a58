//! The threads of a room.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room)

use std::{collections::HashMap, sync::Arc};

use store::{Pos, Rsn, Scan, rows::EventRow, tables::Threads};

use crate::{Event, Reader, Room, RoomError, RoomView, Rooms};

/// Some of a room's threads.
#[derive(Clone, Debug)]
pub struct ThreadPage {
    /// Their roots; the one with the latest event first.
    pub roots: Vec<Arc<Event>>,
    /// The token at the end, if there is more behind it.
    pub end: Option<Pos>,
}

/// The most threads on a page.
pub const MAX_THREADS: usize = 100;

/// The most events in threads that are looked at for one page.
const MAX_SCANNED: usize = 5000;

/// Rows that are read at a time.
const CHUNK: usize = 250;

impl Rooms {
    /// Threads that a user may see, by their latest event; `participated` for those that the user takes part in.
    pub async fn threads(
        &self,
        view: &RoomView,
        reader: &Reader<'_>,
        participated: bool,
        (from, limit): (Option<Pos>, usize),
    ) -> Result<ThreadPage, RoomError> {
        let room = view.room.nid;
        let limit = limit.clamp(1, MAX_THREADS);
        let mut last = from.unwrap_or(reader.upto).min(reader.upto);
        let mut page = ThreadPage {
            roots: Vec::new(),
            end: None,
        };
        // Where the latest event of each thread met so far is, if the thread is wanted.
        let mut latest: HashMap<Rsn, Option<Pos>> = HashMap::new();
        let mut scanned = 0;
        loop {
            let range = Scan::range::<Threads>(&(room, Pos::MIN), &(room, last.next()));
            let rows = self
                .store()
                .scan::<Threads>(range.reverse().limit(CHUNK))
                .await?;
            let whole = rows.len() < CHUNK;
            for ((_, pos), root) in rows {
                if page.roots.len() == limit || scanned == MAX_SCANNED {
                    page.end = Some(last);
                    return Ok(page);
                }
                scanned += 1;
                last = pos.prev();
                if let std::collections::hash_map::Entry::Vacant(entry) = latest.entry(root) {
                    let event = self.event(room, root).await?;
                    let state = if view.visibility.may_see(event.pos) {
                        self.thread_state(reader, &event).await?
                    } else {
                        None
                    };
                    entry.insert(
                        state
                            .filter(|(_, participates)| *participates || !participated)
                            .map(|(latest, _)| latest),
                    );
                }
                // Elsewhere it is an earlier event of a thread that has its place further up.
                if latest.get(&root).copied().flatten() == Some(pos) {
                    let root = self.event(room, root).await?;
                    page.roots.push(if reader.ignored.contains(&root.sender) {
                        Arc::new(redacted(&view.room, &root)?)
                    } else {
                        root
                    });
                }
            }
            if whole {
                return Ok(page);
            }
        }
    }
}

/// The event as it would be if it were redacted. "If the thread root event was sent by an ignored user, the event is returned
/// redacted to the caller."
fn redacted(room: &Room, event: &Event) -> Result<Event, RoomError> {
    let parts = room.rules.redact(
        &event.event_id,
        event.client_members(),
        event.federation_members(),
    )?;
    let row = EventRow {
        pos: event.pos,
        state_before: event.state_before,
        redacted_by: event.redacted_by,
        replaces: event.replaces,
        event_id: event.event_id.to_string(),
        transaction: event.transaction.clone(),
        client: parts.client.into(),
        federation: parts.federation.into(),
    };
    Ok(Event::from_row(event.room, event.rsn, row)?)
}
