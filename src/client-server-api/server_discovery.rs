//! [Server discovery](https://spec.matrix.org/v1.19/client-server-api/#server-discovery): where the server is, what it
//! speaks, who runs it.

use std::sync::Arc;

use ::rooms::Delayed;
use axum::{extract::State, response::Response};
use config::Config;
use http::StatusCode;
use http_layer::{MatrixRequest, MatrixResponse, StandardError, json};
use ruma::{
    UserId,
    api::client::discovery::{
        discover_homeserver::{self, HomeserverInfo},
        discover_support::{self, Contact, ContactRole},
        get_supported_versions,
    },
};
use serde_json::json;

use crate::Error;

/// The versions claimed: all up to the one of which something that clients rely on is missing (v1.17). What is not served of
/// these needs what this server does not have (identity servers, single sign-on, e-mail) and answers `M_UNRECOGNIZED`.
const VERSIONS: [&str; 24] = [
    "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2",
    "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13",
    "v1.14", "v1.15", "v1.16",
];

/// Parts of later versions that already hold, under the names by which clients ask.
const FEATURES: [&str; 8] = [
    // Lazy-loaded members (v1.1), which old clients look for here.
    "m.lazy_load_members",
    // Private read receipts (v1.4).
    "org.matrix.msc2285.stable",
    // Rooms of a type in the directory (v1.4): Element shows spaces there.
    "org.matrix.msc3827.stable",
    // Threads (v1.4).
    "org.matrix.msc3440.stable",
    // Invite blocking (v1.18), under the names by which Element has asked for it over time.
    "org.matrix.msc4380.stable",
    "org.matrix.msc4380",
    "org.matrix.msc4155",
    // Mutual rooms (v1.19).
    "uk.half-shot.msc2666.query_mutual_rooms.stable",
];

/// Delayed events, which can be switched off.
const DELAYED_EVENTS: &str = "org.matrix.msc4140";

/// `GET /.well-known/matrix/client`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_wellknownmatrixclient)
pub async fn get_wellknown(
    State(config): State<Arc<Config>>,
    MatrixRequest(_): MatrixRequest<discover_homeserver::Request>,
) -> MatrixResponse<discover_homeserver::Response> {
    let homeserver = HomeserverInfo::new(config.base_url());
    MatrixResponse(discover_homeserver::Response::new(homeserver))
}

/// `GET /.well-known/matrix/support`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_wellknownmatrixsupport)
///
/// # Errors
/// `M_NOT_FOUND` if the administrator has named neither a contact nor a page.
pub async fn get_wellknown_support(
    State(config): State<Arc<Config>>,
    MatrixRequest(_): MatrixRequest<discover_support::Request>,
) -> Result<MatrixResponse<discover_support::Response>, Error> {
    let told = &config.well_known;
    let email = told.support_email.clone();
    let user_id = told
        .support_matrix_id
        .as_ref()
        .and_then(|id| UserId::parse(id).ok());
    let contact = match (email, user_id) {
        (Some(email), user_id) => {
            let mut contact = Contact::with_email_address(ContactRole::Admin, email);
            contact.matrix_id = user_id;
            Some(contact)
        }
        (None, Some(user_id)) => Some(Contact::with_matrix_id(ContactRole::Admin, user_id)),
        (None, None) => None,
    };
    if contact.is_none() && told.support_page.is_none() {
        return Err(StandardError::not_found("This server names no contact.").into());
    }
    let mut response = discover_support::Response::with_contacts(contact.into_iter().collect());
    response.support_page.clone_from(&told.support_page);
    Ok(MatrixResponse(response))
}

/// `GET /.well-known/matrix/server`
///
/// [spec](https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver)
///
/// # Errors
/// `M_NOT_FOUND` if the administrator has not said where other servers reach this one.
pub async fn get_well_known(State(config): State<Arc<Config>>) -> Result<Response, Error> {
    let server = config.well_known.server.as_ref();
    let server = server.ok_or_else(|| StandardError::not_found("Nothing is delegated."))?;
    Ok(json(StatusCode::OK, &json!({ "m.server": server })))
}

/// `GET /_matrix/client/versions`
///
/// [spec](https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions)
pub async fn get_versions(
    State(delayed): State<Delayed>,
    MatrixRequest(_): MatrixRequest<get_supported_versions::Request>,
) -> MatrixResponse<get_supported_versions::Response> {
    let versions = VERSIONS.map(str::to_owned).to_vec();
    let mut response = get_supported_versions::Response::new(versions);
    response.unstable_features = FEATURES.map(|name| (name.to_owned(), true)).into();
    let delayed = (DELAYED_EVENTS.to_owned(), delayed.is_enabled());
    response.unstable_features.extend([delayed]);
    MatrixResponse(response)
}
