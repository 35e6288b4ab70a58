//! Sending and reading events.

use axum::Router;
use http_layer::Endpoints;
use ruma::api::client::{
    context::get_context,
    membership::{get_member_events, joined_members},
    message::{get_message_events, send_message_event},
    redact::redact_event,
    relations::{
        get_relating_events, get_relating_events_with_rel_type,
        get_relating_events_with_rel_type_and_event_type,
    },
    room::{get_event_by_timestamp, get_room_event},
    search::search_events,
    state::{get_state_event_for_key, get_state_events, send_state_event},
    threads::get_threads,
};

use crate::{
    Services,
    events::{getting_events, redactions, relationships, sending_events},
    modules::{event_context, search, threading},
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    sending(relating(reading(router)))
}

fn reading(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<get_room_event::v3::Request, _>(getting_events::get_one_room_event)
        .endpoint::<get_message_events::v3::Request, _>(getting_events::get_room_events)
        .endpoint::<get_state_events::v3::Request, _>(getting_events::get_room_state)
        .endpoint::<get_state_event_for_key::v3::Request, _>(
            getting_events::get_room_state_with_key,
        )
        .endpoint::<get_member_events::v3::Request, _>(getting_events::get_members_by_room)
        .endpoint::<joined_members::v3::Request, _>(getting_events::get_joined_members_by_room)
        .endpoint::<get_event_by_timestamp::v1::Request, _>(getting_events::get_event_by_timestamp)
        .endpoint::<get_context::v3::Request, _>(event_context::get_event_context)
}

fn relating(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<get_relating_events::v1::Request, _>(relationships::get_relating_events)
        .endpoint::<get_relating_events_with_rel_type::v1::Request, _>(
            relationships::get_relating_events_with_rel_type,
        )
        .endpoint::<get_relating_events_with_rel_type_and_event_type::v1::Request, _>(
            relationships::get_relating_events_with_rel_type_and_event_type,
        )
        .endpoint::<get_threads::v1::Request, _>(threading::get_thread_roots)
        .endpoint::<search_events::v3::Request, _>(search::search)
}

fn sending(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<send_message_event::v3::Request, _>(sending_events::send_message)
        .endpoint::<send_state_event::v3::Request, _>(sending_events::set_room_state_with_key)
        .endpoint::<redact_event::v3::Request, _>(redactions::redact_event)
}
