//! Rooms seen from outside: spaces, summaries, peeking.

use axum::{Router, routing::get};
use http_layer::Endpoints;
use ruma::api::client::{
    peeking::{get_current_state, listen_to_new_events},
    room::get_summary,
    space::get_hierarchy,
};

use crate::{
    Services,
    events::{getting_events, syncing},
    modules::spaces,
    rooms::summaries,
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<get_hierarchy::v1::Request, _>(spaces::get_space_hierarchy)
        .endpoint::<get_summary::v1::Request, _>(summaries::get_room_summary)
        .route(summaries::OLD_PATH, get(summaries::get_room_summary))
        .endpoint::<get_current_state::v3::Request, _>(getting_events::room_initial_sync)
        .endpoint::<listen_to_new_events::v3::Request, _>(syncing::get_events)
        .route(syncing::INITIAL_SYNC_PATH, get(syncing::initial_sync))
        .route(syncing::ONE_EVENT_PATH, get(syncing::get_one_event))
}
