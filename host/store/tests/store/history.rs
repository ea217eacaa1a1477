//! What people see of a journal, and what they take out of it.

use std::fs;
use std::path::Path;

use floe_flow::End;
use floe_flow::journal::{Accepted, Journal, Record};
use floe_store::{Filter, Removed, Retain, Sqlite, State};
use tempfile::TempDir;

use crate::support::{accept, accepted, append, called_by, delivered, done, ended, entry, failed, name, open};

const ALL: Filter = Filter { state: None, tenant: None, limit: 100 };

fn of(tenant: &str, payload: &str) -> Record {
    Record::Accepted(Box::new(Accepted { payload: crate::support::payload(payload), ..accepted(tenant) }))
}

async fn names(journal: &Sqlite, filter: Filter) -> Vec<String> {
    journal.reader().traces(&filter).await.unwrap().into_iter().map(|row| row.name).collect()
}

#[tokio::test]
async fn traces_are_listed_the_newest_first() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    append(&journal, "a", vec![of("acme", "1"), done("1"), failed(1), ended(End::Completed), delivered()]).await;
    append(&journal, "b", vec![accept(), done("1")]).await;
    append(&journal, "c", vec![called_by("b"), ended(End::Failed)]).await;

    let rows = journal.reader().traces(&ALL).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
    let row = &rows[2];
    assert_eq!((row.tenant.as_str(), row.state, row.end.as_deref()), ("acme", State::Ended, Some("completed")));
    assert_eq!((row.accepted_ms, row.ended_ms, row.records, row.hops, row.delivered), (1, Some(4), 5, 2, true));
    assert_eq!((rows[1].state, rows[1].end.as_deref(), rows[1].delivered), (State::Running, None, false));
    assert_eq!(rows[0].caller.as_deref(), Some("b"));

    assert_eq!(names(&journal, Filter { limit: 2, ..ALL }).await, ["c", "b"]);
    assert_eq!(names(&journal, Filter { state: Some(State::Running), ..ALL }).await, ["b"]);
    assert_eq!(names(&journal, Filter { state: Some(State::Ended), ..ALL }).await, ["c", "a"]);
    assert_eq!(names(&journal, Filter { tenant: Some("acme".into()), ..ALL }).await, ["a"]);
}

#[tokio::test]
async fn dead_letters_say_what_broke_and_where() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    for (trace, end) in [("a", End::Failed), ("b", End::Completed), ("c", End::Cancelled), ("d", End::DeadlineExceeded)] {
        append(&journal, trace, vec![accept(), ended(end)]).await;
    }
    let letters = journal.reader().dead_letters(10).await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.name.as_str()).collect::<Vec<_>>(), ["d", "a"]);
    let letter = &letters[1];
    assert_eq!((letter.end.as_str(), letter.code.as_str(), letter.message.as_str()), ("failed", "internal", "it broke"));
    assert_eq!((letter.node.as_deref(), letter.attempt, letter.ended_ms), (Some("node"), Some(2), 2));
    assert_eq!(journal.reader().dead_letters(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_records_are_read_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = open(&path).await;
    append(&journal, "t", vec![of("me", "\"first\""), done("1"), done("2"), ended(End::Completed)]).await;
    append(&journal, "u", vec![accept()]).await;
    let all = journal.load("t").await.unwrap();
    for count in 0..=5 {
        let tail = journal.reader().tail("t", count).await.unwrap();
        assert_eq!(tail, all[4_usize.saturating_sub(count as usize)..]);
    }
    assert_eq!(journal.reader().tail("nobody", 1).await, Ok(Vec::new()));
    journal.close().await;
    // What stands before them is damaged, and nobody sees it.
    let mut bytes = fs::read(&path).unwrap();
    let first = bytes.windows(7).position(|window| window == b"\"first\"").unwrap();
    bytes[first] = b'x';
    fs::write(&path, bytes).unwrap();
    let journal = open(&path).await;
    assert_eq!(journal.reader().tail("t", 3).await.unwrap(), all[1..]);
    assert!(journal.load("t").await.is_err());
}

fn holds(dir: &Path, text: &str) -> bool {
    let files = fs::read_dir(dir).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
    files.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[tokio::test]
async fn a_purged_tenant_leaves_no_byte_but_its_unfinished_traces() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    let secret = format!("\"{}secret-of-acme\"", "x".repeat(30_000));
    for trace in 0..40 {
        append(&journal, &format!("a{trace}"), vec![of("acme", &secret), ended(End::Completed), delivered()]).await;
        append(&journal, &format!("b{trace}"), vec![accept(), ended(End::Completed), delivered()]).await;
    }
    append(&journal, "open", vec![of("acme", "1"), ended(End::Completed)]).await;
    assert!(holds(dir.path(), "secret-of-acme"));

    assert_eq!(journal.purge("acme").await, Ok(Removed { traces: 40, wiped: true }));
    assert!(!holds(dir.path(), "secret-of-acme"));
    assert_eq!(names(&journal, Filter { tenant: Some("acme".into()), ..ALL }).await, ["open"]);
    assert_eq!(names(&journal, ALL).await.len(), 41);
    let size = fs::metadata(dir.path().join("journal")).unwrap().len();
    assert!(size < 500_000, "{size} bytes are left");
    // Its ids are free again, and what is open goes on.
    append(&journal, "a0", vec![of("acme", "1")]).await;
    append(&journal, "open", vec![delivered()]).await;
}

#[tokio::test]
async fn what_is_not_retained_goes_with_all_that_it_called() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    for (at, trace) in (0..).zip(["a", "b", "c", "d"]) {
        for record in [accept(), ended(End::Completed), delivered()] {
            journal.append(&name(trace), entry(at * 100, record)).await.unwrap();
        }
    }
    append(&journal, "sub", vec![called_by("a"), ended(End::Completed)]).await;
    append(&journal, "subsub", vec![called_by("sub"), ended(End::Completed)]).await;
    // Its caller did not wait for it: it never ends.
    append(&journal, "left behind", vec![called_by("a")]).await;
    append(&journal, "old but open", vec![accept(), ended(End::Completed)]).await;

    let removed = journal.retain(Retain { since_ms: None, count: None }).await.unwrap();
    assert_eq!(removed.traces, 0);
    let removed = journal.retain(Retain { since_ms: Some(100), count: None }).await.unwrap();
    assert_eq!(removed.traces, 4, "a, sub, subsub, left behind");
    let removed = journal.retain(Retain { since_ms: None, count: Some(2) }).await.unwrap();
    assert_eq!(removed.traces, 1, "b");
    assert_eq!(names(&journal, ALL).await, ["old but open", "d", "c"]);
    assert_eq!(journal.load("a").await.unwrap(), []);

    let removed = journal.retain(Retain { since_ms: None, count: Some(0) }).await.unwrap();
    assert_eq!(removed.traces, 2);
    assert_eq!(names(&journal, ALL).await, ["old but open"]);
}

#[tokio::test]
async fn more_than_go_at_once_go_while_others_are_written() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    let records = [accept(), ended(End::Completed), delivered()];
    let traces: Vec<_> = (0..1200).map(|trace| name(&format!("t{trace}"))).collect();
    let appends: Vec<_> =
        traces.iter().flat_map(|trace| records.clone().map(|record| journal.append(trace, entry(1, record)))).collect();
    for answer in appends {
        answer.await.unwrap();
    }
    let beside = async {
        for trace in 0..50 {
            append(&journal, &format!("u{trace}"), vec![accept(), done("1")]).await;
        }
    };
    let (removed, ()) = tokio::join!(journal.purge("me"), beside);
    assert_eq!(removed.unwrap().traces, 1200);
    assert_eq!(names(&journal, ALL).await.len(), 50);
}
