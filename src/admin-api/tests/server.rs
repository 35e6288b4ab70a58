use std::sync::{Arc, Mutex};

use administration::LogFilter;
use serde_json::json;
use test_support::TestServer;

use crate::administrator;

/// A log that takes whatever does not begin with `bad`.
#[derive(Default)]
struct Log(Mutex<String>);

impl LogFilter for Log {
    fn get(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, filter: &str) -> Result<(), String> {
        if filter.starts_with("bad") {
            return Err("it is bad".to_owned());
        }
        filter.clone_into(&mut self.0.lock().unwrap());
        Ok(())
    }
}

#[tokio::test]
async fn the_log_is_changed_and_it_is_written_down() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let path = "/_myelin/admin/v1/server/log";
    admin.get(path).await.is(404, "M_NOT_FOUND");
    let filter = json!({ "filter": "sync=debug" });
    admin.put(path, filter.clone()).await.is(404, "M_NOT_FOUND");
    let log = Arc::new(Log::default());
    server.services.administration.change_log_by(log);
    for _ in 0..2 {
        assert_eq!(admin.put(path, filter.clone()).await.ok(), filter);
    }
    assert_eq!(admin.get(path).await.ok(), filter);
    let bad = json!({ "filter": "bad" });
    let error = admin.put(path, bad).await.is(400, "M_INVALID_PARAM");
    assert_eq!(error["error"], "The filter: it is bad.");
    admin.put(path, json!({})).await.is(400, "M_BAD_JSON");
    assert_eq!(admin.get(path).await.ok(), filter);
    let audit = admin.get("/_myelin/admin/v1/audit").await.ok();
    assert_eq!(audit["deeds"][1]["action"], "server.log");
    assert_eq!(audit["deeds"][1]["details"], filter);
}

#[tokio::test]
async fn there_are_no_background_updates_and_nobody_is_told_otherwise() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let path = "/_synapse/admin/v1/background_updates";
    let status = admin.get(&format!("{path}/status")).await.ok();
    assert_eq!(status, json!({ "enabled": true, "current_updates": {} }));
    let enabled = format!("{path}/enabled");
    let yes = json!({ "enabled": true });
    assert_eq!(admin.get(&enabled).await.ok(), yes);
    assert_eq!(admin.post(&enabled, yes.clone()).await.ok(), yes);
    admin
        .post(&enabled, json!({ "enabled": false }))
        .await
        .is(400, "M_INVALID_PARAM");
    admin.post(&enabled, json!({})).await.is(400, "M_BAD_JSON");
    admin
        .post(
            &format!("{path}/start_job"),
            json!({ "job_name": "regenerate_directory" }),
        )
        .await
        .is(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn there_are_no_other_servers() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let path = "/_synapse/admin/v1/federation/destinations";
    let none = admin
        .get(&format!("{path}?from=0&limit=10&order_by=destination"))
        .await
        .ok();
    assert_eq!(none, json!({ "destinations": [], "total": 0 }));
    let one = format!("{path}/matrix.org");
    admin.get(&one).await.is(404, "M_NOT_FOUND");
    admin
        .get(&format!("{one}/rooms"))
        .await
        .is(404, "M_NOT_FOUND");
    let reset = format!("{one}/reset_connection");
    admin.post(&reset, json!({})).await.is(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn it_is_counted_what_there_is_and_who_syncs() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let (bob, carol) = (server.register("bob").await, server.register("carol").await);
    bob.post("/_matrix/client/v3/createRoom", json!({}))
        .await
        .ok();
    bob.get("/_matrix/client/v3/sync").await.ok();
    server.clock.advance(60_000);
    carol.get("/_matrix/client/v3/sync").await.ok();
    let statistics = admin.get("/_myelin/admin/v1/server/statistics").await.ok();
    assert_eq!(statistics["uptime_ms"], 60_000);
    assert_eq!(statistics["users"]["active"], 3);
    assert_eq!(
        (&statistics["rooms"]["all"], &statistics["rooms"]["joined"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (
            &statistics["sync"]["sessions"],
            &statistics["sync"]["requests"]
        ),
        (&json!(2), &json!(0))
    );
    assert!(
        statistics["memory_bytes"].as_u64().unwrap() > 1 << 20,
        "{statistics}"
    );
    let path = "/_myelin/admin/v1/server/sessions";
    let sessions = admin.get(&format!("{path}?limit=1")).await.ok();
    assert_eq!(
        (&sessions["total"], &sessions["next"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(sessions["sessions"][0]["user_id"], "@carol:localhost");
    let sessions = admin.get(&format!("{path}?from=1")).await.ok();
    let session = &sessions["sessions"][0];
    assert_eq!(
        (&session["user_id"], &session["rooms"]),
        (&json!("@bob:localhost"), &json!(1))
    );
    assert_eq!(session["last_used_ts"], test_support::START_MS);
}
