use axum::response::IntoResponse;
use http::StatusCode;

use super::{Errcode, StandardError};

#[test]
fn every_errcode_has_its_name_and_status() {
    let table: Vec<String> = Errcode::ALL
        .iter()
        .map(|errcode| format!("{} {}", errcode.status().as_u16(), errcode.name()))
        .collect();
    let expected = include_str!("table.txt");
    assert_eq!(
        table.join("\n"),
        expected.trim_end(),
        "src/http/standard_error/table.txt"
    );
}

#[test]
fn no_errcode_stands_twice() {
    let mut names: Vec<&str> = Errcode::ALL.iter().map(|errcode| errcode.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Errcode::ALL.len());
}

#[test]
fn a_limit_is_told_in_the_body_and_in_the_header() {
    let response = StandardError::limit_exceeded(1_001).into_response();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(
        StandardError::limit_exceeded(1_001).body()["retry_after_ms"],
        1_001
    );
}

#[test]
fn further_keys_stand_beside_the_errcode() {
    let body = StandardError::incompatible_room_version("99").body();
    assert_eq!(body["errcode"], "M_INCOMPATIBLE_ROOM_VERSION");
    assert_eq!(body["room_version"], "99");
    assert!(body["error"].is_string());
    assert_eq!(
        StandardError::unknown_token(true).body()["soft_logout"],
        true
    );
}
