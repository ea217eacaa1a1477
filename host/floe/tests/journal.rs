//! What a journal tells and what a person decides, as a user sees it: the real binary, real plugins, a killed process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use floe_flow::state::{Owner, Place};
use floe_store::Sqlite;
use serde_json::{Value, json};
use sqlx::Connection;
use tempfile::TempDir;
use tokio::time::Instant;

/// A call must be under way when the process is killed: looked for this long.
const PATIENCE: Duration = Duration::from_secs(120);

fn folder(plugin: &str, node: &str, input: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = format!(
        "floe: 1\nname: test\nplugins:\n  p: {{ source: {plugin}, limits: {{ wall: 60s }} }}\nnodes:\n  n: {{ run: p/{node}, \
         policy: {{ concurrency: 2 }} }}\n"
    );
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    fs::write(dir.path().join("in.jsonl"), input).unwrap();
    dir
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_JOURNAL", "j.db");
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn floe(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

/// Standard output of a command that does what it is asked.
fn done(dir: &Path, args: &[&str]) -> String {
    let output = floe(dir, args);
    assert!(output.status.success(), "{args:?}: {}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const RUN: [&str; 8] = ["run", ".", "--input", "in.jsonl", "--journal", "j.db", "--output", "out.jsonl"];

/// The lines of the output, by their line of the input.
fn output(dir: &Path) -> Vec<Value> {
    let mut lines = json_lines(&fs::read_to_string(dir.join("out.jsonl")).unwrap());
    lines.sort_by_key(|line| line["line"].as_u64());
    lines
}

/// Runs until so many calls have begun, and kills the process.
fn kill_in_calls(dir: &Path, calls: usize) {
    let mut child = command(dir, &RUN).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let mut under_way = 0;
    while under_way < calls {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "{under_way} calls began");
        let traces = floe(dir, &["traces", "--json"]);
        let traces = json_lines(&String::from_utf8(traces.stdout).unwrap());
        under_way = traces.iter().filter(|trace| trace["records"] == json!(2)).count();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_call_in_doubt_waits_for_a_decision() {
    let dir = folder(floe_tests::EVIL, "slow-write", "8000\n8001\n");
    let dir = dir.path();
    kill_in_calls(dir, 2);
    let resumed = floe(dir, &["resume", "j.db"]);
    assert_eq!(resumed.status.code(), Some(1), "{}", errors(&resumed));
    assert!(errors(&resumed).contains("2 in_doubt"), "{}", errors(&resumed));
    assert_eq!(output(dir), Vec::<Value>::new(), "nothing is said of what is not decided");

    let traces = json_lines(&done(dir, &["traces", "--running", "--json"]));
    let mut names: Vec<&str> = traces.iter().map(|trace| trace["trace_id"].as_str().unwrap()).collect();
    names.sort_unstable();
    let said = done(dir, &["resolve", names[0], "--done", "{\"paid\": true}"]);
    assert!(said.contains("is done; floe resume j.db goes on with it"), "{said}");
    done(dir, &["resolve", names[1], "--fail"]);
    let again = floe(dir, &["resolve", names[1], "--retry"]);
    assert!(errors(&again).contains("has no call that is in doubt"), "{}", errors(&again));
    assert_eq!(floe(dir, &["resume", "j.db"]).status.code(), Some(1), "the second one has failed");
    let lines = output(dir);
    assert_eq!((lines.len(), &lines[0]["payload"], &lines[1]["terminal"]), (2, &json!({ "paid": true }), &json!("failed")));

    let letters = json_lines(&done(dir, &["dead-letters", "--json"]));
    assert_eq!((letters.len(), &letters[0]["trace_id"], &letters[0]["error"]["node"]), (1, &json!(names[1]), &json!("n")));
    done(dir, &["retry", names[1]]);
    let lines = output(dir);
    let retried = lines.iter().find(|line| line["trace_id"] == json!(format!("{}~2", names[1])));
    assert_eq!(retried.unwrap()["payload"], json!(8001));
}

#[test]
fn history_is_told_and_removed() {
    let dir = folder(floe_tests::ECHO, "greet", "{\"name\": \"a\"}\nnope\n");
    let dir = dir.path();
    assert_eq!(floe(dir, &RUN).status.code(), Some(1));
    let traces = json_lines(&done(dir, &["traces", "--json"]));
    let ends: Vec<&str> = traces.iter().map(|trace| trace["terminal"].as_str().unwrap()).collect();
    assert_eq!(ends, ["failed", "completed"], "the newest first");
    assert!(done(dir, &["traces"]).contains("completed"));
    let history = json_lines(&done(dir, &["history", traces[1]["trace_id"].as_str().unwrap()]));
    let names: Vec<&str> = history.iter().map(|record| record["record"].as_str().unwrap()).collect();
    assert_eq!((names.len(), &names[..2], names[4]), (5, ["accepted", "done"].as_slice(), "delivered"));
    assert_eq!(history[0]["payload"], json!({ "name": "a" }));
    assert_eq!(history[1]["outcome"]["outputs"][0]["payload"], json!({ "greeting": "Hello, a!" }));
    for tail in [1, 2, 5, 6] {
        let last = done(dir, &["history", traces[1]["trace_id"].as_str().unwrap(), "--tail", &tail.to_string()]);
        assert_eq!(json_lines(&last), history[5_usize.saturating_sub(tail)..], "the last {tail}, in order");
    }
    let none = floe(dir, &["history", traces[1]["trace_id"].as_str().unwrap(), "--tail", "0"]);
    assert_eq!(none.status.code(), Some(2), "{}", errors(&none));
    for unknown in [floe(dir, &["history", "nobody"]), floe(dir, &["history", "nobody", "--tail", "3"])] {
        assert_eq!(unknown.status.code(), Some(2));
        assert!(errors(&unknown).contains("`j.db` has no trace `nobody`"), "{}", errors(&unknown));
    }
    assert_eq!(done(dir, &["purge", "--keep", "0"]), "2 traces removed\n");
    assert_eq!(done(dir, &["traces", "--json"]), "");
}

#[test]
fn what_goes_on_is_what_was_begun() {
    let dir = folder(floe_tests::ECHO, "greet", "{\"name\": \"a\"}\n");
    let dir = dir.path();
    done(dir, &RUN);
    assert_eq!(output(dir).len(), 1);
    done(dir, &RUN);
    assert_eq!(output(dir).len(), 1, "there was nothing left to do");
    let other = floe(dir, &[&RUN[..], &["--tenant", "else"]].concat());
    assert_eq!(other.status.code(), Some(2));
    assert!(errors(&other).contains("--tenant was `local` and is `else`"), "{}", errors(&other));
    fs::write(dir.join("in.jsonl"), "{\"name\": \"a\"}\n{\"name\": \"b\"}\n").unwrap();
    let changed = floe(dir, &["resume", "j.db"]);
    assert_eq!(changed.status.code(), Some(2));
    assert!(errors(&changed).contains("has changed"), "{}", errors(&changed));
    done(dir, &["resume", "j.db", "--migrate"]);
    assert_eq!(output(dir).len(), 2, "it goes on behind what was read");
    fs::write(dir.join("out.jsonl"), "").unwrap();
    let cut = floe(dir, &["resume", "j.db"]);
    assert!(errors(&cut).contains("has 0 bytes, and the journal knows of"), "{}", errors(&cut));
    let same = floe(dir, &["run", ".", "--input", "in.jsonl", "--journal", "in.jsonl"]);
    assert!(errors(&same).contains("--input and --journal are the same file"), "{}", errors(&same));
}

/// A request that fails, then many that take some room.
fn large_input() -> String {
    let line = |n: usize| format!("{{\"name\": \"{n}{}\"}}\n", "x".repeat(20_000));
    (0..200).map(|n| if n == 0 { "{}\n".to_owned() } else { line(n) }).collect()
}

/// Few at once, so that what is unfinished takes a small part of it.
const MAX: [&str; 4] = ["--journal-max", "2MiB", "--in-flight", "4"];

/// A journal that has reached its limit before the end of the input.
fn full() -> TempDir {
    let dir = folder(floe_tests::ECHO, "greet", &large_input());
    let ran = floe(dir.path(), &[&RUN[..], &MAX].concat());
    let said = errors(&ran);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    for says in
        ["database or disk is full", "raise --journal-max beyond 2097152 bytes", "floe purge --journal j.db", "floe resume j.db"]
    {
        assert!(said.contains(says), "`{says}` is missing: {said}");
    }
    let size = fs::metadata(dir.path().join("j.db")).unwrap().len();
    assert!(size <= 2 << 20, "{size}");
    dir
}

#[test]
fn a_full_journal_goes_on_after_a_purge() {
    let dir = full();
    let dir = dir.path();
    let still = floe(dir, &[&["resume", "j.db"], &MAX[..]].concat());
    assert_eq!(still.status.code(), Some(1), "{}", errors(&still));
    let mut purges = 0;
    let mut size = u64::MAX;
    let last = loop {
        let removed = done(dir, &["purge", "--keep", "0"]);
        assert!(!removed.starts_with("0 "), "{removed}");
        size = size.min(fs::metadata(dir.join("j.db")).unwrap().len());
        purges += 1;
        let ran = floe(dir, &[&["resume", "j.db"], &MAX[..]].concat());
        if !errors(&ran).contains("database or disk is full") {
            break ran;
        }
    };
    assert!(matches!(last.status.code(), Some(0 | 1)), "{}", errors(&last));
    assert!(purges > 1 && size < 1 << 20, "{purges} purges to {size} bytes");
    let lines: Vec<u64> = output(dir).iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=200).collect::<Vec<_>>(), "each line once");
}

#[test]
fn a_full_journal_goes_on_without_the_limit() {
    let dir = full();
    let dir = dir.path();
    let failed = json_lines(&done(dir, &["dead-letters", "--json"]))[0]["trace_id"].as_str().unwrap().to_owned();
    // It is accepted again, and the rest of the input is read.
    let retried = floe(dir, &["retry", &failed]);
    assert_eq!(retried.status.code(), Some(1), "it fails again: {}", errors(&retried));
    let lines = output(dir);
    assert_eq!(lines.len(), 201);
    assert_eq!(lines.iter().filter(|line| line["trace_id"] == json!(format!("{failed}~2"))).count(), 1);
}

#[test]
fn a_journals_limit_is_one_that_can_be() {
    let dir = folder(floe_tests::ECHO, "greet", "{}\n");
    for (args, says) in [
        (&["--journal", "j.db", "--journal-max", "100KiB"][..], "a journal needs 1 MiB at least"),
        (&["--journal", "j.db", "--journal-max", "much"], "`much` is no size"),
        (&["--journal-max", "1GiB"], "--journal <FILE>"),
    ] {
        let ran = floe(dir.path(), &[&["run", "."], args].concat());
        assert_eq!(ran.status.code(), Some(2), "{args:?}");
        assert!(errors(&ran).contains(says), "{args:?} should say `{says}`: {}", errors(&ran));
    }
}

/// The values of a journal's space `s`, by key, of the tenant `me`.
fn values(dir: &Path) -> Vec<(String, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let reader = Sqlite::read(&dir.join("j.db")).await.unwrap();
        let place = Place { tenant: "local".into(), space: "s".into(), owner: Owner::Tenant };
        let mut values = Vec::new();
        for key in reader.state_keys(&place, "", None, 100).await.unwrap() {
            let entry = reader.state(&place, &key).await.unwrap().unwrap();
            values.push((key, entry.value.to_string()));
        }
        values
    })
}

/// Three visits, whose count is in the journal.
fn visits() -> TempDir {
    let dir = folder(floe_tests::WANTS_STATE, "visits", "1\n2\n3\n");
    let flow = fs::read_to_string(dir.path().join("flow.yaml")).unwrap();
    let granted = flow.replace("limits: { wall: 60s }", "grants: { state: { space: s } }");
    assert_ne!(granted, flow);
    fs::write(dir.path().join("flow.yaml"), granted).unwrap();
    done(dir.path(), &RUN);
    dir
}

#[test]
fn values_are_in_the_journal_and_a_replay_changes_none() {
    let dir = visits();
    let dir = dir.path();
    let mut counted: Vec<u64> = output(dir).iter().map(|line| line["payload"].as_u64().unwrap()).collect();
    counted.sort_unstable();
    assert_eq!(counted, [1, 2, 3]);
    assert_eq!(values(dir), [("visits".to_owned(), "3".to_owned())]);
    let before = fs::read(dir.join("j.db")).unwrap();
    for trace in json_lines(&done(dir, &["traces", "--json"])) {
        let replayed = done(dir, &["replay", trace["trace_id"].as_str().unwrap()]);
        assert!(replayed.contains("identical: 1 of 1 attempts"), "{replayed}");
    }
    assert_eq!(fs::read(dir.join("j.db")).unwrap(), before);
    // What is done with goes, and the values stay.
    done(dir, &["purge", "--keep", "0"]);
    assert_eq!(done(dir, &["traces", "--json"]), "");
    assert_eq!(values(dir), [("visits".to_owned(), "3".to_owned())]);
}

/// Randomness goes on as it began: its secret is in the journal.
#[test]
fn a_run_that_goes_on_has_the_same_secret() {
    let dir = visits();
    let dir = dir.path();
    let secret = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { Sqlite::read(&dir.join("j.db")).await.unwrap().info().await.unwrap().unwrap().secret.unwrap() })
    };
    let first = secret();
    assert_ne!(first, [0; 32]);
    done(dir, &["resume", "j.db"]);
    assert_eq!(secret(), first);
}

/// A journal from before there were values is brought up to date by whoever goes on with it, as those who only read it say.
#[test]
fn an_older_journal_is_brought_up_to_date_where_its_run_goes_on() {
    let dir = visits();
    let dir = dir.path();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.join("j.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let undo =
            "DROP TABLE state; DROP TABLE spaces; PRAGMA user_version = 1; UPDATE run SET info = json_remove(info, '$.secret')";
        sqlx::raw_sql(undo).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    let refused = floe(dir, &["traces"]);
    assert!(errors(&refused).contains("`floe resume j.db` brings it up to date"), "{}", errors(&refused));
    done(dir, &["resume", "j.db"]);
    assert_eq!(json_lines(&done(dir, &["traces", "--json"])).len(), 3);
    assert_eq!(values(dir), []);
}
