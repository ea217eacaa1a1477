//! Attacks with how a call ends.

use std::time::Duration;

use floe_flow::{EventKind, FailureKind};
use serde_json::json;

use crate::support::{Ended, Setup, Stage, attack};

pub(super) const NODES: &[&str] = &["fail", "long-failure", "unknown-target", "again", "final"];

const RETRIED: [FailureKind; 4] = [FailureKind::TimedOut, FailureKind::Busy, FailureKind::Unavailable, FailureKind::Internal];

fn pauses(ended: &Ended) -> Vec<u64> {
    let pause = |kind: &EventKind| if let EventKind::Retry { pause_ms, .. } = kind { Some(*pause_ms) } else { None };
    ended.events.iter().filter_map(|event| pause(&event.kind)).collect()
}

#[tokio::test]
async fn each_kind_of_failure_is_retried_or_not() {
    let stage = Stage::new("fail", |setup| setup.policy.retries = 2).await;
    for kind in FailureKind::ALL {
        let attempts = if RETRIED.contains(&kind) { 3 } else { 1 };
        let ended = stage.attack(json!({ "kind": kind.code() })).await;
        ended.failed(kind.code(), &format!("fails on purpose, attempt {attempts}"));
        assert_eq!(ended.terminal.error.as_ref().unwrap().attempt, Some(attempts));
        assert_eq!(ended.receipts().len(), attempts as usize, "{kind:?}");

        let plan = json!({ "kind": kind.code(), "times": 1 });
        let ended = stage.attack(plan.clone()).await;
        if RETRIED.contains(&kind) {
            ended.gave(&[plan]);
        } else {
            ended.failed(kind.code(), "fails on purpose, attempt 1");
        }
        assert_eq!(ended.receipts().len(), 1);
    }
    stage.call(json!({ "kind": "no-such-kind" })).await.failed("invalid-input", "there is no kind `no-such-kind`");
    assert_eq!(stage.call(json!(null)).await.terminal.error.unwrap().code, "invalid-input");
}

#[tokio::test]
async fn a_failure_may_ask_for_a_pause_but_not_for_a_retry() {
    let retries = |retries| move |setup: &mut Setup| setup.policy.retries = retries;
    let plan = json!({ "kind": "busy", "times": 2, "retry_after_ms": 20 });
    let ended = attack("fail", plan.clone(), retries(2)).await;
    ended.gave(&[plan]);
    assert_eq!(pauses(&ended), [20, 20]);
    let plan = json!({ "kind": "denied", "times": 1, "retry_after_ms": 1 });
    attack("fail", plan, retries(2)).await.failed("denied", "fails on purpose, attempt 1");
    let plan = json!({ "kind": "busy", "times": 1, "retry_after_ms": 1 });
    attack("fail", plan, retries(0)).await.failed("busy", "fails on purpose, attempt 1");
}

#[tokio::test]
async fn a_pause_without_end_holds_nothing() {
    let stage = Stage::new("fail", |setup| {
        setup.policy.retries = 1;
        setup.budget.deadline = Some(Duration::from_millis(500));
    });
    let stage = stage.await;
    for after in [3_600_000, i64::MAX as u64, u64::MAX] {
        let ended = stage.attack(json!({ "kind": "busy", "times": 1, "retry_after_ms": after })).await;
        assert_eq!(ended.terminal.error.as_ref().unwrap().code, "deadline_exceeded", "{after}");
        assert_eq!(pauses(&ended), [3_600_000], "an hour at most");
    }
}

#[tokio::test]
async fn a_failures_text_is_cut_and_cleaned() {
    let ended = attack("long-failure", json!("why"), |_| {}).await;
    let error = ended.terminal.error.clone().unwrap();
    ended.failed("internal", &error.message);
    assert_eq!(error.message, "why ".repeat(1023) + "w…");
    assert_eq!(error.detail, None);
    let ended = attack("long-failure", json!(null), |_| {}).await;
    ended.failed("internal", "the plugin failed and did not say why");
}

#[tokio::test]
async fn a_message_to_nowhere_is_a_failure() {
    let ended = attack("unknown-target", json!("x"), |_| {}).await;
    ended.failed("not-found", "`attack` sent to `no-such-node`, which is not one of its successors: sink");
}

#[tokio::test]
async fn a_loop_is_bounded_in_turns_and_hops() {
    let ended = attack("again", json!(0), |setup| setup.policy.turns = 20).await;
    ended.exhausted("turns", 20, "the node's `policy.turns`");
    assert_eq!(ended.terminal.error.unwrap().detail.unwrap()["partial"], json!(20));
    let ended = attack("again", json!(0), |setup| {
        setup.policy.turns = u32::MAX;
        setup.budget.hops = 50;
    });
    ended.await.exhausted("hops", 50, "`budget.hops`");
}

#[tokio::test]
async fn an_answer_passes_the_successors() {
    let ended = attack("final", json!({ "a": 1 }), |_| {}).await;
    ended.gave(&[json!({ "a": 1 })]);
    assert!(!ended.story().iter().any(|step| step == "started sink"));
    assert!(ended.story().iter().any(|step| step == "output attack"));
}
