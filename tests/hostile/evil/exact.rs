//! Texts that no guest should write, in every place where it writes one.

use floe_egress::secrets::{Secret, Secrets};
use floe_flow::Item;
use floe_sandbox::Grants;
use serde_json::{Value, json};

use crate::support::{Ended, Solo, Stage, lines, sandbox};

pub(super) const NODES: &[&str] = &["exact"];

/// Colours, a title, deletion, a null, a line end, one that turns the line round, one that nobody sees, a tag, both halves of C1.
const ODD: &str = "\u{1b}[31m\u{1b}]0;title\u{7}\u{7f}\u{0}\r\n\u{202e}\u{200b}\u{e0041}\u{9b}2J\u{85}";

fn odd(char: char) -> bool {
    char.is_control() || "\u{202e}\u{200b}\u{e0041}".contains(char)
}

async fn ends(stage: &Stage, plan: Value) -> Ended {
    stage.call(plan).await
}

#[tokio::test]
async fn labels_with_control_characters_are_refused_and_the_call_is_told_where() {
    let stage = Stage::new("exact", |_| {}).await;
    let none = json!({ "outputs": [] });
    let label = format!("a{ODD}b");
    let table = [
        (
            json!({ "chunks": [{ "stream": label, "text": "x" }], "end": none }),
            "invalid-input",
            "a stream's name is not a text of",
        ),
        (
            json!({ "chunks": [{ "text": "x", "meta": [[label, "1"]] }], "end": none }),
            "invalid-input",
            "a key of meta is not a text of",
        ),
        (
            json!({ "chunks": [{ "text": "x", "to": [label] }], "end": none }),
            "invalid-input",
            "`a 2J b` is no name of a successor",
        ),
        (json!({ "progress": [[label, "1"]], "end": none }), "invalid-input", "a kind of progress is not a text of"),
        (json!({ "messages": [{ "payload": "1", "topic": label }], "end": none }), "invalid-input", "a topic is not a text of"),
        (json!({ "end": { "outputs": [{ "payload": "1", "topic": label }] } }), "internal", "a topic is not a text of"),
        (
            json!({ "end": { "outputs": [{ "payload": "1", "meta": [[label, "1"]] }] } }),
            "internal",
            "a key of meta is not a text of",
        ),
        (json!({ "end": { "outputs": [{ "payload": "1", "to": [label] }] } }), "internal", "`a 2J b` is no name of a successor"),
        (json!({ "end": { "outputs": [{ "payload": "1", "to": [["x", 65]] }] } }), "internal", "is no name of a successor"),
        (json!({ "end": { "outputs": [{ "payload": "1", "meta": [["k", label]] }] } }), "internal", "meta `k` is"),
        (json!({ "end": { "final": label } }), "internal", "an answer that breaks the contract"),
        (json!({ "end": { "again": label } }), "internal", "a working memory that breaks the contract"),
    ];
    for (plan, code, says) in table {
        let ended = ends(&stage, plan.clone()).await;
        let error = ended.terminal.error.as_ref().unwrap_or_else(|| panic!("{plan}"));
        assert_eq!(error.code, code, "{plan}: {error:?}");
        assert!(error.message.contains(says) && !error.message.contains(odd) && error.message.len() < 1000, "{plan}: {error:?}");
        assert!(ended.outputs().is_empty(), "{plan}");
        let items = ended.items.iter().any(|item| matches!(item, Item::Chunk { .. } | Item::Progress { .. }));
        assert!(!items, "{plan}: nobody sees a piece that was refused");
    }
    stage.serves().await;
}

#[tokio::test]
async fn failures_are_one_line_of_text_whatever_they_say() {
    let stage = Stage::new("exact", |setup| setup.policy.retries = 0).await;
    let fails = |message: Value, detail: Value| json!({ "end": { "failure": { "kind": "conflict", "message": message, "detail": detail } } });
    let table = [
        (fails(json!(format!("a{ODD}b")), json!("{}")), "a 2J b", json!({})),
        (fails(json!(ODD), json!(format!("{{{ODD}}}"))), "2J", Value::Null),
        (fails(json!("\u{1b}]0;never ends"), json!(["1", 70_000])), "the plugin failed and did not say why", Value::Null),
        (fails(json!("a"), json!(r#"{"a":[1.50]}"#)), "a", json!({ "a": [1.5] })),
    ];
    for (plan, message, detail) in table {
        let ended = ends(&stage, plan.clone()).await;
        let error = ended.terminal.error.clone().unwrap();
        let expected = message;
        assert_eq!((error.code.as_str(), error.message.trim()), ("conflict", expected), "{plan}");
        assert_eq!(error.detail.unwrap_or_default(), detail, "{plan}");
    }
}

/// A successor is a name; one that is a secret's value is not said to anybody.
#[tokio::test]
async fn no_successor_gives_a_value_away() {
    const VALUE: &str = "token-0123456789";
    let secret = Secret::try_new("api", VALUE, Vec::new(), b"key").unwrap();
    let grants = Grants { secrets: Secrets::try_new(vec![secret]).unwrap(), ..Grants::default() };
    let sandbox = sandbox(1, 2);
    let knows = Solo::new(&sandbox, (floe_tests::EVIL, "evil"), "exact", &grants).await;
    let none = json!({ "outputs": [] });
    for plan in [
        json!({ "end": { "outputs": [{ "payload": "1", "to": [VALUE] }] } }),
        json!({ "messages": [{ "payload": "1", "to": [VALUE] }], "end": none }),
        json!({ "chunks": [{ "text": "x", "to": [VALUE] }], "end": none }),
    ] {
        let (code, message) = knows.fails(plan.clone()).await;
        let says = format!("`attack` sent to `{}`, which is not one of its successors", "*".repeat(VALUE.len()));
        assert!(code == "not-found" && message.starts_with(&says), "{plan}: {message}");
    }
}

/// Every line, of whatever, is looked through by `lines`.
#[tokio::test]
async fn lines_are_text_whatever_is_logged() {
    let stage = Stage::new("exact", |_| {}).await;
    let text = format!("a{ODD}b");
    let fields = json!([[text, text], [ODD, ODD], ["k", [ODD, 100_000]], ["", ""]]);
    let ended = ends(&stage, json!({ "logs": [[text, fields], [[ODD, 100_000], []]], "end": { "outputs": [] } })).await;
    ended.gave(&[]);
    let lines = lines(&ended.trace);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().all(|line| !line.message.contains(odd) && !line.fields.contains(odd)), "{lines:?}");
    assert!(lines[0].message.starts_with('a') && lines[0].fields.contains('='), "{lines:?}");
    let most = usize::try_from(crate::support::limits().log_line).unwrap();
    assert!(lines.iter().all(|line| line.message.len() <= most && line.fields.len() <= most));
}
