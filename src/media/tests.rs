use std::{collections::BTreeSet, convert::Infallible, fs, path::Path, time::Duration};

use config::Config;
use futures_util::{TryStreamExt, stream};
use host::{Host, ManualClock, Shutdown, ShutdownTrigger};
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use outbound::Outbound;
use store::{Store, UserNid};
use tempfile::TempDir;

use crate::{
    About, Bytes, FindError, Media, Method, PreviewError, Stored, ThumbnailError, ThumbnailSize,
    UploadError,
};

mod deletion;
mod quarantine;

const ALICE: UserNid = UserNid(1);
const BOB: UserNid = UserNid(2);
const NOW_MS: u64 = 1_000_000;

struct Fixture {
    media: Media,
    clock: ManualClock,
    shutdown: ShutdownTrigger,
    store: Store,
    host: Host,
    config: Config,
    directory: TempDir,
}

fn fixture(change: impl FnOnce(&mut Config)) -> Fixture {
    let mut config = Config::default();
    config.media.max_upload_bytes = 1 << 20;
    change(&mut config);
    let clock = ManualClock::new(NOW_MS);
    let host = Host::manual(&clock, 1);
    let store = Store::open_memory(host.clone());
    let directory = TempDir::new().unwrap();
    let (shutdown, waiting) = Shutdown::new();
    let media = Media::open(
        directory.path(),
        &config,
        store.clone(),
        host.clone(),
        Outbound::new(&config),
        waiting,
    )
    .unwrap();
    Fixture {
        media,
        clock,
        shutdown,
        store,
        host,
        config,
        directory,
    }
}

fn body(chunks: &[&[u8]]) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + use<> {
    let chunks: Vec<_> = chunks
        .iter()
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    stream::iter(chunks)
}

/// Every file below `directory`, thumbnails included.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string());
        }
    }
    found
}

impl Fixture {
    async fn upload(&self, bytes: &[u8]) -> String {
        let uploaded = self.media.upload(ALICE, About::default(), body(&[bytes]));
        uploaded.await.unwrap()
    }

    async fn find(&self, media_id: &str) -> Result<Stored, FindError> {
        self.find_within(media_id, Duration::ZERO).await
    }

    async fn find_within(&self, media_id: &str, wait: Duration) -> Result<Stored, FindError> {
        let server = self.config.server_name.clone();
        self.media.find(&server, media_id, wait).await
    }

    async fn bytes(&self, stored: &Stored) -> Vec<u8> {
        let content = self.media.read(stored, 0..stored.size).await.unwrap();
        let chunks: Vec<Bytes> = content.try_collect().await.unwrap();
        chunks.concat()
    }

    fn files(&self) -> BTreeSet<String> {
        files(self.directory.path())
    }
}

#[tokio::test]
async fn what_is_uploaded_comes_back() {
    let fixture = fixture(|_| {});
    // Below one part, exactly one and several, in odd pieces.
    for size in [0, 1, 1_000, 128 << 10, (128 << 10) + 1, 700_000] {
        let bytes: Vec<u8> = (0_u8..=250).cycle().take(size).collect();
        let pieces: Vec<&[u8]> = bytes.chunks(7_777).collect();
        let about = About {
            content_type: Some("text/plain; charset=utf-8".to_owned()),
            file_name: Some("ü.txt".to_owned()),
            length: None,
        };
        let media_id = fixture
            .media
            .upload(ALICE, about, body(&pieces))
            .await
            .unwrap();
        let stored = fixture.find(&media_id).await.unwrap();
        assert_eq!(stored.size, size as u64);
        assert_eq!(
            stored.content_type.as_deref(),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(stored.file_name.as_deref(), Some("ü.txt"));
        assert!(!stored.open);
        assert_eq!(fixture.bytes(&stored).await, bytes, "{size}");
    }
    assert_eq!(fixture.files().len(), 6);
}

#[tokio::test]
async fn the_same_bytes_are_kept_once() {
    let fixture = fixture(|_| {});
    let bytes = vec![7; 300_000];
    let first = fixture.upload(&bytes).await;
    let second = fixture.upload(&bytes).await;
    assert_ne!(first, second);
    assert_eq!(fixture.files().len(), 1);
    let hash = |stored: Stored| stored.sha256;
    assert_eq!(
        hash(fixture.find(&first).await.unwrap()),
        hash(fixture.find(&second).await.unwrap())
    );
}

#[tokio::test]
async fn a_part_of_a_file_is_read() {
    let fixture = fixture(|_| {});
    let bytes: Vec<u8> = (0_u8..=250).cycle().take(200_000).collect();
    let stored = fixture.find(&fixture.upload(&bytes).await).await.unwrap();
    for range in [0..1, 65_535..65_537, 100..199_999, 199_999..200_000, 5..5] {
        let content = fixture.media.read(&stored, range.clone()).await.unwrap();
        let chunks: Vec<Bytes> = content.try_collect().await.unwrap();
        let (from, to) = (
            usize::try_from(range.start).unwrap(),
            usize::try_from(range.end).unwrap(),
        );
        assert_eq!(chunks.concat(), bytes[from..to], "{range:?}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_early_and_late() {
    let fixture = fixture(|config| config.media.max_upload_bytes = 200_000);
    let about = About {
        length: Some(200_001),
        ..About::default()
    };
    let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[0; 1_000])));
    let refused = fixture.media.upload(ALICE, about, endless.clone()).await;
    assert!(matches!(
        refused,
        Err(UploadError::TooLarge { limit: 200_000 })
    ));
    let refused = fixture.media.upload(ALICE, About::default(), endless).await;
    assert!(matches!(
        refused,
        Err(UploadError::TooLarge { limit: 200_000 })
    ));
    assert_eq!(fixture.files(), BTreeSet::new());
    fixture.upload(&vec![0; 200_000]).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let fixture = fixture(|_| {});
    let broken = stream::iter([Ok(Bytes::from(vec![0; 500_000])), Err("gone")]);
    let refused = fixture.media.upload(ALICE, About::default(), broken).await;
    assert!(matches!(refused, Err(UploadError::Aborted)));
    assert_eq!(fixture.files(), BTreeSet::new());
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_pauses_is_given_up() {
    let fixture = fixture(|_| {});
    let pausing = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![0; 500_000]))]);
    let pausing = futures_util::StreamExt::chain(pausing, stream::pending());
    let refused = fixture.media.upload(ALICE, About::default(), pausing).await;
    assert!(matches!(refused, Err(UploadError::Timeout)));
    assert_eq!(fixture.files(), BTreeSet::new());
}

#[tokio::test]
async fn what_a_crash_leaves_is_cleared_away() {
    let fixture = fixture(|_| {});
    let media_id = fixture.upload(&[1, 2, 3]).await;
    let incoming = fixture.directory.path().join("incoming");
    fs::create_dir_all(&incoming).unwrap();
    fs::write(incoming.join("abc#1"), "half").unwrap();
    fs::write(incoming.join("def"), "whole, but not renamed").unwrap();
    let media = Media::open(
        fixture.directory.path(),
        &fixture.config,
        fixture.store.clone(),
        fixture.host.clone(),
        Outbound::new(&fixture.config),
        Shutdown::never(),
    )
    .unwrap();
    assert_eq!(fixture.files().len(), 1);
    let found = media.find(&fixture.config.server_name, &media_id, Duration::ZERO);
    assert_eq!(fixture.bytes(&found.await.unwrap()).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_user_has_a_quota() {
    let fixture = fixture(|config| {
        config.media.user_quota_bytes = 500_000;
        config.media.user_quota_files = 3;
    });
    fixture.upload(&vec![1; 300_000]).await;
    // Announced as too large, and found out on the way.
    for length in [Some(300_000), None] {
        let about = About {
            length,
            ..About::default()
        };
        let refused = fixture
            .media
            .upload(ALICE, about, body(&[&vec![2; 300_000]]))
            .await;
        assert!(matches!(refused, Err(UploadError::Quota)), "{refused:?}");
    }
    fixture
        .media
        .upload(BOB, About::default(), body(&[&vec![2; 300_000]]))
        .await
        .unwrap();
    fixture.upload(&[3]).await;
    fixture.upload(&[4]).await;
    let refused = fixture
        .media
        .upload(ALICE, About::default(), body(&[&[5]]))
        .await;
    assert!(matches!(refused, Err(UploadError::Quota)));
    let refused = fixture.media.create(ALICE).await;
    assert!(matches!(refused, Err(UploadError::Quota)));
}

#[tokio::test]
async fn uploads_at_the_same_time_do_not_exceed_the_quota() {
    let fixture = fixture(|config| config.media.user_quota_bytes = 250_000);
    let uploads = (0_u8..8).map(|n| {
        let bytes = vec![n; 100_000];
        fixture
            .media
            .upload(ALICE, About::default(), body(&[&bytes]))
    });
    let results = futures_util::future::join_all(uploads).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
}

#[tokio::test]
async fn content_types_and_names_are_cleaned() {
    let fixture = fixture(|_| {});
    for (given, kept) in [
        ("image/png", Some("image/png")),
        (
            "application/vnd.x+json; a=b",
            Some("application/vnd.x+json; a=b"),
        ),
        ("image", None),
        ("/", None),
        ("text/html\u{e9}", None),
        ("a b/c", None),
        ("", None),
    ] {
        let about = About {
            content_type: Some(given.to_owned()),
            file_name: Some(String::new()),
            length: None,
        };
        let media_id = fixture
            .media
            .upload(ALICE, about, body(&[b"x"]))
            .await
            .unwrap();
        let stored = fixture.find(&media_id).await.unwrap();
        assert_eq!(stored.content_type.as_deref(), kept, "{given:?}");
        assert_eq!(stored.file_name, None);
    }
    let about = About {
        file_name: Some("x".repeat(1_025)),
        ..About::default()
    };
    let refused = fixture.media.upload(ALICE, about, body(&[b"x"])).await;
    assert!(matches!(
        refused,
        Err(UploadError::FileName { limit: 1_024 })
    ));
}

#[tokio::test]
async fn only_own_ids_are_found() {
    let fixture = fixture(|_| {});
    let media_id = fixture.upload(b"x").await;
    for media_id in ["", "unknown", "../x", "a/b", "a%2Fb", "ü", &"x".repeat(256)] {
        let found = fixture.find(media_id).await;
        assert!(matches!(found, Err(FindError::NotFound)), "{media_id}");
    }
    let elsewhere = ruma::owned_server_name!("elsewhere.example");
    let found = fixture
        .media
        .find(&elsewhere, &media_id, Duration::ZERO)
        .await;
    assert!(matches!(found, Err(FindError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_limit() {
    let fixture = fixture(|config| config.media.max_wait_ms = 10_000);
    let announced = fixture.media.create(ALICE).await.unwrap();
    let id = announced.media_id.as_str();
    let started = tokio::time::Instant::now();
    for wait in [
        Duration::ZERO,
        Duration::from_secs(5),
        Duration::from_hours(100),
    ] {
        let found = fixture.find_within(id, wait).await;
        assert!(matches!(found, Err(FindError::NotYetUploaded)));
    }
    assert_eq!(started.elapsed().as_secs(), 15);
}

#[tokio::test]
async fn announced_content_is_waited_for() {
    let fixture = fixture(|_| {});
    let announced = fixture.media.create(ALICE).await.unwrap();
    let id = announced.media_id.as_str();
    assert_eq!(announced.expires_ms, NOW_MS + 24 * 3_600_000);
    let upload = async {
        tokio::task::yield_now().await;
        let upload = fixture
            .media
            .upload_to(ALICE, id, About::default(), body(&[b"late"]));
        upload.await.unwrap();
    };
    let (first, second, ()) = tokio::join!(
        fixture.find_within(id, Duration::from_secs(20)),
        fixture.find_within(id, Duration::from_secs(20)),
        upload,
    );
    assert_eq!(fixture.bytes(&first.unwrap()).await, b"late");
    assert_eq!(second.unwrap().size, 4);
    assert!(fixture.media.0.waiting.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_content_while_the_server_stops() {
    let fixture = fixture(|_| {});
    let announced = fixture.media.create(ALICE).await.unwrap();
    fixture.shutdown.start();
    let started = tokio::time::Instant::now();
    let found = fixture
        .find_within(&announced.media_id, Duration::from_secs(20))
        .await;
    assert!(matches!(found, Err(FindError::NotYetUploaded)));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn an_announced_id_is_its_owners_and_used_once() {
    let fixture = fixture(|_| {});
    let announced = fixture.media.create(ALICE).await.unwrap();
    let id = announced.media_id.as_str();
    let upload = |user, id| {
        fixture
            .media
            .upload_to(user, id, About::default(), body(&[b"x"]))
    };
    assert!(matches!(upload(BOB, id).await, Err(UploadError::NotOwner)));
    assert!(matches!(
        upload(ALICE, "unknown").await,
        Err(UploadError::NotFound)
    ));
    upload(ALICE, id).await.unwrap();
    assert!(matches!(upload(ALICE, id).await, Err(UploadError::Exists)));
    let plain = fixture.upload(b"plain").await;
    assert!(matches!(
        upload(ALICE, &plain).await,
        Err(UploadError::Exists)
    ));
    // Two at once.
    let announced = fixture.media.create(ALICE).await.unwrap();
    let id = announced.media_id.as_str();
    let results = tokio::join!(upload(ALICE, id), upload(ALICE, id));
    assert!(matches!(
        results,
        (Ok(()), Err(UploadError::Exists)) | (Err(UploadError::Exists), Ok(()))
    ));
}

#[tokio::test]
async fn announced_ids_are_few_and_expire() {
    let fixture = fixture(|config| {
        config.media.max_pending_uploads = 2;
        config.media.pending_lifetime_ms = 1_000;
    });
    let first = fixture.media.create(ALICE).await.unwrap();
    fixture.clock.advance(400);
    let second = fixture.media.create(ALICE).await.unwrap();
    let refused = fixture.media.create(ALICE).await;
    assert!(matches!(
        refused,
        Err(UploadError::TooManyPending {
            retry_after_ms: 600
        })
    ));
    fixture.media.create(BOB).await.unwrap();
    fixture.clock.advance(600);
    let late = fixture
        .media
        .upload_to(ALICE, &first.media_id, About::default(), body(&[b"x"]));
    assert!(matches!(late.await, Err(UploadError::NotFound)));
    assert!(matches!(
        fixture.find(&first.media_id).await,
        Err(FindError::NotFound)
    ));
    fixture.media.create(ALICE).await.unwrap();
    let upload = fixture
        .media
        .upload_to(ALICE, &second.media_id, About::default(), body(&[b"x"]));
    upload.await.unwrap();
    fixture.media.create(ALICE).await.unwrap();
}

#[tokio::test]
async fn what_was_uploaded_openly_stays_open() {
    let mut fixture = fixture(|config| config.media.unauthenticated_downloads = true);
    let before = fixture.upload(b"before").await;
    fixture.config.media.unauthenticated_downloads = false;
    fixture.media = Media::open(
        fixture.directory.path(),
        &fixture.config,
        fixture.store.clone(),
        fixture.host.clone(),
        Outbound::new(&fixture.config),
        Shutdown::never(),
    )
    .unwrap();
    let after = fixture.upload(b"after").await;
    assert!(fixture.find(&before).await.unwrap().open);
    assert!(!fixture.find(&after).await.unwrap().open);
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut image = RgbaImage::from_pixel(width, height, Rgba([200, 30, 30, 255]));
    image.put_pixel(0, 0, Rgba([0, 0, 0, 0]));
    encoded(image, ImageFormat::Png)
}

fn encoded(image: RgbaImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgba8(image);
    let image = if format == ImageFormat::Jpeg {
        DynamicImage::ImageRgb8(image.into_rgb8())
    } else {
        image
    };
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn scale(width: u32, height: u32) -> ThumbnailSize {
    ThumbnailSize {
        width,
        height,
        method: Method::Scale,
        animated: false,
    }
}

async fn thumbnail(
    fixture: &Fixture,
    media_id: &str,
    size: ThumbnailSize,
) -> Result<(&'static str, Vec<u8>), ThumbnailError> {
    let stored = fixture.find(media_id).await.unwrap();
    let thumbnail = fixture.media.thumbnail(&stored, size).await?;
    let chunks: Vec<Bytes> = thumbnail.content.try_collect().await.unwrap();
    assert_eq!(chunks.concat().len() as u64, thumbnail.size);
    Ok((thumbnail.content_type, chunks.concat()))
}

#[tokio::test]
async fn a_thumbnail_is_made_once_and_kept() {
    let fixture = fixture(|_| {});
    let media_id = fixture.upload(&png(400, 200)).await;
    let crop = ThumbnailSize {
        method: Method::Crop,
        ..scale(96, 96)
    };
    let (content_type, bytes) = thumbnail(&fixture, &media_id, crop).await.unwrap();
    assert_eq!(content_type, "image/jpeg");
    let image = image::load_from_memory(&bytes).unwrap();
    assert_eq!((image.width(), image.height()), (96, 96));
    let (content_type, bytes) = thumbnail(&fixture, &media_id, scale(300, 300))
        .await
        .unwrap();
    assert_eq!(content_type, "image/png", "one corner is transparent");
    let image = image::load_from_memory(&bytes).unwrap();
    assert_eq!((image.width(), image.height()), (320, 160));
    assert_eq!(fixture.files().len(), 3);
    // Another id of the same bytes, and no decoder free: nothing is made again.
    let _decoders = fixture
        .media
        .0
        .decoders
        .clone()
        .acquire_owned()
        .await
        .unwrap();
    let again = fixture.upload(&png(400, 200)).await;
    assert_eq!(
        thumbnail(&fixture, &again, scale(310, 310))
            .await
            .unwrap()
            .1,
        bytes
    );
    assert_eq!(fixture.files().len(), 3);
}

#[tokio::test]
async fn a_small_image_is_its_own_thumbnail() {
    let fixture = fixture(|_| {});
    let bytes = png(50, 40);
    let media_id = fixture.upload(&bytes).await;
    for size in [scale(96, 96), scale(50, 40), scale(u32::MAX, u32::MAX)] {
        let answer = thumbnail(&fixture, &media_id, size).await.unwrap();
        assert_eq!(answer, ("image/png", bytes.clone()));
    }
}

#[tokio::test]
async fn what_is_no_image_has_no_thumbnail() {
    let fixture = fixture(|_| {});
    let mut truncated = png(400, 400);
    truncated.truncate(60);
    for bytes in [
        &b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"[..],
        b"<!doctype html><script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"\xff\xd8\xff",
        b"RIFF\x04\x00\x00\x00WEBP",
        b"",
        &truncated,
    ] {
        let media_id = fixture.upload(bytes).await;
        for _ in 0..2 {
            let result = thumbnail(&fixture, &media_id, scale(96, 96)).await;
            assert!(
                matches!(result, Err(ThumbnailError::Unsupported)),
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}

/// A PNG that says it is this large, with a body that is short: what counts is that nobody believes it.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        bytes.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
        let body = [&kind[..], data].concat();
        bytes.extend_from_slice(&body);
        let crc = body.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
            })
        });
        bytes.extend_from_slice(&(!crc).to_be_bytes());
    };
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    head.extend_from_slice(&[8, 6, 0, 0, 0]);
    chunk(b"IHDR", &head);
    chunk(b"IDAT", &[0x78, 0x9c, 0x63, 0, 0]);
    chunk(b"IEND", &[]);
    bytes
}

#[tokio::test]
async fn bombs_are_not_decoded() {
    let fixture = fixture(|config| config.thumbnails.max_pixels = 1_000_000);
    for bytes in [
        bomb(30_000, 30_000),
        bomb(u32::MAX >> 1, u32::MAX >> 1),
        bomb(1_000_001, 1),
        png(1_001, 1_000),
    ] {
        let media_id = fixture.upload(&bytes).await;
        for _ in 0..2 {
            let result = thumbnail(&fixture, &media_id, scale(96, 96)).await;
            assert!(
                matches!(
                    result,
                    Err(ThumbnailError::TooLarge | ThumbnailError::Unsupported)
                ),
                "{:?}",
                result.err()
            );
        }
    }
    let small_bomb = fixture.upload(&bomb(900, 900)).await;
    let result = thumbnail(&fixture, &small_bomb, scale(96, 96)).await;
    assert!(matches!(result, Err(ThumbnailError::Unsupported)));
}

#[tokio::test]
async fn a_large_file_is_not_read_for_a_thumbnail() {
    let fixture = fixture(|config| config.thumbnails.max_source_bytes = 100);
    let media_id = fixture.upload(&png(400, 400)).await;
    let result = thumbnail(&fixture, &media_id, scale(96, 96)).await;
    assert!(matches!(result, Err(ThumbnailError::TooLarge)));
}

#[tokio::test]
async fn previews_are_off_and_choosy() {
    let off = fixture(|_| {});
    let result = off.media.preview("https://example.org/").await;
    assert!(matches!(result, Err(PreviewError::Disabled)));
    let on = fixture(|config| config.previews.enabled = true);
    for url in [
        "",
        "x",
        "ftp://example.org/",
        "file:///etc/passwd",
        "javascript:1",
    ] {
        let result = on.media.preview(url).await;
        assert!(matches!(result, Err(PreviewError::BadUrl)), "{url}");
    }
    for url in ["http://127.0.0.1/", "http://localhost:1/", "http://[::1]/"] {
        let result = on.media.preview(url).await;
        assert!(matches!(result, Err(PreviewError::Unavailable)), "{url}");
    }
}
