//! What holds where nothing is said.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::graph::DEFAULT_QUEUE;
use floe_flow::{
    Budget, Config, DEFAULT_MAP_CONCURRENCY, End, EventKind, Failure, FailureKind, Graph, Invoke, Kind, Outcome, Policy, Schema,
    native,
};
use serde_json::json;

use crate::support::{Recorder, Slow, echo, fails_until, run, start, start_with};

fn one(invoke: Arc<dyn Invoke>, policy: Policy) -> floe_flow::graph::Builder {
    let mut graph = Graph::builder("test");
    graph.run("node", invoke, policy);
    graph
}

fn unset() -> Policy {
    Policy::with_concurrency(1)
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_final_and_fails_the_trace() {
    for kind in FailureKind::ALL {
        let (_, terminal) = run(&start(one(fails_until(2, kind), unset())), json!(1)).await;
        assert_eq!((terminal.end, terminal.error.unwrap().attempt), (End::Failed, Some(1)), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_over_soon_is_retried_if_retries_are_allowed() {
    let mut retried = Vec::new();
    for kind in FailureKind::ALL {
        let (outputs, _) = run(&start(one(fails_until(2, kind), Policy { retries: 1, ..unset() })), json!(1)).await;
        retried.extend((outputs.len() == 1).then_some(kind.code()));
    }
    assert_eq!(retried, ["timed-out", "busy", "unavailable", "internal"]);
}

#[tokio::test(start_paused = true)]
async fn pauses_double_from_a_tenth_of_a_second_to_half_a_minute_and_spread() {
    let recorder = Arc::new(Recorder::default());
    let never = fails_until(u32::MAX, FailureKind::Busy);
    let flow = start_with(one(never, Policy { retries: 11, ..unset() }), |config| config.observer = Some(recorder.clone()));
    run(&flow, json!(1)).await;
    let events = recorder.0.lock().unwrap();
    let pauses: Vec<u64> = events
        .iter()
        .filter_map(|event| if let EventKind::Retry { pause_ms, .. } = event.kind { Some(pause_ms) } else { None })
        .collect();
    let full = [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
    assert_eq!(pauses.len(), full.len());
    assert!(pauses.iter().zip(full).all(|(pause, full)| (full / 2..=full).contains(pause)), "{pauses:?}");
    assert_ne!(pauses, full, "a part of each pause is left to chance");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_may_take_as_long_as_it_likes() {
    let day = Slow::new(Duration::from_secs(24 * 3600));
    assert_eq!(run(&start(one(day, unset())), json!(1)).await.1.end, End::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_loop_has_eight_turns() {
    let calls_needed = |calls: u32| {
        native(move |call| {
            let payload = call.message.payload.clone();
            let last = call.message.turn + 1 == calls;
            Ok(if last { Outcome::Final(payload) } else { Outcome::Again { memory: payload, tokens_used: 0 } })
        })
    };
    assert_eq!(run(&start(one(calls_needed(8), unset())), json!(1)).await.1.end, End::Completed);
    assert_eq!(run(&start(one(calls_needed(9), unset())), json!(1)).await.1.end, End::BudgetExhausted);
}

#[tokio::test(start_paused = true)]
async fn both_sides_are_checked_against_their_schemas() {
    let number = || Some(Schema::compile(&json!({"type": "number"})).unwrap());
    for (input, output) in [(number(), None), (None, number())] {
        let mut graph = Graph::builder("test");
        graph.node("node", Kind::Run { invoke: echo(), input, output, repeatable: true }, unset());
        assert_eq!(run(&start(graph), json!("text")).await.1.error.unwrap().code, "invalid-input");
    }
}

#[tokio::test]
async fn the_numbers_of_a_flow() {
    let Config { in_flight, in_flight_per_tenant, weights, budget, reader, acknowledge, .. } = Config::on_current_runtime();
    assert_eq!((in_flight, in_flight_per_tenant, reader), (64, 64, 64));
    assert!(weights.is_empty() && !acknowledge);
    assert_eq!(budget, Budget::new(100_000, 10_000, 8 << 20));
    assert_eq!((DEFAULT_QUEUE, DEFAULT_MAP_CONCURRENCY), (64, 8));
    // What a failure hints at counts for an hour at most.
    let failure = Failure::new(FailureKind::Busy, "later");
    assert_eq!((failure.retry_after, floe_flow::MAX_RETRY_AFTER), (None, Duration::from_secs(3600)));
}
