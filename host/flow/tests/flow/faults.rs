//! What nodes, observers and callers do wrong stays with them: the trace ends, and the flow goes on.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::{
    Call, Chunk, End, Event, EventKind, Failure, FailureKind, Graph, Invoke, Observer, OnFailure, Outcome, Output, Policy,
    Report, native,
};
use serde_json::json;

use crate::support::{Recorder, chain, echo, policy, run, split, start, start_with, submit};

type Reporting<'a> = Pin<Box<dyn Future<Output = Report> + Send + 'a>>;

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "in a destructor");
    }
}

#[derive(Debug)]
struct Hangs;

impl Invoke for Hangs {
    fn invoke(&self, _: Call) -> Reporting<'_> {
        Box::pin(async {
            let _bomb = PanicsWhenDropped;
            std::future::pending().await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_destructor_is_a_failure() {
    let mut graph = Graph::builder("test");
    graph.run("a", Arc::new(Hangs), Policy { timeout: Some(Duration::from_secs(1)), ..policy() });
    let flow = start(graph);
    for _ in 0..3 {
        let (_, terminal) = run(&flow, json!(1)).await;
        assert_eq!((terminal.end, terminal.error.unwrap().code.as_str()), (End::Failed, "internal"));
    }
}

#[derive(Debug)]
struct Panics;

impl Observer for Panics {
    fn observe(&self, _: Event) {
        panic!("in an observer");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_disturbs_nobody() {
    let flow = start_with(chain(&[("a", echo())]), |config| config.observer = Some(Arc::new(Panics)));
    assert_eq!(run(&flow, json!(1)).await.1.end, End::Completed);
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end() {
    let kept = Arc::new(Mutex::new(None));
    let keeps = {
        let kept = Arc::clone(&kept);
        native(move |call| {
            *kept.lock().unwrap() = Some(call.ctx.clone());
            Ok(Outcome::one(call.message.payload.clone()))
        })
    };
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(chain(&[("a", keeps)]), |config| config.observer = Some(recorder.clone()));
    assert_eq!(run(&flow, json!(1)).await.1.end, End::Completed);
    let ctx = kept.lock().unwrap().take().unwrap();
    let chunk = Chunk { stream: None, text: "late".into(), done: false, meta: Vec::new() };
    assert_eq!(ctx.chunk(chunk).await.unwrap_err().kind, FailureKind::Cancelled);
    assert_eq!(ctx.progress("status".into(), json!(1).into()).await.unwrap_err().kind, FailureKind::Cancelled);
    let events = recorder.0.lock().unwrap();
    assert!(matches!(events.last().unwrap().kind, EventKind::Ended { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_trace_starts_nothing() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = {
        let calls = Arc::clone(&calls);
        native(move |call| {
            calls.fetch_add(1, Ordering::SeqCst);
            Ok(Outcome::one(call.message.payload.clone()))
        })
    };
    let flow = start(chain(&[("a", counted)]));
    let handle = submit(&flow, "t", json!(1)).await;
    assert!(handle.cancel());
    handle.finish().await;
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn odd_settings_are_taken_as_they_are_meant() {
    let flow = start_with(chain(&[("a", echo())]), |config| {
        config.reader = 0;
        config.in_flight = usize::MAX;
        config.in_flight_per_tenant = usize::MAX;
    });
    assert_eq!(run(&flow, json!(1)).await.1.end, End::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_successor_is_named_once() {
    let twice = native(|call| {
        let to = vec!["b".to_owned(), "b".to_owned()];
        Ok(Outcome::Outputs(vec![Output { to, ..Output::new(call.message.payload.clone()) }]))
    });
    let (outputs, terminal) = run(&start(chain(&[("a", twice), ("b", echo())])), json!(1)).await;
    assert_eq!((outputs.len(), terminal.error.unwrap().message.as_str()), (0, "`a` sent a message to `b` twice; name it once"));
}

#[tokio::test(start_paused = true)]
async fn metadata_counts_as_payload() {
    let grows = |key: &'static str| {
        native(move |call| {
            let mut output = Output::new(call.message.payload.clone());
            output.meta = vec![(key.to_owned(), json!("x".repeat(400)).into())];
            Ok(Outcome::Outputs(vec![output]))
        })
    };
    // What was handed on counts too.
    let graph = chain(&[("a", grows("a")), ("b", grows("b")), ("c", grows("c"))]);
    let (_, terminal) = run(&start_with(graph, |config| config.budget.payload = 1000), json!(1)).await;
    let error = terminal.error.unwrap();
    assert_eq!((error.node.as_deref(), error.detail.unwrap()["limit"].as_str()), (Some("c"), Some("payload")));
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_travels_is_bounded_too() {
    let long = native(|_| Err(Failure::new(FailureKind::NotFound, "x".repeat(100_000))));
    let mut graph = Graph::builder("test");
    graph.run("a", long, Policy { on_failure: OnFailure::To("b".into()), ..policy() }).run("b", echo(), policy());
    let (outputs, _) = run(&start(graph), json!(1)).await;
    assert!(outputs[0]["error"]["message"].as_str().is_some_and(|text| text.len() == 4096 && text.ends_with('…')));

    let detailed = native(|_| {
        let mut failure = Failure::new(FailureKind::NotFound, "why");
        failure.detail = Some(json!("y".repeat(100_000)));
        Err(failure)
    });
    let mut graph = Graph::builder("test");
    graph.run("a", detailed, Policy { on_failure: OnFailure::To("b".into()), ..policy() }).run("b", echo(), policy());
    let (outputs, terminal) = run(&start_with(graph, |config| config.budget.payload = 1000), json!(1)).await;
    assert_eq!((outputs.len(), terminal.end, terminal.error.unwrap().message.as_str()), (0, End::Failed, "why"));
}

#[tokio::test(start_paused = true)]
async fn tokens_are_summed_over_the_loops_of_a_trace() {
    let loops = native(|call| {
        let payload = call.message.payload.clone();
        match u64::from(call.message.turn) {
            turn @ 0..2 => Ok(Outcome::Again { memory: payload, tokens_used: (turn + 1) * 10 }),
            _ => Ok(Outcome::one(payload)),
        }
    });
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("loop", loops, policy()).chain(&["split", "loop"]);
    let flow = start_with(graph, |config| config.budget.tokens = Some(50));
    assert_eq!(run(&flow, json!([1, 2])).await.1.end, End::Completed, "40 of 50");
    let (_, terminal) = run(&flow, json!([1, 2, 3])).await;
    let detail = terminal.error.unwrap().detail.unwrap();
    assert_eq!((terminal.end, &detail["used"], &detail["max"]), (End::BudgetExhausted, &json!(50), &json!(50)));
}
