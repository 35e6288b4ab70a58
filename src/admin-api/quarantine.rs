//! Files that nobody is given any more
//! ([Synapse's](https://element-hq.github.io/synapse/latest/admin_api/media_admin_api.html#quarantine-media)).
//!
//! Administrators are given them as little as others are: Synapse's `admin_unsafely_bypass_quarantine` is not there.

use ::rooms::Rooms;
use administration::Administration;
use axum::{extract::State, response::Response};
use client_server_api::Error;
use http::StatusCode;
use http_layer::{StandardError, json};
use media::Media;
use ruma::{OwnedRoomOrAliasId, OwnedServerName, ServerName};
use serde_json::{Value, json};

use crate::{
    Administrator,
    extract::{InPath, Target},
    rooms::named,
};

/// `POST /_synapse/admin/v1/media/quarantine/{serverName}/{mediaId}`
///
/// Done again, it changes nothing. A protected file is left alone, as Synapse does.
///
/// # Errors
/// `M_NOT_FOUND`, also for other servers' files: none is kept here.
pub async fn quarantine(
    State(media): State<Media>,
    administrator: Administrator,
    InPath((server, media_id)): InPath<(OwnedServerName, String)>,
) -> Result<Response, Error> {
    known(&media, &server, &media_id).await?;
    administrator
        .audit("media.quarantine", &media_id, Value::Null)
        .await?;
    media.quarantine(&media_id, &administrator.name).await?;
    Ok(done())
}

/// `POST /_synapse/admin/v1/media/unquarantine/{serverName}/{mediaId}`
///
/// Whoever else has uploaded the same is given it again as well.
///
/// # Errors
/// As [`quarantine`].
pub async fn release(
    State(media): State<Media>,
    administrator: Administrator,
    InPath((server, media_id)): InPath<(OwnedServerName, String)>,
) -> Result<Response, Error> {
    known(&media, &server, &media_id).await?;
    administrator
        .audit("media.unquarantine", &media_id, Value::Null)
        .await?;
    media.release(&media_id).await?;
    Ok(done())
}

/// `POST /_synapse/admin/v1/media/protect/{mediaId}`
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn protect(
    State(media): State<Media>,
    administrator: Administrator,
    InPath(media_id): InPath<String>,
) -> Result<Response, Error> {
    set_protected(&media, &administrator, &media_id, true).await
}

/// `POST /_synapse/admin/v1/media/unprotect/{mediaId}`
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn unprotect(
    State(media): State<Media>,
    administrator: Administrator,
    InPath(media_id): InPath<String>,
) -> Result<Response, Error> {
    set_protected(&media, &administrator, &media_id, false).await
}

async fn set_protected(
    media: &Media,
    administrator: &Administrator,
    media_id: &str,
    protected: bool,
) -> Result<Response, Error> {
    let details = json!({ "protected": protected });
    administrator
        .audit("media.protect", media_id, details)
        .await?;
    media.protect(media_id, protected).await?;
    Ok(done())
}

/// `POST /_synapse/admin/v1/room/{roomId}/media/quarantine`, and `POST /_synapse/admin/v1/quarantine_media/{roomId}`
///
/// What its messages show that are not encrypted.
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for what is no room.
pub async fn of_room(
    State(rooms): State<Rooms>,
    State(administration): State<Administration>,
    administrator: Administrator,
    InPath(name): InPath<OwnedRoomOrAliasId>,
) -> Result<Response, Error> {
    let room = named(&rooms, &name).await?;
    administrator
        .audit("media.quarantine_room", name.as_str(), Value::Null)
        .await?;
    let by = &administrator.name;
    let count = administration.quarantine_room(room, by).await?;
    Ok(counted(count))
}

/// `POST /_synapse/admin/v1/user/{userId}/media/quarantine`
pub async fn of_user(
    State(administration): State<Administration>,
    administrator: Administrator,
    target: Target,
) -> Result<Response, Error> {
    administrator
        .audit("media.quarantine_user", &target.user_id, Value::Null)
        .await?;
    let by = &administrator.name;
    let count = administration.quarantine_user(target.user, by).await?;
    Ok(counted(count))
}

async fn known(media: &Media, server: &ServerName, media_id: &str) -> Result<(), Error> {
    if media.is_local(server) && media.info(media_id).await?.is_some() {
        return Ok(());
    }
    Err(StandardError::not_found("Unknown media").into())
}

fn counted(count: usize) -> Response {
    json(StatusCode::OK, &json!({ "num_quarantined": count }))
}

fn done() -> Response {
    json(StatusCode::OK, &json!({}))
}
