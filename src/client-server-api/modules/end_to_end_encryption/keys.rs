//! [Keys of devices](https://spec.matrix.org/v1.19/client-server-api/#key-management-api).

use std::collections::BTreeMap;

use ::encryption::{Claim, Encryption, KeyCounts, KeyUpload, Reader};
use ::sync::Engine;
use axum::{extract::State, http::StatusCode, response::Response};
use http_layer::{Class, MatrixRequest, MatrixResponse, RateLimits, StandardError, json};
use ruma::{
    OneTimeKeyAlgorithm, OwnedDeviceId, OwnedOneTimeKeyId, OwnedUserId, UInt, UserId,
    api::client::keys::{claim_keys, get_key_changes, get_keys, upload_keys},
    encryption::{CrossSigningKey, DeviceKeys, OneTimeKey},
    serde::Raw,
};
use serde::Serialize;
use serde_json::{Value, json};
use store::UserNid;
use users::Users;

use crate::{Error, Session};

/// Users in one query, and devices in one claim: a large room's, several times.
const MAX_ASKED: usize = 10_000;

/// `POST /_matrix/client/v3/keys/upload`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload)
///
/// # Errors
/// `M_INVALID_PARAM` for the keys of another device, and for a one-time key whose id has another key already;
/// `M_BAD_JSON`, `M_TOO_LARGE`.
pub async fn upload_keys(
    State(encryption): State<Encryption>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<upload_keys::v3::Request>,
) -> Result<MatrixResponse<upload_keys::v3::Response>, Error> {
    let upload = KeyUpload {
        device_keys: request.device_keys.map(Raw::into_json),
        one_time_keys: by_name(request.one_time_keys),
        fallback_keys: by_name(request.fallback_keys),
    };
    let owner = (session.user, &*session.user_id);
    let counts = encryption
        .upload_keys(owner, session.device_id.as_str(), upload)
        .await?;
    let counts = shown(&counts);
    Ok(MatrixResponse(upload_keys::v3::Response::new(counts)))
}

/// `POST /_matrix/client/v3/keys/query`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery)
///
/// # Errors
/// `M_TOO_LARGE` for more than 10,000 users.
pub async fn query_keys(
    State(encryption): State<Encryption>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_keys::v3::Request>,
) -> Result<Response, Error> {
    limits.check(Class::Keys, &session.user_id)?;
    if request.device_keys.len() > MAX_ASKED {
        return Err(StandardError::too_large("Too many users at once.").into());
    }
    let reader = Reader {
        user: session.user,
        user_id: &session.user_id,
    };
    let mut answer = QueriedKeys {
        failures: unreachable(&users, request.device_keys.keys()),
        ..QueriedKeys::default()
    };
    for (user_id, device_ids) in request.device_keys {
        let Some((user, _)) = users.account(&user_id).await? else {
            continue;
        };
        let device_ids: Vec<&str> = device_ids.iter().map(|id| id.as_str()).collect();
        let keys = encryption
            .user_keys(reader, (user, &user_id), &device_ids)
            .await?;
        let devices = keys.devices.into_iter();
        let devices = devices.map(|(device_id, keys)| (device_id.into(), Raw::from_json(keys)));
        answer
            .device_keys
            .insert(user_id.clone(), devices.collect());
        for (kept, shown) in [
            (keys.master, &mut answer.master_keys),
            (keys.self_signing, &mut answer.self_signing_keys),
            (keys.user_signing, &mut answer.user_signing_keys),
        ] {
            shown.extend(kept.map(|key| (user_id.clone(), Raw::from_json(key))));
        }
    }
    Ok(json(StatusCode::OK, &answer))
}

/// `POST /_matrix/client/v3/keys/claim`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim)
///
/// # Errors
/// `M_TOO_LARGE` for more than 10,000 devices.
pub async fn claim_keys(
    State(encryption): State<Encryption>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<claim_keys::v3::Request>,
) -> Result<Response, Error> {
    limits.check(Class::Keys, &session.user_id)?;
    let asked: usize = request.one_time_keys.values().map(BTreeMap::len).sum();
    if asked > MAX_ASKED {
        return Err(StandardError::too_large("Too many devices at once.").into());
    }
    let failures = unreachable(&users, request.one_time_keys.keys());
    let (mut claims, mut names) = (Vec::new(), Vec::new());
    for (user_id, devices) in request.one_time_keys {
        let Some(user) = number(&users, &user_id).await? else {
            continue;
        };
        for (device_id, algorithm) in devices {
            claims.push(Claim {
                user,
                device_id: device_id.to_string(),
                algorithm: algorithm.to_string(),
            });
            names.push((user_id.clone(), device_id));
        }
    }
    let given = encryption.claim_keys(&claims).await?;
    let mut keys: BTreeMap<_, claim_keys::v3::OneTimeKeys> = BTreeMap::new();
    for ((user_id, device_id), key) in names.into_iter().zip(given) {
        let Some(key) = key else { continue };
        let id = OwnedOneTimeKeyId::try_from(key.id).map_err(Error::internal)?;
        let device = BTreeMap::from([(id, Raw::from_json(key.key))]);
        keys.entry(user_id).or_default().insert(device_id, device);
    }
    let answer = ClaimedKeys {
        failures,
        one_time_keys: keys,
    };
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /_matrix/client/v3/keys/changes`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges)
///
/// # Errors
/// `M_INVALID_PARAM` for what is not a token.
pub async fn get_keys_changes(
    State(engine): State<Engine>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_key_changes::v3::Request>,
) -> Result<MatrixResponse<get_key_changes::v3::Response>, Error> {
    limits.check(Class::Keys, &session.user_id)?;
    let read = |name: &str, token: &str| {
        engine
            .since(token)
            .map_err(|error| StandardError::invalid_param(format!("`{name}` is {error}.")))
    };
    // "This may be used by the server as a hint": what changed since is told too.
    read("to", &request.to)?;
    // A token from before the database was replaced: whatever may have changed has.
    let from = read("from", &request.from)?.unwrap_or_default();
    let lists = engine.device_lists(session.user, from).await?;
    let response = get_key_changes::v3::Response::new(lists.changed, lists.left);
    Ok(MatrixResponse(response))
}

/// The answer to `/keys/query`, with the members that ruma leaves out where they are empty, as it may: matrix-nio refuses
/// an answer without `device_keys`.
#[derive(Default, Serialize)]
struct QueriedKeys {
    failures: BTreeMap<String, Value>,
    device_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, Raw<DeviceKeys>>>,
    master_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
    self_signing_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
    user_signing_keys: BTreeMap<OwnedUserId, Raw<CrossSigningKey>>,
}

/// The answer to `/keys/claim`, with `failures` even where there is none: Hydrogen sends no message without it.
#[derive(Serialize)]
struct ClaimedKeys {
    failures: BTreeMap<String, Value>,
    one_time_keys: BTreeMap<OwnedUserId, claim_keys::v3::OneTimeKeys>,
}

/// The servers of users that cannot be asked, for there is no federation yet.
fn unreachable<'a>(
    users: &Users,
    user_ids: impl Iterator<Item = &'a OwnedUserId>,
) -> BTreeMap<String, Value> {
    let others = user_ids.map(|user_id| user_id.server_name());
    let others = others.filter(|server| *server != users.server_name());
    let failure = |server: &ruma::ServerName| {
        let failure = json!({ "status": 503, "message": "This server does not federate." });
        (server.to_string(), failure)
    };
    others.map(failure).collect()
}

/// The number of a local user whom the server knows.
pub(crate) async fn number(users: &Users, user_id: &UserId) -> Result<Option<UserNid>, Error> {
    if user_id.server_name() != users.server_name() {
        return Ok(None);
    }
    Ok(users.number(user_id).await?)
}

/// Keys in the order in which they are kept.
pub(super) fn by_name(
    keys: BTreeMap<OwnedOneTimeKeyId, Raw<OneTimeKey>>,
) -> Vec<(String, Box<serde_json::value::RawValue>)> {
    let keys = keys.into_iter();
    keys.map(|(id, key)| (id.to_string(), key.into_json()))
        .collect()
}

/// Counts as clients expect them: older ones take an algorithm that is left out for one that they need not fill up.
fn shown(counts: &KeyCounts) -> BTreeMap<OneTimeKeyAlgorithm, UInt> {
    let counts = counts.one_time_keys.iter();
    let mut shown: BTreeMap<_, _> = counts
        .map(|(algorithm, count)| {
            (
                OneTimeKeyAlgorithm::from(algorithm.as_str()),
                (*count).into(),
            )
        })
        .collect();
    shown
        .entry(OneTimeKeyAlgorithm::SignedCurve25519)
        .or_default();
    shown
}
