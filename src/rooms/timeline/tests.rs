//! Paging: everything once, in order, whatever the pages' sizes; only what the reader may see; bounded.

use std::sync::Arc;

use ruma::{
    OwnedEventId,
    api::{Direction, client::filter::RoomEventFilter},
    user_id,
};
use serde_json::{Value, json};
use store::Pos;

use super::{MAX_PAGE_EVENTS, MAX_SCANNED, Page, Paging};
use crate::{
    Event, EventFilter, RoomError, RoomView,
    fixture::{Fixture, alice, bob},
};

fn filter(json: Value) -> EventFilter {
    serde_json::from_value::<RoomEventFilter>(json)
        .unwrap()
        .into()
}

fn ids(events: &[Arc<Event>]) -> Vec<OwnedEventId> {
    events.iter().map(|event| event.event_id.clone()).collect()
}

async fn page(
    fixture: &Fixture,
    view: &RoomView,
    from: Option<Pos>,
    direction: Direction,
    limit: usize,
    filter: &EventFilter,
) -> Page {
    let paging = Paging {
        from,
        to: None,
        direction,
        limit,
        filter,
    };
    fixture.rooms.page(view, &paging).await.unwrap()
}

/// Every event, page by page, and how many pages it took.
async fn walk(
    fixture: &Fixture,
    view: &RoomView,
    direction: Direction,
    limit: usize,
    filter: &EventFilter,
) -> (Vec<OwnedEventId>, usize) {
    let (mut events, mut pages, mut from) = (Vec::new(), 0, None);
    loop {
        let page = page(fixture, view, from, direction, limit, filter).await;
        pages += 1;
        assert!(page.events.len() <= limit);
        if let Some(from) = from {
            assert_eq!(page.start, from);
        }
        events.extend(ids(&page.events));
        if !page.more {
            return (events, pages);
        }
        assert_ne!(Some(page.end), from, "a page that leads nowhere");
        from = Some(page.end);
    }
}

#[tokio::test]
async fn paging_both_ways_gives_each_event_once_and_in_order() {
    let fixture = Fixture::new().await;
    for number in 0..500 {
        fixture.say(alice(), &number.to_string()).await;
    }
    let mut all = ids(&fixture.all().await);
    assert!(all.len() > 500);
    let view = fixture.view(alice()).await;
    let everything = EventFilter::default();
    for limit in [1, 7, 100, 499, 1000] {
        let (forward, pages) = walk(&fixture, &view, Direction::Forward, limit, &everything).await;
        assert_eq!(forward, all, "{limit}");
        assert_eq!(pages, all.len().div_ceil(limit), "{limit}");
    }
    all.reverse();
    for limit in [1, 7, 100, 499, 1000] {
        let (backward, pages) =
            walk(&fixture, &view, Direction::Backward, limit, &everything).await;
        assert_eq!(backward, all, "{limit}");
        assert_eq!(pages, all.len().div_ceil(limit), "{limit}");
    }
}

#[tokio::test]
async fn a_page_can_be_read_back_from_its_end() {
    let fixture = Fixture::new().await;
    for number in 0..20 {
        fixture.say(alice(), &number.to_string()).await;
    }
    let view = fixture.view(alice()).await;
    let everything = EventFilter::default();
    let back = page(&fixture, &view, None, Direction::Backward, 8, &everything).await;
    let forth = page(
        &fixture,
        &view,
        Some(back.end),
        Direction::Forward,
        8,
        &everything,
    )
    .await;
    let mut events = ids(&forth.events);
    events.reverse();
    assert_eq!(events, ids(&back.events));
    assert_eq!(forth.end, back.events[0].pos);
}

#[tokio::test]
async fn a_page_stops_at_the_other_token() {
    let fixture = Fixture::new().await;
    let mut said = Vec::new();
    for number in 0..10 {
        said.push(fixture.say(alice(), &number.to_string()).await);
    }
    let third = fixture.event(&said[3]).await.pos;
    let view = fixture.view(alice()).await;
    let everything = EventFilter::default();
    let mut paging = Paging {
        from: None,
        to: Some(third),
        direction: Direction::Backward,
        limit: 100,
        filter: &everything,
    };
    let page = fixture.rooms.page(&view, &paging).await.unwrap();
    assert_eq!(
        ids(&page.events),
        said[4..].iter().rev().cloned().collect::<Vec<_>>()
    );
    assert!(!page.more);

    paging.direction = Direction::Forward;
    let page = fixture.rooms.page(&view, &paging).await.unwrap();
    assert_eq!(page.events.last().unwrap().event_id, said[3]);
    // The wrong way round there is nothing.
    paging.from = Some(third.next());
    assert!(
        fixture
            .rooms
            .page(&view, &paging)
            .await
            .unwrap()
            .events
            .is_empty()
    );
}

#[tokio::test]
async fn those_who_left_page_through_what_they_saw() {
    let fixture = Fixture::new().await;
    fixture.history_visibility("joined").await;
    fixture.say(alice(), "before").await;
    fixture.join(bob()).await;
    let during = fixture.say(alice(), "during").await;
    fixture.leave(bob()).await;
    for _ in 0..30 {
        fixture.say(alice(), "after").await;
    }
    let view = fixture.view(bob()).await;
    let everything = EventFilter::default();
    let newest = page(&fixture, &view, None, Direction::Backward, 2, &everything).await;
    assert!(newest.events[0].is_state_of("m.room.member", bob().as_str()));
    assert_eq!(newest.events[1].event_id, during);
    let (backward, _) = walk(&fixture, &view, Direction::Backward, 3, &everything).await;
    let (mut forward, _) = walk(&fixture, &view, Direction::Forward, 3, &everything).await;
    forward.reverse();
    assert_eq!(backward, forward);
    for event in fixture.all().await {
        assert_eq!(
            backward.contains(&event.event_id),
            view.visibility.may_see(event.pos),
            "{}",
            event.content()
        );
    }
}

#[tokio::test]
async fn filters_take_what_they_say() {
    let fixture = Fixture::new().await;
    fixture.join(bob()).await;
    let text = fixture.say(alice(), "hello").await;
    let image = fixture
        .send(
            bob(),
            "m.room.message",
            json!({ "msgtype": "m.image", "body": "i", "url": "mxc://localhost/a" }),
        )
        .await;
    let sticker = fixture
        .send(
            bob(),
            "m.sticker",
            json!({ "body": "s", "url": "mxc://localhost/b" }),
        )
        .await;
    let custom = fixture.send(alice(), "org.example.custom", json!({})).await;
    let rows = [
        (json!({ "types": ["m.room.message"] }), vec![&text, &image]),
        (
            json!({ "types": ["m.room.message", "m.st*"] }),
            vec![&text, &image, &sticker],
        ),
        (json!({ "types": [] }), vec![]),
        (
            json!({ "types": ["*"], "not_types": ["m.room.*"] }),
            vec![&sticker, &custom],
        ),
        (
            json!({ "types": ["m.room.message"], "not_types": ["m.room.message"] }),
            vec![],
        ),
        (
            json!({ "senders": ["@bob:localhost"], "not_types": ["m.room.member"] }),
            vec![&image, &sticker],
        ),
        (
            json!({ "not_senders": ["@bob:localhost"], "types": ["m.room.message"] }),
            vec![&text],
        ),
        (
            json!({ "senders": ["@bob:localhost"], "not_senders": ["@bob:localhost"] }),
            vec![],
        ),
        (json!({ "contains_url": true }), vec![&image, &sticker]),
        (
            json!({ "contains_url": false, "types": ["m.room.message"] }),
            vec![&text],
        ),
        (
            json!({ "rooms": [fixture.room], "types": ["m.sticker"] }),
            vec![&sticker],
        ),
        (json!({ "rooms": ["!other:localhost"] }), vec![]),
        (json!({ "not_rooms": [fixture.room] }), vec![]),
    ];
    let view = fixture.view(alice()).await;
    for (json, expected) in rows {
        let (events, _) = walk(
            &fixture,
            &view,
            Direction::Forward,
            3,
            &filter(json.clone()),
        )
        .await;
        assert_eq!(events.iter().collect::<Vec<_>>(), expected, "{json}");
    }
}

#[tokio::test]
async fn a_page_is_bounded_whatever_the_client_asks_for() {
    let fixture = Fixture::new().await;
    for number in 0..650 {
        fixture.say(alice(), &number.to_string()).await;
    }
    let view = fixture.view(alice()).await;
    let limit = usize::MAX;
    let all = page(
        &fixture,
        &view,
        None,
        Direction::Backward,
        limit,
        &EventFilter::default(),
    )
    .await;
    assert!(all.events.len() == MAX_SCANNED.min(MAX_PAGE_EVENTS) && all.more);
    // A filter that passes few ends the page early, and the next one goes on.
    let rare = filter(json!({ "types": ["m.room.create"] }));
    let first = page(&fixture, &view, None, Direction::Backward, limit, &rare).await;
    assert!(first.events.is_empty() && first.more);
    let (found, pages) = walk(&fixture, &view, Direction::Backward, limit, &rare).await;
    assert_eq!((found.len(), pages > 1), (1, true));
    let none = page(
        &fixture,
        &view,
        None,
        Direction::Backward,
        0,
        &EventFilter::default(),
    )
    .await;
    assert!(none.events.is_empty());
}

#[tokio::test]
async fn members_of_events_are_those_who_sent_them() {
    let fixture = Fixture::new().await;
    fixture.join(bob()).await;
    fixture.join(user_id!("@carol:localhost")).await;
    let hello = fixture.say(bob(), "hello").await;
    let hello = fixture.event(&hello).await;
    fixture.leave(bob()).await;
    let events = [Arc::clone(&hello), hello.clone()];
    let members = fixture
        .rooms
        .members_of_events(fixture.nid, &events, hello.pos)
        .await
        .unwrap();
    assert_eq!(members.len(), 1);
    assert!(members[0].is_state_of("m.room.member", bob().as_str()));
    assert!(members[0].content().contains("join"));
}

#[tokio::test]
async fn the_state_can_be_had_without_members() {
    let fixture = Fixture::new().await;
    fixture.join(bob()).await;
    let at = fixture.rooms.store().visible();
    let whole = fixture.rooms.state_events(fixture.nid, at).await.unwrap();
    let without = fixture
        .rooms
        .state_events_but_members(fixture.nid, at)
        .await
        .unwrap();
    assert_eq!(whole.len(), without.len() + 2);
    assert!(without.iter().all(|event| event.member().is_none()));
}

#[tokio::test]
async fn the_event_nearest_to_a_time_is_found() {
    let fixture = Fixture::new().await;
    let mut said = Vec::new();
    for _ in 0..20 {
        fixture.clock.advance(1000);
        said.push(fixture.say(alice(), "tick").await);
    }
    let view = fixture.view(alice()).await;
    let start = fixture.event(&said[0]).await.origin_server_ts;
    for (ts, direction, expected) in [
        (
            0,
            Direction::Forward,
            Some(&fixture.all().await[0].event_id),
        ),
        (0, Direction::Backward, None),
        (start, Direction::Forward, Some(&said[0])),
        (start, Direction::Backward, Some(&said[0])),
        (start + 1, Direction::Forward, Some(&said[1])),
        (start + 1, Direction::Backward, Some(&said[0])),
        (start + 7_500, Direction::Forward, Some(&said[8])),
        (start + 7_500, Direction::Backward, Some(&said[7])),
        (start + 19_000, Direction::Forward, Some(&said[19])),
        (start + 19_001, Direction::Forward, None),
        (u64::MAX, Direction::Backward, Some(&said[19])),
    ] {
        match (
            fixture.rooms.event_by_time(&view, ts, direction).await,
            expected,
        ) {
            (Ok(event), Some(expected)) => {
                assert_eq!(event.event_id, *expected, "{ts} {direction:?}");
            }
            (Err(RoomError::NotFound(_)), None) => {}
            (found, expected) => panic!("{ts} {direction:?}: {found:?} for {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_closed_room_looks_like_none() {
    let fixture = Fixture::new().await;
    let said = fixture.say(alice(), "hello").await;
    let unknown = ruma::room_id!("!unknown:localhost");
    for room in [&*fixture.room, unknown] {
        assert!(matches!(
            fixture.rooms.view(room, bob()).await,
            Err(RoomError::NotJoined)
        ));
        let event = fixture.rooms.visible_event(room, &said, bob()).await;
        assert!(matches!(event, Err(RoomError::NotFound(_))));
    }
    // Not in another room either.
    let event = fixture.rooms.visible_event(unknown, &said, alice()).await;
    assert!(matches!(event, Err(RoomError::NotFound(_))));
    fixture
        .rooms
        .visible_event(&fixture.room, &said, alice())
        .await
        .unwrap();
}
