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

    /// Of events that were gathered latest first, with more of them up to `prev_batch`.
    fn limited_at(mut self, prev_batch: Pos) -> Self {
        self.events.reverse();
        Self {
            limited: true,
            prev_batch,
            ..self
        }
    }
}

/// Events of a room in a first sync, and in a later one, if the client does not say. Synapse's default is 10.
const FIRST_EVENTS: usize = 20;
const LATER_EVENTS: usize = 10;

/// Events looked at for one timeline, where a filter passes few of them.
const MAX_SCANNED: usize = 500;

impl Context {
    /// The latest events of a span that the user may see and wants.
    pub(crate) async fn timeline(
        &self,
        room: RoomNid,
        room_id: &RoomId,
        span: &Span,
    ) -> Result<Timeline, SyncError> {
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
        let first = span.after.unwrap_or(Pos::MIN).next();
        if !filter.takes_room(room_id) {
            return Ok(Timeline {
                whole: false,
                ..Timeline::unchanged(span.upto)
            });
        }
        if span.stayed {
            return self.fill(room, span, &[(first, span.upto)], limit).await;
        }
        if let Some(joined) = span.joined {
            // Mostly there is enough from the time that the user has been in the room, and nothing to be looked up.
            let timeline = self
                .fill(room, span, &[(joined.max(first), span.upto)], limit)
                .await?;
            if timeline.limited {
                return Ok(timeline);
            }
        }
        let visibility = self.rooms().visibility(room, &self.request.user_id).await?;
        let stretches: Vec<_> = visibility.ranges_within(first, span.upto).collect();
        let timeline = self.fill(room, span, &stretches, limit).await?;
        Ok(Timeline {
            visibility: Some(visibility),
            ..timeline
        })
    }

    /// The latest wanted events of some stretches of a span, which come oldest first, both ends included.
    async fn fill(
        &self,
        room: RoomNid,
        span: &Span,
        stretches: &[(Pos, Pos)],
        limit: usize,
    ) -> Result<Timeline, SyncError> {
        let mut timeline = Timeline {
            prev_batch: span.after.unwrap_or(span.upto),
            // Until something is left out.
            whole: stretches.last().is_some_and(|(_, last)| *last == span.upto),
            ..Timeline::unchanged(span.upto)
        };
        let mut scanned = 0;
        for (index, &(first, mut last)) in stretches.iter().enumerate().rev() {
            loop {
                let wanted = limit + 1 - timeline.events.len();
                let (events, more) = self.newest(room, (first.prev(), last), wanted).await?;
                scanned += events.len();
                for event in events.into_iter().rev() {
                    last = event.pos.prev();
                    if !self.takes(&event) {
                        timeline.whole = false;
                    } else if timeline.events.len() == limit {
                        return Ok(timeline.limited_at(event.pos));
                    } else {
                        timeline.events.push(event);
                    }
                }
                if !more {
                    break;
                }
                if scanned >= MAX_SCANNED {
                    return Ok(timeline.limited_at(last));
                }
            }
            // Between two stretches lies what is not shown.
            timeline.whole &= index == 0 && span.after.is_none_or(|after| after.next() == first);
        }
        timeline.events.reverse();
        if let Some(first) = timeline.events.first() {
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
