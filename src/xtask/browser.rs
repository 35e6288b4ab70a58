//! Finds a browser for the tests that watch a graphical client, and installs one where that is for us to do.

use crate::{apt, cargo::answer};

/// Under these names a Chromium stands on the path.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Names a browser that stands elsewhere.
pub(crate) const VARIABLE: &str = "SPEC_TESTS_BROWSER";

/// A browser's program, or none and a word on standard error about what is skipped for want of it.
pub(crate) fn program() -> Option<String> {
    if let Ok(named) = std::env::var(VARIABLE)
        && !named.is_empty()
    {
        return Some(named);
    }
    if let Some(found) = find() {
        return Some(found);
    }
    if let Err(reason) = apt::install("chromium", "the test of a graphical client") {
        eprintln!(
            "No Chromium is there, and {reason}\n\
             The test of a graphical client will be skipped: install `chromium`, or name one with {VARIABLE}."
        );
    }
    find()
}

/// The path of the first that starts; Ubuntu's `chromium-browser` may be a file that only tells where to get one.
fn find() -> Option<String> {
    let works = |name: &&str| answer(name, &["--version"]).is_some();
    let name = NAMES.into_iter().find(works)?;
    answer("sh", &["-c", "command -v \"$0\"", name])
}
