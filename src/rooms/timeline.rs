//! Reading a room as one user may: its timeline page by page, its state and its members.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room)

use std::{collections::HashSet, sync::Arc};

use ruma::{EventId, OwnedUserId, RoomId, UserId, api::Direction};
use store::{Pos, RoomNid, Rsn, Scan, rows::TimelineRow, tables::Timeline};

use crate::{Event, EventFilter, Room, RoomError, Rooms, Visibility};

/// The most events on a page, whatever the client asks for. Synapse has the same bound.
pub const MAX_PAGE_EVENTS: usize = 1000;

/// The most bytes of events on a page, reached only by events near the size limit.
const MAX_PAGE_BYTES: usize = 8 << 20;

/// The most events that are looked at for one page, where a filter passes few of them. Tests get there sooner.
const MAX_SCANNED: usize = if cfg!(test) { 600 } else { 5000 };

/// Events that are read at a time.
const CHUNK: usize = 250;

/// Steps of a search by time: enough to halve any number of events down to one.
const MAX_SEARCH_STEPS: usize = 64;

/// A room as one user may read it.
#[derive(Clone)]
pub struct RoomView {
    /// The room.
    pub room: Arc<Room>,
    /// What the user may see of its events.
    pub visibility: Visibility,
    /// The room's state and members are those after the event here: the latest one, or the user's leaving.
    pub upto: Pos,
}

/// Which part of a timeline is wanted.
#[derive(Clone, Debug)]
pub struct Paging<'a> {
    /// The token to start at; the end of what the user may see if there is none.
    pub from: Option<Pos>,
    /// The token to stop at.
    pub to: Option<Pos>,
    /// Which way.
    pub direction: Direction,
    /// The most events, up to [`MAX_PAGE_EVENTS`].
    pub limit: usize,
    /// Which events.
    pub filter: &'a EventFilter,
}

/// A part of a timeline.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the direction asked for.
    pub events: Vec<Arc<Event>>,
    /// The token at its beginning.
    pub start: Pos,
    /// The token at its end.
    pub end: Pos,
    /// Whether there is more behind `end`.
    pub more: bool,
}

impl Rooms {
    /// Opens a room for reading: to its members, to those who have left it and not forgotten it, and to everybody where
    /// history is world-readable.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], also for rooms that do not exist.
    pub async fn view(&self, room_id: &RoomId, user: &UserId) -> Result<RoomView, RoomError> {
        let room = self.room_to_send(room_id).await?;
        let latest = self.store().visible();
        let visibility = self.visibility(room.nid, user).await?;
        let upto = visibility.reach().ok_or(RoomError::NotJoined)?.min(latest);
        Ok(RoomView {
            room,
            visibility,
            upto,
        })
    }

    /// An event of a room that the user may see.
    ///
    /// # Errors
    /// [`RoomError::NotFound`], whether or not there is such an event or room.
    pub async fn visible_event(
        &self,
        room_id: &RoomId,
        event_id: &EventId,
        user: &UserId,
    ) -> Result<(Arc<Event>, Visibility), RoomError> {
        let nid = self
            .store()
            .interner()
            .find::<RoomNid>(room_id.as_str())
            .await?;
        let event = self
            .event_by_id(event_id)
            .await?
            .filter(|event| Some(event.room) == nid);
        let event = event.ok_or(RoomError::NotFound("event"))?;
        let visibility = self.visibility(event.room, user).await?;
        if event.pos > self.store().visible() || !visibility.may_see(event.pos) {
            return Err(RoomError::NotFound("event"));
        }
        Ok((event, visibility))
    }

    /// A page of the timeline.
    pub async fn page(&self, view: &RoomView, paging: &Paging<'_>) -> Result<Page, RoomError> {
        let latest = self.store().visible();
        // Everything after `low`, up to and including `high`.
        let (low, high) = match paging.direction {
            Direction::Backward => (
                paging.to.unwrap_or(Pos::MIN),
                paging.from.unwrap_or(latest).min(latest),
            ),
            Direction::Forward => (
                paging.from.unwrap_or(Pos::MIN),
                paging.to.unwrap_or(latest).min(latest),
            ),
        };
        let mut ranges: Vec<_> = view.visibility.ranges_within(low.next(), high).collect();
        if paging.direction == Direction::Backward {
            ranges.reverse();
        }
        if !paging.filter.takes_room(&view.room.id) {
            ranges.clear();
        }
        let start = match paging.direction {
            Direction::Backward => high,
            Direction::Forward => paging.from.unwrap_or(Pos::ZERO),
        };
        let mut walk = Walk {
            rooms: self,
            room: view.room.nid,
            paging,
            events: Vec::new(),
            bytes: 0,
            scanned: 0,
            end: start,
        };
        let mut more = false;
        for (first, last) in ranges {
            if walk.range(first, last).await? {
                more = true;
                break;
            }
        }
        let Walk { events, end, .. } = walk;
        Ok(Page {
            events,
            start,
            end,
            more,
        })
    }

    /// The state at a position, as events in the order in which they were sent.
    pub async fn state_events(&self, room: RoomNid, at: Pos) -> Result<Vec<Arc<Event>>, RoomError> {
        let mut numbers: Vec<Rsn> = self.state_at(room, at).await?.into_values().collect();
        numbers.sort_unstable();
        self.events(room, &numbers).await
    }

    /// The same without anybody's `m.room.member`, for clients that load members when they need them.
    pub async fn state_events_but_members(
        &self,
        room: RoomNid,
        at: Pos,
    ) -> Result<Vec<Arc<Event>>, RoomError> {
        let members = self.members_at(room, at).await?;
        let members: HashSet<Rsn> = members.into_iter().map(|(_, row)| row.rsn).collect();
        let state = self.state_at(room, at).await?.into_values();
        let mut numbers: Vec<Rsn> = state.filter(|rsn| !members.contains(rsn)).collect();
        numbers.sort_unstable();
        self.events(room, &numbers).await
    }

    /// The member events at a position of those who sent `events`, in the order in which they were sent.
    ///
    /// [spec](https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members)
    pub async fn members_of_events(
        &self,
        room: RoomNid,
        events: &[Arc<Event>],
        at: Pos,
    ) -> Result<Vec<Arc<Event>>, RoomError> {
        let mut users: HashSet<OwnedUserId> = HashSet::new();
        for event in events {
            if !users.contains(&event.sender) {
                users.insert(event.sender.clone());
            }
        }
        let mut numbers = Vec::with_capacity(users.len());
        for user in users {
            if let Some(key) = self.state_key("m.room.member", user.as_str()).await? {
                numbers.extend(self.state_key_at(room, key, at).await?);
            }
        }
        numbers.sort_unstable();
        self.events(room, &numbers).await
    }

    /// The visible event nearest to a time, in milliseconds since the Unix epoch, that is not before it (forward) or not after
    /// it (backward).
    ///
    /// Times are what the senders' servers said. Where they run against the order of the events, a near one is found.
    ///
    /// # Errors
    /// [`RoomError::NotFound`]
    pub async fn event_by_time(
        &self,
        view: &RoomView,
        ts_ms: u64,
        direction: Direction,
    ) -> Result<Arc<Event>, RoomError> {
        let before = |event: &Event| match direction {
            Direction::Forward => event.origin_server_ts < ts_ms,
            Direction::Backward => event.origin_server_ts <= ts_ms,
        };
        // Everything up to `low` is before the time, everything after `high` is not.
        let (mut low, mut high) = (Pos::ZERO, self.store().visible());
        for _ in 0..MAX_SEARCH_STEPS {
            if low >= high {
                break;
            }
            let middle = Pos(low.0.midpoint(high.0.saturating_add(1)));
            let range = Scan::range::<Timeline>(
                &(view.room.nid, low.next()),
                &(view.room.nid, middle.next()),
            );
            let last = self
                .store()
                .scan::<Timeline>(range.reverse().limit(1))
                .await?;
            let Some(((_, pos), row)) = last.first() else {
                low = middle;
                continue;
            };
            if before(&*self.event(view.room.nid, row.rsn).await?) {
                low = middle;
            } else {
                high = pos.prev();
            }
        }
        let filter = EventFilter::default();
        let paging = Paging {
            from: Some(low),
            to: None,
            direction,
            limit: 1,
            filter: &filter,
        };
        let page = self.page(view, &paging).await?;
        page.events
            .into_iter()
            .next()
            .ok_or(RoomError::NotFound("event"))
    }
}

/// A page being filled.
struct Walk<'a> {
    rooms: &'a Rooms,
    room: RoomNid,
    paging: &'a Paging<'a>,
    events: Vec<Arc<Event>>,
    bytes: usize,
    scanned: usize,
    end: Pos,
}

impl Walk<'_> {
    /// Takes the events from `first` to `last`, both included. Returns whether the page is full and there is more.
    async fn range(&mut self, first: Pos, last: Pos) -> Result<bool, RoomError> {
        let backward = self.paging.direction == Direction::Backward;
        let (mut first, mut last) = (first, last);
        loop {
            let rows = self.rows(first, last).await?;
            if rows.is_empty() {
                return Ok(false);
            }
            let numbers: Vec<Rsn> = rows.iter().map(|(_, row)| row.rsn).collect();
            let events = self.rooms.events(self.room, &numbers).await?;
            for event in events {
                if self.is_full() {
                    return Ok(true);
                }
                self.end = if backward {
                    event.pos.prev()
                } else {
                    event.pos
                };
                self.scanned += 1;
                if self.paging.filter.takes(&event) {
                    self.bytes += event.weight();
                    self.events.push(event);
                }
            }
            let Some((seen, _)) = rows.last() else {
                return Ok(false);
            };
            if backward {
                last = seen.prev();
            } else {
                first = seen.next();
            }
        }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.paging.limit.min(MAX_PAGE_EVENTS)
            || self.bytes >= MAX_PAGE_BYTES
            || self.scanned >= MAX_SCANNED
    }

    /// The next rows. One more than the page still takes, to know whether there are more.
    async fn rows(&self, first: Pos, last: Pos) -> Result<Vec<(Pos, TimelineRow)>, RoomError> {
        let wanted = self
            .paging
            .limit
            .min(MAX_PAGE_EVENTS)
            .saturating_sub(self.events.len());
        // A filter that passes few is fed by the handful, then by more and more.
        let wanted = wanted.max(self.scanned).min(CHUNK) + 1;
        let mut scan =
            Scan::range::<Timeline>(&(self.room, first), &(self.room, last.next())).limit(wanted);
        if self.paging.direction == Direction::Backward {
            scan = scan.reverse();
        }
        let rows = self.rooms.store().scan::<Timeline>(scan).await?;
        Ok(rows.into_iter().map(|((_, pos), row)| (pos, row)).collect())
    }
}

#[cfg(test)]
mod tests;
