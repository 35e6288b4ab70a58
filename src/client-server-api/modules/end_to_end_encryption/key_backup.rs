//! [Server-side key backups](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups).

use std::collections::BTreeMap;

use ::encryption::{Backup, BackupState, Encryption, RoomKey};
use axum::extract::State;
use http_layer::{MatrixRequest, MatrixResponse, StandardError};
use ruma::{
    OwnedRoomId, RoomId, UInt,
    api::client::backup::{
        BackupAlgorithm, RoomKeyBackup, add_backup_keys, add_backup_keys_for_room,
        add_backup_keys_for_session, create_backup_version, delete_backup_keys,
        delete_backup_keys_for_room, delete_backup_keys_for_session, delete_backup_version,
        get_backup_info, get_backup_keys, get_backup_keys_for_room, get_backup_keys_for_session,
        get_latest_backup_info, update_backup_version,
    },
    serde::Raw,
};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::{Error, Session};

/// What a client sends about a backup, with what ruma's type would not keep as it is.
#[derive(Deserialize)]
struct Sent {
    algorithm: String,
    auth_data: Box<RawValue>,
    version: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    algorithm: &'a str,
    auth_data: &'a RawValue,
}

type Sessions = BTreeMap<String, Box<RawValue>>;

/// `POST /_matrix/client/v3/room_keys/version`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion)
///
/// # Errors
/// `M_BAD_JSON`, `M_TOO_LARGE`
pub async fn post_room_keys_version(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<create_backup_version::v3::Request>,
) -> Result<MatrixResponse<create_backup_version::v3::Response>, Error> {
    let sent = sent(&request.algorithm)?;
    let version = encryption
        .create_backup(session.user, &sent.algorithm, sent.auth_data)
        .await?;
    let response = create_backup_version::v3::Response::new(version);
    Ok(MatrixResponse(response))
}

/// `GET /_matrix/client/v3/room_keys/version`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversion)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_room_keys_version_current(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_latest_backup_info::v3::Request>,
) -> Result<MatrixResponse<get_latest_backup_info::v3::Response>, Error> {
    let backup = encryption.current_backup(session.user).await?;
    let (algorithm, count, etag) = (shown(&backup)?, count(&backup.state), backup.state.etag);
    let response =
        get_latest_backup_info::v3::Response::new(algorithm, count, etag, backup.version);
    Ok(MatrixResponse(response))
}

/// `GET /_matrix/client/v3/room_keys/version/{version}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keysversionversion)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_room_keys_version(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_backup_info::v3::Request>,
) -> Result<MatrixResponse<get_backup_info::v3::Response>, Error> {
    let backup = encryption.backup(session.user, &request.version).await?;
    let (algorithm, count, etag) = (shown(&backup)?, count(&backup.state), backup.state.etag);
    let response = get_backup_info::v3::Response::new(algorithm, count, etag, backup.version);
    Ok(MatrixResponse(response))
}

/// `PUT /_matrix/client/v3/room_keys/version/{version}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keysversionversion)
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM` for another algorithm, or another version in the body than in the path.
pub async fn put_room_keys_version(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<update_backup_version::v3::Request>,
) -> Result<MatrixResponse<update_backup_version::v3::Response>, Error> {
    let sent = sent(&request.algorithm)?;
    if sent
        .version
        .is_some_and(|version| version != request.version)
    {
        return Err(StandardError::invalid_param("Version in body does not match.").into());
    }
    encryption
        .update_backup(
            session.user,
            &request.version,
            (&sent.algorithm, sent.auth_data),
        )
        .await?;
    Ok(MatrixResponse(update_backup_version::v3::Response::new()))
}

/// `DELETE /_matrix/client/v3/room_keys/version/{version}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keysversionversion)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn delete_room_keys_version(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<delete_backup_version::v3::Request>,
) -> Result<MatrixResponse<delete_backup_version::v3::Response>, Error> {
    encryption
        .delete_backup(session.user, &request.version)
        .await?;
    Ok(MatrixResponse(delete_backup_version::v3::Response::new()))
}

/// `PUT /_matrix/client/v3/room_keys/keys`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeys)
///
/// # Errors
/// `M_WRONG_ROOM_KEYS_VERSION`, `M_NOT_FOUND` without any backup, `M_BAD_JSON`, `M_TOO_LARGE`.
pub async fn put_room_keys(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<add_backup_keys::v3::Request>,
) -> Result<MatrixResponse<add_backup_keys::v3::Response>, Error> {
    let rooms = request.rooms.into_iter();
    let keys = rooms.flat_map(|(room_id, backup)| keys_of(&room_id, backup.sessions));
    let state = encryption
        .put_room_keys(session.user, &request.version, keys.collect())
        .await?;
    let response = add_backup_keys::v3::Response::new(state.etag.clone(), count(&state));
    Ok(MatrixResponse(response))
}

/// `PUT /_matrix/client/v3/room_keys/keys/{roomId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomid)
///
/// # Errors
/// As for [`put_room_keys`].
pub async fn put_room_keys_by_room_id(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<add_backup_keys_for_room::v3::Request>,
) -> Result<MatrixResponse<add_backup_keys_for_room::v3::Response>, Error> {
    let keys = keys_of(&request.room_id, request.sessions);
    let state = encryption
        .put_room_keys(session.user, &request.version, keys)
        .await?;
    let response = add_backup_keys_for_room::v3::Response::new(state.etag.clone(), count(&state));
    Ok(MatrixResponse(response))
}

/// `PUT /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3room_keyskeysroomidsessionid)
///
/// # Errors
/// As for [`put_room_keys`].
pub async fn put_room_key_by_session_id(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<add_backup_keys_for_session::v3::Request>,
) -> Result<MatrixResponse<add_backup_keys_for_session::v3::Response>, Error> {
    let sessions = BTreeMap::from([(request.session_id, request.session_data)]);
    let keys = keys_of(&request.room_id, sessions);
    let state = encryption
        .put_room_keys(session.user, &request.version, keys)
        .await?;
    let response =
        add_backup_keys_for_session::v3::Response::new(state.etag.clone(), count(&state));
    Ok(MatrixResponse(response))
}

/// `GET /_matrix/client/v3/room_keys/keys`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeys)
///
/// # Errors
/// `M_NOT_FOUND` for an unknown backup.
pub async fn get_room_keys(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_backup_keys::v3::Request>,
) -> Result<MatrixResponse<get_backup_keys::v3::Response>, Error> {
    let kept = encryption
        .room_keys(session.user, &request.version, None)
        .await?;
    let mut rooms = BTreeMap::new();
    for (room_id, sessions) in kept {
        let room_id = OwnedRoomId::try_from(room_id).map_err(Error::internal)?;
        rooms.insert(room_id, RoomKeyBackup::new(raw(sessions)));
    }
    let response = get_backup_keys::v3::Response::new(rooms);
    Ok(MatrixResponse(response))
}

/// `GET /_matrix/client/v3/room_keys/keys/{roomId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomid)
///
/// # Errors
/// `M_NOT_FOUND` for an unknown backup.
pub async fn get_room_keys_by_room_id(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_backup_keys_for_room::v3::Request>,
) -> Result<MatrixResponse<get_backup_keys_for_room::v3::Response>, Error> {
    let room_id = request.room_id.as_str();
    let mut kept = encryption
        .room_keys(session.user, &request.version, Some(room_id))
        .await?;
    let sessions = raw(kept.remove(room_id).unwrap_or_default());
    let response = get_backup_keys_for_room::v3::Response::new(sessions);
    Ok(MatrixResponse(response))
}

/// `GET /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3room_keyskeysroomidsessionid)
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get_room_key_by_session_id(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_backup_keys_for_session::v3::Request>,
) -> Result<MatrixResponse<get_backup_keys_for_session::v3::Response>, Error> {
    let which = (request.room_id.as_str(), request.session_id.as_str());
    let key = encryption
        .room_key(session.user, &request.version, which)
        .await?;
    let response = get_backup_keys_for_session::v3::Response::new(Raw::from_json(key));
    Ok(MatrixResponse(response))
}

/// `DELETE /_matrix/client/v3/room_keys/keys`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeys)
///
/// # Errors
/// `M_NOT_FOUND` for an unknown backup.
pub async fn delete_room_keys(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<delete_backup_keys::v3::Request>,
) -> Result<MatrixResponse<delete_backup_keys::v3::Response>, Error> {
    let state = encryption
        .delete_room_keys(session.user, &request.version, None)
        .await?;
    let response = delete_backup_keys::v3::Response::new(state.etag.clone(), count(&state));
    Ok(MatrixResponse(response))
}

/// `DELETE /_matrix/client/v3/room_keys/keys/{roomId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomid)
///
/// # Errors
/// `M_NOT_FOUND` for an unknown backup.
pub async fn delete_room_keys_by_room_id(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<delete_backup_keys_for_room::v3::Request>,
) -> Result<MatrixResponse<delete_backup_keys_for_room::v3::Response>, Error> {
    let which = (request.room_id.as_str(), None);
    let state = encryption
        .delete_room_keys(session.user, &request.version, Some(which))
        .await?;
    let response =
        delete_backup_keys_for_room::v3::Response::new(state.etag.clone(), count(&state));
    Ok(MatrixResponse(response))
}

/// `DELETE /_matrix/client/v3/room_keys/keys/{roomId}/{sessionId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3room_keyskeysroomidsessionid)
///
/// # Errors
/// `M_NOT_FOUND` for an unknown backup.
pub async fn delete_room_key_by_session_id(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<delete_backup_keys_for_session::v3::Request>,
) -> Result<MatrixResponse<delete_backup_keys_for_session::v3::Response>, Error> {
    let which = (request.room_id.as_str(), Some(request.session_id.as_str()));
    let state = encryption
        .delete_room_keys(session.user, &request.version, Some(which))
        .await?;
    let response =
        delete_backup_keys_for_session::v3::Response::new(state.etag.clone(), count(&state));
    Ok(MatrixResponse(response))
}

fn sent(algorithm: &Raw<BackupAlgorithm>) -> Result<Sent, StandardError> {
    serde_json::from_str(algorithm.json().get())
        .map_err(|error| StandardError::bad_json(format!("Bad JSON: {error}.")))
}

fn shown(backup: &Backup) -> Result<Raw<BackupAlgorithm>, Error> {
    let shown = Shown {
        algorithm: &backup.algorithm,
        auth_data: &backup.auth_data,
    };
    Ok(Raw::from_json(
        to_raw_value(&shown).map_err(Error::internal)?,
    ))
}

fn count(state: &BackupState) -> UInt {
    UInt::new_saturating(state.count)
}

fn keys_of<T>(room_id: &RoomId, sessions: BTreeMap<String, Raw<T>>) -> Vec<RoomKey> {
    let sessions = sessions.into_iter();
    sessions
        .map(|(session_id, data)| RoomKey {
            room_id: room_id.to_string(),
            session_id,
            data: data.into_json(),
        })
        .collect()
}

fn raw<T>(sessions: Sessions) -> BTreeMap<String, Raw<T>> {
    let sessions = sessions.into_iter();
    sessions
        .map(|(session_id, key)| (session_id, Raw::from_json(key)))
        .collect()
}
