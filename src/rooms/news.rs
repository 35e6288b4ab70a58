//! What the world hears once a commit is kept: the rooms' side of the commit log.

use std::sync::Arc;

use ruma::OwnedUserId;
use store::{Pos, RoomNid, UserNid, rows::Membership};

use crate::Event;

/// Hears of every change, in the order of the commit log, on the committer's thread: must be short and must not block.
pub trait Follower: Send + Sync + 'static {
    /// Something happened in a room.
    fn room_news(&self, news: &RoomNews);
}

/// One change of a room.
#[derive(Clone, Debug)]
pub struct RoomNews {
    /// The room.
    pub room: RoomNid,
    /// The position of the change.
    pub pos: Pos,
    /// What changed.
    pub what: What,
}

/// The kinds of change.
#[derive(Clone, Debug)]
pub enum What {
    /// A new event in the timeline.
    Event {
        /// The event.
        event: Arc<Event>,
        /// Set for an `m.room.member` event.
        member: Option<MemberChange>,
    },
    /// A receipt was set or moved. A private one is for its user alone.
    Receipt {
        /// Whose it is.
        user: UserNid,
        /// `m.read.private`
        private: bool,
    },
    /// The set of typing users changed.
    Typing,
    /// A user has forgotten the room.
    Forgotten(UserNid),
    /// The room is being deleted, and exists no more for these users.
    Deleted(Arc<[UserNid]>),
}

/// A user's membership changed.
#[derive(Clone, Debug)]
pub struct MemberChange {
    /// Whose.
    pub user: UserNid,
    /// Their id.
    pub user_id: OwnedUserId,
    /// To what.
    pub membership: Membership,
    /// From what; `None` if the room did not know the user.
    pub before: Option<Membership>,
}
