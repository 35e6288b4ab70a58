//! Nobody but an administrator gets anything.

use http::Method;
use test_support::TestServer;

/// Every path and its methods; `tidy` in this file compares the list with the routes.
const ENDPOINTS: &[(&str, &[Method])] = &[
    ("/_synapse/admin/v2/users", &[Method::GET]),
    ("/_synapse/admin/v3/users", &[Method::GET]),
    (
        "/_synapse/admin/v2/users/{user_id}",
        &[Method::GET, Method::PUT],
    ),
    ("/_synapse/admin/v1/username_available", &[Method::GET]),
    ("/_synapse/admin/v1/deactivate/{user_id}", &[Method::POST]),
    (
        "/_synapse/admin/v1/reset_password/{user_id}",
        &[Method::POST],
    ),
    ("/_synapse/admin/v1/suspend/{user_id}", &[Method::PUT]),
    ("/_myelin/admin/v1/lock/{user_id}", &[Method::PUT]),
    (
        "/_synapse/admin/v1/users/{user_id}/admin",
        &[Method::GET, Method::PUT],
    ),
    ("/_synapse/admin/v1/users/{user_id}/login", &[Method::POST]),
    (
        "/_synapse/admin/v1/users/{user_id}/joined_rooms",
        &[Method::GET],
    ),
    ("/_synapse/admin/v1/users/{user_id}/pushers", &[Method::GET]),
    (
        "/_synapse/admin/v1/users/{user_id}/accountdata",
        &[Method::GET],
    ),
    ("/_synapse/admin/v1/whois/{user_id}", &[Method::GET]),
    (
        "/_synapse/admin/v2/users/{user_id}/devices",
        &[Method::GET, Method::POST],
    ),
    (
        "/_synapse/admin/v1/users/{user_id}/memberships",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/users/{user_id}/cumulative_joined_room_count",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/users/{user_id}/override_ratelimit",
        &[Method::GET, Method::POST, Method::DELETE],
    ),
    (
        "/_synapse/admin/v1/auth_providers/p/users/x",
        &[Method::GET],
    ),
    ("/_synapse/admin/v1/threepid/email/users/x", &[Method::GET]),
    (
        "/_synapse/admin/v2/users/{user_id}/devices/{device_id}",
        &[Method::GET, Method::PUT, Method::DELETE],
    ),
    (
        "/_synapse/admin/v2/users/{user_id}/delete_devices",
        &[Method::POST],
    ),
    ("/_myelin/admin/v1/users/{user_id}/logout", &[Method::POST]),
    ("/_synapse/admin/v1/registration_tokens", &[Method::GET]),
    (
        "/_synapse/admin/v1/registration_tokens/new",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/registration_tokens/{token}",
        &[Method::GET, Method::PUT, Method::DELETE],
    ),
    (
        "/_synapse/admin/v1/users/{user_id}/media",
        &[Method::GET, Method::DELETE],
    ),
    (
        "/_synapse/admin/v1/media/{server_name}/{media_id}",
        &[Method::GET, Method::DELETE],
    ),
    ("/_synapse/admin/v1/media/delete", &[Method::POST]),
    (
        "/_synapse/admin/v1/media/{server_name}/delete",
        &[Method::POST],
    ),
    ("/_synapse/admin/v1/purge_media_cache", &[Method::POST]),
    (
        "/_synapse/admin/v1/media/quarantine/{server_name}/{media_id}",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/media/unquarantine/{server_name}/{media_id}",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/media/protect/{media_id}",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/media/unprotect/{media_id}",
        &[Method::POST],
    ),
    ("/_synapse/admin/v1/room/{room_id}/media", &[Method::GET]),
    (
        "/_synapse/admin/v1/room/{room_id}/media/quarantine",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/quarantine_media/{room_id}",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/user/{user_id}/media/quarantine",
        &[Method::POST],
    ),
    ("/_synapse/admin/v1/rooms", &[Method::GET]),
    (
        "/_synapse/admin/v1/rooms/{room_id}",
        &[Method::GET, Method::DELETE],
    ),
    ("/_synapse/admin/v2/rooms/{room_id}", &[Method::DELETE]),
    (
        "/_synapse/admin/v2/rooms/{room_id}/delete_status",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v2/rooms/delete_status/{delete_id}",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/rooms/{room_id}/block",
        &[Method::GET, Method::PUT],
    ),
    (
        "/_synapse/admin/v1/rooms/{room_id}/messages",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/rooms/{room_id}/context/{event_id}",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/rooms/{room_id}/timestamp_to_event",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/rooms/{room_id}/forward_extremities",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/rooms/{room_id}/hierarchy",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/purge_history/{room_id}",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/purge_history/{room_id}/{event_id}",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/purge_history_status/{purge_id}",
        &[Method::GET],
    ),
    ("/_synapse/admin/v1/scheduled_tasks", &[Method::GET]),
    (
        "/_synapse/admin/v1/join/{room_id_or_alias}",
        &[Method::POST],
    ),
    (
        "/_synapse/admin/v1/rooms/{room_id}/make_room_admin",
        &[Method::POST],
    ),
    ("/_synapse/admin/v1/user/{user_id}/redact", &[Method::POST]),
    (
        "/_synapse/admin/v1/user/redact_status/{redact_id}",
        &[Method::GET],
    ),
    ("/_synapse/admin/v1/send_server_notice", &[Method::POST]),
    (
        "/_synapse/admin/v1/send_server_notice/{txn_id}",
        &[Method::PUT],
    ),
    ("/_myelin/admin/v1/tasks", &[Method::GET]),
    ("/_myelin/admin/v1/tasks/{task_id}", &[Method::GET]),
    ("/_myelin/admin/v1/tasks/{task_id}/cancel", &[Method::POST]),
    ("/_synapse/admin/v1/rooms/{room_id}/members", &[Method::GET]),
    ("/_synapse/admin/v1/rooms/{room_id}/state", &[Method::GET]),
    ("/_myelin/admin/v1/rooms/{room_id}/explain", &[Method::GET]),
    ("/_synapse/admin/v1/event_reports", &[Method::GET]),
    (
        "/_synapse/admin/v1/event_reports/{report_id}",
        &[Method::GET, Method::DELETE],
    ),
    ("/_myelin/admin/v1/reports", &[Method::GET]),
    ("/_synapse/admin/v1/server_version", &[Method::GET]),
    (
        "/_synapse/admin/v1/background_updates/status",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/background_updates/enabled",
        &[Method::GET, Method::POST],
    ),
    (
        "/_synapse/admin/v1/background_updates/start_job",
        &[Method::POST],
    ),
    ("/_synapse/admin/v1/federation/destinations", &[Method::GET]),
    (
        "/_synapse/admin/v1/federation/destinations/a.org",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/federation/destinations/a.org/rooms",
        &[Method::GET],
    ),
    (
        "/_synapse/admin/v1/federation/destinations/a.org/reset_connection",
        &[Method::POST],
    ),
    ("/_synapse/admin/v1/statistics/users/media", &[Method::GET]),
    (
        "/_synapse/admin/v1/statistics/database/rooms",
        &[Method::GET],
    ),
    ("/_myelin/admin/v1/storage/tables", &[Method::GET]),
    ("/_myelin/admin/v1/server", &[Method::GET]),
    ("/_myelin/admin/v1/server/statistics", &[Method::GET]),
    ("/_myelin/admin/v1/server/sessions", &[Method::GET]),
    ("/_myelin/admin/v1/server/log", &[Method::GET, Method::PUT]),
    ("/_myelin/admin/v1/audit", &[Method::GET]),
    ("/_myelin/admin/v1/checkpoints", &[Method::POST]),
    ("/_myelin/admin/v1/doctor", &[Method::POST]),
];

#[tokio::test]
async fn without_a_token_and_with_a_users_there_is_nothing() {
    let server = TestServer::new().await;
    let alice = server.register("alice").await;
    for (path, methods) in ENDPOINTS {
        let path = path
            .replace("{user_id}", "@alice:localhost")
            .replace("{device_id}", &alice.device_id)
            .replace("{token}", "none")
            .replace("{room_id}", "!room:localhost")
            .replace("{report_id}", "1")
            .replace("{server_name}", "localhost")
            .replace("{media_id}", "x")
            .replace("{event_id}", "$event")
            .replace("{room_id_or_alias}", "!room:localhost")
            .replace("{redact_id}", "1")
            .replace("{txn_id}", "1")
            .replace("{delete_id}", "1")
            .replace("{purge_id}", "1")
            .replace("{task_id}", "1");
        for method in *methods {
            let anyone = server.anyone();
            let reply = anyone.send(method.clone(), &path, "{}").await;
            reply.is(401, "M_MISSING_TOKEN");
            let reply = alice.send(method.clone(), &path, "{}").await;
            reply.is(403, "M_FORBIDDEN");
            let nobody = alice.with_token("syt_nobody_has_this");
            let reply = nobody.send(method.clone(), &path, "{}").await;
            reply.is(401, "M_UNKNOWN_TOKEN");
        }
    }
}

/// What writes files on the server's machine is for its owner alone.
#[tokio::test]
async fn an_administrator_elsewhere_makes_no_checkpoint() {
    let server = TestServer::new().await;
    let admin = crate::administrator(&server).await;
    let reply = admin.send(Method::POST, "/_myelin/admin/v1/checkpoints", "{}");
    reply.await.is(403, "M_FORBIDDEN");
    let folder = server.services.config.data_dir.join("checkpoints");
    assert!(!folder.exists());
}

#[test]
fn no_path_is_forgotten() {
    let routes = [include_str!("../lib.rs"), include_str!("../doctor.rs")];
    let paths: usize = routes
        .iter()
        .map(|file| file.matches(".route(").count())
        .sum();
    // One asks for a key, not for an administrator: doctor.rs beside this file.
    assert_eq!(
        paths,
        ENDPOINTS.len() + 1,
        "a route has no line above, or the other way round"
    );
}
