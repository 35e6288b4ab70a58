//! `myelin admin notice`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{AskError, Client, Output, output::list};

const PATH: &str = "/_synapse/admin/v1/send_server_notice";
const USERS: &str = "/_synapse/admin/v2/users";
/// Users asked for at once.
const PAGE: usize = 1_000;

#[derive(Debug, Subcommand)]
pub(crate) enum Notice {
    /// Tells users something in the server's own name. The first notice invites them to a room for notices.
    #[command(
        after_help = "Examples:\n  myelin admin notice send alice bob --text 'Your files will be moved on Sunday.'\n  myelin admin notice send --everybody --text 'The server is down from 20:00 to 20:10 UTC.'"
    )]
    Send {
        /// Names before the colon, or whole user ids.
        #[arg(required_unless_present = "everybody")]
        users: Vec<String>,
        /// All accounts that are open, guests and bots left out.
        #[arg(long, conflicts_with = "users")]
        everybody: bool,
        /// What to say.
        #[arg(long, value_name = "TEXT")]
        text: String,
    },
}

impl Notice {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        let Self::Send {
            users,
            everybody,
            text,
        } = self;
        let users = if everybody { all(client).await? } else { users };
        send(client, users, &text).await
    }
}

/// Tells some users something, one after the other.
pub(crate) async fn send(
    client: &Client<'_>,
    users: Vec<String>,
    text: &str,
) -> Result<Output, AskError> {
    let mut sent = Vec::new();
    for user in &users {
        let body = json!({
            "user_id": user,
            "content": { "msgtype": "m.text", "body": text },
        });
        let answer = client.post(PATH, &body).await.map_err(|error| {
            AskError::Local(format!("{user}: {error}; {} were told before", sent.len()))
        })?;
        sent.push(json!({ "user": user, "event_id": answer["event_id"] }));
    }
    let text = format!("{} were told.", sent.len());
    Ok(Output::done(text, json!({ "sent": sent })))
}

/// Whoever reads notices.
async fn all(client: &Client<'_>) -> Result<Vec<String>, AskError> {
    let (mut users, mut from) = (Vec::new(), Some("0".to_owned()));
    while let Some(start) = from {
        let path = format!("{USERS}?limit={PAGE}&from={start}&guests=false&deactivated=false");
        let page = client.get(&path).await?;
        let read = list(&page, "users").iter();
        let people = read.filter(|user| user["user_type"].is_null());
        users.extend(people.filter_map(|user| user["name"].as_str().map(str::to_owned)));
        from = match &page["next_token"] {
            Value::String(next) => Some(next.clone()),
            Value::Number(next) => Some(next.to_string()),
            _ => None,
        };
    }
    Ok(users)
}
