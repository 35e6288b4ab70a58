//! Read receipts: public, private and threaded.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#receipts)

use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use store::{
    Batch, Pos, RoomNid, Scan, StoreError, Table, UserNid,
    rows::{Membership, ReceiptRow},
    tables::{Activity, ReadThreads, ReadUpTo, ReceiptLog, Receipts},
};

use crate::{RoomError, RoomNews, Rooms, What};

/// How far an event may be from its thread's root; the number is the spec's.
const MAX_THREAD_HOPS: usize = 3;

#[derive(Default, Deserialize)]
struct Relating {
    #[serde(rename = "m.relates_to")]
    relates_to: Option<Relation>,
}

#[derive(Deserialize)]
struct Relation {
    event_id: Option<OwnedEventId>,
}

/// Whom a receipt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptKind {
    /// `m.read`: for everybody in the room.
    Read,
    /// `m.read.private`: for its user alone.
    ReadPrivate,
}

/// What a receipt speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptThread {
    /// The whole room, whatever its threads.
    #[default]
    Unthreaded,
    /// What is in no thread.
    Main,
    /// The thread of this root.
    Thread(OwnedEventId),
}

/// One receipt, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whose.
    pub user_id: OwnedUserId,
    /// For whom.
    pub kind: ReceiptKind,
    /// Of what.
    pub thread: ReceiptThread,
    /// Up to which event.
    pub event_id: OwnedEventId,
    /// When, in milliseconds since the Unix epoch.
    pub ts: u64,
}

/// How often a receipt is tried anew when the same user's other receipt or message came between.
const MAX_ATTEMPTS: usize = 16;

impl ReceiptKind {
    /// The spec's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "m.read",
            Self::ReadPrivate => "m.read.private",
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::ReadPrivate => 1,
        }
    }

    const fn from_number(number: u8) -> Self {
        if number == 0 {
            Self::Read
        } else {
            Self::ReadPrivate
        }
    }
}

impl ReceiptThread {
    /// The spec's `thread_id`; empty for a receipt without one.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unthreaded => "",
            Self::Main => "main",
            Self::Thread(root) => root.as_str(),
        }
    }

    fn parse(thread: &str) -> Option<Self> {
        Some(match thread {
            "" => Self::Unthreaded,
            "main" => Self::Main,
            root => Self::Thread(EventId::parse(root).ok()?),
        })
    }
}

impl Rooms {
    /// Sets a user's receipt. One that names an earlier event than the receipt that is there changes nothing.
    ///
    /// # Errors
    /// [`RoomError::NotJoined`], also for rooms that do not exist; [`RoomError::NotFound`] if the room has no such event.
    pub async fn set_receipt(
        &self,
        room_id: &RoomId,
        user_id: &UserId,
        (kind, thread): (ReceiptKind, ReceiptThread),
        event_id: &EventId,
    ) -> Result<(), RoomError> {
        let interner = self.store().interner();
        let room: Option<RoomNid> = interner.find(room_id.as_str()).await?;
        let user: Option<UserNid> = interner.find(user_id.as_str()).await?;
        let (Some(room), Some(user)) = (room, user) else {
            return Err(RoomError::NotJoined);
        };
        let member = self.member(room, user).await?;
        if member.is_none_or(|member| member.membership != Membership::Join) {
            return Err(RoomError::NotJoined);
        }
        let event = self.event_by_id(event_id).await?;
        let event = event
            .filter(|event| event.room == room && event.pos <= self.store().visible())
            .ok_or(RoomError::NotFound("event"))?;
        let row = ReceiptRow {
            pos: Pos::unassigned(0),
            event_pos: event.pos,
            ts: self.host().now_ms(),
            event_id: event_id.to_string(),
        };
        let key = (room, user, kind.number(), thread.as_str().to_owned());
        for _ in 0..MAX_ATTEMPTS {
            let Some(batch) = self.receipt_batch(&key, &row).await? else {
                return Ok(());
            };
            match self.store().commit(batch).await {
                Err(StoreError::Guard) => {}
                done => return Ok(done.map(drop)?),
            }
        }
        Err(StoreError::Busy.into())
    }

    /// Whether an event belongs to the thread of this root: it is the root, or leads to it within a few relations.
    pub async fn is_in_thread(
        &self,
        event_id: &EventId,
        root: &EventId,
    ) -> Result<bool, RoomError> {
        let mut current = event_id.to_owned();
        for _ in 0..=MAX_THREAD_HOPS {
            if current == *root {
                return Ok(true);
            }
            let Some(event) = self.event_by_id(&current).await? else {
                return Ok(false);
            };
            let content: Relating = serde_json::from_str(event.content()).unwrap_or_default();
            let Some(related) = content.relates_to.and_then(|relation| relation.event_id) else {
                return Ok(false);
            };
            current = related;
        }
        Ok(false)
    }

    /// The rows of a receipt, guarded by what they were made from; `None` if the receipt is no news.
    async fn receipt_batch(
        &self,
        key: &(RoomNid, UserNid, u8, String),
        row: &ReceiptRow,
    ) -> Result<Option<Batch>, RoomError> {
        let (room, user, kind, ref thread) = *key;
        let mut batch = Batch::new();
        // Nobody need wait for the disk; whoever waits here waits for the guards.
        batch.relax();
        match self.store().get::<Receipts>(key).await? {
            Some(before) if before.event_pos >= row.event_pos => return Ok(None),
            Some(before) => {
                batch.delete::<ReceiptLog>(&(room, before.pos));
                batch.guard_equals::<Receipts>(key, &before);
            }
            None => batch.guard_absent::<Receipts>(key),
        }
        batch.put::<Receipts>(key, row);
        batch.put::<ReceiptLog>(&(room, row.pos), &(user, kind, thread.clone()));
        batch.put::<Activity>(&room, &row.pos);
        if matches!(thread.as_str(), "" | "main") {
            self.advance::<ReadUpTo>(&mut batch, (room, user), row.event_pos)
                .await?;
        }
        if thread.is_empty() {
            self.advance::<ReadThreads>(&mut batch, (room, user), row.event_pos)
                .await?;
        }
        let rooms = self.clone();
        let private = ReceiptKind::from_number(kind) == ReceiptKind::ReadPrivate;
        let what = What::Receipt { user, private };
        batch.after(move |pos| rooms.tell(&RoomNews { room, pos, what }));
        Ok(Some(batch))
    }

    /// Moves a mark forward, guarded by where it was.
    async fn advance<T: Table<Key = (RoomNid, UserNid), Value = Pos>>(
        &self,
        batch: &mut Batch,
        key: (RoomNid, UserNid),
        to: Pos,
    ) -> Result<(), RoomError> {
        match self.store().get::<T>(&key).await? {
            Some(before) if before >= to => return Ok(()),
            Some(before) => batch.guard_equals::<T>(&key, &before),
            None => batch.guard_absent::<T>(&key),
        }
        batch.put::<T>(&key, &to);
        Ok(())
    }

    /// The receipts of a room that were set after `after` up to and including `upto`, at most `limit` of them, the latest
    /// if there are more; without other users' private ones.
    pub async fn receipts(
        &self,
        room: RoomNid,
        reader: UserNid,
        (after, upto): (Pos, Pos),
        limit: usize,
    ) -> Result<Vec<Receipt>, RoomError> {
        let range = Scan::range::<ReceiptLog>(&(room, after.next()), &(room, upto.next()));
        let log = self
            .store()
            .scan::<ReceiptLog>(range.reverse().limit(limit))
            .await?;
        let visible = log.into_iter().filter(|(_, (user, kind, _))| {
            *user == reader || ReceiptKind::from_number(*kind) == ReceiptKind::Read
        });
        let keys: Vec<_> = visible
            .map(|(_, (user, kind, thread))| (room, user, kind, thread))
            .collect();
        let rows = self.store().multi_get::<Receipts>(&keys).await?;
        let mut receipts = Vec::with_capacity(rows.len());
        for ((_, user, kind, thread), row) in keys.into_iter().zip(rows) {
            let name = self.store().interner().name(user).await?;
            let Some(row) = row else { continue };
            // What was kept was read before it was kept.
            let (Ok(user_id), Ok(event_id), Some(thread)) = (
                UserId::parse(&*name),
                EventId::parse(&*row.event_id),
                ReceiptThread::parse(&thread),
            ) else {
                continue;
            };
            receipts.push(Receipt {
                user_id,
                kind: ReceiptKind::from_number(kind),
                thread,
                event_id,
                ts: row.ts,
            });
        }
        receipts.reverse();
        Ok(receipts)
    }
}
