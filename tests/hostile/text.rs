//! Hostile payloads for a plugin that reads them: what does not fit is refused, by the plugin or by its limits.

use serde_json::{Value, json};

use crate::support::{Setup, Stage};

pub(crate) const GUEST: &str = floe_tests::TEXT;

fn text(setup: &mut Setup) {
    setup.guest = (GUEST, "text");
    setup.limits.emits = 100;
}

fn speech(text: &str) -> Value {
    json!({ "year": 1790, "name": "A", "party": "none", "text": text })
}

#[tokio::test]
async fn what_is_no_speech_is_refused() {
    let stage = Stage::new("split", text).await;
    let mut wrong = speech("a");
    wrong["year"] = json!(i64::MAX);
    for payload in [json!(null), json!([]), json!({ "text": "a" }), wrong, json!("\u{1b}[31m")] {
        let ended = stage.attack(payload).await;
        let message = ended.terminal.error.as_ref().unwrap().message.clone();
        ended.failed("invalid-input", &message);
        assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
    }
    let ended = stage.attack(speech("one")).await;
    assert_eq!(ended.gave(&ended.outputs()).outputs().len(), 1);
}

#[tokio::test]
async fn a_speech_of_too_many_chunks_is_a_limit_reached() {
    let stage = Stage::new("split", text).await;
    let ended = stage.attack(speech(&"word ".repeat(200 * 101))).await;
    ended.failed("exhausted", "limit `emits` reached: used 101 of 100; raise it with `plugins.text.limits.emits`");
}
