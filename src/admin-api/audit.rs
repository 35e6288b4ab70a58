//! What administrators did.

use administration::Administration;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::json;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Pos;

use crate::{Administrator, extract::Params};

/// Deeds on a page, and on the largest.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

/// The query of [`list`].
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    before: Option<i64>,
    limit: Option<usize>,
}

/// `GET /_myelin/admin/v1/audit`
///
/// The latest first; `next` goes on from there.
pub async fn list(
    State(administration): State<Administration>,
    _: Administrator,
    Params(page): Params<Page>,
) -> Result<Response, Error> {
    let limit = page.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let deeds = administration.deeds(page.before.map(Pos), limit).await?;
    let next = deeds
        .last()
        .filter(|_| deeds.len() == limit)
        .map(|(pos, _)| pos.0);
    let deeds: Vec<Value> = deeds.into_iter().map(|(_, deed)| json!(deed)).collect();
    Ok(json(
        StatusCode::OK,
        &json!({ "deeds": deeds, "next": next }),
    ))
}
