//! Accounts, sessions, devices, profiles and what belongs to one user.

use axum::{Router, routing::get};
use http_layer::Endpoints;
use ruma::api::client::{
    account::{
        change_password, check_registration_token_validity, deactivate, get_3pids,
        get_username_availability, register, whoami,
    },
    config::{
        get_global_account_data, get_room_account_data, set_global_account_data,
        set_room_account_data,
    },
    device::{delete_device, delete_devices, get_device, get_devices, update_device},
    filter::{create_filter, get_filter},
    profile::{delete_profile_field, get_profile, get_profile_field, set_profile_field},
    push::{
        delete_pushrule, get_pushrule, get_pushrule_actions, get_pushrule_enabled,
        get_pushrules_all, get_pushrules_global_scope, set_pushrule, set_pushrule_actions,
        set_pushrule_enabled,
    },
    session::{
        get_login_token, get_login_types, login as log_in, logout, logout_all, refresh_token,
    },
    tag::{create_tag, delete_tag, get_tags},
};

use crate::{
    Services,
    authentication::{
        account_management, contact_information, current_account, login, registration,
        shared_secret,
    },
    filtering,
    modules::{account_data, device_management, push::push_rules, tags},
    user_data::profiles,
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<register::v3::Request, _>(registration::register)
        .endpoint::<get_username_availability::v3::Request, _>(
            registration::check_username_availability,
        )
        .endpoint::<check_registration_token_validity::v1::Request, _>(
            registration::registration_token_validity,
        )
        .endpoint::<get_login_types::v3::Request, _>(login::get_login_flows)
        .endpoint::<log_in::v3::Request, _>(login::login)
        .endpoint::<get_login_token::v1::Request, _>(login::generate_login_token)
        .endpoint::<refresh_token::v3::Request, _>(login::refresh)
        .endpoint::<logout::v3::Request, _>(login::logout)
        .endpoint::<logout_all::v3::Request, _>(login::logout_all)
        .endpoint::<change_password::v3::Request, _>(account_management::change_password)
        .endpoint::<deactivate::v3::Request, _>(account_management::deactivate_account)
        .endpoint::<whoami::v3::Request, _>(current_account::get_token_owner)
        .endpoint::<get_3pids::v3::Request, _>(contact_information::get_account_3pids)
        .endpoint::<get_devices::v3::Request, _>(device_management::get_devices)
        .endpoint::<get_device::v3::Request, _>(device_management::get_device)
        .endpoint::<update_device::v3::Request, _>(device_management::update_device)
        .endpoint::<delete_device::v3::Request, _>(device_management::delete_device)
        .endpoint::<delete_devices::v3::Request, _>(device_management::delete_devices)
        .endpoint::<get_profile::v3::Request, _>(profiles::get_user_profile)
        .endpoint::<get_profile_field::v3::Request, _>(profiles::get_profile_field)
        .endpoint::<set_profile_field::v3::Request, _>(profiles::set_profile_field)
        .endpoint::<delete_profile_field::v3::Request, _>(profiles::delete_profile_field)
        .endpoint::<set_global_account_data::v3::Request, _>(account_data::set_account_data)
        .endpoint::<get_global_account_data::v3::Request, _>(account_data::get_account_data)
        .endpoint::<set_room_account_data::v3::Request, _>(account_data::set_account_data_per_room)
        .endpoint::<get_room_account_data::v3::Request, _>(account_data::get_account_data_per_room)
        .endpoint::<get_tags::v3::Request, _>(tags::get_room_tags)
        .endpoint::<create_tag::v3::Request, _>(tags::set_room_tag)
        .endpoint::<delete_tag::v3::Request, _>(tags::delete_room_tag)
        .endpoint::<create_filter::v3::Request, _>(filtering::define_filter)
        .endpoint::<get_filter::v3::Request, _>(filtering::get_filter)
        .endpoint::<get_pushrules_all::v3::Request, _>(push_rules::get_push_rules)
        .endpoint::<get_pushrules_global_scope::v3::Request, _>(push_rules::get_push_rules_global)
        .endpoint::<get_pushrule::v3::Request, _>(push_rules::get_push_rule)
        .endpoint::<set_pushrule::v3::Request, _>(push_rules::set_push_rule)
        .endpoint::<delete_pushrule::v3::Request, _>(push_rules::delete_push_rule)
        .endpoint::<get_pushrule_enabled::v3::Request, _>(push_rules::is_push_rule_enabled)
        .endpoint::<set_pushrule_enabled::v3::Request, _>(push_rules::set_push_rule_enabled)
        .endpoint::<get_pushrule_actions::v3::Request, _>(push_rules::get_push_rule_actions)
        .endpoint::<set_pushrule_actions::v3::Request, _>(push_rules::set_push_rule_actions)
        .route(
            shared_secret::PATH,
            get(shared_secret::get_nonce).post(shared_secret::register),
        )
}
