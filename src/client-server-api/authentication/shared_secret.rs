//! Registration by provisioning tools, with a secret that they share with the administrator. Not in the spec;
//! [as Synapse has it](https://element-hq.github.io/synapse/latest/admin_api/register_api.html).

use axum::{extract::State, response::Response};
use http::StatusCode;
use http_layer::{Class, ClientAddress, JsonBody, RateLimits, json};
use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::json;
use users::{NewSession, SharedSecretRegistration, Users};

use crate::Error;

/// Where it is served.
pub(crate) const PATH: &str = "/_synapse/admin/v1/register";

/// `GET /_synapse/admin/v1/register`
pub async fn get_nonce(State(users): State<Users>) -> Result<Response, Error> {
    Ok(json(StatusCode::OK, &json!({ "nonce": users.nonce()? })))
}

/// The body of [`register`].
#[derive(Deserialize)]
pub(crate) struct Body {
    nonce: String,
    username: String,
    #[serde(default)]
    displayname: Option<String>,
    password: String,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    user_type: Option<String>,
    mac: String,
    #[serde(default)]
    inhibit_login: bool,
    #[serde(default)]
    device_id: Option<OwnedDeviceId>,
    #[serde(default)]
    initial_device_display_name: Option<String>,
    #[serde(default)]
    refresh_token: bool,
}

/// `POST /_synapse/admin/v1/register`
///
/// # Errors
/// `M_UNKNOWN` (400) without a secret and for a used nonce, `M_FORBIDDEN` for a wrong `mac`; else as for registration.
pub(crate) async fn register(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    address: ClientAddress,
    JsonBody(body): JsonBody<Body>,
) -> Result<Response, Error> {
    // Only who does not know the secret is limited: a tool may create a thousand users.
    limits.peek(Class::LoginFailed, address.limit_key())?;
    let session = NewSession {
        device_id: body.device_id,
        initial_device_display_name: body.initial_device_display_name,
        refreshable: body.refresh_token,
    };
    let registration = SharedSecretRegistration {
        nonce: body.nonce,
        username: body.username,
        displayname: body.displayname,
        password: body.password,
        admin: body.admin,
        user_type: body.user_type,
        mac: body.mac,
        session: (!body.inhibit_login).then_some(session),
    };
    let result = users.register_with_shared_secret(registration).await;
    if matches!(result, Err(users::SharedSecretError::WrongMac)) {
        limits.check(Class::LoginFailed, address.limit_key())?;
    }
    let (user_id, issued) = result?;
    let mut answer = json!({ "user_id": user_id, "home_server": users.server_name() });
    if let Some(issued) = issued {
        answer["access_token"] = issued.access_token.into();
        answer["device_id"] = issued.device_id.as_str().into();
        if let (Some(refresh_token), Some(expires_in_ms)) =
            (issued.refresh_token, issued.expires_in_ms)
        {
            answer["refresh_token"] = refresh_token.into();
            answer["expires_in_ms"] = expires_in_ms.into();
        }
    }
    Ok(json(StatusCode::OK, &answer))
}
