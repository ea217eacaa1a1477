//! Every trace ends once, whatever happens to it, and nothing of it runs afterwards.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use floe_flow::{Backoff, End, Error, FailureKind, Graph, Item, Join, Kind, Payload, Policy, Submission};
use serde_json::json;

use crate::support::{
    Recorder, Slow, Stuck, chain, compute, echo, fails_until, next_output, outputs, payload, policy, run, split, start,
    start_with, submit,
};

#[tokio::test(start_paused = true)]
async fn a_trace_without_outputs_completes_and_says_so() {
    let flow = start(chain(&[("split", split())]));
    let (outputs, terminal) = run(&flow, json!([])).await;
    assert_eq!((outputs.len(), terminal.end, terminal.outputs), (0, End::Completed, 0));
}

#[tokio::test(start_paused = true)]
async fn exactly_one_end_comes_last() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("echo", echo(), Policy { ordered: true, ..policy() }).chain(&["split", "echo"]);
    let flow = start(graph);
    let mut handle = submit(&flow, "trace", json!([1, 2, 3])).await;
    for expected in [1, 2, 3] {
        assert_eq!(next_output(&mut handle).await, json!(expected));
    }
    let Some(Item::End(terminal)) = handle.next().await else { panic!("no end") };
    assert_eq!((terminal.end, terminal.outputs), (End::Completed, 3));
    assert!(handle.next().await.is_none());
    assert!(handle.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failure_cancels_the_other_branches_and_keeps_outputs() {
    let slow = Slow::new(Duration::from_secs(100));
    let mut graph = Graph::builder("test");
    graph.run("start", echo(), policy()).run("slow", slow.clone(), policy()).run("quick", echo(), policy());
    graph.run("fails", fails_until(9, FailureKind::NotFound), policy());
    graph.chain(&["start", "slow"]).chain(&["start", "quick"]).chain(&["start", "fails"]);
    let began = tokio::time::Instant::now();
    let (outputs, terminal) = run(&start(graph), json!(1)).await;
    assert_eq!((outputs, terminal.end, terminal.outputs), (vec![json!(1)], End::Failed, 1));
    assert!(began.elapsed() < Duration::from_secs(1));
    // The terminal came after the running attempt had been dropped.
    assert_eq!((slow.running.load(Ordering::SeqCst), slow.dropped.load(Ordering::SeqCst)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_calls_queues_and_pauses_and_leaves_others_alone() {
    let mut graph = Graph::builder("test");
    let slow = Slow::new(Duration::from_secs(1));
    graph.run("split", split(), policy()).run("slow", slow.clone(), policy());
    graph.chain(&["split", "slow"]);
    let flow = start(graph);
    let doomed = submit(&flow, "doomed", json!([1, 2, 3, 4, 5, 6])).await;
    let other = submit(&flow, "other", json!([7, 8])).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(flow.cancel("doomed"));
    assert!(!doomed.cancel(), "it is ending already");
    let (_, terminal) = doomed.finish().await;
    assert_eq!(terminal.end, End::Cancelled);
    let (outputs, terminal) = other.finish().await;
    assert_eq!((outputs.len(), terminal.end), (2, End::Completed));
    assert!(!flow.cancel("doomed") && !flow.cancel("other"));
    assert_eq!(slow.running.load(Ordering::SeqCst), 0);
}

/// What a trace runs on may turn out to be something that must not run any more.
#[tokio::test(start_paused = true)]
async fn all_that_is_in_flight_fails_together() {
    let slow = Slow::new(Duration::from_secs(100));
    let flow = start(chain(&[("slow", slow.clone())]));
    let (first, second) = (submit(&flow, "first", json!(1)).await, submit(&flow, "second", json!(2)).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(flow.fail_all("revoked", "the plugin is revoked"), 2);
    assert_eq!(flow.fail_all("revoked", "the plugin is revoked"), 0, "they are ending already");
    for handle in [first, second] {
        let (_, terminal) = handle.finish().await;
        let error = terminal.error.unwrap();
        assert_eq!(
            (terminal.end, error.code.as_str(), error.message.as_str()),
            (End::Failed, "revoked", "the plugin is revoked")
        );
    }
    assert_eq!((slow.running.load(Ordering::SeqCst), flow.in_flight()), (0, 0));
    let third = submit(&flow, "third", json!(3)).await;
    assert_eq!(third.finish().await.1.end, End::Completed, "others may come");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_interrupts_the_pause_before_a_retry() {
    let mut graph = Graph::builder("test");
    let backoff = Backoff { base: Duration::from_secs(1000), factor: 1.0, cap: Duration::from_secs(1000), jitter: false };
    graph.run("fails", fails_until(9, FailureKind::Busy), Policy { retries: 5, backoff, ..policy() });
    let flow = start(graph);
    let handle = submit(&flow, "trace", json!(1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    handle.cancel();
    let began = tokio::time::Instant::now();
    assert_eq!(handle.finish().await.1.end, End::Cancelled);
    assert!(began.elapsed() < Duration::from_millis(1));
    flow.stop(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_cancels_its_trace() {
    let mut graph = Graph::builder("test");
    graph.run("stuck", Arc::new(Stuck), policy());
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    drop(submit(&flow, "trace", json!(1)).await);
    flow.stop(Duration::from_secs(9)).await;
    assert_eq!(recorder.story("trace"), ["accepted", "started stuck", "ending", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn stop_drains_with_grace_and_tells_the_rest() {
    let mut graph = Graph::builder("test");
    graph.run("node", Slow::new(Duration::from_secs(2)), policy());
    let flow = start(graph);
    let quick = submit(&flow, "quick", json!(1)).await;
    flow.stop(Duration::from_secs(5)).await;
    assert_eq!(quick.finish().await.1.end, End::Completed);

    let mut graph = Graph::builder("test");
    graph.run("node", Arc::new(Stuck), policy());
    let flow = start_with(graph, |config| config.in_flight = 1);
    let stuck = submit(&flow, "stuck", json!(1)).await;
    let waiting = flow.submit(Submission::new("waiting", "tenant", payload(json!(1))));
    let (waiting, ()) = tokio::join!(waiting, flow.stop(Duration::from_secs(5)));
    assert_eq!(waiting.unwrap_err(), Error::Stopped);
    assert_eq!(stuck.finish().await.1.end, End::Stopped);
    let late = flow.submit(Submission::new("late", "tenant", payload(json!(1)))).await;
    assert_eq!(late.unwrap_err(), Error::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_trace_id_is_in_flight_once() {
    let mut graph = Graph::builder("test");
    graph.run("node", Slow::new(Duration::from_secs(1)), policy());
    let flow = start(graph);
    let first = submit(&flow, "same", json!(1)).await;
    let second = flow.submit(Submission::new("same", "tenant", payload(json!(1)))).await;
    assert_eq!(second.unwrap_err(), Error::Duplicate("same".into()));
    assert_eq!(first.finish().await.1.end, End::Completed);
    assert_eq!(submit(&flow, "same", json!(1)).await.finish().await.1.end, End::Completed);
    assert_eq!(flow.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn large_payloads_are_refused_wherever_they_come_up() {
    let nodes = [("grow", compute(|value| json!([value, value]))), ("next", echo())];
    let flow = start_with(chain(&nodes), |config| config.budget.payload = 1000);
    let text = json!("x".repeat(2000));
    let refused = flow.submit(Submission::new("trace", "tenant", payload(text))).await;
    assert_eq!(refused.unwrap_err(), Error::TooLarge { bytes: 2002, max: 1000 });
    let (_, terminal) = run(&flow, json!("x".repeat(600))).await;
    assert_eq!(terminal.error.unwrap().code, "exhausted");
    assert_eq!(outputs(&flow, json!("x")).await, [json!(["x", "x"])]);
}

#[test]
fn payloads_are_json_of_bounded_depth() {
    for good in ["1", "null", "{\"a\":[1.50,true]}", "\"\\ud83d\\ude00\""] {
        assert_eq!(Payload::parse(good).unwrap().text(), good, "passed on as written");
    }
    assert_eq!(Payload::parse(" \r\n[1, 2]\t").unwrap().text(), "[1, 2]");
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(Payload::parse(deep(127)).unwrap().value().is_array());
    // serde_json would read what is under this key once more, as something else than what is passed on.
    for key in ["$serde_json::private::RawValue", "\\u0024serde_json::private::RawValue", "$serde_json::private::Number"] {
        for value in ["5", "\"{}\"", "null"] {
            let error = Payload::parse(format!("[{{\"a\":1,\"{key}\":{value}}}]")).unwrap_err().to_string();
            assert!(error.starts_with("not valid JSON: a key may not begin with"), "{error}");
        }
    }
    for bad in ["", "{", "1 2", "{'a':1}", "\"\\ud800\"", "1e999", "nul", &deep(128), &deep(1_000_000)] {
        assert!(Payload::parse(bad).is_err(), "{}", &bad[..bad.len().min(20)]);
    }
}

/// A parsed value takes many times its text; only small ones are kept for the next who asks.
#[test]
fn parsed_payloads_are_bounded() {
    let objects = |count: usize| format!("[{}0]", "{\"a\":0},".repeat(count));
    let small = Payload::parse(objects(10)).unwrap();
    assert!(std::ptr::eq(&raw const *small.value(), &raw const *small.value()));
    let large = Payload::parse(objects(1000)).unwrap();
    assert_eq!(large.value().as_array().unwrap().len(), 1001);
    assert!(matches!(large.value(), std::borrow::Cow::Owned(_)));
    let error = Payload::parse(objects(1_000_000)).unwrap_err().to_string();
    assert!(error.starts_with("not valid JSON: parsed, it would take more than 128 MiB; use fewer, longer values"), "{error}");
    Payload::parse(format!("\"{}\"", "x".repeat(8 << 20))).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_empties_joins_that_are_half_filled() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("slow", Slow::new(Duration::from_secs(10)), Policy::with_concurrency(1));
    let hour = Some(Duration::from_secs(3600));
    graph.node("all", Kind::Join(Join { within: hour, ..Join::all_of("split").with_quorum(0) }), policy());
    graph.node("three", Kind::Join(Join { within: hour, ..Join::count(3).with_quorum(0) }), policy());
    graph.chain(&["split", "slow", "all"]).chain(&["slow", "three"]);
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let began = tokio::time::Instant::now();
    let handle = submit(&flow, "trace", json!([1, 2, 3])).await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    // One member is in each join, and nothing of it goes on.
    assert!(handle.cancel());
    let (outputs, terminal) = handle.finish().await;
    assert_eq!((outputs.len(), terminal.end, terminal.outputs), (0, End::Cancelled, 0));
    flow.stop(Duration::from_secs(60)).await;
    assert_eq!(began.elapsed().as_secs(), 15, "no timer of a join is left");
    let story = recorder.story("trace");
    assert_eq!(story.iter().filter(|event| *event == "succeeded slow").count(), 1);
    assert!(!story.iter().any(|event| event.starts_with("joined") || event.starts_with("output")), "{story:?}");
    assert_eq!(story[story.len() - 2..], ["ending", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_leaves_what_left_the_flow_with_its_reader() {
    let flow = start_with(chain(&[("split", split())]), |config| config.reader = 2);
    let mut handle = submit(&flow, "trace", json!([1, 2, 3, 4, 5])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(handle.cancel());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Two had left; the others were held back, and go.
    assert_eq!(next_output(&mut handle).await, json!(1));
    assert_eq!(next_output(&mut handle).await, json!(2));
    let Some(Item::End(terminal)) = handle.next().await else { panic!("no end") };
    assert_eq!((terminal.end, terminal.outputs), (End::Cancelled, 2));
}
