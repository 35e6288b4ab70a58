//! What is a relation, and what is found of it.

use ruma::{api::Direction, owned_event_id};
use serde_json::json;

use super::*;
use crate::{
    Reader,
    fixture::{Fixture, alice, bob},
};

fn relating(rel_type: &str, event_id: &EventId) -> serde_json::Value {
    json!({
        "msgtype": "m.text",
        "body": "x",
        "m.new_content": {},
        "m.relates_to": { "rel_type": rel_type, "event_id": event_id },
    })
}

#[test]
fn only_what_follows_the_schema_relates() {
    let relation = |rel_type: &str, key: Option<&str>| {
        Some(Relation {
            rel_type: rel_type.to_owned(),
            event_id: owned_event_id!("$parent"),
            key: key.map(str::to_owned),
        })
    };
    let rows = [
        ("{}", None),
        (r#"{"m.relates_to":null}"#, None),
        (r#"{"m.relates_to":[]}"#, None),
        (r#"{"m.relates_to":{"event_id":"$parent"}}"#, None),
        (r#"{"m.relates_to":{"rel_type":"m.thread"}}"#, None),
        (
            r#"{"m.relates_to":{"rel_type":7,"event_id":"$parent"}}"#,
            None,
        ),
        (
            r#"{"m.relates_to":{"rel_type":"x","event_id":"parent"}}"#,
            None,
        ),
        (
            r#"{"m.relates_to":{"rel_type":"x","event_id":"$parent"}}"#,
            relation("x", None),
        ),
        (
            r#"{"m.relates_to":{"rel_type":"x","event_id":"$parent","key":"k\n"}}"#,
            relation("x", Some("k\n")),
        ),
        (
            r#"{"m.relates_to":{"rel_type":"x","event_id":"$parent","key":7}}"#,
            relation("x", None),
        ),
    ];
    for (content, expected) in rows {
        assert_eq!(Relation::of_content(content), expected, "{content}");
    }
}

#[tokio::test]
async fn an_event_to_which_nothing_relates_is_told_without_reading_more() {
    let fixture = Fixture::new().await;
    let event = fixture.say(alice(), "alone").await;
    let event = fixture.event(&event).await;
    let ignored = HashSet::new();
    let reader = Reader {
        user_id: bob(),
        visibility: None,
        ignored: &ignored,
        upto: Pos::MAX,
    };
    let events = [Arc::clone(&event)];
    let bundles = fixture.rooms.bundles(&reader, &events).await.unwrap();
    assert!(bundles.of(&event).is_none());
    // Annotations are not told, so they leave no mark.
    let annotation = relating("m.annotation", &event.event_id);
    fixture.send(alice(), "m.reaction", annotation).await;
    let store = fixture.rooms.store();
    let mark = store.get::<Parents>(&(event.room, event.pos)).await;
    assert_eq!(mark.unwrap(), None);
}

#[tokio::test]
async fn what_is_told_ends_where_the_reader_is() {
    let fixture = Fixture::new().await;
    let root = fixture.say(alice(), "root").await;
    let first = fixture
        .send(alice(), "m.room.message", relating("m.thread", &root))
        .await;
    let upto = fixture.event(&first).await.pos;
    fixture
        .send(alice(), "m.room.message", relating("m.replace", &root))
        .await;
    fixture
        .send(alice(), "m.room.message", relating("m.thread", &root))
        .await;
    let root = fixture.event(&root).await;
    let ignored = HashSet::new();
    let mut reader = Reader {
        user_id: bob(),
        visibility: None,
        ignored: &ignored,
        upto,
    };
    let told = |bundles: &crate::Bundles| {
        let mut json = Vec::new();
        let view = crate::ClientView {
            bundles: Some(bundles),
            ..crate::ClientView::default()
        };
        root.write_client(&mut json, &view);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        json["unsigned"]["m.relations"].clone()
    };
    let events = [Arc::clone(&root)];
    let bundles = fixture.rooms.bundles(&reader, &events).await.unwrap();
    let relations = told(&bundles);
    assert_eq!(relations["m.thread"]["count"], 1);
    assert_eq!(
        relations["m.thread"]["latest_event"]["event_id"],
        first.as_str()
    );
    assert!(relations["m.replace"].is_null());
    reader.upto = Pos::MAX;
    let bundles = fixture.rooms.bundles(&reader, &events).await.unwrap();
    let relations = told(&bundles);
    assert_eq!(relations["m.thread"]["count"], 2);
    assert!(relations["m.replace"].is_object());
}

#[tokio::test]
async fn a_page_passes_by_what_is_not_wanted() {
    let fixture = Fixture::new().await;
    let parent = fixture.say(alice(), "parent").await;
    let first = fixture
        .send(alice(), "wanted", relating("custom", &parent))
        .await;
    for _ in 0..CHUNK {
        fixture
            .send(alice(), "other", relating("custom", &parent))
            .await;
    }
    let last = fixture
        .send(alice(), "wanted", relating("custom", &parent))
        .await;
    let parent = fixture.event(&parent).await;
    let visibility = fixture.view(alice()).await.visibility;
    for direction in [Direction::Backward, Direction::Forward] {
        let query = RelationQuery {
            rel_type: Some("custom"),
            event_type: Some("wanted"),
            recurse: false,
            from: None,
            to: None,
            direction,
            limit: 10,
        };
        let page = fixture.rooms.relations(&parent, &visibility, &query).await;
        let page = page.unwrap();
        let mut expected = vec![&first, &last];
        if direction == Direction::Backward {
            expected.reverse();
        }
        let found: Vec<_> = page.events.iter().map(|event| &event.event_id).collect();
        assert_eq!(found, expected);
        assert_eq!(page.end, None);
    }
}

#[tokio::test]
async fn a_relation_waits_for_an_event_that_is_not_known() {
    let fixture = Fixture::new().await;
    let unknown = owned_event_id!("$unknown");
    let child = fixture
        .send(alice(), "x", relating("m.reference", &unknown))
        .await;
    let child = fixture.event(&child).await;
    let range = (Pos::ZERO, Pos::MAX);
    let rows = fixture
        .rooms
        .related((fixture.nid, &unknown), Kind::Reference, range, (false, 10))
        .await;
    let rows = rows.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].1.rsn, child.rsn);
}
