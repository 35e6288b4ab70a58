//! What the errors of `users` mean to a client.

use http::StatusCode;
use http_layer::{Errcode, StandardError};
use serde_json::{Value, json};
use users::{
    AccountDataError, AuthenticationError, Challenge, CreateError, DeviceError, Failure,
    FilterError, InteractiveError, LoginError, PasswordError, ProfileError, PushRuleError,
    PusherError, SharedSecretError,
};

use super::Error;

/// A password takes some 30 ms: who comes back after a second finds the queue shorter.
const PASSWORDS_RETRY_MS: u64 = 1_000;

const DEVICE_MANAGEMENT: &str =
    "https://spec.matrix.org/v1.19/client-server-api/#device-management";

impl From<AuthenticationError> for Error {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::UnknownToken => StandardError::unknown_token(false).into(),
            AuthenticationError::SoftLoggedOut => StandardError::unknown_token(true).into(),
            AuthenticationError::Locked => {
                StandardError::new(Errcode::UserLocked, "This account has been locked.")
                    .with_field("soft_logout", true)
                    .into()
            }
            AuthenticationError::Store(error) => error.into(),
        }
    }
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::TooLong { .. } => StandardError::invalid_param(sentence(&error)).into(),
            PasswordError::TooShort { .. } => StandardError::weak_password(sentence(&error)).into(),
            PasswordError::Busy => StandardError::limit_exceeded(PASSWORDS_RETRY_MS).into(),
            PasswordError::Failed => Self::internal(error),
        }
    }
}

impl From<CreateError> for Error {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::InUse => StandardError::user_in_use().into(),
            CreateError::InvalidName(why) => StandardError::invalid_username(why).into(),
            // Used up between its stage and the commit.
            CreateError::InvalidToken => StandardError::forbidden(sentence(&error))
                .with_status(StatusCode::UNAUTHORIZED)
                .into(),
            CreateError::InvalidDevice(why) => StandardError::invalid_param(why).into(),
            CreateError::NotThatGuest => StandardError::forbidden(sentence(&error)).into(),
            CreateError::Password(error) => error.into(),
            CreateError::Store(error) => error.into(),
        }
    }
}

impl From<LoginError> for Error {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Forbidden => {
                StandardError::forbidden("Invalid username or password.").into()
            }
            LoginError::Jwt(_) => StandardError::forbidden(sentence(&error)).into(),
            LoginError::Deactivated => StandardError::user_deactivated().into(),
            // Where the error leads to must be said: the spec tells what devices are, and how to be rid of one.
            LoginError::TooManyDevices { .. } => {
                StandardError::new(Errcode::UserLimitExceeded, sentence(&error))
                    .with_field("info_uri", DEVICE_MANAGEMENT)
                    .into()
            }
            LoginError::NotOffered => StandardError::unknown("Unknown login type.")
                .with_status(StatusCode::BAD_REQUEST)
                .into(),
            LoginError::Create(error) => error.into(),
            LoginError::Password(error) => error.into(),
            LoginError::Store(error) => error.into(),
        }
    }
}

impl From<InteractiveError> for Error {
    fn from(error: InteractiveError) -> Self {
        match error {
            InteractiveError::Challenge(challenge) => {
                Self::with_body(StatusCode::UNAUTHORIZED, challenge_body(&challenge))
            }
            InteractiveError::OtherPurpose => StandardError::forbidden(sentence(&error)).into(),
            InteractiveError::Login(error) => error.into(),
        }
    }
}

/// The body of the 401
/// ([spec](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-api-in-the-rest-api)).
fn challenge_body(challenge: &Challenge) -> Value {
    let names = |stages: &[users::Stage]| -> Vec<&str> {
        stages.iter().map(|stage| stage.name()).collect()
    };
    let flows: Vec<Value> = challenge
        .flows
        .iter()
        .map(|flow| json!({ "stages": names(flow) }))
        .collect();
    let mut body = json!({
        "flows": flows,
        "params": {},
        "session": challenge.session,
        "completed": names(&challenge.completed),
    });
    if let (Some(failure), Some(body)) = (challenge.failure, body.as_object_mut()) {
        let (errcode, message) = match failure {
            Failure::WrongPassword => (Errcode::Forbidden, "Invalid username or password."),
            Failure::WrongRegistrationToken => (Errcode::Forbidden, "Invalid registration token."),
            Failure::WrongJwt => (Errcode::Forbidden, "Invalid token."),
            Failure::NotOffered => (Errcode::Unrecognized, "This stage is not part of any flow."),
            Failure::UnknownSession => (Errcode::Forbidden, "Unknown or expired session."),
        };
        body.insert("errcode".to_owned(), errcode.name().into());
        body.insert("error".to_owned(), message.into());
    }
    body
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::NotFound => StandardError::not_found(sentence(&error)).into(),
            DeviceError::NameTooLong { .. } => StandardError::too_large(sentence(&error))
                .with_status(StatusCode::BAD_REQUEST)
                .into(),
            DeviceError::Store(error) => error.into(),
        }
    }
}

impl From<AccountDataError> for Error {
    fn from(error: AccountDataError) -> Self {
        match error {
            // "Servers MUST reject setting account data for event types that the server manages by using a 405".
            AccountDataError::Managed(event_type) => {
                StandardError::bad_json(format!("Cannot set {event_type} through this API."))
                    .with_status(StatusCode::METHOD_NOT_ALLOWED)
                    .into()
            }
            AccountDataError::NotAnObject => StandardError::bad_json(sentence(&error)).into(),
            AccountDataError::TooLarge { .. } => StandardError::too_large(sentence(&error)).into(),
            AccountDataError::NameTooLong { .. } => {
                StandardError::invalid_param(sentence(&error)).into()
            }
            AccountDataError::Store(error) => error.into(),
        }
    }
}

impl From<PushRuleError> for Error {
    fn from(error: PushRuleError) -> Self {
        match error {
            PushRuleError::NotFound => StandardError::not_found(sentence(&error)).into(),
            PushRuleError::ServerDefault | PushRuleError::InvalidId => {
                StandardError::invalid_param(sentence(&error)).into()
            }
            // The spec's own example has this errcode.
            PushRuleError::UnknownNeighbour(_) | PushRuleError::InvalidOrder => {
                StandardError::unknown(sentence(&error))
                    .with_status(StatusCode::BAD_REQUEST)
                    .into()
            }
            PushRuleError::TooMany => StandardError::too_large(sentence(&error)).into(),
            PushRuleError::Store(error) => error.into(),
        }
    }
}

impl From<PusherError> for Error {
    fn from(error: PusherError) -> Self {
        match error {
            PusherError::Missing(_) => StandardError::missing_param(sentence(&error)).into(),
            PusherError::Invalid(why) => StandardError::invalid_param(why).into(),
            PusherError::TooMany => StandardError::too_large(sentence(&error))
                .with_status(StatusCode::BAD_REQUEST)
                .into(),
            PusherError::Store(error) => error.into(),
        }
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        match error {
            FilterError::Invalid(_) => StandardError::bad_json(sentence(&error)).into(),
            FilterError::TooLarge { .. } => StandardError::too_large(sentence(&error)).into(),
            FilterError::Store(error) => error.into(),
        }
    }
}

impl From<ProfileError> for Error {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::KeyTooLarge => {
                StandardError::new(Errcode::KeyTooLarge, sentence(&error)).into()
            }
            ProfileError::ProfileTooLarge => {
                StandardError::new(Errcode::ProfileTooLarge, sentence(&error)).into()
            }
            ProfileError::Invalid(why) => StandardError::invalid_param(why).into(),
            ProfileError::Store(error) => error.into(),
        }
    }
}

impl From<SharedSecretError> for Error {
    fn from(error: SharedSecretError) -> Self {
        match error {
            SharedSecretError::Disabled | SharedSecretError::UnknownNonce => {
                StandardError::unknown(sentence(&error))
                    .with_status(StatusCode::BAD_REQUEST)
                    .into()
            }
            SharedSecretError::WrongMac => StandardError::forbidden(sentence(&error)).into(),
            SharedSecretError::Invalid(why) => StandardError::invalid_param(why).into(),
            SharedSecretError::Create(error) => error.into(),
        }
    }
}

/// The error's text as a sentence.
fn sentence(error: &impl ToString) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
