//! [Filtering](https://spec.matrix.org/v1.19/client-server-api/#filtering): filters that are kept. Sync and the reading
//! of rooms apply them.

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderValue, header};
use http_layer::{MatrixRequest, MatrixResponse, StandardError};
use ruma::api::client::filter::{create_filter, get_filter};
use users::Users;

use crate::{Error, Session, interactive::WithBody, modules::account_data::own};

/// `POST /_matrix/client/v3/user/{userId}/filter`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter)
///
/// # Errors
/// `M_FORBIDDEN` for another user, `M_BAD_JSON` for what is not a filter, `M_TOO_LARGE`.
pub async fn define_filter(
    State(users): State<Users>,
    Session(session): Session,
    WithBody(request, body): WithBody<create_filter::v3::Request>,
) -> Result<MatrixResponse<create_filter::v3::Response>, Error> {
    own(&session, &request.user_id)?;
    let number = users.define_filter(session.user, body).await?;
    Ok(MatrixResponse(create_filter::v3::Response::new(
        number.to_string(),
    )))
}

/// `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid)
///
/// Answers the client's own JSON: matrix-js-sdk compares it with what it would send.
///
/// # Errors
/// `M_FORBIDDEN` for another user's, `M_NOT_FOUND`.
pub async fn get_filter(
    State(users): State<Users>,
    Session(session): Session,
    MatrixRequest(request): MatrixRequest<get_filter::v3::Request>,
) -> Result<Response, Error> {
    own(&session, &request.user_id)?;
    let unknown = || StandardError::not_found("Unknown filter.");
    let number = request.filter_id.parse().map_err(|_| unknown())?;
    let filter = users
        .filter_json(session.user, number)
        .await?
        .ok_or_else(unknown)?;
    let mut response = Response::new(Body::from(filter));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
