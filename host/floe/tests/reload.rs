//! A run whose plugin is replaced while it goes on, as a user sees it: the real binary, real components, a killed process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

/// Something must be said, or a process must end: waited for this long.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the node `env` of the plugin calls one of its findings.
const FIRST: &str = "variables";
const SECOND: &str = "varietiez";

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_HOME", dir.join("home")).env("FLOE_JOURNAL", "j.db").env("NO_COLOR", "1");
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("reload"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit code, and standard output and error in one text.
fn said(dir: &Path, args: &[&str]) -> (i32, String) {
    let output = command(dir, args).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

fn done(dir: &Path, args: &[&str]) -> String {
    let (code, text) = said(dir, args);
    assert_eq!(code, 0, "{args:?}: {text}");
    text
}

/// The component with another word for its finding.
fn version(word: &str) -> Vec<u8> {
    let mut bytes = floe_tests::bytes(floe_tests::EVIL);
    let places: Vec<usize> = (0..bytes.len() - FIRST.len()).filter(|at| bytes[*at..].starts_with(FIRST.as_bytes())).collect();
    for at in places {
        bytes[at..at + FIRST.len()].copy_from_slice(word.as_bytes());
    }
    bytes
}

/// Puts a file in the plugin's place, whole.
fn put(dir: &Path, bytes: &[u8]) {
    fs::write(dir.join("new"), bytes).unwrap();
    fs::rename(dir.join("new"), dir.join("p.wasm")).unwrap();
}

/// A flow that sleeps as long as its input says, and then says which version it is.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = "floe: 1\nname: test\nplugins:\n  p: { source: p.wasm, limits: { wall: 60s } }\nnodes:\n  pause: { run: p/sleep }\n  \
                says: { run: p/env }\nedges: [pause -> says]\n";
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    put(dir.path(), &version(FIRST));
    dir
}

/// A run that reads its standard input.
struct Run {
    child: Child,
    input: Option<ChildStdin>,
    says: Receiver<String>,
    said: String,
}

impl Run {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut command = command(dir, &[&["run", ".", "--reload", "--output", "out.jsonl"], args].concat());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let (input, errors) = (child.stdin.take(), child.stderr.take().unwrap());
        let (say, says) = channel();
        std::thread::spawn(move || BufReader::new(errors).lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { child, input, says, said: String::new() }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.input.as_mut().unwrap(), "{text}").unwrap();
    }

    fn until(&mut self, text: &str) {
        while !self.said.contains(text) {
            let line = self.says.recv_timeout(PATIENCE);
            self.said += &line.unwrap_or_else(|_| panic!("it does not say `{text}`: {}", self.said));
            self.said.push('\n');
        }
    }

    /// The exit code, and all that was said on standard error.
    fn end(mut self) -> (i32, String) {
        drop(self.input.take());
        while let Ok(line) = self.says.recv_timeout(PATIENCE) {
            self.said += &line;
            self.said.push('\n');
        }
        (self.child.wait().unwrap().code().unwrap(), self.said)
    }
}

/// The outputs by the lines of the input: what the version said, or how the trace ended.
fn output(dir: &Path) -> Vec<(u64, String)> {
    let text = fs::read_to_string(dir.join("out.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut all: Vec<(u64, String)> = lines
        .map(|line| {
            let word = [FIRST, SECOND].into_iter().find(|word| line["payload"].get(word).is_some());
            let end = || format!("{} {}", line["terminal"], line["error"]["code"]);
            (line["line"].as_u64().unwrap(), word.map_or_else(end, str::to_owned))
        })
        .collect();
    all.sort();
    all
}

fn expected(outputs: &[(u64, &str)]) -> Vec<(u64, String)> {
    outputs.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
}

/// Both have begun: they have an event each.
fn wait_for_traces(dir: &Path, count: usize) {
    let began = Instant::now();
    loop {
        let events = fs::read_to_string(dir.join("events.jsonl")).unwrap_or_default();
        if events.lines().filter(|line| line.contains("\"event\":\"accepted\"")).count() >= count {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{count} traces begin: {events}");
        std::thread::yield_now();
    }
}

#[test]
fn a_new_version_is_taken_and_what_is_under_way_stays_on_the_old_one() {
    let dir = folder();
    let dir = dir.path();
    let mut run = Run::start(dir, &["--events", "events.jsonl"]);
    run.line("6000");
    wait_for_traces(dir, 1);
    put(dir, &version(SECOND));
    run.until("plugin `p`: traces that begin from now on run sha256:");
    run.line("0");
    // What cannot take its place is said once, and changes nothing.
    put(dir, b"no component");
    run.until("plugin `p` has a new version that is not taken");
    put(dir, &floe_tests::bytes(floe_tests::ECHO));
    run.until("it has no node `spin` any more: not what the flow was started with");
    run.line("1");
    let (code, said) = run.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches("is not taken").count(), 2, "{said}");
    assert_eq!(output(dir), expected(&[(1, FIRST), (2, SECOND), (3, SECOND)]));
}

/// Accepts a trace on each version and kills the process while the first one sleeps.
fn killed() -> TempDir {
    let folder = folder();
    let dir = folder.path();
    let mut run = Run::start(dir, &["--journal", "j.db", "--events", "events.jsonl"]);
    run.line("8000");
    wait_for_traces(dir, 1);
    put(dir, &version(SECOND));
    run.until("plugin `p`: traces that begin from now on run sha256:");
    run.line("8001");
    wait_for_traces(dir, 2);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    folder
}

#[test]
fn a_trace_goes_on_with_its_version_after_a_crash() {
    let dir = killed();
    let dir = dir.path();
    done(dir, &["resume", "j.db"]);
    assert_eq!(output(dir), expected(&[(1, FIRST), (2, SECOND)]));
    let traces = String::from_utf8(command(dir, &["traces", "--json"]).output().unwrap().stdout).unwrap();
    let traces: Vec<Value> = traces.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(traces.len(), 2);
    for trace in traces {
        let replayed = done(dir, &["replay", trace["trace_id"].as_str().unwrap()]);
        assert!(replayed.contains("identical: 2 of 2 attempts"), "{replayed}");
    }
    // The journal is of a run whose newest version is the second.
    put(dir, &version(FIRST));
    let (code, text) = said(dir, &["resume", "j.db"]);
    assert!(code == 2 && text.contains("plugin `p` was sha256:"), "{text}");
}

#[test]
fn revoking_an_old_version_ends_its_traces_alone() {
    let dir = killed();
    let dir = dir.path();
    let digest = floe::sandbox::digest(&version(FIRST));
    done(dir, &["plugin", "revoke", &digest]);
    let (code, text) = said(dir, &["resume", "j.db"]);
    assert!(
        code == 0 && text.contains("plugin `p` is revoked: ") && text.contains("goes on with another version"),
        "{code} {text}"
    );
    assert_eq!(output(dir), expected(&[(1, r#""failed" "revoked""#), (2, SECOND)]));
}

#[test]
fn an_old_version_that_is_revoked_while_it_runs_ends_its_traces_alone() {
    let dir = folder();
    let dir = dir.path();
    let mut run = Run::start(dir, &["--events", "events.jsonl"]);
    run.line("30000");
    wait_for_traces(dir, 1);
    put(dir, &version(SECOND));
    run.until("plugin `p`: traces that begin from now on run sha256:");
    run.line("8000");
    wait_for_traces(dir, 2);
    done(dir, &["plugin", "revoke", &floe::sandbox::digest(&version(FIRST))]);
    run.until("traces on another version go on");
    let (code, said) = run.end();
    assert_eq!(code, 1, "{said}");
    assert_eq!(output(dir), expected(&[(1, r#""failed" "revoked""#), (2, SECOND)]));
}
