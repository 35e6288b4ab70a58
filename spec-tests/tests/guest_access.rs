//! [Guest access](https://spec.matrix.org/v1.19/client-server-api/#guest-access), and the deprecated ways to sync.

use serde_json::json;
use spec_tests::{Client, Response, Server, encode, room_path, user};

fn open_server() -> Server {
    Server::with(&[("registration.guests", "true")])
}

fn guest(client: &Client) -> (Client, String) {
    let answer = client.post("/v3/register?kind=guest", json!({})).ok();
    let token = answer["access_token"].as_str().unwrap();
    let user_id = answer["user_id"].as_str().unwrap();
    (client.with_token(token), user_id.to_owned())
}

fn join(client: &Client, room: &str) -> Response {
    client.post(&room_path(room, "join"), json!({}))
}

#[test]
fn guests_are_not_admitted_by_default() {
    let client = spec_tests::anonymous();
    client
        .post("/v3/register?kind=guest", json!({}))
        .fails(403, "M_GUEST_ACCESS_FORBIDDEN");
}

#[test]
fn a_guest_talks_where_guests_may_until_they_may_no_longer() {
    let server = open_server();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let (guest, guest_id) = guest(&server.client());
    let who = guest.get("/v3/account/whoami").ok();
    assert_eq!(who["is_guest"], true);
    join(&guest, &room).fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    let admit = |access: &str| {
        let content = json!({"guest_access": access});
        alice.set_state(&room, "m.room.guest_access", "", content);
    };
    admit("can_join");
    join(&guest, &room).ok();
    let path = room_path(&room, "send/m.room.message/1");
    let message = json!({"msgtype": "m.text", "body": "just looking"});
    guest.put(&path, message.clone()).ok();
    guest
        .post("/v3/createRoom", json!({}))
        .fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    guest
        .get("/v3/joined_rooms")
        .fails(403, "M_GUEST_ACCESS_FORBIDDEN");
    admit("forbidden");
    let member = alice.get_state(&room, "m.room.member", &guest_id).ok();
    assert_eq!(member["membership"], "leave");
    let path = room_path(&room, "send/m.room.message/2");
    guest.put(&path, message).fails(403, "M_FORBIDDEN");
}

#[test]
fn a_guest_becomes_a_user() {
    let server = open_server();
    let answer = server
        .client()
        .post("/v3/register?kind=guest", json!({}))
        .ok();
    let user_id = answer["user_id"].as_str().unwrap();
    let localpart = user_id[1..].split(':').next().unwrap();
    let body = json!({
        "username": localpart,
        "password": "a good long password",
        "guest_access_token": answer["access_token"],
        "auth": {"type": "m.login.dummy"},
    });
    let upgraded = server.client().post("/v3/register", body).ok();
    assert_eq!(upgraded["user_id"], user_id);
    let user = server
        .client()
        .with_token(upgraded["access_token"].as_str().unwrap());
    user.post("/v3/createRoom", json!({})).ok();
    let guest = server
        .client()
        .with_token(answer["access_token"].as_str().unwrap());
    guest
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
}

#[test]
fn the_old_stream_goes_on_where_the_old_initial_sync_ends() {
    let (alice, bob) = (user("alice"), user("bob"));
    let room = alice.public_room();
    bob.join(&room);
    alice.say(&room, "before");
    let initial = bob.get("/v3/initialSync?limit=5").ok();
    let rooms = initial["rooms"].as_array().unwrap();
    let told = rooms.iter().find(|told| told["room_id"] == *room).unwrap();
    let chunk = told["messages"]["chunk"].as_array().unwrap();
    assert_eq!(chunk.last().unwrap()["content"]["body"], "before");
    let end = initial["end"].as_str().unwrap();
    let path = format!("/v3/events?from={}&timeout=20000", encode(end));
    let (answer, event) = std::thread::scope(|scope| {
        let bob = &bob;
        let waiting = scope.spawn(move || bob.get(&path).ok());
        let event = alice.say(&room, "after");
        (waiting.join().unwrap(), event)
    });
    assert_eq!(answer["chunk"][0]["event_id"], event.as_str());
    assert_eq!(answer["chunk"][0]["room_id"], room.as_str());
}

#[test]
fn who_is_logged_out_waits_no_longer() {
    let alice = user("alice");
    let laptop = alice.log_in_again();
    let since = laptop.now();
    let path = format!("/v3/sync?since={}&timeout=60000", encode(&since));
    let started = std::time::Instant::now();
    let answer = std::thread::scope(|scope| {
        let laptop = &laptop;
        let waiting = scope.spawn(move || laptop.get(&path));
        laptop.post("/v3/logout", json!({})).ok();
        waiting.join().unwrap()
    });
    answer.fails(401, "M_UNKNOWN_TOKEN");
    assert!(started.elapsed().as_secs() < 30);
}
