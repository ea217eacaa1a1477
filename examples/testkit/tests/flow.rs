//! Tests of a native node and of a flow file, with the kit: whole runs, in virtual time, looked at from all sides.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use example_testkit::{discount, graph};
use floe::sandbox::{Config, Sandbox};
use floe_flow::testkit::{Kit, assert_preserves_envelope, failing, run_one};
use floe_flow::{EventKind, Failure, FailureKind, Graph, Policy};
use serde_json::json;

/// A node that hands on what it was given hands on the envelope too: topic, priority and metadata.
#[tokio::test]
async fn a_discount_keeps_the_envelope() {
    assert_preserves_envelope(discount(), json!({ "plan": "gold" }).into()).await;
}

/// `failing` stands for whatever a node depends on and a test does not have.
#[tokio::test(start_paused = true)]
async fn a_discount_is_tried_again() {
    let node = failing(discount(), 2, Failure::new(FailureKind::Unavailable, "down"));
    let mut graph = Graph::builder("test");
    graph.run("discount", node.clone(), Policy { retries: 2, ..Policy::with_concurrency(1) });
    let kit = Kit::start(graph.build().unwrap());
    let seen = kit.run(json!({ "plan": "silver" }).into()).await;
    seen.assert_sequence(&["discount", "discount#2", "discount#3"]);
    assert_eq!(seen.outputs(), [json!({ "plan": "silver", "discount": 10 })]);
    assert_eq!((node.attempts(), node.failures()), (3, 2));

    let seen = kit.run(json!({}).into()).await;
    assert_eq!(seen.terminal.error.unwrap().message, "a customer has a plan");
    kit.stop().await;
}

/// A sandbox, and this crate's flow file with its plugins.
async fn flow_file() -> (Sandbox, Graph) {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let sandbox = Sandbox::new(Config { cache: Some(cache), instances: 4, ..Config::new(1) }).unwrap();
    // Elsewhere `floe build` has built the plugin, and there is nothing to set.
    let sets = [format!("plugins.cookbook.source={}", floe_tests::COOKBOOK)];
    let graph = graph(Path::new(env!("CARGO_MANIFEST_DIR")), &sets, &sandbox).await.unwrap();
    // Not before: loading waits for other threads, and a paused clock does not.
    tokio::time::pause();
    (sandbox, graph)
}

#[tokio::test]
async fn pauses_of_half_an_hour_pass_at_once() {
    let (_sandbox, graph) = flow_file().await;
    let seen = run_one(graph, json!({ "customer": "ada", "down": 2 }).into()).await;
    seen.assert_sequence(&["lookup", "lookup#2", "lookup#3"]);
    assert_eq!(seen.outputs(), [json!({ "customer": "ada", "plan": "gold", "source": "service", "attempt": 3 })]);
    let pauses: Vec<u64> = seen
        .events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Retry { pause_ms, .. } => Some(pause_ms / 60_000),
            _ => None,
        })
        .collect();
    assert_eq!(pauses, [10, 20]);
}

/// The plugin really sleeps, by the clock that the host gives it.
#[tokio::test]
async fn a_service_that_takes_an_hour_is_given_up() {
    let (_sandbox, graph) = flow_file().await;
    let seen = run_one(graph, json!({ "customer": "bob", "takes_ms": 3_600_000 }).into()).await;
    seen.assert_sequence(&["lookup", "lookup#2", "lookup#3", "cached"]);
    seen.assert_nodes(&["lookup", "cached"]);
    assert_eq!(seen.outputs(), [json!({ "customer": "bob", "plan": "silver", "source": "cache", "attempt": 1 })]);
}
