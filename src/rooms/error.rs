//! What can go wrong in a room, without HTTP.

use room_versions::{AuthError, BuildError, ContentError, ParseError};
use ruma::{OwnedRoomAliasId, OwnedUserId, RoomVersionId};
use store::{CorruptRow, StoreError};
use thiserror::Error;

/// Why an operation on a room was refused.
#[derive(Debug, Error)]
pub enum RoomError {
    /// No such room here, or none that the user may know of.
    #[error("unknown room")]
    UnknownRoom,
    /// The user is not in the room, and must be.
    #[error("you are not in this room")]
    NotJoined,
    /// The authorisation rules, or the server's own, say no.
    #[error("{0}")]
    Forbidden(String),
    /// An administrator has blocked the room: nobody enters it.
    #[error("This room has been blocked on this server")]
    Blocked,
    /// No user of this server may do it in the room.
    #[error("No local admin user in room with power to update power levels.")]
    Powerless,
    /// Nobody rejects the server's own notices (`M_CANNOT_LEAVE_SERVER_NOTICE_ROOM`).
    #[error("You cannot reject this invite")]
    NoticeRoom,
    /// The user has chosen not to be invited (`M_INVITE_BLOCKED`).
    #[error("{0} does not want to be invited")]
    InviteBlocked(OwnedUserId),
    /// The user is a guest, and the room does not admit guests (`M_GUEST_ACCESS_FORBIDDEN`).
    #[error("guests may not join this room")]
    GuestAccess,
    /// An event, state or alias that does not exist or that the user may not see.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// A parameter makes no sense.
    #[error("{0}")]
    InvalidParam(String),
    /// Content that no event can have: not an object, floats, integers out of range.
    #[error("{0}")]
    BadJson(String),
    /// The event would be larger than 65,536 bytes, or one of its fields than 255.
    #[error("{0}")]
    TooLarge(String),
    /// Not one of the room versions 1 to 12.
    #[error("room version {0} is not supported")]
    UnsupportedRoomVersion(RoomVersionId),
    /// Somebody else has the alias.
    #[error("the alias {0} is taken")]
    AliasTaken(OwnedRoomAliasId),
    /// The room's state asked for by the client contradicts itself (`M_INVALID_ROOM_STATE`).
    #[error("{0}")]
    InvalidRoomState(String),
    /// The canonical alias names an alias that does not point to the room (`M_BAD_ALIAS`).
    #[error("{0}")]
    BadAlias(String),
    /// The sender has annotated the event in the same way before (`M_DUPLICATE_ANNOTATION`).
    #[error("you have annotated the event in this way already")]
    DuplicateAnnotation,
    /// The event cannot relate to the other in this way.
    #[error("{0}")]
    BadRelation(&'static str),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CorruptRow> for RoomError {
    fn from(source: CorruptRow) -> Self {
        Self::Store(StoreError::Corrupt {
            table: "Events",
            source,
        })
    }
}

impl From<AuthError> for RoomError {
    fn from(error: AuthError) -> Self {
        Self::Forbidden(error.reason)
    }
}

impl From<BuildError> for RoomError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::NotCanonical(_) => Self::BadJson(error.to_string()),
            BuildError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            BuildError::ForeignSignature(_) => Self::Forbidden(error.to_string()),
            BuildError::Draft(_) => Self::Store(StoreError::Engine(error.to_string())),
        }
    }
}

impl From<ContentError> for RoomError {
    fn from(error: ContentError) -> Self {
        Self::Store(StoreError::Engine(error.to_string()))
    }
}

impl From<ParseError> for RoomError {
    fn from(error: ParseError) -> Self {
        Self::Store(StoreError::Engine(error.to_string()))
    }
}
