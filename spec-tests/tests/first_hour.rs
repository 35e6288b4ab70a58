//! A new administrator's first hour, from the first start to the day on which the disk dies, told by the commands of the README.

use std::process::Command;

use serde_json::json;
use spec_tests::{Client, Server, encode};

use crate::{
    admin_command_line::{admin, myelin},
    real_clients::{Paused, nio, node_script},
};

const PASSWORD: &str = "correct horse battery staple";

#[test]
fn a_new_administrators_first_hour() {
    let metrics = spec_tests::free_address().to_string();
    let mut server = Server::with(&[
        ("registration.mode", "\"token\""),
        ("metrics.listen", &format!("[\"{metrics}\"]")),
    ]);

    // The server runs. Its log says how the first administrator is made, and that command works.
    assert!(
        server.log().contains("myelin admin user create"),
        "{}",
        server.log()
    );
    let made = admin(
        &server,
        &["user", "create", "root", "--admin", "--password-stdin"],
        PASSWORD,
    )
    .ok();
    assert!(made.contains("an administrator"), "{made}");

    invite_people(&server);
    let mut js = node(&server);
    let mut python = python(&server);
    js.comes_to("backup");
    python.comes_to("backup");
    look_around(&server);
    let carol = log_in(&server, "carol", PASSWORD);
    reset_and_deactivate(&server, &carol);
    export_metrics(&metrics);

    // A backup of the running server; then life goes on, and what is said now will be lost.
    let backups = server.dir().join("backups");
    let backups = backups.to_str().unwrap();
    myelin(&server, &["backup", "create", "--to", backups], "").ok();
    myelin(&server, &["backup", "verify", backups], "").ok();
    for client in [&mut js, &mut python] {
        client.go_on();
        client.comes_to("destroy");
    }

    // The disk dies.
    server.kill();
    std::fs::remove_dir_all(server.dir().join("data")).unwrap();
    myelin(&server, &["backup", "restore", backups], "").ok();
    myelin(&server, &["check"], "").ok();
    server.start_again();

    // Sessions from before go on by themselves, with all of the history; so do passwords and accounts.
    for client in [&mut js, &mut python] {
        client.go_on();
    }
    js.ends_with("matrix-js-sdk, restored: all well");
    python.ends_with("matrix-nio, restored: all well");
    log_in(&server, "carol", "a password that was reset");
    let users = admin(&server, &["user", "list", "--deactivated"], "").ok();
    assert!(users.contains("@dave:localhost"), "{users}");
}

/// Five people come in by one token, which lets nobody else in.
fn invite_people(server: &Server) {
    let token = admin(server, &["--json", "token", "create", "--uses", "5"], "").json();
    let token = token["token"].as_str().unwrap();
    for name in ["alice", "bob", "nina", "carol", "dave"] {
        assert_eq!(register(server, name, token), 200, "{name}");
    }
    assert_eq!(register(server, "eve", token), 401);
}

/// Registers as clients do; gives the status of the last answer.
fn register(server: &Server, name: &str, token: &str) -> u16 {
    let client = server.client();
    let mut body = json!({ "username": name, "password": PASSWORD, "inhibit_login": true });
    let session = client.post("/v3/register", body.clone()).json();
    body["auth"] = json!({ "type": "m.login.registration_token", "token": token, "session": session["session"] });
    client.post("/v3/register", body).status
}

fn log_in(server: &Server, name: &str, password: &str) -> Client {
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": name },
        "password": password,
    });
    let login = server.client().post("/v3/login", body).ok();
    server
        .client()
        .with_token(login["access_token"].as_str().unwrap())
}

/// Two people who talk encrypted, with `matrix-js-sdk`.
fn node(server: &Server) -> Paused {
    let mut client = Command::new("node");
    client.arg(node_script("js", &["survive.mjs", "device.mjs"]));
    client.args([server.url(), "alice", "bob", PASSWORD]);
    Paused::start(client)
}

/// Somebody with a room of her own, with `matrix-nio`.
fn python(server: &Server) -> Paused {
    let mut client = nio("survive.py");
    client.args([server.url(), "nina", PASSWORD]);
    Paused::start(client)
}

/// Who and what is there, and why a room is as it is.
fn look_around(server: &Server) {
    let users = admin(server, &["user", "list"], "").ok();
    for name in ["root", "alice", "bob", "nina", "carol", "dave"] {
        assert!(users.contains(&format!("@{name}:localhost")), "{users}");
    }
    let rooms = admin(server, &["--json", "room", "list"], "").json();
    let rooms = rooms["rooms"].as_array().unwrap();
    let room = rooms.iter().find(|room| room["name"] == "nio").unwrap();
    let room = room["room_id"].as_str().unwrap();
    let shown = admin(server, &["room", "show", room], "").ok();
    assert!(shown.contains("@nina:localhost"), "{shown}");
    let why = admin(server, &["room", "explain", room, "m.room.topic"], "").ok();
    assert!(
        why.contains("backups") && why.contains("@nina:localhost"),
        "{why}"
    );
}

/// Carol forgot her password; Dave has left the company.
fn reset_and_deactivate(server: &Server, carol: &Client) {
    let new = "a password that was reset\n";
    admin(
        server,
        &["user", "reset-password", "carol", "--password-stdin"],
        new,
    )
    .ok();
    carol
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    let dave = log_in(server, "dave", PASSWORD);
    admin(server, &["user", "deactivate", "dave"], "").ok();
    dave.get("/v3/account/whoami").fails(401, "M_UNKNOWN_TOKEN");
    let profile = format!("/v3/profile/{}", encode("@carol:localhost"));
    server.client().get(&profile).ok();
}

/// What a monitoring system would fetch.
fn export_metrics(address: &str) {
    let metrics = Client::new(&format!("http://{address}")).get("/metrics");
    assert_eq!(metrics.status, 200);
    let text = metrics.text();
    for name in ["process_resident_memory_bytes", "myelin_"] {
        assert!(text.contains(name), "{text}");
    }
}
