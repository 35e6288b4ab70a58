//! What is done to a server, and what of it is timed.

mod day;
mod devices;
mod reading;
mod sending;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::Result;
use crate::client::User;
use crate::options::Size;
use crate::target::Target;

/// Writers of the scenarios that write in parallel.
pub const WRITERS: usize = 32;

/// Name, small and normal size of each scenario.
pub const NAMES: [(&str, usize, usize); 17] = [
    ("login", 8, 60),
    ("send", 100, 1_000),
    ("send-parallel", 320, 6_400),
    ("send-rooms", 320, 6_400),
    ("fan-out", 20, 200),
    ("initial-lazy", 30, 1_000),
    ("initial-full", 30, 1_000),
    ("incremental", 30, 1_000),
    ("idle", 30, 1_000),
    ("join-storm", 20, 200),
    ("messages", 300, 3_000),
    ("mixed", 400, 4_000),
    ("send-members", 20, 1_000),
    ("keys-upload", 50, 1_000),
    ("share-key", 50, 1_000),
    ("day", 10, 100),
    ("media", 20, 200),
];

/// The largest number that may follow a name.
const MAX_SIZE: usize = 100_000;

/// A scenario of a certain size.
#[derive(Clone, Debug)]
pub struct Scenario {
    name: &'static str,
    size: usize,
    /// Rooms and seconds of a day.
    day: (usize, u64),
}

/// What a scenario set up on a target.
#[derive(Debug, Default)]
pub struct Prepared {
    users: Vec<User>,
    rooms: Vec<String>,
    /// A sync token to read from.
    since: String,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.size)?;
        match self.day {
            (rooms, seconds) if self.name == "day" => write!(f, "x{rooms}:{seconds}"),
            _ => Ok(()),
        }
    }
}

impl Scenario {
    /// `NAME` or `NAME=N`.
    pub fn parse(text: &str, size: Size) -> Result<Self> {
        let (name, number) = text
            .split_once('=')
            .map_or((text, None), |(name, number)| (name, Some(number)));
        let known = NAMES.iter().find(|(known, _, _)| *known == name);
        let (name, small, normal) =
            *known.ok_or_else(|| format!("{name}: unknown scenario; see --help"))?;
        let default = if size == Size::Small { small } else { normal };
        let mut day = if size == Size::Small {
            (5, 10)
        } else {
            (50, 600)
        };
        let number = match number.filter(|_| name == "day") {
            None => number,
            Some(shape) => {
                let (users, rest) = shape.split_once('x').ok_or("day=USERSxROOMS:SECONDS")?;
                let (rooms, seconds) = rest.split_once(':').ok_or("day=USERSxROOMS:SECONDS")?;
                day = (rooms.parse()?, seconds.parse()?);
                Some(users)
            }
        };
        let size = number.map_or(Ok(default), str::parse)?;
        if !(1..=MAX_SIZE).contains(&size) {
            return Err(format!("{text}: between 1 and {MAX_SIZE}").into());
        }
        Ok(Self { name, size, day })
    }

    /// Whether the growth of the disk per operation says something.
    pub fn writes_events(&self) -> bool {
        self.name.starts_with("send")
    }

    /// Accounts and rooms, once per target.
    pub async fn prepare(&self, target: &Target) -> Result<Prepared> {
        match self.name {
            "login" | "media" => Ok(Prepared {
                users: target.users(1).await?,
                ..Prepared::default()
            }),
            "send" => with_rooms(target, 1, 1).await,
            "send-parallel" => with_rooms(target, WRITERS, 1).await,
            "send-rooms" => with_own_rooms(target, WRITERS).await,
            "fan-out" => with_rooms(target, self.size + 1, 1).await,
            "send-members" => with_rooms(target, self.size.max(2), 1).await,
            "keys-upload" => Ok(Prepared {
                users: target.users(self.size).await?,
                ..Prepared::default()
            }),
            "day" => with_rooms(target, self.size, self.day.0).await,
            "initial-lazy" | "initial-full" => reading::prepare_initial(target, self.size).await,
            "incremental" | "idle" => reading::prepare_incremental(target, self.size).await,
            "share-key" | "join-storm" => Ok(Prepared {
                users: target.users(self.size + 1).await?,
                ..Prepared::default()
            }),
            "messages" => reading::prepare_messages(target, self.size).await,
            _ => with_rooms(target, 16, 8).await,
        }
    }

    /// What a round needs anew and is not measured.
    pub async fn before_round(&self, target: &Target, prepared: &mut Prepared) -> Result<()> {
        match self.name {
            "incremental" => {
                prepared.since = prepared.users[0].now().await?;
                let room = &prepared.rooms[prepared.rooms.len() / 2];
                prepared.users[1]
                    .send(room, &target.fresh("txn"), "the one change")
                    .await?;
            }
            "idle" => prepared.since = prepared.users[0].now().await?,
            "join-storm" => {
                let room = prepared.users[0]
                    .create_room(&json!({"preset": "public_chat"}))
                    .await?;
                prepared.rooms = vec![room];
            }
            _ => {}
        }
        Ok(())
    }

    /// One round: the latency of each operation.
    pub async fn round(&self, target: &Target, prepared: &Prepared) -> Result<Vec<Duration>> {
        match self.name {
            "login" => sending::log_in(&prepared.users[0], self.size).await,
            "send" => sending::one_after_the_other(target, prepared, self.size).await,
            "send-parallel" | "send-rooms" => {
                sending::in_parallel(target, prepared, self.size).await
            }
            "fan-out" => sending::fan_out(target, prepared).await,
            "send-members" => sending::among_members(target, prepared).await,
            "keys-upload" => devices::upload_keys(target, prepared).await,
            "share-key" => devices::share_key(target, prepared).await,
            "day" => day::pass(target, prepared, self.day.1).await,
            "initial-lazy" => reading::initial(prepared, self.size, true).await,
            "initial-full" => reading::initial(prepared, self.size, false).await,
            "incremental" => reading::incremental(prepared, 1).await,
            "idle" => reading::incremental(prepared, 0).await,
            "join-storm" => sending::join_storm(prepared).await,
            "messages" => reading::page_back(prepared, self.size).await,
            "media" => sending::exchange_files(&prepared.users[0], self.size).await,
            _ => sending::mixed(target, prepared, self.size).await,
        }
    }
}

/// Users who are all in all of some rooms.
async fn with_rooms(target: &Target, users: usize, rooms: usize) -> Result<Prepared> {
    let users = target.users(users).await?;
    let mut made = Vec::new();
    for _ in 0..rooms {
        let room = users[0]
            .create_room(&json!({"preset": "public_chat"}))
            .await?;
        let (joining, joined) = (users.clone(), room.clone());
        in_tasks(WRITERS, users.len() - 1, move |index| {
            let (user, room) = (joining[index + 1].clone(), joined.clone());
            async move { user.join(&room).await }
        })
        .await?;
        made.push(room);
    }
    Ok(Prepared {
        users,
        rooms: made,
        since: String::new(),
    })
}

/// Users with a room of their own each.
async fn with_own_rooms(target: &Target, users: usize) -> Result<Prepared> {
    let users = target.users(users).await?;
    let mut rooms = Vec::new();
    for user in &users {
        rooms.push(user.create_room(&json!({"preset": "public_chat"})).await?);
    }
    Ok(Prepared {
        users,
        rooms,
        since: String::new(),
    })
}

/// Runs `work` for 0..count on a few tasks at once and gives all they give, in no order.
async fn in_tasks<T, F>(
    tasks: usize,
    count: usize,
    work: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send,
{
    let work = Arc::new(work);
    let mut set = JoinSet::new();
    for task in 0..tasks {
        let work = Arc::clone(&work);
        set.spawn(async move {
            let mut done = Vec::new();
            for index in (task..count).step_by(tasks) {
                done.push(work(index).await?);
            }
            Result::Ok(done)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(done) = set.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}
