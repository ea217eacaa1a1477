//! `floe plugin learn` with real guests: what it prints makes their calls work, and while it learns nothing is reached.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs `floe` in the folder, with its cache and its store there.
fn floe(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_CACHE", dir.join("cache")).env("FLOE_HOME", dir.join("home"));
    command.env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The lines that it prints.
fn learn(dir: &Path, args: &[&str]) -> String {
    let output = floe(dir, &[&["plugin", "learn"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

fn learn_json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&learn(dir, &[args, &["--json"]].concat())).unwrap()
}

/// Runs the node in a flow under these lines, and gives what came out.
fn run(dir: &Path, component: &str, node: &str, grants: &str, input: &Value) -> Value {
    let grants: String = grants.lines().map(|line| format!("    {line}\n")).collect();
    let flow =
        format!("floe: 1\nname: test\nplugins:\n  p:\n    source: {component}\n{grants}nodes:\n  n: {{ run: p/{node} }}\n");
    fs::write(dir.join("flow.yaml"), flow).unwrap();
    fs::write(dir.join("in.jsonl"), format!("{input}\n")).unwrap();
    let output = floe(dir, &["run", "flow.yaml", "--input", "in.jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_is_learned_of_state_makes_the_call_work() {
    let dir = folder();
    let dir = dir.path();
    let grants = learn(dir, &[floe_tests::WANTS_STATE, "visits", "--input", "1"]);
    assert!(grants.starts_with("grants:\n  state: { space: "), "{grants}");
    let output = run(dir, floe_tests::WANTS_STATE, "visits", &grants, &json!(1));
    assert_eq!(output["payload"], 1, "{output}");
}

#[test]
fn what_is_learned_of_tools_makes_the_call_work() {
    let dir = folder();
    let dir = dir.path();
    let input = json!([["p/double", { "n": 21 }]]);
    fs::write(dir.join("lines.jsonl"), format!("{input}\n[]\n{input}\n[[\"a b: {{}}\", 1]]\n")).unwrap();
    let args = [floe_tests::CALLS_TOOLS, "ask", "--input", "lines.jsonl"];
    let grants = learn(dir, &args);
    assert_eq!(grants, "grants:\n  tools:\n    - \"p/double\"\n");
    let report = learn_json(dir, &args);
    let calls = &report["calls"];
    assert_eq!(json!([calls["total"], calls["completed"], calls["denied"], calls["failed"]]), json!([4, 1, 3, 0]));
    assert_eq!(report["notes"], json!(["the tool `a b: {}` is left out: no grant can be written for it"]));
    let output = run(dir, floe_tests::CALLS_TOOLS, "ask", &grants, &input);
    assert_eq!(output["payload"], json!([42]), "{output}");
}

#[test]
fn nothing_is_sent_while_it_is_learned() {
    let dir = folder();
    let dir = dir.path();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let input = json!({ "method": "POST", "url": format!("http://127.0.0.1:{port}/a/b?q=1") }).to_string();
    let rule = json!({ "scheme": "http", "host": "127.0.0.1", "ports": [port], "methods": ["POST"], "path": "/a/b" });
    let report = learn_json(dir, &[floe_tests::CALLS_HTTP, "ask", "--input", &input]);
    assert_eq!(report["grants"], json!({ "http": [rule] }));
    assert_eq!(report["calls"]["denied"], 1);
    assert!(report["notes"].to_string().contains("imports `secrets`"), "{report}");

    // With that in place it goes on to the next thing in its way.
    let granted = report["grants"].to_string();
    let again = learn_json(dir, &[floe_tests::CALLS_HTTP, "ask", "--input", &input, "--grants", &granted]);
    assert_eq!(again["grants"], report["grants"]);
    assert!(again["notes"].to_string().contains("private: true"), "{again}");
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn nothing_is_sent_by_wasi_http_either() {
    let dir = folder();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let input = json!(["GET", "http", format!("127.0.0.1:{port}"), "/x", [], ""]).to_string();
    let report = learn_json(dir.path(), &[floe_tests::WANTS_HTTP, "fetch", "--input", &input]);
    let rule = json!({ "scheme": "http", "host": "127.0.0.1", "ports": [port], "methods": ["GET"], "path": "/x" });
    assert_eq!(report["grants"], json!({ "http": [rule] }), "{report}");
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn secrets_are_asked_for_by_name_and_never_read() {
    let dir = folder();
    let input = json!({ "url": "https://api.example.com/", "secret": "key" }).to_string();
    let report = learn_json(dir.path(), &[floe_tests::CALLS_HTTP, "ask", "--input", &input]);
    // It ended there, so the request is not known yet.
    assert_eq!(report["grants"], json!({ "http": [] }));
    assert!(report["notes"].to_string().contains("the secret `key`"), "{report}");
}

#[test]
fn what_is_learned_of_files_makes_the_call_work() {
    let dir = folder();
    let dir = dir.path();
    fs::create_dir(dir.join("data")).unwrap();
    fs::write(dir.join("data/a.txt"), "here").unwrap();
    let input = json!("/data/a.txt");
    let grants = learn(dir, &[floe_tests::READS_FILES, "read", "--input", &input.to_string()]);
    assert_eq!(grants, "grants:\n  files:\n    - { as: \"/data\", dir: \"./data\" }\n");
    let output = run(dir, floe_tests::READS_FILES, "read", &grants, &input);
    assert_eq!(output["payload"], "here", "{output}");
    // What is there on this machine is not seen.
    let etc = learn_json(dir, &[floe_tests::READS_FILES, "read", "--input", "\"/etc/passwd\""]);
    assert_eq!(etc["calls"]["completed"], 0, "{etc}");
    assert_eq!(etc["grants"]["files"][0]["as"], "/etc", "{etc}");
}

#[test]
fn clocks_and_randomness_are_those_of_all_plugins() {
    let dir = folder();
    let report = learn_json(dir.path(), &[floe_tests::WANTS_CLOCK, "times", "--input", "1"]);
    assert_eq!((&report["grants"], &report["calls"]["completed"]), (&json!({ "clock": { "resolution": "1ms" } }), &json!(1)));
}

#[test]
fn subflows_are_learned_by_name() {
    let dir = folder();
    let report = learn_json(dir.path(), &[floe_tests::CALLS_SUBFLOW, "ask", "--input", "[[\"child\", 1]]"]);
    assert_eq!(report["grants"], json!({ "subflow": ["child"] }));
}

#[test]
fn what_is_not_used_is_granted_as_nothing() {
    let dir = folder();
    let dir = dir.path();
    let grants = learn(dir, &[floe_tests::CALLS_TOOLS, "ask", "--input", "[]"]);
    assert_eq!(grants, "grants:\n  tools: []\n");
    let output = run(dir, floe_tests::CALLS_TOOLS, "ask", &grants, &json!([]));
    assert_eq!(output["payload"], json!([]), "{output}");
    let output = floe(dir, &["plugin", "learn", floe_tests::CALLS_TOOLS, "ask", "--grants", "[1]"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("these are no grants"), "{}", text(&output.stderr));
}
