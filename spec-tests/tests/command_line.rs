//! The binary: options and where they come from, two processes on one directory, and stopping.

use std::time::Duration;

use serde_json::json;
use spec_tests::{Server, encode};

#[test]
fn the_version_is_printed() {
    let (success, out, _) = Server::command(&["--version"], &[]);
    assert!(success);
    assert!(out.starts_with("myelin "), "{out}");
}

#[test]
fn the_defaults_are_a_configuration_that_passes_its_own_check() {
    let (success, defaults, error) = Server::command(&["config", "defaults"], &[]);
    assert!(success, "{error}");
    for key in [
        "server_name",
        "listen",
        "data_dir",
        "registration",
        "rate_limits",
        "storage",
        "durability",
    ] {
        assert!(defaults.contains(key), "{key} is not in: {defaults}");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("myelin.toml");
    std::fs::write(&path, defaults).unwrap();
    let path = path.to_str().unwrap();
    let (success, out, error) = Server::command(&["config", "check", "--config", path], &[]);
    assert!(success, "{out}{error}");
}

#[test]
fn an_unknown_key_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("myelin.toml");
    std::fs::write(
        &path,
        "server_name = \"localhost\"\nserver_nmae = \"typo\"\n",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    for arguments in [
        &["config", "check", "--config", path][..],
        &["serve", "--config", path],
    ] {
        let (success, out, error) = Server::command(arguments, &[]);
        assert!(!success, "{out}");
        assert!(
            format!("{out}{error}").contains("server_nmae"),
            "{out}{error}"
        );
    }
}

#[test]
fn an_unknown_nested_key_or_value_is_named_too() {
    for setting in [
        "registration.mood=open",
        "registration.mode=ajar",
        "storage.durability=maybe",
    ] {
        let (success, out, error) = Server::command(&["config", "check", "-O", setting], &[]);
        assert!(!success, "{setting}: {out}");
        let name = setting.split(['.', '=']).nth(1).unwrap();
        let value = setting.split('=').nth(1).unwrap();
        let text = format!("{out}{error}");
        assert!(
            text.contains(name) || text.contains(value),
            "{setting}: {text}"
        );
    }
}

#[test]
fn later_sources_win() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("myelin.toml");
    std::fs::write(&path, "server_name = \"file.example\"\n").unwrap();
    let path = path.to_str().unwrap();
    let show = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut all = vec!["config", "show"];
        all.extend(arguments);
        let (success, out, error) = Server::command(&all, environment);
        assert!(success, "{error}");
        out
    };
    let environment = [("MYELIN_SERVER_NAME", "environment.example")];
    assert!(show(&[], &[]).contains("localhost"));
    assert!(show(&["--config", path], &[]).contains("file.example"));
    let both = show(&["--config", path], &environment);
    assert!(
        both.contains("environment.example") && !both.contains("file.example"),
        "{both}"
    );
    let all = show(
        &["--config", path, "-O", "server_name=option.example"],
        &environment,
    );
    assert!(
        all.contains("option.example") && !all.contains("environment.example"),
        "{all}"
    );
    let nested = show(&[], &[("MYELIN_STORAGE__DURABILITY", "os")]);
    assert!(nested.contains("\"os\""), "{nested}");
}

#[test]
fn secrets_are_not_shown() {
    let setting = "registration.shared_secret=hunter2hunter2";
    let (success, out, error) = Server::command(&["config", "show", "-O", setting], &[]);
    assert!(success, "{error}");
    assert!(!out.contains("hunter2hunter2"), "{out}");
}

#[test]
fn a_secret_is_read_from_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, "from a file\n").unwrap();
    let file = format!("\"{}\"", path.display());
    let server = Server::with(&[("registration.shared_secret_file", &file)]);
    assert!(server.client().get("/_synapse/admin/v1/register").ok()["nonce"].is_string());
}

#[test]
fn the_first_start_says_where_it_is() {
    let server = Server::start();
    let log = server.log();
    assert!(log.contains(&server.address().port().to_string()), "{log}");
}

#[test]
fn a_second_process_on_the_same_data_gets_a_clear_error() {
    let server = Server::start();
    let (status, log) = server.run_second_process();
    let status = status.expect("the second process ends by itself");
    assert!(!status.success(), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    let lower = log.to_lowercase();
    let clear =
        lower.contains("another process") || lower.contains("in use") || lower.contains("lock");
    assert!(clear, "{log}");
    assert_eq!(server.client().get("/_matrix/client/versions").status, 200);
}

#[test]
fn sigterm_stops_within_seconds_though_clients_wait() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let since = alice.now();
    let path = format!("/v3/sync?since={}&timeout=60000", encode(&since));
    let waiting = std::thread::spawn(move || alice.try_send("GET", &path, &[], None));
    // An idle connection must not hold it up either.
    let idle = std::net::TcpStream::connect(server.address()).unwrap();
    let (status, took) = server.terminate();
    assert!(status.success(), "{status}: {}", server.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
    drop(idle);
    if let Ok(answer) = waiting.join().unwrap() {
        assert!([200, 503].contains(&answer.status), "{}", answer.status);
    }
}

#[test]
fn everything_is_there_after_a_clean_restart() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.create_room(json!({"name": "Kept"}));
    let event = alice.say(&room, "kept");
    let since = alice.now();
    let data = format!(
        "/v3/user/{}/account_data/org.example.kept",
        encode(&alice.id)
    );
    alice.put(&data, json!({"n": 1})).ok();
    server.terminate();
    server.start_again();
    let alice = alice.reconnected();
    assert_eq!(
        alice.get("/v3/account/whoami").ok()["device_id"],
        alice.device_id
    );
    assert_eq!(
        alice.get_event(&room, &event).ok()["content"]["body"],
        "kept"
    );
    assert_eq!(
        alice.get_state(&room, "m.room.name", "").ok()["name"],
        "Kept"
    );
    assert_eq!(alice.get(&data).ok()["n"], 1);
    let sync = alice.sync_since(&since);
    assert!(
        sync["rooms"]["join"].get(&room).is_none(),
        "nothing new in the room: {sync}"
    );
    assert!(
        sync["account_data"]
            .to_string()
            .contains("org.example.kept"),
        "{sync}"
    );
    let next = alice.say(&room, "next");
    let sync = alice.sync_since(sync["next_batch"].as_str().unwrap());
    assert!(
        sync["rooms"]["join"][&room].to_string().contains(&next),
        "{sync}"
    );
}

#[test]
fn a_transaction_id_survives_a_restart() {
    let mut server = Server::start();
    let alice = server.client().register("alice");
    let room = alice.public_room();
    let path = spec_tests::room_path(&room, "send/m.room.message/before-the-restart");
    let body = json!({"msgtype": "m.text", "body": "once"});
    let first = alice.put(&path, body.clone()).ok();
    server.terminate();
    server.start_again();
    assert_eq!(alice.reconnected().put(&path, body).ok(), first);
}
