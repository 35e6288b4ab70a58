//! [Rooms](https://spec.matrix.org/v1.19/client-server-api/#rooms).

use serde_json::{Value, json};
use test_support::Client;

mod aliases;
mod creation;
mod membership;
mod published_directory;
mod summaries;

/// A new room.
pub(crate) async fn create(creator: &Client, body: Value) -> String {
    let answer = creator.post("/_matrix/client/v3/createRoom", body).await;
    text(&answer.ok()["room_id"])
}

/// A new room that everybody may join.
pub(crate) async fn public(creator: &Client) -> String {
    create(creator, json!({ "preset": "public_chat" })).await
}

/// The path of an endpoint of a room.
pub(crate) fn path(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{room}/{rest}")
}

/// `POST` to an endpoint of a room, successfully.
pub(crate) async fn act(client: &Client, room: &str, action: &str, body: Value) {
    client.post(&path(room, action), body).await.ok();
}

/// The content of a state event.
pub(crate) async fn content(client: &Client, room: &str, event_type: &str, key: &str) -> Value {
    let rest = format!("state/{event_type}/{key}");
    client.get(&path(room, &rest)).await.ok()
}

/// Sets state, successfully, and gives the event's id.
pub(crate) async fn set_state(client: &Client, room: &str, rest: &str, content: Value) -> String {
    let rest = format!("state/{rest}");
    let answer = client.put(&path(room, &rest), content).await.ok();
    text(&answer["event_id"])
}

/// Sends a text, successfully, and gives the event's id.
pub(crate) async fn say(client: &Client, room: &str, body: &str, txn: &str) -> String {
    let rest = format!("send/m.room.message/{txn}");
    let content = json!({ "msgtype": "m.text", "body": body });
    let answer = client.put(&path(room, &rest), content).await.ok();
    text(&answer["event_id"])
}

/// Every event of a room from its start.
pub(crate) async fn timeline(client: &Client, room: &str) -> Vec<Value> {
    let answer = client.get(&path(room, "messages?dir=f&limit=100")).await;
    let chunk = answer.ok()["chunk"].as_array().cloned();
    chunk.expect("a page has events")
}

fn text(value: &Value) -> String {
    value.as_str().expect("an id is a string").to_owned()
}
