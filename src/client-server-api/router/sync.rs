//! /sync and what is heard through it.

use axum::Router;
use http_layer::Endpoints;
use ruma::api::client::{
    presence::{get_presence, set_presence},
    read_marker::set_read_marker,
    receipt::create_receipt,
    sync::sync_events,
    typing::create_typing_event,
};

use crate::{
    Services,
    events::syncing,
    modules::{presence, read_markers, receipts, typing_notifications},
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<sync_events::v3::Request, _>(syncing::sync)
        .endpoint::<create_typing_event::v3::Request, _>(typing_notifications::set_typing)
        .endpoint::<create_receipt::v3::Request, _>(receipts::post_receipt)
        .endpoint::<get_presence::v3::Request, _>(presence::get_presence)
        .endpoint::<set_presence::v3::Request, _>(presence::set_presence)
        .endpoint::<set_read_marker::v3::Request, _>(read_markers::set_read_marker)
}
