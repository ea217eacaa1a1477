//! Retries, time-outs, what a failure means, order and concurrency.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use floe_flow::{
    Backoff, Call, End, Failure, FailureKind, Graph, Invoke, Kind, OnFailure, Outcome, Output, Policy, Report, Schema, Validate,
    native,
};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Recorder, Slow, Stuck, compute, echo, fails_until, outputs, policy, run, split, start, start_with, submit};

fn exact(retries: u32) -> Policy {
    let backoff = Backoff { base: Duration::from_millis(500), factor: 2.0, cap: Duration::from_secs(3), jitter: false };
    Policy { retries, backoff, ..policy() }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_retried_after_a_growing_pause() {
    let mut graph = Graph::builder("test");
    graph.run("node", fails_until(4, FailureKind::Unavailable), exact(3));
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let began = Instant::now();
    assert_eq!(outputs(&flow, json!(7)).await, [json!(7)]);
    assert_eq!(began.elapsed().as_millis() / 10, (500 + 1000 + 2000) / 10);
    let story = recorder.story("trace");
    assert_eq!(story.iter().filter(|event| *event == "retry node").count(), 3);
    assert_eq!(story.first().unwrap(), "accepted");
    assert_eq!(&story[story.len() - 3..], ["succeeded node", "output node", "ended"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_fails_the_trace_with_its_place() {
    let mut graph = Graph::builder("test");
    graph.run("node", fails_until(9, FailureKind::Internal), exact(2));
    let (_, terminal) = run(&start(graph), json!(1)).await;
    let error = terminal.error.unwrap();
    assert_eq!(terminal.end, End::Failed);
    assert_eq!((error.code.as_str(), error.node.as_deref(), error.attempt), ("internal", Some("node"), Some(3)));
    assert_eq!(error.message, "not yet");
}

#[tokio::test(start_paused = true)]
async fn only_the_kinds_that_the_policy_names_are_retried() {
    for (kind, attempts) in
        [(FailureKind::InvalidInput, 1), (FailureKind::Denied, 1), (FailureKind::Busy, 3), (FailureKind::TimedOut, 3)]
    {
        let mut graph = Graph::builder("test");
        graph.run("node", fails_until(9, kind), exact(2));
        let (_, terminal) = run(&start(graph), json!(1)).await;
        assert_eq!(terminal.error.unwrap().attempt, Some(attempts), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_lengthens_the_pause() {
    let mut graph = Graph::builder("test");
    let busy = native(|call| {
        if call.attempt > 1 {
            return Ok(Outcome::one(call.message.payload.clone()));
        }
        Err(Failure { retry_after: Some(Duration::from_secs(60)), ..Failure::new(FailureKind::Busy, "later") })
    });
    graph.run("node", busy, exact(1));
    let began = Instant::now();
    outputs(&start(graph), json!(1)).await;
    assert!(began.elapsed() >= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_hint_asks_for_an_hour_at_most() {
    let mut graph = Graph::builder("test");
    let for_ever =
        native(|_| Err(Failure { retry_after: Some(Duration::MAX), ..Failure::new(FailureKind::Busy, "some other day") }));
    graph.run("node", for_ever, exact(1));
    let began = Instant::now();
    assert_eq!(run(&start(graph), json!(1)).await.1.error.unwrap().attempt, Some(2));
    assert_eq!(began.elapsed().as_secs(), floe_flow::MAX_RETRY_AFTER.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_retry_holds_no_slot() {
    let mut graph = Graph::builder("test");
    let first_fails = native(|call| {
        if call.message.payload.text() == "\"bad\"" {
            Err(Failure::new(FailureKind::Internal, "bad"))
        } else {
            Ok(Outcome::one(call.message.payload.clone()))
        }
    });
    graph.run("node", first_fails, Policy { concurrency: 1, ..exact(5) });
    let flow = start(graph);
    let bad = submit(&flow, "bad", json!("bad")).await;
    tokio::task::yield_now().await;
    let began = Instant::now();
    submit(&flow, "good", json!("good")).await.finish().await;
    assert!(began.elapsed() < Duration::from_millis(10), "the good one waited {:?}", began.elapsed());
    assert_eq!(bad.finish().await.1.end, End::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_attempt_times_out() {
    let mut graph = Graph::builder("test");
    graph.run("node", Arc::new(Stuck), Policy { timeout: Some(Duration::from_secs(2)), ..exact(1) });
    let began = Instant::now();
    let (_, terminal) = run(&start(graph), json!(1)).await;
    assert_eq!(terminal.error.unwrap().code, "timed-out");
    assert_eq!(began.elapsed().as_millis() / 10, (2000 + 500 + 2000) / 10);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_the_next_message_is_served() {
    let mut graph = Graph::builder("test");
    let panics = native(|call| {
        assert_ne!(call.message.payload.text(), "1", "on purpose");
        Ok(Outcome::one(call.message.payload.clone()))
    });
    graph.run("node", panics, Policy { concurrency: 1, ..policy() });
    let flow = start(graph);
    let (_, terminal) = run(&flow, json!(1)).await;
    assert_eq!(terminal.error.unwrap().code, "internal");
    assert_eq!(outputs(&flow, json!(2)).await, [json!(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_failure_ends_its_branch_only() {
    let mut graph = Graph::builder("test");
    let odd = native(|call| {
        let odd = call.message.payload.value().as_i64().unwrap() % 2 == 1;
        if odd { Ok(Outcome::one(call.message.payload.clone())) } else { Err(Failure::new(FailureKind::NotFound, "even")) }
    });
    graph.run("split", split(), policy()).run("odd", odd, Policy { on_failure: OnFailure::Drop, concurrency: 1, ..policy() });
    graph.chain(&["split", "odd"]);
    assert_eq!(outputs(&start(graph), json!([1, 2, 3])).await, [json!(1), json!(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_can_travel_to_a_node() {
    let mut graph = Graph::builder("test");
    graph.run("work", fails_until(9, FailureKind::Denied), Policy { on_failure: OnFailure::To("mend".into()), ..policy() });
    graph.run("end", echo(), policy());
    graph.run("mend", compute(|value| json!([value["error"]["code"], value["error"]["node"], value["payload"]])), policy());
    graph.chain(&["work", "end"]);
    assert_eq!(outputs(&start(graph), json!({"n": 1.50})).await, [json!(["denied", "work", {"n": 1.5}])]);
}

#[tokio::test(start_paused = true)]
async fn emissions_of_a_failed_attempt_are_dropped() {
    let mut graph = Graph::builder("test");
    #[derive(Debug)]
    struct EmitsThenFails;
    impl floe_flow::Invoke for EmitsThenFails {
        fn invoke(&self, call: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
            let result = if call.attempt == 1 {
                Err(Failure::new(FailureKind::Internal, "once"))
            } else {
                Ok(Outcome::Outputs(Vec::new()))
            };
            let emitted = vec![floe_flow::Output::new(json!(call.attempt).into())];
            Box::pin(std::future::ready(floe_flow::Report { emitted, ..floe_flow::Report::from(result) }))
        }
    }
    graph.run("node", Arc::new(EmitsThenFails), exact(1));
    assert_eq!(outputs(&start(graph), json!(null)).await, [json!(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_node_runs_as_many_at_once_as_its_policy_says() {
    for concurrency in [1, 3] {
        let slow = Slow::new(Duration::from_millis(10));
        let mut graph = Graph::builder("test");
        graph.run("split", split(), policy()).run("slow", slow.clone(), Policy::with_concurrency(concurrency));
        graph.chain(&["split", "slow"]);
        outputs(&start(graph), json!([1, 2, 3, 4, 5, 6, 7])).await;
        assert_eq!(slow.most.load(Ordering::SeqCst), concurrency);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ordered_node_keeps_the_order_of_arrival_per_trace() {
    // Every even item fails once, so that it comes back later; an ordered node waits for it.
    let mut graph = Graph::builder("test");
    let flaky = native(|call| {
        let again = call.message.payload.value().as_i64().unwrap() % 2 == 0 && call.attempt == 1;
        if again { Err(Failure::new(FailureKind::Internal, "once")) } else { Ok(Outcome::one(call.message.payload.clone())) }
    });
    graph.run("split", split(), policy()).run("flaky", flaky, Policy { ordered: true, concurrency: 4, ..exact(1) });
    graph.chain(&["split", "flaky"]);
    let items: Vec<i64> = (0..200).collect();
    let expected: Vec<_> = items.iter().map(|n| json!(n)).collect();
    assert_eq!(outputs(&start(graph), json!(items)).await, expected);
}

#[tokio::test(start_paused = true)]
async fn payloads_are_checked_as_the_policy_says() {
    let number = || Some(Schema::compile(&json!({"type": "number"})).unwrap());
    for (validate, bad_input, bad_output) in [
        (Validate::Both, "invalid-input", "invalid-input"),
        (Validate::In, "invalid-input", ""),
        (Validate::Out, "", "invalid-input"),
        (Validate::None, "", ""),
    ] {
        let code = |input, output, value: serde_json::Value| async move {
            let mut graph = Graph::builder("test");
            graph.node("node", Kind::Run { invoke: echo(), input, output, repeatable: true }, Policy { validate, ..exact(3) });
            let error = run(&start(graph), value).await.1.error;
            // Wrong data stays wrong: it is not retried.
            assert!(error.as_ref().is_none_or(|error| error.attempt == Some(1)));
            error.map(|error| error.code).unwrap_or_default()
        };
        assert_eq!(code(number(), None, json!("text")).await, bad_input);
        assert_eq!(code(None, number(), json!("text")).await, bad_output);
        assert_eq!(code(number(), number(), json!(1)).await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_emitted_goes_ahead_of_what_is_returned() {
    #[derive(Debug)]
    struct EmitsAndReturns;
    impl floe_flow::Invoke for EmitsAndReturns {
        fn invoke(&self, call: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
            let output = |n: u64| floe_flow::Output::new(json!(n).into());
            let result = match call.message.payload.text() {
                "\"outputs\"" => Outcome::Outputs(vec![output(3), output(4)]),
                _ => Outcome::Final(json!("answer").into()),
            };
            let emitted = vec![output(1), output(2)];
            Box::pin(std::future::ready(floe_flow::Report { emitted, ..floe_flow::Report::from(Ok(result)) }))
        }
    }
    let mut graph = Graph::builder("test");
    graph.run("node", Arc::new(EmitsAndReturns), policy()).run("next", echo(), Policy { ordered: true, ..policy() });
    graph.chain(&["node", "next"]);
    let flow = start(graph);
    assert_eq!(outputs(&flow, json!("outputs")).await, [1, 2, 3, 4]);
    // An answer is not held up by successors, and comes once all the same.
    let mut all = outputs(&flow, json!("answer")).await;
    all.sort_by_key(ToString::to_string);
    assert_eq!(all, [json!("answer"), json!(1), json!(2)]);
}

fn number() -> Option<Schema> {
    Some(Schema::compile(&json!({"type": "number"})).unwrap())
}

/// Runs a node that computes this outcome, with these schemas, over `1`.
async fn ending(
    outcome: impl Fn(u32) -> Outcome + Send + Sync + 'static,
    [input, output]: [Option<Schema>; 2],
    validate: Validate,
) -> (Vec<serde_json::Value>, String) {
    let invoke = native(move |call| Ok(outcome(call.message.turn)));
    let mut graph = Graph::builder("test");
    graph.node("node", Kind::Run { invoke, input, output, repeatable: true }, Policy { validate, ..exact(3) });
    graph.run("never", native(|_| unreachable!("an answer passes the successors")), policy()).chain(&["node", "never"]);
    let (outputs, terminal) = run(&start(graph), json!(1)).await;
    let error = terminal.error.map(|error| {
        assert_eq!((error.code.as_str(), error.attempt), ("invalid-input", Some(1)));
        error.message
    });
    (outputs, error.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn an_answer_fits_the_schema_of_outputs() {
    let answer = |value: serde_json::Value| move |_| Outcome::Final(value.clone().into());
    for (validate, is_checked) in [(Validate::Both, true), (Validate::Out, true), (Validate::In, false), (Validate::None, false)]
    {
        let (outputs, error) = ending(answer(json!("text")), [None, number()], validate).await;
        assert_eq!((outputs.is_empty(), error.is_empty()), (is_checked, !is_checked), "{validate:?}: {error}");
        assert!(error.is_empty() || error.starts_with("an output of `node` does not fit its own schema: "), "{error}");
        assert_eq!(ending(answer(json!(2)), [None, number()], validate).await, (vec![json!(2)], String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_memory_fits_the_schema_of_inputs_and_no_other() {
    let turns = |memory: serde_json::Value| {
        move |turn| match turn {
            0 => Outcome::Again { memory: memory.clone().into(), tokens_used: 0 },
            _ => Outcome::Final(json!("text").into()),
        }
    };
    let text = || Some(Schema::compile(&json!({"type": "string"})).unwrap());
    let fits = (vec![json!("text")], String::new());
    assert_eq!(ending(turns(json!(2)), [number(), text()], Validate::Both).await, fits);
    let (outputs, error) = ending(turns(json!("memory")), [number(), text()], Validate::Both).await;
    assert!(outputs.is_empty() && error.starts_with("the payload does not fit the input of `node`: "), "{error}");
    assert_eq!(ending(turns(json!("memory")), [number(), text()], Validate::Out).await, fits);
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_attempt_has_emitted_does_not_hide_its_failure() {
    #[derive(Debug)]
    struct EmitsTextAndFails;
    impl Invoke for EmitsTextAndFails {
        fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
            let (text, result) = match call.attempt {
                1 => (json!("text"), Err(Failure::new(FailureKind::Busy, "once"))),
                _ => (json!(2), Ok(Outcome::Outputs(Vec::new()))),
            };
            Box::pin(std::future::ready(Report { emitted: vec![Output::new(text.into())], ..Report::from(result) }))
        }
    }
    let invoke = Arc::new(EmitsTextAndFails);
    let mut graph = Graph::builder("test");
    graph.node("node", Kind::Run { invoke, input: None, output: number(), repeatable: true }, exact(1));
    assert_eq!(outputs(&start(graph), json!(1)).await, [json!(2)]);
}
