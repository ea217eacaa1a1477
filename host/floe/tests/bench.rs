//! `floe bench` with small numbers: every figure is there. How good any of them is, no test says.

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

/// Runs a bench, and returns its setting without the number of cores, and its figures with their names and goals.
#[expect(clippy::unwrap_used, reason = "a test's own helper")]
fn bench(args: &[&str]) -> (Value, Vec<Value>, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.arg("bench").args(args).arg("--json").env("FLOE_CACHE", dir.path().join("cache"));
    let output = command.current_dir(dir.path()).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    let mut report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["setting"]["cores"].take().as_u64().unwrap() > 0);
    let Value::Array(figures) = report["figures"].take() else { panic!("{report}") };
    let mut names = String::new();
    for figure in &figures {
        let (name, goal) = (figure["name"].as_str().unwrap(), figure["goal"].as_str().unwrap());
        assert_eq!(goal.is_empty(), figure["verdict"] == "", "{figure}");
        names += &format!("{name}{}\n", if goal.is_empty() { "" } else { " | a goal" });
    }
    (report["setting"].take(), figures, names)
}

#[test]
fn a_tenant_is_measured_beside_each_aggressor() {
    let (setting, figures, names) = bench(&["neighbour", "--requests", "3", "--rounds", "1"]);
    assert_eq!(setting, json!({ "requests": 3, "rounds": 1, "aggressor_in_flight": 64, "cores": null }));
    // An aggressor may end no call while the good one makes three.
    let measured = figures.iter().filter(|figure| !figure["name"].as_str().unwrap().contains("ended meanwhile"));
    assert!(measured.into_iter().all(|figure| figure["value"].as_f64().unwrap() > 0.0), "{figures:?}");
    expect![[r#"
        alone, half of the calls at most
          and 99 of 100
        beside one that spins
          99 of 100, beside one that spins | a goal
          its calls that ended meanwhile (spins)
        beside one that allocates
          99 of 100, beside one that allocates | a goal
          its calls that ended meanwhile (allocates)
        beside one that floods the log
          99 of 100, beside one that floods the log | a goal
          its calls that ended meanwhile (floods the log)
        beside one that floods the flow
          99 of 100, beside one that floods the flow | a goal
          its calls that ended meanwhile (floods the flow)
        beside one that storms the host
          99 of 100, beside one that storms the host | a goal
          its calls that ended meanwhile (storms the host)
        beside one that opens connections
          99 of 100, beside one that opens connections | a goal
          its calls that ended meanwhile (opens connections)
    "#]]
    .assert_eq(&names);
}

#[test]
fn each_limit_of_the_sandbox_is_measured() {
    let (setting, figures, names) = bench(&["sandbox", "--calls", "5", "--instances", "20", "--rounds", "1"]);
    assert_eq!(setting, json!({ "calls": 5, "instances": 20, "rounds": 1, "cores": null }));
    let value = |name: &str| figures.iter().find(|figure| figure["name"] == name).unwrap()["value"].as_f64().unwrap();
    assert_eq!(value("idle instances in one pool") as u32, 20);
    let size = value("a component that is loaded, with functions made for it");
    assert!((1.0..1.2).contains(&size), "{size} MB");
    expect![[r#"
        floor: raw Wasmtime, a fresh instance a call, all limits
        a call with a fresh instance
          against the floor
        floor: raw Wasmtime, one instance, all limits
        a call of an instance that is used again
          above the floor
          fuel, with its yields
          yields by fuel alone
          ticks of the clock
          slots of a pool, instead of mapping memory
          the same NaNs everywhere
          memories and tables counted together
          bytes of a crossing, instead of Wasmtime's own bound
          handles, instead of Wasmtime's own bound
          values behind handles
          a tenant's ceiling
          turns beside another tenant
          a journal in memory with a record of the call
        idle instances in one pool | a goal
          their memory | a goal
          for each
          mappings of the process, of 65 530 that Linux lets it have
        a component that is loaded, with functions made for it
          compiled in a process of its own
          from the cache on disk, in another process's place
          once more in the same process | a goal
    "#]]
    .assert_eq(&names);
}

/// What is run is what is shown.
#[test]
fn the_guest_that_is_cancelled_is_its_text() {
    let text = wat::parse_file(Path::new(GOLDEN).join("spin.wat")).unwrap();
    assert_eq!(text, std::fs::read(Path::new(GOLDEN).join("spin.wasm")).unwrap());
}
