//! A Matrix client that hides nothing: a request in, a status and JSON out.

use std::ops::Deref;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use crate::{asked, encode, fresh, openapi, room_path};

/// The password of every account the tests register, unless they choose another.
const PASSWORD: &str = "correct horse battery staple";

/// Speaks HTTP to one server, with or without an access token.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    agent: Agent,
    token: Option<String>,
}

/// What the server answered.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    request: String,
}

impl Client {
    pub fn new(url: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_mins(2)))
            .build()
            .new_agent();
        Self {
            url: url.to_owned(),
            agent,
            token: None,
        }
    }

    /// The same client with this access token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same client without an access token.
    #[must_use]
    pub fn without_token(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Response {
        self.send_json("POST", path, body)
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: Value) -> Response {
        self.send_json("PUT", path, body)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, &[], None)
    }

    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads well at the call: send_json(.., json!({..}))"
    )]
    pub fn send_json(&self, method: &str, path: &str, body: Value) -> Response {
        let bytes = serde_json::to_vec(&body).expect("a JSON value serialises");
        self.send(
            method,
            path,
            &[("content-type", "application/json")],
            Some(&bytes),
        )
    }

    /// The request as it is; fails the test if no answer comes.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Response {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: no answer: {error}"))
    }

    /// The request as it is, for tests in which the server may go away.
    /// A path that starts with a version (`/v3/…`) stands below `/_matrix/client`.
    ///
    /// Fails the test if the answer is not as the OpenAPI definitions have it.
    #[track_caller]
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Response, String> {
        let versioned = ["/v1/", "/v3/", "/r0/", "/unstable/"];
        let path = if versioned.iter().any(|version| path.starts_with(version)) {
            format!("/_matrix/client{path}")
        } else {
            path.to_owned()
        };
        let full = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(&full);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.or((method == "POST" || method == "PUT").then_some(b""));
        let answer = if let Some(bytes) = body {
            let request = request.body(bytes).map_err(|error| error.to_string())?;
            self.run_with_body(request)
        } else {
            let request = request.body(()).map_err(|error| error.to_string())?;
            self.agent.run(request)
        };
        let mut answer = answer.map_err(|error| error.to_string())?;
        let body = answer
            .body_mut()
            .with_config()
            .limit(256 * 1024 * 1024)
            .read_to_vec()
            .map_err(|error| error.to_string())?;
        let response = Response {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body,
            request: format!("{method} {path}"),
        };
        asked::note("ring-3", method, &path, response.status);
        if let Some(objection) = openapi::objection(method, &path, &response) {
            panic!("{objection}");
        }
        Ok(response)
    }

    /// The client library wants to be asked twice before it sends a body with `GET` or `DELETE`.
    fn run_with_body(
        &self,
        request: Request<&[u8]>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let mut builder = match parts.method.as_str() {
            "DELETE" => self.agent.delete(parts.uri),
            "GET" => self.agent.get(parts.uri),
            _ => return self.agent.run(Request::from_parts(parts, body)),
        };
        for (name, value) in &parts.headers {
            builder = builder.header(name, value);
        }
        builder.force_send_body().send(body)
    }

    /// A new account with this name in front, logged in.
    #[track_caller]
    pub fn register(&self, name: &str) -> User {
        let localpart = fresh(name);
        let answer = self.without_token().post(
            "/v3/register",
            json!({
                "username": localpart,
                "password": PASSWORD,
                "auth": {"type": "m.login.dummy"},
            }),
        );
        User::from_login(self, &answer.ok(), localpart, PASSWORD)
    }
}

impl Response {
    /// The body as JSON; fails the test if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "{}: {} is not JSON: {error}: {}",
                self.request,
                self.status,
                self.text()
            )
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The JSON body of a 200.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}: {}", self.request, self.text());
        self.json()
    }

    /// Asserts the standard error with this status and code; gives its body.
    #[track_caller]
    pub fn fails(&self, status: u16, errcode: &str) -> Value {
        let text = self.text();
        assert_eq!(
            self.status, status,
            "{}: wanted {errcode}: {text}",
            self.request
        );
        let body = self.json();
        assert_eq!(body["errcode"], errcode, "{}: {text}", self.request);
        assert!(
            body["error"].is_string(),
            "{}: error is no string: {text}",
            self.request
        );
        body
    }

    /// Asserts one of several codes, where the spec leaves the choice.
    #[track_caller]
    pub fn fails_with_one_of(&self, status: u16, errcodes: &[&str]) -> Value {
        let body = self.json();
        let errcode = body["errcode"].as_str().unwrap_or_default();
        assert!(
            self.status == status && errcodes.contains(&errcode),
            "{}: wanted {status} {errcodes:?}, not {}: {body}",
            self.request,
            self.status,
        );
        body
    }

    /// A header's text, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// A logged-in device of an account.
#[derive(Clone, Debug)]
pub struct User {
    client: Client,
    /// `@localpart:server`
    pub id: String,
    pub localpart: String,
    pub device_id: String,
    pub access_token: String,
    pub refresh_token: Option<String>,
    pub password: String,
}

impl Deref for User {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl User {
    #[track_caller]
    fn from_login(client: &Client, login: &Value, localpart: String, password: &str) -> Self {
        let text = |key: &str| {
            let value = login[key].as_str();
            value
                .unwrap_or_else(|| panic!("no {key} in {login}"))
                .to_owned()
        };
        let access_token = text("access_token");
        Self {
            client: client.with_token(&access_token),
            id: text("user_id"),
            localpart,
            device_id: text("device_id"),
            access_token,
            refresh_token: login["refresh_token"].as_str().map(str::to_owned),
            password: password.to_owned(),
        }
    }

    /// The server name in the user id.
    pub fn server_name(&self) -> &str {
        self.id.split_once(':').map_or("", |(_, name)| name)
    }

    /// The same login over new connections, for after the server was gone.
    #[must_use]
    pub fn reconnected(&self) -> Self {
        let client = Client::new(&self.client.url).with_token(&self.access_token);
        Self {
            client,
            ..self.clone()
        }
    }

    /// Another device of the same account.
    #[must_use]
    #[track_caller]
    pub fn log_in_again(&self) -> Self {
        self.log_in_with(json!({}))
    }

    /// Another login of the same account, with these keys in the body besides the usual ones.
    #[must_use]
    #[track_caller]
    pub fn log_in_with(&self, extra: Value) -> Self {
        let mut body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.id},
            "password": self.password,
        });
        if let (Some(body), Value::Object(extra)) = (body.as_object_mut(), extra) {
            body.extend(extra);
        }
        let login = self.client.without_token().post("/v3/login", body).ok();
        Self::from_login(&self.client, &login, self.localpart.clone(), &self.password)
    }

    /// User-interactive authentication by password, to be put under `auth`.
    pub fn password_auth(&self, session: &Value) -> Value {
        json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.id},
            "password": self.password,
            "session": session,
        })
    }

    /// Creates a room and gives its id.
    #[track_caller]
    pub fn create_room(&self, body: Value) -> String {
        let answer = self.post("/v3/createRoom", body).ok();
        text_of(&answer["room_id"])
    }

    /// A room that anyone may join.
    #[track_caller]
    pub fn public_room(&self) -> String {
        self.create_room(json!({"preset": "public_chat"}))
    }

    #[track_caller]
    pub fn invite(&self, room: &str, other: &User) {
        self.post(&room_path(room, "invite"), json!({"user_id": other.id}))
            .ok();
    }

    #[track_caller]
    pub fn join(&self, room: &str) {
        self.post(&room_path(room, "join"), json!({})).ok();
    }

    #[track_caller]
    pub fn leave(&self, room: &str) {
        self.post(&room_path(room, "leave"), json!({})).ok();
    }

    /// Sends a text message with a fresh transaction id and gives its event id.
    #[track_caller]
    pub fn say(&self, room: &str, body: &str) -> String {
        self.send_event(
            room,
            "m.room.message",
            json!({"msgtype": "m.text", "body": body}),
        )
    }

    /// Sends a message event and gives its id.
    #[track_caller]
    pub fn send_event(&self, room: &str, event_type: &str, content: Value) -> String {
        let path = room_path(
            room,
            &format!("send/{}/{}", encode(event_type), fresh("txn")),
        );
        text_of(&self.put(&path, content).ok()["event_id"])
    }

    /// Sets state and gives the event id.
    #[track_caller]
    pub fn set_state(&self, room: &str, event_type: &str, key: &str, content: Value) -> String {
        text_of(&self.put(&state_path(room, event_type, key), content).ok()["event_id"])
    }

    /// The request for one piece of state.
    #[track_caller]
    pub fn get_state(&self, room: &str, event_type: &str, key: &str) -> Response {
        self.get(&state_path(room, event_type, key))
    }

    /// The request for one event.
    #[track_caller]
    pub fn get_event(&self, room: &str, event_id: &str) -> Response {
        self.get(&room_path(room, &format!("event/{}", encode(event_id))))
    }

    /// The user's membership in a room as the room's state has it now, asked by that user.
    #[track_caller]
    pub fn membership_of(&self, room: &str, other: &User) -> String {
        let state = self.get_state(room, "m.room.member", &other.id).ok();
        text_of(&state["membership"])
    }

    /// Redacts an event and gives the redaction's id.
    #[track_caller]
    pub fn redact(&self, room: &str, event_id: &str, reason: Option<&str>) -> String {
        let path = format!("redact/{}/{}", encode(event_id), fresh("txn"));
        let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
        text_of(&self.put(&room_path(room, &path), body).ok()["event_id"])
    }

    /// `/sync` with these query parameters, answered at once.
    #[track_caller]
    pub fn sync(&self, query: &[(&str, &str)]) -> Value {
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        self.get(&format!("/v3/sync?{}", query.join("&"))).ok()
    }

    /// `/sync` since a token, without waiting.
    #[track_caller]
    pub fn sync_since(&self, since: &str) -> Value {
        self.sync(&[("since", since)])
    }

    /// A token of now.
    #[track_caller]
    pub fn now(&self) -> String {
        let filter = json!({"room": {"timeline": {"limit": 1}}}).to_string();
        text_of(&self.sync(&[("filter", &filter)])["next_batch"])
    }

    /// The event ids of one page of `/messages`.
    #[track_caller]
    pub fn messages(&self, room: &str, query: &str) -> Value {
        self.get(&room_path(room, &format!("messages?{query}")))
            .ok()
    }
}

/// `/v3/rooms/{room}/state/{type}/{key}`.
fn state_path(room: &str, event_type: &str, key: &str) -> String {
    room_path(
        room,
        &format!("state/{}/{}", encode(event_type), encode(key)),
    )
}

#[track_caller]
fn text_of(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}
