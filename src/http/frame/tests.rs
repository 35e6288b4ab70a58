use axum::{
    Router,
    body::{Body, to_bytes},
    response::Response,
    routing::get,
};
use http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::{Frame, frame};

fn router() -> Router {
    let panics = async || -> StatusCode { panic!("out of cheese") };
    let router = Router::new()
        .route("/ok", get(async || "ok"))
        .route("/panics", get(panics));
    frame(router, Frame::default())
}

async fn ask(method: &str, path: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap();
    router().oneshot(request).await.unwrap()
}

async fn body(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), 10_000).await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_answer_has_the_cors_headers() {
    for (method, path, status) in [
        ("GET", "/ok", 200),
        ("HEAD", "/ok", 200),
        ("OPTIONS", "/ok", 204),
        ("OPTIONS", "/nowhere", 204),
        ("GET", "/nowhere", 404),
        ("POST", "/ok", 405),
        ("GET", "/panics", 500),
    ] {
        let response = ask(method, path).await;
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(
            response.headers()["access-control-allow-origin"],
            "*",
            "{method} {path}"
        );
        let allowed = response.headers()["access-control-allow-headers"]
            .to_str()
            .unwrap();
        assert!(allowed.contains("Authorization"), "{method} {path}");
        assert!(
            response
                .headers()
                .contains_key("access-control-allow-methods"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_unrecognized() {
    for (method, path) in [
        ("GET", "/_matrix/client/v9/nowhere"),
        ("GET", "/"),
        ("PATCH", "/ok"),
    ] {
        assert_eq!(
            body(ask(method, path).await).await["errcode"],
            "M_UNRECOGNIZED",
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let answer = body(ask("GET", "/panics").await).await;
    assert_eq!(answer["errcode"], "M_UNKNOWN");
    assert!(!answer.to_string().contains("cheese"));
}
