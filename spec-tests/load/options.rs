//! The command line.

use clap::{Parser, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  Everything, small, on a server that this starts itself:
    load --spawn myelin=target/release/myelin --size small

  What fsync costs: the same binary twice, sends by 32 writers in one room, medians of 5 rounds:
    load --spawn fsync=target/release/myelin \\
         --spawn os=target/release/myelin,storage.durability=os \\
         --scenario send-parallel --rounds 5

  Beside another homeserver that runs already (its process is found by its port):
    load --spawn myelin=target/release/myelin \\
         --target other=http://127.0.0.1:8008,data=/var/lib/other,registration=shared-secret:SECRET

  Flatness of the incremental sync, and a fan-out to 200 waiting clients:
    load --spawn myelin=target/release/myelin \\
         --scenario incremental=100,incremental=1000,incremental=5000,fan-out=200

Scenarios (a number after `=` is the size given here):
  login=N            N logins by password
  send=N             N messages in one room, one after the other
  send-parallel=N    N messages in one room by 32 writers
  send-rooms=N       N messages by 32 writers, each in a room of its own
  fan-out=K          K waiting /sync requests, 20 messages; checks that nothing is lost or doubled
  initial-lazy=R     initial /sync of R rooms with 20 events each, lazy members
  initial-full=R     the same with all members
  incremental=R      /sync with R joined rooms of which one changed
  idle=R             /sync with R joined rooms of which none changed
  join-storm=N       N users join one room
  messages=N         paging back through N messages, 100 at a time
  mixed=N            N requests as clients make them, by 16 users in 8 rooms
  send-members=N     500 messages in a room with N local members of whom 8 follow and the others are idle; beside
                     another N: what members cost
  keys-upload=N      N devices upload their keys and 50 one-time keys each
  share-key=N        one user sends a room's key to N devices, which then sync; checks that nothing is lost or doubled
  day=UxR:S          U users in R rooms for S seconds (100x50:600), as clients are: all follow /sync, and now and then send,
                     read, type, page back, send to a device; checks that nothing is lost or doubled; samples the memory
  media=N            N files of 10 MB uploaded and downloaded, all at once; what counts is the memory

The CPU is that of the server's process and its children, in user and system mode. Only servers on 127.0.0.1 are measured.";

/// Measures homeservers beside each other: CPU per operation, latency, memory, disk.
#[derive(Debug, Parser)]
#[command(after_help = EXAMPLES, version)]
pub struct Options {
    /// A running server: NAME=URL[,pid=PID][,data=DIR][,registration=open|shared-secret:SECRET]
    #[arg(long = "target", value_name = "NAME=URL[,…]")]
    pub targets: Vec<String>,

    /// A server to start in a temporary directory: NAME=/path/to/myelin[,key=value…]
    #[arg(long, value_name = "NAME=PATH[,key=value…]")]
    pub spawn: Vec<String>,

    /// What to measure, in this order
    #[arg(long = "scenario", value_delimiter = ',', value_name = "NAME[=N]", default_values_t = all())]
    pub scenarios: Vec<String>,

    /// Rounds of each scenario; the table has their medians
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,

    /// How large scenarios without a number are
    #[arg(long, value_enum, default_value_t = Size::Normal)]
    pub size: Size,

    /// The longest a scenario may take altogether, in seconds
    #[arg(long, default_value_t = 900)]
    pub scenario_seconds: u64,
}

/// How much work a scenario is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// A smoke test: seconds in all.
    Small,
    /// Enough for figures that hold.
    Normal,
}

fn all() -> Vec<String> {
    crate::scenarios::NAMES
        .iter()
        .map(|(name, _, _)| (*name).to_owned())
        .collect()
}
