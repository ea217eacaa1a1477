//! Attacks with what a call returns.

use floe_flow::End;
use serde_json::{Value, json};

use crate::support::attack;

pub(super) const NODES: &[&str] =
    &["garbage", "garbage-meta", "instruction", "target-twice", "invalid-text", "huge", "deep", "many"];

/// Fails because the outcome is none; the reason begins with this.
async fn breaks_the_contract(node: &str, payload: Value, reason: &str) {
    let ended = attack(node, payload, |_| {}).await;
    let message = ended.terminal.error.as_ref().unwrap().message.clone();
    ended.failed("internal", &message);
    assert!(message.starts_with(reason), "{message}");
    assert!(!message.chars().any(char::is_control) && message.len() < 1000, "{message:?}");
}

#[tokio::test]
async fn what_is_no_json_goes_nowhere() {
    let reason = "the plugin returned an output that breaks the contract: ";
    breaks_the_contract("garbage", json!(1), &format!("{reason}not valid JSON: ")).await;
    breaks_the_contract("garbage-meta", json!(1), &format!("{reason}meta `")).await;
    breaks_the_contract("deep", json!(null), &format!("{reason}not valid JSON: recursion limit exceeded")).await;
    breaks_the_contract("deep", json!(128), &format!("{reason}not valid JSON: recursion limit exceeded")).await;
    for inner in ["5", r#""{\"score\":1}""#, "null"] {
        breaks_the_contract("instruction", json!(inner), &format!("{reason}not valid JSON: a key may not begin with")).await;
    }
    breaks_the_contract("target-twice", json!(1), &format!("{reason}the successor `sink` is named twice")).await;
    breaks_the_contract("invalid-text", json!(1), "the plugin broke the contract: ").await;
}

#[tokio::test]
async fn json_may_be_nested_127_levels() {
    let ended = attack("deep", json!(127), |_| {}).await;
    let text = ended.gave(&ended.outputs()).outputs()[0].to_string();
    assert_eq!(text, "[".repeat(127) + &"]".repeat(127));
}

#[tokio::test]
async fn a_result_is_bounded_before_it_is_copied() {
    // In the guest, in what may cross at once, in what a call may return, in what the flow carries.
    attack("huge", json!(null), |_| {}).await.reached("memory", 8 << 20);
    attack("huge", json!(2 << 20), |setup| setup.limits.hostcall = 1 << 20).await.reached("hostcall", 1 << 20);
    attack("huge", json!(100_000), |setup| setup.limits.result = 100_000).await.reached("result", 100_000);
    let ended = attack("huge", json!(100_000), |setup| setup.budget.payload = 100_000).await;
    ended.failed("exhausted", "limit `payload` reached: used 100002 of 100000; raise it with `budget.payload`");
    let ended = attack("huge", json!(100_000), |_| {}).await;
    assert_eq!(ended.gave(&ended.outputs()).outputs(), [json!("x".repeat(100_000))]);
}

#[tokio::test]
async fn a_call_returns_a_bounded_number_of_messages() {
    attack("many", json!(null), |_| {}).await.reached("memory", 8 << 20);
    attack("many", json!(20_000), |setup| setup.limits.hostcall = 1 << 20).await.reached("hostcall", 1 << 20);
    attack("many", json!(1001), |setup| setup.limits.emits = 1000).await.reached("emits", 1000);
    attack("many", json!(1000), |setup| setup.limits.emits = 1000).await.gave(&vec![json!(0); 1000]);
    // What the plugin may send can be more than the trace may have on its way.
    let ended = attack("many", json!(1000), |setup| setup.budget.messages = 100).await;
    ended.exhausted("messages", 100, "`budget.messages`");
    assert_eq!(ended.terminal.end, End::BudgetExhausted);
}
