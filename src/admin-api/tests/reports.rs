use serde_json::json;
use test_support::TestServer;

use crate::administrator;

const EVENTS: &str = "/_synapse/admin/v1/event_reports";

#[tokio::test]
async fn reports_are_read_and_closed() {
    let server = TestServer::new().await;
    let admin = administrator(&server).await;
    let bob = server.register("bob").await;
    let room = bob
        .post("/_matrix/client/v3/createRoom", json!({ "name": "Cats" }))
        .await
        .ok();
    let room = room["room_id"].as_str().unwrap();
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let sent = bob
        .put(&send, json!({ "msgtype": "m.text", "body": "rude" }))
        .await
        .ok();
    let event = sent["event_id"].as_str().unwrap();
    let reason = json!({ "reason": "it is rude" });
    let report = format!("/_matrix/client/v3/rooms/{room}/report");
    bob.post(&format!("{report}/{event}"), reason.clone())
        .await
        .ok();
    bob.post(&report, reason.clone()).await.ok();
    bob.post("/_matrix/client/v3/users/@admin:localhost/report", reason)
        .await
        .ok();
    let all = admin.get("/_myelin/admin/v1/reports?limit=2").await.ok();
    let kinds = |answer: &serde_json::Value| -> Vec<String> {
        let reports = answer["reports"].as_array().unwrap().iter();
        reports
            .map(|report| report["what"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds(&all), ["user", "room"]);
    let rest = format!("/_myelin/admin/v1/reports?limit=2&before={}", all["next"]);
    assert_eq!(kinds(&admin.get(&rest).await.ok()), ["event"]);
    let events = admin.get(EVENTS).await.ok();
    assert_eq!(events["total"], 1);
    let first = &events["event_reports"][0];
    assert_eq!(
        (
            &first["event_id"],
            &first["user_id"],
            &first["sender"],
            &first["name"],
            &first["reason"]
        ),
        (
            &json!(event),
            &json!("@bob:localhost"),
            &json!("@bob:localhost"),
            &json!("Cats"),
            &json!("it is rude")
        )
    );
    let one = format!("{EVENTS}/{}", first["id"]);
    let shown = admin.get(&one).await.ok();
    assert_eq!(shown["event_json"]["content"]["body"], "rude");
    admin.delete(&one, json!({})).await.ok();
    admin.delete(&one, json!({})).await.is(404, "M_NOT_FOUND");
    admin.get(&one).await.is(404, "M_NOT_FOUND");
    assert_eq!(admin.get(EVENTS).await.ok()["total"], 0);
    admin
        .get(&format!("{EVENTS}?dir=up"))
        .await
        .is(400, "M_INVALID_PARAM");
    admin
        .get(&format!("{EVENTS}/nonsense"))
        .await
        .is(400, "M_INVALID_PARAM");
}
