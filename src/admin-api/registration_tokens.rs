//! Registration tokens
//! ([Synapse's](https://element-hq.github.io/synapse/latest/usage/administration/admin_api/registration_tokens.html)).

use ::users::{RegistrationToken, TokenToCreate, Users};
use axum::{extract::State, response::Response};
use client_server_api::Error;
use host::Host;
use http::StatusCode;
use http_layer::{JsonBody, StandardError, json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Administrator,
    extract::{InPath, Params},
};

/// The longest token that is generated, as in the spec.
const MAX_CHARACTERS: usize = 64;

fn token_json(token: &RegistrationToken) -> Value {
    json!({
        "token": token.token,
        "uses_allowed": token.uses_allowed,
        // A use is taken when the account is made: none is ever pending.
        "pending": 0,
        "completed": token.completed,
        "expiry_time": token.expires_ms,
    })
}

/// The query of [`list`].
#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    valid: Option<bool>,
}

/// `GET /_synapse/admin/v1/registration_tokens`
pub async fn list(
    State(users): State<Users>,
    State(host): State<Host>,
    _: Administrator,
    Params(query): Params<Which>,
) -> Result<Response, Error> {
    let now_ms = host.now_ms();
    let tokens = users.registration_tokens().await?;
    let tokens: Vec<Value> = tokens
        .iter()
        .filter(|token| query.valid.is_none_or(|valid| valid == token.holds(now_ms)))
        .map(token_json)
        .collect();
    Ok(json(
        StatusCode::OK,
        &json!({ "registration_tokens": tokens }),
    ))
}

/// `GET /_synapse/admin/v1/registration_tokens/{token}`
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn show(
    State(users): State<Users>,
    _: Administrator,
    InPath(name): InPath<String>,
) -> Result<Response, Error> {
    let tokens = users.registration_tokens().await?;
    let token = tokens.iter().find(|token| token.token == name);
    let token = token.ok_or_else(|| no_such(&name))?;
    Ok(json(StatusCode::OK, &token_json(token)))
}

fn no_such(name: &str) -> StandardError {
    StandardError::not_found(format!("No such registration token: {name}"))
}

/// The body of [`create`].
#[derive(Debug, Deserialize)]
pub(crate) struct Create {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    length: Option<usize>,
    #[serde(default)]
    uses_allowed: Option<u64>,
    #[serde(default)]
    expiry_time: Option<u64>,
}

/// `POST /_synapse/admin/v1/registration_tokens/new`
///
/// # Errors
/// `M_INVALID_PARAM` for a name that is no token's or that there is already, and for a time in the past.
pub async fn create(
    State(users): State<Users>,
    State(host): State<Host>,
    administrator: Administrator,
    JsonBody(body): JsonBody<Create>,
) -> Result<Response, Error> {
    if body
        .length
        .is_some_and(|length| !(1..=MAX_CHARACTERS).contains(&length))
    {
        return Err(StandardError::invalid_param("`length` is 1 to 64.").into());
    }
    in_future(&host, body.expiry_time)?;
    let details = json!({ "uses_allowed": body.uses_allowed, "expiry_time": body.expiry_time });
    administrator.audit("token.create", "", details).await?;
    let new = TokenToCreate {
        token: body.token,
        length: body.length,
        uses_allowed: body.uses_allowed,
        expires_ms: body.expiry_time,
    };
    let made = users.create_registration_token(new).await;
    let made = made.map_err(|error| match error {
        ::users::CreateError::InvalidName(why) => StandardError::invalid_param(why).into(),
        error => Error::from(error),
    })?;
    let token =
        made.ok_or_else(|| StandardError::invalid_param("Token already exists: choose another."))?;
    Ok(json(StatusCode::OK, &token_json(&token)))
}

fn in_future(host: &Host, expiry_ms: Option<u64>) -> Result<(), StandardError> {
    if expiry_ms.is_some_and(|expiry_ms| expiry_ms <= host.now_ms()) {
        let message = "`expiry_time`, in milliseconds since 1970, is in the past.";
        return Err(StandardError::invalid_param(message));
    }
    Ok(())
}

/// `PUT /_synapse/admin/v1/registration_tokens/{token}`
///
/// What is absent stays; `null` takes a limit away.
///
/// # Errors
/// `M_NOT_FOUND`; `M_INVALID_PARAM`.
pub async fn change(
    State(users): State<Users>,
    State(host): State<Host>,
    administrator: Administrator,
    InPath(name): InPath<String>,
    JsonBody(body): JsonBody<serde_json::Map<String, Value>>,
) -> Result<Response, Error> {
    let number = |key: &str| -> Result<Option<Option<u64>>, StandardError> {
        match body.get(key) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(value) => value
                .as_u64()
                .map(|number| Some(Some(number)))
                .ok_or_else(|| {
                    StandardError::invalid_param(format!("`{key}` is no whole number."))
                }),
        }
    };
    let (uses, expiry) = (number("uses_allowed")?, number("expiry_time")?);
    in_future(&host, expiry.flatten())?;
    let details = json!({ "uses_allowed": uses, "expiry_time": expiry });
    administrator.audit("token.change", &name, details).await?;
    let changed = users.change_registration_token(&name, |token| {
        if let Some(uses) = uses {
            token.uses_allowed = uses;
        }
        if let Some(expiry) = expiry {
            token.expires_ms = expiry;
        }
    });
    let token = changed.await?.ok_or_else(|| no_such(&name))?;
    Ok(json(StatusCode::OK, &token_json(&token)))
}

/// `DELETE /_synapse/admin/v1/registration_tokens/{token}`
///
/// # Errors
/// `M_NOT_FOUND`.
pub async fn delete(
    State(users): State<Users>,
    administrator: Administrator,
    InPath(name): InPath<String>,
) -> Result<Response, Error> {
    administrator
        .audit("token.delete", &name, Value::Null)
        .await?;
    if !users.delete_registration_token(&name).await? {
        return Err(no_such(&name).into());
    }
    Ok(json(StatusCode::OK, &json!({})))
}
