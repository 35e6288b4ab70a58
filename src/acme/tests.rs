//! When an authority is asked, what is kept, and what is shown meanwhile: with a clock that the test turns.

use std::{
    collections::VecDeque, fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc,
    time::Duration,
};

use host::{Host, ManualClock, Shutdown};
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tls::{Certificates, Challenges};
use tokio::sync::Notify;

use crate::{Authority, Issued, Keeper, Kept, Order, Refusal};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// 2026-01-01, in milliseconds since the Unix epoch.
const START: u64 = 1_767_225_600_000;

type Answer = Result<Issued, Refusal>;

/// An authority that answers what a test has laid ready, and counts.
#[derive(Clone, Default)]
struct Ready {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Order>>>,
}

impl Authority for Ready {
    async fn issue(&mut self, order: &Order, _: Challenges) -> Answer {
        self.asked.lock().push(order.clone());
        self.answers
            .lock()
            .pop_front()
            .unwrap_or_else(|| refusal(None))
    }
}

fn refusal(pause_ms: Option<u64>) -> Answer {
    Err(Refusal {
        reason: "nobody answers on port 443".to_owned(),
        pause_ms,
    })
}

/// A certificate from `from_ms` on, for so many days.
fn issued(names: &[&str], from_ms: u64, days: u64) -> Issued {
    let mut params =
        CertificateParams::new(names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
            .unwrap();
    let start = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = start + Duration::from_millis(from_ms);
    params.not_after = params.not_before + Duration::from_millis(days * DAY);
    let key = KeyPair::generate().unwrap();
    Issued {
        chain: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// A data directory and an authority, over several starts of a server.
struct Scene {
    directory: TempDir,
    clock: ManualClock,
    authority: Ready,
    order: Order,
    certificates: Arc<Certificates>,
}

impl Scene {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(START),
            authority: Ready::default(),
            order: Order {
                directory: "https://ca.example/directory".to_owned(),
                domains: vec!["example.org".to_owned()],
            },
            certificates: Arc::default(),
        }
    }

    /// A start of the server.
    fn start(&mut self) -> Keeper<Ready> {
        self.certificates = Arc::default();
        Keeper::open(
            self.order.clone(),
            self.authority.clone(),
            self.kept(),
            Arc::clone(&self.certificates),
            Host::manual(&self.clock, 7),
        )
    }

    fn kept(&self) -> Kept {
        Kept::of(self.directory.path())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("acme").join(name)
    }

    fn lays_ready(&self, answer: Answer) {
        self.authority.answers.lock().push_back(answer);
    }

    /// A good certificate of 90 days from `from_ms` on.
    fn lays_ready_from(&self, from_ms: u64) {
        self.lays_ready(Ok(issued(&["example.org"], from_ms, 90)));
    }

    fn times_asked(&self) -> usize {
        self.authority.asked.lock().len()
    }

    fn failure(&self) -> Option<String> {
        self.certificates.renewals.standing().unwrap().failure
    }

    fn not_after_ms(&self) -> Option<u64> {
        self.certificates.facts().map(|it| it.not_after_ms)
    }
}

#[tokio::test]
async fn the_first_certificate_is_kept_and_a_restart_asks_nobody() {
    let mut scene = Scene::new();
    scene.lays_ready_from(START);
    let mut keeper = scene.start();
    assert_eq!(scene.not_after_ms(), None);
    keeper.look().await;
    assert_eq!(scene.not_after_ms(), Some(START + 90 * DAY));
    assert_eq!(scene.certificates.renewals.succeeded.get(), 1);
    for name in ["certificate.pem", "state.json"] {
        let mode = fs::metadata(scene.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        assert!(!scene.path(name).with_extension("new").exists());
    }
    let folder = fs::metadata(scene.path("")).unwrap().permissions().mode();
    assert_eq!(folder & 0o777, 0o700);
    for _ in 0..3 {
        scene.clock.advance(DAY);
        let mut keeper = scene.start();
        // Before anybody looks: it is shown at once.
        assert_eq!(scene.not_after_ms(), Some(START + 90 * DAY));
        keeper.look().await;
    }
    assert_eq!(scene.times_asked(), 1);
}

#[tokio::test]
async fn it_is_renewed_at_two_thirds_and_not_before() {
    let mut scene = Scene::new();
    scene.lays_ready_from(START);
    let mut keeper = scene.start();
    keeper.look().await;
    scene.clock.advance(58 * DAY);
    keeper.look().await;
    assert_eq!(scene.times_asked(), 1);
    scene.lays_ready_from(START + 60 * DAY);
    scene.clock.advance(2 * DAY);
    let pause = keeper.look().await;
    assert_eq!(scene.times_asked(), 2);
    assert_eq!(scene.not_after_ms(), Some(START + 150 * DAY));
    assert_eq!(scene.failure(), None);
    // A clock may be set, and a machine suspended: nobody sleeps for two months.
    assert_eq!(pause, Duration::from_millis(10 * MINUTE));
}

#[tokio::test]
async fn failures_leave_the_certificate_and_pauses_grow_over_restarts() {
    let mut scene = Scene::new();
    scene.lays_ready_from(START);
    scene.start().look().await;
    scene.clock.advance(60 * DAY);
    let mut times = Vec::new();
    // A loop of restarts, one each minute, for four hours.
    for minute in 0..240 {
        let before = scene.times_asked();
        let mut keeper = scene.start();
        keeper.look().await;
        if scene.times_asked() > before {
            times.push(minute);
        }
        assert_eq!(scene.not_after_ms(), Some(START + 90 * DAY));
        scene.clock.advance(MINUTE);
    }
    assert_eq!(times.len(), 6, "{times:?}");
    let pauses: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (pause, least) in pauses.iter().zip([5, 10, 20, 40, 80]) {
        // Up to a tenth longer, and the loop looks each minute.
        assert!(
            (least..=least + least / 10 + 2).contains(pause),
            "{pauses:?}"
        );
    }
    assert_eq!(
        scene.failure().as_deref(),
        Some("nobody answers on port 443")
    );
    assert_eq!(scene.kept().state().attempt.unwrap().failures, 6);
    // And then all is well again.
    scene.lays_ready_from(START + 60 * DAY);
    scene.clock.advance(DAY);
    let mut keeper = scene.start();
    keeper.look().await;
    assert_eq!(scene.not_after_ms(), Some(START + 150 * DAY));
    assert_eq!(scene.failure(), None);
    assert_eq!(scene.kept().state().attempt, None);
}

#[tokio::test]
async fn an_attempt_that_nobody_saw_the_end_of_is_a_failure() {
    /// One that never answers.
    struct Silent;
    impl Authority for Silent {
        async fn issue(&mut self, _: &Order, _: Challenges) -> Answer {
            std::future::pending().await
        }
    }
    let mut scene = Scene::new();
    let mut keeper = Keeper::open(
        scene.order.clone(),
        Silent,
        scene.kept(),
        Arc::default(),
        Host::manual(&scene.clock, 7),
    );
    tokio::select! {
        biased;
        _ = keeper.look() => unreachable!("it never answers"),
        () = std::future::ready(()) => {}
    }
    // `kill -9`, and a start.
    scene.start().look().await;
    assert_eq!(scene.times_asked(), 0);
    assert!(scene.failure().unwrap().contains("stopped"));
    scene.clock.advance(6 * MINUTE);
    scene.start().look().await;
    assert_eq!(scene.times_asked(), 1);
}

#[tokio::test]
async fn an_authority_that_wants_to_be_left_alone_is() {
    let mut scene = Scene::new();
    scene.lays_ready(refusal(Some(3 * DAY)));
    let mut keeper = scene.start();
    keeper.look().await;
    scene.clock.advance(2 * DAY);
    // Not even when somebody asks for it.
    let asked = Arc::new(Notify::new());
    asked.notify_one();
    let (trigger, shutdown) = Shutdown::new();
    let running = keeper.run(Arc::clone(&asked), shutdown);
    tokio::select! {
        biased;
        () = running => unreachable!("it runs until the server stops"),
        () = looked(&asked) => trigger.start(),
    }
    assert_eq!(scene.times_asked(), 1);
    scene.clock.advance(DAY);
    scene.start().look().await;
    assert_eq!(scene.times_asked(), 2);
}

/// Waits until a keeper that runs has been asked and has looked.
async fn looked(asked: &Notify) {
    asked.notify_one();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn somebody_who_has_mended_it_need_not_wait() {
    let mut scene = Scene::new();
    let mut keeper = scene.start();
    for _ in 0..4 {
        keeper.look().await;
        scene.clock.advance(90 * MINUTE);
    }
    assert_eq!(scene.times_asked(), 4);
    keeper.look().await;
    scene.lays_ready_from(START);
    scene.clock.advance(2 * MINUTE);
    let (asked, (trigger, shutdown)) = (Arc::new(Notify::new()), Shutdown::new());
    let running = keeper.run(Arc::clone(&asked), shutdown);
    tokio::select! {
        biased;
        () = running => unreachable!("it runs until the server stops"),
        () = looked(&asked) => trigger.start(),
    }
    assert_eq!(scene.times_asked(), 6);
    assert!(scene.not_after_ms().is_some());
}

#[tokio::test]
async fn other_names_or_another_authority_need_another_certificate() {
    let mut scene = Scene::new();
    scene.lays_ready_from(START);
    scene.start().look().await;
    scene.order.domains.push("matrix.example.org".to_owned());
    let mut keeper = scene.start();
    // The old one is better than none, and stays as long as there is no other.
    assert!(scene.not_after_ms().is_some());
    keeper.look().await;
    assert_eq!(scene.times_asked(), 2);
    assert_eq!(scene.not_after_ms(), Some(START + 90 * DAY));
    // That failure was one for other names: the next order waits for nothing.
    scene.order.domains.pop();
    scene.order.directory = "https://other.example/directory".to_owned();
    scene.lays_ready_from(START + DAY);
    scene.start().look().await;
    assert_eq!(scene.times_asked(), 3);
    assert_eq!(scene.not_after_ms(), Some(START + 91 * DAY));
    scene.start().look().await;
    assert_eq!(scene.times_asked(), 3);
}

#[tokio::test]
async fn damaged_files_are_passed_over() {
    let mut scene = Scene::new();
    scene.lays_ready_from(START);
    scene.start().look().await;
    let good = fs::read(scene.path("certificate.pem")).unwrap();
    let long = "x".repeat(300 << 10);
    for damaged in [&good[..good.len() / 2], b"", b"\xff\xfe", long.as_bytes()] {
        fs::write(scene.path("certificate.pem"), damaged).unwrap();
        fs::write(scene.path("state.json"), damaged).unwrap();
        let before = scene.times_asked();
        scene.lays_ready_from(START);
        let mut keeper = scene.start();
        assert_eq!(scene.not_after_ms(), None);
        keeper.look().await;
        assert_eq!(scene.times_asked(), before + 1);
        assert_eq!(scene.not_after_ms(), Some(START + 90 * DAY));
        assert!(scene.kept().certificate().unwrap().is_some());
    }
    // Without the other file the certificate is as good as before.
    fs::remove_file(scene.path("state.json")).unwrap();
    let before = scene.times_asked();
    scene.start().look().await;
    assert_eq!(scene.times_asked(), before);
}

#[tokio::test]
async fn what_an_authority_issues_is_looked_at() {
    let unfit = Issued {
        key: issued(&["example.org"], START, 90).key,
        ..issued(&["example.org"], START, 90)
    };
    for (answer, word) in [
        (unfit, "cannot be used"),
        (
            Issued {
                chain: "rubbish".to_owned(),
                key: "rubbish".to_owned(),
            },
            "cannot be used",
        ),
        // Expired already, and for somebody else: in force, but no reason to ask again and again.
        (issued(&["example.org"], START - 90 * DAY, 80), "due again"),
        (issued(&["example.com"], START, 90), "due again"),
    ] {
        let mut scene = Scene::new();
        scene.lays_ready(Ok(answer));
        let mut keeper = scene.start();
        for _ in 0..10 {
            keeper.look().await;
        }
        assert_eq!(scene.times_asked(), 1);
        assert!(scene.failure().unwrap().contains(word), "{word}");
    }
}

#[tokio::test]
async fn where_nothing_can_be_kept_nobody_is_asked() {
    let mut scene = Scene::new();
    fs::write(scene.path(""), "a file where the folder should be").unwrap_err();
    fs::write(scene.directory.path().join("acme"), "in the way").unwrap();
    let mut keeper = scene.start();
    for _ in 0..3 {
        keeper.look().await;
    }
    assert_eq!(scene.times_asked(), 0);
    assert!(scene.failure().unwrap().contains("could be kept"));
    fs::remove_file(scene.directory.path().join("acme")).unwrap();
    scene.lays_ready_from(START);
    scene.clock.advance(6 * MINUTE);
    keeper.look().await;
    assert!(scene.not_after_ms().is_some());
}

#[tokio::test]
async fn a_clock_that_was_wrong_does_not_make_us_wait_for_years() {
    let mut scene = Scene::new();
    scene.clock.advance(4_000 * DAY);
    scene.start().look().await;
    assert_eq!(scene.times_asked(), 1);
    scene.clock = ManualClock::new(START);
    scene.lays_ready_from(START);
    scene.start().look().await;
    assert_eq!(scene.times_asked(), 2);
    assert_eq!(scene.not_after_ms(), Some(START + 90 * DAY));
}
