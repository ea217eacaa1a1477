//! Attacks with what a call sends before it returns.

use floe_flow::{EventKind, Item};
use serde_json::{Value, json};

use crate::support::{attack, lines};

pub(super) const NODES: &[&str] =
    &["flood-emit", "flood-log", "flood-chunk", "chunk-to", "flood-progress", "flood-host", "emit-then-panic", "progress"];

#[tokio::test]
async fn the_buffer_of_an_attempt_is_bounded() {
    // Told so, the guest goes on; what went before is sent.
    let ended = attack("flood-emit", json!(null), |setup| setup.limits.emits = 500).await;
    let numbers: Vec<Value> = (0..500).map(Value::from).collect();
    ended.gave(&[numbers.as_slice(), &[json!({ "sent": 500, "kind": "exhausted" })]].concat());
    // The first 203 numbers have 499 digits together.
    let ended = attack("flood-emit", json!(null), |setup| setup.limits.emit = 500).await;
    ended.gave(&[&numbers[..203], &[json!({ "sent": 203, "kind": "exhausted" })]].concat());
}

#[tokio::test]
async fn calls_to_the_host_are_bounded() {
    let few = |setup: &mut crate::support::Setup| setup.limits.host_calls = 300;
    attack("flood-emit", json!(null), few).await.reached("host_calls", 300);
    attack("flood-log", json!(null), few).await.reached("host_calls", 300);
    attack("flood-chunk", json!(1_000_000), few).await.reached("host_calls", 300);
    let ended = attack("flood-progress", json!(null), few).await;
    ended.reached("host_calls", 300);
    assert_eq!(ended.receipts()[0].host_calls, 301);
}

#[tokio::test]
async fn what_a_trace_may_use_bounds_its_calls() {
    // The guest is told so, as with its own limit.
    let ended = attack("flood-emit", json!(null), |setup| setup.budget.emits = Some(5)).await;
    ended.gave(&[json!(0), json!(1), json!(2), json!(3), json!(4), json!({ "sent": 5, "kind": "exhausted" })]);
    let ended = attack("flood-log", json!(null), |setup| setup.budget.host_calls = Some(300)).await;
    ended.exhausted("host_calls", 300, "`budget.host_calls`");
    let ended = attack("flood-log", json!(20), |setup| setup.budget.log_lines = Some(3)).await;
    assert_eq!(lines(&ended.trace).len(), 4, "three, and one that says that there were more");
}

#[tokio::test]
async fn lines_of_the_log_are_bounded_and_without_control() {
    let ended = attack("flood-log", json!(200), |setup| {
        setup.limits.log_lines = 10;
        setup.limits.log_line = 100;
    });
    let ended = ended.await;
    ended.gave(&[json!(200)]);
    let log = lines(&ended.trace);
    assert_eq!(log.len(), 11, "{log:?}");
    assert!(log[..10].iter().all(|line| line.message.starts_with("line line ") && line.message.len() <= 100), "{log:?}");
    assert!(log.iter().zip(0..10).all(|(line, number)| line.fields == format!("number={number}")));
    let last = "Log limit reached, further lines of this call are dropped; raise it with `plugins.evil.limits.log_lines`.";
    assert_eq!((log[10].level, log[10].message.as_str()), (Some(tracing::Level::WARN), last));
}

#[tokio::test]
async fn a_stream_waits_for_its_reader_and_arrives_whole() {
    let ended = attack("flood-chunk", json!(1000), |setup| setup.reader = 2).await;
    ended.gave(&[json!(1000)]);
    let chunks: Vec<(u64, &str, bool)> = ended
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Chunk { seq, text, done, attempt: 1, .. } => Some((*seq, text.as_str(), *done)),
            Item::Chunk { .. } | Item::Superseded { .. } | Item::Progress { .. } | Item::Output { .. } | Item::End(_) => None,
        })
        .collect();
    let expected: Vec<(u64, &str, bool)> =
        (0..1000).map(|seq| (seq, "0123456789abcdef", false)).chain([(1000, "", true)]).collect();
    assert_eq!(chunks, expected);
    let events = ended.events.iter().filter(|event| matches!(event.kind, EventKind::Chunk { .. })).count();
    assert_eq!(events, 1001);
}

#[tokio::test]
async fn pieces_go_to_successors_too_when_the_call_succeeds() {
    let ended = attack("chunk-to", json!(7), |_| {}).await;
    let piece = |seq: u64, text: &str, done: bool| json!({ "stream": "both", "seq": seq, "text": text, "done": done });
    ended.gave(&[piece(0, "one", false), piece(1, "", true), json!(7)]);
    let chunks = |ended: &crate::support::Ended| ended.items.iter().filter(|item| matches!(item, Item::Chunk { .. })).count();
    assert_eq!(chunks(&ended), 2);
    // The reader had them at once; successors never have them.
    let ended = attack("chunk-to", json!(null), |_| {}).await;
    ended.failed("not-found", "as it was told");
    assert_eq!(chunks(&ended), 2);
}

#[tokio::test]
async fn nothing_of_a_failed_attempt_is_sent() {
    let ended = attack("emit-then-panic", json!("secret"), |setup| setup.policy.retries = 2).await;
    ended.failed("internal", "the plugin panicked: after a message");
    assert_eq!(ended.receipts().len(), 3);
}

#[tokio::test]
async fn progress_is_for_the_reader_only() {
    let ended = attack("progress", json!("x"), |_| {}).await;
    ended.gave(&[json!("x")]);
    let steps: Vec<Value> = ended
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Progress { node, kind, data } => Some(json!([**node, kind, data.value()])),
            Item::Chunk { .. } | Item::Superseded { .. } | Item::Output { .. } | Item::End(_) => None,
        })
        .collect();
    let step = |number| json!(["attack", "status", { "step": number, "attempt": 1 }]);
    assert_eq!(steps, [step(1), step(2)]);
}
