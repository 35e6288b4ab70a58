//! What guests may ask for ([spec](https://spec.matrix.org/v1.19/client-server-api/#client-behaviour-12)).
//!
//! Asked by every extractor that finds out who makes a request: a handler that knows nothing of guests is closed to them.

use std::{collections::HashSet, sync::LazyLock};

use axum::extract::MatchedPath;
use http::{Method, request::Parts};
use http_layer::{Class, Errcode, RateLimits, StandardError, paths};
use ruma::api::{
    IncomingRequest,
    client::{
        account::whoami,
        authenticated_media::{get_content, get_content_as_filename, get_content_thumbnail},
        context::get_context,
        device::{get_device, get_devices, update_device},
        keys::{claim_keys, get_keys, upload_keys},
        membership::{get_member_events, join_room_by_id, join_room_by_id_or_alias, leave_room},
        message::{get_message_events, send_message_event},
        peeking::{get_current_state, listen_to_new_events},
        profile::{delete_profile_field, set_profile_field},
        room::get_room_event,
        state::{get_state_event_for_key, get_state_events, send_state_event},
        sync::sync_events,
        to_device::send_event_to_device,
    },
};

type Allowed = HashSet<(Method, String)>;

/// The endpoints of the spec's list, in its order.
static ALLOWED: LazyLock<Allowed> = LazyLock::new(|| {
    let mut allowed = Allowed::new();
    let all = &mut allowed;
    // "For retrieving events and associated media."
    allow::<get_state_events::v3::Request>(all);
    allow::<get_context::v3::Request>(all);
    allow::<get_room_event::v3::Request>(all);
    allow::<get_state_event_for_key::v3::Request>(all);
    allow::<get_message_events::v3::Request>(all);
    allow::<get_member_events::v3::Request>(all);
    allow::<get_current_state::v3::Request>(all);
    allow::<sync_events::v3::Request>(all);
    allow::<listen_to_new_events::v3::Request>(all);
    allow::<get_content::v1::Request>(all);
    allow::<get_content_as_filename::v1::Request>(all);
    allow::<get_content_thumbnail::v1::Request>(all);
    // "For sending events."
    allow::<join_room_by_id::v3::Request>(all);
    // Not on the list, but the same operation by another path, and the only one by which matrix-js-sdk joins.
    allow::<join_room_by_id_or_alias::v3::Request>(all);
    allow::<leave_room::v3::Request>(all);
    allow::<send_message_event::v3::Request>(all);
    allow::<send_state_event::v3::Request>(all);
    allow::<send_event_to_device::v3::Request>(all);
    // "For their own account maintenance."
    allow::<set_profile_field::v3::Request>(all);
    allow::<delete_profile_field::v3::Request>(all);
    allow::<get_devices::v3::Request>(all);
    allow::<get_device::v3::Request>(all);
    allow::<update_device::v3::Request>(all);
    allow::<whoami::v3::Request>(all);
    // "For end-to-end encryption."
    allow::<upload_keys::v3::Request>(all);
    allow::<get_keys::v3::Request>(all);
    allow::<claim_keys::v3::Request>(all);
    allowed
});

fn allow<R: IncomingRequest>(allowed: &mut Allowed) {
    for path in paths::<R>() {
        allowed.insert((R::METHOD, path));
    }
}

/// Lets everybody but guests through; guests to what they may do, and not too often.
///
/// # Errors
/// `M_GUEST_ACCESS_FORBIDDEN`; `M_LIMIT_EXCEEDED` for a guest who changes too much.
pub(crate) fn check(
    session: &users::Session,
    parts: &Parts,
    limits: &RateLimits,
) -> Result<(), StandardError> {
    if !session.guest {
        return Ok(());
    }
    if !is_allowed(parts) {
        let message = "Guests cannot do this.";
        return Err(StandardError::new(Errcode::GuestAccessForbidden, message));
    }
    // "Homeservers may want to put stricter rate limits on guest accounts."
    if !parts.method.is_safe() {
        limits.check(Class::Guest, session.user)?;
    }
    Ok(())
}

fn is_allowed(parts: &Parts) -> bool {
    let Some(path) = parts.extensions.get::<MatchedPath>() else {
        return false;
    };
    // HEAD goes where GET goes.
    let method = match parts.method {
        Method::HEAD => Method::GET,
        ref method => method.clone(),
    };
    // "Guest users may only modify their display name; other profile fields may not be changed."
    let other_field = path.as_str().contains("/profile/")
        && parts.uri.path().rsplit('/').next() != Some("displayname");
    ALLOWED.contains(&(method, path.as_str().to_owned())) && !other_field
}
