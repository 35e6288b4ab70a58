//! Hydrogen, a client that people look at, in a headless browser.
//!
//! `SPEC_TESTS_BROWSER` names a Chromium where none is on the path; `cargo xtask test` finds or installs one.
//! `SPEC_TESTS_SCREENSHOTS` names a folder for what it showed: that is how `docs/screenshots` came to be.

use std::env::{self, split_paths};
use std::path::PathBuf;
use std::process::Command;

use spec_tests::{Server, skip};

use super::{node_script, run};

#[test]
fn real_clients_hydrogen_talks_and_shows_pictures_in_a_browser() {
    let Some(browser) = browser() else {
        skip("no Chromium on the path, and SPEC_TESTS_BROWSER does not name one");
        return;
    };
    let files = [
        "browse.mjs",
        "hydrogen.mjs",
        "person.mjs",
        "serve.mjs",
        "wait.mjs",
        "page/app.js",
        "page/index.html",
    ];
    let mut node = Command::new("node");
    node.arg(node_script("browser", &files))
        .arg(Server::shared().url())
        .arg(browser)
        .args(env::var_os("SPEC_TESTS_SCREENSHOTS"));
    let output = run(&mut node, "node (20 or later)");
    assert!(
        output.ends_with("hydrogen-view-sdk: all well\n"),
        "{output}"
    );
}

/// Chromium or one of its kind; Ubuntu's `chromium-browser` may be a file that only tells where to get one.
fn browser() -> Option<PathBuf> {
    if let Some(named) = env::var_os("SPEC_TESTS_BROWSER").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
    ];
    let starts = |program: &PathBuf| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let path = env::var_os("PATH")?;
    split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(starts)
}
