//! Every endpoint that is there is tested in both rings: the tests note what answered them (`test-support/asked.rs`).

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
};

/// `file`, `function`, `METHOD path`, …: every endpoint of the client-server and server-server APIs.
const SPEC_MAP: &str = include_str!("../spec-map.tsv");
/// `date`, `file`, `function`: those that are still missing.
const NOT_YET: &str = include_str!("../not-yet.tsv");

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

struct Endpoint {
    file: &'static str,
    function: &'static str,
    asked: &'static str,
    method: &'static str,
    segments: Vec<&'static str>,
}

/// The endpoints of the client-server API that are not on the list of those to come.
fn endpoints() -> Vec<Endpoint> {
    let missing: BTreeSet<(&str, &str)> = NOT_YET
        .lines()
        .filter_map(|line| line.split_once('\t')?.1.split_once('\t'))
        .collect();
    let there = |line: &'static str| {
        let mut columns = line.split('\t');
        let (file, function, asked) = (columns.next()?, columns.next()?, columns.next()?);
        let (method, path) = asked.split_once(' ')?;
        let ours = file.starts_with("client-server-api/") && !missing.contains(&(file, function));
        ours.then(|| Endpoint {
            file,
            function,
            asked,
            method,
            // Two operations at one path differ by a space at the end.
            segments: path.trim_end().split('/').collect(),
        })
    };
    SPEC_MAP.lines().skip(1).filter_map(there).collect()
}

impl Endpoint {
    /// How many segments of a path are this endpoint's word for word, if the path is one of its own.
    fn fits(&self, method: &str, path: &[&str]) -> Option<usize> {
        let fits = self.method == method
            && self.segments.len() == path.len()
            && self
                .segments
                .iter()
                .zip(path)
                .all(|(own, given)| own == given || own.starts_with('{'));
        let literal = |segment: &&&str| !segment.starts_with('{');
        fits.then(|| self.segments.iter().filter(literal).count())
    }

    /// `modules::typing_notifications::`: the tests in ring 2 below the heading of the handler.
    fn module(&self) -> String {
        let path = self.file.trim_start_matches("client-server-api/");
        let path = path.trim_end_matches(".rs").split('/').take(2);
        path.flat_map(|part| [part, "::"]).collect()
    }
}

/// Endpoints that rightly answer with an error in this server, as long as it lacks what they are about.
const ERRORS: &[(&str, &str)] = &[
    // There are no bridges, hence no protocol to tell of.
    ("get_protocol_metadata", "404"),
    // There is no identity server to ask.
    ("invite_by_3pid", "403"),
];

/// The endpoints that a request is for: two where the specification has two at one path. The slash before an empty
/// state key is optional.
fn endpoints_of(endpoints: &[Endpoint], method: &str, path: &str) -> Vec<usize> {
    let fitting = |path: &str| {
        let path: Vec<&str> = path.split('/').collect();
        let fits = |endpoint: &Endpoint| endpoint.fits(method, &path);
        let most = endpoints.iter().filter_map(fits).max();
        let all = endpoints.iter().enumerate();
        all.filter(|(_, endpoint)| most.is_some() && fits(endpoint) == most)
            .map(|(number, _)| number)
            .collect()
    };
    let found: Vec<usize> = fitting(path);
    if found.is_empty() {
        fitting(&format!("{path}/"))
    } else {
        found
    }
}

/// Endpoint → the tests of a ring that were answered by it. Tests that are no longer in `sources` do not count.
fn answered(endpoints: &[Endpoint], ring: &str, sources: &str) -> BTreeMap<usize, Vec<String>> {
    // …/target/debug/deps/endpoints-0123 → …/target/debug
    let own = env::current_exe().unwrap();
    let build = own.ancestors().nth(2).unwrap();
    let notes = fs::read_dir(build.join("endpoints-asked").join(ring)).unwrap_or_else(|_| {
        panic!(
            "no test of {ring} has run yet: first `cargo test -p client-server-api` and `cargo test -p spec-tests`, \
             or everything with `cargo xtask test`"
        )
    });
    let text = all_text(&Path::new(ROOT).join(sources));
    let mut answered = BTreeMap::<usize, Vec<String>>::new();
    for note in notes {
        let note = note.unwrap();
        let test = note.file_name().to_string_lossy().replace('.', "::");
        let name = test.rsplit("::").next().unwrap_or_default();
        // With `--test-threads=1` all tests are the main thread's.
        if test != "main" && !text.contains(&format!("fn {name}(")) {
            continue;
        }
        let lines = fs::read_to_string(note.path()).unwrap();
        let found: BTreeSet<usize> = lines
            .lines()
            .flat_map(|line| well_answered(endpoints, line))
            .collect();
        for endpoint in found {
            answered.entry(endpoint).or_default().push(test.clone());
        }
    }
    answered
}

/// The endpoints that gave the answer of a note, `METHOD PATH STATUS`, if it is one that shows that they work.
fn well_answered(endpoints: &[Endpoint], note: &str) -> Vec<usize> {
    let mut words = note.split(' ');
    let (Some(method), Some(path), Some(status)) = (words.next(), words.next(), words.next())
    else {
        return Vec::new();
    };
    let mut found = endpoints_of(endpoints, method, path);
    found.retain(|number| {
        let error = ERRORS
            .iter()
            .find(|(name, _)| *name == endpoints[*number].function);
        match error {
            Some((_, expected)) => status == *expected,
            None => status.starts_with(['2', '3']),
        }
    });
    found
}

/// All Rust of a folder, as one text.
fn all_text(folder: &Path) -> String {
    let mut text = String::new();
    let mut waiting: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[test]
fn every_endpoint_answers_a_test_in_its_place_and_one_over_http() {
    let endpoints = endpoints();
    assert!(endpoints.len() > 100);
    let ring_2 = answered(&endpoints, "ring-2", "src/client-server-api/tests");
    let ring_3 = answered(&endpoints, "ring-3", "spec-tests/tests");
    let none = Vec::new();
    let mut missing = Vec::new();
    for (number, endpoint) in endpoints.iter().enumerate() {
        let tests =
            |ring: &BTreeMap<usize, Vec<String>>| ring.get(&number).unwrap_or(&none).clone();
        let module = endpoint.module();
        let here = tests(&ring_2);
        let (asked, function) = (endpoint.asked, endpoint.function);
        if !here
            .iter()
            .any(|test| test.starts_with(&module) || test == "main")
        {
            missing.push(format!(
                "{asked} ({function}): no test in ring 2 below {module}, only {here:?}"
            ));
        }
        if tests(&ring_3).is_empty() {
            missing.push(format!("{asked} ({function}): no test in ring 3"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_request_is_for_the_most_literal_endpoint() {
    let endpoints = endpoints();
    let check = |method: &str, path: &str, expected: &[&str]| {
        let found = endpoints_of(&endpoints, method, path).into_iter();
        let found: Vec<_> = found.map(|number| endpoints[number].function).collect();
        assert_eq!(found, expected, "{method} {path}");
    };
    check(
        "GET",
        "/_matrix/client/v3/room_keys/version",
        &["get_room_keys_version_current"],
    );
    check(
        "GET",
        "/_matrix/client/v3/rooms/!a:b/state/m.room.name",
        &["get_room_state_with_key"],
    );
    check(
        "GET",
        "/_matrix/client/v3/events",
        &["get_events", "peek_events"],
    );
    check("PUT", "/_matrix/client/v3/sync", &[]);
    check("GET", "/_matrix/client/v3/sync/", &[]);
}
