//! Every table: its key, its value, who writes it and who reads it. Nothing else declares one.
//!
//! A key is the table's prefix byte and the encoded parts, in one of seven column families. Families are for
//! tuning (compression, filters, write amplification); tables are for meaning.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    CorruptRow, Pos, RoomNid, Rsn, StateKeyNid, UserNid,
    codec::{Decode, Decoder, Encode, Encoder, Tail},
    rows::{
        AccountDataRow, EventRow, MemberRow, MembershipLogRow, OneTimeKeyRow, ReceiptRow,
        RelationRow, RoomHeadRow, StateChangeRow, StateRow, TimelineRow, TransactionRow,
        UserRoomRow,
    },
};

/// A RocksDB column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Schema version, instance, clock mark. Tiny.
    Meta,
    /// Names to numbers and to rows: point look-ups.
    Index,
    /// Event bodies: large values, compressed with a dictionary.
    Events,
    /// Timelines and the log: appended, read in ranges.
    Timeline,
    /// Room state and membership.
    State,
    /// Accounts, devices, tokens, profiles.
    Users,
    /// What a user's sync is fed with: account data, receipts, transaction ids.
    Feeds,
}

impl Family {
    /// All of them, in the order in which they are created.
    pub const ALL: [Self; 7] = [
        Self::Meta,
        Self::Index,
        Self::Events,
        Self::Timeline,
        Self::State,
        Self::Users,
        Self::Feeds,
    ];

    /// The name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Index => "index",
            Self::Events => "events",
            Self::Timeline => "timeline",
            Self::State => "state",
            Self::Users => "users",
            Self::Feeds => "feeds",
        }
    }
}

/// A table's name, place and the types of its keys and values.
pub trait Table {
    /// As `myelin storage usage` shows it.
    const NAME: &'static str;
    /// Where it lives.
    const FAMILY: Family;
    /// First byte of its keys, unique in the family.
    const PREFIX: u8;
    /// What a row is found by.
    type Key: Encode + Decode + Send + Sync + 'static;
    /// What a row holds.
    type Value: Encode + Decode + Send + Sync + 'static;
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident in $family:ident $prefix:literal: $key:ty => $value:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $name {}

            impl Table for $name {
                const NAME: &'static str = stringify!($name);
                const FAMILY: Family = Family::$family;
                const PREFIX: u8 = $prefix;
                type Key = $key;
                type Value = $value;
            }
        )*

        /// Name, family and prefix of every table.
        pub const ALL: &[(&str, Family, u8)] = &[$((<$name as Table>::NAME, Family::$family, $prefix)),*];
    };
}

tables! {
    // ---- meta -------------------------------------------------------------------------------------------
    /// Facts about the store itself, by name: `schema`, `instance`, `clock`. Written and read by the store.
    Meta in Meta 1: String => Raw;
    /// Followers of the log by name (`search`, `push`) → how far they have come. Written with what they make of it.
    Cursors in Meta 2: String => Pos;
    /// What administrators did, in order, as JSON. Written and read by `administration`.
    AuditLog in Meta 3: Pos => Raw;
    /// Long jobs of administrators: what is to be done, how far it is and how it ended, as JSON. Written by
    /// `administration`, with each step of the job where that is a commit of its own.
    Tasks in Meta 4: Pos => Raw;

    // ---- index ------------------------------------------------------------------------------------------
    /// Kind of name and name → its number. Written and read by the interner.
    NumberOfName in Index 1: (u8, Tail) => u32;
    /// Kind of name and number → the name. Written and read by the interner.
    NameOfNumber in Index 2: (u8, u32) => Raw;
    /// Event id → where the event is. The id's bytes as `EventKey` packs them. Written with the event.
    EventIds in Index 3: Tail => (RoomNid, Rsn);
    /// Room alias (`#name:server`) → room and creator. Written by `rooms`, guarded by absence.
    Aliases in Index 4: String => (RoomNid, UserNid);
    /// Room and alias: the local aliases of a room. Written with `Aliases`.
    RoomAliases in Index 5: (RoomNid, String) => ();
    /// Rooms in the published directory. Written by `rooms`.
    PublishedRooms in Index 6: RoomNid => ();
    /// Ids of rooms that nobody may enter or create, known here or not → who said so and when, as JSON. Written by `rooms`.
    BlockedRooms in Index 7: String => Raw;

    /// The search index: room, term (`search/words.rs`) and position of an event that has it → the event, where the term is
    /// in it, how often, and how many terms it has. Written by `search`, behind the log.
    SearchPostings in Index 70: (RoomNid, u64, Pos) => (Rsn, u8, u16, u16);
    /// Room and position of a searched event → its terms, or which event it edits. Written with `SearchPostings`.
    SearchTexts in Index 71: (RoomNid, Pos) => Raw;
    /// Server name and media id → what it stands for, as JSON. Written by `media`.
    Media in Index 60: (String, String) => Raw;
    /// SHA-256 (hexadecimal) of a file, server name and media id: which ids stand for a file. Written with `Media`.
    MediaUses in Index 61: (String, String, String) => ();
    /// SHA-256 (hexadecimal) of a file and variant → its thumbnail, or what kind of image it is, as JSON.
    Thumbnails in Index 62: (String, String) => Raw;
    /// SHA-256 of a URL → what is behind it, as JSON. Written by `media`.
    UrlPreviews in Index 63: Tail => Raw;
    /// SHA-256 (hexadecimal) of a file that may stand for no id any more, or not yet → since when, in ms since the Unix epoch.
    /// Written by `media` before a file gets its name and with the deletion of an id; deleted once it is settled.
    UnsettledFiles in Index 64: String => u64;
    /// SHA-256 (hexadecimal) of a file that nobody is given → who put it into quarantine and when, as JSON. Written by `media`;
    /// stays when no id stands for the file any more.
    QuarantinedFiles in Index 65: String => Raw;

    // ---- events -----------------------------------------------------------------------------------------
    /// Every event kept for a room. Written by `rooms` once; again only by a redaction.
    Events in Events 1: (RoomNid, Rsn) => EventRow;

    // ---- timeline ---------------------------------------------------------------------------------------
    /// Room and position → the event there. Written with the event; read by sync, messages, context.
    Timeline in Timeline 1: (RoomNid, Pos) => TimelineRow;
    /// The commit log: position → what happened, for followers (search, push, federation). Written with the event.
    Log in Timeline 2: Pos => (RoomNid, Rsn);
    /// Room → position of its latest change of any kind that sync tells (events, receipts).
    Activity in Timeline 3: RoomNid => Pos;
    /// Events that relate to another: room, the other's event id (whether or not it is known here), kind of relation
    /// (`rooms/relations.rs`), position → the event. Written with it, deleted by its redaction.
    Relations in Timeline 4: (RoomNid, String, u8, Pos) => RelationRow;
    /// Room and position: an event that others replace, reference or continue as a thread, so that readers look for
    /// `Relations` of these alone. Written with the others; stays when they are redacted.
    Parents in Timeline 5: (RoomNid, Pos) => ();
    /// Room and position of an event in a thread → the thread's root. Written with it, deleted by its redaction.
    Threads in Timeline 6: (RoomNid, Pos) => Rsn;
    /// Room and position of an event that was counted before it was redacted → what it added to the counters of `Timeline`
    /// (1 `notifying`, 2 `highlighting`), so that readers take it away. Written with the redaction.
    Uncounted in Timeline 7: (RoomNid, Pos) => u8;

    // ---- state ------------------------------------------------------------------------------------------
    /// The room's current state: `C(room, key)` of the design. Written with each state event.
    CurrentState in State 1: (RoomNid, StateKeyNid) => StateRow;
    /// Each state key's past: `H(room, key, pos)` → the event that became state there. Written with each state event.
    StateHistory in State 2: (RoomNid, StateKeyNid, Pos) => Rsn;
    /// The room's state log: `L(room, pos, ordinal)` → key, new, old, cause. Ordinal 0 except where a resolution
    /// changes several keys at one position.
    StateLog in State 3: (RoomNid, Pos, u16) => StateChangeRow;
    /// Members by room, whatever their membership. Written with each `m.room.member`.
    Members in State 4: (RoomNid, UserNid) => MemberRow;
    /// Rooms by user: the same fact from the other side, and whether the user has forgotten the room.
    UserRooms in State 5: (UserNid, RoomNid) => UserRoomRow;
    /// What the next event of a room needs: extremities, depth, counts. Written with every event.
    RoomHeads in State 6: RoomNid => RoomHeadRow;
    /// Each change of a user's membership: user and position → room, membership. Written with `m.room.member`;
    /// read by sync for rooms entered and left since a token.
    MembershipLog in State 7: (UserNid, Pos) => MembershipLogRow;
    /// Rooms whose past an administrator has removed: room → the position before which only state events are left, and the
    /// counters of `Timeline` there. Written by `rooms` before it removes; read where counts are made.
    Horizons in State 8: RoomNid => (Pos, u32, u32);

    // ---- users ------------------------------------------------------------------------------------------
    /// Local accounts, as JSON. Written by `users`, guarded by absence.
    Accounts in Users 1: UserNid => Raw;
    /// User and device id → the device, as JSON.
    Devices in Users 2: (UserNid, String) => Raw;
    /// SHA-256 of an access token → whose it is, as JSON.
    AccessTokens in Users 3: Tail => Raw;
    /// SHA-256 of a refresh token → whose it is, as JSON.
    RefreshTokens in Users 4: Tail => Raw;
    /// SHA-256 of a login token (`m.login.token`) → whose it is, as JSON.
    LoginTokens in Users 5: Tail => Raw;
    /// Registration tokens, as JSON.
    RegistrationTokens in Users 6: String => Raw;
    /// Profiles, as one JSON object of all fields.
    Profiles in Users 7: UserNid => Raw;
    /// User and filter number → the filter as the client sent it.
    Filters in Users 8: (UserNid, u32) => Raw;
    /// SHA-256 of the filter's JSON → its number, so that the same filter is kept once.
    FilterNumbers in Users 9: (UserNid, Tail) => u32;
    /// User and device id → when and from where it was last used, as JSON. Written by `users`, relaxed.
    DeviceSeen in Users 10: (UserNid, String) => Raw;
    /// User and device id → the device's identity keys, JSON as the client sent it. Written by `encryption`.
    DeviceKeys in Users 20: (UserNid, String) => Raw;
    /// User and device id → how many one-time keys there are and the fallback keys, as JSON. Written by `encryption`
    /// together with `OneTimeKeys`, so that nobody counts.
    KeyStocks in Users 21: (UserNid, String) => Raw;
    /// User, device id, algorithm and place in the order of upload → a one-time key that nobody has claimed yet.
    OneTimeKeys in Users 22: (UserNid, String, String, Pos) => OneTimeKeyRow;
    /// User and kind (0 master, 1 self-signing, 2 user-signing) → the cross-signing key, JSON as the client sent it.
    CrossSigningKeys in Users 23: (UserNid, u8) => Raw;
    /// Whose key, which key (device id or public key), who signed it with which key → the signature. Written by
    /// `encryption` for signatures that hold, beside those that came with the key.
    KeySignatures in Users 24: (UserNid, String, UserNid, String) => Raw;
    /// User and number → a key backup's algorithm, count and etag, as JSON; kept when it is deleted, for its number.
    KeyBackups in Users 25: (UserNid, u32) => Raw;
    /// User, backup, room id and session id → a room key, JSON as the client sent it.
    RoomKeys in Users 26: (UserNid, u32, String, String) => Raw;
    /// User → the dehydrated device, as JSON.
    DehydratedDevices in Users 27: UserNid => Raw;
    /// A user's uploads: user and media id → when, in ms since the Unix epoch. Written with `Media`.
    UserMedia in Users 60: (UserNid, String) => u64;
    /// How much a user has uploaded, as JSON. Written with `Media`.
    MediaUsage in Users 61: UserNid => Raw;
    /// Announced uploads: user and media id → when it expires, in ms since the Unix epoch. Written with `Media`.
    PendingMedia in Users 62: (UserNid, String) => u64;
    /// User, app id and push key → the pusher and the device that set it, as JSON. Written by `users`.
    Pushers in Users 40: (UserNid, String, String) => Raw;
    /// App id, push key and user: whose pushers lead to the same place. Written with `Pushers`.
    PusherUsers in Users 41: (String, String, UserNid) => ();
    /// SHA-256 of an OpenID token → whose it is and until when, as JSON. Written by `users`.
    OpenIdTokens in Users 42: Tail => Raw;
    /// Reports of events, rooms and users for the administrator, as JSON, in order. Written by `rooms`.
    Reports in Users 43: Pos => Raw;
    /// A user's reports: how many there are, so that nobody fills the table. Written with `Reports`.
    ReportCounts in Users 44: UserNid => u64;
    /// Users who may do more or less than others at a time, as JSON. Written and read by `administration`.
    RateLimitOverrides in Users 46: UserNid => Raw;
    /// Delayed events: user and delay id → the event and when it is due, as JSON. Written by `rooms`.
    DelayedEvents in Users 45: (UserNid, String) => Raw;

    // ---- feeds ------------------------------------------------------------------------------------------
    /// Transaction ids: user, device id, scope and id → what was answered, and when. `Tail` is `scope NUL txnId`, where the
    /// scope names the endpoint and room. Written with what the request does; deleted with the device, and after 30 days.
    Transactions in Feeds 1: (UserNid, String, Tail) => TransactionRow;
    /// Account data: user, room (0 = global) and type → position and content.
    AccountData in Feeds 2: (UserNid, RoomNid, String) => AccountDataRow;
    /// Account data's feed: user and position → room and type. The older row is deleted by each change.
    AccountDataLog in Feeds 3: (UserNid, Pos) => (RoomNid, String);
    /// Latest receipts: room, user, kind (0 `m.read`, 1 `m.read.private`) and thread (`""` unthreaded).
    Receipts in Feeds 4: (RoomNid, UserNid, u8, String) => ReceiptRow;
    /// Receipts' feed: room and position → user, kind, thread. The older row is deleted by each change.
    ReceiptLog in Feeds 5: (RoomNid, Pos) => (UserNid, u8, String);
    /// How far a user has read the main timeline of a room: the user's latest own event outside of threads (a change of
    /// name is none) or the latest receipt of all or of the main timeline. Written with those; unread counts start there.
    ReadUpTo in Feeds 7: (RoomNid, UserNid) => Pos;
    /// How far a user has read a room with all its threads: their joining or their latest receipt without a thread,
    /// whichever is later; where it is missing, `ReadUpTo` holds for threads too. Written with those.
    ReadThreads in Feeds 8: (RoomNid, UserNid) => Pos;
    /// Events that highlight for a user: user, room, position. Written with the event, for the mentioned only.
    Highlights in Feeds 6: (UserNid, RoomNid, Pos) => ();
    /// How rooms that were deleted ended for their users: user and position of their leaving → the room, and the event as
    /// sync tells it, for clients that were away. Written by `rooms` before it deletes; read by sync.
    Farewells in Feeds 9: (UserNid, Pos) => (RoomNid, Tail);
    /// Changes of device lists: position → whose, and who is told (0 = everybody who shares a room). Written by
    /// `encryption` in the commit that changes a key; the older row of the same pair is deleted. Read by sync.
    DeviceListLog in Feeds 20: Pos => (UserNid, UserNid);
    /// Whose device list and who is told → the position of the row in `DeviceListLog`.
    DeviceListHeads in Feeds 21: (UserNid, UserNid) => Pos;
    /// Messages sent to a device that it has not acknowledged: the event, JSON as sync tells it. Written by
    /// `encryption`, read and deleted by sync.
    Inbox in Feeds 22: (UserNid, String, Pos) => Raw;
    /// What waits to be pushed: user, app id and push key of the pusher, position of the event → which event it is, since
    /// when it waits and how to present it, as JSON. Written and deleted by `push`; deleted with `Pushers`.
    PushQueue in Feeds 40: (UserNid, String, String, Pos) => Raw;
}

/// Bytes as they are: JSON that is passed on, or a row of a module that reads it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw(pub Bytes);

impl Raw {
    /// `value` as JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, CorruptRow> {
        serde_json::to_vec(value)
            .map(|bytes| Self(bytes.into()))
            .map_err(|_| CorruptRow("cannot be written as JSON"))
    }

    /// Reads JSON.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, CorruptRow> {
        serde_json::from_slice(&self.0).map_err(|_| CorruptRow("is not the JSON expected"))
    }
}

impl Encode for Raw {
    fn encode(&self, to: &mut Encoder) {
        to.raw(&self.0);
    }
}

impl Decode for Raw {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, CorruptRow> {
        Ok(Self(Bytes::copy_from_slice(from.rest())))
    }
}
