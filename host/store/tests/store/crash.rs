//! A process that is killed while it writes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use floe_flow::journal::Journal;
use tempfile::TempDir;

use crate::support::{accept, done, entry, name, open};

const FILE: &str = "FLOE_TEST_JOURNAL";
const TRACES: u64 = 8;

/// No test but the process that is killed: writes to the journal that it is told, and says which records were answered.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let journal = open(Path::new(&path)).await;
    for round in 0_u64.. {
        let record = || if round == 0 { accept() } else { done(&format!("{round}")) };
        let answers: Vec<_> =
            (0..TRACES).map(|trace| journal.append(&name(&format!("t{trace}")), entry(round, record()))).collect();
        for (trace, answer) in answers.into_iter().enumerate() {
            answer.await.unwrap();
            writeln!(std::io::stdout(), "\nanswered {trace} {round}").unwrap();
        }
    }
}

/// Kills a child after it has said so many answers. Returns, for each trace, the records that it said were answered.
fn crash(path: &Path, after: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answered = vec![0; TRACES as usize];
    let (mut seen, mut killed) = (0, false);
    // After the kill, what it had said before is still in the pipe.
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let Some((trace, round)) = line.strip_prefix("answered ").and_then(|rest| rest.split_once(' ')) else { continue };
        // The last line may be torn; its answer may be taken for a smaller number, which is no more than was answered.
        let (Ok(trace), Ok(round)) = (trace.parse::<usize>(), round.parse::<u64>()) else { continue };
        answered[trace] = answered[trace].max(round + 1);
        seen += 1;
        if seen >= after && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(killed, "it ended by itself");
    child.wait().unwrap();
    answered
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_in_order_and_without_gaps() {
    for after in [1, 9, 50, 173, 800, 2_001] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let answered = crash(&path, after);
        let journal = open(&path).await;
        let mut lengths = Vec::new();
        for (trace, answered) in answered.iter().enumerate() {
            let entries = journal.load(&format!("t{trace}")).await.unwrap();
            assert!(entries.len() as u64 >= *answered, "t{trace} has {} of {answered}", entries.len());
            for (round, found) in (0..).zip(&entries) {
                let record = if round == 0 { accept() } else { done(&round.to_string()) };
                assert_eq!(*found, entry(round, record));
            }
            lengths.push(entries.len());
        }
        // The order of the calls is kept between traces too: none is ahead of one that was written to before it.
        assert!(lengths.is_sorted_by(|one, next| one >= next) && lengths[0] <= lengths[7] + 1, "{lengths:?}");
        assert_eq!(journal.unfinished().await.unwrap().len(), lengths.iter().filter(|length| **length > 0).count());
        journal.append(&name("t0"), entry(0, done("0"))).await.unwrap();
    }
}
