//! The whole suite at its small size on the binary under test: that every scenario gives figures, and that what was sent arrived
//! once. No time is asserted.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use spec_tests::Server;

/// Those that count what arrived.
const COUNTING: [&str; 4] = ["fan-out", "to-device", "day", "restart"];

#[test]
fn every_scenario_gives_figures_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("figures.json");
    let output = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(["--size", "small", "--spawn"])
        .arg(format!("myelin={}", Server::binary().display()))
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let mut scenarios: BTreeMap<String, Value> = BTreeMap::new();
    let rows: Vec<Value> = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    for row in rows {
        let name = row["scenario"].as_str().unwrap();
        let name = name.split('=').next().unwrap().to_owned();
        scenarios.insert(name, row);
    }
    assert_eq!(scenarios.len(), 26, "{scenarios:?}");
    for (name, row) in &scenarios {
        let has_cpu = row["figures"]["CPU µs/op"].as_f64() > Some(0.0);
        let has_latency = row["figures"]["p99 ms"].as_f64() > Some(0.0);
        let notes = row["notes"].as_object().unwrap().len();
        let expected = match name.as_str() {
            "rest" | "disk" | "restart" => notes > 0,
            "noisy" => has_latency && notes > 0,
            _ => has_cpu && has_latency,
        };
        assert!(expected, "{row}");
    }
    for name in COUNTING {
        for what in ["lost", "doubled"] {
            assert_eq!(scenarios[name]["notes"][what].as_f64(), Some(0.0), "{name}");
        }
    }
    assert!(scenarios["restart"]["notes"]["acknowledged before kill -9"].as_f64() > Some(0.0));
}
