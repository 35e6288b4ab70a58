//! The hot rows: small, fixed binary layouts, each with a version-free meaning that the schema version pins.

use bytes::Bytes;

use crate::{
    CorruptRow, Pos, RoomNid, Rsn, StateKeyNid, UserNid,
    codec::{Decode, Decoder, Encode, Encoder},
};

/// One event. Its JSON lies in two runs of members without braces, so that each reader splices what it needs:
/// a client gets `{client,"event_id":…,"unsigned":…}`, another server `{client,federation}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its place in the timeline.
    pub pos: Pos,
    /// Names the room's state before the event.
    pub state_before: StateRef,
    /// The event that redacted it, or none.
    pub redacted_by: Rsn,
    /// For a state event: the event whose state it replaced (`unsigned.replaces_state`), or none.
    pub replaces: Rsn,
    /// The event id.
    pub event_id: String,
    /// The device that sent it and the device's transaction id (`unsigned.transaction_id`); both empty if there is none.
    pub transaction: (String, String),
    /// Members that clients see: `"content":{…},"origin_server_ts":…,"sender":…,"type":…` and `state_key`, `redacts`.
    pub client: Bytes,
    /// The other members of the PDU: `"auth_events":…,"depth":…,"hashes":…,"prev_events":…,"room_id":…,"signatures":…`.
    pub federation: Bytes,
}

/// How an event names the state before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateRef {
    /// The room's state line just before this position.
    Line(Pos),
    /// Reserved for federation: the number of a sparse overlay over the line.
    Overlay(u64),
}

impl Encode for EventRow {
    fn encode(&self, to: &mut Encoder) {
        to.pos(self.pos);
        match self.state_before {
            StateRef::Line(pos) => {
                to.u8(0);
                to.pos(pos);
            }
            StateRef::Overlay(number) => {
                to.u8(1);
                to.u64(number);
            }
        }
        self.redacted_by.encode(to);
        self.replaces.encode(to);
        to.sized(self.event_id.as_bytes());
        to.sized(self.transaction.0.as_bytes());
        to.sized(self.transaction.1.as_bytes());
        to.sized(&self.client);
        to.raw(&self.federation);
    }
}

impl Decode for EventRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            pos: from.pos()?,
            state_before: match from.u8()? {
                0 => StateRef::Line(from.pos()?),
                1 => StateRef::Overlay(from.u64()?),
                _ => return Err(CorruptRow("unknown state reference")),
            },
            redacted_by: Rsn::decode(from)?,
            replaces: Rsn::decode(from)?,
            event_id: text(from.sized()?)?,
            transaction: (text(from.sized()?)?, text(from.sized()?)?),
            client: Bytes::copy_from_slice(from.sized()?),
            federation: Bytes::copy_from_slice(from.rest()),
        })
    }
}

/// An event in the timeline, with the room's counters up to and including it: a user's unread count is the
/// difference of two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineRow {
    /// The event.
    pub rsn: Rsn,
    /// Who sent it.
    pub sender: UserNid,
    /// See the constants.
    pub flags: u8,
    /// Events so far that notify every member by the predefined push rules.
    pub notifying: u32,
    /// Events so far that highlight for every member by the predefined push rules (`@room`, tombstones).
    pub highlighting: u32,
}

impl TimelineRow {
    /// It is a state event.
    pub const STATE: u8 = 1;
    /// It is in a thread (`m.thread`), so it does not count for the main timeline.
    pub const THREADED: u8 = 2;
    /// It notifies by the predefined rules.
    pub const NOTIFIES: u8 = 4;
}

impl Encode for TimelineRow {
    fn encode(&self, to: &mut Encoder) {
        self.rsn.encode(to);
        self.sender.encode(to);
        to.u8(self.flags);
        to.u32(self.notifying);
        to.u32(self.highlighting);
    }
}

impl Decode for TimelineRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            rsn: Rsn::decode(from)?,
            sender: UserNid::decode(from)?,
            flags: from.u8()?,
            notifying: from.u32()?,
            highlighting: from.u32()?,
        })
    }
}

/// The event that is the current state of a key, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// The event.
    pub rsn: Rsn,
    /// The position at which it became the state.
    pub pos: Pos,
}

impl Encode for StateRow {
    fn encode(&self, to: &mut Encoder) {
        self.rsn.encode(to);
        to.pos(self.pos);
    }
}

impl Decode for StateRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            rsn: Rsn::decode(from)?,
            pos: from.pos()?,
        })
    }
}

/// One change of a room's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChangeRow {
    /// What changed.
    pub key: StateKeyNid,
    /// To which event.
    pub new: Rsn,
    /// From which event, or none.
    pub old: Rsn,
    /// Why.
    pub cause: Cause,
}

/// Why a room's state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The event itself was sent.
    Event,
    /// Reserved for federation: a state resolution.
    Resolution,
}

impl Encode for StateChangeRow {
    fn encode(&self, to: &mut Encoder) {
        self.key.encode(to);
        self.new.encode(to);
        self.old.encode(to);
        to.u8(match self.cause {
            Cause::Event => 0,
            Cause::Resolution => 1,
        });
    }
}

impl Decode for StateChangeRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            key: StateKeyNid::decode(from)?,
            new: Rsn::decode(from)?,
            old: Rsn::decode(from)?,
            cause: match from.u8()? {
                0 => Cause::Event,
                1 => Cause::Resolution,
                _ => return Err(CorruptRow("unknown cause")),
            },
        })
    }
}

/// `membership` of an `m.room.member` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// `join`
    Join,
    /// `invite`
    Invite,
    /// `leave`
    Leave,
    /// `ban`
    Ban,
    /// `knock`
    Knock,
}

impl Membership {
    /// The spec's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Leave => "leave",
            Self::Ban => "ban",
            Self::Knock => "knock",
        }
    }

    /// From the spec's word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            "knock" => Self::Knock,
            _ => return None,
        })
    }
}

impl Encode for Membership {
    fn encode(&self, to: &mut Encoder) {
        to.u8(match self {
            Self::Join => 0,
            Self::Invite => 1,
            Self::Leave => 2,
            Self::Ban => 3,
            Self::Knock => 4,
        });
    }
}

impl Decode for Membership {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(match from.u8()? {
            0 => Self::Join,
            1 => Self::Invite,
            2 => Self::Leave,
            3 => Self::Ban,
            4 => Self::Knock,
            _ => return Err(CorruptRow("unknown membership")),
        })
    }
}

/// A user in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// What they are there.
    pub membership: Membership,
    /// The `m.room.member` event that says so.
    pub rsn: Rsn,
    /// Its position.
    pub pos: Pos,
}

impl Encode for MemberRow {
    fn encode(&self, to: &mut Encoder) {
        self.membership.encode(to);
        self.rsn.encode(to);
        to.pos(self.pos);
    }
}

impl Decode for MemberRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            membership: Membership::decode(from)?,
            rsn: Rsn::decode(from)?,
            pos: from.pos()?,
        })
    }
}

/// A room of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRoomRow {
    /// What the user is there, with the event.
    pub member: MemberRow,
    /// The user has left and forgotten it.
    pub forgotten: bool,
}

impl Encode for UserRoomRow {
    fn encode(&self, to: &mut Encoder) {
        self.member.encode(to);
        to.u8(u8::from(self.forgotten));
    }
}

impl Decode for UserRoomRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            member: MemberRow::decode(from)?,
            forgotten: from.u8()? != 0,
        })
    }
}

/// A user's membership changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipLogRow {
    /// Where.
    pub room: RoomNid,
    /// To what.
    pub membership: Membership,
    /// From what; `None` if the user was unknown to the room.
    pub before: Option<Membership>,
}

impl Encode for MembershipLogRow {
    fn encode(&self, to: &mut Encoder) {
        self.room.encode(to);
        self.membership.encode(to);
        match self.before {
            None => to.u8(0xFF),
            Some(before) => before.encode(to),
        }
    }
}

impl Decode for MembershipLogRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        let room = RoomNid::decode(from)?;
        let membership = Membership::decode(from)?;
        let before = match from.rest() {
            [0xFF] => None,
            byte => Some(Membership::decode(&mut Decoder::new(byte))?),
        };
        Ok(Self {
            room,
            membership,
            before,
        })
    }
}

/// What the next event of a room needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHeadRow {
    /// The room version, as in `m.room.create`.
    pub version: String,
    /// The last room sequence number given out.
    pub last_rsn: Rsn,
    /// Position of the latest event.
    pub last_pos: Pos,
    /// `depth` of the latest event.
    pub depth: u64,
    /// Events that no other event has as `prev_events` yet.
    pub forward_extremities: Vec<Rsn>,
    /// Members whose membership is `join`.
    pub joined: u32,
    /// Members whose membership is `invite`.
    pub invited: u32,
    /// As in the latest [`TimelineRow`].
    pub notifying: u32,
    /// As in the latest [`TimelineRow`].
    pub highlighting: u32,
}

impl Encode for RoomHeadRow {
    fn encode(&self, to: &mut Encoder) {
        to.sized(self.version.as_bytes());
        self.last_rsn.encode(to);
        to.pos(self.last_pos);
        to.u64(self.depth);
        to.u32(self.joined);
        to.u32(self.invited);
        to.u32(self.notifying);
        to.u32(self.highlighting);
        for rsn in &self.forward_extremities {
            rsn.encode(to);
        }
    }
}

impl Decode for RoomHeadRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        let version = text(from.sized()?)?;
        let last_rsn = Rsn::decode(from)?;
        let last_pos = from.pos()?;
        let depth = from.u64()?;
        let joined = from.u32()?;
        let invited = from.u32()?;
        let notifying = from.u32()?;
        let highlighting = from.u32()?;
        let mut forward_extremities = Vec::new();
        let mut rest = Decoder::new(from.rest());
        while let Ok(rsn) = Rsn::decode(&mut rest) {
            forward_extremities.push(rsn);
        }
        Ok(Self {
            version,
            last_rsn,
            last_pos,
            depth,
            forward_extremities,
            joined,
            invited,
            notifying,
            highlighting,
        })
    }
}

/// An event that relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationRow {
    /// The event.
    pub rsn: Rsn,
    /// Who sent it.
    pub sender: UserNid,
}

impl Encode for RelationRow {
    fn encode(&self, to: &mut Encoder) {
        self.rsn.encode(to);
        self.sender.encode(to);
    }
}

impl Decode for RelationRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            rsn: Rsn::decode(from)?,
            sender: UserNid::decode(from)?,
        })
    }
}

/// One piece of account data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDataRow {
    /// When it was last set.
    pub pos: Pos,
    /// The content, JSON as the client sent it; empty when it was deleted.
    pub content: Bytes,
}

impl Encode for AccountDataRow {
    fn encode(&self, to: &mut Encoder) {
        to.pos(self.pos);
        to.raw(&self.content);
    }
}

impl Decode for AccountDataRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            pos: from.pos()?,
            content: Bytes::copy_from_slice(from.rest()),
        })
    }
}

/// How far a user has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// When the receipt was set: its place in the feed.
    pub pos: Pos,
    /// The timeline position of the event that it names.
    pub event_pos: Pos,
    /// Milliseconds since the Unix epoch.
    pub ts: u64,
    /// The event.
    pub event_id: String,
}

impl Encode for ReceiptRow {
    fn encode(&self, to: &mut Encoder) {
        to.pos(self.pos);
        to.pos(self.event_pos);
        to.u64(self.ts);
        to.raw(self.event_id.as_bytes());
    }
}

impl Decode for ReceiptRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            pos: from.pos()?,
            event_pos: from.pos()?,
            ts: from.u64()?,
            event_id: text(from.rest())?,
        })
    }
}

/// A one-time key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeKeyRow {
    /// `algorithm:id`
    pub id: String,
    /// JSON as the client sent it.
    pub key: Bytes,
}

impl Encode for OneTimeKeyRow {
    fn encode(&self, to: &mut Encoder) {
        to.sized(self.id.as_bytes());
        to.raw(&self.key);
    }
}

impl Decode for OneTimeKeyRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self {
            id: text(from.sized()?)?,
            key: Bytes::copy_from_slice(from.rest()),
        })
    }
}

fn text(bytes: &[u8]) -> Result<String, CorruptRow> {
    String::from_utf8(bytes.to_vec()).map_err(|_| CorruptRow("text is not UTF-8"))
}

/// What a client's request was answered, so that the same request is answered the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRow {
    /// When, in milliseconds since the Unix epoch; 0 if that was not kept.
    pub at_ms: u64,
    /// An event id, a delay id, or nothing.
    pub answer: String,
}

impl Encode for TransactionRow {
    fn encode(&self, to: &mut Encoder) {
        to.u64(self.at_ms);
        to.raw(self.answer.as_bytes());
    }
}

impl Decode for TransactionRow {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        let rest = from.rest();
        // A time begins with zeroes for millions of years; rows without one begin with a letter, or are empty.
        let (at_ms, answer) = match rest.split_first_chunk::<8>() {
            Some((at_ms, answer)) if at_ms[0] == 0 => (u64::from_be_bytes(*at_ms), answer),
            _ => (0, rest),
        };
        let answer =
            std::str::from_utf8(answer).map_err(|_| CorruptRow("an answer is not text"))?;
        Ok(Self {
            at_ms,
            answer: answer.to_owned(),
        })
    }
}
