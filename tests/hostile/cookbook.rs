//! Hostile payloads for a plugin that others copy: what does not fit is refused by name, and what asks for too much meets a limit.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Setup, Stage};

pub(crate) const GUEST: &str = floe_tests::COOKBOOK;

fn cookbook(setup: &mut Setup) {
    setup.guest = (GUEST, "cookbook");
    setup.limits.emits = 100;
    setup.limits.wall = Duration::from_millis(200);
}

fn order(lines: usize) -> Value {
    json!({ "order": 1, "country": "de", "lines": vec![json!({ "article": "bulb", "quantity": 1 }); lines] })
}

#[tokio::test]
async fn what_is_no_order_is_refused() {
    let stage = Stage::new("lines", cookbook).await;
    for payload in
        [json!(null), json!({ "order": -1, "country": "de", "lines": [] }), json!({ "order": 1, "lines": "\u{1b}[31m" })]
    {
        let ended = stage.attack(payload).await;
        let message = ended.terminal.error.as_ref().unwrap().message.clone();
        ended.failed("invalid-input", &message);
        assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
    }
    let ended = stage.attack(order(100)).await;
    assert_eq!(ended.gave(&ended.outputs()).outputs().len(), 100);
}

#[tokio::test]
async fn an_order_of_too_many_lines_is_a_limit_reached() {
    let stage = Stage::new("lines", cookbook).await;
    let ended = stage.attack(order(101)).await;
    ended.failed("exhausted", "limit `emits` reached: used 101 of 100; raise it with `plugins.cookbook.limits.emits`");
}

#[tokio::test]
async fn a_lookup_that_never_answers_is_ended() {
    let stage = Stage::new("lookup", cookbook).await;
    let ended = stage.attack(json!({ "customer": "ada", "takes_ms": 3_600_000 })).await;
    let message = ended.terminal.error.as_ref().unwrap().message.clone();
    ended.failed("timed-out", &message);
    assert!(message.contains("`plugins.cookbook.limits.wall`"), "{message}");
}
