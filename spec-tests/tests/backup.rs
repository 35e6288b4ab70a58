//! `myelin backup` and `myelin check` with a server that runs: backed up under load, rehearsed, destroyed, brought back.
//!
//! A short run by default; `BACKUP_TRIES=20` is the long one, which prints the longest stall of a writer.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use spec_tests::{PATIENCE_SECONDS, Server, User, event_ids};

/// Runs `myelin` with the server's configuration; gives its exit code, standard output and standard error.
fn run(server: &Server, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(Server::binary())
        .args(arguments)
        .arg("--config")
        .arg(server.dir().join("myelin.toml"))
        .current_dir(server.dir())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

/// What it prints as JSON, if all is well.
fn json_of(server: &Server, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let (code, out, error) = run(server, &arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{error}");
    serde_json::from_str(&out).unwrap()
}

fn archive(server: &Server) -> String {
    server.dir().join("backups").display().to_string()
}

fn back_up(server: &Server) -> Value {
    json_of(server, &["backup", "create", "--to", &archive(server)])
}

fn verify(server: &Server) -> Value {
    let verified = json_of(server, &["backup", "verify", &archive(server)]);
    assert_eq!(verified["healthy"], true, "{verified}");
    verified
}

/// The machine burns, and the backup does not.
fn destroy(server: &mut Server) {
    server.kill();
    std::fs::remove_dir_all(server.dir().join("data")).unwrap();
}

fn upload_keys(user: &User, from: u32, count: u32) -> Value {
    let keys: serde_json::Map<_, _> = (from..from + count)
        .map(|number| {
            let key =
                json!({"key": "zKbLg+NrIjpnagy+pIY6uPL4ZwEG2v+8F9lmgsnlZzs", "signatures": {}});
            (format!("signed_curve25519:AAAA{number:04}"), key)
        })
        .collect();
    let fallback =
        json!({"signed_curve25519:FFFF": {"key": "zKbL", "fallback": true, "signatures": {}}});
    let body = json!({"one_time_keys": keys, "fallback_keys": fallback});
    user.post("/v3/keys/upload", body).ok()["one_time_key_counts"]["signed_curve25519"].clone()
}

fn claim(user: &User, other: &User) -> Option<String> {
    let body = json!({"one_time_keys": {&other.id: {&other.device_id: "signed_curve25519"}}});
    let answer = user.post("/v3/keys/claim", body).ok();
    let keys = answer["one_time_keys"][&other.id][&other.device_id].as_object()?;
    keys.keys().next().cloned()
}

#[test]
fn what_was_backed_up_comes_back_and_clients_find_their_way() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let bob = server.client().register("bob");
    let room = alice.public_room();
    bob.join(&room);
    let kept = alice.say(&room, "kept");
    let text = [("content-type", "text/plain")];
    let file = alice.send("POST", "/_matrix/media/v3/upload", &text, Some(b"a file"));
    let file = file.ok()["content_uri"].as_str().unwrap().to_owned();
    assert_eq!(upload_keys(&alice, 0, 5), 5);
    bob.put(
        "/v3/sendToDevice/m.test/1",
        json!({"messages": {&alice.id: {&alice.device_id: {"text": "a key"}}}}),
    )
    .ok();
    let before = back_up(&server);
    assert_eq!(before["server_name"], "localhost");
    let verified = verify(&server);
    assert_eq!(verified["renewed"]["one_time_keys_dropped"], 5);

    // What the backup does not know.
    let lost = alice.say(&room, "lost");
    let given = claim(&bob, &alice).unwrap();
    let carol = server.client().register("carol");
    let since = alice.now();
    let (code, _, error) = run(&server, &["backup", "restore", &archive(&server)]);
    assert!(code == 2 && error.contains("is not empty"), "{error}");
    destroy(&mut server);
    let restored = json_of(&server, &["backup", "restore", &archive(&server)]);
    assert_eq!(restored["id"], before["id"]);
    server.start_again();
    let (alice, bob) = (alice.reconnected(), bob.reconnected());

    // The token of before starts over: everything is told, and whose devices to ask about anew.
    let sync = alice.sync_since(&since);
    let joined = &sync["rooms"]["join"][&room];
    let told = event_ids(&joined["timeline"]["events"]);
    assert!(
        told.contains(&kept.as_str()) && !told.contains(&lost.as_str()),
        "{sync}"
    );
    let changed = sync["device_lists"]["changed"].as_array().unwrap();
    assert!(
        changed.contains(&json!(bob.id)) && changed.contains(&json!(alice.id)),
        "{sync}"
    );
    // Messages to the device come again rather than never, and the keys are to be uploaded anew.
    assert_eq!(sync["to_device"]["events"][0]["content"]["text"], "a key");
    assert_eq!(sync["device_one_time_keys_count"]["signed_curve25519"], 0);
    assert_eq!(sync["device_unused_fallback_key_types"], json!([]));
    let fallback = claim(&bob, &alice).unwrap();
    assert_ne!(fallback, given);
    assert!(fallback.ends_with(":FFFF"), "{fallback}");
    assert_eq!(upload_keys(&alice, 100, 5), 5);

    // From here on it is told what is new, as ever.
    let since = sync["next_batch"].as_str().unwrap().to_owned();
    let next = bob.say(&room, "life goes on");
    let sync = alice.sync_since(&since);
    let timeline = &sync["rooms"]["join"][&room]["timeline"]["events"];
    assert_eq!(event_ids(timeline), [next.as_str()]);
    alice.get_event(&room, &lost).fails(404, "M_NOT_FOUND");
    let media = file.replacen("mxc://", "/_matrix/client/v1/media/download/", 1);
    assert_eq!(alice.get(&media).text(), "a file");
    // Who came later comes again.
    let carol = server.client().with_token(&carol.access_token);
    carol
        .get("/v3/account/whoami")
        .fails(401, "M_UNKNOWN_TOKEN");
    server.client().register("carol");
    let (code, told, error) = run(&server, &["check"]);
    assert_eq!(code, 0, "{told}{error}");
}

#[test]
fn a_server_is_backed_up_while_it_is_written_to() {
    let tries = std::env::var("BACKUP_TRIES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2);
    let mut server = Server::start();
    let room = server.client().register("owner").public_room();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let user = server.client().register("writer");
            user.join(&room);
            user
        })
        .collect();
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (quiet, stalls) = std::thread::scope(|scope| {
        let handles: Vec<_> = writers
            .iter()
            .map(|user| scope.spawn(|| write(user, &room, &stop, &sent)))
            .collect();
        let wait_for = |count| {
            let deadline = Instant::now() + Duration::from_secs(PATIENCE_SECONDS);
            while sent.load(Ordering::Relaxed) < count && Instant::now() < deadline {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        };
        wait_for(200);
        let mut spans = Vec::new();
        for _ in 0..tries {
            let began = Instant::now();
            back_up(&server);
            spans.push((began, Instant::now()));
            verify(&server);
            wait_for(sent.load(Ordering::Relaxed) + 50);
        }
        let checked = json_of(&server, &["check", "--quick"]);
        assert_eq!(checked["found"], 0, "{checked}");
        stop.store(true, Ordering::Relaxed);
        let answers: Vec<_> = handles
            .into_iter()
            .flat_map(|handle| handle.join().unwrap())
            .collect();
        longest(&answers, &spans)
    });
    println!(
        "{tries} backups beside {} messages: the longest wait {stalls:?}, without one {quiet:?}",
        sent.into_inner()
    );
    let listed = json_of(&server, &["backup", "list", &archive(&server)]);
    assert_eq!(listed.as_array().unwrap().len(), tries);
    // The last of them, as good as any.
    destroy(&mut server);
    json_of(&server, &["backup", "restore", &archive(&server)]);
    server.start_again();
    writers[0].reconnected().say(&room, "still here");
    let left = server.dir().join("data/checkpoints");
    assert!(std::fs::read_dir(left).map_or(true, |mut left| left.next().is_none()));
}

/// When a message was sent, and when it was answered.
type Answer = (Instant, Instant);

fn write(user: &User, room: &str, stop: &AtomicBool, sent: &AtomicUsize) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        user.say(
            room,
            "one more of many messages that are written while somebody copies the files",
        );
        answers.push((began, Instant::now()));
        sent.fetch_add(1, Ordering::Relaxed);
    }
    answers
}

/// The longest wait for an answer outside of the spans, and the longest within.
fn longest(answers: &[Answer], spans: &[Answer]) -> (Duration, Duration) {
    let (mut outside, mut within) = (Duration::ZERO, Duration::ZERO);
    for (began, ended) in answers {
        let is_within = spans.iter().any(|(from, to)| began < to && ended > from);
        let longest = if is_within { &mut within } else { &mut outside };
        *longest = (*longest).max(*ended - *began);
    }
    (outside, within)
}

#[test]
fn a_second_backup_writes_little() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let file = vec![7; 2 << 20];
    let headers = [("content-type", "application/octet-stream")];
    alice
        .send("POST", "/_matrix/media/v3/upload", &headers, Some(&file))
        .ok();
    let first = back_up(&server);
    alice.say(&room, "something new");
    let second = back_up(&server);
    let written = |made: &Value| made["written"]["bytes"].as_u64().unwrap();
    assert!(written(&first) > 2 << 20, "{first}");
    assert!(written(&second) < 512 << 10, "{second}");
    verify(&server);
    let (code, config, _) = run(&server, &["backup", "config", &archive(&server)]);
    assert!(code == 0 && config.contains("data_dir"), "{config}");
}

#[test]
fn a_stopped_server_is_backed_up_and_a_damaged_backup_found() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    alice.public_room();
    server.terminate();
    back_up(&server);
    verify(&server);
    let objects = Path::new(&archive(&server)).join("objects");
    let largest = std::fs::read_dir(objects)
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|object| object.unwrap().path())
        .max_by_key(|path| std::fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let name = largest.file_name().unwrap().to_str().unwrap();
    let (code, told, _) = run(&server, &["backup", "verify", &archive(&server)]);
    assert!(code == 1 && told.contains(name), "{told}");
    destroy(&mut server);
    let (code, _, error) = run(&server, &["backup", "restore", &archive(&server)]);
    assert!(code == 2 && error.contains("damaged"), "{error}");
    // Nothing is served that was not brought back whole.
    let (status, told) = server.run_second_process();
    assert!(
        !status.unwrap().success() && told.contains("broke off"),
        "{told}"
    );
}

#[test]
fn a_check_of_a_running_server_finds_what_is_missing_and_repairs_nothing() {
    let server = Server::start();
    let alice = server.client().register("alice");
    let headers = [("content-type", "text/plain")];
    let sent = alice.send("POST", "/_matrix/media/v3/upload", &headers, Some(b"gone"));
    sent.ok();
    assert_eq!(json_of(&server, &["check"])["files"], 1);
    let files = server.dir().join("data/media/files");
    let folder = std::fs::read_dir(&files)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::remove_dir_all(folder).unwrap();
    let (code, told, _) = run(&server, &["check"]);
    assert!(code == 1 && told.contains("the file is missing"), "{told}");
    let (code, _, error) = run(&server, &["check", "--repair"]);
    assert!(code == 2 && error.contains("stop it first"), "{error}");
    let audit = crate::admin_command_line::admin(&server, &["server", "audit"], "").ok();
    assert!(audit.contains("server.checkpoint"), "{audit}");
}
