//! `myelin admin …`: commands for people and programs, one file per noun. Each is a request or a few of the
//! administrator's API and an answer shown as a table, or as JSON with `--json`.
//!
//! Knows the API's paths and no domain. How a request gets to a server is [`Ask`]: over the socket in the data directory,
//! over HTTPS with a token, or straight into the services that `myelin` opens where no server runs.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use host::Host;

mod ask;
mod log;
mod media;
mod notice;
mod output;
mod report;
mod room;
mod server;
mod storage;
mod task;
mod token;
mod user;

pub use ask::{Ask, AskError, Asked, Client, Socket, Url};
pub use output::Output;

/// Looks after a server.
///
/// Talks to the server that runs on this machine through a socket in its data directory, which only the server's own user
/// and root can open; no token is needed. Where no server runs, the command opens the data directory itself. With --url
/// and a token in MYELIN_ADMIN_TOKEN it talks to a server elsewhere.
#[derive(Args, Debug)]
#[group(skip)]
#[command(after_help = "\
Examples:
  myelin admin user list
  myelin admin user create alice --admin
  myelin admin token create --uses 5 --expires 7d
  myelin admin --json user show alice | jq .creation_ts
  MYELIN_ADMIN_TOKEN=… myelin admin --url https://matrix.example.org user list

Exit codes: 0 done, 1 refused or failed (the reason is printed), 2 not understood, 3 no server was reached.")]
pub struct Admin {
    /// JSON as the server answers it, for programs.
    #[arg(long, global = true)]
    json: bool,
    /// A server elsewhere, such as https://matrix.example.org. Its administrator's access token is read from
    /// MYELIN_ADMIN_TOKEN.
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Accounts: list, create, lock, close.
    #[command(subcommand)]
    User(user::User),
    /// Registration tokens: invite people.
    #[command(subcommand)]
    Token(token::Token),
    /// Rooms: what there is, and why it is as it is.
    #[command(subcommand)]
    Room(room::Room),
    /// Uploaded files.
    #[command(subcommand)]
    Media(media::Media),
    /// What people reported.
    #[command(subcommand)]
    Report(report::Report),
    /// What the server itself tells its users.
    #[command(subcommand)]
    Notice(notice::Notice),
    /// Long jobs that the server does in the background.
    #[command(subcommand)]
    Task(task::Task),
    /// The server itself.
    #[command(subcommand)]
    Server(server::Server),
    /// What takes how much space.
    #[command(subcommand)]
    Storage(storage::Storage),
    /// What the server logs.
    #[command(subcommand)]
    Log(log::Log),
}

impl Admin {
    /// The server elsewhere that was named, if one was.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Does what was asked and prints the answer.
    ///
    /// # Errors
    /// [`AskError`], to be printed for the person at the terminal.
    pub async fn run(self, ask: &dyn Ask, host: Host) -> Result<(), AskError> {
        let client = Client::new(ask, host);
        let output = match self.what {
            What::User(command) => command.run(&client).await?,
            What::Token(command) => command.run(&client).await?,
            What::Room(command) => command.run(&client).await?,
            What::Media(command) => command.run(&client).await?,
            What::Report(command) => command.run(&client).await?,
            What::Notice(command) => command.run(&client).await?,
            What::Task(command) => command.run(&client).await?,
            What::Server(command) => command.run(&client).await?,
            What::Storage(command) => command.run(&client).await?,
            What::Log(command) => command.run(&client).await?,
        };
        let text = if self.json {
            output.json_text()
        } else {
            output.text()
        };
        // A pipe that was closed, such as `| head`, wants no more.
        match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(AskError::Local(error.to_string()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::Admin;

    #[test]
    fn no_argument_is_in_anothers_way() {
        Admin::augment_args(Command::new("admin")).debug_assert();
    }
}
