//! Events that wait for their time
//! ([MSC4140](https://github.com/matrix-org/matrix-spec-proposals/pull/4140)): calls leave a "has left" behind, which is
//! sent unless their client goes on putting it off.
//!
//! An event waits in the table `DelayedEvents` with its content; in memory there is only when it is due. It is sent
//! first and its row is removed afterwards, under a transaction id of its own: after a crash in between it is not sent
//! twice.
//!
//! State that waits is not cancelled by newer state, whoever sends it: the proposal once had it so, and was accepted without
//! it. Whether the sender may send is asked when it is sent.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use host::{Host, Shutdown};
use parking_lot::Mutex;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{
    Batch, Raw, Scan, StoreError, Table, UserNid,
    rows::Membership,
    tables::{DelayedEvents, Transactions},
};
use thiserror::Error;
use tokio::sync::Notify;

use crate::{RoomError, Rooms, Transaction};

/// How many and how long.
#[derive(Clone, Copy, Debug)]
pub struct DelayedOptions {
    /// Events of one user that wait at the same time.
    pub max_events: usize,
    /// The longest that one waits, in milliseconds.
    pub max_delay_ms: u64,
}

/// Why an event is not put off.
#[derive(Debug, Error)]
pub enum DelayedError {
    /// Longer than the server allows.
    #[error("The requested delay exceeds the allowed maximum.")]
    TooLong {
        /// The longest, in milliseconds.
        max_delay_ms: u64,
    },
    /// The user has enough of them.
    #[error("The maximum number of delayed events has been reached.")]
    TooMany {
        /// Until the next one of them is sent, in milliseconds.
        retry_after_ms: u64,
    },
    /// It is not waiting (any more).
    #[error("Unknown delay id.")]
    NotFound,
    /// The room says no.
    #[error(transparent)]
    Room(#[from] RoomError),
}

impl From<StoreError> for DelayedError {
    fn from(error: StoreError) -> Self {
        Self::Room(error.into())
    }
}

/// An event to be put off.
#[derive(Clone, Copy, Debug)]
pub struct ToDelay<'a> {
    /// Where it goes.
    pub room_id: &'a RoomId,
    /// `type`
    pub event_type: &'a str,
    /// `state_key`, if it is state.
    pub state_key: Option<&'a str>,
    /// `content`
    pub content: &'a RawValue,
    /// How long it waits, in milliseconds.
    pub delay_ms: u64,
    /// The client's name for the request: the same request sent twice has one effect.
    pub transaction: Option<Transaction<'a>>,
}

/// What is to become of an event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayedAction {
    /// It is never sent.
    Cancel,
    /// It waits anew.
    Restart,
    /// It is sent at once.
    Send,
}

/// An event that waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DelayedEvent {
    /// Its name: whoever knows it may do with it as they like.
    pub delay_id: String,
    /// Where it goes.
    pub room_id: OwnedRoomId,
    /// `type`
    #[serde(rename = "type")]
    pub event_type: String,
    /// `state_key`, if it is state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_key: Option<String>,
    /// How long it waits, in milliseconds.
    pub delay: u64,
    /// Since when, in milliseconds since the Unix epoch.
    pub running_since: u64,
    /// `content`
    pub content: Box<RawValue>,
}

impl DelayedEvent {
    fn due_ms(&self) -> u64 {
        self.running_since.saturating_add(self.delay)
    }
}

/// All events that wait; cheap to clone.
#[derive(Clone)]
pub struct Delayed(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    host: Host,
    options: DelayedOptions,
    due: Mutex<Due>,
    /// Something is due earlier than before.
    changed: Notify,
    /// One change at a time: an event is not cancelled while it is sent.
    changing: tokio::sync::Mutex<()>,
    loaded: tokio::sync::OnceCell<()>,
}

#[derive(Default)]
struct Due {
    order: BTreeSet<(u64, String)>,
    by_id: HashMap<String, (UserNid, u64)>,
    by_user: HashMap<UserNid, usize>,
}

impl Due {
    fn insert(&mut self, user: UserNid, due_ms: u64, delay_id: &str) {
        self.remove(delay_id);
        self.order.insert((due_ms, delay_id.to_owned()));
        self.by_id.insert(delay_id.to_owned(), (user, due_ms));
        *self.by_user.entry(user).or_default() += 1;
    }

    fn remove(&mut self, delay_id: &str) {
        let Some((user, due_ms)) = self.by_id.remove(delay_id) else {
            return;
        };
        self.order.remove(&(due_ms, delay_id.to_owned()));
        if let Some(count) = self.by_user.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                self.by_user.remove(&user);
            }
        }
    }
}

/// Characters of a delay id: nobody guesses it.
const ID_CHARACTERS: usize = 32;
/// The device under whose name transactions of delayed events are kept: no client's can have it.
const DEVICE: &str = "\u{0}delayed";
/// A store that refuses is asked again after this.
const RETRY: Duration = Duration::from_secs(5);

impl Delayed {
    /// Over `rooms`.
    pub fn new(rooms: Rooms, host: Host, options: DelayedOptions) -> Self {
        Self(Arc::new(Inner {
            rooms,
            host,
            options,
            due: Mutex::default(),
            changed: Notify::new(),
            changing: tokio::sync::Mutex::default(),
            loaded: tokio::sync::OnceCell::new(),
        }))
    }

    /// Whether events can be put off at all.
    pub fn is_enabled(&self) -> bool {
        self.0.options.max_events > 0
    }

    /// Sends what is due, until the server stops.
    pub async fn run(self, shutdown: Shutdown) {
        while !shutdown.is_started() {
            let pause = match self.load().await {
                Ok(()) => self.next_pause(),
                Err(error) => {
                    tracing::error!(%error, "delayed events cannot be read");
                    Some(RETRY)
                }
            };
            let timer = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {
                    if let Err(error) = self.fire_first().await {
                        tracing::warn!(%error, "a delayed event has to wait");
                        tokio::time::sleep(RETRY).await;
                    }
                }
                () = self.0.changed.notified() => {}
                () = shutdown.wait() => return,
            }
        }
    }

    /// Puts an event off, and gives its `delay_id`.
    pub async fn schedule(
        &self,
        (user, user_id): (UserNid, &UserId),
        new: ToDelay<'_>,
    ) -> Result<String, DelayedError> {
        let options = self.0.options;
        if new.delay_ms > options.max_delay_ms {
            return Err(DelayedError::TooLong {
                max_delay_ms: options.max_delay_ms,
            });
        }
        let room = self.0.rooms.room_to_send(new.room_id).await?;
        if self.0.rooms.membership_of(room.nid, user_id).await? != Some(Membership::Join) {
            return Err(RoomError::NotJoined.into());
        }
        self.load().await?;
        let _guard = self.0.changing.lock().await;
        let key = self
            .0
            .rooms
            .transaction_key("delay", &room, user_id, new.event_type, new.transaction)
            .await?;
        let mut batch = Batch::new();
        if let Some(key) = &key
            && let Some(answered) = self.0.rooms.store().get::<Transactions>(key).await?
        {
            return Ok(answered.answer);
        }
        if self.count(user) >= options.max_events {
            let retry_after_ms = self.until_next_of(user);
            return Err(DelayedError::TooMany { retry_after_ms });
        }
        let event = DelayedEvent {
            delay_id: self.0.host.random_string(ID_CHARACTERS),
            room_id: new.room_id.to_owned(),
            event_type: new.event_type.to_owned(),
            state_key: new.state_key.map(str::to_owned),
            delay: new.delay_ms,
            running_since: self.0.host.now_ms(),
            content: new.content.to_owned(),
        };
        if let Some(key) = &key {
            let row = self.0.rooms.answer(event.delay_id.clone());
            batch.put::<Transactions>(key, &row);
        }
        self.keep(batch, user, &event).await?;
        Ok(event.delay_id)
    }

    /// How many events of a user wait.
    fn count(&self, user: UserNid) -> usize {
        self.0.due.lock().by_user.get(&user).copied().unwrap_or(0)
    }

    /// How long until the first event of a user is due, in milliseconds.
    fn until_next_of(&self, user: UserNid) -> u64 {
        let due = self.0.due.lock();
        let own = due.by_id.values().filter(|(of, _)| *of == user);
        let first_ms = own.map(|(_, due_ms)| *due_ms).min().unwrap_or(0);
        first_ms.saturating_sub(self.0.host.now_ms()).max(1)
    }

    /// Cancels, restarts or sends an event that waits.
    pub async fn update(&self, delay_id: &str, action: DelayedAction) -> Result<(), DelayedError> {
        self.load().await?;
        let _guard = self.0.changing.lock().await;
        let waiting = self.0.due.lock().by_id.get(delay_id).copied();
        let (user, _) = waiting.ok_or(DelayedError::NotFound)?;
        let mut event = self.read(user, delay_id).await?;
        match action {
            DelayedAction::Cancel => self.drop_row(user, delay_id).await?,
            DelayedAction::Restart => {
                event.running_since = self.0.host.now_ms();
                self.keep(Batch::new(), user, &event).await?;
            }
            DelayedAction::Send => {
                self.send(user, &event).await?;
                self.drop_row(user, delay_id).await?;
            }
        }
        Ok(())
    }

    /// A user's events that wait, the next one first.
    pub async fn of(&self, user: UserNid) -> Result<Vec<DelayedEvent>, DelayedError> {
        let rows = Scan::prefix::<DelayedEvents>(&(user,));
        let rows = self.0.rooms.store().scan::<DelayedEvents>(rows).await?;
        let mut events = Vec::with_capacity(rows.len());
        for (_, raw) in rows {
            events.push(parse(&raw)?);
        }
        events.sort_by_key(DelayedEvent::due_ms);
        Ok(events)
    }

    /// Reads what is due from the table, once.
    async fn load(&self) -> Result<(), DelayedError> {
        let load = || async {
            let rows = Scan::prefix::<DelayedEvents>(&());
            for ((user, _), raw) in self.0.rooms.store().scan::<DelayedEvents>(rows).await? {
                let event = parse(&raw)?;
                let mut due = self.0.due.lock();
                due.insert(user, event.due_ms(), &event.delay_id);
            }
            Ok::<_, DelayedError>(())
        };
        self.0.loaded.get_or_try_init(load).await?;
        Ok(())
    }

    /// How long until the first one is due; `None` if none waits.
    fn next_pause(&self) -> Option<Duration> {
        let due = self.0.due.lock();
        let (due_ms, _) = due.order.first()?;
        Some(Duration::from_millis(
            due_ms.saturating_sub(self.0.host.now_ms()),
        ))
    }

    /// Sends the first one: its timer has run out.
    async fn fire_first(&self) -> Result<(), DelayedError> {
        let _guard = self.0.changing.lock().await;
        let first = {
            let due = self.0.due.lock();
            let first = due.order.first().map(|(_, delay_id)| delay_id.clone());
            first.and_then(|id| due.by_id.get(&id).map(|(user, _)| (*user, id)))
        };
        let Some((user, delay_id)) = first else {
            return Ok(());
        };
        let event = self.read(user, &delay_id).await?;
        match self.send(user, &event).await {
            Err(DelayedError::Room(RoomError::Store(error))) => return Err(error.into()),
            Err(error) => {
                tracing::info!(room.id = %event.room_id, %error, "a delayed event is refused and dropped");
            }
            Ok(()) => {}
        }
        self.drop_row(user, &delay_id).await
    }

    async fn send(&self, user: UserNid, event: &DelayedEvent) -> Result<(), DelayedError> {
        let name = self.0.rooms.store().interner().name(user).await?;
        let sender = OwnedUserId::try_from(&*name).map_err(|_| DelayedError::NotFound)?;
        let (room_id, event_type) = (&event.room_id, event.event_type.as_str());
        let rooms = &self.0.rooms;
        if let Some(state_key) = &event.state_key {
            rooms
                .set_state(room_id, &sender, event_type, state_key, &event.content)
                .await?;
        } else {
            let transaction = Transaction {
                device_id: DEVICE,
                txn_id: &event.delay_id,
            };
            rooms
                .send_message(
                    room_id,
                    &sender,
                    event_type,
                    &event.content,
                    Some(transaction),
                )
                .await?;
        }
        Ok(())
    }

    async fn read(&self, user: UserNid, delay_id: &str) -> Result<DelayedEvent, DelayedError> {
        let key = (user, delay_id.to_owned());
        let raw = self.0.rooms.store().get::<DelayedEvents>(&key).await?;
        let Some(raw) = raw else {
            self.0.due.lock().remove(delay_id);
            return Err(DelayedError::NotFound);
        };
        parse(&raw)
    }

    async fn keep(
        &self,
        mut batch: Batch,
        user: UserNid,
        event: &DelayedEvent,
    ) -> Result<(), DelayedError> {
        let row = Raw::json(event).map_err(corrupt)?;
        batch.put::<DelayedEvents>(&(user, event.delay_id.clone()), &row);
        self.0.rooms.store().commit(batch).await?;
        let mut due = self.0.due.lock();
        due.insert(user, event.due_ms(), &event.delay_id);
        self.0.changed.notify_one();
        Ok(())
    }

    async fn drop_row(&self, user: UserNid, delay_id: &str) -> Result<(), DelayedError> {
        let mut batch = Batch::new();
        batch.delete::<DelayedEvents>(&(user, delay_id.to_owned()));
        self.0.rooms.store().commit(batch).await?;
        self.0.due.lock().remove(delay_id);
        self.0.changed.notify_one();
        Ok(())
    }
}

fn parse(raw: &Raw) -> Result<DelayedEvent, DelayedError> {
    Ok(raw.parse().map_err(corrupt)?)
}

fn corrupt(source: store::CorruptRow) -> StoreError {
    StoreError::Corrupt {
        table: DelayedEvents::NAME,
        source,
    }
}
