//! The binary's words; what it serves is tested in `spec-tests`. With a test here, cargo builds the binary for those.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it fails, in its helpers too"
)]

use std::process::Command;

fn myelin(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_myelin"));
    // The options of whoever runs the tests are not the test's.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MYELIN_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        myelin(&["--version"]),
        (
            true,
            format!("myelin {}\n", env!("CARGO_PKG_VERSION")),
            String::new()
        )
    );
}

#[test]
fn the_options_are_shown_and_checked() {
    let (_, defaults, _) = myelin(&["config", "defaults"]);
    assert_eq!(defaults, config::DEFAULTS);
    let (good, shown, _) = myelin(&["config", "show", "-O", "registration.shared_secret=s3cret"]);
    assert!(
        good && shown.contains("server_name = \"localhost\"") && !shown.contains("s3cret"),
        "{shown}"
    );
    assert!(myelin(&["config", "check"]).0);
}

#[test]
fn mistakes_are_told_in_one_line() {
    for (arguments, told) in [
        (
            &["serve", "-O", "server_nam=x"][..],
            "unknown key `server_nam` in the command line",
        ),
        (
            &["serve", "--config", "missing.toml"],
            "cannot read missing.toml",
        ),
        (&["serve", "-O", "log.filter=a=b=c"], "`log.filter`"),
        (&["serve", "-O", "data_dir=/proc/nothing"], "/proc/nothing"),
    ] {
        let (good, _, error) = myelin(arguments);
        assert!(
            !good && error.starts_with("myelin: ") && error.contains(told),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
