use administration::{DeleteRoom, Job, TaskState};
use serde_json::{Value, json};
use test_support::{Client, TestServer};

use crate::administrator;

const TASKS: &str = "/_myelin/admin/v1/tasks";
const V3: &str = "/_matrix/client/v3";

async fn room(client: &Client, members: &[&Client]) -> String {
    let body = json!({ "preset": "public_chat" });
    let made = client.post(&format!("{V3}/createRoom"), body).await.ok();
    let room = made["room_id"].as_str().unwrap().to_owned();
    for member in members {
        let path = format!("{V3}/join/{room}");
        member.post(&path, json!({})).await.ok();
    }
    room
}

fn deletion(room: &str) -> Job {
    Job::DeleteRoom(DeleteRoom {
        room_id: room.try_into().unwrap(),
        block: false,
        purge: true,
        force_purge: false,
        new_room_user_id: None,
        room_name: None,
        message: None,
    })
}

#[tokio::test]
async fn tasks_are_listed_and_shown() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    assert_eq!(
        admin.get(TASKS).await.ok(),
        json!({ "total": 0, "tasks": [] })
    );
    let doomed = room(&admin, &[]).await;
    let path = format!("/_synapse/admin/v1/rooms/{doomed}");
    admin.delete(&path, json!({ "block": true })).await.ok();
    let all = admin.get(TASKS).await.ok();
    let task = &all["tasks"][0];
    for (key, value) in [
        ("kind", json!("delete_room")),
        ("target", json!(doomed)),
        ("by", json!(admin.user_id)),
        ("state", json!("done")),
        ("error", Value::Null),
        ("done", task["total"].clone()),
        ("can_be_cancelled", json!(false)),
    ] {
        assert_eq!(task[key], value, "{key}: {task}");
    }
    assert_eq!(task["parameters"]["block"], true);
    assert!(task["total"].as_u64().unwrap() > 5, "{task}");
    let id = task["id"].as_str().unwrap();
    assert_eq!(&admin.get(&format!("{TASKS}/{id}")).await.ok(), task);
    let open = admin.get(&format!("{TASKS}?unfinished=true")).await.ok();
    assert_eq!(open["total"], 0);
    for id in ["1", "x"] {
        admin
            .get(&format!("{TASKS}/{id}"))
            .await
            .is(404, "M_NOT_FOUND");
        let path = format!("{TASKS}/{id}/cancel");
        admin.post(&path, json!({})).await.is(404, "M_NOT_FOUND");
    }
    let path = format!("{TASKS}/{id}/cancel");
    admin.post(&path, json!({})).await.is(409, "M_UNKNOWN");
    admin
        .get(&format!("{TASKS}?unfinished=perhaps"))
        .await
        .is(400, "M_INVALID_PARAM");
}

/// Many members, so that there are many steps in which it may be cut off.
#[tokio::test]
async fn a_task_that_is_cut_off_is_taken_up_again() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let mut members = Vec::new();
    for number in 0..120 {
        members.push(server.register(&format!("user{number}")).await);
    }
    let doomed = room(&admin, &members.iter().collect::<Vec<_>>()).await;
    let administration = &server.services.administration;
    let task = administration
        .start(deletion(&doomed), "test")
        .await
        .unwrap();
    let mut server = server;
    // However far it comes before it is cut off, at the latest after some rounds it is done.
    let mut rounds = 0;
    loop {
        let administration = &server.services.administration;
        let now = administration.task(task.id).await.unwrap().unwrap();
        if now.state.has_ended() {
            assert_eq!(now.state, TaskState::Done, "{now:?}");
            let kicked = now.result["kicked_users"].as_array().unwrap();
            assert_eq!(kicked.len(), 121);
            break;
        }
        for _ in 0..rounds {
            tokio::task::yield_now().await;
        }
        rounds += 1;
        server = server.restart().await;
    }
    let admin = server.login("admin").await;
    let path = format!("/_synapse/admin/v1/rooms/{doomed}");
    admin.get(&path).await.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn a_task_that_waits_is_cancelled_and_leaves_the_room_as_it_was() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let mut members = Vec::new();
    for number in 0..60 {
        members.push(server.register(&format!("user{number}")).await);
    }
    let first = room(&admin, &members.iter().collect::<Vec<_>>()).await;
    let second = room(&admin, &[]).await;
    let administration = &server.services.administration;
    let one = administration
        .start(deletion(&first), "test")
        .await
        .unwrap();
    let other = administration
        .start(deletion(&second), "test")
        .await
        .unwrap();
    let path = format!("{TASKS}/{}/cancel", other.id.0);
    let cancelled = admin.post(&path, json!({})).await.ok();
    assert_eq!(cancelled["state"], "cancelled");
    let one = administration.ended(one.id).await.unwrap();
    assert_eq!(one.state, TaskState::Done);
    let path = format!("/_synapse/admin/v1/rooms/{second}");
    let shown = admin.get(&path).await.ok();
    assert_eq!(shown["joined_members"], 1);
    let block = admin.get(&format!("{path}/block")).await.ok();
    assert_eq!(block, json!({ "block": false }));
    let status = format!("/_synapse/admin/v2/rooms/delete_status/{}", other.id.0);
    assert_eq!(admin.get(&status).await.ok()["status"], "failed");
}

#[tokio::test]
async fn the_history_is_bounded() {
    let server = TestServer::new().await;
    let administration = &server.services.administration;
    let job = || deletion("!none:localhost");
    for _ in 0..203 {
        let task = administration.start(job(), "test").await.unwrap();
        let task = administration.ended(task.id).await.unwrap();
        assert_eq!(task.state, TaskState::Failed);
        assert!(task.error.is_some());
    }
    assert_eq!(administration.tasks().await.unwrap().len(), 200);
}

#[tokio::test]
async fn tasks_are_told_as_synapse_tells_of_its_own() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let path = "/_synapse/admin/v1/scheduled_tasks";
    let none = json!({ "scheduled_tasks": [] });
    assert_eq!(admin.get(path).await.ok(), none);
    let doomed = room(&admin, &[]).await;
    let delete = format!("/_synapse/admin/v1/rooms/{doomed}");
    admin.delete(&delete, json!({})).await.ok();
    let all = admin.get(path).await.ok();
    let task = &all["scheduled_tasks"][0];
    for (key, value) in [
        ("action", json!("delete_room")),
        ("status", json!("complete")),
        ("resource_id", json!(doomed)),
        ("timestamp_ms", json!(test_support::START_MS)),
        ("error", Value::Null),
    ] {
        assert_eq!(task[key], value, "{key}: {task}");
    }
    for query in [
        "status=complete",
        "action_name=delete_room",
        &format!("resource_id={doomed}"),
        "max_timestamp=2000000000000",
    ] {
        assert_eq!(admin.get(&format!("{path}?{query}")).await.ok(), all);
    }
    for query in [
        "status=failed",
        "action_name=x",
        "resource_id=x",
        "max_timestamp=1",
    ] {
        assert_eq!(admin.get(&format!("{path}?{query}")).await.ok(), none);
    }
    let wrong = format!("{path}?max_timestamp=soon");
    admin.get(&wrong).await.is(400, "M_INVALID_PARAM");
}
