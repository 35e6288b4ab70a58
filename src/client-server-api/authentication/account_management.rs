//! [Account management](https://spec.matrix.org/v1.19/client-server-api/#legacy-account-management).

use ::rooms::Rooms;
use axum::extract::State;
use http_layer::{MatrixResponse, RateLimits};
use ruma::api::client::account::{ThirdPartyIdRemovalStatus, change_password, deactivate};
use store::rows::Membership;
use users::Users;

use crate::{Error, Session, interactive::Interactive};

/// `POST /_matrix/client/v3/account/password`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword)
///
/// Only with an access token: without one, a forgotten password is reset by mail, which this server does not send.
///
/// # Errors
/// `M_WEAK_PASSWORD`, before authentication.
pub async fn change_password(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    Session(session): Session,
    interactive: Interactive<change_password::v3::Request>,
) -> Result<MatrixResponse<change_password::v3::Response>, Error> {
    users.check_password(&interactive.request.new_password)?;
    let request = interactive.confirm(&users, &limits, &session).await?;
    users
        .change_password(&session, &request.new_password, request.logout_devices)
        .await?;
    Ok(MatrixResponse(change_password::v3::Response::new()))
}

/// `POST /_matrix/client/v3/account/deactivate`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate)
pub async fn deactivate_account(
    State(users): State<Users>,
    State(limits): State<RateLimits>,
    State(rooms): State<Rooms>,
    Session(session): Session,
    interactive: Interactive<deactivate::v3::Request>,
) -> Result<MatrixResponse<deactivate::v3::Response>, Error> {
    let request = interactive.confirm(&users, &limits, &session).await?;
    users.deactivate(session.user, request.erase).await?;
    leave_all(&rooms, &session).await?;
    // There never is anything to unbind: "This must be `success` if the homeserver has no identifiers to unbind".
    Ok(MatrixResponse(deactivate::v3::Response::new(
        ThirdPartyIdRemovalStatus::Success,
    )))
}

/// Takes a user out of every room: nobody will ever answer there.
async fn leave_all(rooms: &Rooms, session: &users::Session) -> Result<(), Error> {
    for (nid, row) in rooms
        .rooms_of_nid(session.user)
        .await
        .map_err(Error::internal)?
    {
        if !matches!(
            row.member.membership,
            Membership::Join | Membership::Invite | Membership::Knock
        ) {
            continue;
        }
        let room = rooms.room(nid).await.map_err(Error::internal)?;
        // A room that does not let go must not keep the account open.
        if let Err(error) = rooms.leave(&room.id, &session.user_id, None).await {
            tracing::warn!(user.id = %session.user_id, room.id = %room.id, %error, "a closed account stays in a room");
        }
    }
    Ok(())
}
