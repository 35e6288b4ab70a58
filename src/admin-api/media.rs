//! Uploaded files
//! ([Synapse's media API](https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html)).

use std::cmp::Ordering;

use ::rooms::Rooms;
use ::users::Users;
use administration::{Administration, OldFiles};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{StandardError, json};
use media::{DeleteError, FileInfo, Media};
use ruma::{OwnedRoomOrAliasId, OwnedServerName};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Administrator,
    extract::{InPath, Params, Target},
    rooms::named,
};

/// Files on a page, and on the largest; as many are deleted at once.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;

/// The query of [`of_user`] and [`delete_of_user`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    from: usize,
    limit: Option<usize>,
    order_by: Option<String>,
    dir: Option<String>,
}

impl Page {
    /// The files on it, and how many there are in all.
    async fn files(&self, media: &Media, target: &Target) -> Result<(Vec<FileInfo>, usize), Error> {
        let limit = self.limit.unwrap_or(PAGE).min(MAX_PAGE);
        if self.order_by.is_none() && self.dir.is_none() {
            let found = media.of_user(target.user, self.from, limit).await?;
            return Ok((found.files, found.total));
        }
        let order = order(self.order_by.as_deref().unwrap_or("created_ts"))?;
        let backwards = match self.dir.as_deref() {
            None | Some("f") => false,
            Some("b") => true,
            Some(_) => return Err(StandardError::invalid_param("`dir` is `f` or `b`.").into()),
        };
        let mut files = media.of_user(target.user, 0, usize::MAX).await?.files;
        files.sort_by(|a, b| {
            let by_order = order(a, b);
            let by_order = if backwards {
                by_order.reverse()
            } else {
                by_order
            };
            by_order.then_with(|| a.media_id.cmp(&b.media_id))
        });
        let total = files.len();
        let page = files.into_iter().skip(self.from).take(limit).collect();
        Ok((page, total))
    }
}

type Order = fn(&FileInfo, &FileInfo) -> Ordering;

fn order(name: &str) -> Result<Order, StandardError> {
    Ok(match name {
        "created_ts" => |a, b| a.created_ms.cmp(&b.created_ms),
        "media_id" => |a, b| a.media_id.cmp(&b.media_id),
        "upload_name" => |a, b| a.file_name.cmp(&b.file_name),
        "media_length" => |a, b| a.size.cmp(&b.size),
        "media_type" => |a, b| a.content_type.cmp(&b.content_type),
        "quarantined_by" => |a, b| quarantined_by(a).cmp(&quarantined_by(b)),
        "safe_from_quarantine" => |a, b| a.protected.cmp(&b.protected),
        // It is not kept.
        "last_access_ts" => |_, _| Ordering::Equal,
        _ => {
            let message = format!("`order_by`: there is no order `{name}`.");
            return Err(StandardError::invalid_param(message));
        }
    })
}

fn quarantined_by(file: &FileInfo) -> Option<&str> {
    file.quarantine.as_ref().map(|row| row.by.as_str())
}

fn file_json(file: &FileInfo) -> Value {
    json!({
        "media_id": file.media_id,
        "created_ts": file.created_ms,
        "media_length": file.size,
        "media_type": file.content_type,
        "upload_name": file.file_name,
        "last_access_ts": null,
        "quarantined_by": quarantined_by(file),
        "safe_from_quarantine": file.protected,
    })
}

/// `GET /_synapse/admin/v1/users/{userId}/media`
///
/// The latest first, unless asked for otherwise.
///
/// # Errors
/// `M_INVALID_PARAM` for an order that does not exist.
pub async fn of_user(
    State(media): State<Media>,
    _: Administrator,
    target: Target,
    Params(page): Params<Page>,
) -> Result<Response, Error> {
    let (files, total) = page.files(&media, &target).await?;
    let next = page.from + files.len();
    let files: Vec<Value> = files.iter().map(file_json).collect();
    let mut answer = json!({ "media": files, "total": total });
    if next < total {
        answer["next_token"] = json!(next);
    }
    Ok(json(StatusCode::OK, &answer))
}

/// `DELETE /_synapse/admin/v1/users/{userId}/media`
///
/// The latest hundred, or as many as asked for: done again until none is left.
///
/// # Errors
/// As [`of_user`].
pub async fn delete_of_user(
    State(media): State<Media>,
    administrator: Administrator,
    target: Target,
    Params(page): Params<Page>,
) -> Result<Response, Error> {
    let (files, _) = page.files(&media, &target).await?;
    administrator
        .audit("media.delete_of_user", &target.user_id, Value::Null)
        .await?;
    let mut deleted = Vec::new();
    for file in files {
        match media.delete(&file.media_id).await {
            Ok(()) => deleted.push(file.media_id),
            // By somebody else, a moment ago.
            Err(DeleteError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(these_are_gone(&deleted))
}

fn these_are_gone(deleted: &[String]) -> Response {
    json(
        StatusCode::OK,
        &json!({ "total": deleted.len(), "deleted_media": deleted }),
    )
}

/// `GET /_synapse/admin/v1/media/{serverName}/{mediaId}`
///
/// # Errors
/// `M_NOT_FOUND`, also for other servers' files: none is kept here.
pub async fn show(
    State(media): State<Media>,
    State(users): State<Users>,
    _: Administrator,
    InPath((server, media_id)): InPath<(OwnedServerName, String)>,
) -> Result<Response, Error> {
    let file = if media.is_local(&server) {
        media.info(&media_id).await?
    } else {
        None
    };
    let file = file.ok_or_else(|| StandardError::not_found("Unknown media"))?;
    let owner = match file.owner {
        Some(owner) => Some(users.user_id(owner).await?),
        None => None,
    };
    let mut info = file_json(&file);
    info["media_origin"] = json!(server);
    info["user_id"] = json!(owner);
    info["filesystem_id"] = json!(file.sha256);
    info["sha256"] = json!(file.sha256);
    info["authenticated"] = json!(!file.open);
    info["url_cache"] = Value::Null;
    Ok(json(StatusCode::OK, &json!({ "media_info": info })))
}

/// `DELETE /_synapse/admin/v1/media/{serverName}/{mediaId}`
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for another server's.
pub async fn delete(
    State(media): State<Media>,
    administrator: Administrator,
    InPath((server, media_id)): InPath<(OwnedServerName, String)>,
) -> Result<Response, Error> {
    if !media.is_local(&server) {
        return Err(StandardError::invalid_param("Can only delete local media").into());
    }
    administrator
        .audit("media.delete", &media_id, Value::Null)
        .await?;
    media.delete(&media_id).await?;
    Ok(these_are_gone(&[media_id]))
}

/// The query of [`delete_old`].
#[derive(Debug, Deserialize)]
pub(crate) struct Old {
    before_ts: u64,
    #[serde(default)]
    size_gt: u64,
    #[serde(default = "yes")]
    keep_profiles: bool,
    /// Ours: at most so many.
    limit: Option<usize>,
}

fn yes() -> bool {
    true
}

/// `POST /_synapse/admin/v1/media/delete`, and `POST /_synapse/admin/v1/media/{serverName}/delete`, which is deprecated
///
/// `before_ts` means the upload, where Synapse means the last download, which is not kept here. Pictures of people and
/// rooms stay unless `keep_profiles=false`, protected files always.
///
/// # Errors
/// `M_INVALID_PARAM` without `before_ts`.
pub async fn delete_old(
    State(administration): State<Administration>,
    administrator: Administrator,
    Params(old): Params<Old>,
) -> Result<Response, Error> {
    let details = json!({
        "before_ts": old.before_ts, "size_gt": old.size_gt, "keep_profiles": old.keep_profiles,
    });
    administrator.audit("media.delete_old", "", details).await?;
    let deleted = administration.delete_old_files(OldFiles {
        before_ms: old.before_ts,
        larger_than: old.size_gt,
        keep_pictures: old.keep_profiles,
        limit: old.limit.unwrap_or(usize::MAX),
    });
    Ok(these_are_gone(&deleted.await?))
}

/// The query of [`purge_cache`].
#[derive(Debug, Deserialize)]
pub(crate) struct Before {
    #[serde(rename = "before_ts")]
    _before_ts: u64,
}

/// `POST /_synapse/admin/v1/purge_media_cache`
///
/// No other server's file is kept here, so none goes.
///
/// # Errors
/// `M_INVALID_PARAM` without `before_ts`.
pub async fn purge_cache(_: Administrator, Params(_): Params<Before>) -> Response {
    json(StatusCode::OK, &json!({ "deleted": 0 }))
}

/// `GET /_synapse/admin/v1/room/{roomId}/media`
///
/// What its messages show that are not encrypted.
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for what is no room.
pub async fn of_room(
    State(rooms): State<Rooms>,
    State(administration): State<Administration>,
    _: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
) -> Result<Response, Error> {
    let room = named(&rooms, &name).await?;
    let files = administration.files_of_room(room).await?;
    let answer = json!({
        "local": files.local,
        "remote": files.remote,
        // For Ketesa, which shows the local ones.
        "total": files.local.len(),
    });
    Ok(json(StatusCode::OK, &answer))
}
