use ruma::RoomVersionId;

use super::Rules;
use crate::fixture::{VERSIONS, rules};

#[test]
fn versions_1_to_12_are_known() {
    assert_eq!(
        Rules::VERSIONS.map(|version| version.to_string()).to_vec(),
        VERSIONS.map(|n| n.to_string()).collect::<Vec<_>>()
    );
    for version in &Rules::VERSIONS {
        assert_eq!(Rules::of(version).unwrap().version(), version);
    }
    for unknown in ["0", "13", "org.example.version"] {
        assert!(
            Rules::of(&RoomVersionId::try_from(unknown).unwrap()).is_none(),
            "{unknown}"
        );
    }
}

#[test]
fn features_come_with_their_version() {
    /// The feature, how to ask for it, and the first version that has it.
    type Row = (&'static str, fn(&Rules) -> bool, usize);
    let rows: [Row; 9] = [
        ("event id is a hash", Rules::event_id_is_hash, 3),
        ("knocking", Rules::knocking, 7),
        ("restricted", Rules::restricted, 8),
        ("knock_restricted", Rules::knock_restricted, 10),
        ("integer power levels", Rules::integer_power_levels, 10),
        ("redacts in the content", Rules::redacts_in_content, 11),
        (
            "no creator in the content",
            |rules| !rules.creator_in_content(),
            11,
        ),
        ("privileged creators", Rules::privileged_creators, 12),
        (
            "room id from the create event",
            Rules::room_id_from_create,
            12,
        ),
    ];
    for (feature, has, first) in rows {
        for version in VERSIONS {
            assert_eq!(
                has(&rules(version)),
                version >= first,
                "{feature} in version {version}"
            );
        }
    }
}
