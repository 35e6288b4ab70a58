//! The timeline part of a room's update.

use std::sync::Arc;

use rooms::{Event, Visibility};
use ruma::RoomId;
use store::{Pos, RoomNid, Rsn, Scan, tables};

use crate::{SyncError, answer::Context, delta::Span};

/// A stretch of a room's timeline that ends with the latest event.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// Oldest first.
    pub(crate) events: Vec<Arc<Event>>,
    /// There are earlier events that the client was not told of.
    pub(crate) limited: bool,
    /// The token right before the first event.
    pub(crate) prev_batch: Pos,
    /// No event between the first and the end is left out.
    pub(crate) whole: bool,
    /// What the user may see; `None` for somebody who was in the room all the while.
    pub(crate) visibility: Option<Visibility>,
}

impl Timeline {
    /// Of a room where nothing happened up to `upto`.
    pub(crate) fn unchanged(upto: Pos) -> Self {
        Self {
            events: Vec::new(),
            limited: false,
            prev_batch: upto,
            whole: true,
            visibility: None,
        }
    }
}

/// Events of a room in a first sync, and in a later one, if the client does not say. Synapse's default is 10.
const FIRST_EVENTS: usize = 20;
const LATER_EVENTS: usize = 10;

/// Events looked at for one timeline, where a filter passes few of them.
const MAX_SCANNED: usize = 500;

impl Context {
    /// The latest events of a stretch that the user may see and wants.
    pub(crate) async fn timeline(
        &self,
        room: RoomNid,
        room_id: &RoomId,
        span: &Span,
    ) -> Result<Timeline, SyncError> {
        let after = span.after.unwrap_or(Pos::MIN);
        let filter = &self.filter().timeline;
        let default = if span.after.is_some() {
            LATER_EVENTS
        } else {
            FIRST_EVENTS
        };
        let limit = filter
            .limit
            .unwrap_or(default)
            .clamp(1, self.engine.0.options.max_timeline_events);

        let visibility = if span.stayed {
            None
        } else {
            Some(self.rooms().visibility(room, &self.request.user_id).await?)
        };
        let mut stretches = match &visibility {
            Some(visibility) => visibility.ranges_within(after.next(), span.upto).collect(),
            None => vec![(after.next(), span.upto)],
        };
        let mut timeline = Timeline {
            events: Vec::new(),
            limited: false,
            prev_batch: span.after.unwrap_or(span.upto),
            whole: stretches == [(after.next(), span.upto)],
            visibility,
        };
        if !filter.takes_room(room_id) {
            stretches.clear();
            timeline.whole = false;
        }
        let mut scanned = 0;
        'full: for (first, last) in stretches.into_iter().rev() {
            let mut last = last;
            loop {
                let wanted = limit + 1 - timeline.events.len();
                let (events, more) = self.newest(room, (first.prev(), last), wanted).await?;
                for event in events.into_iter().rev() {
                    last = event.pos.prev();
                    scanned += 1;
                    if !self.takes(&event) {
                        timeline.whole = false;
                    } else if timeline.events.len() == limit {
                        timeline.limited = true;
                        timeline.prev_batch = event.pos;
                        break 'full;
                    } else {
                        timeline.events.push(event);
                    }
                }
                if !more {
                    break;
                }
                if scanned >= MAX_SCANNED {
                    timeline.limited = true;
                    timeline.prev_batch = last;
                    break 'full;
                }
            }
        }
        timeline.events.reverse();
        if let Some(first) = timeline.events.first()
            && !timeline.limited
        {
            timeline.prev_batch = first.pos.prev();
        }
        Ok(timeline)
    }

    /// Whether the client wants the event in its timeline.
    fn takes(&self, event: &Event) -> bool {
        // "Servers must still send state changes sent by ignored users."
        let ignored = !event.is_state() && self.ignored.contains(&event.sender);
        !ignored && self.filter().timeline.takes(event)
    }

    /// The latest events with `after < pos <= upto`, oldest first, at most `limit`, and whether there are more.
    async fn newest(
        &self,
        room: RoomNid,
        (after, upto): (Pos, Pos),
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, bool), SyncError> {
        let at_hand = self
            .rooms()
            .loaded(room)
            .and_then(|room| room.recent(after, upto, limit));
        if let Some(recent) = at_hand {
            return Ok(recent);
        }
        let range = Scan::range::<tables::Timeline>(&(room, after.next()), &(room, upto.next()));
        let mut rows = self
            .engine
            .store()
            .scan::<tables::Timeline>(range.reverse().limit(limit + 1))
            .await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let numbers: Vec<Rsn> = rows.iter().rev().map(|(_, row)| row.rsn).collect();
        Ok((self.rooms().events(room, &numbers).await?, more))
    }
}
