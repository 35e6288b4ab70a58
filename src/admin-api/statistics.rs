//! Who and what takes how much space
//! ([Synapse's](https://element-hq.github.io/synapse/latest/admin_api/statistics.html)).

use std::collections::HashMap;

use ::users::Users;
use administration::Administration;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{StandardError, json};
use media::Media;
use serde::Deserialize;
use serde_json::{Value, json};
use store::UserNid;

use crate::{Administrator, extract::Params};

/// Users on a page, unless asked for otherwise, as in Synapse; and on the largest.
const PAGE: usize = 100;
const MAX_PAGE: usize = 10_000;
/// Rooms told of, unless asked for otherwise, as in Synapse; and at most.
const ROOMS: usize = 10;
const MAX_ROOMS: usize = 1_000;

/// The query of [`media_by_user`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Query {
    from: usize,
    limit: Option<usize>,
    order_by: Option<String>,
    dir: Option<String>,
    from_ts: Option<u64>,
    until_ts: Option<u64>,
    search_term: Option<String>,
}

struct Usage {
    user_id: String,
    displayname: Option<String>,
    files: u64,
    bytes: u64,
}

/// `GET /_synapse/admin/v1/statistics/users/media`
///
/// # Errors
/// `M_INVALID_PARAM` for an order that does not exist, for an empty search, and for times that are the wrong way round.
pub async fn media_by_user(
    State(users): State<Users>,
    State(media): State<Media>,
    _: Administrator,
    Params(query): Params<Query>,
) -> Result<Response, Error> {
    check(&query)?;
    let usage = usage(&media, &query).await?;
    let mut accounts = users.accounts(|_, _| true).await?;
    accounts.retain(|account| usage.contains_key(&account.user));
    users.describe(&mut accounts).await?;
    let term = query.search_term.as_deref().map(str::to_lowercase);
    let mut found: Vec<Usage> = accounts
        .into_iter()
        .filter_map(|account| {
            let (files, bytes) = *usage.get(&account.user)?;
            let names = [
                Some(account.user_id.localpart()),
                account.displayname.as_deref(),
            ];
            let is_wanted = term.as_ref().is_none_or(|term| {
                let mut names = names.into_iter().flatten();
                names.any(|name| name.to_lowercase().contains(term))
            });
            is_wanted.then(|| Usage {
                user_id: account.user_id.to_string(),
                displayname: account.displayname.clone(),
                files,
                bytes,
            })
        })
        .collect();
    sort(&mut found, &query)?;
    let total = found.len();
    let limit = query.limit.unwrap_or(PAGE).min(MAX_PAGE);
    let page: Vec<Value> = found
        .iter()
        .skip(query.from)
        .take(limit)
        .map(|usage| {
            json!({
                "user_id": usage.user_id,
                "displayname": usage.displayname,
                "media_count": usage.files,
                "media_length": usage.bytes,
            })
        })
        .collect();
    let next = query.from + page.len();
    let mut answer = json!({ "users": page, "total": total });
    if next < total {
        answer["next_token"] = json!(next);
    }
    Ok(json(StatusCode::OK, &answer))
}

fn check(query: &Query) -> Result<(), StandardError> {
    if query.search_term.as_deref() == Some("") {
        return Err(StandardError::invalid_param("`search_term` is empty."));
    }
    if let (Some(from), Some(until)) = (query.from_ts, query.until_ts)
        && until <= from
    {
        let message = "`until_ts` must be after `from_ts`.";
        return Err(StandardError::invalid_param(message));
    }
    Ok(())
}

/// How many files each user has, and how many bytes: from what is counted anyway, or for a time from every upload.
async fn usage(media: &Media, query: &Query) -> Result<HashMap<UserNid, (u64, u64)>, Error> {
    let mut usage: HashMap<UserNid, (u64, u64)> = HashMap::new();
    if query.from_ts.is_none() && query.until_ts.is_none() {
        for (user, files, bytes) in media.usage_by_user().await? {
            if files > 0 {
                usage.insert(user, (files, bytes));
            }
        }
        return Ok(usage);
    }
    let (from, until) = (
        query.from_ts.unwrap_or(0),
        query.until_ts.unwrap_or(u64::MAX),
    );
    let uploads = media.uploads(|file| (from..=until).contains(&file.created_ms));
    for file in uploads.await? {
        if let Some(owner) = file.owner {
            let (files, bytes) = usage.entry(owner).or_default();
            *files += 1;
            *bytes += file.size;
        }
    }
    Ok(usage)
}

fn sort(found: &mut [Usage], query: &Query) -> Result<(), StandardError> {
    found.sort_by(|a, b| a.user_id.cmp(&b.user_id));
    match query.order_by.as_deref() {
        None | Some("user_id") => {}
        Some("displayname") => found.sort_by(|a, b| a.displayname.cmp(&b.displayname)),
        Some("media_length") => found.sort_by_key(|usage| usage.bytes),
        Some("media_count") => found.sort_by_key(|usage| usage.files),
        Some(order) => {
            let message = format!("`order_by`: there is no order `{order}`.");
            return Err(StandardError::invalid_param(message));
        }
    }
    match query.dir.as_deref() {
        None | Some("f") => {}
        Some("b") => found.reverse(),
        Some(_) => return Err(StandardError::invalid_param("`dir` is `f` or `b`.")),
    }
    Ok(())
}

/// The query of [`rooms`].
#[derive(Debug, Deserialize)]
pub(crate) struct Largest {
    /// Ours.
    limit: Option<usize>,
}

/// `GET /_synapse/admin/v1/statistics/database/rooms`
///
/// The largest rooms, as the database estimates them.
pub async fn rooms(
    State(administration): State<Administration>,
    _: Administrator,
    Params(query): Params<Largest>,
) -> Result<Response, Error> {
    let limit = query.limit.unwrap_or(ROOMS).min(MAX_ROOMS);
    let rooms: Vec<Value> = administration
        .size_by_room(limit)
        .await?
        .into_iter()
        .map(|room| json!({ "room_id": room.room_id, "estimated_size": room.bytes }))
        .collect();
    Ok(json(StatusCode::OK, &json!({ "rooms": rooms })))
}

/// `GET /_myelin/admin/v1/storage/tables`
///
/// Every table, the largest first, as the database estimates them.
pub async fn tables(
    State(administration): State<Administration>,
    _: Administrator,
) -> Result<Response, Error> {
    let tables = administration.size_by_table().await?;
    let total: u64 = tables.iter().map(|table| table.bytes).sum();
    let tables: Vec<Value> = tables
        .into_iter()
        .map(|table| {
            json!({ "table": table.table, "family": table.family, "estimated_size": table.bytes })
        })
        .collect();
    Ok(json(
        StatusCode::OK,
        &json!({ "tables": tables, "total": total }),
    ))
}
