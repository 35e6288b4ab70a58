//! `myelin admin room`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{
    AskError, Client, Output,
    ask::encoded,
    notice,
    output::{cell, list, time_ms},
    task,
    token::duration_ms,
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
    /// Deletes a room: everybody leaves, its aliases and every trace of it go.
    #[command(
        after_help = "Examples:\n  myelin admin room delete '!abc:example.org' --block\n  myelin admin room delete '!abc:example.org' --move-to-room-of moderator --message 'We have moved.'"
    )]
    Delete(Delete),
    /// Removes what was said in a room before some event, or some time. What is state stays.
    #[command(
        after_help = "Examples:\n  myelin admin room purge-history '#cats:example.org' --older-than 90d\n  myelin admin room purge-history '#cats:example.org' --before '$event'"
    )]
    PurgeHistory(Purge),
    /// Gives a user as much power in a room as anybody of this server has there, and invites them if they are not in it.
    MakeAdmin {
        /// The room's id or alias.
        room: String,
        /// The name before the colon, or the whole user id.
        user: String,
    },
    /// Lets a user of this server into a room, by a member's invitation where it is not open.
    Join {
        /// The room's id or alias.
        room: String,
        /// The name before the colon, or the whole user id.
        user: String,
    },
    /// Tells every member of a room something, each in their own room for notices.
    SendNotice {
        /// The room's id or alias.
        room: String,
        /// What to say.
        #[arg(long, value_name = "TEXT")]
        text: String,
    },
    /// Keeps everybody from entering a room, known here or not. Who is in it stays.
    Block {
        /// The room's id or alias.
        room: String,
    },
    /// Lets people enter a room again.
    Unblock {
        /// The room's id or alias.
        room: String,
    },
}

/// How a room is deleted.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch on the command line"
)]
pub(crate) struct Delete {
    /// The room's id or alias.
    room: String,
    /// Nobody enters it again.
    #[arg(long)]
    block: bool,
    /// Everybody leaves, but the room's rows stay.
    #[arg(long)]
    keep: bool,
    /// Delete it even if somebody cannot leave.
    #[arg(long, conflicts_with = "keep")]
    force: bool,
    /// Make a new room, created by this user, and move everybody and the aliases there.
    #[arg(long, value_name = "USER")]
    move_to_room_of: Option<String>,
    /// What the new room is called.
    #[arg(long, requires = "move_to_room_of")]
    name: Option<String>,
    /// What its creator says there.
    #[arg(long, requires = "move_to_room_of")]
    message: Option<String>,
    /// Do not wait for it: `myelin admin task` tells how it goes on.
    #[arg(long)]
    background: bool,
}

/// Which part of a room's past is removed.
#[derive(Args, Debug)]
pub(crate) struct Purge {
    /// The room's id or alias.
    room: String,
    /// The first event that stays.
    #[arg(long, value_name = "EVENT", required_unless_present = "older_than")]
    before: Option<String>,
    /// What is older goes: 90d, 12h, 30m.
    #[arg(long, value_name = "AGE", conflicts_with = "before", value_parser = duration_ms)]
    older_than: Option<u64>,
    /// Do not wait for it: `myelin admin task` tells how it goes on.
    #[arg(long)]
    background: bool,
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
            Self::Delete(delete) => delete.run(client).await,
            Self::PurgeHistory(purge) => purge.run(client).await,
            Self::MakeAdmin { room, user } => {
                let path = format!("{PATH}/{}/make_room_admin", encoded(&room));
                let answer = client.post(&path, &json!({ "user_id": user })).await?;
                Ok(Output::done(format!("{user} has power in {room}."), answer))
            }
            Self::Join { room, user } => {
                let path = format!("/_synapse/admin/v1/join/{}", encoded(&room));
                let answer = client.post(&path, &json!({ "user_id": user })).await?;
                Ok(Output::done(format!("{user} is in {room}."), answer))
            }
            Self::SendNotice { room, text } => {
                let path = format!("{PATH}/{}/members", encoded(&room));
                let answer = client.get(&path).await?;
                let members = list(&answer, "members").iter();
                let users = members.map(cell).collect();
                notice::send(client, users, &text).await
            }
            Self::Block { room } => set_block(client, &room, true).await,
            Self::Unblock { room } => set_block(client, &room, false).await,
        }
    }
}

/// The id of a room that is named by its id or by an alias.
async fn room_id(client: &Client<'_>, room: &str) -> Result<String, AskError> {
    if !room.starts_with('#') {
        return Ok(room.to_owned());
    }
    let shown = client.get(&format!("{PATH}/{}", encoded(room))).await?;
    Ok(cell(&shown["room_id"]))
}

async fn set_block(client: &Client<'_>, room: &str, block: bool) -> Result<Output, AskError> {
    let room = room_id(client, room).await?;
    let path = format!("{PATH}/{}/block", encoded(&room));
    let answer = client.put(&path, &json!({ "block": block })).await?;
    let said = if block { "blocked" } else { "open again" };
    Ok(Output::done(format!("{room} is {said}."), answer))
}

impl Purge {
    async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        let room = room_id(client, &self.room).await?;
        let path = format!("/_synapse/admin/v1/purge_history/{}", encoded(&room));
        let until = self.older_than;
        let until = until.map(|age_ms| client.host().now_ms().saturating_sub(age_ms));
        let body = json!({
            "purge_up_to_event_id": self.before,
            "purge_up_to_ts": until,
            "delete_local_events": true,
        });
        let started = client.post(&path, &body).await?;
        let id = cell(&started["purge_id"]);
        if self.background {
            return Ok(task::begun(&id));
        }
        let task = task::wait(client, &id).await?;
        let removed = &task["result"]["removed"];
        Ok(Output::done(
            format!("{removed} events are removed."),
            task.clone(),
        ))
    }
}

impl Delete {
    async fn run(self, client: &Client<'_>) -> Result<Output, AskError> {
        let room = room_id(client, &self.room).await?;
        let path = format!("/_synapse/admin/v2/rooms/{}", encoded(&room));
        let body = json!({
            "block": self.block,
            "purge": !self.keep,
            "force_purge": self.force,
            "new_room_user_id": self.move_to_room_of,
            "room_name": self.name,
            "message": self.message,
        });
        let started = client.delete(&path, &body).await?;
        let id = cell(&started["delete_id"]);
        if self.background {
            return Ok(task::begun(&id));
        }
        let task = task::wait(client, &id).await?;
        let result = &task["result"];
        let done = if self.keep { "empty" } else { "deleted" };
        let mut text = format!(
            "{room} is {done}; {} left it",
            list(result, "kicked_users").len()
        );
        if let Some(new) = result["new_room_id"].as_str() {
            text.push_str(" and moved to ");
            text.push_str(new);
        }
        text.push('.');
        Ok(Output::done(text, task))
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
