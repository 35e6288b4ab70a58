//! The catalogue keeps to Prometheus's conventions, `docs/metrics.md` is the catalogue, and what stands ready in `config/`
//! asks for nothing else.

use std::{collections::HashSet, fmt::Write, fs, path::Path};

use serde_json::Value;

use super::catalogue::{CATALOGUE, Kind};

#[test]
fn names_follow_the_conventions() {
    let mut seen = HashSet::new();
    for metric in CATALOGUE {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is there twice");
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.bytes().all(is_good), "{name}");
        assert!(
            name.starts_with("myelin_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "{name}"
        );
        for not_a_base_unit in ["_ms", "_micros", "_kib", "_mb", "milliseconds", "megabytes"] {
            assert!(!name.contains(not_a_base_unit), "{name}");
        }
        if metric.kind == Kind::Histogram {
            assert!(
                name.ends_with("_seconds") || name.ends_with("_batches"),
                "{name}"
            );
        }
        let help = metric.help;
        assert!(
            help.ends_with('.') && !help.contains(['\n', '\\', '|']),
            "{help}"
        );
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         What `/metrics` says on the addresses in `metrics.listen`, in the text format of OpenMetrics. A test writes this page\n\
         from the code (`UPDATE_METRICS=1 cargo test -p monitoring`); [grafana-dashboard.json](../config/grafana-dashboard.json)\n\
         shows the figures, [prometheus.yml](../config/prometheus.yml) fetches them and\n\
         [prometheus-alerts.yml](../config/prometheus-alerts.yml) says which of them should wake somebody.\n\n\
         Labels hold patterns of routes and names from the code, never a path, a user or a room: their number does not grow\n\
         with what clients send.\n\n\
         | name | kind | labels | |\n| --- | --- | --- | --- |\n",
    );
    for metric in CATALOGUE {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind) = (metric.name, metric.kind.name());
        let _ = writeln!(
            page,
            "| `{name}` | {kind} | {} | {} |",
            labels.join(", "),
            metric.help
        );
    }
    page
}

#[test]
fn the_page_about_them_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("UPDATE_METRICS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(there, page(), "run this test once with UPDATE_METRICS=1");
}

fn in_config(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    fs::read_to_string(path.join(name)).unwrap()
}

/// The names in a query, as it writes them.
fn names(query: &str) -> HashSet<&str> {
    let words =
        query.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let of_ours = |word: &&str| word.starts_with("myelin_") || word.starts_with("process_");
    words.filter(of_ours).collect()
}

/// What samples are called.
fn sample_names() -> HashSet<String> {
    let suffixes = |kind| match kind {
        Kind::Counter | Kind::Gauge => &[""][..],
        Kind::Histogram => &["_bucket", "_sum", "_count"],
    };
    let names = CATALOGUE.iter().flat_map(|metric| {
        let suffixes = suffixes(metric.kind).iter();
        suffixes.map(|suffix| format!("{}{suffix}", metric.name))
    });
    names.collect()
}

/// Each text in the values of `key`, however deep.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == key {
                    found.extend(member.as_str());
                }
                texts(member, key, found);
            }
        }
        Value::Array(members) => members.iter().for_each(|member| texts(member, key, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let dashboard: Value = serde_json::from_str(&in_config("grafana-dashboard.json")).unwrap();
    let there = sample_names();
    let labels: HashSet<&str> = CATALOGUE
        .iter()
        .flat_map(|metric| metric.labels)
        .copied()
        .collect();
    let mut queries = Vec::new();
    texts(&dashboard["panels"], "expr", &mut queries);
    assert!(queries.len() > 50);
    for query in queries {
        let names = names(query);
        assert!(!names.is_empty(), "{query}");
        for name in names {
            assert!(there.contains(name), "no {name}: {query}");
        }
        let count = |bracket| query.matches(bracket).count();
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            assert_eq!(count(open), count(close), "{query}");
        }
    }
    let mut legends = Vec::new();
    texts(&dashboard["panels"], "legendFormat", &mut legends);
    for legend in legends {
        for label in legend.split("{{").skip(1) {
            let label = label.split("}}").next().unwrap();
            assert!(labels.contains(label) || label == "instance", "{legend}");
        }
    }
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: HashSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len());
}

#[test]
fn the_alerts_watch_what_there_is() {
    let (alerts, there) = (in_config("prometheus-alerts.yml"), sample_names());
    let names = names(&alerts);
    assert!(names.len() > 10);
    for name in names {
        assert!(there.contains(name), "no {name}");
    }
    assert!(in_config("prometheus.yml").contains("- prometheus-alerts.yml"));
}
