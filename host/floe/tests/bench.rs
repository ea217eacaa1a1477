//! `floe bench runtime` with small numbers: every figure is there. How good any of them is, no test says.

use std::path::Path;
use std::process::Command;

use expect_test::expect;
use serde_json::{Value, json};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");

#[test]
fn every_part_of_the_runtime_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(["bench", "runtime", "--hops", "2", "--messages", "20", "--chunks", "200", "--cancels", "2", "--flows", "200"]);
    command.args(["--rounds", "2", "--journal-in", "journals", "--json"]);
    let output = command.current_dir(dir.path()).env("FLOE_CACHE", dir.path().join("cache")).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut setting = report["setting"].clone();
    assert!(setting["cores"].take().as_u64().unwrap() > 0);
    let expected = json!({ "hops": 2, "messages": 20, "chunks": 200, "cancels": 2, "flows": 200, "rounds": 2, "cores": null });
    assert_eq!(setting, expected);

    let mut names = String::new();
    for figure in report["figures"].as_array().unwrap() {
        let (name, goal) = (figure["name"].as_str().unwrap(), figure["goal"].as_str().unwrap());
        // What a subflow adds is a difference; with a few requests, it may be lost in what is around it.
        assert!(figure["value"].as_f64().unwrap() > 0.0 || name.starts_with("a subflow"), "{figure}");
        assert_eq!(goal.is_empty(), figure["verdict"] == "", "{figure}");
        names += &format!("{}\n", [name, goal].join(" | ").trim_end_matches(" | "));
    }
    expect![[r#"
        native hop, no journal, 1 in flight
        native hop, no journal, 8 in flight
        native hop, no journal, 256 in flight
        native hop, journal in memory, 1 in flight
        native hop, journal in memory, 8 in flight
        native hop, journal in memory, 256 in flight
        native hop, journal in SQLite, 1 in flight
        native hop, journal in SQLite, 8 in flight
        native hop, journal in SQLite, 256 in flight
          durable hops a second | ≥ 20 000/s
        floor: a record in SQLite, 256 a commit
          a durable hop against the floor
        a chunk to the reader, over two nodes
          chunks a second | ≥ 500 000/s
        a subflow call, beyond its nodes' hops | ≤ 20 µs
        a request that fans out into 100 and joins
          for each of the 100
        floor: the longest that a thread stood still
        cancel, until a guest that computes has ended | ≤ 1 000 µs
          the slowest | ≤ 1 000 µs
        cancel, while others compute on all threads | ≤ 1 000 µs
          the slowest among others | ≤ 1 000 µs
        a running flow of 10 nodes | ≤ 40 KiB
          and a trace in it
        a queued message of 1 KiB | ≤ 2 KiB
    "#]]
    .assert_eq(&names);
    // The journals went with their folders.
    assert_eq!(std::fs::read_dir(dir.path().join("journals")).unwrap().count(), 0);
}

/// What is run is what is shown.
#[test]
fn the_guest_that_is_cancelled_is_its_text() {
    let text = wat::parse_file(Path::new(GOLDEN).join("spin.wat")).unwrap();
    assert_eq!(text, std::fs::read(Path::new(GOLDEN).join("spin.wasm")).unwrap());
}
