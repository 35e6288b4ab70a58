//! Requests with an `auth` in their body
//! ([spec](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api)), and the body itself
//! where ruma's type does not keep all of it.

use axum::{
    body::Body,
    extract::{FromRequest, Request},
};
use bytes::Bytes;
use http::{Method, request::Parts};
use http_layer::{Class, MatrixRequest, RateLimits, StandardError, read_body};
use ruma::api::IncomingRequest;
use serde_json::{Map, Value};
use users::{Attempt, Credential, Failure, InteractiveError, Proof, Purpose, UserName, Users};

use crate::Error;

/// A request, and its body as the client sent it.
pub struct WithBody<T>(pub(crate) T, pub(crate) Bytes);

impl<T: IncomingRequest, S: Send + Sync> FromRequest<S> for WithBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let body = read_body(&parts, body).await?;
        let MatrixRequest(request) = parse(parts, body.clone(), state).await?;
        // As everywhere: nothing at all means `{}`.
        let empty = body.trim_ascii().is_empty();
        Ok(Self(
            request,
            if empty {
                Bytes::from_static(b"{}")
            } else {
                body
            },
        ))
    }
}

/// A request that is taken after user-interactive authentication.
pub struct Interactive<T> {
    /// The request, without its `auth`.
    pub(crate) request: T,
    /// The `auth`.
    pub(crate) attempt: Option<Attempt>,
    /// Method and path: an authentication begun for one operation does not do for another.
    operation: String,
}

impl<T: IncomingRequest, S: Send + Sync> FromRequest<S> for Interactive<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        let operation = format!("{} {}", parts.method, parts.uri.path());
        let mut body = read_body(&parts, body).await?;
        let mut attempt = None;
        // What is not an object is refused further down.
        if let Ok(mut object) = serde_json::from_slice::<Map<String, Value>>(&body)
            && let Some(auth) = object.remove("auth")
        {
            attempt = read_attempt(auth)?;
            body = Value::Object(object).to_string().into();
        }
        let MatrixRequest(request) = parse(parts, body, state).await?;
        Ok(Self {
            request,
            attempt,
            operation,
        })
    }
}

impl<T> Interactive<T> {
    /// The request, once the session's user has shown that it is they who ask.
    ///
    /// # Errors
    /// 401 with the stages that are missing; `M_LIMIT_EXCEEDED` after too many wrong passwords.
    pub(crate) async fn confirm(
        self,
        users: &Users,
        limits: &RateLimits,
        session: &users::Session,
    ) -> Result<T, Error> {
        let purpose = Purpose::Account {
            session,
            operation: &self.operation,
        };
        if self.attempt.is_some() {
            limits.peek(Class::LoginFailed, session.user_id.as_str())?;
        }
        let result = users.interact(purpose, self.attempt).await;
        if let Err(InteractiveError::Challenge(challenge)) = &result
            && challenge.failure == Some(Failure::WrongPassword)
        {
            limits.check(Class::LoginFailed, session.user_id.as_str())?;
        }
        let _proof: Proof = result?;
        Ok(self.request)
    }
}

async fn parse<T: IncomingRequest, S: Send + Sync>(
    mut parts: Parts,
    body: Bytes,
    state: &S,
) -> Result<MatrixRequest<T>, Error> {
    // A body read anew has its own length.
    parts.headers.remove(http::header::CONTENT_LENGTH);
    debug_assert_ne!(parts.method, Method::GET, "a GET has no body");
    Ok(MatrixRequest::from_request(Request::from_parts(parts, Body::from(body)), state).await?)
}

/// Reads `auth`. `null` is none.
fn read_attempt(auth: Value) -> Result<Option<Attempt>, StandardError> {
    let mut auth = match auth {
        Value::Null => return Ok(None),
        Value::Object(auth) => auth,
        _ => return Err(StandardError::bad_json("`auth` must be an object.")),
    };
    let session = optional_text(&mut auth, "session")?;
    let stage = optional_text(&mut auth, "type")?;
    let credential = match stage.as_deref() {
        None => None,
        Some("m.login.password") => {
            let user = user_name(&mut auth)?;
            Some(Credential::Password {
                user,
                password: text(&mut auth, "password")?,
            })
        }
        Some("m.login.dummy") => Some(Credential::Dummy),
        Some("m.login.registration_token") => {
            Some(Credential::RegistrationToken(text(&mut auth, "token")?))
        }
        Some("org.matrix.login.jwt") => Some(Credential::Jwt(text(&mut auth, "token")?)),
        Some(_) => Some(Credential::Unknown),
    };
    Ok(Some(Attempt {
        session,
        credential,
    }))
}

/// Whom `identifier` names, or, as older clients have it, `user`. `None` for other kinds of identifier: no third-party
/// id is known here.
fn user_name(auth: &mut Map<String, Value>) -> Result<Option<UserName>, StandardError> {
    let mut identifier = match auth.remove("identifier") {
        Some(Value::Object(identifier)) => identifier,
        Some(_) => return Err(StandardError::bad_json("`identifier` must be an object.")),
        None => return Ok(optional_text(auth, "user")?.map(UserName)),
    };
    if identifier
        .get("type")
        .is_some_and(|kind| kind == "m.id.user")
    {
        return text(&mut identifier, "user").map(|user| Some(UserName(user)));
    }
    Ok(None)
}

fn text(object: &mut Map<String, Value>, key: &str) -> Result<String, StandardError> {
    optional_text(object, key)?
        .ok_or_else(|| StandardError::missing_param(format!("`{key}` is missing.")))
}

fn optional_text(
    object: &mut Map<String, Value>,
    key: &str,
) -> Result<Option<String>, StandardError> {
    match object.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(StandardError::bad_json(format!(
            "`{key}` must be a string."
        ))),
    }
}
