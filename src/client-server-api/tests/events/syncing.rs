//! [Syncing](https://spec.matrix.org/v1.19/client-server-api/#syncing). Every answer is read by ruma's type as well.

use ruma::api::{
    IncomingResponseExt,
    client::sync::sync_events::v3::{Response, State},
};
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::rooms::{act, path};

mod basics;
mod concurrency;
mod filters;
mod membership;
mod old;
mod property;
mod state;
mod unread;

/// What one client knows, and the token to go on from.
pub(crate) struct Syncer {
    pub(crate) client: Client,
    pub(crate) since: Option<String>,
    /// Further parameters of every request, each with its `&`.
    pub(crate) parameters: String,
}

impl Syncer {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            since: None,
            parameters: String::new(),
        }
    }

    /// With a filter in every request.
    pub(crate) fn filtered(client: &Client, filter: &Value) -> Self {
        Self {
            parameters: format!("&filter={}", encoded(&filter.to_string())),
            ..Self::new(client)
        }
    }

    /// A client that has synced once.
    pub(crate) async fn started(client: &Client) -> Self {
        let mut syncer = Self::new(client);
        syncer.next().await;
        syncer
    }

    /// What is new now.
    pub(crate) async fn next(&mut self) -> Value {
        self.within(0).await
    }

    /// What is new within a time.
    pub(crate) async fn within(&mut self, timeout_ms: u64) -> Value {
        let since = self
            .since
            .as_ref()
            .map(|since| format!("&since={since}"))
            .unwrap_or_default();
        let query = format!("timeout={timeout_ms}{since}{}", self.parameters);
        let answer = sync(&self.client, &query).await;
        self.since = Some(
            answer["next_batch"]
                .as_str()
                .expect("an answer has a token")
                .to_owned(),
        );
        answer
    }
}

/// One request, successfully.
pub(crate) async fn sync(client: &Client, query: &str) -> Value {
    let reply = client
        .get(&format!("/_matrix/client/v3/sync?{query}"))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    let response = http::Response::new(&reply.bytes[..]);
    match Response::try_from_http_response(response) {
        Ok(response) if query.contains("filter=") => drop(response),
        Ok(response) => read(&response),
        Err(error) => panic!("ruma cannot read {}: {error}", reply.json),
    }
    reply.json
}

/// Every event in the answer is one.
fn read(response: &Response) {
    for room in response.rooms.join.values() {
        room.timeline
            .events
            .iter()
            .for_each(|event| drop(event.deserialize().expect("an event that ruma knows")));
        room.ephemeral
            .events
            .iter()
            .for_each(|event| drop(event.deserialize().expect("an event that ruma knows")));
        room.account_data
            .events
            .iter()
            .for_each(|event| drop(event.deserialize().expect("an event that ruma knows")));
        let (State::Before(state) | State::After(state)) = &room.state else {
            continue;
        };
        state
            .events
            .iter()
            .for_each(|event| drop(event.deserialize().expect("an event that ruma knows")));
    }
    for room in response.rooms.invite.values() {
        room.invite_state
            .events
            .iter()
            .for_each(|event| drop(event.deserialize().expect("an event that ruma knows")));
    }
    response
        .account_data
        .events
        .iter()
        .for_each(|event| drop(event.deserialize().expect("an event that ruma knows")));
    response
        .presence
        .events
        .iter()
        .for_each(|event| drop(event.deserialize().expect("an event that ruma knows")));
}

/// For a query.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Says something, and gives the event's id.
pub(crate) async fn say(client: &Client, room: &str, text: &str) -> String {
    send(
        client,
        room,
        "m.room.message",
        json!({ "msgtype": "m.text", "body": text }),
    )
    .await
}

/// Sends an event, and gives its id.
pub(crate) async fn send(client: &Client, room: &str, event_type: &str, content: Value) -> String {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let txn = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let answer = client
        .put(&path(room, &format!("send/{event_type}/t{txn}")), content)
        .await
        .ok();
    answer["event_id"]
        .as_str()
        .expect("an id is a string")
        .to_owned()
}

pub(crate) fn joined<'a>(answer: &'a Value, room: &str) -> &'a Value {
    &answer["rooms"]["join"][room]
}

/// The bodies, or else the types, of the timeline's events.
pub(crate) fn said(room: &Value) -> Vec<String> {
    words(&room["timeline"]["events"])
}

/// The bodies, or else the types with state keys, of events.
pub(crate) fn words(events: &Value) -> Vec<String> {
    let word = |event: &Value| {
        let event_type = event["type"].as_str().expect("an event has a type");
        match (
            event["content"]["body"].as_str(),
            event["state_key"].as_str(),
        ) {
            (Some(body), None) => body.to_owned(),
            (_, Some("")) | (None, None) => event_type.to_owned(),
            (_, Some(key)) => format!("{event_type} {key}"),
        }
    };
    events
        .as_array()
        .map(|events| events.iter().map(word).collect())
        .unwrap_or_default()
}

/// What an answer consists of that tells of nothing.
pub(crate) const NOTHING: [&str; 3] = [
    "device_one_time_keys_count",
    "device_unused_fallback_key_types",
    "next_batch",
];

/// The names of an object's members.
pub(crate) fn names(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .map(|object| object.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

/// A server with two users in one room.
pub(crate) async fn two_in_a_room() -> (TestServer, Client, Client, String) {
    // What presence tells is tested by itself; here it would come between.
    let server = TestServer::with(|config| config.presence.enabled = false).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = crate::rooms::public(&alice).await;
    act(&bob, &room, "join", json!({})).await;
    (server, alice, bob, room)
}
