//! `myelin admin room …` and `task …`: rooms deleted and blocked, over `kill -9`, and what `myelin check` says then.

use std::process::Command;

use serde_json::{Value, json};
use spec_tests::{Server, User};

use crate::admin_command_line::{Ran, admin};

/// `myelin check` on a stopped server.
fn check(server: &Server) {
    let output = Command::new(Server::binary())
        .args(["check", "--config"])
        .arg(server.dir().join("myelin.toml"))
        .current_dir(server.dir())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("everything agrees"), "{told}");
}

fn json_of(ran: Ran) -> Value {
    serde_json::from_str(&ran.ok()).unwrap()
}

fn left(user: &User, room: &str, since: &str) {
    let told = user.sync_since(since);
    let events = &told["rooms"]["leave"][room]["timeline"]["events"];
    assert_eq!(events[0]["content"]["membership"], "leave", "{told}");
}

#[test]
fn a_room_is_deleted_and_blocked_at_the_command_line() {
    let mut server = Server::start();
    let (alice, bob) = (
        server.client().register("alice"),
        server.client().register("bob"),
    );
    let room = alice.create_room(json!({ "preset": "public_chat", "room_alias_name": "cats" }));
    bob.join(&room);
    alice.say(&room, "hello");
    let since = bob.now();
    let other = alice.public_room();
    admin(&server, &["room", "block", &other], "").ok();
    let joining = bob.post(&format!("/v3/join/{other}"), json!({}));
    assert!(
        joining.text().contains("has been blocked"),
        "{}",
        joining.text()
    );
    admin(&server, &["room", "unblock", &other], "").ok();
    bob.join(&other);
    let deleted = admin(&server, &["room", "delete", "#cats:localhost"], "").ok();
    assert!(deleted.contains("2 left it"), "{deleted}");
    left(&bob, &room, &since);
    let tasks = admin(&server, &["task", "list"], "").ok();
    assert!(
        tasks.contains("delete_room") && tasks.contains("done"),
        "{tasks}"
    );
    let tasks = json_of(admin(&server, &["--json", "task", "list"], ""));
    let id = tasks["tasks"][0]["id"].as_str().unwrap();
    let shown = admin(&server, &["task", "show", id], "").ok();
    assert!(shown.contains(&room), "{shown}");
    admin(&server, &["task", "wait", id], "").ok();
    admin(&server, &["task", "cancel", id], "").refused("M_UNKNOWN");
    server.terminate();
    check(&server);
    // Without a server it is done here and now.
    admin(&server, &["room", "delete", &other], "").ok();
    admin(&server, &["room", "show", &other], "").refused("M_NOT_FOUND");
    check(&server);
}

#[test]
fn a_deletion_goes_on_after_kill_9() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let mut members: Vec<User> = (0..12)
        .map(|_| server.client().register("member"))
        .collect();
    for member in &members {
        member.join(&room);
        member.say(&room, "hello");
    }
    let since: Vec<String> = members.iter().map(User::now).collect();
    let started = admin(
        &server,
        &["--json", "room", "delete", &room, "--block", "--background"],
        "",
    );
    let id = json_of(started)["id"].as_str().unwrap().to_owned();
    let mut kills = 0;
    // Cut off again and again, wherever it is then.
    while kills < 5 {
        server.kill();
        check(&server);
        server.start_again();
        kills += 1;
        let shown = json_of(admin(&server, &["--json", "task", "show", &id], ""));
        if shown["state"] == "done" {
            break;
        }
    }
    admin(&server, &["task", "wait", &id], "").ok();
    for (member, since) in members.iter_mut().zip(&since) {
        *member = member.reconnected();
        left(member, &room, since);
    }
    let joining = members[0].post(&format!("/v3/join/{room}"), json!({}));
    joining.fails_with_one_of(403, &["M_UNKNOWN"]);
    server.terminate();
    check(&server);
}

#[test]
fn history_is_removed_over_kill_9() {
    let mut server = Server::start();
    let (alice, bob) = (
        server.client().register("alice"),
        server.client().register("bob"),
    );
    let room = alice.public_room();
    bob.join(&room);
    let first = alice.say(&room, "the first");
    for number in 0..300 {
        alice.say(&room, &format!("noise {number}"));
    }
    let point = alice.say(&room, "from here on");
    let started = admin(
        &server,
        &[
            "--json",
            "room",
            "purge-history",
            &room,
            "--before",
            &point,
            "--background",
        ],
        "",
    );
    let id = json_of(started)["id"].as_str().unwrap().to_owned();
    server.kill();
    check(&server);
    server.start_again();
    admin(&server, &["task", "wait", &id], "").ok();
    let (alice, bob) = (alice.reconnected(), bob.reconnected());
    alice
        .get_event(&room, &first)
        .fails_with_one_of(404, &["M_NOT_FOUND"]);
    let page = bob.messages(&room, "dir=b&limit=100");
    let said: Vec<_> = page["chunk"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["content"]["body"].as_str())
        .collect();
    assert_eq!(said, ["from here on"]);
    let older = admin(
        &server,
        &["room", "purge-history", &room, "--older-than", "1000d"],
        "",
    );
    older.refused("M_NOT_FOUND");
    server.terminate();
    check(&server);
}

#[test]
fn power_and_ways_in_are_given_and_words_taken_back() {
    let server = Server::start();
    let (alice, mallory) = (
        server.client().register("alice"),
        server.client().register("mallory"),
    );
    let room = alice.create_room(json!({}));
    admin(&server, &["room", "join", &room, &mallory.id], "").ok();
    let spam = mallory.say(&room, "spam");
    let redacted = admin(
        &server,
        &["user", "redact", &mallory.id, "--reason", "spam"],
        "",
    )
    .ok();
    assert!(redacted.contains("redacted, 0 not"), "{redacted}");
    let event = alice.get_event(&room, &spam).ok();
    assert_eq!(event["content"], json!({}));
    admin(&server, &["room", "make-admin", &room, &mallory.id], "").ok();
    mallory.set_state(&room, "m.room.name", "", json!({ "name": "Mine" }));
    let told = admin(
        &server,
        &["notice", "send", &alice.id, "--text", "Good morning."],
        "",
    )
    .ok();
    assert_eq!(told, "1 were told.\n");
    let told = admin(
        &server,
        &["room", "send-notice", &room, "--text", "Hello."],
        "",
    )
    .ok();
    assert_eq!(told, "2 were told.\n");
    let invited = alice.sync(&[]);
    let invited = invited["rooms"]["invite"].as_object().unwrap();
    assert_eq!(invited.len(), 1, "{invited:?}");
    let everybody = admin(
        &server,
        &["notice", "send", "--everybody", "--text", "Good night."],
        "",
    )
    .ok();
    assert_eq!(everybody, "2 were told.\n");
}
