//! What the rooms' errors mean to a client.

use ::rooms::{DelayedError, RoomError};
use http::StatusCode;
use http_layer::{Errcode, StandardError};

use super::Error;

impl From<RoomError> for Error {
    fn from(error: RoomError) -> Self {
        let message = error.to_string();
        match error {
            RoomError::UnknownRoom => StandardError::not_found("Unknown room.").into(),
            RoomError::NotJoined => StandardError::forbidden("You are not in this room.").into(),
            RoomError::Forbidden(message) => StandardError::forbidden(message).into(),
            // The code and the words that moderation bots look for; the spec has none of its own.
            RoomError::Blocked => StandardError::unknown(message)
                .with_status(StatusCode::FORBIDDEN)
                .into(),
            RoomError::NoticeRoom => StandardError::cannot_leave_server_notice_room().into(),
            RoomError::InviteBlocked(_) => {
                StandardError::new(Errcode::InviteBlocked, message).into()
            }
            RoomError::GuestAccess => {
                StandardError::new(Errcode::GuestAccessForbidden, message).into()
            }
            RoomError::NotFound(_) => StandardError::not_found(message).into(),
            RoomError::InvalidParam(message) => StandardError::invalid_param(message).into(),
            RoomError::BadJson(message) => StandardError::bad_json(message).into(),
            RoomError::TooLarge(message) => StandardError::too_large(message).into(),
            RoomError::UnsupportedRoomVersion(_) => {
                StandardError::unsupported_room_version(message).into()
            }
            // `PUT /directory/room/{roomAlias}` makes a 409 of it.
            RoomError::AliasTaken(_) => StandardError::room_in_use(message).into(),
            RoomError::InvalidRoomState(message) => {
                StandardError::invalid_room_state(message).into()
            }
            RoomError::BadAlias(message) => StandardError::bad_alias(message).into(),
            RoomError::DuplicateAnnotation => {
                StandardError::new(Errcode::DuplicateAnnotation, message).into()
            }
            // "A specific error code is not currently available for this case: servers should use `M_UNKNOWN`."
            RoomError::Powerless | RoomError::BadRelation(_) => StandardError::unknown(message)
                .with_status(StatusCode::BAD_REQUEST)
                .into(),
            RoomError::Store(error) => error.into(),
        }
    }
}

impl From<DelayedError> for Error {
    fn from(error: DelayedError) -> Self {
        let message = error.to_string();
        // MSC4140: errors of its own hide behind M_UNKNOWN until it is part of the spec.
        let refused = |name: &str| {
            StandardError::unknown(message.clone())
                .with_status(StatusCode::BAD_REQUEST)
                .with_field("org.matrix.msc4140.errcode", name)
        };
        match error {
            DelayedError::TooLong { max_delay_ms } => refused("M_MAX_DELAY_EXCEEDED")
                .with_field("org.matrix.msc4140.max_delay", max_delay_ms)
                .into(),
            DelayedError::TooMany { retry_after_ms } => {
                StandardError::new(Errcode::LimitExceeded, message)
                    .with_field("retry_after_ms", retry_after_ms)
                    .into()
            }
            DelayedError::NotFound => StandardError::not_found(message).into(),
            DelayedError::Room(error) => error.into(),
        }
    }
}
