//! The administrator's API: what the command line asks, and what the web interfaces and bots made for Synapse ask.
//!
//! Where [Synapse](https://element-hq.github.io/synapse/latest/usage/administration/admin_api/) has an endpoint, ours has
//! its path, its parameters and the shape of its answers; the rest is below `/_myelin/admin/v1`. Every handler takes an
//! [`Administrator`] first: nobody else gets as far as a body.

use axum::{
    Router,
    routing::{delete, get, post},
};
use client_server_api::Services;

mod account;
mod audit;
mod checkpoint;
mod deletion;
mod devices;
mod doctor;
mod extract;
mod media;
mod moderation;
mod quarantine;
mod rate_limits;
mod registration_tokens;
mod reports;
mod room_history;
mod rooms;
mod server;
mod statistics;
mod tasks;
mod users;

pub use extract::{Administrator, Owner};
pub use rate_limits::meaning;

/// Every endpoint, without the frame.
pub fn endpoints() -> Router<Services> {
    let router = Router::new();
    let router = accounts(router);
    let router = tokens(router);
    let router = files(router);
    let router = rooms_and_reports(router);
    let router = deletions_and_tasks(router);
    let router = history(router);
    let router = moderation_and_notices(router);
    about_the_server(router).merge(doctor::endpoints())
}

fn accounts(router: Router<Services>) -> Router<Services> {
    let user = "/_synapse/admin/v1/users/{user_id}";
    let devices = "/_synapse/admin/v2/users/{user_id}/devices";
    router
        .route("/_synapse/admin/v2/users", get(users::list))
        .route("/_synapse/admin/v3/users", get(users::list_by_state))
        .route(
            "/_synapse/admin/v2/users/{user_id}",
            get(users::show).put(users::create_or_modify),
        )
        .route(
            "/_synapse/admin/v1/username_available",
            get(users::username_available),
        )
        .route(
            "/_synapse/admin/v1/deactivate/{user_id}",
            post(account::deactivate),
        )
        .route(
            "/_synapse/admin/v1/reset_password/{user_id}",
            post(account::reset_password),
        )
        .route(
            "/_synapse/admin/v1/suspend/{user_id}",
            axum::routing::put(account::suspend),
        )
        .route(
            "/_myelin/admin/v1/lock/{user_id}",
            axum::routing::put(account::lock),
        )
        .route(
            &format!("{user}/admin"),
            get(account::is_admin).put(account::set_admin),
        )
        .route(&format!("{user}/login"), post(account::login_as))
        .route(&format!("{user}/joined_rooms"), get(account::joined_rooms))
        .route(&format!("{user}/pushers"), get(account::pushers))
        .route(&format!("{user}/memberships"), get(account::memberships))
        .route(
            &format!("{user}/cumulative_joined_room_count"),
            get(account::joined_since),
        )
        .route(
            &format!("{user}/override_ratelimit"),
            get(rate_limits::show)
                .post(rate_limits::set)
                .delete(rate_limits::delete),
        )
        .route(
            "/_synapse/admin/v1/auth_providers/{provider}/users/{external_id}",
            get(users::by_address),
        )
        .route(
            "/_synapse/admin/v1/threepid/{medium}/users/{address}",
            get(users::by_address),
        )
        .route(
            &format!("{user}/media"),
            get(media::of_user).delete(media::delete_of_user),
        )
        .route(&format!("{user}/accountdata"), get(account::account_data))
        .route("/_synapse/admin/v1/whois/{user_id}", get(devices::whois))
        .route(devices, get(devices::list).post(devices::create))
        .route(
            &format!("{devices}/{{device_id}}"),
            get(devices::show)
                .put(devices::rename)
                .delete(devices::delete),
        )
        .route(
            "/_synapse/admin/v2/users/{user_id}/delete_devices",
            post(devices::delete_several),
        )
        .route(
            "/_myelin/admin/v1/users/{user_id}/logout",
            post(devices::log_out),
        )
}

fn files(router: Router<Services>) -> Router<Services> {
    let file = "{server_name}/{media_id}";
    let media = "/_synapse/admin/v1/media";
    let room = "/_synapse/admin/v1/room/{room_id}/media";
    router
        .route(
            &format!("{media}/{file}"),
            get(media::show).delete(media::delete),
        )
        .route(&format!("{media}/delete"), post(media::delete_old))
        .route(
            &format!("{media}/{{server_name}}/delete"),
            post(media::delete_old),
        )
        .route(
            "/_synapse/admin/v1/purge_media_cache",
            post(media::purge_cache),
        )
        .route(
            &format!("{media}/quarantine/{file}"),
            post(quarantine::quarantine),
        )
        .route(
            &format!("{media}/unquarantine/{file}"),
            post(quarantine::release),
        )
        .route(
            &format!("{media}/protect/{{media_id}}"),
            post(quarantine::protect),
        )
        .route(
            &format!("{media}/unprotect/{{media_id}}"),
            post(quarantine::unprotect),
        )
        .route(room, get(media::of_room))
        .route(&format!("{room}/quarantine"), post(quarantine::of_room))
        .route(
            "/_synapse/admin/v1/quarantine_media/{room_id}",
            post(quarantine::of_room),
        )
        .route(
            "/_synapse/admin/v1/user/{user_id}/media/quarantine",
            post(quarantine::of_user),
        )
}

fn tokens(router: Router<Services>) -> Router<Services> {
    let tokens = "/_synapse/admin/v1/registration_tokens";
    router
        .route(tokens, get(registration_tokens::list))
        .route(&format!("{tokens}/new"), post(registration_tokens::create))
        .route(
            &format!("{tokens}/{{token}}"),
            get(registration_tokens::show)
                .put(registration_tokens::change)
                .delete(registration_tokens::delete),
        )
}

fn rooms_and_reports(router: Router<Services>) -> Router<Services> {
    let room = "/_synapse/admin/v1/rooms/{room_id}";
    let reports = "/_synapse/admin/v1/event_reports";
    router
        .route("/_synapse/admin/v1/rooms", get(rooms::list))
        .route(room, get(rooms::show).delete(deletion::delete))
        .route(&format!("{room}/members"), get(rooms::members))
        .route(&format!("{room}/state"), get(rooms::state))
        .route(
            "/_myelin/admin/v1/rooms/{room_id}/explain",
            get(rooms::explain),
        )
        .route(reports, get(reports::list_of_events))
        .route(
            &format!("{reports}/{{report_id}}"),
            get(reports::show_of_event).delete(reports::close),
        )
        .route("/_myelin/admin/v1/reports", get(reports::list))
}

fn deletions_and_tasks(router: Router<Services>) -> Router<Services> {
    let rooms = "/_synapse/admin/v2/rooms";
    let tasks = "/_myelin/admin/v1/tasks";
    router
        .route(
            &format!("{rooms}/{{room_id}}"),
            delete(deletion::delete_in_background),
        )
        .route(
            &format!("{rooms}/{{room_id}}/delete_status"),
            get(deletion::status_of_room),
        )
        .route(
            &format!("{rooms}/delete_status/{{delete_id}}"),
            get(deletion::status),
        )
        .route(
            "/_synapse/admin/v1/rooms/{room_id}/block",
            get(deletion::block).put(deletion::set_block),
        )
        .route(tasks, get(tasks::list))
        .route("/_synapse/admin/v1/scheduled_tasks", get(tasks::scheduled))
        .route(&format!("{tasks}/{{task_id}}"), get(tasks::show))
        .route(&format!("{tasks}/{{task_id}}/cancel"), post(tasks::cancel))
}

fn history(router: Router<Services>) -> Router<Services> {
    let room = "/_synapse/admin/v1/rooms/{room_id}";
    let purge = "/_synapse/admin/v1/purge_history/{room_id}";
    router
        .route(&format!("{room}/messages"), get(room_history::messages))
        .route(
            &format!("{room}/context/{{event_id}}"),
            get(room_history::context),
        )
        .route(
            &format!("{room}/timestamp_to_event"),
            get(room_history::timestamp_to_event),
        )
        .route(
            &format!("{room}/forward_extremities"),
            get(room_history::forward_extremities),
        )
        .route(&format!("{room}/hierarchy"), get(room_history::hierarchy))
        .route(purge, post(room_history::purge))
        .route(
            &format!("{purge}/{{event_id}}"),
            post(room_history::purge_before_event),
        )
        .route(
            "/_synapse/admin/v1/purge_history_status/{purge_id}",
            get(room_history::purge_status),
        )
}

fn moderation_and_notices(router: Router<Services>) -> Router<Services> {
    let user = "/_synapse/admin/v1/user";
    let notice = "/_synapse/admin/v1/send_server_notice";
    router
        .route(
            "/_synapse/admin/v1/join/{room_id_or_alias}",
            post(moderation::join),
        )
        .route(
            "/_synapse/admin/v1/rooms/{room_id}/make_room_admin",
            post(moderation::make_room_admin),
        )
        .route(
            &format!("{user}/{{user_id}}/redact"),
            post(moderation::redact),
        )
        .route(
            &format!("{user}/redact_status/{{redact_id}}"),
            get(moderation::redact_status),
        )
        .route(notice, post(moderation::send_notice))
        .route(
            &format!("{notice}/{{txn_id}}"),
            axum::routing::put(moderation::send_notice_once),
        )
}

fn about_the_server(router: Router<Services>) -> Router<Services> {
    let destination = "/_synapse/admin/v1/federation/destinations/{destination}";
    router
        .route("/_synapse/admin/v1/server_version", get(server::version))
        .route(
            "/_synapse/admin/v1/background_updates/status",
            get(server::background_updates),
        )
        .route(
            "/_synapse/admin/v1/background_updates/enabled",
            get(server::background_updates_enabled).post(server::enable_background_updates),
        )
        .route(
            "/_synapse/admin/v1/background_updates/start_job",
            post(server::start_job),
        )
        .route(
            "/_synapse/admin/v1/federation/destinations",
            get(server::destinations),
        )
        .route(destination, get(server::destination))
        .route(&format!("{destination}/rooms"), get(server::destination))
        .route(
            &format!("{destination}/reset_connection"),
            post(server::destination),
        )
        .route(
            "/_synapse/admin/v1/statistics/users/media",
            get(statistics::media_by_user),
        )
        .route(
            "/_synapse/admin/v1/statistics/database/rooms",
            get(statistics::rooms),
        )
        .route("/_myelin/admin/v1/storage/tables", get(statistics::tables))
        .route("/_myelin/admin/v1/server", get(server::info))
        .route(
            "/_myelin/admin/v1/server/statistics",
            get(server::statistics),
        )
        .route("/_myelin/admin/v1/server/sessions", get(server::sessions))
        .route(
            "/_myelin/admin/v1/server/log",
            get(server::show_log).put(server::set_log),
        )
        .route("/_myelin/admin/v1/audit", get(audit::list))
        .route("/_myelin/admin/v1/checkpoints", post(checkpoint::make))
}
