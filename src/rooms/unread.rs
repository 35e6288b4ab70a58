//! How much of a room a user has not read, without a row per member and event (DESIGN §7).
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications)

use std::{collections::BTreeMap, sync::Arc};

use ruma::{EventId, OwnedEventId, events::room::power_levels::RoomPowerLevels};
use store::{
    Pos, RoomNid, Scan, UserNid,
    rows::TimelineRow,
    tables::{Highlights, ReadUpTo, Receipts, Timeline},
};

use crate::{Event, RoomError, Rooms, relations::Kind};

/// What is unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// `notification_count`
    pub notifications: u64,
    /// `highlight_count`
    pub highlights: u64,
}

/// What is unread in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomUnread {
    /// Outside of threads, or everywhere if threads were not asked for.
    pub main: Unread,
    /// By thread root, where there is something.
    pub threads: BTreeMap<OwnedEventId, Unread>,
}

/// How far a user has read a room.
#[derive(Clone, Debug, Default)]
pub struct ReadMark {
    upto: Option<Pos>,
    threads: Vec<(String, Pos)>,
}

impl ReadMark {
    /// Whether an event is read.
    pub fn covers(&self, event: &Event) -> bool {
        self.upto.is_some_and(|upto| event.pos <= upto)
            || thread_root(event).is_some_and(|root| is_read(&self.threads, &root, event.pos))
    }
}

/// Highlights that are counted one by one; beyond that a number says nothing more.
const MAX_HIGHLIGHTS: usize = 1_000;

/// The latest events that are looked at one by one for their threads; earlier unread ones count for the main timeline.
const MAX_THREADED: usize = 200;

impl Rooms {
    /// What a member has not read of what was published up to `upto`; `by_thread` tells threads apart.
    pub async fn unread(
        &self,
        room: RoomNid,
        user: UserNid,
        upto: Pos,
        by_thread: bool,
    ) -> Result<RoomUnread, RoomError> {
        let read = self.store().get::<ReadUpTo>(&(room, user)).await?;
        let Some(read) = read else {
            // Whoever joins has read their own join: only users made members by others' events get here.
            return Ok(RoomUnread::default());
        };
        if read >= upto {
            return Ok(RoomUnread::default());
        }
        let (before, now) = (
            self.counters(room, read).await?,
            self.counters(room, upto).await?,
        );
        let range =
            Scan::range::<Highlights>(&(user, room, read.next()), &(user, room, upto.next()));
        let highlights = self
            .store()
            .scan::<Highlights>(range.limit(MAX_HIGHLIGHTS))
            .await?;
        let highlights: Vec<Pos> = highlights
            .into_iter()
            .map(|((_, _, pos), ())| pos)
            .collect();
        let notifying = now.0.saturating_sub(before.0);
        let mut unread = RoomUnread {
            main: Unread {
                notifications: u64::from(notifying),
                highlights: u64::from(now.1.saturating_sub(before.1)) + highlights.len() as u64,
            },
            threads: BTreeMap::new(),
        };
        unread.main.notifications += self.silent(room, &highlights).await?;
        if by_thread && unread.main != Unread::default() {
            self.part_threads(room, user, (read, upto), &highlights, &mut unread)
                .await?;
        }
        Ok(unread)
    }

    /// The events that a member has not read of what was published up to `upto`, at most `limit`, latest first, each with
    /// the root of the thread that it is in.
    pub async fn unread_events(
        &self,
        room: RoomNid,
        user: UserNid,
        upto: Pos,
        limit: usize,
    ) -> Result<Vec<(Arc<Event>, Option<OwnedEventId>)>, RoomError> {
        let read = self.store().get::<ReadUpTo>(&(room, user)).await?;
        let Some(read) = read.filter(|read| *read < upto) else {
            return Ok(Vec::new());
        };
        let range = Scan::range::<Timeline>(&(room, read.next()), &(room, upto.next()));
        let rows = self
            .store()
            .scan::<Timeline>(range.reverse().limit(limit))
            .await?;
        let numbers: Vec<_> = rows.into_iter().map(|(_, row)| row.rsn).collect();
        let receipts = self.thread_receipts(room, user).await?;
        let mut unread = Vec::with_capacity(numbers.len());
        for event in self.events(room, &numbers).await? {
            let root = thread_root(&event);
            if !root
                .as_ref()
                .is_some_and(|root| is_read(&receipts, root, event.pos))
            {
                unread.push((event, root));
            }
        }
        Ok(unread)
    }

    /// How far a member has read a room.
    pub async fn read_mark(&self, room: RoomNid, user: UserNid) -> Result<ReadMark, RoomError> {
        Ok(ReadMark {
            upto: self.store().get::<ReadUpTo>(&(room, user)).await?,
            threads: self.thread_receipts(room, user).await?,
        })
    }

    /// The power levels in force, for those who only ask; `None` where they do not parse.
    pub async fn power_levels_of(
        &self,
        room: RoomNid,
    ) -> Result<Option<RoomPowerLevels>, RoomError> {
        let room = self.room(room).await?;
        let event = self
            .state_event(room.nid, "m.room.power_levels", "")
            .await?;
        let pdu = match event {
            None => None,
            Some(event) => Some(room.rules.parse(
                &event.event_id,
                event.client_members(),
                event.federation_members(),
            )?),
        };
        Ok(room.rules.power_levels(&room.creation, pdu.as_ref()).ok())
    }

    /// By thread, up to where a user has read it.
    async fn thread_receipts(
        &self,
        room: RoomNid,
        user: UserNid,
    ) -> Result<Vec<(String, Pos)>, RoomError> {
        let rows = self
            .store()
            .scan::<Receipts>(Scan::prefix::<Receipts>(&(room, user)))
            .await?;
        Ok(rows
            .into_iter()
            .map(|((_, _, _, thread), row)| (thread, row.event_pos))
            .collect())
    }

    /// `notifying` and `highlighting` of the room at a position.
    async fn counters(&self, room: RoomNid, at: Pos) -> Result<(u32, u32), RoomError> {
        // Users read up to events, and mostly the latest position of the room is asked for: both are point look-ups.
        if let Some(row) = self.store().get::<Timeline>(&(room, at)).await? {
            return Ok((row.notifying, row.highlighting));
        }
        let head = self.head(room).await?;
        if head.last_pos <= at {
            return Ok((head.notifying, head.highlighting));
        }
        let range = Scan::range::<Timeline>(&(room, Pos::MIN), &(room, at.next()));
        let rows = self
            .store()
            .scan::<Timeline>(range.reverse().limit(1))
            .await?;
        Ok(rows
            .first()
            .map_or((0, 0), |(_, row)| (row.notifying, row.highlighting)))
    }

    /// How many of these events notify nobody but those they mention.
    async fn silent(&self, room: RoomNid, highlights: &[Pos]) -> Result<u64, RoomError> {
        if highlights.is_empty() {
            return Ok(0);
        }
        let keys: Vec<_> = highlights.iter().map(|pos| (room, *pos)).collect();
        let rows = self.store().multi_get::<Timeline>(&keys).await?;
        let silent = rows
            .iter()
            .flatten()
            .filter(|row| row.flags & TimelineRow::NOTIFIES == 0);
        Ok(silent.count() as u64)
    }

    /// Moves what lies in threads out of the main count, and drops what a receipt of the thread has read.
    async fn part_threads(
        &self,
        room: RoomNid,
        user: UserNid,
        (read, upto): (Pos, Pos),
        highlights: &[Pos],
        unread: &mut RoomUnread,
    ) -> Result<(), RoomError> {
        let range = Scan::range::<Timeline>(&(room, read.next()), &(room, upto.next()));
        let rows = self
            .store()
            .scan::<Timeline>(range.reverse().limit(MAX_THREADED))
            .await?;
        let counts = TimelineRow::THREADED | TimelineRow::NOTIFIES;
        let threaded: Vec<_> = rows
            .into_iter()
            .filter(|(_, row)| row.flags & counts == counts)
            .map(|(_, row)| row.rsn)
            .collect();
        if threaded.is_empty() {
            return Ok(());
        }
        let receipts = self.thread_receipts(room, user).await?;
        for event in self.events(room, &threaded).await? {
            let Some(root) = thread_root(&event) else {
                continue;
            };
            let highlight = u64::from(highlights.binary_search(&event.pos).is_ok());
            unread.main.notifications = unread.main.notifications.saturating_sub(1);
            unread.main.highlights = unread.main.highlights.saturating_sub(highlight);
            if !is_read(&receipts, &root, event.pos) {
                let thread = unread.threads.entry(root).or_default();
                thread.notifications += 1;
                thread.highlights += highlight;
            }
        }
        Ok(())
    }
}

/// Whether a thread was read up to a position.
fn is_read(receipts: &[(String, Pos)], root: &EventId, pos: Pos) -> bool {
    receipts
        .iter()
        .any(|(thread, read)| thread == root.as_str() && *read >= pos)
}

/// The root of the thread that an event is in.
fn thread_root(event: &Event) -> Option<OwnedEventId> {
    let relation = event.relation()?;
    (relation.kind() == Kind::Thread).then_some(relation.event_id)
}
