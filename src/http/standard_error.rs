//! The [standard error response](https://spec.matrix.org/v1.19/client-server-api/#standard-error-response): one table
//! of errcodes with the status each is sent with unless its endpoint says otherwise.

use std::{borrow::Cow, fmt};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};

use crate::response::json;

/// An error that a client is meant to understand.
#[derive(Clone, Debug, PartialEq)]
pub struct StandardError {
    /// What went wrong, for programs.
    pub errcode: Errcode,
    /// What went wrong, for people.
    pub message: Cow<'static, str>,
    /// The HTTP status.
    pub status: StatusCode,
    /// Further keys that the errcode defines.
    pub fields: Map<String, Value>,
}

macro_rules! errcodes {
    ($($variant:ident $name:literal $status:ident,)*) => {
        /// The spec's error codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Errcode {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Errcode {
            /// Every code, in the table's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status it is sent with unless its endpoint says otherwise.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }
        }
    };
}

// A macro, because a table with its enum beside it would have to be kept in step by hand.
errcodes! {
    // Common error codes.
    BadJson "M_BAD_JSON" BAD_REQUEST,
    Forbidden "M_FORBIDDEN" FORBIDDEN,
    LimitExceeded "M_LIMIT_EXCEEDED" TOO_MANY_REQUESTS,
    MissingToken "M_MISSING_TOKEN" UNAUTHORIZED,
    NotFound "M_NOT_FOUND" NOT_FOUND,
    NotJson "M_NOT_JSON" BAD_REQUEST,
    ResourceLimitExceeded "M_RESOURCE_LIMIT_EXCEEDED" FORBIDDEN,
    Unknown "M_UNKNOWN" INTERNAL_SERVER_ERROR,
    UnknownDevice "M_UNKNOWN_DEVICE" BAD_REQUEST,
    UnknownToken "M_UNKNOWN_TOKEN" UNAUTHORIZED,
    Unrecognized "M_UNRECOGNIZED" NOT_FOUND,
    UserLimitExceeded "M_USER_LIMIT_EXCEEDED" FORBIDDEN,
    UserLocked "M_USER_LOCKED" UNAUTHORIZED,
    UserSuspended "M_USER_SUSPENDED" FORBIDDEN,
    // Other error codes.
    BadState "M_BAD_STATE" FORBIDDEN,
    CannotLeaveServerNoticeRoom "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM" FORBIDDEN,
    CaptchaInvalid "M_CAPTCHA_INVALID" UNAUTHORIZED,
    CaptchaNeeded "M_CAPTCHA_NEEDED" UNAUTHORIZED,
    Exclusive "M_EXCLUSIVE" BAD_REQUEST,
    GuestAccessForbidden "M_GUEST_ACCESS_FORBIDDEN" FORBIDDEN,
    IncompatibleRoomVersion "M_INCOMPATIBLE_ROOM_VERSION" BAD_REQUEST,
    InvalidParam "M_INVALID_PARAM" BAD_REQUEST,
    InvalidRoomState "M_INVALID_ROOM_STATE" BAD_REQUEST,
    InvalidUsername "M_INVALID_USERNAME" BAD_REQUEST,
    MissingParam "M_MISSING_PARAM" BAD_REQUEST,
    RoomInUse "M_ROOM_IN_USE" BAD_REQUEST,
    ServerNotTrusted "M_SERVER_NOT_TRUSTED" BAD_REQUEST,
    ThreepidAuthFailed "M_THREEPID_AUTH_FAILED" BAD_REQUEST,
    ThreepidDenied "M_THREEPID_DENIED" FORBIDDEN,
    ThreepidInUse "M_THREEPID_IN_USE" BAD_REQUEST,
    ThreepidMediumNotSupported "M_THREEPID_MEDIUM_NOT_SUPPORTED" BAD_REQUEST,
    ThreepidNotFound "M_THREEPID_NOT_FOUND" BAD_REQUEST,
    TooLarge "M_TOO_LARGE" PAYLOAD_TOO_LARGE,
    Unauthorized "M_UNAUTHORIZED" UNAUTHORIZED,
    UnsupportedRoomVersion "M_UNSUPPORTED_ROOM_VERSION" BAD_REQUEST,
    UserDeactivated "M_USER_DEACTIVATED" FORBIDDEN,
    UserInUse "M_USER_IN_USE" BAD_REQUEST,
    // Codes that single endpoints and modules define.
    AppserviceLoginUnsupported "M_APPSERVICE_LOGIN_UNSUPPORTED" BAD_REQUEST,
    BadAlias "M_BAD_ALIAS" BAD_REQUEST,
    BadStatus "M_BAD_STATUS" BAD_GATEWAY,
    CannotOverwriteMedia "M_CANNOT_OVERWRITE_MEDIA" CONFLICT,
    ConnectionFailed "M_CONNECTION_FAILED" BAD_GATEWAY,
    ConnectionTimeout "M_CONNECTION_TIMEOUT" GATEWAY_TIMEOUT,
    DuplicateAnnotation "M_DUPLICATE_ANNOTATION" BAD_REQUEST,
    InvalidSignature "M_INVALID_SIGNATURE" BAD_REQUEST,
    InviteBlocked "M_INVITE_BLOCKED" FORBIDDEN,
    KeyTooLarge "M_KEY_TOO_LARGE" BAD_REQUEST,
    NotYetUploaded "M_NOT_YET_UPLOADED" GATEWAY_TIMEOUT,
    ProfileTooLarge "M_PROFILE_TOO_LARGE" BAD_REQUEST,
    UnableToAuthoriseJoin "M_UNABLE_TO_AUTHORISE_JOIN" BAD_REQUEST,
    UnableToGrantJoin "M_UNABLE_TO_GRANT_JOIN" BAD_REQUEST,
    UrlNotSet "M_URL_NOT_SET" BAD_REQUEST,
    WeakPassword "M_WEAK_PASSWORD" BAD_REQUEST,
    WrongRoomKeysVersion "M_WRONG_ROOM_KEYS_VERSION" FORBIDDEN,
    UnknownPos "M_UNKNOWN_POS" BAD_REQUEST,
}

impl StandardError {
    /// `errcode` with its usual status.
    pub fn new(errcode: Errcode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            errcode,
            message: message.into(),
            status: errcode.status(),
            fields: Map::new(),
        }
    }

    /// The same with another status, where an endpoint defines one.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same with one more key.
    #[must_use]
    pub fn with_field(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// 403: not allowed.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::Forbidden, message)
    }

    /// 404: no such thing.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::NotFound, message)
    }

    /// 404: no such endpoint.
    pub fn unrecognized() -> Self {
        Self::new(Errcode::Unrecognized, "Unrecognized request.")
    }

    /// 405: the endpoint exists, but not with this method.
    pub fn method_not_allowed() -> Self {
        Self::new(
            Errcode::Unrecognized,
            "This endpoint does not know that method.",
        )
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
    }

    /// 401: the token is unknown. With `soft_logout` the device still exists and the client keeps its keys.
    pub fn unknown_token(soft_logout: bool) -> Self {
        Self::new(Errcode::UnknownToken, "Unknown or expired access token.")
            .with_field("soft_logout", soft_logout)
    }

    /// 401: there is no token.
    pub fn missing_token() -> Self {
        Self::new(Errcode::MissingToken, "Missing access token.")
    }

    /// 400: JSON, but not what was asked for.
    pub fn bad_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::BadJson, message)
    }

    /// 400: no JSON.
    pub fn not_json(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::NotJson, message)
    }

    /// 400: a parameter has a wrong value.
    pub fn invalid_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::InvalidParam, message)
    }

    /// 400: a parameter is missing.
    pub fn missing_param(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::MissingParam, message)
    }

    /// 429: come back in `retry_after_ms` milliseconds.
    pub fn limit_exceeded(retry_after_ms: u64) -> Self {
        Self::new(Errcode::LimitExceeded, "Too many requests.")
            .with_field("retry_after_ms", retry_after_ms)
    }

    /// 413: too large.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::TooLarge, message)
    }

    /// 400: the user id is taken.
    pub fn user_in_use() -> Self {
        Self::new(Errcode::UserInUse, "User ID already taken.")
    }

    /// 400: the user id is against the grammar.
    pub fn invalid_username(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::InvalidUsername, message)
    }

    /// 400: the room alias is taken.
    pub fn room_in_use(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::RoomInUse, message)
    }

    /// 400: an application service has reserved it.
    pub fn exclusive(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::Exclusive, message)
    }

    /// 500: it is our fault. Prefer [`crate::Error::internal`], which logs the cause.
    pub fn unknown(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::Unknown, message)
    }

    /// 400: no room of this version can be created here.
    pub fn unsupported_room_version(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::UnsupportedRoomVersion, message)
    }

    /// 400: the room to be joined has a version unknown here.
    pub fn incompatible_room_version(version: &str) -> Self {
        Self::new(
            Errcode::IncompatibleRoomVersion,
            "Your homeserver does not support the room's version.",
        )
        .with_field("room_version", version)
    }

    /// 403: the server notices room stays.
    pub fn cannot_leave_server_notice_room() -> Self {
        Self::new(
            Errcode::CannotLeaveServerNoticeRoom,
            "You cannot reject this invite.",
        )
    }

    /// 400: the initial state of a new room is not valid.
    pub fn invalid_room_state(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::InvalidRoomState, message)
    }

    /// 400: an alias in an alias event does not point to its room.
    pub fn bad_alias(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::BadAlias, message)
    }

    /// 403: the change does not fit the present state.
    pub fn bad_state(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::BadState, message)
    }

    /// 400: the password is too easy to guess.
    pub fn weak_password(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Errcode::WeakPassword, message)
    }

    /// 403: the account is no more.
    pub fn user_deactivated() -> Self {
        Self::new(
            Errcode::UserDeactivated,
            "This account has been deactivated.",
        )
    }

    /// The JSON body.
    pub fn body(&self) -> Value {
        let mut body = self.fields.clone();
        body.insert("errcode".to_owned(), self.errcode.name().into());
        body.insert("error".to_owned(), self.message.as_ref().into());
        Value::Object(body)
    }
}

impl fmt::Display for StandardError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.errcode.name(), self.message)
    }
}

impl std::error::Error for StandardError {}

impl IntoResponse for StandardError {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.body());
        if let Some(after_ms) = self.fields.get("retry_after_ms").and_then(Value::as_u64) {
            // Whole seconds, rounded up: earlier would be refused again.
            let seconds = HeaderValue::from(after_ms.div_ceil(1_000));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

#[cfg(test)]
mod tests;
