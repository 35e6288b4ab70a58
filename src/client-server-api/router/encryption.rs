//! Keys, their backups, and messages between devices.

use axum::Router;
use http_layer::Endpoints;
use ruma::api::client::{
    backup::{
        add_backup_keys, add_backup_keys_for_room, add_backup_keys_for_session,
        create_backup_version, delete_backup_keys, delete_backup_keys_for_room,
        delete_backup_keys_for_session, delete_backup_version, get_backup_info, get_backup_keys,
        get_backup_keys_for_room, get_backup_keys_for_session, get_latest_backup_info,
        update_backup_version,
    },
    dehydrated_device::{
        delete_dehydrated_device, get_dehydrated_device, get_events, put_dehydrated_device,
    },
    keys::{
        claim_keys, get_key_changes, get_keys, upload_keys, upload_signatures, upload_signing_keys,
    },
    to_device::send_event_to_device,
};

use crate::{
    Services,
    modules::{
        end_to_end_encryption::{cross_signing, dehydrated_devices, key_backup, keys},
        send_to_device,
    },
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<upload_keys::v3::Request, _>(keys::upload_keys)
        .endpoint::<get_keys::v3::Request, _>(keys::query_keys)
        .endpoint::<claim_keys::v3::Request, _>(keys::claim_keys)
        .endpoint::<get_key_changes::v3::Request, _>(keys::get_keys_changes)
        .endpoint::<upload_signing_keys::v3::Request, _>(cross_signing::upload_cross_signing_keys)
        .endpoint::<upload_signatures::v3::Request, _>(
            cross_signing::upload_cross_signing_signatures,
        )
        .endpoint::<create_backup_version::v3::Request, _>(key_backup::post_room_keys_version)
        .endpoint::<get_latest_backup_info::v3::Request, _>(
            key_backup::get_room_keys_version_current,
        )
        .endpoint::<get_backup_info::v3::Request, _>(key_backup::get_room_keys_version)
        .endpoint::<update_backup_version::v3::Request, _>(key_backup::put_room_keys_version)
        .endpoint::<delete_backup_version::v3::Request, _>(key_backup::delete_room_keys_version)
        .endpoint::<add_backup_keys::v3::Request, _>(key_backup::put_room_keys)
        .endpoint::<add_backup_keys_for_room::v3::Request, _>(key_backup::put_room_keys_by_room_id)
        .endpoint::<add_backup_keys_for_session::v3::Request, _>(
            key_backup::put_room_key_by_session_id,
        )
        .endpoint::<get_backup_keys::v3::Request, _>(key_backup::get_room_keys)
        .endpoint::<get_backup_keys_for_room::v3::Request, _>(key_backup::get_room_keys_by_room_id)
        .endpoint::<get_backup_keys_for_session::v3::Request, _>(
            key_backup::get_room_key_by_session_id,
        )
        .endpoint::<delete_backup_keys::v3::Request, _>(key_backup::delete_room_keys)
        .endpoint::<delete_backup_keys_for_room::v3::Request, _>(
            key_backup::delete_room_keys_by_room_id,
        )
        .endpoint::<delete_backup_keys_for_session::v3::Request, _>(
            key_backup::delete_room_key_by_session_id,
        )
        .endpoint::<put_dehydrated_device::unstable::Request, _>(
            dehydrated_devices::put_dehydrated_device,
        )
        .endpoint::<get_dehydrated_device::unstable::Request, _>(
            dehydrated_devices::get_dehydrated_device,
        )
        .endpoint::<delete_dehydrated_device::unstable::Request, _>(
            dehydrated_devices::delete_dehydrated_device,
        )
        .endpoint::<get_events::unstable::Request, _>(
            dehydrated_devices::get_dehydrated_device_events,
        )
        .endpoint::<send_event_to_device::v3::Request, _>(send_to_device::send_to_device)
}
