//! Attacks on time, stack and memory.

use std::time::Duration;

use floe_flow::{Budget, End};
use serde_json::{Value, json};

use crate::support::{Stage, attack, lines};

pub(super) const NODES: &[&str] = &["spin", "slow", "sleep", "slow-write", "recurse", "recurse-frames", "allocate", "panic"];

/// More than any test takes.
const ENDLESS: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn computing_is_bounded_by_fuel() {
    let ended = attack("spin", json!(null), |_| {}).await;
    ended.reached("fuel", 20_000_000);
    assert_eq!(ended.receipts()[0].fuel, 20_000_000);
    attack("slow", json!(u64::MAX), |_| {}).await.reached("fuel", 20_000_000);
}

#[tokio::test]
async fn computing_is_bounded_by_time() {
    let ended = attack("spin", json!(null), |setup| {
        setup.limits.fuel = u64::MAX;
        setup.limits.wall = SHORT;
    });
    let ended = ended.await;
    ended.reached("wall", 300);
    assert!(ended.receipts()[0].wall >= SHORT);
}

#[tokio::test]
async fn computing_is_bounded_by_the_time_of_an_attempt() {
    let ended = attack("spin", json!(null), |setup| {
        setup.limits.fuel = u64::MAX;
        setup.policy.timeout = Some(SHORT);
        setup.policy.retries = 2;
    });
    let ended = ended.await;
    ended.failed("timed-out", "the attempt took longer than the node's `policy.timeout`");
    assert_eq!(ended.receipts().len(), 3);
    assert!(ended.receipts().iter().all(|receipt| receipt.wall >= SHORT));
}

#[tokio::test]
async fn computing_is_bounded_by_the_time_of_the_trace() {
    let ended = attack("spin", json!(null), |setup| {
        setup.limits.fuel = u64::MAX;
        setup.budget.deadline = Some(SHORT);
        setup.policy.retries = 1000;
    });
    let ended = ended.await;
    let error = ended.terminal.error.unwrap();
    assert_eq!((ended.terminal.end, error.code.as_str()), (End::DeadlineExceeded, "deadline_exceeded"));
    assert_eq!(error.message, "the deadline of 300ms has passed; raise it with `budget.deadline`");
}

#[tokio::test]
async fn computing_is_bounded_by_the_budget_of_the_trace() {
    let ended = attack("spin", json!(null), |setup| setup.budget = Budget { fuel: Some(5_000_000), ..setup.budget }).await;
    ended.exhausted("fuel", 5_000_000, "`budget.fuel`").has_receipt();
    assert_eq!(ended.receipts()[0].fuel, 5_000_000);
    // Attempts share it.
    let ended = attack("spin", json!(null), |setup| {
        setup.limits.fuel = 2_000_000;
        setup.policy.retries = 1000;
        setup.policy.retry_on.push(floe_flow::FailureKind::Exhausted);
        setup.budget.fuel = Some(5_000_000);
    });
    let ended = ended.await;
    let fuel: Vec<u64> =
        ended.exhausted("fuel", 5_000_000, "`budget.fuel`").receipts().iter().map(|receipt| receipt.fuel).collect();
    assert_eq!(fuel, [2_000_000, 2_000_000, 1_000_000]);
}

#[tokio::test]
async fn what_ends_in_time_is_not_ended() {
    attack("slow", json!(1_000_000), |_| {}).await.gave(&[json!(1_000_000)]);
    attack("sleep", json!(5), |_| {}).await.gave(&[json!(5)]);
    // What a crash in the middle of it means: `a_call_in_doubt_waits_for_a_decision`.
    attack("slow-write", json!(5), |_| {}).await.gave(&[json!(5)]);
}

/// Together they take longer than one may: the time of each begins when it does.
#[tokio::test]
async fn the_time_that_a_call_waits_for_its_turn_is_not_its_own() {
    let stage = Stage::new("sleep", |setup| setup.limits.wall = SHORT).await;
    let mut handles = Vec::new();
    for number in 0..4 {
        handles.push(stage.submit_as("patient", &format!("turn-{number}"), "attack", json!(150)).await);
    }
    for handle in handles {
        stage.finish(handle).await.gave(&[json!(150)]);
    }
}

#[tokio::test]
async fn waiting_is_bounded_by_time_although_it_takes_no_fuel() {
    let ended = attack("sleep", json!(ENDLESS.as_millis() as u64), |setup| setup.limits.wall = SHORT).await;
    ended.reached("wall", 300);
    let receipt = ended.receipts()[0];
    assert!(receipt.fuel < 1_000_000 && receipt.wall >= SHORT && receipt.host_calls > 0, "{receipt:?}");
}

#[tokio::test]
async fn a_stack_that_ends_is_the_guests_failure() {
    let ended = attack("recurse", json!(null), |_| {}).await;
    ended.failed("exhausted", "limit `stack` reached: the plugin's calls are nested beyond 524288 bytes; this is fixed");
    let detail = ended.terminal.error.unwrap().detail.unwrap();
    assert_eq!(detail, json!({ "limit": "stack", "used": 524_288, "max": 524_288 }));
    let ended = attack("recurse-frames", json!(null), |_| {}).await;
    ended.failed("internal", "the plugin crashed: out of bounds memory access");
}

#[tokio::test]
async fn memory_is_bounded() {
    let ended = attack("allocate", json!(null), |setup| setup.limits.fuel = u64::MAX).await;
    ended.reached("memory", 8 << 20);
    let peak = ended.receipts()[0].peak_memory;
    assert!((6 << 20..=8 << 20).contains(&peak), "{peak}");
}

#[tokio::test]
async fn a_panic_is_the_plugins_failure_and_its_message_is_told() {
    let ended = attack("panic", Value::Null, |_| {}).await;
    ended.failed("internal", "the plugin panicked: this plugin panics on purpose");
    let log = lines(&ended.trace);
    assert!(log.iter().any(|line| line.message.contains("this plugin panics on purpose")), "{log:?}");
    assert!(log.iter().all(|line| line.level == Some(tracing::Level::WARN)));
}
