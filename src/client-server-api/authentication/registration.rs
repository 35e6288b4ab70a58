//! [Account registration](https://spec.matrix.org/v1.19/client-server-api/#legacy-account-registration).

use std::time::Duration;

use axum::extract::State;
use config::RegistrationMode;
use http_layer::{
    Class, ClientAddress, Errcode, MatrixRequest, MatrixResponse, RateLimits, StandardError,
    WithoutNulls,
};
use ruma::{
    OwnedUserId,
    api::client::account::{
        check_registration_token_validity, get_username_availability,
        register::{self, LoginType, RegistrationKind},
    },
};
use users::{Failure, InteractiveError, IssuedSession, NewSession, Purpose, Registration, Users};

use crate::{Error, interactive::Interactive};

/// `POST /_matrix/client/v3/register`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3register)
///
/// # Errors
/// `M_FORBIDDEN` where registration is closed, `M_USER_IN_USE`, `M_INVALID_USERNAME` and `M_WEAK_PASSWORD`, all before
/// authentication; 401 with the stages; `M_MISSING_PARAM` without a password, after it: clients ask for the stages with
/// an empty request. With `kind=guest` `M_GUEST_ACCESS_FORBIDDEN` where guests are not admitted; with a
/// `guest_access_token` `M_MISSING_PARAM` without the guest's name, `M_FORBIDDEN` for another's or one that is no guest's.
pub async fn register(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    address: ClientAddress,
    Interactive {
        request, attempt, ..
    }: Interactive<register::v3::Request>,
) -> Result<WithoutNulls<register::v3::Response>, Error> {
    check_kind(&request)?;
    if request.kind == RegistrationKind::Guest {
        return register_guest(&users, &limits, &address, request).await;
    }
    if users.registration_mode() == RegistrationMode::Closed {
        return Err(StandardError::forbidden("Registration is disabled.").into());
    }
    let guest = match (&request.guest_access_token, &request.username) {
        (Some(_), None) => {
            return Err(StandardError::missing_param("`username` is missing.").into());
        }
        (Some(token), Some(username)) => Some(users.guest_to_upgrade(token, username).await?),
        (None, Some(username)) => {
            users.check_available(username).await?;
            None
        }
        (None, None) => None,
    };
    if let Some(password) = &request.password {
        users.check_password(password)?;
    }
    let is_attempt = attempt.is_some();
    limits.peek(Class::Registration, address.limit_key())?;
    let result = users.interact(Purpose::Register, attempt).await;
    if is_attempt {
        limits.check(Class::Registration, address.limit_key())?;
    }
    if let Err(InteractiveError::Challenge(challenge)) = &result
        && challenge.failure == Some(Failure::WrongRegistrationToken)
    {
        limits.check(Class::RegistrationToken, address.limit_key())?;
    }
    let proof = result?;
    let password = request
        .password
        .ok_or_else(|| StandardError::missing_param("`password` is missing."))?;
    let session = NewSession {
        device_id: request.device_id,
        initial_device_display_name: request.initial_device_display_name,
        refreshable: request.refresh_token,
    };
    let session = (!request.inhibit_login).then_some(session);
    let registration = Registration {
        username: request.username,
        password,
        session,
        guest,
    };
    let (user_id, issued) = users.register(registration, proof).await?;
    Ok(answer(user_id, issued))
}

/// The same with `kind=guest`: no stages, no name, no password
/// ([spec](https://spec.matrix.org/v1.19/client-server-api/#guest-access)).
async fn register_guest(
    users: &Users,
    limits: &RateLimits,
    address: &ClientAddress,
    request: register::v3::Request,
) -> Result<WithoutNulls<register::v3::Response>, Error> {
    if !users.admits_guests() {
        let message = "Guests are not admitted here.";
        return Err(StandardError::new(Errcode::GuestAccessForbidden, message).into());
    }
    limits.check(Class::Registration, address.limit_key())?;
    let issued = users
        .register_guest(request.initial_device_display_name)
        .await?;
    Ok(answer(issued.user_id.clone(), Some(issued)))
}

fn answer(
    user_id: OwnedUserId,
    issued: Option<IssuedSession>,
) -> WithoutNulls<register::v3::Response> {
    let mut response = register::v3::Response::new(user_id);
    if let Some(issued) = issued {
        response.device_id = Some(issued.device_id);
        response.access_token = Some(issued.access_token);
        response.refresh_token = issued.refresh_token;
        response.expires_in = issued.expires_in_ms.map(Duration::from_millis);
    }
    WithoutNulls(response)
}

/// Refuses kinds of accounts that there are not.
fn check_kind(request: &register::v3::Request) -> Result<(), StandardError> {
    match &request.kind {
        // Whatever else a guest's request says is ignored.
        RegistrationKind::Guest => return Ok(()),
        RegistrationKind::User => {}
        _ => return Err(StandardError::invalid_param("Unknown kind of account.")),
    }
    match &request.login_type {
        None => Ok(()),
        // There are none yet, so the token is nobody's.
        Some(LoginType::ApplicationService) => Err(StandardError::unknown_token(false)),
        Some(_) => Err(StandardError::invalid_param("Unknown login type.")),
    }
}

/// `GET /_matrix/client/v3/register/available`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3registeravailable)
///
/// # Errors
/// `M_USER_IN_USE`, `M_INVALID_USERNAME`; `M_FORBIDDEN` where registration is closed.
pub async fn check_username_availability(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    address: ClientAddress,
    MatrixRequest(request): MatrixRequest<get_username_availability::v3::Request>,
) -> Result<MatrixResponse<get_username_availability::v3::Response>, Error> {
    if users.registration_mode() == RegistrationMode::Closed {
        return Err(StandardError::forbidden("Registration is disabled.").into());
    }
    limits.peek(Class::Registration, address.limit_key())?;
    users.check_available(&request.username).await?;
    Ok(MatrixResponse(
        get_username_availability::v3::Response::new(true),
    ))
}

/// `GET /_matrix/client/v1/register/m.login.registration_token/validity`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1registermloginregistration_tokenvalidity)
///
/// # Errors
/// `M_FORBIDDEN` where registration is closed.
pub async fn registration_token_validity(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    address: ClientAddress,
    MatrixRequest(request): MatrixRequest<check_registration_token_validity::v1::Request>,
) -> Result<MatrixResponse<check_registration_token_validity::v1::Response>, Error> {
    if users.registration_mode() == RegistrationMode::Closed {
        return Err(StandardError::forbidden("Registration is disabled.").into());
    }
    limits.check(Class::RegistrationToken, address.limit_key())?;
    let valid = users.registration_token_holds(&request.token).await?;
    Ok(MatrixResponse(
        check_registration_token_validity::v1::Response::new(valid),
    ))
}
