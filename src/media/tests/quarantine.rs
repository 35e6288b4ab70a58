//! Files that are kept and given to nobody.

use super::*;
use crate::DeleteError;

static NINES: [u8; 900] = [9; 900];

async fn is_served(fixture: &Fixture, media_id: &str) -> bool {
    match fixture.find(media_id).await {
        Ok(_) => true,
        Err(FindError::NotFound) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_same_bytes_are_in_quarantine_under_every_name_before_and_after() {
    let fixture = fixture(|_| {});
    let first = fixture.upload(&NINES).await;
    let second = fixture.upload(&NINES).await;
    let other = fixture.upload(b"another").await;
    assert!(fixture.media.quarantine(&first, "@admin:x").await.unwrap());
    assert!(!fixture.media.quarantine(&second, "@root:x").await.unwrap());
    let later = fixture.upload(&NINES).await;
    for media_id in [&first, &second, &later] {
        assert!(!is_served(&fixture, media_id).await);
        let info = fixture.media.info(media_id).await.unwrap().unwrap();
        assert_eq!(info.quarantine.unwrap().by, "@admin:x");
    }
    assert!(is_served(&fixture, &other).await);
    fixture.media.release(&later).await.unwrap();
    for media_id in [&first, &second, &later] {
        assert!(is_served(&fixture, media_id).await);
    }
}

#[tokio::test]
async fn a_file_in_quarantine_does_not_come_back_by_being_deleted() {
    let fixture = fixture(|_| {});
    let media_id = fixture.upload(&NINES).await;
    fixture.media.quarantine(&media_id, "x").await.unwrap();
    fixture.media.delete(&media_id).await.unwrap();
    assert!(fixture.files().is_empty());
    let media_id = fixture.upload(&NINES).await;
    assert!(!is_served(&fixture, &media_id).await);
}

#[tokio::test]
async fn thumbnails_of_a_file_in_quarantine_are_kept_and_not_found() {
    let fixture = fixture(|_| {});
    let media_id = fixture.upload(&png(400, 200)).await;
    thumbnail(&fixture, &media_id, scale(96, 96)).await.unwrap();
    fixture.media.quarantine(&media_id, "x").await.unwrap();
    assert!(!is_served(&fixture, &media_id).await);
    assert_eq!(fixture.files().len(), 2);
}

#[tokio::test]
async fn what_was_protected_before_stays_and_what_is_protected_later_does_not_come_back() {
    let fixture = fixture(|_| {});
    let (before, later) = (fixture.upload(&NINES).await, fixture.upload(&NINES).await);
    fixture.media.protect(&before, true).await.unwrap();
    assert!(!fixture.media.quarantine(&before, "x").await.unwrap());
    assert!(fixture.media.quarantine(&later, "x").await.unwrap());
    // In the same millisecond, even.
    fixture.media.protect(&later, true).await.unwrap();
    assert!(is_served(&fixture, &before).await);
    assert!(!is_served(&fixture, &later).await);
    fixture.media.protect(&before, false).await.unwrap();
    assert!(!is_served(&fixture, &before).await);
}

#[tokio::test]
async fn ids_without_content_are_unknown() {
    let fixture = fixture(|_| {});
    let announced = fixture.media.create(ALICE).await.unwrap().media_id;
    for media_id in ["nothing", &announced] {
        let done = fixture.media.quarantine(media_id, "x").await;
        assert!(matches!(done, Err(DeleteError::NotFound)));
        let done = fixture.media.release(media_id).await;
        assert!(matches!(done, Err(DeleteError::NotFound)));
        let done = fixture.media.protect(media_id, true).await;
        assert!(matches!(done, Err(DeleteError::NotFound)));
        assert_eq!(fixture.media.info(media_id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn all_uploads_are_walked_and_who_has_how_much() {
    let fixture = fixture(|_| {});
    let mut ids = Vec::new();
    for size in [1, 20, 300] {
        ids.push(fixture.upload(&vec![1; size]).await);
    }
    fixture.media.create(ALICE).await.unwrap();
    let found = fixture.media.uploads(|file| file.size > 10).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|file| file.media_id).collect();
    found.sort();
    let mut expected = ids[1..].to_vec();
    expected.sort();
    assert_eq!(found, expected);
    let usage = fixture.media.usage_by_user().await.unwrap();
    assert_eq!(usage, [(ALICE, 3, 321)]);
}
