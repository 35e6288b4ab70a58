//! [Cross-signing](https://spec.matrix.org/v1.19/client-server-api/#cross-signing).

use ::encryption::{CrossSigningUpload, Encryption, KeysError, Reader, SignatureFailure, Signed};
use axum::extract::State;
use http_layer::{Errcode, MatrixRequest, MatrixResponse, RateLimits};
use ruma::{
    api::client::keys::{upload_signatures, upload_signing_keys},
    serde::Raw,
};
use serde_json::json;
use users::Users;

use super::keys::number;
use crate::{Error, Session, interactive::Interactive};

/// `POST /_matrix/client/v3/keys/device_signing/upload`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload)
///
/// The first keys of a user, and those that are kept already, need no authentication.
///
/// # Errors
/// `M_INVALID_SIGNATURE`, `M_MISSING_PARAM` without a master key, `M_FORBIDDEN` for a key called as a device,
/// `M_INVALID_PARAM`, `M_BAD_JSON`.
pub async fn upload_cross_signing_keys(
    State(encryption): State<Encryption>,
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<upload_signing_keys::v3::Request>,
) -> Result<MatrixResponse<upload_signing_keys::v3::Response>, Error> {
    let owner = (session.user, &*session.user_id);
    let first = upload(interactive.request.clone());
    match encryption
        .upload_cross_signing_keys(owner, first, false)
        .await
    {
        Err(KeysError::Unconfirmed) => {
            let request = interactive.confirm(&users, &limits, &session).await?;
            encryption
                .upload_cross_signing_keys(owner, upload(request), true)
                .await?;
        }
        done => done?,
    }
    Ok(MatrixResponse(upload_signing_keys::v3::Response::new()))
}

fn upload(request: upload_signing_keys::v3::Request) -> CrossSigningUpload {
    CrossSigningUpload {
        master: request.master_key.map(Raw::into_json),
        self_signing: request.self_signing_key.map(Raw::into_json),
        user_signing: request.user_signing_key.map(Raw::into_json),
    }
}

/// `POST /_matrix/client/v3/keys/signatures/upload`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload)
///
/// Signatures that do not hold are in `failures`; the others are kept.
pub async fn upload_cross_signing_signatures(
    State(encryption): State<Encryption>,
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<upload_signatures::v3::Request>,
) -> Result<MatrixResponse<upload_signatures::v3::Response>, Error> {
    let (mut signed, mut names) = (Vec::new(), Vec::new());
    for (user_id, keys) in request.signed_keys {
        let user = number(&users, &user_id).await?;
        for (key_id, key) in &keys {
            signed.push(Signed {
                user,
                key_id: key_id.to_owned(),
                json: key.to_owned(),
            });
            names.push((user_id.clone(), key_id.to_owned()));
        }
    }
    let signer = Reader {
        user: session.user,
        user_id: &session.user_id,
    };
    let failures = encryption.upload_signatures(signer, &signed).await?;
    let mut response = upload_signatures::v3::Response::new();
    for ((user_id, key_id), failure) in names.into_iter().zip(failures) {
        let Some(failure) = failure else { continue };
        let (errcode, message) = match failure {
            SignatureFailure::NotFound => (Errcode::NotFound, "No such key."),
            SignatureFailure::Invalid(why) => (Errcode::InvalidSignature, why),
        };
        let failure = json!({ "errcode": errcode.name(), "error": message });
        let failure = serde_json::from_value(failure).map_err(Error::internal)?;
        let of_user = response.failures.entry(user_id).or_default();
        of_user.insert(key_id, failure);
    }
    Ok(MatrixResponse(response))
}
