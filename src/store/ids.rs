//! The short numbers that stand for long names in keys, and the one clock.

use std::fmt;

/// A position in the commit log: the timeline position, the state-log position and the sync token in one.
///
/// Live positions count up from 1; events that a backfill brings in (federation) count down from -1.
/// Encoded as eight big-endian bytes with the sign bit flipped, so that byte order is numeric order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pos(pub i64);

impl Pos {
    /// Before every live event.
    pub const ZERO: Self = Self(0);
    /// Before everything, backfilled events included.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything that is ever assigned.
    pub const MAX: Self = Self(UNASSIGNED - 1);

    /// The `index`-th position that the batch will be given when it is queued.
    ///
    /// Wherever such a position is encoded in a [`Batch`](crate::Batch), in a key or in a value, the store
    /// writes the real one in its place.
    pub const fn unassigned(index: u16) -> Self {
        Self(UNASSIGNED + index as i64)
    }

    /// The index of a position made by [`Pos::unassigned`].
    pub const fn unassigned_index(self) -> Option<u16> {
        if self.0 >= UNASSIGNED {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is 0..=u16::MAX"
            )]
            Some((self.0 - UNASSIGNED) as u16)
        } else {
            None
        }
    }

    /// The next position.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

const UNASSIGNED: i64 = i64::MAX - 0xFFFF;

impl fmt::Display for Pos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that stands for a name; given out once by the [`Interner`](crate::Interner), never reused.
pub trait Nid: Copy + 'static {
    /// Which names it stands for: the first byte of the name table's key.
    const KIND: u8;
    /// From the number.
    fn from_u32(number: u32) -> Self;
    /// The number.
    fn as_u32(self) -> u32;
}

macro_rules! nid {
    ($(#[$doc:meta])* $name:ident = $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl Nid for $name {
            const KIND: u8 = $kind;
            fn from_u32(number: u32) -> Self {
                Self(number)
            }
            fn as_u32(self) -> u32 {
                self.0
            }
        }
    };
}

nid!(
    /// Stands for a room id.
    RoomNid = 1
);
nid!(
    /// Stands for a user id, local or remote.
    UserNid = 2
);
nid!(
    /// Stands for an event type and state key: the name is `type`, a NUL, `state_key`.
    StateKeyNid = 3
);

/// Room sequence number: numbers every event kept for a room, from 1. The order is a topological order of
/// the auth graph: an event's auth events have smaller numbers. 0 stands for "none" in stored values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rsn(pub u32);

impl Rsn {
    /// No event.
    pub const NONE: Self = Self(0);

    /// `None` for [`Rsn::NONE`].
    pub const fn some(self) -> Option<Self> {
        if self.0 == 0 { None } else { Some(self) }
    }
}
