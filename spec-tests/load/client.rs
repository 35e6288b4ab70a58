//! HTTP with as little of its own as possible: one pool of connections, bytes in, bytes out.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::Result;

/// Speaks to one server.
#[derive(Clone, Debug)]
pub struct Api {
    http: Client<HttpConnector, Full<Bytes>>,
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
}

impl Api {
    pub fn new(url: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Self {
            http,
            url: url.trim_end_matches('/').to_owned(),
        }
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
        let answer = self.http.request(request.body(Full::new(bytes))?).await?;
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

impl User {
    /// Uploads a file and downloads it again, a piece at a time: memory is the server's matter here.
    pub async fn exchange(&self, file: Bytes) -> Result<Duration> {
        let length = file.len();
        let started = Instant::now();
        let request = self.file_request(Method::POST, "/_matrix/media/v3/upload")?;
        let answer = self
            .api
            .http
            .request(request.body(Full::new(file))?)
            .await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != 200 {
            return Err(format!("upload: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        let body: Value = serde_json::from_slice(&body)?;
        let id = text(&body, "content_uri")?.trim_start_matches("mxc://");
        let path = format!("/_matrix/client/v1/media/download/{id}");
        let request = self.file_request(Method::GET, &path)?;
        let answer = self
            .api
            .http
            .request(request.body(Full::default())?)
            .await?;
        let (mut body, mut received) = (answer.into_body(), 0);
        while let Some(frame) = body.frame().await {
            received += frame?.data_ref().map_or(0, Bytes::len);
        }
        if received != length {
            return Err(format!("download: {received} of {length} bytes").into());
        }
        Ok(started.elapsed())
    }

    fn file_request(&self, method: Method, path: &str) -> Result<http::request::Builder> {
        let uri: http::Uri = format!("{}{path}", self.api.url).parse()?;
        Ok(Request::builder()
            .method(method)
            .uri(uri)
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

    /// Creates a room and gives its id.
    pub async fn create_room(&self, body: &Value) -> Result<String> {
        let answer = self
            .post("/_matrix/client/v3/createRoom", body)
            .await?
            .json()?;
        Ok(text(&answer, "room_id")?.to_owned())
    }

    pub async fn join(&self, room: &str) -> Result<Answer> {
        self.post(&room_path(room, "join"), &serde_json::json!({}))
            .await
    }

    /// Sends a text message under a transaction id.
    pub async fn send(&self, room: &str, transaction: &str, body: &str) -> Result<Answer> {
        let path = room_path(room, &format!("send/m.room.message/{transaction}"));
        self.put(
            &path,
            &serde_json::json!({"msgtype": "m.text", "body": body}),
        )
        .await
    }

    /// `/sync` with a query that is encoded already.
    pub async fn sync(&self, query: &str) -> Result<Answer> {
        self.get(&format!("/_matrix/client/v3/sync?{query}")).await
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
        self.put(&path, &serde_json::json!({ "messages": by_user }))
            .await
    }

    /// A token of now.
    pub async fn now(&self) -> Result<String> {
        let filter = encode(r#"{"room":{"rooms":[]},"presence":{"types":[]}}"#);
        let answer = self.sync(&format!("filter={filter}")).await?.json()?;
        Ok(text(&answer, "next_batch")?.to_owned())
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
