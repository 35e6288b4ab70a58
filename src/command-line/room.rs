//! `myelin admin room`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    AskError, Client, Output,
    ask::encoded,
    output::{cell, list, time_ms},
};

const PATH: &str = "/_synapse/admin/v1/rooms";
/// Rooms asked for at once.
const PAGE: usize = 1_000;
/// Characters of a content in a table.
const CONTENT_CHARACTERS: usize = 60;

#[derive(Debug, Subcommand)]
pub(crate) enum Room {
    /// Lists rooms.
    #[command(
        after_help = "Examples:\n  myelin admin room list\n  myelin admin room list --order joined_members\n  myelin admin room list --search cats"
    )]
    List {
        /// Those alone whose name, alias or id contains this.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// By what: name, joined_members, state_events, version, creator, join_rules.
        #[arg(long, value_name = "WHAT", default_value = "name")]
        order: String,
    },
    /// Shows a room.
    Show {
        /// The room's id or alias.
        room: String,
    },
    /// Lists who is in a room.
    Members {
        /// The room's id or alias.
        room: String,
    },
    /// Shows a room's state: which event set it, when, and who sent it.
    State {
        /// The room's id or alias.
        room: String,
        /// One type alone, such as m.room.power_levels.
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
    },
    /// Tells how a piece of state came to be what it is: every change, the latest first.
    #[command(
        after_help = "Examples:\n  myelin admin room explain '#cats:example.org' m.room.power_levels\n  myelin admin room explain '#cats:example.org' m.room.member @alice:example.org"
    )]
    Explain {
        /// The room's id or alias.
        room: String,
        /// The event type.
        event_type: String,
        /// The state key.
        #[arg(default_value = "")]
        state_key: String,
    },
}

impl Room {
    pub(crate) async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        match self {
            Self::List { search, order } => list_rooms(client, search.as_deref(), &order).await,
            Self::Show { room } => {
                let answer = client.get(&format!("{PATH}/{}", encoded(&room))).await?;
                let pairs: Vec<(&str, String)> = FACTS
                    .iter()
                    .map(|(key, name)| (*name, cell(&answer[*key])))
                    .collect();
                Ok(Output::record(&pairs, answer.clone()))
            }
            Self::Members { room } => {
                let path = format!("{PATH}/{}/members", encoded(&room));
                let answer = client.get(&path).await?;
                let members = list(&answer, "members").iter();
                let rows = members.map(|member| vec![cell(member)]).collect();
                Ok(Output::table(&["member"], rows, "Nobody.", answer.clone()))
            }
            Self::State { room, event_type } => {
                let mut path = format!("{PATH}/{}/state", encoded(&room));
                if let Some(event_type) = event_type {
                    path.push_str("?type=");
                    path.push_str(&encoded(&event_type));
                }
                let answer = client.get(&path).await?;
                let rows = list(&answer, "state").iter().map(state_row).collect();
                let headers = ["type", "state key", "when (UTC)", "who", "content"];
                Ok(Output::table(&headers, rows, "Nothing.", answer.clone()))
            }
            Self::Explain {
                room,
                event_type,
                state_key,
            } => explain(client, &room, &event_type, &state_key).await,
        }
    }
}

/// What `show` tells: the answer's key and what people call it.
const FACTS: &[(&str, &str)] = &[
    ("room_id", "room"),
    ("name", "name"),
    ("canonical_alias", "alias"),
    ("topic", "topic"),
    ("creator", "creator"),
    ("version", "version"),
    ("joined_members", "members"),
    ("invited_members", "invited"),
    ("events", "events"),
    ("state_events", "pieces of state"),
    ("join_rules", "join rule"),
    ("history_visibility", "history is visible to"),
    ("guest_access", "guests"),
    ("encryption", "encryption"),
    ("public", "in the directory"),
    ("federatable", "federates"),
];

async fn list_rooms(
    client: &Client<'_>,
    search: Option<&str>,
    order: &str,
) -> Result<Output, AskError> {
    let (mut rooms, mut from) = (Vec::new(), Some(0));
    while let Some(start) = from {
        let mut path = format!(
            "{PATH}?limit={PAGE}&from={start}&order_by={}",
            encoded(order)
        );
        if let Some(search) = search {
            path.push_str("&search_term=");
            path.push_str(&encoded(search));
        }
        let page = client.get(&path).await?;
        rooms.extend_from_slice(list(&page, "rooms"));
        from = page["next_batch"].as_u64();
    }
    let rows = rooms
        .iter()
        .map(|room| {
            [
                "room_id",
                "name",
                "canonical_alias",
                "joined_members",
                "version",
                "creator",
            ]
            .map(|key| cell(&room[key]))
            .to_vec()
        })
        .collect();
    Ok(Output::table(
        &["room", "name", "alias", "members", "version", "creator"],
        rows,
        "There is no room.",
        json!({ "total_rooms": rooms.len(), "rooms": rooms }),
    ))
}

fn state_row(event: &Value) -> Vec<String> {
    vec![
        cell(&event["type"]),
        cell(&event["state_key"]),
        time_ms(&event["origin_server_ts"]),
        cell(&event["sender"]),
        short(&event["content"]),
    ]
}

fn short(content: &Value) -> String {
    let text = content.to_string();
    if text.chars().count() <= CONTENT_CHARACTERS {
        return text;
    }
    let mut cut: String = text.chars().take(CONTENT_CHARACTERS).collect();
    cut.push('…');
    cut
}

async fn explain(
    client: &Client<'_>,
    room: &str,
    event_type: &str,
    state_key: &str,
) -> Result<Output, AskError> {
    let path = format!(
        "/_myelin/admin/v1/rooms/{}/explain?type={}&state_key={}",
        encoded(room),
        encoded(event_type),
        encoded(state_key)
    );
    let answer = client.get(&path).await?;
    let rows = list(&answer, "changes")
        .iter()
        .map(|change| {
            let event = &change["event"];
            let why = if change["by_resolution"] == true {
                "resolution"
            } else {
                "sent"
            };
            vec![
                time_ms(&event["origin_server_ts"]),
                cell(&event["sender"]),
                why.to_owned(),
                cell(&event["event_id"]),
                short(&event["content"]),
            ]
        })
        .collect();
    Ok(Output::table(
        &["when (UTC)", "who", "why", "event", "content"],
        rows,
        "It was never set.",
        answer.clone(),
    ))
}
