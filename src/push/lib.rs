//! Notifies the phones of users through push gateways (DESIGN §7b).
//!
//! [spec](https://spec.matrix.org/v1.19/push-gateway-api/)
//!
//! A [follower of the log](follow) reads each event once and asks the push rules of those members who have a pusher; what
//! notifies becomes a row of `PushQueue` in the same commit as the follower's mark. Each pusher has a [lane] that sends
//! its rows in order and deletes them when the gateway has them: at least once, over restarts and crashes. Gateways tell
//! repetitions by the event id.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use host::{Host, Shutdown};
use parking_lot::{Mutex, RwLock};
use rooms::{Follower, RoomError, RoomNews, Rooms, What};
use ruma::UserId;
use store::{Pos, StoreError, UserNid};
use thiserror::Error;
use tokio::sync::Notify;
use users::{UserFollower, UserNews, Users};

mod deliveries;
mod evaluate;
mod follow;
mod gateway;
mod lane;
mod listeners;
mod notification;
mod queue;
#[cfg(test)]
mod tests;

pub use deliveries::PushFigures;
pub use evaluate::Evaluation;
pub use gateway::{Gateway, GatewayError, GatewayFuture, HttpGateway};

use crate::lane::{Lane, LaneKey};

/// Tells how much a user has not read, for the number on the application's icon.
pub trait Badges: Send + Sync + 'static {
    /// Unread events that notify, in all rooms; `None` if that cannot be told now.
    fn unread<'a>(&'a self, user: UserNid, user_id: &'a UserId) -> BadgeFuture<'a>;
}

/// What [`Badges::unread`] gives.
pub type BadgeFuture<'a> = Pin<Box<dyn Future<Output = Option<u64>> + Send + 'a>>;

/// Pushes to gateways; cheap to clone.
#[derive(Clone)]
pub struct Push(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    users: Users,
    host: Host,
    options: config::Push,
    badges: Arc<dyn Badges>,
    gateway: Arc<dyn Gateway>,
    /// Whoever has a pusher. Events in rooms without one of them cost nothing beyond this look.
    owners: RwLock<HashSet<UserNid>>,
    news: Mutex<News>,
    /// There is news.
    wake: Notify,
    lanes: Mutex<BTreeMap<LaneKey, Lane>>,
    counters: deliveries::Counters,
}

/// What was heard on the committer's thread and is still to be looked at.
#[derive(Default)]
struct News {
    /// Somebody has a pusher, or may have one: events are looked at. Set on the committer's thread, so that the first
    /// event after the first pusher is not missed while the follower still reads who that is.
    listening: bool,
    /// The place of the latest event heard of, which is not visible before everybody has heard of it.
    latest: Pos,
    /// Whose pushers have changed, and where in the log they first did.
    pushers: HashMap<UserNid, Pos>,
    /// Who has read something.
    readers: HashSet<UserNid>,
}

/// Why something has to wait.
#[derive(Debug, Error)]
pub(crate) enum PushError {
    /// The rooms could not be read.
    #[error(transparent)]
    Rooms(#[from] RoomError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long to wait after the store has failed.
const RETRY: Duration = Duration::from_secs(1);

impl Push {
    /// Over these rooms and users. Nothing is pushed until [`Push::run`] runs.
    pub fn new(
        rooms: Rooms,
        users: Users,
        host: Host,
        options: config::Push,
        badges: Arc<dyn Badges>,
        gateway: Arc<dyn Gateway>,
    ) -> Self {
        Self(Arc::new(Inner {
            rooms,
            users,
            host,
            options,
            badges,
            gateway,
            owners: RwLock::default(),
            news: Mutex::default(),
            wake: Notify::new(),
            lanes: Mutex::default(),
            counters: deliveries::Counters::default(),
        }))
    }

    /// Follows the log until the server stops.
    pub async fn run(self, shutdown: Shutdown) {
        let mut reader = None;
        while !shutdown.is_started() {
            let more = match &mut reader {
                None => self.start(&mut reader, &shutdown).await.map(|()| true),
                Some(reader) => reader.step().await.map(|step| {
                    for lane in step.lanes {
                        self.kick(lane, &shutdown);
                    }
                    step.more
                }),
            };
            let pause = match more {
                Ok(true) => continue,
                Ok(false) => None,
                Err(error) => {
                    tracing::warn!(%error, "push notifications have to wait");
                    Some(RETRY)
                }
            };
            let timer = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.0.wake.notified().await,
                }
            };
            tokio::select! {
                () = timer => (),
                () = shutdown.wait() => (),
            }
        }
    }

    async fn start(
        &self,
        reader: &mut Option<follow::Reader>,
        shutdown: &Shutdown,
    ) -> Result<(), PushError> {
        *reader = Some(follow::Reader::load(self.clone()).await?);
        for lane in self.waiting().await? {
            self.kick(lane, shutdown);
        }
        Ok(())
    }
}

impl Follower for Push {
    fn room_news(&self, news: &RoomNews) {
        if !self.0.options.enabled {
            return;
        }
        match &news.what {
            What::Event { .. } => {
                let mut heard = self.0.news.lock();
                if !heard.listening {
                    return;
                }
                heard.latest = news.pos;
            }
            What::Receipt { user, .. } => {
                if !self.0.owners.read().contains(user) {
                    return;
                }
                self.0.news.lock().readers.insert(*user);
            }
            What::Typing | What::Forgotten(_) | What::Deleted(_) => return,
        }
        self.0.wake.notify_one();
    }
}

impl UserFollower for Push {
    fn user_changed(&self, user: UserNid, pos: Pos, what: &UserNews) {
        if !self.0.options.enabled {
            return;
        }
        let mut news = self.0.news.lock();
        match what {
            UserNews::Pushers => news.listening = true,
            // Pushers end with their sessions.
            UserNews::LoggedOut { .. } | UserNews::DeviceRemoved { .. } | UserNews::Deactivated => {
                if !news.listening {
                    return;
                }
            }
            UserNews::AccountData { .. }
            | UserNews::PushRules
            | UserNews::DeviceChanged { .. }
            | UserNews::Profile => return,
        }
        news.pushers.entry(user).or_insert(pos);
        self.0.wake.notify_one();
    }
}
