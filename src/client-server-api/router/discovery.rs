//! What a client asks before it knows anything.

use axum::Router;
use http_layer::Endpoints;
use ruma::api::client::discovery::{
    discover_homeserver, discover_support, get_capabilities, get_supported_versions,
};

use crate::{Services, capabilities, server_discovery};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<discover_homeserver::Request, _>(server_discovery::get_wellknown)
        .endpoint::<discover_support::Request, _>(server_discovery::get_wellknown_support)
        .endpoint::<get_supported_versions::Request, _>(server_discovery::get_versions)
        .endpoint::<get_capabilities::v3::Request, _>(capabilities::get_capabilities)
        // The server-server API's, which other servers' owners ask of every client URL.
        .route(
            "/.well-known/matrix/server",
            axum::routing::get(server_discovery::get_well_known),
        )
}
