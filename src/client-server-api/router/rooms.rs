//! Rooms, membership, aliases and the directory.

use axum::Router;
use http_layer::Endpoints;
use ruma::api::client::{
    alias::{create_alias, delete_alias, get_alias},
    directory::{get_public_rooms, get_public_rooms_filtered, get_room_visibility},
    knock::knock_room,
    membership::{
        ban_user, forget_room, invite_user, join_room_by_id, join_room_by_id_or_alias,
        joined_rooms, kick_user, leave_room, unban_user,
    },
    room::{aliases as room_aliases, create_room, upgrade_room},
};

use crate::{
    Services,
    modules::room_upgrades,
    rooms::{
        aliases, creation, membership,
        membership::{joining, leaving},
        published_directory,
    },
};

pub(crate) fn routes(router: Router<Services>) -> Router<Services> {
    router
        .endpoint::<create_room::v3::Request, _>(creation::create_room)
        .endpoint::<upgrade_room::v3::Request, _>(room_upgrades::upgrade_room)
        // Aliases.
        .endpoint::<create_alias::v3::Request, _>(aliases::set_room_alias)
        .endpoint::<get_alias::v3::Request, _>(aliases::get_room_id_by_alias)
        .endpoint::<delete_alias::v3::Request, _>(aliases::delete_room_alias)
        .endpoint::<room_aliases::v3::Request, _>(aliases::get_local_aliases)
        // Membership.
        .endpoint::<joined_rooms::v3::Request, _>(membership::get_joined_rooms)
        .endpoint::<invite_user::v3::Request, _>(joining::invite_user)
        .endpoint::<join_room_by_id::v3::Request, _>(joining::join_room_by_id)
        .endpoint::<join_room_by_id_or_alias::v3::Request, _>(joining::join_room)
        .endpoint::<knock_room::v3::Request, _>(joining::knock_room)
        .endpoint::<leave_room::v3::Request, _>(leaving::leave_room)
        .endpoint::<forget_room::v3::Request, _>(leaving::forget_room)
        .endpoint::<kick_user::v3::Request, _>(leaving::kick)
        .endpoint::<ban_user::v3::Request, _>(leaving::ban)
        .endpoint::<unban_user::v3::Request, _>(leaving::unban)
        // The published directory.
        .endpoint::<get_room_visibility::v3::Request, _>(
            published_directory::get_room_visibility_on_directory,
        )
        .endpoint::<published_directory::SetVisibility, _>(
            published_directory::set_room_visibility_on_directory,
        )
        .endpoint::<get_public_rooms::v3::Request, _>(published_directory::get_public_rooms)
        .endpoint::<get_public_rooms_filtered::v3::Request, _>(
            published_directory::query_public_rooms,
        )
}
