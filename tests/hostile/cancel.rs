//! Calls that are dropped while they compute or wait for the host.

use std::time::Duration;

use floe_flow::{End, EventKind, Handle};
use serde_json::json;

use crate::support::{Ended, INSTANCES, Setup, Stage, attack_started};

const ENDLESS: Duration = Duration::from_secs(3600);

/// Nothing but a cancel ends a call in time.
fn endless(setup: &mut Setup) {
    setup.limits.fuel = u64::MAX;
    setup.limits.wall = ENDLESS;
}

async fn cancelled(stage: &Stage, handle: Handle) -> Ended {
    assert!(handle.cancel());
    let ended = stage.finish(handle).await;
    assert_eq!(ended.terminal.end, End::Cancelled);
    assert_eq!(ended.terminal.error.as_ref().unwrap().message, "its submitter cancelled the trace");
    ended
}

/// The pool has room for two calls and the node for one: whatever a dropped call kept would stop these.
async fn serves_a_thousand(stage: &Stage) {
    for _ in 0..1000 {
        stage.serves().await;
    }
    assert_eq!(stage.flow.in_flight(), 0);
}

#[tokio::test]
async fn a_guest_that_computes_is_stopped() {
    let stage = Stage::new("spin", endless).await;
    for round in 1..=20 {
        let handle = stage.submit("attack", json!(null)).await;
        stage.recorder.until(round, attack_started).await;
        cancelled(&stage, handle).await;
        stage.serves().await;
    }
}

#[tokio::test]
async fn a_guest_that_sleeps_is_stopped() {
    let stage = Stage::new("sleep", |setup| {
        endless(setup);
        // One thread: when it has served another call, the sleeper has begun to wait.
        setup.threads = 1;
    });
    let stage = stage.await;
    for _ in 0..20 {
        let handle = stage.submit("attack", json!(3_600_000)).await;
        stage.serves().await;
        assert_eq!(stage.flow.in_flight(), 1);
        cancelled(&stage, handle).await;
    }
    serves_a_thousand(&stage).await;
}

#[tokio::test]
async fn a_guest_is_stopped_at_any_moment() {
    let stage = Stage::new("sleep", endless).await;
    for round in 0..200 {
        let handle = stage.submit("attack", json!(3_600_000)).await;
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        cancelled(&stage, handle).await;
    }
    serves_a_thousand(&stage).await;
}

/// The reader does not read: its room for two items is full.
async fn stuck(stage: &Stage, node: &str) -> Handle {
    let before = stage.recorder.count(chunk);
    let handle = stage.submit(node, json!(1000)).await;
    stage.recorder.until(before + 2, chunk).await;
    handle
}

fn chunk(event: &floe_flow::Event) -> bool {
    matches!(event.kind, EventKind::Chunk { .. })
}

#[tokio::test]
async fn a_guest_that_waits_for_its_reader_is_stopped() {
    let stage = Stage::new("flood-chunk", |setup| {
        endless(setup);
        setup.reader = 2;
    });
    let stage = stage.await;
    for _ in 0..20 {
        let handle = stuck(&stage, "attack").await;
        stage.serves().await;
        cancelled(&stage, handle).await;
    }
    // A reader that goes away is a cancel.
    for _ in 0..20 {
        drop(stuck(&stage, "attack").await);
    }
    serves_a_thousand(&stage).await;
}

#[tokio::test]
async fn waiting_for_a_reader_counts_as_time() {
    let stage = Stage::new("flood-chunk", |setup| {
        setup.reader = 2;
        setup.limits.wall = Duration::from_millis(300);
    });
    let stage = stage.await;
    for _ in 0..3 {
        let handle = stuck(&stage, "attack").await;
        // Nobody reads until it has ended.
        stage
            .recorder
            .until(1, |event| event.trace == handle.origin().trace && matches!(event.kind, EventKind::Ended { .. }))
            .await;
        stage.finish(handle).await.reached("wall", 300);
        stage.serves().await;
    }
}

#[tokio::test]
async fn a_trace_between_two_attempts_is_stopped() {
    let stage = Stage::new("fail", |setup| {
        setup.policy.retries = 1;
    });
    let stage = stage.await;
    let parked = |event: &floe_flow::Event| matches!(event.kind, EventKind::Retry { .. });
    for round in 1..=3 {
        let handle = stage.submit("attack", json!({ "kind": "busy", "retry_after_ms": u64::MAX })).await;
        stage.recorder.until(round, parked).await;
        let ended = cancelled(&stage, handle).await;
        assert_eq!(ended.receipts().len(), 1);
        stage.serves().await;
    }
}

#[tokio::test]
async fn a_flow_that_stops_takes_its_guests_along() {
    let stage = Stage::new("spin", |setup| {
        endless(setup);
        setup.policy.concurrency = 2;
    });
    let stage = stage.await;
    let handles = [stage.submit("attack", json!(null)).await, stage.submit("attack", json!(null)).await];
    stage.recorder.until(INSTANCES as usize, attack_started).await;
    stage.flow.stop(Duration::ZERO).await;
    for handle in handles {
        assert_eq!(stage.finish(handle).await.terminal.end, End::Stopped);
    }
}
