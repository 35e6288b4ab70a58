//! What a room version prescribes: one value that every other rule of this crate is asked through.
//!
//! [spec](https://spec.matrix.org/v1.19/rooms/#feature-matrix)

use ruma::{
    RoomVersionId,
    room_version_rules::{EventIdFormatVersion, EventsReferenceFormatVersion, RoomVersionRules},
};

/// The rules of one room version.
#[derive(Clone, Debug)]
pub struct Rules {
    version: RoomVersionId,
    pub(crate) ruma: RoomVersionRules,
}

impl Rules {
    /// The versions that [`Rules::of`] knows, oldest first.
    pub const VERSIONS: [RoomVersionId; 12] = [
        RoomVersionId::V1,
        RoomVersionId::V2,
        RoomVersionId::V3,
        RoomVersionId::V4,
        RoomVersionId::V5,
        RoomVersionId::V6,
        RoomVersionId::V7,
        RoomVersionId::V8,
        RoomVersionId::V9,
        RoomVersionId::V10,
        RoomVersionId::V11,
        RoomVersionId::V12,
    ];

    /// The rules of a room version, or `None` if we do not know it (`M_UNSUPPORTED_ROOM_VERSION`).
    pub fn of(version: &RoomVersionId) -> Option<Self> {
        if !Self::VERSIONS.contains(version) {
            return None;
        }
        Some(Self {
            version: version.clone(),
            ruma: version.rules()?,
        })
    }

    /// The room version itself.
    pub fn version(&self) -> &RoomVersionId {
        &self.version
    }

    /// The same rules as ruma's functions take them.
    pub fn as_ruma(&self) -> &RoomVersionRules {
        &self.ruma
    }

    /// The event id is the event's reference hash (version 3 on), not a random word (1 and 2).
    pub fn event_id_is_hash(&self) -> bool {
        self.ruma.event_id_format != EventIdFormatVersion::V1
    }

    /// `prev_events` and `auth_events` carry a hash beside each event id (versions 1 and 2).
    pub(crate) fn references_carry_hashes(&self) -> bool {
        self.ruma.events_reference_format == EventsReferenceFormatVersion::V1
    }

    /// The room id is the hash of the create event, which has no `room_id` itself (version 12 on).
    pub fn room_id_from_create(&self) -> bool {
        self.ruma.authorization.room_create_event_id_as_room_id
    }

    /// The content of `m.room.create` names the `creator` (versions 1 to 10).
    pub fn creator_in_content(&self) -> bool {
        !self.ruma.authorization.use_room_create_sender
    }

    /// Creators have infinite power and may not stand in `m.room.power_levels` (version 12 on).
    pub fn privileged_creators(&self) -> bool {
        self.ruma.authorization.explicitly_privilege_room_creators
    }

    /// `m.room.redaction` names its target in the content (version 11 on), not at the top level.
    pub fn redacts_in_content(&self) -> bool {
        self.ruma.redaction.content_field_redacts
    }

    /// Knows the membership and the join rule `knock` (version 7 on).
    pub fn knocking(&self) -> bool {
        self.ruma.authorization.knocking
    }

    /// Knows the join rule `restricted` (version 8 on).
    pub fn restricted(&self) -> bool {
        self.ruma.authorization.restricted_join_rule
    }

    /// Knows the join rule `knock_restricted` (version 10 on).
    pub fn knock_restricted(&self) -> bool {
        self.ruma.authorization.knock_restricted_join_rule
    }

    /// Power levels have to be integers (version 10 on); earlier ones may be integers in strings.
    pub fn integer_power_levels(&self) -> bool {
        self.ruma.authorization.integer_power_levels
    }
}

#[cfg(test)]
mod tests;
