//! How much of a room a user has not read, without a row per member and event (DESIGN §7).
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications)

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, events::room::power_levels::RoomPowerLevels};
use store::{
    Pos, RoomNid, Scan, UserNid,
    rows::TimelineRow,
    tables::{Highlights, Horizons, ReadThreads, ReadUpTo, Receipts, Threads, Timeline, Uncounted},
};

use crate::{Event, RoomError, Rooms, latest::Latest, relations::Kind};

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
    /// The main timeline; `None` if the user never was in the room.
    main: Option<Pos>,
    /// Every thread.
    threads: Option<Pos>,
    /// Single threads, by their root.
    by_root: Vec<(String, Pos)>,
}

impl ReadMark {
    /// Whether an event is read.
    pub fn covers(&self, event: &Event) -> bool {
        match thread_root(event) {
            Some(root) => self.covers_in_thread(&root, event.pos),
            None => self.main.is_some_and(|upto| event.pos <= upto),
        }
    }

    fn covers_in_thread(&self, root: &EventId, pos: Pos) -> bool {
        self.threads.is_some_and(|upto| pos <= upto)
            || self
                .by_root
                .iter()
                .any(|(thread, upto)| thread == root.as_str() && pos <= *upto)
    }
}

/// Whose unread events are counted.
#[derive(Clone, Copy, Debug)]
pub struct UnreadQuery<'a> {
    /// The member.
    pub user: UserNid,
    /// Users whose events do not count, for the member ignores them.
    pub ignored: &'a HashSet<UserNid>,
    /// Later events are not counted.
    pub upto: Pos,
    /// Threads are told apart; otherwise they count where the main timeline is unread, as for clients that know none.
    pub by_thread: bool,
}

/// In `Uncounted`: it was counted in `notifying`.
pub(crate) const UNCOUNTED_NOTIFYING: u8 = 1;
/// In `Uncounted`: it was counted in `highlighting`.
pub(crate) const UNCOUNTED_HIGHLIGHTING: u8 = 2;

/// Rows of one kind that are looked at for one count: highlights, redacted events, events in threads, events where somebody
/// is ignored. A count is exact as long as there are no more of them unread; clients show "99+" long before. Of threads the
/// latest events are looked at; earlier ones of them count for the main timeline while that is unread.
const MAX_ROWS: usize = 1_000;

impl Rooms {
    /// What a member has not read.
    pub async fn unread(
        &self,
        room: RoomNid,
        query: &UnreadQuery<'_>,
    ) -> Result<RoomUnread, RoomError> {
        let latest = match self.loaded(room) {
            Some(room) => room.latest(),
            None => Latest::unknown(),
        };
        self.unread_beside(room, query, latest).await
    }

    /// As [`Rooms::unread`], without look-ups for what `latest` knows not to be there.
    async fn unread_beside(
        &self,
        room: RoomNid,
        query: &UnreadQuery<'_>,
        latest: Latest,
    ) -> Result<RoomUnread, RoomError> {
        let store = self.store();
        let Some(main) = store.get::<ReadUpTo>(&(room, query.user)).await? else {
            // Whoever joins has read their own join: only users made members by others' events get here.
            return Ok(RoomUnread::default());
        };
        let mark = self.mark_of_threads(room, query, main, &latest).await?;
        let from = match mark.threads {
            Some(threads) if query.by_thread => threads.min(main),
            _ => main,
        };
        if from >= query.upto {
            return Ok(RoomUnread::default());
        }
        let mut count = Count {
            rooms: self,
            room,
            query,
            mark: &mark,
            main,
            highlights: if latest.mentions_after(from) {
                self.highlights(room, query.user, (from, query.upto))
                    .await?
            } else {
                Vec::new()
            },
            latest,
            unread: RoomUnread::default(),
        };
        if main < query.upto {
            count.main_timeline().await?;
        }
        if latest.threads_after(from) {
            count.threads(from).await?;
        }
        let mut unread = count.unread;
        if !query.by_thread {
            for thread in std::mem::take(&mut unread.threads).into_values() {
                unread.main.add(thread);
            }
        }
        Ok(unread)
    }

    /// The events that a member has not read of what was published up to `upto`, latest first, each with the root of the
    /// thread that it is in. Of the unread part of the room the latest `limit` events are looked at.
    pub async fn unread_events(
        &self,
        room: RoomNid,
        user: UserNid,
        upto: Pos,
        limit: usize,
    ) -> Result<Vec<(Arc<Event>, Option<OwnedEventId>)>, RoomError> {
        let mark = self.read_mark(room, user).await?;
        let Some(main) = mark.main else {
            return Ok(Vec::new());
        };
        let from = mark.threads.unwrap_or(main).min(main);
        if from >= upto {
            return Ok(Vec::new());
        }
        let range = Scan::range::<Timeline>(&(room, from.next()), &(room, upto.next()));
        let rows = self
            .store()
            .scan::<Timeline>(range.reverse().limit(limit))
            .await?;
        let numbers: Vec<_> = rows.iter().map(|(_, row)| row.rsn).collect();
        let mut unread = Vec::with_capacity(numbers.len());
        // Whoever speaks in a thread has read it.
        let mut spoken = HashSet::new();
        let senders: HashMap<_, _> = rows.iter().map(|(_, row)| (row.rsn, row.sender)).collect();
        for event in self.events(room, &numbers).await? {
            let root = thread_root(&event);
            if senders.get(&event.rsn) == Some(&user) {
                spoken.extend(root);
                continue;
            }
            let read = root.as_ref().is_some_and(|root| spoken.contains(root));
            if !read && !mark.covers(&event) {
                unread.push((event, root));
            }
        }
        Ok(unread)
    }

    /// The mark of somebody who has read the main timeline up to `main`, so far as it is needed: of the threads where there
    /// are some, of single ones where there is something after it.
    async fn mark_of_threads(
        &self,
        room: RoomNid,
        query: &UnreadQuery<'_>,
        main: Pos,
        latest: &Latest,
    ) -> Result<ReadMark, RoomError> {
        let mut mark = ReadMark {
            main: Some(main),
            threads: Some(main),
            by_root: Vec::new(),
        };
        if query.by_thread || latest.threads_after(main) {
            let threads = self
                .store()
                .get::<ReadThreads>(&(room, query.user))
                .await?
                .unwrap_or(main);
            mark.threads = Some(threads);
            if latest.threads_after(threads.min(main)) {
                mark.by_root = self.thread_receipts(room, query.user).await?;
            }
        }
        Ok(mark)
    }

    /// How far a member has read a room.
    pub async fn read_mark(&self, room: RoomNid, user: UserNid) -> Result<ReadMark, RoomError> {
        let store = self.store();
        let main = store.get::<ReadUpTo>(&(room, user)).await?;
        let threads = store.get::<ReadThreads>(&(room, user)).await?;
        Ok(ReadMark {
            main,
            threads: threads.or(main),
            by_root: self.thread_receipts(room, user).await?,
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
        if let Some((horizon, notifying, highlighting)) =
            self.store().get::<Horizons>(&room).await?
            && at < horizon
        {
            // What was counted before is gone, and what is left there does not tell how much it was.
            return Ok((notifying, highlighting));
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

    /// Where a user is mentioned, in order.
    async fn highlights(
        &self,
        room: RoomNid,
        user: UserNid,
        (from, upto): (Pos, Pos),
    ) -> Result<Vec<Pos>, RoomError> {
        let range =
            Scan::range::<Highlights>(&(user, room, from.next()), &(user, room, upto.next()));
        let rows = self
            .store()
            .scan::<Highlights>(range.limit(MAX_ROWS))
            .await?;
        Ok(rows.into_iter().map(|((_, _, pos), ())| pos).collect())
    }
}

/// One count, being made.
struct Count<'a> {
    rooms: &'a Rooms,
    room: RoomNid,
    query: &'a UnreadQuery<'a>,
    mark: &'a ReadMark,
    /// Up to here the main timeline is read.
    main: Pos,
    highlights: Vec<Pos>,
    latest: Latest,
    unread: RoomUnread,
}

impl Count<'_> {
    /// Everything behind the mark of the main timeline, threads included.
    async fn main_timeline(&mut self) -> Result<(), RoomError> {
        let (rooms, room, main) = (self.rooms, self.room, self.main);
        let before = rooms.counters(room, main).await?;
        let now = match self.latest.counters(self.query.upto) {
            Some(counters) => counters,
            None => rooms.counters(room, self.query.upto).await?,
        };
        let mentions: Vec<_> = self.highlights.iter().filter(|pos| **pos > main).collect();
        let keys: Vec<_> = mentions.iter().map(|pos| (room, **pos)).collect();
        let rows = rooms.store().multi_get::<Timeline>(&keys).await?;
        // Those that notify nobody but the user are not in the counters.
        let silent = rows.iter().flatten().filter(|row| !notifies(row)).count();
        self.unread.main = Unread {
            notifications: u64::from(now.0.saturating_sub(before.0)) + silent as u64,
            highlights: u64::from(now.1.saturating_sub(before.1)) + mentions.len() as u64,
        };
        let redacted = self.take_redacted().await?;
        self.take_ignored(&redacted).await
    }

    /// Events that were counted and are redacted do not count any more. Returns where they are.
    async fn take_redacted(&mut self) -> Result<HashSet<Pos>, RoomError> {
        if !self.latest.redactions_after(self.main) {
            return Ok(HashSet::new());
        }
        let (from, to) = (
            (self.room, self.main.next()),
            (self.room, self.query.upto.next()),
        );
        let range = Scan::range::<Uncounted>(&from, &to).limit(MAX_ROWS);
        let rows = self.rooms.store().scan::<Uncounted>(range).await?;
        for (_, added) in &rows {
            self.unread.main.take(Unread {
                notifications: u64::from(added & UNCOUNTED_NOTIFYING != 0),
                highlights: u64::from(added & UNCOUNTED_HIGHLIGHTING != 0),
            });
        }
        Ok(rows.into_iter().map(|((_, pos), _)| pos).collect())
    }

    /// Events of those whom the user ignores do not count; those in threads are left to [`Self::threads`].
    async fn take_ignored(&mut self, redacted: &HashSet<Pos>) -> Result<(), RoomError> {
        if self.query.ignored.is_empty() {
            return Ok(());
        }
        let (from, to) = (
            (self.room, self.main.next()),
            (self.room, self.query.upto.next()),
        );
        let range = Scan::range::<Timeline>(&from, &to)
            .reverse()
            .limit(MAX_ROWS);
        for ((_, pos), row) in self.rooms.store().scan::<Timeline>(range).await? {
            let counts = row.flags & TimelineRow::THREADED == 0
                && self.query.ignored.contains(&row.sender)
                && !redacted.contains(&pos);
            if counts {
                let counted = self.counted(pos, &row);
                self.unread.main.take(counted);
            }
        }
        Ok(())
    }

    /// Moves what lies in threads out of the main count, and counts what is unread in each.
    async fn threads(&mut self, from: Pos) -> Result<(), RoomError> {
        let (from, to) = (
            (self.room, from.next()),
            (self.room, self.query.upto.next()),
        );
        let range = Scan::range::<Threads>(&from, &to).reverse().limit(MAX_ROWS);
        let threaded = self.rooms.store().scan::<Threads>(range).await?;
        if threaded.is_empty() {
            return Ok(());
        }
        let mut roots: Vec<_> = threaded.iter().map(|(_, root)| *root).collect();
        roots.sort_unstable();
        roots.dedup();
        let events = self.rooms.events(self.room, &roots).await?;
        let ids: HashMap<_, _> = events
            .iter()
            .map(|event| (event.rsn, event.event_id.clone()))
            .collect();
        let keys: Vec<_> = threaded.iter().map(|(key, _)| *key).collect();
        let rows = self.rooms.store().multi_get::<Timeline>(&keys).await?;
        // Whoever speaks in a thread has read it.
        let mut spoken = HashSet::new();
        for (((_, pos), root), row) in threaded.into_iter().zip(rows) {
            let (Some(row), Some(root_id)) = (row, ids.get(&root)) else {
                continue;
            };
            let counted = self.counted(pos, &row);
            if pos > self.main {
                self.unread.main.take(counted);
            }
            if row.sender == self.query.user {
                spoken.insert(root);
            }
            let read = spoken.contains(&root)
                || self.query.ignored.contains(&row.sender)
                || self.mark.covers_in_thread(root_id, pos);
            if !read && counted != Unread::default() {
                let thread = self.unread.threads.entry(root_id.clone());
                thread.or_default().add(counted);
            }
        }
        Ok(())
    }

    /// What an event adds to the user's count. An `@room` in a thread highlights in the main timeline.
    fn counted(&self, pos: Pos, row: &TimelineRow) -> Unread {
        let highlights = u64::from(self.highlights.binary_search(&pos).is_ok());
        Unread {
            notifications: u64::from(notifies(row)).max(highlights),
            highlights,
        }
    }
}

impl Unread {
    fn add(&mut self, other: Self) {
        self.notifications += other.notifications;
        self.highlights += other.highlights;
    }

    fn take(&mut self, other: Self) {
        self.notifications = self.notifications.saturating_sub(other.notifications);
        self.highlights = self.highlights.saturating_sub(other.highlights);
    }
}

fn notifies(row: &TimelineRow) -> bool {
    row.flags & TimelineRow::NOTIFIES != 0
}

/// The root of the thread that an event is in.
fn thread_root(event: &Event) -> Option<OwnedEventId> {
    let relation = event.relation()?;
    (relation.kind() == Kind::Thread).then_some(relation.event_id)
}

#[cfg(test)]
mod tests;
