//! Reads the commit log behind everybody else and queues what notifies, in batches that are atomic with the mark.
//!
//! [spec](https://spec.matrix.org/v1.19/client-server-api/#push-rules)

use std::{collections::HashMap, sync::Arc};

use rooms::{Event, RoomError};
use ruma::{OwnedUserId, UserId, push::Action};
use serde::Deserialize;
use store::{
    Batch, Pos, Scan, UserNid,
    rows::Membership,
    tables::{Cursors, Log, PushQueue},
};
use users::InvitePermission;

use crate::{
    Evaluation, Inner, News, Push, PushError, lane::LaneKey, listeners::Listeners, queue::Waiting,
};

/// The name of the mark.
const CURSOR: &str = "push";
/// Events read at a time.
const CHUNK: usize = 200;
/// Rows of one batch; what one event brings is never parted.
const BATCH_ROWS: usize = 500;
/// Positions after which the mark is kept although nothing was queued, so that a start has little to read again.
const MARK_EVERY: i64 = 1_000;

/// How far the log has been read.
pub(crate) struct Reader {
    push: Push,
    read: Pos,
    kept: Pos,
    listeners: Listeners,
    /// Pushers that have got something to send and are still to be told.
    lanes: Vec<LaneKey>,
}

/// What a step has found.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Pushers that have something to send.
    pub(crate) lanes: Vec<LaneKey>,
    /// There may be more in the log.
    pub(crate) more: bool,
}

/// What is to be written.
struct Gathered {
    /// Where in the log it begins.
    after: Pos,
    batch: Batch,
    rows: usize,
    /// Positions that wait for a pusher, those of the batch included, the first one first.
    queues: HashMap<LaneKey, Vec<Pos>>,
    /// Users who have done something themselves: that reads what was before.
    readers: Vec<UserNid>,
}

impl Gathered {
    fn after(after: Pos) -> Self {
        Self {
            after,
            batch: Batch::new(),
            rows: 0,
            queues: HashMap::new(),
            readers: Vec::new(),
        }
    }
}

impl Reader {
    /// Who has a pusher, and how far the log was read when the server stopped.
    pub(crate) async fn load(push: Push) -> Result<Self, PushError> {
        let store = push.0.rooms.store();
        let cursor = store.get::<Cursors>(&CURSOR.to_owned()).await?;
        // Before the owners: whoever gets a pusher from here on is news as well.
        let visible = store.visible();
        let owners = push.0.users.pusher_owners().await?;
        if owners.is_empty() && cursor.is_some() {
            push.forget_mark().await?;
        }
        // What happened while nobody had a pusher is for nobody.
        let read = cursor.filter(|_| !owners.is_empty()).unwrap_or(visible);
        push.0.news.lock().listening |= !owners.is_empty();
        push.0.owners.write().extend(owners);
        Ok(Self {
            push,
            read,
            kept: read,
            listeners: Listeners::default(),
            lanes: Vec::new(),
        })
    }

    /// Looks at the next events, and at who has read something.
    pub(crate) async fn step(&mut self) -> Result<Step, PushError> {
        let push = self.push.clone();
        let store = push.0.rooms.store();
        let news = push.0.take_news();
        // Whoever wakes up too soon would look past the event, and nobody would wake them again.
        store.reached(news.latest).await;
        let upto = store.visible();
        let changed = self.owners_change(&news).await;
        let mut gathered = Gathered::after(self.read);
        let more = match changed {
            Ok(()) => {
                gathered.after = self.read;
                self.read_log(upto, &mut gathered).await
            }
            Err(error) => Err(error),
        };
        let more = match more {
            Ok(more) => more,
            Err(error) => {
                // Not looked at after all.
                self.read = gathered.after;
                let mut again = push.0.news.lock();
                for (user, pos) in news.pushers {
                    again.pushers.insert(user, pos);
                }
                again.readers.extend(news.readers);
                return Err(error);
            }
        };
        let mut readers = news.readers;
        readers.extend(gathered.readers);
        for user in readers {
            match push.badge_is_due(user).await {
                Ok(lanes) => self.lanes.extend(lanes),
                // The next notification, or the next receipt, tells it.
                Err(error) => tracing::warn!(%error, "a badge is not updated"),
            }
        }
        let lanes = std::mem::take(&mut self.lanes);
        Ok(Step { lanes, more })
    }

    /// Gives whether there may be more.
    async fn read_log(&mut self, upto: Pos, gathered: &mut Gathered) -> Result<bool, PushError> {
        let push = self.push.clone();
        if push.0.owners.read().is_empty() {
            self.read = upto;
            return Ok(false);
        }
        let range = Scan::range::<Log>(&self.read.next(), &upto.next()).limit(CHUNK);
        let rows = push.0.rooms.store().scan::<Log>(range).await?;
        let more = rows.len() == CHUNK;
        for (pos, (room, rsn)) in rows {
            if let Some(event) = push.0.rooms.events(room, &[rsn]).await?.pop() {
                match self.event(&event, gathered).await {
                    // The room is being deleted.
                    Ok(()) | Err(PushError::Rooms(RoomError::UnknownRoom)) => {}
                    Err(error) => return Err(error),
                }
            }
            self.read = pos;
            if gathered.rows >= BATCH_ROWS {
                self.keep(gathered).await?;
            }
        }
        if gathered.rows > 0 || self.read.0 - self.kept.0 >= MARK_EVERY {
            self.keep(gathered).await?;
        }
        Ok(more)
    }

    /// Writes what was gathered, with the mark.
    async fn keep(&mut self, gathered: &mut Gathered) -> Result<(), PushError> {
        let mut batch = std::mem::replace(&mut gathered.batch, Batch::new());
        batch.put::<Cursors>(&CURSOR.to_owned(), &self.read);
        // Lost by a power cut, the events are read once more.
        batch.relax();
        self.push.0.rooms.store().commit(batch).await?;
        (self.kept, gathered.after) = (self.read, self.read);
        gathered.rows = 0;
        let lanes = gathered.queues.drain().map(|(lane, _)| lane);
        self.lanes.extend(lanes);
        Ok(())
    }

    /// Whoever has set or lost a pusher.
    async fn owners_change(&mut self, news: &News) -> Result<(), PushError> {
        let Some(first) = news.pushers.values().min() else {
            return Ok(());
        };
        let push = self.push.clone();
        if push.0.owners.read().is_empty() {
            // Until then nobody listened. After a crash nothing before this may be pushed, so the mark is waited for.
            self.read = self.read.max(first.prev());
            let mut batch = Batch::new();
            batch.put::<Cursors>(&CURSOR.to_owned(), &self.read);
            push.0.rooms.store().commit(batch).await?;
            self.kept = self.read;
        }
        for user in news.pushers.keys() {
            let has_some = !push.0.users.pushers(*user).await?.is_empty();
            let mut owners = push.0.owners.write();
            let changed = if has_some {
                owners.insert(*user)
            } else {
                owners.remove(user)
            };
            drop(owners);
            if changed {
                self.listeners.clear();
            }
            push.wake_lanes(*user);
        }
        if push.0.owners.read().is_empty() {
            push.forget_mark().await?;
            let mut heard = push.0.news.lock();
            heard.listening = !heard.pushers.is_empty();
        }
        Ok(())
    }

    async fn event(
        &mut self,
        event: &Arc<Event>,
        gathered: &mut Gathered,
    ) -> Result<(), PushError> {
        let push = self.push.clone();
        let (rooms, owners) = (&push.0.rooms, &push.0.owners);
        let interner = rooms.store().interner();
        let mut target = None;
        if let Some(user_id) = event.member() {
            let user = interner.find::<UserNid>(user_id.as_str()).await?;
            target = user.filter(|user| owners.read().contains(user));
            if let Some(user) = target {
                self.listeners
                    .member_changed(rooms, event.room, user)
                    .await?;
            }
        }
        if let Some(sender) = interner.find::<UserNid>(event.sender.as_str()).await?
            && owners.read().contains(&sender)
        {
            gathered.readers.push(sender);
        }
        if event.redacted_by.some().is_some() {
            return Ok(());
        }
        let joined = self.listeners.of(rooms, event.room, owners).await?;
        // Whoever is invited is no member yet.
        let invited = target.filter(|user| !joined.contains(user));
        let listeners: Vec<UserNid> = joined.iter().copied().chain(invited).collect();
        if listeners.is_empty() {
            return Ok(());
        }
        let mut rules = Rules::new(&push, event).await?;
        for user in listeners {
            let actions = rules.actions(user).await?;
            if !actions.is_empty() && push.is_wanted(event, user).await? {
                self.queue(event, user, &actions, gathered).await?;
            }
        }
        Ok(())
    }

    /// A row for each pusher of the user. Where too many wait, the oldest give way.
    async fn queue(
        &self,
        event: &Event,
        user: UserNid,
        actions: &[Action],
        gathered: &mut Gathered,
    ) -> Result<(), PushError> {
        let inner = &self.push.0;
        let now_ms = inner.host.now_ms();
        let row = Waiting::new(event.room, event.rsn, now_ms, actions).to_row()?;
        for pusher in inner.users.pushers(user).await? {
            let lane = (user, pusher.key.app_id, pusher.key.pushkey);
            if !gathered.queues.contains_key(&lane) {
                let waiting = self.push.positions(&lane).await?;
                gathered.queues.insert(lane.clone(), waiting);
            }
            let waiting = gathered.queues.entry(lane.clone()).or_default();
            let batch = &mut gathered.batch;
            let too_many = (waiting.len() + 1).saturating_sub(inner.options.max_queued.max(1));
            let (_, app_id, pushkey) = lane;
            let key = |pos| (user, app_id.clone(), pushkey.clone(), pos);
            for oldest in waiting.drain(..too_many) {
                batch.delete::<PushQueue>(&key(oldest));
            }
            batch.put::<PushQueue>(&key(event.pos), &row);
            waiting.push(event.pos);
            gathered.rows += 1 + too_many;
        }
        Ok(())
    }
}

/// An event, and what the rules of any user say of it.
struct Rules<'a> {
    push: &'a Push,
    event: &'a Event,
    evaluation: Evaluation,
}

impl<'a> Rules<'a> {
    async fn new(push: &'a Push, event: &'a Event) -> Result<Self, PushError> {
        let rooms = &push.0.rooms;
        let room_id = push.room_id(event.room).await?;
        let joined = rooms.head(event.room).await?.joined;
        let power_levels = rooms.power_levels_of(event.room).await?.map(Into::into);
        let evaluation = Evaluation::new(event, room_id, joined, power_levels)
            .map_err(rooms::RoomError::from)?;
        Ok(Self {
            push,
            event,
            evaluation,
        })
    }

    /// What the user's rules do with the event; empty if they do not notify. "Homeservers MUST NOT notify the Push
    /// Gateway for events that the user has sent themselves."
    async fn actions(&mut self, user: UserNid) -> Result<Vec<Action>, PushError> {
        let user_id: OwnedUserId = self.push.0.users.user_id(user).await?;
        if user_id == self.event.sender {
            return Ok(Vec::new());
        }
        let rules = self.push.0.users.push_rules(user).await?;
        let name = self.display_name(&user_id).await?;
        let actions = self.evaluation.actions(&rules, user_id, name).await;
        Ok(actions.to_vec())
    }

    async fn display_name(&self, user_id: &UserId) -> Result<String, PushError> {
        #[derive(Deserialize)]
        struct Content {
            displayname: Option<String>,
        }
        let rooms = &self.push.0.rooms;
        let member = rooms
            .state_event(self.event.room, "m.room.member", user_id.as_str())
            .await?;
        let content =
            member.and_then(|member| serde_json::from_str::<Content>(member.content()).ok());
        Ok(content
            .and_then(|content| content.displayname)
            .unwrap_or_default())
    }
}

impl Inner {
    fn take_news(&self) -> News {
        let mut news = self.news.lock();
        News {
            listening: news.listening,
            latest: news.latest,
            pushers: std::mem::take(&mut news.pushers),
            readers: std::mem::take(&mut news.readers),
        }
    }
}

impl Push {
    /// While nobody has a pusher there is no mark: an old one would bring up what was before the next pusher.
    async fn forget_mark(&self) -> Result<(), PushError> {
        let mut batch = Batch::new();
        batch.delete::<Cursors>(&CURSOR.to_owned());
        batch.relax();
        self.0.rooms.store().commit(batch).await?;
        Ok(())
    }

    /// Whether an event that notifies is for this user: they were there, and do not ignore its sender.
    async fn is_wanted(&self, event: &Event, user: UserNid) -> Result<bool, PushError> {
        let inner = &self.0;
        let member = inner.rooms.member_at(event.room, user, event.pos).await?;
        let there = member.is_some_and(|member| match member.membership {
            Membership::Join => true,
            // Of a room that they are not in, people are told that they are invited, and nothing else.
            Membership::Invite => member.rsn == event.rsn,
            Membership::Leave | Membership::Ban | Membership::Knock => false,
        });
        if !there {
            return Ok(false);
        }
        if inner
            .users
            .ignored_users(user)
            .await?
            .contains(&event.sender)
        {
            return Ok(false);
        }
        if event.member().is_none() {
            return Ok(true);
        }
        let permission = inner.users.invite_permission(user, &event.sender).await?;
        Ok(permission == InvitePermission::Allow)
    }
}
