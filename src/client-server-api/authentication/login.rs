//! [Login](https://spec.matrix.org/v1.19/client-server-api/#legacy-login), refresh and logout.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, Request, State},
    response::Response,
};
use config::Config;
use http::StatusCode;
use http_layer::{
    Class, ClientAddress, MatrixRequest, MatrixResponse, RateLimits, StandardError, json, read_body,
};
use ruma::api::client::{
    session::{
        get_login_token, get_login_types,
        login::{
            self,
            v3::{DiscoveryInfo, HomeserverInfo, LoginInfo, Password},
        },
        logout, logout_all, refresh_token,
    },
    uiaa::UserIdentifier,
};
use serde_json::{Map, Value, json};
use users::{IssuedSession, LoginError, NewSession, UserName, Users};

use crate::{Error, EvenLocked, Session, interactive::Interactive};

/// `GET /_matrix/client/v3/login`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3login)
pub async fn get_login_flows(
    State(users): State<Users>,
    MatrixRequest(_): MatrixRequest<get_login_types::v3::Request>,
) -> Response {
    let mut flows = vec![
        json!({ "type": "m.login.password" }),
        json!({ "type": "m.login.token", "get_login_token": true }),
    ];
    if users.offers_jwt() {
        flows.push(json!({ "type": JWT }));
    }
    json(StatusCode::OK, &json!({ "flows": flows }))
}

/// Not in the spec; the name is Synapse's.
const JWT: &str = "org.matrix.login.jwt";

/// `POST /_matrix/client/v3/login`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3login)
///
/// # Errors
/// `M_FORBIDDEN` for a wrong user or secret, `M_USER_DEACTIVATED`, `M_UNKNOWN` (400) for a login type that is not
/// offered, `M_LIMIT_EXCEEDED`.
pub async fn login(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    State(config): State<Arc<Config>>,
    address: ClientAddress,
    LoginRequest(request): LoginRequest,
) -> Result<MatrixResponse<login::v3::Response>, Error> {
    limits.check(Class::LoginAddress, address.limit_key())?;
    let new = NewSession {
        device_id: request.device_id,
        initial_device_display_name: request.initial_device_display_name,
        refreshable: request.refresh_token,
    };
    let issued = match request.login_info {
        LoginInfo::Password(password) => by_password(&users, &limits, password, &new).await?,
        LoginInfo::Token(token) => users.login_with_token(&token.token, &new).await?,
        // There are none yet, so the token is nobody's.
        LoginInfo::ApplicationService(_) => return Err(StandardError::unknown_token(false).into()),
        other if other.login_type() == JWT => {
            let data = other.data();
            let token = data.get("token").and_then(Value::as_str);
            let token = token.ok_or_else(|| StandardError::missing_param("`token` is missing."))?;
            users.login_with_jwt(token, &new).await?
        }
        _ => return Err(LoginError::NotOffered.into()),
    };
    Ok(MatrixResponse(answer(issued, &config)))
}

/// A localpart or a user id, by `identifier` or, as older clients have it, by `user`.
async fn by_password(
    users: &Users,
    limits: &RateLimits,
    login: Password,
    new: &NewSession,
) -> Result<IssuedSession, Error> {
    #[expect(deprecated, reason = "older clients and bots still send it")]
    let legacy = login.user;
    let user = match login.identifier {
        Some(UserIdentifier::Matrix(identifier)) => Some(identifier.user),
        // No third-party id is known here: "the homeserver must respond with 403 Forbidden".
        Some(_) => None,
        None => legacy,
    };
    let name = UserName(user.ok_or(LoginError::Forbidden)?);
    // One budget, however the account is called.
    let account = name.0.to_lowercase();
    let account = if account.starts_with('@') {
        account
    } else {
        format!("@{account}:{}", users.server_name())
    };
    limits.check(Class::LoginAccount, account.as_str())?;
    limits.peek(Class::LoginFailed, account.as_str())?;
    let result = users.login_with_password(&name, &login.password, new).await;
    if matches!(result, Err(LoginError::Forbidden)) {
        limits.check(Class::LoginFailed, account.as_str())?;
    }
    Ok(result?)
}

fn answer(issued: IssuedSession, config: &Config) -> login::v3::Response {
    let mut response =
        login::v3::Response::new(issued.user_id, issued.access_token, issued.device_id);
    response.refresh_token = issued.refresh_token;
    response.expires_in = issued.expires_in_ms.map(Duration::from_millis);
    // Only what the administrator has said: a guess would send clients behind a proxy astray.
    let public = config.public_base_url.is_some();
    response.well_known =
        public.then(|| DiscoveryInfo::new(HomeserverInfo::new(config.base_url())));
    response
}

/// A login request whose `type` is there: ruma's type panics without one.
pub struct LoginRequest(login::v3::Request);

impl<S: Send + Sync> FromRequest<S> for LoginRequest {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let body = read_body(&parts, body).await?;
        match serde_json::from_slice::<Map<String, Value>>(&body) {
            Ok(object) if object.get("type").is_some_and(Value::is_string) => {}
            Ok(object) if object.contains_key("type") => {
                return Err(StandardError::bad_json("`type` must be a string.").into());
            }
            // What is not an object is refused further down.
            Err(_) if !body.trim_ascii().is_empty() => {}
            Ok(_) | Err(_) => return Err(StandardError::missing_param("`type` is missing.").into()),
        }
        let request = Request::from_parts(parts, Body::from(body));
        let MatrixRequest(request) = MatrixRequest::from_request(request, state).await?;
        Ok(Self(request))
    }
}

/// `POST /_matrix/client/v1/login/get_token`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv1loginget_token)
pub async fn generate_login_token(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<get_login_token::v1::Request>,
) -> Result<MatrixResponse<get_login_token::v1::Response>, Error> {
    interactive.confirm(&users, &limits, &session).await?;
    let token = users.generate_login_token(&session).await?;
    let expires_in = Duration::from_millis(token.expires_in_ms);
    Ok(MatrixResponse(get_login_token::v1::Response::new(
        expires_in,
        token.token,
    )))
}

/// `POST /_matrix/client/v3/refresh`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3refresh)
///
/// # Errors
/// `M_UNKNOWN_TOKEN`; with `soft_logout` for a refresh token that was used before, which ends the session.
pub async fn refresh(
    State(users): State<Users>,
    MatrixRequest(request): MatrixRequest<refresh_token::v3::Request>,
) -> Result<MatrixResponse<refresh_token::v3::Response>, Error> {
    let issued = users.refresh(&request.refresh_token).await?;
    let mut response = refresh_token::v3::Response::new(issued.access_token);
    response.refresh_token = issued.refresh_token;
    response.expires_in_ms = issued.expires_in_ms.map(Duration::from_millis);
    Ok(MatrixResponse(response))
}

/// `POST /_matrix/client/v3/logout`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logout)
pub async fn logout(
    State(users): State<Users>,
    EvenLocked(session): EvenLocked,
    MatrixRequest(_): MatrixRequest<logout::v3::Request>,
) -> Result<MatrixResponse<logout::v3::Response>, Error> {
    users.logout(&session).await?;
    Ok(MatrixResponse(logout::v3::Response::new()))
}

/// `POST /_matrix/client/v3/logout/all`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3logoutall)
pub async fn logout_all(
    State(users): State<Users>,
    EvenLocked(session): EvenLocked,
    MatrixRequest(_): MatrixRequest<logout_all::v3::Request>,
) -> Result<MatrixResponse<logout_all::v3::Response>, Error> {
    users.logout_all(session.user).await?;
    Ok(MatrixResponse(logout_all::v3::Response::new()))
}
