//! What is done to a server, and what of it is timed.

mod alone;
mod broadcast;
mod day;
mod devices;
mod everyday;
mod members;
mod noisy;
mod rate;
mod reading;
mod restart;
mod sending;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::Result;
use crate::client::User;
use crate::measure::Measured;
use crate::options::Size;
use crate::target::Target;

/// Something under way that may fail.
pub type Doing<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;
/// Something that is done again and again.
pub type Operation = Arc<dyn Fn(Turn) -> Doing<()> + Send + Sync>;
/// A round that measures itself.
pub type Round = Arc<dyn Fn() -> Doing<Measured> + Send + Sync>;

/// A message of ordinary length.
const BODY: &str =
    "The quick brown fox jumps over the lazy dog, and then it goes home and has some tea.";
/// The largest number in a size.
const MAX_SIZE: usize = 10_000_000;

/// One of the scenarios.
pub struct Kind {
    pub name: &'static str,
    /// What the numbers of its size are.
    pub numbers: &'static str,
    pub about: &'static str,
    /// The sizes that it is measured in: small, medium, full.
    pub sizes: [&'static [&'static str]; 3],
    /// Whether it needs a server to itself: one that it may end, or whose data it counts.
    pub alone: bool,
    prepare: fn(Arc<Target>, Numbers) -> Doing<Stage>,
}

/// Runs a scenario's `prepare`, whatever its future is called.
macro_rules! prepare {
    ($function:path) => {
        |target, numbers| Box::pin($function(target, numbers))
    };
}

#[rustfmt::skip]
pub const KINDS: [Kind; 27] = [
    Kind { name: "login", numbers: "N", alone: false, prepare: prepare!(everyday::logins),
        about: "N logins by password, 64 at once",
        sizes: [&["8"], &["32"], &["256"]] },
    Kind { name: "send", numbers: "N", alone: false, prepare: prepare!(sending::one_writer),
        about: "N messages in one room, one after the other",
        sizes: [&["60"], &["400"], &["4000"]] },
    Kind { name: "send-parallel", numbers: "WxN", alone: false, prepare: prepare!(sending::one_room),
        about: "N messages in one room by W writers at once",
        sizes: [&["8x80"], &["32x800"], &["32x6400"]] },
    Kind { name: "send-rooms", numbers: "RxN", alone: false, prepare: prepare!(sending::many_rooms),
        about: "N messages over R rooms by 32 writers at once",
        sizes: [&["12x80"], &["100x800"], &["1000x6400"]] },
    Kind { name: "fan-out", numbers: "KxN", alone: false, prepare: prepare!(broadcast::fan_out),
        about: "N messages at 10 a second, heard by K waiting clients; the latency is from when a message was due until it was heard",
        sizes: [&["5x10"], &["1x50", "10x50", "100x50"], &["1x300", "10x300", "100x300", "1000x300"]] },
    Kind { name: "send-members", numbers: "MxN", alone: false, prepare: prepare!(broadcast::among_members),
        about: "N messages at 10 a second in a room of M members of whom 8 wait and the others are idle; beside another M: what members cost",
        sizes: [&[], &[], &["10x300", "1000x300"]] },
    Kind { name: "initial-lazy", numbers: "RxExM", alone: false, prepare: prepare!(reading::initial_lazy),
        about: "first /sync of R rooms with E events each and M members, who are loaded lazily",
        sizes: [&["10x20x3"], &["100x20x8"], &["1000x20x20"]] },
    Kind { name: "initial-full", numbers: "RxExM", alone: false, prepare: prepare!(reading::initial_full),
        about: "the same with all members",
        sizes: [&["10x20x3"], &["100x20x8"], &["1000x20x20"]] },
    Kind { name: "incremental", numbers: "R", alone: false, prepare: prepare!(reading::incremental),
        about: "/sync with R joined rooms of which one changed",
        sizes: [&["10"], &["20", "100"], &["100", "1000", "5000"]] },
    Kind { name: "idle", numbers: "R", alone: false, prepare: prepare!(reading::idle),
        about: "/sync with R joined rooms of which none changed",
        sizes: [&["10"], &["20", "100"], &["100", "1000", "5000"]] },
    Kind { name: "resume", numbers: "R", alone: false, prepare: prepare!(reading::resume),
        about: "/sync with R joined rooms of which a tenth changed",
        sizes: [&["10"], &["100"], &["5000"]] },
    Kind { name: "messages", numbers: "N", alone: false, prepare: prepare!(reading::messages),
        about: "pages of 100 back through N messages",
        sizes: [&["200"], &["2000"], &["10000"]] },
    Kind { name: "churn", numbers: "M", alone: false, prepare: prepare!(members::churn),
        about: "a join and a leave in a room of M members",
        sizes: [&["10"], &["10", "100"], &["10", "1000", "10000"]] },
    Kind { name: "members", numbers: "M", alone: false, prepare: prepare!(members::list),
        about: "/members of a room of M members",
        sizes: [&["10"], &["10", "100"], &["10", "1000", "10000"]] },
    Kind { name: "keys-upload", numbers: "N", alone: false, prepare: prepare!(devices::upload),
        about: "N devices upload their keys and 50 one-time keys each",
        sizes: [&["10"], &["100"], &["1000"]] },
    Kind { name: "keys-query", numbers: "N", alone: false, prepare: prepare!(devices::query),
        about: "the keys of N devices in one request",
        sizes: [&["10"], &["100"], &["1000"]] },
    Kind { name: "keys-claim", numbers: "N", alone: false, prepare: prepare!(devices::claim),
        about: "a one-time key of each of N devices in one request",
        sizes: [&["10"], &["100"], &["1000"]] },
    Kind { name: "to-device", numbers: "N", alone: false, prepare: prepare!(devices::share_key),
        about: "one user sends a room's key to N devices, which then sync; the latency is that of the sync with the key",
        sizes: [&["10"], &["100"], &["1000"]] },
    Kind { name: "ephemeral", numbers: "U", alone: false, prepare: prepare!(everyday::ephemeral),
        about: "U users in a room type and read, and 8 of them follow",
        sizes: [&["10"], &["50"], &["500"]] },
    Kind { name: "media", numbers: "NxB", alone: false, prepare: prepare!(everyday::media),
        about: "N files of B bytes up and down, N at once",
        sizes: [&["4x1000000"], &["16x10000000"], &["200x10000000"]] },
    Kind { name: "mixed", numbers: "UxRxN", alone: false, prepare: prepare!(rate::mixed),
        about: "N requests as clients make them, by U users in R rooms",
        sizes: [&["8x4x240"], &["16x8x1600"], &["16x8x16000"]] },
    Kind { name: "rate", numbers: "UxRxS", alone: false, prepare: prepare!(rate::highest),
        about: "the highest rate of the same requests with p99 < 500 ms, each rate tried for S seconds",
        sizes: [&["8x4x1"], &["64x16x5"], &["500x50x30"]] },
    Kind { name: "noisy", numbers: "RxUxS", alone: false, prepare: prepare!(noisy::prepare),
        about: "U users chat, alone for S seconds, then beside somebody else's first /syncs of R rooms, one after the other",
        sizes: [&["10x6x2"], &["100x20x10"], &["5000x100x60"]] },
    Kind { name: "day", numbers: "UxRxS", alone: false, prepare: prepare!(day::prepare),
        about: "U users in R rooms for S seconds, as clients are: all follow /sync, and now and then send, read, type, page back, send to a device; checks that nothing is lost or doubled; samples the memory",
        sizes: [&["6x3x6"], &[], &["100x50x600"]] },
    Kind { name: "rest", numbers: "UxR", alone: true, prepare: prepare!(alone::rest),
        about: "memory of a server with U accounts and R rooms that nobody uses",
        sizes: [&["0x0", "4x8"], &["0x0", "50x200"], &["0x0", "1000x10000", "2x100000"]] },
    Kind { name: "disk", numbers: "MxN", alone: true, prepare: prepare!(alone::disk),
        about: "disk for each of N messages in a room of M members, and for each of N/4 state events",
        sizes: [&["2x200"], &["2x4000", "32x4000"], &["2x50000", "32x50000"]] },
    Kind { name: "restart", numbers: "N", alone: true, prepare: prepare!(restart::prepare),
        about: "stop and start with N events, asked and with kill -9 under load; checks that nothing acknowledged is lost or doubled",
        sizes: [&["200"], &["4000"], &["1000000"]] },
];

/// A scenario at a certain size.
#[derive(Clone)]
pub struct Scenario {
    pub kind: &'static Kind,
    numbers: Numbers,
}

/// The numbers of a size, as in `100x50:600`.
#[derive(Clone, Debug)]
pub struct Numbers {
    text: String,
    numbers: Vec<usize>,
}

impl Numbers {
    fn parse(text: &str, like: &str) -> Result<Self> {
        let numbers = text
            .split('x')
            .map(str::parse)
            .collect::<std::result::Result<Vec<usize>, _>>()
            .map_err(|_| format!("{text}: not {like}"))?;
        if numbers.len() != like.split('x').count() {
            return Err(format!("{text}: not {like}").into());
        }
        if numbers.iter().any(|number| *number > MAX_SIZE) {
            return Err(format!("{text}: more than {MAX_SIZE}").into());
        }
        Ok(Self {
            text: text.to_owned(),
            numbers,
        })
    }

    /// The one at this place.
    fn at(&self, place: usize) -> usize {
        self.numbers.get(place).copied().unwrap_or_default()
    }

    /// The one at this place, but at least one.
    fn some(&self, place: usize) -> usize {
        self.at(place).max(1)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind.name, self.numbers.text)
    }
}

impl Scenario {
    /// `NAME=SIZE`, or `NAME`: in all the sizes that it has by default.
    pub fn parse(text: &str, size: Size) -> Result<Vec<Self>> {
        let (name, given) = text
            .split_once('=')
            .map_or((text, None), |(name, given)| (name, Some(given)));
        let kind = KINDS
            .iter()
            .find(|kind| kind.name == name)
            .ok_or_else(|| format!("{name}: unknown scenario; see --help"))?;
        let sizes = given.map_or(kind.sizes[size as usize].to_vec(), |given| vec![given]);
        sizes
            .into_iter()
            .map(|text| {
                let numbers = Numbers::parse(text, kind.numbers)?;
                Ok(Self { kind, numbers })
            })
            .collect()
    }

    /// All that are measured at a size.
    pub fn all(size: Size) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for kind in &KINDS {
            all.extend(Self::parse(kind.name, size)?);
        }
        Ok(all)
    }

    /// Accounts and rooms, once per target; nothing of it is measured.
    pub async fn prepare(&self, target: &Arc<Target>) -> Result<Stage> {
        (self.kind.prepare)(Arc::clone(target), self.numbers.clone()).await
    }
}

/// A scenario that can be run on a target.
pub struct Stage {
    /// What a round needs anew and is not measured.
    pub before: Option<Round>,
    pub work: Work,
    /// Goes on beside it, and ends with it.
    pub beside: JoinSet<()>,
}

/// What is measured.
pub enum Work {
    /// The same again and again: as fast as it is answered, then on schedule.
    Each {
        workers: usize,
        /// How often, when it goes as fast as it can.
        count: usize,
        operation: Operation,
        /// How often it has been done.
        done: AtomicUsize,
    },
    /// It measures itself.
    Whole(Round),
}

impl Stage {
    /// An operation `count` times by `workers`; it is given numbers that count up, rounds and all.
    fn each<F>(
        workers: usize,
        count: usize,
        operation: impl Fn(usize) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self {
            before: None,
            work: Work::Each {
                workers,
                count,
                operation: Arc::new(move |turn| Box::pin(operation(turn.index))),
                done: AtomicUsize::new(0),
            },
            beside: JoinSet::new(),
        }
    }

    /// A round that measures itself.
    fn whole<F>(round: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Measured>> + Send + 'static,
    {
        Self {
            before: None,
            work: Work::Whole(Arc::new(move || Box::pin(round()))),
            beside: JoinSet::new(),
        }
    }

    /// With something to do before each round.
    fn before<F>(mut self, before: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.before = Some(Arc::new(move || {
            let before = before();
            Box::pin(async move { before.await.map(|()| Measured::default()) })
        }));
        self
    }
}

/// Which of many operations it is, and when it was due.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub index: usize,
    pub due: Instant,
}

/// Accounts, and rooms that they are in.
#[derive(Clone, Debug, Default)]
pub struct Made {
    users: Vec<User>,
    rooms: Vec<String>,
}

/// What has been made on a target, under a name that tells what it is, so that several scenarios share it.
#[derive(Debug, Default)]
pub struct Library(Mutex<HashMap<String, Made>>);

impl Library {
    /// What goes by this name, made now if it is not there.
    async fn get(&self, name: String, make: impl Future<Output = Result<Made>>) -> Result<Made> {
        let mut shelves = self.0.lock().await;
        if let Some(made) = shelves.get(&name) {
            return Ok(made.clone());
        }
        let made = make.await?;
        shelves.insert(name, made.clone());
        Ok(made)
    }
}

/// Users who are all in all of some rooms.
async fn with_rooms(target: &Target, users: usize, rooms: usize) -> Result<Made> {
    let users = target.users(users).await?;
    let mut made = Vec::new();
    for _ in 0..rooms {
        let room = users[0].create_room().await?;
        let (joining, joined) = (users.clone(), room.clone());
        in_tasks(8, users.len() - 1, move |index| {
            let (user, room) = (joining[index + 1].clone(), joined.clone());
            async move { user.join(&room).await }
        })
        .await?;
        made.push(room);
    }
    Ok(Made { users, rooms: made })
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
