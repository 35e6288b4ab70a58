//! `myelin admin …` as somebody at a terminal uses it: beside a server that runs, with none, and over HTTP.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use spec_tests::{Client, Server, encode, room_path};

/// What a command printed and how it ended.
pub(crate) struct Ran {
    code: i32,
    out: String,
    error: String,
}

impl Ran {
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.error);
        self.out
    }

    /// The server said no, with this code.
    pub(crate) fn refused(self, errcode: &str) {
        assert_eq!(self.code, 1, "{}{}", self.out, self.error);
        assert!(self.error.contains(errcode), "{}", self.error);
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// Runs `myelin admin …` with the server's own configuration.
pub(crate) fn admin(server: &Server, arguments: &[&str], input: &str) -> Ran {
    myelin(server, &[&["admin"], arguments].concat(), input)
}

/// Runs `myelin …` with the server's own configuration.
pub(crate) fn myelin(server: &Server, arguments: &[&str], input: &str) -> Ran {
    let config = server.dir().join("myelin.toml");
    let mut command = Command::new(Server::binary());
    command
        .args(arguments)
        .arg("--config")
        .arg(config)
        .current_dir(server.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Logs in and gives the access token.
fn log_in(server: &Server, name: &str, password: &str) -> String {
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": name },
        "password": password,
    });
    let answer = server.client().post("/_matrix/client/v3/login", body).ok();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Somebody who is logged in.
fn user(server: &Server, name: &str, password: &str) -> Client {
    server.client().with_token(&log_in(server, name, password))
}

#[test]
fn an_account_lives_its_life_at_the_command_line() {
    let server = Server::start();
    let made = admin(
        &server,
        &["user", "create", "alice", "--admin", "--password-stdin"],
        "correct horse\n",
    )
    .ok();
    assert!(
        made.contains("@alice:localhost is there, an administrator."),
        "{made}"
    );
    let again = admin(&server, &["user", "create", "alice", "--generate"], "");
    assert_eq!(again.code, 1);
    assert!(again.error.contains("exists already"), "{}", again.error);
    let alice = user(&server, "alice", "correct horse");
    let bob = admin(
        &server,
        &["--json", "user", "create", "bob", "--generate"],
        "",
    )
    .json();
    let bob = user(&server, "bob", bob["password"].as_str().unwrap());
    let listed = admin(&server, &["user", "list"], "").ok();
    assert!(listed.starts_with("USER"), "{listed}");
    assert!(
        listed.contains("@alice:localhost") && listed.contains("admin"),
        "{listed}"
    );
    let devices = admin(&server, &["--json", "user", "devices", "bob"], "").json();
    assert_eq!(devices["total"], 1);
    admin(&server, &["user", "lock", "bob"], "").ok();
    bob.get("/_matrix/client/v3/account/whoami")
        .fails(401, "M_USER_LOCKED");
    admin(&server, &["user", "lock", "bob", "--undo"], "").ok();
    admin(
        &server,
        &["user", "reset-password", "bob", "--password-stdin"],
        "battery staple\n",
    )
    .ok();
    bob.get("/_matrix/client/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    let bob = user(&server, "bob", "battery staple");
    let token = admin(&server, &["user", "login-as", "bob"], "").ok();
    let as_bob = server.client().with_token(token.trim());
    assert_eq!(
        as_bob.get("/_matrix/client/v3/account/whoami").ok()["user_id"],
        "@bob:localhost"
    );
    let slow = [
        "user",
        "rate-limit",
        "bob",
        "--per-second",
        "1",
        "--burst",
        "2",
    ];
    let set = admin(&server, &slow, "").ok();
    assert_eq!(set, "bob: 1 messages a second, 2 at once.\n");
    let reset = admin(&server, &["user", "rate-limit", "bob", "--reset"], "").ok();
    assert_eq!(reset, "bob: as everybody.\n");
    admin(&server, &["user", "add-device", "bob", "ROBOT"], "").ok();
    let devices = admin(&server, &["user", "devices", "bob"], "").ok();
    assert!(devices.contains("ROBOT"), "{devices}");
    let room = bob.post("/v3/createRoom", json!({})).ok();
    let rooms = admin(&server, &["user", "rooms", "bob", "--all"], "").ok();
    assert!(rooms.contains(room["room_id"].as_str().unwrap()), "{rooms}");
    let files = admin(&server, &["user", "media", "bob"], "").ok();
    assert_eq!(files, "Nothing.\n");
    admin(&server, &["user", "promote", "bob"], "").ok();
    bob.get("/_synapse/admin/v2/users").ok();
    admin(&server, &["user", "demote", "bob"], "").ok();
    admin(&server, &["user", "logout", "bob"], "").ok();
    bob.get("/_matrix/client/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    admin(&server, &["user", "erase", "bob"], "").ok();
    let audit = admin(&server, &["server", "audit"], "").ok();
    for deed in ["user.login_as", "user.deactivate", "user.reset_password"] {
        assert!(audit.contains(deed), "{audit}");
    }
    alice.get("/_matrix/client/v3/account/whoami").ok();
}

#[test]
fn people_are_invited_by_a_token() {
    let server = Server::with(&[("registration.mode", "\"token\"")]);
    let made = admin(
        &server,
        &[
            "--json",
            "token",
            "create",
            "--uses",
            "1",
            "--expires",
            "7d",
        ],
        "",
    )
    .json();
    let token = made["token"].as_str().unwrap();
    let client = server.client();
    let mut body = json!({ "username": "carol", "password": "correct horse" });
    let session = client
        .post("/_matrix/client/v3/register", body.clone())
        .json();
    body["auth"] = json!({ "type": "m.login.registration_token", "token": token, "session": session["session"] });
    client.post("/_matrix/client/v3/register", body).ok();
    let listed = admin(&server, &["token", "list", "--valid"], "").ok();
    assert!(!listed.contains(token), "{listed}");
    admin(&server, &["token", "revoke", token], "").ok();
    let gone = admin(&server, &["token", "revoke", token], "");
    assert_eq!(gone.code, 1);
    assert!(gone.error.contains("M_NOT_FOUND"), "{}", gone.error);
}

#[test]
fn rooms_are_looked_at_and_explained_and_reports_closed() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.create_room(json!({ "name": "Cats", "room_alias_name": "cats" }));
    alice.set_state(&room, "m.room.name", "", json!({ "name": "Dogs" }));
    let listed = admin(&server, &["room", "list"], "").ok();
    assert!(
        listed.contains(&room) && listed.contains("Dogs"),
        "{listed}"
    );
    let shown = admin(&server, &["--json", "room", "show", "#cats:localhost"], "").json();
    assert_eq!(shown["room_id"], room.as_str());
    let members = admin(&server, &["room", "members", &room], "").ok();
    assert!(members.contains(&alice.id), "{members}");
    let state = admin(&server, &["room", "state", &room], "").ok();
    assert!(state.contains("m.room.power_levels"), "{state}");
    let why = admin(&server, &["room", "explain", &room, "m.room.name"], "").ok();
    let (dogs, cats) = (why.find("Dogs").unwrap(), why.find("Cats").unwrap());
    assert!(dogs < cats, "{why}");
    let event = alice.say(&room, "rude");
    let report = room_path(&room, &format!("report/{}", encode(&event)));
    alice.post(&report, json!({ "reason": "rude" })).ok();
    let reports = admin(&server, &["--json", "report", "list"], "").json();
    let id = reports["reports"][0]["id"].to_string();
    let shown = admin(&server, &["report", "show", &id], "").ok();
    assert!(shown.contains("rude") && shown.contains(&event), "{shown}");
    admin(&server, &["report", "close", &id], "").ok();
    let none = admin(&server, &["report", "list"], "").ok();
    assert_eq!(none, "Nobody has complained.\n");
}

#[test]
fn files_are_listed_and_deleted() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let headers = [("content-type", "text/plain")];
    let upload = |text: &[u8]| {
        let answer = alice.send("POST", "/_matrix/media/v3/upload", &headers, Some(text));
        answer.ok()["content_uri"].as_str().unwrap().to_owned()
    };
    let (one, other) = (upload(b"one"), upload(b"other"));
    let listed = admin(&server, &["media", "list", &alice.id], "").ok();
    assert!(listed.contains("text/plain"), "{listed}");
    let deleted = admin(&server, &["media", "delete", &one], "").ok();
    assert_eq!(deleted, "1 deleted.\n");
    let deleted = admin(
        &server,
        &["--json", "media", "delete", "--all-of", &alice.id],
        "",
    )
    .json();
    let id = other.rsplit('/').next().unwrap();
    assert_eq!(deleted["deleted_media"], json!([id]));
    let wrong = admin(&server, &["media", "delete", "nonsense"], "");
    assert_eq!(wrong.code, 2, "{}", wrong.error);
}

#[test]
fn a_file_is_put_into_quarantine_and_old_ones_are_purged() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let headers = [("content-type", "text/plain")];
    let upload = |text: &[u8]| {
        let answer = alice.send("POST", "/_matrix/media/v3/upload", &headers, Some(text));
        answer.ok()["content_uri"].as_str().unwrap().to_owned()
    };
    let (bad, large) = (upload(b"bad"), upload(&[7; 2_000]));
    let path = bad.replace("mxc://", "/v1/media/download/");
    admin(&server, &["media", "quarantine", &bad], "").ok();
    alice.get(&path).fails(404, "M_NOT_FOUND");
    let shown = admin(&server, &["media", "show", &bad], "").ok();
    assert!(shown.contains("in quarantine by  uid "), "{shown}");
    let listed = admin(&server, &["media", "list", &alice.id], "").ok();
    assert!(listed.contains("in quarantine by uid"), "{listed}");
    admin(&server, &["media", "unquarantine", &bad], "").ok();
    let again = alice.send("GET", &path, &[], None);
    assert_eq!(again.status, 200);
    admin(&server, &["media", "protect", &bad], "").ok();
    let room = alice.create_room(json!({}));
    alice.send_event(
        &room,
        "m.room.message",
        json!({ "msgtype": "m.file", "body": "b", "url": large }),
    );
    let listed = admin(&server, &["media", "list", "--room", &room], "").ok();
    assert!(listed.contains(&large), "{listed}");
    let all = admin(
        &server,
        &["--json", "media", "quarantine", "--all-of", &alice.id],
        "",
    )
    .json();
    assert_eq!(all["num_quarantined"], 1);
    let purged = admin(&server, &["media", "purge", "--older-than", "1d"], "").ok();
    assert_eq!(purged, "0 deleted.\n");
    let purged = admin(
        &server,
        &[
            "media",
            "purge",
            "--older-than",
            "0s",
            "--larger-than",
            "1k",
        ],
        "",
    )
    .ok();
    assert_eq!(purged, "1 deleted.\n");
    let purged = admin(&server, &["media", "purge", "--older-than", "0s"], "").ok();
    assert_eq!(purged, "0 deleted.\n", "it is protected");
}

#[test]
fn the_server_is_looked_into() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.create_room(json!({ "topic": "x".repeat(20_000) }));
    alice.sync(&[]);
    let headers = [("content-type", "text/plain")];
    let bytes = Some(&b"four"[..]);
    alice
        .send("POST", "/_matrix/media/v3/upload", &headers, bytes)
        .ok();
    let stats = admin(&server, &["server", "stats"], "").ok();
    assert!(
        stats.contains("running for") && stats.contains("MiB"),
        "{stats}"
    );
    let sessions = admin(&server, &["server", "sessions"], "").ok();
    assert!(sessions.contains(&alice.id), "{sessions}");
    let tables = admin(&server, &["--json", "storage", "usage"], "").json();
    assert!(tables["total"].as_u64() > Some(1_000), "{tables}");
    let rooms = admin(&server, &["storage", "usage", "--by", "room"], "").ok();
    assert!(rooms.contains(&room), "{rooms}");
    let users = admin(&server, &["storage", "usage", "--by", "user"], "").ok();
    assert!(
        users.contains(&alice.id) && users.contains("4 B"),
        "{users}"
    );
}

#[test]
fn the_log_says_more_until_the_server_stops() {
    let mut server = Server::start();
    let before = admin(&server, &["log", "level"], "").ok();
    let whoami = "/_matrix/client/v3/account/whoami";
    let set = admin(&server, &["log", "level", "debug"], "").ok();
    assert!(set.starts_with("debug, until the server stops"), "{set}");
    let length = server.log().len();
    server.client().get(whoami).fails(401, "M_MISSING_TOKEN");
    assert!(server.log()[length..].contains("DEBUG"), "{}", server.log());
    let wrong = admin(&server, &["log", "level", "sync=loud"], "");
    assert_eq!(wrong.code, 1);
    assert!(wrong.error.contains("M_INVALID_PARAM"), "{}", wrong.error);
    let audit = admin(&server, &["server", "audit"], "").ok();
    assert!(audit.contains("server.log"), "{audit}");
    server.terminate();
    let none = admin(&server, &["log", "level"], "");
    assert!(none.error.contains("No server runs here"), "{}", none.error);
    server.start_again();
    assert_eq!(admin(&server, &["log", "level"], "").ok(), before);
}

#[test]
fn a_stopped_server_is_looked_after_all_the_same() {
    let mut server = Server::start();
    admin(
        &server,
        &["user", "create", "alice", "--password-stdin"],
        "correct horse\n",
    )
    .ok();
    server.terminate();
    let info = admin(&server, &["--json", "server", "info"], "").json();
    assert_eq!(info["users"]["all"], 1);
    admin(
        &server,
        &["user", "reset-password", "alice", "--password-stdin"],
        "battery staple\n",
    )
    .ok();
    server.start_again();
    user(&server, "alice", "battery staple");
}

#[test]
fn where_no_server_is_it_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(Server::binary())
        .args(["admin", "user", "list", "-O"])
        .arg(format!(
            "data_dir=\"{}\"",
            directory.path().join("none").display()
        ))
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("no server runs here"), "{error}");
    assert!(
        !directory.path().join("none").exists(),
        "a look must not leave a directory behind"
    );
}

#[test]
fn a_server_elsewhere_wants_an_administrators_token() {
    let server = Server::start();
    admin(
        &server,
        &["user", "create", "alice", "--admin", "--password-stdin"],
        "correct horse\n",
    )
    .ok();
    admin(
        &server,
        &["user", "create", "bob", "--password-stdin"],
        "correct horse\n",
    )
    .ok();
    let ask = |token: Option<&str>| {
        let mut command = Command::new(Server::binary());
        command.args(["admin", "--url", server.url(), "user", "list"]);
        command.env_remove("MYELIN_ADMIN_TOKEN");
        if let Some(token) = token {
            command.env("MYELIN_ADMIN_TOKEN", token);
        }
        let output = command.output().unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code(), text)
    };
    let token = |name: &str| log_in(&server, name, "correct horse");
    let (code, text) = ask(Some(&token("alice")));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("@bob:localhost"), "{text}");
    let (code, text) = ask(Some(&token("bob")));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("M_FORBIDDEN"), "{text}");
    let (code, text) = ask(None);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("MYELIN_ADMIN_TOKEN"), "{text}");
}

#[test]
fn shells_and_manuals_are_served() {
    let (success, script, error) = Server::command(&["completions", "bash"], &[]);
    assert!(success, "{error}");
    assert!(script.contains("reset-password"), "{script}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let (success, _, error) = Server::command(&["man", path], &[]);
    assert!(success, "{error}");
    let page =
        std::fs::read_to_string(directory.path().join("myelin-admin-user-create.1")).unwrap();
    assert!(page.contains("Examples"), "{page}");
}
