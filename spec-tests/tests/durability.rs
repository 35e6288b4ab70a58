//! What was acknowledged is there after `kill -9`, once, and tokens from before still work.
//!
//! A short run by default; `KILL_ROUNDS=20` is the long one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::json;
use spec_tests::{PATIENCE_SECONDS, Response, Server, User, encode, room_path};

const WRITERS: usize = 16;

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let rounds = std::env::var("KILL_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3);
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let mut writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let user = server.client().register("writer");
            user.join(&room);
            Writer {
                user,
                next: 0,
                events: HashMap::new(),
                unanswered: None,
                tokens: Vec::new(),
            }
        })
        .collect();
    let mut seen: HashMap<String, u32> = HashMap::new();
    let mut alice = alice;
    let mut acknowledged = 0;
    for round in 0..rounds {
        let since = alice.now();
        write_until_killed(&mut server, &mut writers, &room);
        let restart = Instant::now();
        server.start_again();
        let restart = restart.elapsed();
        assert!(
            restart < Duration::from_secs(10),
            "round {round}: the restart took {restart:?}"
        );

        alice = alice.reconnected();
        for writer in &mut writers {
            writer.user = writer.user.reconnected();
            writer.send_again(&room);
        }
        let sync = alice.sync_since(&since);
        assert!(
            sync["rooms"]["join"].get(&room).is_some(),
            "round {round}: {sync}"
        );
        for id in page_forward(&alice, &room, &since) {
            *seen.entry(id).or_default() += 1;
        }
        acknowledged = writers.iter().map(|writer| writer.events.len()).sum();
        for writer in &mut writers {
            writer.check(&room, &seen, round);
        }
    }
    let doubled: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "events that came twice: {doubled:?}");
    assert!(
        acknowledged > rounds,
        "the writers wrote too little to prove anything: {acknowledged}"
    );
    // Page through everything once more: each body once, each event once.
    let mut bodies = HashMap::new();
    for (event, body) in page_back(&alice, &room) {
        if let Some(other) = bodies.insert(body.clone(), event.clone()) {
            panic!("{body} is there twice: {event} and {other}");
        }
    }
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}

struct Writer {
    user: User,
    next: usize,
    /// Acknowledged events: transaction id → event id.
    events: HashMap<String, String>,
    /// The transaction that was on its way when the server died.
    unanswered: Option<String>,
    /// Access tokens of acknowledged registrations and logins since the last check.
    tokens: Vec<String>,
}

impl Writer {
    /// One acknowledged write, or an error when the server is gone.
    fn write(&mut self, room: &str) -> Result<(), String> {
        self.next += 1;
        match self.next % 12 {
            5 => self.register(),
            9 => self.log_in(),
            _ => self.send(room),
        }
    }

    fn send(&mut self, room: &str) -> Result<(), String> {
        let transaction = format!("txn-{}", self.next);
        self.unanswered = Some(transaction.clone());
        let event = self.put(room, &transaction)?;
        self.unanswered = None;
        self.events.insert(transaction, event);
        Ok(())
    }

    fn put(&self, room: &str, transaction: &str) -> Result<String, String> {
        let path = room_path(room, &format!("send/m.room.message/{transaction}"));
        let body = json!({"msgtype": "m.text", "body": format!("{} {transaction}", self.user.id)});
        let answer = self
            .user
            .try_send("PUT", &path, &[], Some(body.to_string().as_bytes()))?;
        let answer = acknowledged(&answer)?;
        Ok(answer["event_id"].as_str().ok_or("no event_id")?.to_owned())
    }

    fn register(&mut self) -> Result<(), String> {
        let body = json!({
            "username": format!("{}-{}", self.user.localpart, self.next),
            "password": "long enough secret",
            "auth": {"type": "m.login.dummy"},
        });
        self.new_token("/v3/register", &body)
    }

    fn log_in(&mut self) -> Result<(), String> {
        let body = json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.user.id},
            "password": self.user.password,
        });
        self.new_token("/v3/login", &body)
    }

    fn new_token(&mut self, path: &str, body: &serde_json::Value) -> Result<(), String> {
        let anonymous = self.user.without_token();
        let answer = anonymous.try_send("POST", path, &[], Some(body.to_string().as_bytes()))?;
        let answer = acknowledged(&answer)?;
        self.tokens.push(
            answer["access_token"]
                .as_str()
                .ok_or("no access_token")?
                .to_owned(),
        );
        Ok(())
    }

    /// Sends the transaction that got no answer again, as a client would.
    fn send_again(&mut self, room: &str) {
        if let Some(transaction) = self.unanswered.take() {
            let event = self
                .put(room, &transaction)
                .expect("the server is up again");
            self.events.insert(transaction, event);
        }
    }

    /// Everything acknowledged is there; a repeated transaction answers with the same event.
    fn check(&mut self, room: &str, seen: &HashMap<String, u32>, round: usize) {
        for (transaction, event) in &self.events {
            assert!(
                seen.contains_key(event),
                "round {round}: {event} of {transaction} is lost"
            );
        }
        let latest = self.events.iter().max_by_key(|(transaction, _)| {
            transaction
                .trim_start_matches("txn-")
                .parse::<usize>()
                .unwrap_or_default()
        });
        if let Some((transaction, event)) = latest {
            let again = self.put(room, transaction).expect("the server is up again");
            assert_eq!(
                again, *event,
                "round {round}: {transaction} made a second event"
            );
        }
        for token in self.tokens.drain(..) {
            let answer = self.user.with_token(&token).get("/v3/account/whoami");
            assert_eq!(
                answer.status,
                200,
                "round {round}: a login is lost: {}",
                answer.text()
            );
        }
    }
}

fn acknowledged(answer: &Response) -> Result<serde_json::Value, String> {
    if answer.status == 200 {
        Ok(answer.json())
    } else {
        Err(format!("{}: {}", answer.status, answer.text()))
    }
}

/// All writers write as fast as they can until the server dies at a random moment.
fn write_until_killed(server: &mut Server, writers: &mut [Writer], room: &str) {
    let writes_before_the_end = 20 + RandomState::new().hash_one("moment") % 600;
    let (sender, reports) = channel();
    let pending = Mutex::new(writers.iter_mut());
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let writer = pending.lock().expect("nobody panics with the lock").next();
            let wrote: Sender<()> = sender.clone();
            scope.spawn(move || {
                let Some(writer) = writer else { return };
                while writer.write(room).is_ok() {
                    if wrote.send(()).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for _ in 0..writes_before_the_end {
            let patience = Duration::from_secs(PATIENCE_SECONDS);
            reports
                .recv_timeout(patience)
                .expect("the writers are writing");
        }
        server.kill();
        // Writers end with their next request; what they still report is not needed.
        drop(reports);
    });
}

/// The ids of all events after a sync token.
fn page_forward(alice: &User, room: &str, since: &str) -> Vec<String> {
    let mut from = since.to_owned();
    let mut ids = Vec::new();
    loop {
        let page = alice.messages(room, &format!("dir=f&limit=500&from={}", encode(&from)));
        ids.extend(
            spec_tests::event_ids(&page["chunk"])
                .into_iter()
                .map(str::to_owned),
        );
        match page["end"].as_str() {
            Some(end) if end != from => end.clone_into(&mut from),
            _ => return ids,
        }
    }
}

/// All messages of the room, event id and body, newest first.
fn page_back(alice: &User, room: &str) -> Vec<(String, String)> {
    let mut from = String::new();
    let mut messages = Vec::new();
    loop {
        let page = alice.messages(room, &format!("dir=b&limit=500{from}"));
        let events = page["chunk"].as_array().expect("chunk is an array");
        messages.extend(events.iter().filter_map(|event| {
            let body = event["content"]["body"].as_str()?;
            Some((event["event_id"].as_str()?.to_owned(), body.to_owned()))
        }));
        match page["end"].as_str() {
            Some(end) => from = format!("&from={}", encode(end)),
            None => return messages,
        }
    }
}

#[test]
fn a_room_is_whole_after_kill_9() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let bob = server.client().register("bob");
    let room = alice.create_room(json!({"preset": "public_chat", "name": "Kept"}));
    bob.join(&room);
    alice.set_state(&room, "m.room.topic", "", json!({"topic": "kept"}));
    let event = bob.say(&room, "kept");
    let redacted = bob.say(&room, "gone");
    alice.redact(&room, &redacted, None);
    let tag = format!(
        "/v3/user/{}/rooms/{}/tags/u.kept",
        encode(&alice.id),
        encode(&room)
    );
    alice.put(&tag, json!({})).ok();
    let since = alice.now();
    server.kill();
    server.start_again();
    let alice = alice.reconnected();
    let bob = bob.reconnected();
    assert_eq!(
        alice.get_state(&room, "m.room.topic", "").ok()["topic"],
        "kept"
    );
    assert_eq!(alice.membership_of(&room, &bob), "join");
    assert_eq!(
        alice.get_event(&room, &event).ok()["content"]["body"],
        "kept"
    );
    assert_eq!(alice.get_event(&room, &redacted).ok()["content"], json!({}));
    let tags = format!(
        "/v3/user/{}/rooms/{}/tags",
        encode(&alice.id),
        encode(&room)
    );
    assert_eq!(alice.get(&tags).ok()["tags"], json!({"u.kept": {}}));
    let next = bob.say(&room, "life goes on");
    let sync = alice.sync_since(&since);
    let timeline = &sync["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(spec_tests::event_ids(timeline), [next.as_str()]);
}

#[test]
fn a_registration_is_not_undone_by_kill_9() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    server.kill();
    server.start_again();
    let alice = alice.reconnected();
    alice.get("/v3/account/whoami").ok();
    let again = json!({
        "username": alice.localpart, "password": "long enough secret", "auth": {"type": "m.login.dummy"},
    });
    alice
        .without_token()
        .post("/v3/register", again)
        .fails(400, "M_USER_IN_USE");
}
