//! [Profiles](https://spec.matrix.org/v1.19/client-server-api/#profiles).

use ::rooms::{MemberProfile, Rooms};
use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{MatrixRequest, MatrixResponse, StandardError, json};
use ruma::{
    UserId,
    api::client::profile::{
        delete_profile_field, get_profile, get_profile_field, set_profile_field,
    },
};
use serde_json::{Map, Value};
use users::{Profile, Users};

use crate::{ActiveSession, Error, interactive::WithBody, modules::account_data::own};

/// `GET /_matrix/client/v3/profile/{userId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid)
///
/// # Errors
/// `M_NOT_FOUND` for who has no account here.
pub async fn get_user_profile(
    State(users): State<Users>,
    MatrixRequest(request): MatrixRequest<get_profile::v3::Request>,
) -> Result<Response, Error> {
    let profile = profile_of(&users, &request.user_id).await?;
    Ok(json(StatusCode::OK, &profile.0))
}

/// `GET /_matrix/client/v3/profile/{userId}/{keyName}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname)
///
/// # Errors
/// `M_NOT_FOUND` for who has no account here, and for a field that is not set.
pub async fn get_profile_field(
    State(users): State<Users>,
    MatrixRequest(request): MatrixRequest<get_profile_field::v3::Request>,
) -> Result<Response, Error> {
    let mut profile = profile_of(&users, &request.user_id).await?;
    let field = request.field.as_str();
    let value = profile
        .0
        .remove(field)
        .ok_or_else(|| StandardError::not_found("No such profile field."))?;
    Ok(json(
        StatusCode::OK,
        &Map::from_iter([(field.to_owned(), value)]),
    ))
}

/// `PUT /_matrix/client/v3/profile/{userId}/{keyName}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname)
///
/// The path is read as the GET's: ruma's own type refuses the `null` by which older clients remove a name.
///
/// # Errors
/// `M_FORBIDDEN` for another user's, `M_MISSING_PARAM` without the field in the body, `M_INVALID_PARAM`,
/// `M_KEY_TOO_LARGE`, `M_PROFILE_TOO_LARGE`.
pub async fn set_profile_field(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    ActiveSession(session): ActiveSession,
    WithBody(request, body): WithBody<get_profile_field::v3::Request>,
) -> Result<MatrixResponse<set_profile_field::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let field = request.field.as_str();
    let mut body: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| StandardError::not_json(format!("Not JSON: {error}.")))?;
    let value = body.remove(field);
    let value =
        value.ok_or_else(|| StandardError::missing_param(format!("`{field}` is missing.")))?;
    let changed = users.set_profile_field(session.user, field, value).await?;
    tell_rooms(&rooms, &session, field, changed).await?;
    Ok(MatrixResponse(set_profile_field::v3::Response::new()))
}

/// `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname)
///
/// # Errors
/// `M_FORBIDDEN` for another user's, `M_INVALID_PARAM`, `M_KEY_TOO_LARGE`.
pub async fn delete_profile_field(
    State(users): State<Users>,
    State(rooms): State<Rooms>,
    ActiveSession(session): ActiveSession,
    MatrixRequest(request): MatrixRequest<delete_profile_field::v3::Request>,
) -> Result<MatrixResponse<delete_profile_field::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let field = request.field.as_str();
    let changed = users.delete_profile_field(session.user, field).await?;
    tell_rooms(&rooms, &session, field, changed).await?;
    Ok(MatrixResponse(delete_profile_field::v3::Response::new()))
}

async fn profile_of(users: &Users, user_id: &UserId) -> Result<Profile, Error> {
    let account = users
        .account(user_id)
        .await?
        .filter(|(_, account)| !account.deactivated);
    let (user, _) = account.ok_or_else(|| StandardError::not_found("Profile not found."))?;
    Ok(users.profile(user).await?)
}

/// A name or a picture is shown in rooms: they get a new member event.
async fn tell_rooms(
    rooms: &Rooms,
    session: &users::Session,
    field: &str,
    changed: Option<Profile>,
) -> Result<(), Error> {
    let Some(profile) = changed.filter(|_| Profile::is_shown_in_rooms(field)) else {
        return Ok(());
    };
    let profile = MemberProfile {
        displayname: profile.displayname().map(str::to_owned),
        avatar_url: profile.avatar_url().map(str::to_owned),
    };
    rooms
        .profile_changed(&session.user_id, &profile)
        .await
        .map_err(Error::internal)
}
