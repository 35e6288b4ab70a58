use http::Method;
use serde_json::{Value, json};
use store::{
    RoomNid, Scan, Table,
    tables::{
        AccountData, AccountDataLog, Activity, Aliases, BlockedRooms, CurrentState, EventIds,
        Events, Farewells, Highlights, Log, Members, MembershipLog, Parents, PublishedRooms,
        ReadThreads, ReadUpTo, ReceiptLog, Receipts, Relations, RoomAliases, RoomHeads,
        SearchPostings, SearchTexts, StateHistory, StateLog, Threads, Timeline, Transactions,
        Uncounted, UserRooms,
    },
};
use test_support::{Client, TestServer};

use crate::administrator;

const V1: &str = "/_synapse/admin/v1/rooms";
const V2: &str = "/_synapse/admin/v2/rooms";
const V3: &str = "/_matrix/client/v3";

async fn public_room(client: &Client) -> String {
    let body = json!({
        "name": "Doomed",
        "room_alias_name": "doomed",
        "preset": "public_chat",
        "visibility": "public",
    });
    let made = client.post(&format!("{V3}/createRoom"), body).await.ok();
    made["room_id"].as_str().unwrap().to_owned()
}

async fn join(client: &Client, room: &str) {
    client
        .post(&format!("{V3}/join/{room}"), json!({}))
        .await
        .ok();
}

async fn say(client: &Client, room: &str, txn: &str, content: Value) -> String {
    let path = format!("{V3}/rooms/{room}/send/m.room.message/{txn}");
    let sent = client.put(&path, content).await.ok();
    sent["event_id"].as_str().unwrap().to_owned()
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

/// A bit of everything that leaves rows behind.
async fn live(alice: &Client, bob: &Client, room: &str) {
    let rooms = format!("{V3}/rooms/{room}");
    let first = say(alice, room, "1", text("hello everybody")).await;
    let mut loud = text("hello @room");
    loud["m.mentions"] = json!({ "room": true, "user_ids": [&bob.user_id] });
    let loud = say(alice, room, "2", loud).await;
    let mut reply = text("in a thread");
    reply["m.relates_to"] = json!({ "rel_type": "m.thread", "event_id": first });
    let reply = say(bob, room, "1", reply).await;
    let receipt = format!("{rooms}/receipt/m.read/{reply}");
    bob.post(&receipt, json!({})).await.ok();
    let redact = format!("{rooms}/redact/{loud}/3");
    alice.put(&redact, json!({})).await.ok();
    let tags = format!("{V3}/user/{}/rooms/{room}/tags/u.work", bob.user_id);
    bob.put(&tags, json!({ "order": 0.5 })).await.ok();
    let report = format!("{rooms}/report/{first}");
    bob.post(&report, json!({ "reason": "rude" })).await.ok();
    let body = json!({ "search_categories": { "room_events": { "search_term": "hello" } } });
    alice.post(&format!("{V3}/search"), body).await.ok();
}

async fn count<T: Table>(server: &TestServer, is: impl Fn(&T::Key, &T::Value) -> bool) -> usize {
    let store = server.services.rooms.store();
    let rows = store.scan::<T>(Scan::prefix::<T>(&())).await.unwrap();
    rows.iter().filter(|(key, value)| is(key, value)).count()
}

/// The rows that speak of a room, by table, of every table that could have one.
async fn rows_of(server: &TestServer, room: RoomNid) -> Vec<(&'static str, usize)> {
    let mut rows = Vec::new();
    macro_rules! count {
        ($($table:ident: |$key:pat_param, $value:pat_param| $is:expr;)*) => {$(
            rows.push(($table::NAME, count::<$table>(server, |$key, $value| $is).await));
        )*};
    }
    count! {
        EventIds: |_, (of, _)| *of == room;
        Aliases: |_, (of, _)| *of == room;
        RoomAliases: |(of, _), ()| *of == room;
        PublishedRooms: |of, ()| *of == room;
        SearchPostings: |(of, ..), _| *of == room;
        SearchTexts: |(of, _), _| *of == room;
        Events: |(of, _), _| *of == room;
        Timeline: |(of, _), _| *of == room;
        Log: |_, (of, _)| *of == room;
        Activity: |of, _| *of == room;
        Relations: |(of, ..), _| *of == room;
        Parents: |(of, _), ()| *of == room;
        Threads: |(of, _), _| *of == room;
        Uncounted: |(of, _), _| *of == room;
        CurrentState: |(of, _), _| *of == room;
        StateHistory: |(of, ..), _| *of == room;
        StateLog: |(of, ..), _| *of == room;
        Members: |(of, _), _| *of == room;
        UserRooms: |(_, of), _| *of == room;
        RoomHeads: |of, _| *of == room;
        MembershipLog: |_, row| row.room == room;
        AccountData: |(_, of, _), _| *of == room;
        AccountDataLog: |_, (of, _)| *of == room;
        Receipts: |(of, ..), _| *of == room;
        ReceiptLog: |(of, _), _| *of == room;
        ReadUpTo: |(of, _), _| *of == room;
        ReadThreads: |(of, _), _| *of == room;
        Highlights: |(_, of, _), ()| *of == room;
        Transactions: |(_, _, scope), _| {
            let number = room.0.to_string();
            scope.0.split(|byte| *byte == 0).nth(1) == Some(number.as_bytes())
        };
    }
    rows.retain(|(_, rows)| *rows > 0);
    rows
}

async fn nid(server: &TestServer, room: &str) -> RoomNid {
    let interner = server.services.rooms.store().interner();
    interner.find(room).await.unwrap().unwrap()
}

async fn ended(admin: &Client, id: &str) -> Value {
    loop {
        let status = admin.get(&format!("{V2}/delete_status/{id}")).await.ok();
        if !matches!(status["status"].as_str(), Some("scheduled" | "active")) {
            return status;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_deleted_room_leaves_no_row_behind() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    join(&bob, &room).await;
    live(&alice, &bob, &room).await;
    let number = nid(&server, &room).await;
    let before = rows_of(&server, number).await;
    assert!(before.len() >= 27, "{before:?}");
    let deleted = admin.delete(&format!("{V1}/{room}"), json!({})).await.ok();
    assert_eq!(
        deleted,
        json!({
            "kicked_users": [&alice.user_id, &bob.user_id],
            "failed_to_kick_users": [],
            "local_aliases": [],
            "new_room_id": null,
        })
    );
    assert_eq!(rows_of(&server, number).await, []);
    assert_eq!(count::<BlockedRooms>(&server, |_, _| true).await, 0);
    let reports = admin.get("/_myelin/admin/v1/reports").await.ok();
    assert_eq!(reports["reports"], json!([]));
    // Nobody knows it any more.
    admin
        .get(&format!("{V1}/{room}"))
        .await
        .is(404, "M_NOT_FOUND");
    let joining = alice.post(&format!("{V3}/join/{room}"), json!({})).await;
    joining.is(404, "M_NOT_FOUND");
    alice
        .get(&format!("{V3}/rooms/{room}/messages?dir=b"))
        .await
        .is(403, "M_FORBIDDEN");
    let sending = format!("{V3}/rooms/{room}/send/m.room.message/9");
    alice
        .put(&sending, text("hello?"))
        .await
        .is(403, "M_FORBIDDEN");
    let joined = alice.get(&format!("{V3}/joined_rooms")).await.ok();
    assert_eq!(joined["joined_rooms"], json!([]));
    let public = alice.get(&format!("{V3}/publicRooms")).await.ok();
    assert_eq!(public["chunk"], json!([]));
    // The alias is free.
    public_room(&bob).await;
    let again = admin.delete(&format!("{V1}/{room}"), json!({})).await;
    again.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn whoever_waits_is_told_and_whoever_was_away_too() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let carol = server.register("carol").await;
    let room = public_room(&alice).await;
    join(&bob, &room).await;
    let invite = json!({ "user_id": &carol.user_id });
    alice
        .post(&format!("{V3}/rooms/{room}/invite"), invite)
        .await
        .ok();
    let since = |synced: &Value| synced["next_batch"].as_str().unwrap().to_owned();
    let mut tokens = Vec::new();
    for client in [&alice, &bob, &carol] {
        tokens.push(since(&client.get(&format!("{V3}/sync")).await.ok()));
    }
    let waits = async {
        let mut from = tokens[0].clone();
        loop {
            let path = format!("{V3}/sync?since={from}&timeout=30000");
            let told = alice.get(&path).await.ok();
            // She hears, too, that the others are online.
            if !told["rooms"].is_null() {
                break told;
            }
            from = since(&told);
        }
    };
    let delete = format!("{V1}/{room}");
    let (told, _) = tokio::join!(waits, admin.delete(&delete, json!({})));
    let left = &told["rooms"]["leave"][&room]["timeline"]["events"];
    let last = left.as_array().unwrap_or_else(|| panic!("{told}"));
    let last = last.last().unwrap();
    assert_eq!(last["content"]["membership"], "leave", "{told}");
    // Those who come back later, and after a restart.
    let restarted = server.restart().await;
    for (name, token) in [("bob", &tokens[1]), ("carol", &tokens[2])] {
        let client = restarted.login(name).await;
        let told = client.get(&format!("{V3}/sync?since={token}")).await.ok();
        let left = &told["rooms"]["leave"][&room]["timeline"]["events"];
        assert_eq!(left[0]["content"]["membership"], "leave", "{name}: {told}");
        assert_eq!(left[0]["state_key"], format!("@{name}:localhost"));
        assert!(told["rooms"]["join"].is_null(), "{told}");
        // Once.
        let path = format!("{V3}/sync?since={}", since(&told));
        let told = client.get(&path).await.ok();
        assert!(told["rooms"].is_null(), "{told}");
        let fresh = client.get(&format!("{V3}/sync")).await.ok();
        assert!(fresh["rooms"].is_null(), "{fresh}");
    }
    assert!(count::<Farewells>(&restarted, |_, _| true).await >= 3);
}

#[tokio::test]
async fn everybody_moves_where_that_is_asked() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    join(&bob, &room).await;
    let body = json!({
        "new_room_user_id": &admin.user_id,
        "room_name": "Lobby",
        "message": "We have moved.",
        "block": true,
    });
    let started = admin.delete(&format!("{V2}/{room}"), body).await.ok();
    let id = started["delete_id"].as_str().unwrap();
    let status = ended(&admin, id).await;
    assert_eq!(
        (&status["status"], &status["room_id"], &status["delete_id"]),
        (&json!("complete"), &json!(room), &json!(id))
    );
    let result = &status["shutdown_room"];
    assert_eq!(result["local_aliases"], json!(["#doomed:localhost"]));
    let new = result["new_room_id"].as_str().unwrap();
    let joined = bob.get(&format!("{V3}/joined_rooms")).await.ok();
    assert_eq!(joined["joined_rooms"], json!([new]));
    let name = format!("{V3}/rooms/{new}/state/m.room.name");
    assert_eq!(bob.get(&name).await.ok()["name"], "Lobby");
    let page = format!("{V3}/rooms/{new}/messages?dir=b&limit=50");
    let page = bob.get(&page).await.ok().to_string();
    assert!(page.contains("We have moved."), "{page}");
    let path = format!("{V3}/rooms/{new}/send/m.room.message/1");
    bob.put(&path, text("may I?")).await.is(403, "M_FORBIDDEN");
    let alias = format!("{V3}/directory/room/%23doomed:localhost");
    assert_eq!(bob.get(&alias).await.ok()["room_id"], new);
    let by_room = admin.get(&format!("{V2}/{room}/delete_status")).await.ok();
    assert_eq!(by_room["results"], json!([status]));
    let joining = bob.post(&format!("{V3}/join/{room}"), json!({})).await;
    joining.is(403, "M_UNKNOWN");
}

#[tokio::test]
async fn a_room_can_be_emptied_and_kept() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = public_room(&bob).await;
    let path = format!("{V1}/{room}");
    admin.delete(&path, json!({ "purge": false })).await.ok();
    let shown = admin.get(&path).await.ok();
    assert_eq!(
        (&shown["joined_members"], &shown["public"]),
        (&json!(0), &json!(false))
    );
    // It is open again.
    join(&bob, &room).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let room = public_room(&admin).await;
    for body in [json!({ "block": "yes" }), json!({ "purge": 1 }), json!([])] {
        for version in [V1, V2] {
            let path = format!("{version}/{room}");
            let reply = admin.delete(&path, body.clone()).await;
            reply.is(400, "M_BAD_JSON");
        }
    }
    let elsewhere = json!({ "new_room_user_id": "@a:elsewhere.org" });
    let reply = admin.delete(&format!("{V2}/{room}"), elsewhere).await;
    reply.is(400, "M_INVALID_PARAM");
    let path = format!("{V2}/{room}");
    let reply = admin.send(Method::DELETE, &path, "{").await;
    reply.is(400, "M_BAD_JSON");
    for path in [
        format!("{V2}/!none:localhost"),
        format!("{V1}/!none:localhost"),
    ] {
        admin.delete(&path, json!({})).await.is(404, "M_NOT_FOUND");
    }
    let reply = admin.delete(&format!("{V2}/nonsense"), json!({})).await;
    reply.is(400, "M_INVALID_PARAM");
    for id in ["17", "x"] {
        let status = admin.get(&format!("{V2}/delete_status/{id}")).await;
        status.is(404, "M_NOT_FOUND");
    }
    let status = admin.get(&format!("{V2}/{room}/delete_status")).await;
    status.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn nobody_enters_a_blocked_room() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (alice, bob) = (server.register("alice").await, server.register("bob").await);
    let room = public_room(&alice).await;
    let path = format!("{V1}/{room}/block");
    assert_eq!(admin.get(&path).await.ok(), json!({ "block": false }));
    for _ in 0..2 {
        let blocked = admin.put(&path, json!({ "block": true })).await.ok();
        assert_eq!(blocked, json!({ "block": true }));
    }
    assert_eq!(
        admin.get(&path).await.ok(),
        json!({ "block": true, "user_id": &admin.user_id })
    );
    let joining = bob.post(&format!("{V3}/join/{room}"), json!({})).await;
    joining.is(403, "M_UNKNOWN");
    let invite = json!({ "user_id": &bob.user_id });
    let invite = alice
        .post(&format!("{V3}/rooms/{room}/invite"), invite)
        .await;
    invite.is(403, "M_UNKNOWN");
    let member = format!("{V3}/rooms/{room}/state/m.room.member/{}", bob.user_id);
    let member = bob.put(&member, json!({ "membership": "join" })).await;
    member.is(403, "M_UNKNOWN");
    let knock = bob.post(&format!("{V3}/knock/{room}"), json!({})).await;
    knock.is(403, "M_UNKNOWN");
    // Who is in stays in.
    say(&alice, &room, "1", text("still here")).await;
    admin.put(&path, json!({ "block": false })).await.ok();
    join(&bob, &room).await;
    admin.put(&path, json!({})).await.is(400, "M_BAD_JSON");
    // A room that is not known here, both ways.
    let path = format!("{V1}/!elsewhere:example.org/block");
    admin.put(&path, json!({ "block": true })).await.ok();
    assert_eq!(admin.get(&path).await.ok()["block"], true);
    let path = format!("{V1}/!other:example.org");
    let blocked = admin.delete(&path, json!({ "block": true })).await.ok();
    assert_eq!(blocked["kicked_users"], json!([]));
    assert_eq!(
        admin.get(&format!("{path}/block")).await.ok()["block"],
        true
    );
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok().to_string();
    assert!(
        audit.contains("room.block") && audit.contains("room.unblock"),
        "{audit}"
    );
}
