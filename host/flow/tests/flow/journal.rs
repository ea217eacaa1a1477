//! What survives the process: a trace goes on from its records, wherever they end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    At, Call, Config, Cursor, End, Entry, Error, Failure, FailureKind, Flow, Graph, Handle, Invoke, Item, Join, Journal, Kind,
    Late, MessageId, OnFailure, Outcome, Payload, Policy, Record, Report, SubflowNode, Submission, native,
};
use serde_json::{Value, json};

use crate::notebook::Notebook;
use crate::support::{Slow, Stuck, compute, echo, fails_until, payload, policy, split, start_with, submit};

/// Its clock stands where that of the process before stood when it began: only virtual time passes.
pub(crate) fn durable(graph: Builder, journal: &Arc<Notebook>) -> Flow {
    start_with(graph, |config| {
        config.journal = Some(Arc::clone(journal) as _);
        config.epoch_ms = 0;
    })
}

/// Node, message and payload of each output, and the end.
async fn read(mut handle: Handle) -> (Vec<(String, MessageId, String)>, floe_flow::Terminal) {
    let mut outputs = Vec::new();
    loop {
        match handle.next().await.expect("a trace has an end") {
            Item::Output { node, message } => outputs.push((node.to_string(), message.id, message.payload.text().to_owned())),
            Item::End(terminal) => return (outputs, terminal),
            _ => {}
        }
    }
}

fn counts_to_three() -> Arc<dyn Invoke> {
    native(|call| {
        let n = call.message.payload.value().as_u64().unwrap_or(0);
        let next = Payload::from(json!(n + 1));
        Ok(if n >= 3 { Outcome::Final(next) } else { Outcome::Again { memory: next, tokens_used: n } })
    })
}

/// Fan-out, retries, a router's choice, a lost branch, nested joins and a loop.
fn everything() -> Builder {
    let mut graph = Graph::builder("everything");
    let retrying = Policy { retries: 2, ..policy() };
    graph.run("split", split(), policy());
    graph.run("flaky", fails_until(3, FailureKind::Unavailable), retrying);
    graph.run(
        "odd",
        native(|call| match call.message.payload.value().as_u64() {
            Some(n) if n % 3 == 0 => Err(Failure::new(FailureKind::InvalidInput, "a multiple of three")),
            _ => Ok(Outcome::one(call.message.payload.clone())),
        }),
        Policy { on_failure: OnFailure::Drop, ..policy() },
    );
    let all = Join::all_of("split").with_quorum(0);
    graph.node("gather", Kind::Join(all), policy());
    let pairs = Join::count(2).with_quorum(0);
    graph.node("pairs", Kind::Join(pairs), policy());
    graph.run("loop", counts_to_three(), policy());
    graph.chain(&["split", "flaky", "odd", "gather"]);
    graph.chain(&["flaky", "pairs"]);
    graph.chain(&["flaky", "loop"]);
    graph
}

#[tokio::test(start_paused = true)]
async fn a_trace_goes_on_from_any_of_its_records() {
    let whole = Notebook::new();
    let handle = submit(&durable(everything(), &whole), "trace", json!([0, 1, 2, 3, 4])).await;
    let (mut expected, terminal) = read(handle).await;
    assert_eq!(terminal.end, End::Completed);
    assert_eq!(terminal.outputs, 9);
    expected.sort();
    let records = whole.entries();
    assert_eq!(records.last().unwrap().1.record, Record::Delivered { message: None, cursor: None });
    for end in 1..records.len() {
        let journal = Notebook::with(records[..end].to_vec());
        let flow = durable(everything(), &journal);
        let (mut outputs, terminal) = read(flow.resume("trace").await.unwrap()).await;
        outputs.sort();
        assert_eq!(outputs, expected, "after {end} records");
        assert_eq!((terminal.end, terminal.outputs), (End::Completed, 9), "after {end} records");
        let mut names = journal.names();
        names.sort_unstable();
        let mut all = whole.names();
        all.sort_unstable();
        assert_eq!(names, all, "no attempt is made twice: {end} records");
    }
}

/// A subflow in which one call fails once, between two nodes.
fn nested() -> Builder {
    let mut inner = Graph::builder("inner");
    let retrying = Policy { retries: 1, ..policy() };
    inner.run("split", split(), policy()).run("flaky", fails_until(2, FailureKind::Busy), retrying);
    inner.chain(&["split", "flaky"]);
    let mut graph = Graph::builder("outer");
    graph.subflow("inner", inner.build().unwrap(), Config::on_current_runtime().budget);
    graph.run("sub", Arc::new(SubflowNode::new("inner")), policy());
    graph.run("after", compute(|n| json!(n.as_u64().unwrap_or(0) + 1)), policy());
    graph.chain(&["sub", "after"]);
    graph
}

#[tokio::test(start_paused = true)]
async fn a_subflow_goes_on_from_any_of_its_records() {
    let whole = Notebook::new();
    let (mut expected, _) = read(submit(&durable(nested(), &whole), "trace", json!([1, 2])).await).await;
    assert_eq!(expected.len(), 2);
    expected.sort();
    let records = whole.entries();
    for end in 1..records.len() {
        let journal = Notebook::with(records[..end].to_vec());
        assert_eq!(journal.unfinished().await.unwrap(), ["trace".into()]);
        let (mut outputs, _) = read(durable(nested(), &journal).resume("trace").await.unwrap()).await;
        outputs.sort();
        assert_eq!(outputs, expected, "after {end} records");
        let count = |journal: &Arc<Notebook>| journal.names().iter().filter(|name| **name == "done").count();
        assert_eq!(count(&journal), count(&whole), "no call is made twice: {end} records");
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_subflows_trace_is_nobody_elses() {
    let journal = Notebook::new();
    let sub = |names: Vec<(Arc<str>, Entry)>| names.into_iter().map(|(name, _)| name).find(|name| name.contains('/')).unwrap();
    read(submit(&durable(nested(), &journal), "trace", json!([1, 2])).await).await;
    let (id, journal) = (sub(journal.entries()), Notebook::new());
    let flow = durable(nested(), &journal);
    // With the same payload, so that only who it is of can tell.
    let mut taken = Submission::new(&id, "somebody", payload(json!([1, 2])));
    taken.deadline = Some(Duration::from_millis(1));
    read(flow.submit(taken).await.unwrap()).await;
    let (outputs, terminal) = read(submit(&flow, "trace", json!([1, 2])).await).await;
    let error = terminal.error.unwrap();
    assert_eq!((outputs.len(), error.code.as_str()), (0, "conflict"), "{error:?}");
    assert!(error.message.contains("somebody submitted a request under the id"), "{error:?}");
}

/// Joins that do not wait for ever: over a fan-out, by a value, and of each of two nodes.
fn impatient() -> Builder {
    let mut graph = Graph::builder("impatient");
    let seconds = native(|call| {
        let n = call.message.payload.value().as_u64().unwrap_or(0);
        let wait = Failure { retry_after: Some(Duration::from_secs(n)), ..Failure::new(FailureKind::Busy, "not yet") };
        if call.attempt == 1 { Err(wait) } else { Ok(Outcome::one(call.message.payload.clone())) }
    });
    let backoff = floe_flow::Backoff { base: Duration::ZERO, factor: 1.0, cap: Duration::ZERO, jitter: false };
    graph.run("split", split(), policy()).run("wait", seconds, Policy { retries: 1, backoff, ..Policy::with_concurrency(9) });
    let within = Some(Duration::from_secs(5));
    graph.node("all", Kind::Join(Join { within, late: Late::Pass, ..Join::all_of("split").with_quorum(0) }), policy());
    graph.node("pairs", Kind::Join(Join { within, ..Join::count(2).with_quorum(0) }), policy());
    graph.run("left", echo(), policy()).run("right", echo(), policy());
    graph.node("both", Kind::Join(Join { within, ..Join::each_of(&["right", "left"]) }), policy());
    graph.chain(&["split", "wait", "all"]).chain(&["wait", "pairs"]);
    graph.chain(&["wait", "left", "both"]).chain(&["wait", "right", "both"]);
    graph
}

#[tokio::test(start_paused = true)]
async fn joins_that_do_not_wait_for_ever_go_on_from_any_of_their_records() {
    let whole = Notebook::new();
    let (mut expected, terminal) = read(submit(&durable(impatient(), &whole), "trace", json!([1, 2, 8, 20])).await).await;
    assert_eq!((expected.len(), terminal.end), (10, End::Completed));
    expected.sort();
    let records = whole.entries();
    assert_eq!(whole.names().iter().filter(|name| **name == "time_up").count(), 2);
    for end in 1..records.len() {
        let journal = Notebook::with(records[..end].to_vec());
        let flow = start_with(impatient(), |config| {
            config.journal = Some(Arc::clone(&journal) as _);
            config.epoch_ms = records[end - 1].1.at_ms;
        });
        let (mut outputs, terminal) = read(flow.resume("trace").await.unwrap()).await;
        outputs.sort();
        assert_eq!((outputs, terminal.end), (expected.clone(), End::Completed), "after {end} records");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_visible_before_it_is_in_the_journal() {
    let journal = Notebook::new();
    let mut graph = Graph::builder("test");
    graph.run("first", echo(), policy()).run("second", echo(), policy()).chain(&["first", "second"]);
    let flow = durable(graph, &journal);
    journal.safe.send_replace(Some(0));
    let mut accepted = std::pin::pin!(flow.submit(Submission::new("trace", "tenant", payload(json!(1)))));
    assert!(tokio::time::timeout(Duration::from_secs(9), &mut accepted).await.is_err());
    assert_eq!(journal.names(), ["accepted"]);
    journal.safe.send_replace(Some(1));
    let mut handle = accepted.await.unwrap();
    for (safe, names) in [(2, 2), (3, 3)] {
        assert!(tokio::time::timeout(Duration::from_secs(9), handle.next()).await.is_err());
        assert_eq!(journal.names().len(), names, "the next step waits for the last one's record");
        journal.safe.send_replace(Some(safe));
    }
    assert!(matches!(handle.next().await, Some(Item::Output { .. })));
    assert!(tokio::time::timeout(Duration::from_secs(9), handle.next()).await.is_err());
    journal.safe.send_replace(None);
    assert!(matches!(handle.next().await, Some(Item::End(_))));
    assert_eq!(journal.names(), ["accepted", "done", "done", "ended", "delivered"]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_does_not_wait_for_the_disk() {
    let journal = Notebook::new();
    let mut graph = Graph::builder("test");
    graph.run("one", echo(), Policy::with_concurrency(1));
    let flow = durable(graph, &journal);
    let handles = [submit(&flow, "a", json!(1)).await, submit(&flow, "b", json!(2)).await];
    drop(handles);
    journal.safe.send_replace(Some(journal.names().len()));
    let pending: Vec<_> = ["c", "d"].map(|name| flow.submit(Submission::new(name, "tenant", payload(json!(1))))).into();
    let mut all = std::pin::pin!(futures_all(pending));
    assert!(tokio::time::timeout(Duration::from_secs(9), &mut all).await.is_err());
    let before = journal.names().len();
    journal.safe.send_replace(Some(before));
    let handles = all.await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(journal.names()[before..], ["done", "done"], "both ran although the first one's record is not safe");
    journal.safe.send_replace(None);
    for handle in handles {
        assert_eq!(read(handle).await.1.end, End::Completed);
    }
}

async fn futures_all(pending: Vec<impl Future<Output = Result<Handle, Error>>>) -> Vec<Handle> {
    let mut pending: Vec<_> = pending.into_iter().map(Box::pin).collect();
    let mut handles: Vec<Option<Handle>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (one, handle) in pending.iter_mut().zip(&mut handles) {
            if handle.is_none()
                && let std::task::Poll::Ready(ready) = one.as_mut().poll(cx)
            {
                *handle = Some(ready.unwrap());
            }
        }
        if handles.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    handles.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn outputs_that_the_reader_has_are_not_given_again() {
    let journal = Notebook::new();
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy());
    let make = |journal: &Arc<Notebook>, graph| {
        start_with(graph, |config| {
            config.journal = Some(Arc::clone(journal) as _);
            config.acknowledge = true;
        })
    };
    let flow = make(&journal, graph);
    let (outputs, _) = read(submit(&flow, "trace", json!([1, 2, 3])).await).await;
    assert_eq!(journal.names(), ["accepted", "done", "ended"]);
    let cursor = Some(Cursor { line: 1, offset: 10 });
    let delivered = Record::Delivered { message: Some(outputs[1].1), cursor };
    let trace = "trace".into();
    journal.append(&trace, Entry { at_ms: 0, seq: 0, record: delivered }).await.unwrap();
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy());
    let flow = make(&Notebook::with(journal.entries()), graph);
    let (again, terminal) = read(flow.resume("trace").await.unwrap()).await;
    assert_eq!(again, [outputs[0].clone(), outputs[2].clone()]);
    assert_eq!((terminal.end, terminal.outputs), (End::Completed, 3));
}

#[tokio::test(start_paused = true)]
async fn a_pause_goes_on_where_it_was() {
    let graph = || {
        let mut graph = Graph::builder("test");
        let backoff =
            floe_flow::Backoff { base: Duration::from_secs(60), factor: 1.0, cap: Duration::from_secs(60), jitter: false };
        graph.run("flaky", fails_until(2, FailureKind::Unavailable), Policy { retries: 1, backoff, ..policy() });
        graph
    };
    let journal = Notebook::new();
    let flow = start_with(graph(), |config| {
        config.journal = Some(Arc::clone(&journal) as _);
        config.epoch_ms = 1_000_000;
    });
    let mut handle = submit(&flow, "trace", json!(1)).await;
    assert!(tokio::time::timeout(Duration::from_secs(10), handle.next()).await.is_err());
    let records = journal.entries();
    assert_eq!(journal.names(), ["accepted", "failed"]);
    // The process is down for a while; or its clock is set back meanwhile, or far ahead.
    for (epoch_ms, left) in [(1_050_000, 10), (1_030_000, 30), (0, 60), (u64::MAX, 0)] {
        let flow = start_with(graph(), |config| {
            config.journal = Some(Notebook::with(records.clone()) as _);
            config.epoch_ms = epoch_ms;
        });
        let began = tokio::time::Instant::now();
        let (outputs, _) = read(flow.resume("trace").await.unwrap()).await;
        assert_eq!(outputs.len(), 1);
        assert_eq!(began.elapsed().as_secs(), left, "{epoch_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_goes_on_and_never_grows() {
    let graph = || {
        let mut graph = Graph::builder("test");
        graph.run("stuck", Arc::new(Stuck), policy());
        graph
    };
    let start = |journal: &Arc<Notebook>, epoch_ms| {
        start_with(graph(), |config| {
            config.journal = Some(Arc::clone(journal) as _);
            config.epoch_ms = epoch_ms;
        })
    };
    let journal = Notebook::new();
    let flow = start(&journal, 1_000_000);
    let submission = Submission { deadline: Some(Duration::from_secs(60)), ..Submission::new("trace", "t", payload(json!(1))) };
    let handle = flow.submit(submission).await.unwrap();
    let records = journal.entries();
    for (epoch_ms, left) in [(1_050_000, 10), (0, 60), (u64::MAX, 0)] {
        let journal = Notebook::with(records.clone());
        let flow = start(&journal, epoch_ms);
        let began = tokio::time::Instant::now();
        let (_, terminal) = read(flow.resume("trace").await.unwrap()).await;
        assert_eq!((terminal.end, began.elapsed().as_secs()), (End::DeadlineExceeded, left), "{epoch_ms}");
        assert_eq!(journal.names(), ["accepted", "ended", "delivered"]);
    }
    drop(handle);
}

fn charges(calls: &Arc<AtomicU32>) -> Builder {
    let calls = Arc::clone(calls);
    let invoke = native(move |call: Call| {
        calls.fetch_add(1, Ordering::SeqCst);
        Ok(Outcome::one(call.message.payload.clone()))
    });
    let mut graph = Graph::builder("test");
    graph.run("before", echo(), policy());
    graph.node("charge", Kind::Run { invoke, input: None, output: None, repeatable: false }, policy());
    graph.run("after", compute(|n| json!(n.as_u64().unwrap_or(0) + 1)), policy());
    graph.chain(&["before", "charge", "after"]);
    graph
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_made_twice_waits_for_a_decision() {
    let calls = Arc::new(AtomicU32::new(0));
    let journal = Notebook::new();
    let (outputs, _) = read(submit(&durable(charges(&calls), &journal), "trace", json!(1)).await).await;
    assert_eq!(journal.names(), ["accepted", "done", "started", "done", "done", "ended", "delivered"]);
    let cut = journal.entries()[..3].to_vec();
    let Record::Started(at) = cut[2].1.record.clone() else { panic!("{cut:?}") };

    let doubtful = Notebook::with(cut.clone());
    let (none, terminal) = read(durable(charges(&calls), &doubtful).resume("trace").await.unwrap()).await;
    assert_eq!((none.len(), terminal.end), (0, End::InDoubt));
    let error = terminal.error.unwrap();
    assert_eq!((error.code.as_str(), error.node.as_deref(), error.attempt), ("in_doubt", Some("charge"), Some(1)));
    assert!(error.message.contains("floe resolve trace"), "{}", error.message);
    assert_eq!(doubtful.names().len(), 3, "nothing is decided by looking");
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let decide = |record: Record| {
        let mut records = cut.clone();
        records.push(("trace".into(), Entry { at_ms: 0, seq: 0, record }));
        Notebook::with(records)
    };
    let retried = decide(Record::Retry(at.clone()));
    let (again, _) = read(durable(charges(&calls), &retried).resume("trace").await.unwrap()).await;
    assert_eq!((again, calls.load(Ordering::SeqCst)), (outputs.clone(), 2));

    let outcome = Outcome::one(payload(json!(1)));
    let (receipt, streams) = Default::default();
    let done = decide(Record::Done { at: at.clone(), emitted: Vec::new(), outcome, receipt, streams, tape: None });
    let (again, _) = read(durable(charges(&calls), &done).resume("trace").await.unwrap()).await;
    assert_eq!((again, calls.load(Ordering::SeqCst)), (outputs, 2));

    let (receipt, streams) = Default::default();
    let failure = Failure::new(FailureKind::Cancelled, "somebody decided that it failed");
    let failed = decide(Record::Failed { at, failure, receipt, streams, tape: None });
    let (none, terminal) = read(durable(charges(&calls), &failed).resume("trace").await.unwrap()).await;
    assert_eq!((none.len(), terminal.end, calls.load(Ordering::SeqCst)), (0, End::Failed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_kept_and_a_stop_is_not() {
    let slow = || {
        let mut graph = Graph::builder("test");
        graph.run("slow", Slow::new(Duration::from_secs(60)), policy());
        graph
    };
    let journal = Notebook::new();
    let flow = durable(slow(), &journal);
    let handle = submit(&flow, "cancelled", json!(1)).await;
    assert!(flow.cancel("cancelled"));
    assert!(!flow.cancel("cancelled"));
    assert_eq!(read(handle).await.1.end, End::Cancelled);
    let stopped = submit(&flow, "stopped", json!(1)).await;
    drop(submit(&flow, "dropped", json!(1)).await);
    flow.stop(Duration::from_secs(1)).await;
    assert_eq!(read(stopped).await.1.end, End::Stopped);
    assert_eq!(journal.names(), ["accepted", "ended", "delivered", "accepted", "accepted"]);
    let open = journal.unfinished().await.unwrap();
    assert_eq!(open.iter().map(|trace| &**trace).collect::<Vec<_>>(), ["stopped", "dropped"]);
    let flow = durable(slow(), &Notebook::with(journal.entries()));
    for trace in open {
        assert_eq!(read(flow.resume(&trace).await.unwrap()).await.1.end, End::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_stops_its_traces() {
    let journal = Notebook::new();
    let mut graph = Graph::builder("test");
    graph.run("slow", Slow::new(Duration::from_secs(1)), policy());
    let flow = durable(graph, &journal);
    let handle = submit(&flow, "trace", json!(1)).await;
    journal.broken.send_replace(true);
    let (outputs, terminal) = read(handle).await;
    assert_eq!((outputs.len(), terminal.end), (0, End::Stopped));
    let error = terminal.error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("journal", "the disk is full"));
    let refused = flow.submit(Submission::new("next", "tenant", payload(json!(1)))).await;
    assert_eq!(refused.unwrap_err(), Error::Journal("the disk is full".to_owned()));
    assert_eq!(flow.in_flight(), 0);
    flow.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn an_id_is_accepted_once() {
    let journal = Notebook::new();
    let mut graph = Graph::builder("test");
    graph.run("echo", echo(), policy());
    let flow = durable(graph, &journal);
    read(submit(&flow, "trace", json!(1)).await).await;
    let again = flow.submit(Submission::new("trace", "tenant", payload(json!(1)))).await;
    assert_eq!(again.unwrap_err(), Error::Duplicate("trace".into()));
    assert_eq!(flow.in_flight(), 0);
    assert_eq!(flow.resume("other").await.unwrap_err().to_string(), "the journal has no trace `other`");
}

#[tokio::test(start_paused = true)]
async fn records_of_another_flow_are_refused() {
    let journal = Notebook::new();
    read(submit(&durable(everything(), &journal), "trace", json!([1])).await).await;
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("other", echo(), policy()).chain(&["split", "other"]);
    let flow = durable(graph, &journal);
    let error = flow.resume("trace").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "trace `trace` cannot go on: record 2 does not fit: there is no node `flaky`; run it with the flow that made it"
    );
    assert_eq!(flow.in_flight(), 0);
}

#[derive(Debug)]
struct Streams;

impl Invoke for Streams {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let chunk = floe_flow::Chunk { stream: None, text: "piece".to_owned(), done: false, meta: Vec::new() };
            let seq = call.ctx.chunk(chunk).await.unwrap();
            Report::from(Ok(Outcome::one(json!(seq).into())))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_streams_go_on() {
    let graph = || {
        let mut graph = Graph::builder("test");
        graph.run("one", Arc::new(Streams), policy()).run("two", Arc::new(Streams), policy()).chain(&["one", "two"]);
        graph
    };
    let journal = Notebook::new();
    let expected = read(submit(&durable(graph(), &journal), "trace", json!(1)).await).await;
    assert_eq!(expected.0[0].2, "1");
    assert_eq!(journal.names()[..4], ["accepted", "streamed", "done", "streamed"]);
    let flow = durable(graph(), &Notebook::with(journal.entries()[..3].to_vec()));
    let mut handle = flow.resume("trace").await.unwrap();
    assert!(matches!(handle.next().await, Some(Item::Chunk { seq: 1, .. })));
    assert_eq!(read(handle).await, expected);
}

#[test]
fn records_are_read_as_they_were_written() {
    let text = "{\"b\" : 1.50,  \"a\":[1e400]}";
    let at = At { node: "node".into(), message: MessageId::INPUT, attempt: 1 };
    let (emitted, receipt, streams) = (Vec::new(), Default::default(), Default::default());
    let outcome = Outcome::Final(Payload::parse(text.replace("1e400", "1e40")).unwrap());
    let record = Record::Done { at, emitted, outcome, receipt, streams, tape: None };
    let written = serde_json::to_string(&record).unwrap();
    assert!(written.contains("{\"b\" : 1.50,  \"a\":[1e40]}"), "{written}");
    assert_eq!(serde_json::from_str::<Record>(&written).unwrap(), record);
    let _: Value = serde_json::from_str(&written).unwrap();
    let _ = Config::on_current_runtime;
}

/// A loop that asks for another turn every second, without end.
fn thinks() -> Builder {
    #[derive(Debug)]
    struct Thinks;
    impl Invoke for Thinks {
        fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Report::from(Ok(Outcome::Again { memory: json!({ "turns": call.message.turn + 1 }).into(), tokens_used: 0 }))
            })
        }
    }
    let mut graph = Graph::builder("test");
    graph.run("loop", Arc::new(Thinks), Policy { turns: 100, ..policy() });
    graph
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_a_loop_that_ran_out_of_time_or_hops_is_kept() {
    type Change = fn(&mut Config);
    let out_of_time: Change = |config| config.budget.deadline = Some(Duration::from_millis(3500));
    let out_of_hops: Change = |config| config.budget.hops = 3;
    for (change, end) in [(out_of_time, End::DeadlineExceeded), (out_of_hops, End::BudgetExhausted)] {
        let begin = |journal: &Arc<Notebook>, epoch_ms| {
            start_with(thinks(), |config| {
                (config.journal, config.epoch_ms) = (Some(Arc::clone(journal) as _), epoch_ms);
                change(config);
            })
        };
        let whole = Notebook::new();
        let expected = read(submit(&begin(&whole, 1_000_000), "trace", json!(0)).await).await;
        let detail = expected.1.error.as_ref().unwrap().detail.clone().unwrap();
        assert_eq!((expected.1.end, &detail["partial"]), (end, &json!({"turns": 3})));
        assert_eq!(whole.names(), ["accepted", "done", "done", "done", "ended", "delivered"]);
        let records = whole.entries();
        let Record::Ended(recorded) = &records[4].1.record else { panic!("{records:?}") };
        assert_eq!(*recorded, expected.1, "whoever looks into the journal sees it, too");
        // With its end in the journal, and without.
        let resume = async |kept: usize| {
            let flow = begin(&Notebook::with(records[..kept].to_vec()), 1_003_000);
            read(flow.resume("trace").await.unwrap()).await
        };
        assert_eq!(resume(5).await, expected);
        let terminal = resume(4).await.1;
        assert_eq!((terminal.end, terminal.error.unwrap().detail), (end, Some(detail)));
    }
}
