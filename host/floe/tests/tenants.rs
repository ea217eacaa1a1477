//! `--tenants` and `floe plugin check` as an operator uses them: the real binary, real plugins, real files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use floe_tests::{CALLS_SUBFLOW, EVIL};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a flow of a plugin of each kind, and a file of tenants.
fn folder(node: &str, tenants: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let plugins = format!(
        "  evil: {{ source: {EVIL}, limits: {{ fuel: 1e8, wall: 30s }} }}\n  asks: {{ source: {CALLS_SUBFLOW}, grants: {{ subflow: [inner] }} }}\n"
    );
    let flow = format!(
        "floe: 1\nname: test\nplugins:\n{plugins}subflows:\n  inner: inner.yaml\nnodes:\n  n: {{ run: {node}, policy: {{ retries: 0 }} }}\n"
    );
    let inner = "floe: 1\nname: inner\nnodes:\n  end: { discard: true }\n";
    for (name, text) in [("flow.yaml", flow.as_str()), ("inner.yaml", inner), ("tenants.yaml", tenants)] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn floe(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("NO_COLOR", "1");
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Runs the flow with a line for each tenant; of each line what came of it: its payload, or its error.
fn run(dir: &Path, payload: &Value, tenants: &[&str]) -> (Option<i32>, Vec<Value>) {
    let line = |tenant: &&str| json!({ "payload": payload, "headers": { "tenant": tenant } }).to_string() + "\n";
    fs::write(dir.join("in.jsonl"), tenants.iter().map(line).collect::<String>()).unwrap();
    let args = ["run", ".", "--input", "in.jsonl", "--envelope", "--tenants", "tenants.yaml", "--in-flight", "1"];
    let (code, out, errors) = floe(dir, &args);
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["line"].as_u64());
    assert!(lines.len() == tenants.len(), "{errors}");
    let shown = |line: Value| line.get("payload").or_else(|| line.get("error")).cloned().unwrap_or_default();
    (code, lines.into_iter().map(shown).collect())
}

#[test]
fn requests_beyond_the_rate_are_refused_and_told_when_to_come_back() {
    let dir = folder("evil/slow", "floe: 1\ntenants:\n  acme: { rate: { requests: 2 } }\nothers: {}\n");
    let (code, lines) = run(dir.path(), &json!(1), &["acme", "acme", "acme", "corp"]);
    assert_eq!((code, &lines[0], &lines[1], &lines[3]), (Some(1), &json!(1), &json!(1), &json!(1)));
    assert_eq!(lines[2]["code"], "rate_limited");
    let wait = lines[2]["detail"]["retry_after_ms"].as_u64().unwrap();
    assert!((1..=30_000).contains(&wait), "{wait}");
    assert!(lines[2]["message"].as_str().unwrap().contains("raise its `rate.requests`"), "{lines:?}");
}

#[test]
fn who_is_not_in_the_file_is_refused() {
    let dir = folder("evil/slow", "floe: 1\ntenants:\n  acme: {}\n");
    let (code, lines) = run(dir.path(), &json!(1), &["acme", "corp"]);
    assert_eq!((code, &lines[0], &lines[1]["code"]), (Some(1), &json!(1), &json!("denied")));
}

#[test]
fn a_refused_line_is_refused_once_with_a_journal() {
    let dir = folder("evil/slow", "floe: 1\ntenants:\n  acme: { rate: { requests: 1 } }\n");
    let dir = dir.path();
    let line = |n: u32| json!({ "payload": n, "headers": { "tenant": "acme" } }).to_string() + "\n";
    fs::write(dir.join("in.jsonl"), (0..3).map(line).collect::<String>()).unwrap();
    let args =
        ["run", ".", "--input", "in.jsonl", "--envelope", "--tenants", "tenants.yaml", "--journal", "j.db", "--output", "out"];
    for _ in 0..2 {
        floe(dir, &args);
        let out = fs::read_to_string(dir.join("out")).unwrap();
        assert_eq!((out.lines().count(), out.matches("rate_limited").count() >= 2), (3, true), "{out}");
    }
}

#[test]
fn computation_is_counted_by_the_minute() {
    let tenants = "floe: 1\ntenants:\n  acme: { rate: { fuel: 1000000 } }\nothers: {}\n";
    let dir = folder("evil/slow", tenants);
    // Each takes more than a minute has.
    let (code, lines) = run(dir.path(), &json!(3_000_000), &["acme", "acme", "corp", "corp"]);
    assert_eq!((code, &lines[0], &lines[2], &lines[3]), (Some(1), &json!(3_000_000), &json!(3_000_000), &json!(3_000_000)));
    assert_eq!(lines[1]["code"], "busy");
    let says = lines[1]["message"].as_str().unwrap();
    assert!(says.starts_with("rate_limited: tenant `acme` may use 1000000 of fuel a minute; come back in "), "{says}");
    assert!(says.ends_with("or raise `tenants.acme.rate.fuel`"), "{says}");
}

#[test]
fn limits_rights_plugins_and_room_are_at_most_the_ceilings() {
    let tenants = "floe: 1\ntenants:\n  small: { limits: { fuel: 200000 } }\n  none: { plugins: [] }\n  room: { instances: 0 }\n  poor: { grants: {} }\n  rich: { grants: { subflow: [inner] } }\n";
    let dir = folder("evil/spin", tenants);
    let (_, lines) = run(dir.path(), &json!(1), &["small", "none", "room", "rich"]);
    let said: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["code"].as_str().unwrap(), line["message"].as_str().unwrap())).collect();
    let raise = "limit `fuel` reached: used 200000 of 200000; raise it with `tenants.small.limits.fuel`";
    assert_eq!(said[0], ("exhausted", raise));
    assert_eq!(said[1].0, "denied");
    assert!(said[1].1.starts_with("plugin `evil` may not work for tenant `none`; add sha256:"), "{said:?}");
    let raise =
        "limit `instances` reached: tenant `room` has 0 at once, each memory counted; raise it with `tenants.room.instances`";
    assert_eq!(said[2], ("busy", raise));
    let raise = "limit `fuel` reached: used 100000000 of 100000000; raise it with `plugins.evil.limits.fuel`";
    assert_eq!(said[3], ("exhausted", raise));

    let dir = folder("asks/ask", tenants);
    let (_, lines) = run(dir.path(), &json!([["inner", 1]]), &["rich", "poor"]);
    assert_eq!(lines[0], json!([[]]));
    let why = "the subflow `inner` is not granted; add it to `tenants.poor.grants.subflow`";
    assert_eq!((&lines[1]["code"], &lines[1]["message"]), (&json!("denied"), &json!(why)));
}

#[test]
fn a_check_says_what_is_asked_granted_and_missing() {
    let tenants = "floe: 1\ntenants:\n  poor: { grants: {}, limits: { memory: 1MiB } }\n  none: { plugins: [] }\nothers: {}\n";
    let dir = folder("asks/ask", tenants);
    let (code, out, _) = floe(dir.path(), &["plugin", "check", "."]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("asks    –       subflow     yes    yes      –        has it"), "{out}");
    let (code, out, _) = floe(dir.path(), &["plugin", "check", ".", "--tenants", "tenants.yaml", "--tenant", "poor"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("missing: tenants.poor.grants.subflow") && out.contains("`evil` has less for `poor`: memory"), "{out}");
    let (code, out, _) = floe(dir.path(), &["plugin", "check", ".", "--tenants", "tenants.yaml", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, report["rights"].as_array().unwrap().len()), (Some(1), 3));
    assert_eq!(report["refused"].as_array().unwrap().len(), 2, "{out}");
    let set = ["plugin", "check", ".", "--set", "plugins.asks.grants={}"];
    let (code, out, _) = floe(dir.path(), &set);
    assert!(code == Some(1) && out.contains("missing: plugins.asks.grants.subflow"), "{out}");
    let (code, _, errors) = floe(dir.path(), &["plugin", "check", ".", "--tenants", "tenants.yaml", "--tenant", "x"]);
    assert!(code == Some(0), "others have no ceiling: {errors}");
}

#[test]
fn mistakes_in_the_file_have_their_places() {
    for (text, says) in [
        ("floe: 2\ntenants: {}\n", "tenants.yaml:1:7"),
        ("floe: 1\ntenants:\n  a: { wieght: 3 }\n", "did you mean `weight`?"),
        ("floe: 1\ntenants:\n  a: { rate: { requests: 0 } }\n", "tenants.yaml:3:"),
        ("floe: 1\ntenants:\n  a: {}\n  a: {}\n", "`a` is there twice"),
        ("floe: 1\n", "`tenants` is missing"),
        ("floe: 1\ntenants:\n  a: { grants: { htp: [] } }\n", "did you mean `http`?"),
    ] {
        let dir = folder("evil/slow", text);
        let (code, _, errors) = floe(dir.path(), &["run", ".", "--tenants", "tenants.yaml"]);
        assert_eq!(code, Some(2), "{text}: {errors}");
        assert!(errors.contains(says), "{text}: {errors}");
    }
}

/// Two plugins of one name and code, in a flow and in its subflow, have each its own rights for a tenant.
#[test]
fn a_plugin_of_the_same_name_elsewhere_has_its_own_rights() {
    let dir = folder("asks/ask", "floe: 1\ntenants:\n  acme: {}\n");
    let dir = dir.path();
    let flow = fs::read_to_string(dir.join("flow.yaml")).unwrap();
    let flow = flow.replace("  inner: inner.yaml\n", "  inner: inner.yaml\n  sub: sub.yaml\n") + "  s: { subflow: sub }\n";
    fs::write(dir.join("flow.yaml"), flow).unwrap();
    let sub = format!(
        "floe: 1\nname: sub\nplugins:\n  asks: {{ source: {CALLS_SUBFLOW}, grants: {{ subflow: [] }} }}\nnodes:\n  n: {{ run: asks/ask }}\n"
    );
    fs::write(dir.join("sub.yaml"), sub).unwrap();
    let line = json!({ "payload": [["inner", 1]], "headers": { "tenant": "acme" } }).to_string() + "\n";
    fs::write(dir.join("in.jsonl"), line.repeat(3)).unwrap();
    let args = ["run", ".", "--input", "in.jsonl", "--envelope", "--tenants", "tenants.yaml", "--in-flight", "1"];
    let (code, out, errors) = floe(dir, &args);
    assert_eq!(code, Some(1), "{out}{errors}");
    let why = "the subflow `inner` is not granted; add it to `plugins.asks.grants.subflow`";
    assert_eq!(out.lines().filter(|line| line.contains(why)).count(), 3, "{out}");
}
