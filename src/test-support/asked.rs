//! Notes which test was answered by which endpoint; `src/xtask/tests/endpoints.rs` reads it.
//!
//! The black-box tests, which know no crate of the server, take this file into their harness as it is.

use std::{
    cell::RefCell, collections::HashSet, env, fs, fs::File, io::Write, path::PathBuf, thread,
};

/// Beside the binaries of the build: `target/debug/endpoints-asked/RING/TEST`, a line for each `METHOD PATH STATUS`.
const FOLDER: &str = "endpoints-asked";

thread_local! {
    /// A test is a thread; its file begins anew with each run.
    static NOTES: RefCell<Option<Notes>> = const { RefCell::new(None) };
}

struct Notes {
    file: File,
    seen: HashSet<String>,
}

/// Notes an answer to the test that this thread is.
pub fn note(ring: &str, method: &str, path: &str, status: u16) {
    let test = thread::current();
    let Some(test) = test.name() else {
        return;
    };
    let path = path.split('?').next().unwrap_or_default();
    let line = format!("{method} {path} {status}\n");
    NOTES.with_borrow_mut(|notes| {
        let notes = notes.get_or_insert_with(|| Notes::new(ring, test));
        if notes.seen.insert(line.clone()) {
            let written = notes.file.write_all(line.as_bytes());
            written.expect("the build's folder can be written to");
        }
    });
}

impl Notes {
    fn new(ring: &str, test: &str) -> Self {
        // …/target/debug/deps/main-0123 → …/target/debug
        let own = env::current_exe().unwrap_or_default();
        let build = own
            .ancestors()
            .nth(2)
            .map(PathBuf::from)
            .unwrap_or_default();
        let folder = build.join(FOLDER).join(ring);
        let file = fs::create_dir_all(&folder)
            .and_then(|()| File::create(folder.join(test.replace("::", "."))))
            .expect("the build's folder can be written to");
        Self {
            file,
            seen: HashSet::new(),
        }
    }
}
