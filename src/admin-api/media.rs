//! Uploaded files
//! ([Synapse's media API](https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html)).

use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{StandardError, json};
use media::{DeleteError, Media};
use ruma::OwnedServerName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Administrator,
    extract::{InPath, Params, Target},
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
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).min(MAX_PAGE)
    }
}

/// `GET /_synapse/admin/v1/users/{userId}/media`
///
/// The latest first.
pub async fn of_user(
    State(media): State<Media>,
    _: Administrator,
    target: Target,
    Params(page): Params<Page>,
) -> Result<Response, Error> {
    let found = media.of_user(target.user, page.from, page.limit()).await?;
    let files: Vec<Value> = found
        .files
        .iter()
        .map(|file| {
            json!({
                "media_id": file.media_id,
                "created_ts": file.created_ms,
                "media_length": file.size,
                "media_type": file.content_type,
                "upload_name": file.file_name,
                "last_access_ts": null,
                "quarantined_by": null,
                "safe_from_quarantine": false,
            })
        })
        .collect();
    let next = page.from + files.len();
    let mut answer = json!({ "media": files, "total": found.total });
    if next < found.total {
        answer["next_token"] = json!(next);
    }
    Ok(json(StatusCode::OK, &answer))
}

/// `DELETE /_synapse/admin/v1/users/{userId}/media`
///
/// The latest hundred, or as many as asked for: done again until none is left.
pub async fn delete_of_user(
    State(media): State<Media>,
    administrator: Administrator,
    target: Target,
    Params(page): Params<Page>,
) -> Result<Response, Error> {
    administrator
        .audit("media.delete_of_user", &target.user_id, Value::Null)
        .await?;
    let found = media.of_user(target.user, page.from, page.limit()).await?;
    let mut deleted = Vec::new();
    for file in found.files {
        match media.delete(&file.media_id).await {
            Ok(()) => deleted.push(file.media_id),
            // By somebody else, a moment ago.
            Err(DeleteError::NotFound) => {}
            Err(error) => return Err(Error::internal(error)),
        }
    }
    Ok(json(
        StatusCode::OK,
        &json!({ "total": deleted.len(), "deleted_media": deleted }),
    ))
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
    match media.delete(&media_id).await {
        Ok(()) => Ok(json(
            StatusCode::OK,
            &json!({ "total": 1, "deleted_media": [media_id] }),
        )),
        Err(DeleteError::NotFound) => Err(StandardError::not_found("Unknown media").into()),
        Err(error) => Err(Error::internal(error)),
    }
}
