//! Where a trace, its journal and those who watch could say different things: they say the same.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Backoff, End, Error, EventKind, Flow, Graph, Item, Join, Kind, Policy, Record, Submission, graph::Builder};
use serde_json::json;
use tokio::time::Instant;

use crate::notebook::{FULL, Fails, Notebook};
use crate::support::{Recorder, Slow, Stuck, chain, echo, payload, policy, split, start_with, submit};

fn observed(graph: Builder, journal: &Arc<Notebook>) -> (Flow, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| {
        config.journal = Some(Arc::clone(journal) as _);
        config.observer = Some(recorder.clone());
    });
    (flow, recorder)
}

// === what was never accepted ===

#[tokio::test(start_paused = true)]
async fn a_request_that_the_journal_refuses_is_told_to_nobody() {
    let journal = Notebook::new();
    let (flow, recorder) = observed(chain(&[("echo", echo())]), &journal);
    submit(&flow, "trace", json!(1)).await.finish().await;
    let story = recorder.story("trace");
    assert_eq!(story, ["accepted", "started echo", "succeeded echo", "output echo", "ended"]);
    let again = flow.submit(Submission::new("trace", "tenant", payload(json!(1)))).await;
    assert_eq!(again.unwrap_err(), Error::Duplicate("trace".into()));
    assert_eq!(recorder.story("trace"), story, "a trace has one end");

    let fails = Some(Fails { at: 0, torn: false });
    let (flow, recorder) = observed(chain(&[("echo", echo())]), &Notebook::slow(Vec::new(), Vec::new(), fails));
    let refused = flow.submit(Submission::new("trace", "tenant", payload(json!(1)))).await;
    assert_eq!(refused.unwrap_err(), Error::Journal(FULL.to_owned()));
    assert_eq!(recorder.story("trace"), Vec::<String>::new());
    assert_eq!(flow.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_stopped_before_it_is_accepted_ends_once_and_is_told_to_nobody() {
    let pace = vec![Duration::from_secs(1)];
    let journal = Notebook::slow(Vec::new(), pace, None);
    let (flow, recorder) = observed(chain(&[("echo", echo())]), &journal);
    let submitting = flow.submit(Submission::new("trace", "tenant", payload(json!(1))));
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        flow.stop(Duration::ZERO).await;
    };
    let (handle, ()) = tokio::join!(submitting, stopping);
    let mut handle = handle.unwrap();
    let Some(Item::End(terminal)) = handle.next().await else { panic!("it was stopped") };
    assert_eq!(terminal.end, End::Stopped);
    assert!(handle.next().await.is_none());
    assert_eq!(recorder.story("trace"), Vec::<String>::new(), "the next process tells of it");

    let (flow, recorder) = observed(chain(&[("echo", echo())]), &Notebook::with(journal.entries()));
    assert_eq!(flow.resume("trace").await.unwrap().finish().await.1.end, End::Completed);
    let events = recorder.0.lock().unwrap();
    let names: Vec<&str> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["resumed", "started", "succeeded", "output", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn events_count_alike_with_and_without_a_journal() {
    let mut loads = Vec::new();
    for journal in [None, Some(Notebook::new())] {
        let mut graph = Graph::builder("test");
        graph.run("split", split(), policy()).run("work", echo(), Policy::with_concurrency(1)).chain(&["split", "work"]);
        let recorder = Arc::new(Recorder::default());
        let flow = start_with(graph, |config| {
            config.journal = journal.map(|journal| journal as _);
            config.observer = Some(recorder.clone());
        });
        submit(&flow, "trace", json!([1])).await.finish().await;
        let events = recorder.0.lock().unwrap();
        let started = events.iter().filter_map(|event| match &event.kind {
            EventKind::Started { load, .. } => Some(*load),
            _ => None,
        });
        loads.push(started.collect::<Vec<_>>());
    }
    assert_eq!(loads[0], loads[1]);
}

// === one end ===

#[tokio::test(start_paused = true)]
async fn a_cancel_that_was_taken_is_the_end_though_all_is_done_before_the_journal_has_it() {
    let journal = Notebook::slow(Vec::new(), vec![Duration::from_secs(1)], None);
    let (flow, _) = observed(chain(&[("slow", Slow::new(Duration::from_millis(500)))]), &journal);
    let handle = submit(&flow, "trace", json!(1)).await;
    // The call has ended, and its record, which is the trace's last, is being written.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert!(flow.cancel("trace"));
    let (outputs, terminal) = handle.finish().await;
    assert_eq!((outputs.len(), terminal.end), (1, End::Cancelled));
    assert_eq!(journal.names(), ["accepted", "done", "ended", "delivered"]);
    let Record::Ended(recorded) = &journal.entries()[2].1.record else { panic!() };
    assert_eq!(recorded.end, End::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn the_end_in_the_journal_counts_where_records_alone_lead_to_another() {
    // What `start` sends to `work` finds no hop left; what it sends to the join, which is over `other`, would fail the trace.
    let graph = || {
        let mut graph = Graph::builder("test");
        graph.run("start", echo(), policy()).run("work", echo(), policy()).run("other", echo(), policy());
        graph.node("gather", Kind::Join(Join::all_of("other")), policy());
        graph.chain(&["start", "work"]).chain(&["start", "gather"]).chain(&["other", "gather"]);
        graph
    };
    let start = |journal: &Arc<Notebook>| {
        start_with(graph(), |config| {
            config.journal = Some(Arc::clone(journal) as _);
            config.budget.hops = 2;
        })
    };
    let journal = Notebook::new();
    let (_, first) = submit(&start(&journal), "trace", json!(1)).await.finish().await;
    assert_eq!(first.end, End::BudgetExhausted);
    let mut entries = journal.entries();
    assert!(matches!(entries.pop().unwrap().1.record, Record::Delivered { .. }));
    assert!(matches!(entries.last().unwrap().1.record, Record::Ended(_)));
    let (_, again) = start(&Notebook::with(entries)).resume("trace").await.unwrap().finish().await;
    assert_eq!(again, first);
}

// === clocks ===

/// A start of the flow whose clock stands there.
fn at(graph: Builder, journal: &Arc<Notebook>, epoch_ms: u64) -> Flow {
    start_with(graph, |config| {
        config.journal = Some(Arc::clone(journal) as _);
        config.epoch_ms = epoch_ms;
    })
}

const NOW: u64 = 5_000_000;

/// Fails after 40 seconds, and then never ends.
fn late() -> Builder {
    let mut graph = Graph::builder("test");
    let backoff = Backoff { base: Duration::ZERO, factor: 1.0, cap: Duration::ZERO, jitter: false };
    let timeout = Some(Duration::from_secs(40));
    graph.run("stuck", Arc::new(Stuck), Policy { retries: 9, timeout, backoff, ..policy() });
    graph
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_gives_a_deadline_no_more_time_than_there_was_at_the_last_record() {
    let journal = Notebook::new();
    let deadline = Some(Duration::from_secs(60));
    let submission = Submission { deadline, ..Submission::new("trace", "t", payload(json!(1))) };
    let handle = at(late(), &journal, NOW).submit(submission).await.unwrap();
    tokio::time::sleep(Duration::from_secs(45)).await;
    let entries = journal.entries();
    assert_eq!(journal.names(), ["accepted", "failed"]);
    for (epoch_ms, left) in [(NOW + 50_000, 10), (NOW + 20_000, 20), (0, 20), (NOW + 60_000, 0), (u64::MAX, 0)] {
        let began = Instant::now();
        let flow = at(late(), &Notebook::with(entries.clone()), epoch_ms);
        let (_, terminal) = flow.resume("trace").await.unwrap().finish().await;
        assert_eq!((terminal.end, began.elapsed().as_secs()), (End::DeadlineExceeded, left), "{epoch_ms}");
    }
    drop(handle);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_join_passes_whatever_the_clock_says() {
    let graph = || {
        let mut graph = Graph::builder("test");
        graph.run("split", split(), policy()).run("stuck", Arc::new(Stuck), policy());
        let within = Some(Duration::from_secs(90));
        graph.node("some", Kind::Join(Join { within, ..Join::count(5).with_quorum(1) }), policy());
        graph.chain(&["split", "some"]).chain(&["split", "stuck"]);
        graph
    };
    let journal = Notebook::new();
    let handle = submit(&at(graph(), &journal, NOW), "trace", json!([1, 2])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let entries = journal.entries();
    assert_eq!(journal.names(), ["accepted", "done"]);
    for (epoch_ms, left) in [(NOW + 30_000, 60), (NOW + 89_000, 1), (0, 90), (u64::MAX, 0)] {
        let began = Instant::now();
        let flow = at(graph(), &Notebook::with(entries.clone()), epoch_ms);
        let mut resumed = flow.resume("trace").await.unwrap();
        let Some(Item::Output { message, .. }) = resumed.next().await else { panic!("the join gives what it has") };
        assert_eq!((message.payload.text(), began.elapsed().as_secs()), ("[1,2]", left), "{epoch_ms}");
    }
    drop(handle);
}
