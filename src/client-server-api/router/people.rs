//! Who is there, what reaches them, and what the administrator hears of it.

use axum::Router;
use http_layer::Endpoints;
use ruma::api::client::{
    account::request_openid_token,
    admin::{get_user_info, is_user_locked, is_user_suspended, lock_user, suspend_user},
    delayed_events::{
        get_all_delayed_events,
        update_delayed_event::{unstable_v1, unstable_v2},
    },
    membership::get_mutual_rooms,
    push::{get_notifications, get_pushers, set_pusher},
    reporting::report_user,
    room::{report_content as report_event, report_room},
    rtc::transports,
    thirdparty::{
        get_location_for_protocol, get_location_for_room_alias, get_protocol, get_protocols,
        get_user_for_protocol, get_user_for_user_id,
    },
    user_directory::search_users,
    voip::get_turn_server_info,
};

use crate::{
    Services,
    modules::{
        admin, delayed_events, mutual_rooms, openid,
        push::{notifications, pushers},
        report_content, third_party_networks, voip_events,
    },
    user_data::user_directory,
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    calls(networks(administration(router)))
        .endpoint::<get_pushers::v3::Request, _>(pushers::get_pushers)
        .endpoint::<set_pusher::v3::Request, _>(pushers::post_pusher)
        .endpoint::<get_notifications::v3::Request, _>(notifications::get_notifications)
        .endpoint::<search_users::v3::Request, _>(user_directory::search_user_directory)
        .endpoint::<get_mutual_rooms::v1::Request, _>(mutual_rooms::get_mutual_rooms)
        .endpoint::<request_openid_token::v3::Request, _>(openid::request_open_id_token)
}

fn administration(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<report_event::v3::Request, _>(report_content::report_event)
        .endpoint::<report_room::v3::Request, _>(report_content::report_room)
        .endpoint::<report_user::v3::Request, _>(report_content::report_user)
        .endpoint::<get_user_info::v3::Request, _>(admin::get_who_is)
        .endpoint::<is_user_suspended::v1::Request, _>(admin::get_admin_suspend_user)
        .endpoint::<suspend_user::v1::Request, _>(admin::set_admin_suspend_user)
        .endpoint::<is_user_locked::v1::Request, _>(admin::get_admin_lock_user)
        .endpoint::<lock_user::v1::Request, _>(admin::set_admin_lock_user)
}

fn networks(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<get_protocols::v3::Request, _>(third_party_networks::get_protocols)
        .endpoint::<get_protocol::v3::Request, _>(third_party_networks::get_protocol_metadata)
        .endpoint::<get_location_for_protocol::v3::Request, _>(
            third_party_networks::query_location_by_protocol,
        )
        .endpoint::<get_user_for_protocol::v3::Request, _>(
            third_party_networks::query_user_by_protocol,
        )
        .endpoint::<get_location_for_room_alias::v3::Request, _>(
            third_party_networks::query_location_by_alias,
        )
        .endpoint::<get_user_for_user_id::v3::Request, _>(third_party_networks::query_user_by_id)
}

fn calls(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<get_turn_server_info::v3::Request, _>(voip_events::get_turn_server)
        .endpoint::<transports::v1::Request, _>(delayed_events::get_rtc_transports)
        .endpoint::<get_all_delayed_events::unstable::Request, _>(
            delayed_events::get_delayed_events,
        )
        .endpoint::<unstable_v1::Request, _>(delayed_events::update_delayed_event)
        .endpoint::<unstable_v2::Request, _>(delayed_events::update_delayed_event_by_path)
}
