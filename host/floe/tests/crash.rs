//! The process is killed, again and again, at any moment; whoever goes on loses nothing and repeats nothing.
//!
//! The last line says how many kills there were, of how many traces, and what was lost or duplicated.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the figures are what the test is for")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// Kills, over all runs.
const KILLS: u32 = 100;
/// Lines of an input.
const LINES: usize = 120;

/// Fan-out, a router, a join, a branch that fails and is dropped, and one whose failure travels.
const FLOW: &str = "
floe: 1
name: crash
plugins:
  text: { source: TEXT }
nodes:
  split: { run: text/split, config: { words: 20 } }
  count: { run: text/count }
  size: { route: [{ when: 'payload.words >= 20', to: [long, wrong] }, { else: [short, odd] }] }
  long: { run: text/pass }
  wrong: { run: text/summarize, policy: { on_failure: drop } }
  odd: { run: text/summarize, policy: { on_failure: { to: report } } }
  report: { run: text/pass }
  short: { discard: true }
  gather: { join: { all: split }, on_incomplete: release }
  summarize: { run: text/summarize }
edges:
  - split -> count -> gather -> summarize
  - count -> size
  - { from: size, to: [long, short, wrong, odd] }
";

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = FLOW.replace("TEXT", floe_tests::TEXT);
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    let line = |n: usize| match n % 13 {
        5 => "no JSON".to_owned(),
        7 => json!({ "n": n }).to_string(),
        _ => {
            let words: Vec<String> = (0..n * 3 % 150 + 1).map(|word| format!("word{}", word * n % 17)).collect();
            json!({ "year": 1700 + n, "name": format!("n{n}"), "party": "none", "text": words.join(" ") }).to_string()
        }
    };
    fs::write(dir.path().join("in.jsonl"), (1..=LINES).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    dir
}

fn floe(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir);
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How often each line of the output is there.
fn lines(path: &Path) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let _: Value = serde_json::from_str(line).unwrap();
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    lines
}

/// A random number generator that a failed run can be repeated with, as far as a race can.
struct Random(u64);

impl Random {
    /// From 0 up to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

const RUN: [&str; 8] = ["run", ".", "--input", "in.jsonl", "--journal", "j.db", "--output", "out.jsonl"];

/// Runs to the end, or to a kill.
fn run(dir: &Path, args: &[&str], kill_after: Option<Duration>) -> Option<Output> {
    let mut child = floe(dir, args).spawn().unwrap();
    if let Some(after) = kill_after {
        let end = Instant::now() + after;
        while Instant::now() < end {
            if child.try_wait().unwrap().is_some() {
                return Some(child.wait_with_output().unwrap());
            }
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        return None;
    }
    Some(child.wait_with_output().unwrap())
}

fn assert_finished(output: &Output) {
    // 1: some lines of the input fail, as they should, and perhaps in this very process.
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}: {errors}", output.status);
}

#[test]
fn whatever_is_killed_goes_on_without_loss_and_without_repetition() {
    let dir = folder();
    let began = Instant::now();
    assert_finished(&run(dir.path(), &RUN, None).unwrap());
    let usual = began.elapsed();
    let expected = lines(&dir.path().join("out.jsonl"));
    let total: u32 = expected.values().sum();
    assert!(total as usize > LINES, "{total}");
    let (mut kills, mut traces, mut lost, mut duplicated) = (0, 0, 0, 0);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    while kills < KILLS {
        let dir = folder();
        let journal: PathBuf = dir.path().join("j.db");
        for turn in 0.. {
            let resume = turn > 0 && random.next() < 0.5 && fs::metadata(&journal).is_ok_and(|file| file.len() > 0);
            let args: &[&str] = if resume { &["resume", "j.db"] } else { &RUN };
            let after = (turn < 12).then(|| usual.mul_f64(random.next() * 0.9));
            match run(dir.path(), args, after) {
                None => kills += 1,
                // It was killed before it could say what is run.
                Some(output) if resume && output.status.code() == Some(2) => {
                    let errors = String::from_utf8_lossy(&output.stderr);
                    assert!(errors.contains("holds no run"), "{errors}");
                }
                Some(output) => {
                    assert_finished(&output);
                    break;
                }
            }
        }
        traces += LINES;
        let found = lines(&dir.path().join("out.jsonl"));
        for (line, times) in &expected {
            let here = found.get(line).copied().unwrap_or(0);
            lost += times.saturating_sub(here);
            duplicated += here.saturating_sub(*times);
        }
        let strange: Vec<&String> = found.keys().filter(|line| !expected.contains_key(*line)).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }
    println!("kills {kills}, traces {traces}, lost {lost}, duplicated {duplicated}");
    assert_eq!((lost, duplicated), (0, 0));
}
