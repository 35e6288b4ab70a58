//! HTTP with as little of its own as possible: one pool of connections, bytes in, bytes out.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::Result;

type Http = Client<HttpConnector, Full<Bytes>>;

/// Speaks to one server.
#[derive(Clone, Debug)]
pub struct Api {
    http: Arc<RwLock<Http>>,
    url: String,
}

/// A logged-in user.
#[derive(Clone, Debug)]
pub struct User {
    pub api: Api,
    pub id: String,
    pub device: String,
    pub token: String,
    pub password: String,
}

/// A body and how long it took.
#[derive(Debug)]
pub struct Answer {
    pub body: Bytes,
    pub took: Duration,
}

impl Answer {
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// Of a `/sync`, what scenarios look at.
    pub fn synced(&self) -> Result<Synced> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// How many entries the array `chunk` has.
    pub fn chunk_len(&self) -> Result<usize> {
        #[derive(Deserialize)]
        struct Page {
            chunk: Vec<IgnoredAny>,
        }
        let page: Page = serde_json::from_slice(&self.body)?;
        Ok(page.chunk.len())
    }
}

/// What scenarios look at in a `/sync`; the rest is skipped, for the client shares the machine with the server.
#[derive(Debug, Deserialize)]
pub struct Synced {
    pub next_batch: String,
    #[serde(default)]
    rooms: SyncedRooms,
}

#[derive(Debug, Default, Deserialize)]
struct SyncedRooms {
    #[serde(default)]
    join: HashMap<String, SyncedRoom>,
}

#[derive(Debug, Deserialize)]
struct SyncedRoom {
    #[serde(default)]
    timeline: Chunk,
}

#[derive(Debug, Default, Deserialize)]
struct Chunk {
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Event {
    content: Content,
}

#[derive(Debug, Deserialize)]
struct Content {
    body: Option<String>,
}

impl Synced {
    /// How many joined rooms there is news of.
    pub fn joined_rooms(&self) -> usize {
        self.rooms.join.len()
    }

    /// The bodies of the messages in a room's timeline.
    pub fn bodies(&self, room: &str) -> impl Iterator<Item = &str> {
        let room = self.rooms.join.get(room).into_iter();
        room.flat_map(|room| &room.timeline.events)
            .filter_map(|event| event.content.body.as_deref())
    }
}

impl Api {
    pub fn new(url: &str) -> Self {
        Self {
            http: Arc::new(RwLock::new(pool())),
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// After a restart of the server: what was connected is not any more.
    pub fn forget_connections(&self) {
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = pool();
    }

    async fn request(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<hyper::body::Incoming>> {
        let http = self
            .http
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(http.request(request).await?)
    }

    /// One request; any other status than 200 is an error.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<Answer> {
        let (status, answer) = self.call_any(method.clone(), path, token, body).await?;
        if status != 200 {
            let text = String::from_utf8_lossy(&answer.body);
            return Err(format!("{method} {path}: {status}: {text}").into());
        }
        Ok(answer)
    }

    /// One request, whatever its status.
    pub async fn call_any(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &Value,
    ) -> Result<(u16, Answer)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bytes = match body {
            Value::Null => Bytes::new(),
            body => {
                request = request.header("content-type", "application/json");
                Bytes::from(serde_json::to_vec(body)?)
            }
        };
        let started = Instant::now();
        let answer = self.request(request.body(Full::new(bytes))?).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok((
            status,
            Answer {
                body,
                took: started.elapsed(),
            },
        ))
    }
}

fn pool() -> Http {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

impl User {
    /// Uploads a file and downloads it again, a piece at a time: memory is the server's matter here.
    pub async fn exchange(&self, file: Bytes) -> Result<()> {
        let length = file.len();
        let request = self.file_request(Method::POST, "/_matrix/media/v3/upload")?;
        let answer = self.api.request(request.body(Full::new(file))?).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != 200 {
            return Err(format!("upload: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        let body: Value = serde_json::from_slice(&body)?;
        let id = text(&body, "content_uri")?.trim_start_matches("mxc://");
        let path = format!("/_matrix/client/v1/media/download/{id}");
        let request = self.file_request(Method::GET, &path)?;
        let answer = self.api.request(request.body(Full::default())?).await?;
        let (mut body, mut received) = (answer.into_body(), 0);
        while let Some(frame) = body.frame().await {
            received += frame?.data_ref().map_or(0, Bytes::len);
        }
        if received != length {
            return Err(format!("download: {received} of {length} bytes").into());
        }
        Ok(())
    }

    fn file_request(&self, method: Method, path: &str) -> Result<http::request::Builder> {
        let uri: http::Uri = format!("{}{path}", self.api.url).parse()?;
        Ok(Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", "application/octet-stream")
            .header("authorization", format!("Bearer {}", self.token)))
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.api
            .call(Method::GET, path, Some(&self.token), &Value::Null)
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.api
            .call(Method::POST, path, Some(&self.token), body)
            .await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.api
            .call(Method::PUT, path, Some(&self.token), body)
            .await
    }

    /// Creates a room that everybody may join, and gives its id.
    pub async fn create_room(&self) -> Result<String> {
        let body = json!({"preset": "public_chat", "name": "A room to talk in"});
        let answer = self
            .post("/_matrix/client/v3/createRoom", &body)
            .await?
            .json()?;
        Ok(text(&answer, "room_id")?.to_owned())
    }

    pub async fn join(&self, room: &str) -> Result<Answer> {
        self.post(&room_path(room, "join"), &json!({})).await
    }

    pub async fn leave(&self, room: &str) -> Result<Answer> {
        self.post(&room_path(room, "leave"), &json!({})).await
    }

    /// Sends a text message under a transaction id.
    pub async fn send(&self, room: &str, transaction: &str, body: &str) -> Result<Answer> {
        let path = room_path(room, &format!("send/m.room.message/{transaction}"));
        self.put(&path, &json!({"msgtype": "m.text", "body": body}))
            .await
    }

    /// Says that it has read up to an event.
    pub async fn read_up_to(&self, room: &str, event: &str) -> Result<Answer> {
        let path = room_path(room, &format!("receipt/m.read/{}", encode(event)));
        self.post(&path, &json!({})).await
    }

    pub async fn set_typing(&self, room: &str) -> Result<Answer> {
        let path = room_path(room, &format!("typing/{}", encode(&self.id)));
        self.put(&path, &json!({"typing": true, "timeout": 5_000}))
            .await
    }

    /// `/sync` with a query that is encoded already.
    pub async fn sync(&self, query: &str) -> Result<Answer> {
        self.get(&format!("/_matrix/client/v3/sync?{query}")).await
    }

    /// `/sync` for what happened since a token, waiting at most so long; nobody hears that this user is online.
    pub async fn sync_since(&self, since: &str, timeout_ms: u64) -> Result<Answer> {
        // Nobody falls so far behind that a sync leaves some out.
        let filter = encode(r#"{"room":{"timeline":{"limit":100}}}"#);
        let since = encode(since);
        self.sync(&format!(
            "filter={filter}&since={since}&timeout={timeout_ms}&set_presence=offline"
        ))
        .await
    }

    /// Sends one message to each of these devices: user, device and content.
    pub async fn send_to_devices(
        &self,
        event_type: &str,
        transaction: &str,
        messages: impl Iterator<Item = (&Self, Value)>,
    ) -> Result<Answer> {
        let mut by_user = Map::new();
        for (to, content) in messages {
            let devices = by_user.entry(&to.id).or_insert_with(|| Map::new().into());
            devices[&to.device] = content;
        }
        let path = format!("/_matrix/client/v3/sendToDevice/{event_type}/{transaction}");
        self.put(&path, &json!({ "messages": by_user })).await
    }

    /// A token of now.
    pub async fn now(&self) -> Result<String> {
        let filter = encode(r#"{"room":{"rooms":[]},"presence":{"types":[]}}"#);
        let query = format!("filter={filter}&set_presence=offline");
        Ok(self.sync(&query).await?.synced()?.next_batch)
    }
}

/// The text under a key.
pub fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key]
        .as_str()
        .ok_or_else(|| format!("no {key} in {value}").into())
}

pub fn room_path(room: &str, rest: &str) -> String {
    format!("/_matrix/client/v3/rooms/{}/{rest}", encode(room))
}

pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
