//! What the house style promises about the tree, as ordinary tests.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// `file`, `function`, `METHOD path`, …: every endpoint of the client-server and server-server APIs.
const SPEC_MAP: &str = include_str!("../spec-map.tsv");
/// `date`, `file`, `function`: those that are still missing.
const NOT_YET: &str = include_str!("../not-yet.tsv");

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_default()
}

/// The files of the repository, new ones included.
fn files(patterns: &[&str]) -> Vec<String> {
    let mut git = Command::new("git");
    git.current_dir(ROOT)
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
        ])
        .args(patterns);
    let listed = String::from_utf8(git.output().unwrap().stdout).unwrap();
    let mut files: Vec<String> = listed
        .lines()
        .filter(|path| Path::new(ROOT).join(path).exists())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    files
}

/// An endpoint's file and function.
fn endpoints() -> Vec<(&'static str, &'static str)> {
    SPEC_MAP
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut columns = line.split('\t');
            Some((columns.next()?, columns.next()?))
        })
        .collect()
}

fn is_there(file: &str, function: &str) -> bool {
    let source = read(&format!("src/{file}"));
    [
        format!("pub async fn {function}("),
        format!("pub fn {function}("),
        format!("fn {function}<"),
    ]
    .iter()
    .any(|signature| source.contains(signature.as_str()))
}

#[test]
fn every_endpoint_has_its_function_or_stands_on_the_list() {
    let mut wrong = Vec::new();
    let mut missing = String::new();
    for (file, function) in endpoints() {
        let listed = NOT_YET.lines().any(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            columns.len() == 3
                && columns[0].len() == "2026-11-22".len()
                && columns[1..] == [file, function]
        });
        match (is_there(file, function), listed) {
            (true, true) => wrong.push(format!(
                "src/{file}: {function} is there: take it off src/xtask/not-yet.tsv"
            )),
            (false, false) => wrong.push(format!("src/{file}: {function} is missing")),
            _ => {}
        }
        if !is_there(file, function) {
            missing.push_str(&format!("2026-11-22\t{file}\t{function}\n"));
        }
    }
    if std::env::var_os("UPDATE_NOT_YET").is_some() {
        fs::write(Path::new(ROOT).join("src/xtask/not-yet.tsv"), missing).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `authentication`, `events`, …: how many of how many endpoints are there.
fn table() -> String {
    let mut areas: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (file, function) in endpoints() {
        let mut parts = file.trim_end_matches(".rs").split('/');
        let (api, area) = (parts.next().unwrap(), parts.next().unwrap());
        let area = match (api, area, parts.next()) {
            ("client-server-api", "modules", Some(module)) => module.replace('_', " "),
            ("client-server-api", area, _) => area.replace('_', " "),
            (api, ..) => api.replace('-', " "),
        };
        let counted = areas.entry(area).or_default();
        counted.0 += usize::from(is_there(file, function));
        counted.1 += 1;
    }
    let cell = |complete: bool| {
        let of: Vec<String> = areas
            .iter()
            .filter(|(_, (there, all))| *there > 0 && (there == all) == complete)
            .map(|(area, (there, all))| {
                if complete {
                    area.clone()
                } else {
                    format!("{area} ({there} of {all})")
                }
            })
            .collect();
        of.join(", ")
    };
    let none: Vec<&str> = areas
        .iter()
        .filter(|(_, (there, _))| *there == 0)
        .map(|(area, _)| area.as_str())
        .collect();
    format!(
        "| | |\n| --- | --- |\n| all endpoints | {} |\n| some endpoints | {} |\n| not yet | {} |\n",
        cell(true),
        cell(false),
        none.join(", ")
    )
}

#[test]
fn the_readme_says_what_works() {
    let readme = read("README.md");
    let (before, rest) = readme.split_once("<!-- endpoints -->\n").unwrap();
    let (now, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        let text = format!("{before}<!-- endpoints -->\n{}<!-- end -->{after}", table());
        fs::write(Path::new(ROOT).join("README.md"), text).unwrap();
        return;
    }
    assert_eq!(
        now,
        table(),
        "run the tests of xtask once with UPDATE_README=1"
    );
    assert!(readme.lines().count() <= 120);
}

#[test]
fn the_top_level_is_what_one_reads() {
    let mut names: Vec<String> = files(&["."])
        .iter()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .map(str::to_owned)
        .collect();
    names.dedup();
    let expected = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "config",
        "docs",
        "spec-tests",
        "src",
    ];
    assert_eq!(names, expected);
}

/// Lines of `files` in which `is_wrong` finds something.
fn lines(files: &[String], is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in files {
        for (number, line) in read(path)
            .lines()
            .enumerate()
            .filter(|(_, line)| is_wrong(line))
        {
            wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
        }
    }
    wrong
}

#[test]
fn only_the_store_names_its_engine() {
    let others: Vec<String> = files(&["src/*.rs"])
        .into_iter()
        .filter(|path| !path.starts_with("src/store/") && !path.starts_with("src/xtask/"))
        .collect();
    let wrong = lines(&others, |line| {
        line.contains("rocksdb::") || line.contains("use rocksdb")
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for manifest in files(&["src/*/Cargo.toml"]) {
        let named = read(&manifest).contains("\nrocksdb");
        assert!(
            !named
                || manifest == "src/store/Cargo.toml"
                || manifest == "src/workspace-hack/Cargo.toml",
            "{manifest}"
        );
    }
}

#[test]
fn no_file_names_a_machines_folders() {
    // Written apart, so that this file does not.
    let folders = ["work", "root", "farm"].map(|name| format!("/{name}/"));
    let patterns = [
        "*.rs",
        "*.md",
        "*.toml",
        "*.tsv",
        "*.sh",
        "*.py",
        "*.mjs",
        "*.service",
        ".ci/*",
        ".cargo/*",
    ];
    let wrong = lines(&files(&patterns), |line| {
        folders.iter().any(|folder| line.contains(folder))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_sleeps_or_is_ignored() {
    let tests: Vec<String> = files(&["src/*.rs"])
        .into_iter()
        .filter(|path| path.contains("tests"))
        .collect();
    let wrong = lines(&tests, |line| {
        line.trim_start().starts_with(concat!("#[ign", "ore"))
            || line.contains(concat!("thread::sl", "eep"))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Lengths to look at again; a report, and a limit far above them.
#[test]
fn files_can_be_read() {
    for path in files(&["src/*.rs"])
        .into_iter()
        .filter(|path| !path.contains("tests"))
    {
        // Tests at the end of a file do not count.
        let text = read(&path);
        let count = text
            .split("\n#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default()
            .lines()
            .count();
        if count > 500 {
            println!("{path}: {count} lines");
        }
        assert!(count <= 800, "{path}: {count} lines");
    }
}
