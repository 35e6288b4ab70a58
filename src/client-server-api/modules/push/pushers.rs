//! [Pushers](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers).

use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{MatrixRequest, MatrixResponse, StandardError, json};
use ruma::api::client::push::{get_pushers, set_pusher};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use users::{Pusher, PusherError, PusherKey, Users};

use crate::{Error, Session, interactive::WithBody};

/// What a client sends. ruma's type would call whatever is missing bad JSON; the spec says what is missing.
#[derive(Deserialize)]
struct Body {
    app_id: Option<String>,
    pushkey: Option<String>,
    kind: Option<String>,
    app_display_name: Option<String>,
    device_display_name: Option<String>,
    profile_tag: Option<String>,
    lang: Option<String>,
    data: Option<Map<String, Value>>,
    #[serde(default)]
    append: bool,
}

/// `GET /_matrix/client/v3/pushers`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushers)
pub async fn get_pushers(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(_): MatrixRequest<get_pushers::v3::Request>,
) -> Result<Response, Error> {
    let pushers = users.pushers(session.user).await?;
    Ok(json(StatusCode::OK, &json!({ "pushers": pushers })))
}

/// `POST /_matrix/client/v3/pushers/set`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3pushersset)
///
/// # Errors
/// `M_MISSING_PARAM`, `M_INVALID_PARAM`; `M_TOO_LARGE` for a user with a hundred pushers.
pub async fn post_pusher(
    State(users): State<Users>,
    Session(session): Session,
    // Of the other endpoint, whose request is empty: the body is read here.
    WithBody(_, body): WithBody<get_pushers::v3::Request>,
) -> Result<MatrixResponse<set_pusher::v3::Response>, Error> {
    let object: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|error| StandardError::bad_json(format!("Bad JSON: {error}.")))?;
    let deletes = object.get("kind").is_some_and(Value::is_null);
    let body: Body = serde_json::from_value(Value::Object(object))
        .map_err(|error| StandardError::bad_json(format!("Bad JSON: {error}.")))?;
    if deletes {
        let (Some(app_id), Some(pushkey)) = (body.app_id, body.pushkey) else {
            return Err(PusherError::Missing("app_id, pushkey".to_owned()).into());
        };
        let key = PusherKey { app_id, pushkey };
        users.delete_pusher(session.user, &key).await?;
    } else {
        let append = body.append;
        users.set_pusher(&session, pusher(body)?, append).await?;
    }
    Ok(MatrixResponse(set_pusher::v3::Response::new()))
}

/// The whole pusher, or the names of what is missing.
fn pusher(body: Body) -> Result<Pusher, PusherError> {
    let missing: Vec<&str> = [
        ("app_id", body.app_id.is_none()),
        ("pushkey", body.pushkey.is_none()),
        ("kind", body.kind.is_none()),
        ("app_display_name", body.app_display_name.is_none()),
        ("device_display_name", body.device_display_name.is_none()),
        ("lang", body.lang.is_none()),
        ("data", body.data.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, missing)| missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        return Err(PusherError::Missing(missing.join(", ")));
    }
    Ok(Pusher {
        key: PusherKey {
            app_id: body.app_id.unwrap_or_default(),
            pushkey: body.pushkey.unwrap_or_default(),
        },
        kind: body.kind.unwrap_or_default(),
        app_display_name: body.app_display_name.unwrap_or_default(),
        device_display_name: body.device_display_name.unwrap_or_default(),
        profile_tag: body.profile_tag,
        lang: body.lang.unwrap_or_default(),
        data: body.data.unwrap_or_default(),
    })
}
