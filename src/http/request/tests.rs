use axum::{
    Router,
    body::{Body, to_bytes},
    routing::post,
};
use http::Request;
use ruma::api::client::{
    account::whoami,
    alias::get_alias,
    filter::create_filter,
    membership::join_room_by_id,
    message::{get_message_events, send_message_event},
    room::get_room_event,
    state::{get_state_event_for_key, send_state_event},
    typing::create_typing_event,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::depth;
use crate::{BodyLimits, Endpoints, Frame, MatrixRequest, frame, json as answer};

/// Endpoints that show what they were asked.
fn router() -> Router {
    fn show(value: &Value) -> axum::response::Response {
        answer(http::StatusCode::OK, value)
    }
    let router = Router::new()
        .endpoint::<create_typing_event::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<create_typing_event::v3::Request>| {
                show(&json!([r.room_id, r.user_id]))
            },
        )
        .endpoint::<get_alias::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<get_alias::v3::Request>| {
                show(&json!(r.room_alias))
            },
        )
        .endpoint::<get_room_event::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<get_room_event::v3::Request>| {
                show(&json!(r.event_id))
            },
        )
        .endpoint::<get_state_event_for_key::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<get_state_event_for_key::v3::Request>| {
                show(&json!([r.event_type.to_string(), r.state_key]))
            },
        )
        .endpoint::<send_state_event::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<send_state_event::v3::Request>| {
                show(&json!([r.event_type.to_string(), r.state_key, r.body]))
            },
        )
        .endpoint::<get_message_events::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<get_message_events::v3::Request>| {
                show(&json!([r.limit, r.from, r.filter.limit]))
            },
        )
        .endpoint::<join_room_by_id::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<join_room_by_id::v3::Request>| {
                show(&json!(r.reason))
            },
        )
        .endpoint::<send_message_event::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<send_message_event::v3::Request>| {
                show(&json!(r.body))
            },
        )
        .endpoint::<create_filter::v3::Request, _>(
            async |MatrixRequest(r): MatrixRequest<create_filter::v3::Request>| {
                show(&json!(r.filter))
            },
        )
        .endpoint::<whoami::v3::Request, _>(
            async |MatrixRequest(_): MatrixRequest<whoami::v3::Request>| show(&json!("whoami")),
        )
        .route(
            "/read",
            post(async |request: axum::extract::Request| {
                let (parts, body) = request.into_parts();
                super::read_body(&parts, body)
                    .await
                    .map(|body| body.len().to_string())
            }),
        );
    frame(router, Frame::default())
}

async fn ask(method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("/_matrix/client/{path}"))
        .body(body.into())
        .unwrap();
    let response = router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

#[tokio::test]
async fn paths_are_decoded() {
    for (method, path, body, expected) in [
        (
            "PUT",
            "v3/rooms/!a%2Fb:x.org/typing/%40alice%3Ax.org",
            r#"{"typing":false}"#,
            json!(["!a/b:x.org", "@alice:x.org"]),
        ),
        (
            "PUT",
            "r0/rooms/!a:x.org/typing/@a:x.org",
            r#"{"typing":false}"#,
            json!(["!a:x.org", "@a:x.org"]),
        ),
        (
            "GET",
            "v3/directory/room/%23b%20%C3%A9:x.org",
            "",
            json!("#b é:x.org"),
        ),
        (
            "GET",
            "v3/rooms/!a:x.org/event/$ab%2Fcd+e",
            "",
            json!("$ab/cd+e"),
        ),
        (
            "GET",
            "v3/rooms/!onlyhash31/event/$e:x.org",
            "",
            json!("$e:x.org"),
        ),
    ] {
        assert_eq!(ask(method, path, body).await, (200, expected), "{path}");
    }
}

#[tokio::test]
async fn an_empty_state_key_may_be_left_out() {
    for (path, key) in [
        ("state/m.room.name", ""),
        ("state/m.room.name/", ""),
        ("state/m.room.name/%20", " "),
        ("state/m.room.name/a%2Fb", "a/b"),
    ] {
        let path = format!("v3/rooms/!a:x.org/{path}");
        assert_eq!(
            ask("GET", &path, "").await,
            (200, json!(["m.room.name", key])),
            "{path}"
        );
        let put = ask("PUT", &path, r#"{"name":"x"}"#).await;
        assert_eq!(
            put,
            (200, json!(["m.room.name", key, {"name":"x"}])),
            "{path}"
        );
    }
}

#[tokio::test]
async fn bad_paths_are_refused() {
    for path in [
        "v3/rooms/a:x.org/event/$e",
        "v3/rooms/!a:x.org/event/e",
        "v3/rooms/!a%FF:x.org/event/$e",
        "v3/directory/room/nonsense",
    ] {
        let (status, body) = ask("GET", path, "").await;
        assert_eq!(
            (status, &body["errcode"]),
            (400, &json!("M_INVALID_PARAM")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_empty_body_is_an_empty_object() {
    for body in ["", " \n", "{}", r#"{"unknown":[1.5,null]}"#] {
        assert_eq!(
            ask("POST", "v3/rooms/!a:x.org/join", body).await,
            (200, Value::Null),
            "{body:?}"
        );
    }
}

#[tokio::test]
async fn bad_bodies_are_refused() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let not_json = [
        b"{".to_vec(),
        b"nonsense".to_vec(),
        b"{\"a\":\xff}".to_vec(),
        deep.into_bytes(),
    ];
    for body in not_json {
        let (status, answer) = ask("POST", "v3/rooms/!a:x.org/join", body.clone()).await;
        assert_eq!(
            (status, &answer["errcode"]),
            (400, &json!("M_NOT_JSON")),
            "{body:?}"
        );
    }
    for body in [
        "[]",
        "null",
        "7",
        "\"{}\"",
        r#"{"reason":7}"#,
        r#"{"reason":{}}"#,
        r#"["x"]"#,
    ] {
        let (status, answer) = ask("POST", "v3/rooms/!a:x.org/join", body).await;
        assert_eq!(
            (status, &answer["errcode"]),
            (400, &json!("M_BAD_JSON")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn invalid_utf8_within_a_string_is_no_json() {
    let body = b"{\"body\":\"\xff\xfe\"}".to_vec();
    let (status, answer) = ask("PUT", "v3/rooms/!a:x.org/send/m.room.message/1", body).await;
    assert_eq!((status, &answer["errcode"]), (400, &json!("M_NOT_JSON")));
}

#[tokio::test]
async fn odd_queries_are_tolerated() {
    let messages = "v3/rooms/!a:x.org/messages";
    for (query, expected) in [
        ("dir=b&limit=5", json!([5, null, {}])),
        ("dir=b&limit=5&limit=9", json!([5, null, {}])),
        ("dir=b&limit=", json!([10, null, {}])),
        ("dir=b&unknown=1&&=&a", json!([10, null, {}])),
        ("dir=b&from=%F0%9F&limit=1", json!([1, "\u{fffd}", {}])),
    ] {
        let (status, answer) = ask("GET", &format!("{messages}?{query}"), "").await;
        assert_eq!(
            (status, &answer[0], &answer[1]),
            (200, &expected[0], &expected[1]),
            "{query}: {answer}"
        );
    }
    for query in [
        "dir=sideways",
        "dir=b&limit=-1",
        "dir=b&limit=many",
        "limit=4&filter=%7B",
    ] {
        let (status, answer) = ask("GET", &format!("{messages}?{query}"), "").await;
        assert_eq!(
            (status, &answer["errcode"]),
            (400, &json!("M_INVALID_PARAM")),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_head_is_get() {
    let (status, answer) = ask("DELETE", "v3/account/whoami", "").await;
    assert_eq!(
        (status, &answer["errcode"]),
        (405, &json!("M_UNRECOGNIZED"))
    );
    assert_eq!(ask("HEAD", "v3/account/whoami", "").await.0, 200);
}

#[tokio::test]
async fn a_body_on_get_is_ignored() {
    assert_eq!(
        ask("GET", "v3/account/whoami", "{nonsense").await,
        (200, json!("whoami"))
    );
}

#[tokio::test]
async fn a_large_body_is_refused() {
    let request = |bytes| {
        let mut request = Request::post("/read")
            .body(Body::from(vec![b' '; bytes]))
            .unwrap();
        request.extensions_mut().insert(BodyLimits::default());
        router().oneshot(request)
    };
    assert_eq!(request(4 << 20).await.unwrap().status(), 200);
    assert_eq!(request((4 << 20) + 1).await.unwrap().status(), 413);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up() {
    let never = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
    let request = Request::post("/read")
        .body(Body::from_stream(never))
        .unwrap();
    assert_eq!(router().oneshot(request).await.unwrap().status(), 408);
}

#[test]
fn nesting_is_counted_outside_strings() {
    for (json, expected) in [
        ("", 0),
        ("{}", 1),
        (r#"{"a":[{}]}"#, 3),
        (r#"{"[[[[":"{{{\"[[["}"#, 1),
        (r#"{"a":[],"b":[]}"#, 2),
        ("]]]][", 1),
    ] {
        assert_eq!(depth(json.as_bytes()), expected, "{json}");
    }
}
