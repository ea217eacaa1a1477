//! Attempts made once more, as a user sees it: the real binary, real plugins, a journal that was changed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use floe_tests::{CALLS_SUBFLOW, ECHO, EVIL};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything that differs between two runs, a router, a join, a map.
const NODES: &str = "  ask: { run: p/unpredictable }
  choose: { route: [{ when: 'size(payload) == 2', to: each }, { else: told }] }
  each: { map: p/unpredictable }
  told: { run: p/told }
  pair: { join: { count: 2 } }
  last: { run: p/hash-order }
edges:
  - ask -> choose
  - choose -> each -> pair
  - choose -> told -> pair
  - pair -> last
";

/// A folder with a flow of the nodes, and its input.
fn folder(nodes: &str, input: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = format!("floe: 1\nname: test\nplugins:\n  p: {{ source: {EVIL} }}\n  e: {{ source: {ECHO} }}\nnodes:\n{nodes}");
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    fs::write(dir.path().join("in.jsonl"), input).unwrap();
    dir
}

fn floe(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_JOURNAL", "j.db");
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the flow over its input, and returns the id of the one trace.
fn run(dir: &Path) -> String {
    let ran = floe(dir, &["run", ".", "--input", "in.jsonl", "--journal", "j.db", "--output", "out.jsonl"]);
    assert!(matches!(ran.status.code(), Some(0 | 1)), "{}", errors(&ran));
    let traces = floe(dir, &["traces", "--json"]);
    let traces = json_lines(&String::from_utf8(traces.stdout).unwrap());
    traces.iter().find(|trace| trace["caller"].is_null()).unwrap()["trace_id"].as_str().unwrap().to_owned()
}

/// The exit code and the lines of `floe replay`.
fn replay(dir: &Path, args: &[&str]) -> (i32, Vec<String>) {
    let replayed = floe(dir, &[&["replay"], args].concat());
    let lines = String::from_utf8(replayed.stdout.clone()).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(errors(&replayed), "", "{args:?}");
    (replayed.status.code().unwrap(), lines)
}

/// Writes other bytes, as many, into the journal's file, wherever these are.
fn tamper(dir: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    assert_eq!(
        fs::metadata(dir.join("j.db-wal")).map_or(0, |log| log.len()),
        0,
        "a run that has ended leaves all of its journal in one file"
    );
    let path = dir.join("j.db");
    let mut bytes = fs::read(&path).unwrap();
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, part)| *part == from.as_bytes()).map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "`{from}` is in the journal");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_finished_trace_comes_out_the_same() {
    let dir = folder(NODES, "20\n");
    let dir = dir.path();
    let trace = run(dir);
    // Neither the flow's file nor the plugins' are needed any more.
    fs::remove_file(dir.join("flow.yaml")).unwrap();
    let before = fs::read(dir.join("j.db")).unwrap();
    let (code, lines) = replay(dir, &[&trace]);
    assert_eq!((code, lines.last().unwrap().as_str()), (0, "identical: 6 of 6 attempts"), "{lines:#?}");
    assert_eq!(lines[0], "ask 0000000000000000 attempt 1: identical");
    let nodes: Vec<&str> = lines[..6].iter().map(|line| line.split(' ').next().unwrap()).collect();
    for node in ["ask", "choose", "each", "told", "last"] {
        assert!(nodes.contains(&node), "{node}: {lines:#?}");
    }
    assert_eq!(fs::read(dir.join("j.db")).unwrap(), before, "nothing is written");

    let (code, lines) = replay(dir, &[&trace, "--node", "each", "--json"]);
    let lines = json_lines(&lines.join("\n"));
    assert_eq!((code, lines.len(), &lines[0]["node"], &lines[0]["result"]), (0, 2, &json!("each"), &json!("identical")));
    assert_eq!(lines[1]["summary"], json!({ "identical": 1, "differs": 0, "not_replayed": 0 }));

    let unknown = floe(dir, &["replay", &trace, "--node", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(errors(&unknown).contains("has no record of a node `nobody`"), "{}", errors(&unknown));
}

#[test]
fn records_are_printed_one_after_the_other() {
    let dir = folder("  greet: { run: e/greet }\n", "{\"name\": \"a\"}\n");
    let dir = dir.path();
    let trace = run(dir);
    let history = floe(dir, &["history", &trace]);
    let (code, lines) = replay(dir, &[&trace, "--print", "--delay", "0.01"]);
    assert_eq!((code, lines.join("\n") + "\n"), (0, String::from_utf8(history.stdout).unwrap()));
    let (_, lines) = replay(dir, &[&trace, "--print", "--node", "greet"]);
    let lines = json_lines(&lines.join("\n"));
    assert_eq!((lines.len(), &lines[0]["record"], &lines[0]["at"]["node"]), (1, &json!("done"), &json!("greet")));
    let delay = floe(dir, &["replay", &trace, "--print", "--delay", "-1"]);
    assert_eq!(delay.status.code(), Some(2));
}

#[test]
fn a_changed_record_makes_a_difference() {
    let dir = folder("  greet: { run: e/greet }\n  again: { run: p/told }\nedges: [greet -> again]\n", "{\"name\": \"abc\"}\n");
    let dir = dir.path();
    let trace = run(dir);
    assert_eq!(replay(dir, &[&trace]).0, 0);
    tamper(dir, "\"Hello, abc!\"", "\"Hello, abd!\"");
    let (code, lines) = replay(dir, &[&trace]);
    assert_eq!(code, 1);
    let said = r#"attempt 1: output 0 was {"greeting":"Hello, abd!"} and is {"greeting":"Hello, abc!"}"#;
    assert!(lines[0].starts_with("greet ") && lines[0].ends_with(said), "{lines:#?}");
    assert!(lines[1].starts_with("again ") && lines[1].contains("abc") && lines[1].contains("abd"), "it got the changed message");
    assert_eq!(lines[2], "identical: 0 of 2 attempts; 2 differ");
    let (_, lines) = replay(dir, &[&trace, "--node", "greet", "--json"]);
    let line = json_lines(&lines[0]).remove(0);
    let then = r#"{"greeting":"Hello, abd!"}"#;
    assert_eq!((&line["result"], &line["differences"][0]["then"]), (&json!("differs"), &json!(then)));
}

#[test]
fn a_changed_answer_is_a_conflict() {
    let dir = folder("  ask: { run: p/unpredictable }\n", "1\n");
    let dir = dir.path();
    let trace = run(dir);
    tamper(dir, "[\"wall-clock.now\",", "[\"wall-clock.not\",");
    let (code, lines) = replay(dir, &[&trace]);
    assert_eq!(code, 1);
    let said = "it asks for `wall-clock.now` where the record has `wall-clock.not`";
    assert!(lines[0].contains("the failure is new: {\"kind\":\"conflict\"") && lines[0].contains(said), "{lines:#?}");
}

#[test]
fn what_cannot_come_out_the_same_is_not_replayed() {
    let nodes = "  slow: { run: p/sleep, policy: { timeout: 100ms, retries: 0 } }\n";
    let dir = folder(nodes, "60000\n");
    let (code, lines) = replay(dir.path(), &[&run(dir.path())]);
    assert_eq!((code, lines[0].as_str()), (0, "slow 0000000000000000 attempt 1: not replayed: its time was up"));
    assert_eq!(lines[1], "identical: 0 of 0 attempts; 1 not replayed: its time was up");

    let dir = folder("  greet: { run: e/greet, reuse: 2 }\n", "{\"name\": \"a\"}\n");
    let (code, lines) = replay(dir.path(), &[&run(dir.path())]);
    assert_eq!(code, 0);
    assert!(lines[0].ends_with("not replayed: `reuse`: what an instance has of earlier calls is not recorded"), "{lines:#?}");

    let dir = folder("  greet: { run: e/greet }\n", "{\"name\": \"a\"}\n");
    let trace = run(dir.path());
    tamper(dir.path(), ", wasmtime ", ", wasmtome ");
    let (_, lines) = replay(dir.path(), &[&trace]);
    assert!(lines[0].contains("not replayed: it ran on floe") && lines[0].contains(", wasmtome "), "{lines:#?}");
}

#[test]
fn a_journal_without_tapes_is_read() {
    let dir = folder("  greet: { run: e/greet }\n", "{\"name\": \"a\"}\n");
    let dir = dir.path();
    let trace = run(dir);
    // A name that no version knows: as if nothing had been there.
    tamper(dir, "\"tape\":", "\"nope\":");
    let (code, lines) = replay(dir, &[&trace]);
    assert_eq!((code, lines[1].as_str()), (0, "identical: 0 of 0 attempts; 1 not replayed: nothing was recorded of its call"));
    let resumed = floe(dir, &["resume", "j.db"]);
    assert!(resumed.status.success(), "{}", errors(&resumed));
}

#[test]
fn a_subflow_is_a_trace_of_its_own() {
    let dir = folder("  sub: { subflow: inner }\nsubflows:\n  inner: inner.yaml\n", "1\n");
    let dir = dir.path();
    let inner = format!("floe: 1\nname: inner\nplugins:\n  q: {{ source: {EVIL} }}\nnodes:\n  ask: {{ run: q/unpredictable }}\n");
    fs::write(dir.join("inner.yaml"), inner).unwrap();
    let trace = run(dir);
    let (code, lines) = replay(dir, &[&trace]);
    let said = "not replayed: it ran a subflow: replay that as TRACE/NODE.MESSAGE.ATTEMPT.0";
    assert_eq!((code, lines[0].as_str()), (0, format!("sub 0000000000000000 attempt 1: {said}").as_str()));
    let (code, lines) = replay(dir, &[&format!("{trace}/sub.0000000000000000.1.0")]);
    assert_eq!((code, lines[1].as_str()), (0, "identical: 1 of 1 attempts"), "{lines:#?}");
}

#[test]
fn a_subflow_that_a_plugin_runs_is_answered_from_the_record() {
    let dir = folder("", "[[\"inner\", 1], [\"inner\", 2]]\n");
    let dir = dir.path();
    let plugin = format!("  c: {{ source: {CALLS_SUBFLOW}, grants: {{ subflow: [inner] }} }}\n");
    let flow =
        format!("floe: 1\nname: outer\nplugins:\n{plugin}subflows:\n  inner: inner.yaml\nnodes:\n  ask: {{ run: c/ask }}\n");
    fs::write(dir.join("flow.yaml"), flow).unwrap();
    let inner = format!("floe: 1\nname: inner\nplugins:\n  q: {{ source: {EVIL} }}\nnodes:\n  ask: {{ run: q/unpredictable }}\n");
    fs::write(dir.join("inner.yaml"), inner).unwrap();
    let trace = run(dir);
    let outputs = json_lines(&fs::read_to_string(dir.join("out.jsonl")).unwrap());
    assert_eq!(outputs[0]["payload"].as_array().unwrap().len(), 2, "{outputs:?}");

    // What the flow gave cannot be had twice; the record has it, and what it used.
    let (code, lines) = replay(dir, &[&trace]);
    assert_eq!((code, lines[0].as_str()), (0, "ask 0000000000000000 attempt 1: identical"));
    let (code, lines) = replay(dir, &[&format!("{trace}/ask.0000000000000000.1.1.inner")]);
    assert_eq!((code, lines[1].as_str()), (0, "identical: 1 of 1 attempts"), "{lines:#?}");
}

#[test]
fn what_the_journal_does_not_have_is_said() {
    let nodes = "  sub: { subflow: inner }\nsubflows:\n  inner: inner.yaml\n";
    let dir = folder(nodes, "{\"name\": \"a\"}\n");
    let dir = dir.path();
    let inner = format!("floe: 1\nname: inner\nplugins:\n  q: {{ source: {ECHO} }}\nnodes:\n  greet: {{ run: q/greet }}\n");
    fs::write(dir.join("inner.yaml"), &inner).unwrap();
    let trace = run(dir);
    fs::write(dir.join("inner.yaml"), inner + "# changed\n").unwrap();
    let changed = floe(dir, &["replay", &trace]);
    assert_eq!(changed.status.code(), Some(2));
    assert!(errors(&changed).contains("the file of subflow `inner` has changed since the run"), "{}", errors(&changed));

    let nodes = "  choose: { route: { by: name, from_file: ways.json } }\n  greet: { run: e/greet }\nedges: [choose -> greet]\n";
    let dir = folder(nodes, "{\"name\": \"a\"}\n");
    let dir = dir.path();
    fs::write(dir.join("ways.json"), "{\"a\": \"greet\"}").unwrap();
    let (code, lines) = replay(dir, &[&run(dir)]);
    assert_eq!(code, 0);
    assert!(lines[0].starts_with("choose ") && lines[0].contains("its table was in a file"), "{lines:#?}");
    assert!(lines[1].starts_with("greet ") && lines[1].ends_with(": identical"), "{lines:#?}");
}
