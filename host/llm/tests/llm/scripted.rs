//! The model that follows a script.

use std::sync::Arc;

use std::time::Duration;

use expect_test::expect;
use floe_llm::{Abilities, Error, Finish, Model, Output, Piece, Request, Schema, Scripted, Usage};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{heard, listen, question, scripted};

#[tokio::test]
async fn a_script_answers_line_by_line() {
    let model = scripted(
        r#"
        # A comment, and an empty line.

        {"text": "hello", "usage": {"input": 3, "output": 1}, "cost": 7}
        {"action": {"next_node": null, "args": {"raw_answer": "done"}}, "finish": "length"}
    "#,
    );
    let first = model.complete(&question()).await.unwrap();
    assert_eq!(first.text, "hello");
    assert_eq!(first.usage, Usage { input: Some(3), output: Some(1), cached: None });
    assert_eq!((first.cost, first.finish, first.model.as_str()), (Some(7), Finish::Stop, "script"));
    let second = model.complete(&question()).await.unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&second.text).unwrap()["args"]["raw_answer"], "done");
    assert_eq!((second.usage, second.cost, second.finish), (Usage::default(), None, Finish::Length));
    let error = model.complete(&question()).await.unwrap_err().to_string();
    expect![[
        r#"the script `script` has 2 answers, and a further one was asked for; add a line, or end it with {"again": true}"#
    ]]
    .assert_eq(&error);
}

#[tokio::test]
async fn a_script_may_begin_anew() {
    let model = scripted("{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"again\": true}");
    let mut said = String::new();
    for _ in 0..5 {
        said += &model.complete(&question()).await.unwrap().text;
    }
    assert_eq!(said, "ababa");
    assert_eq!(model.left(), 1);
}

#[tokio::test]
async fn what_does_not_fit_is_said_with_line_and_difference() {
    let says = |expect: &str, message: &str| {
        let model = Scripted::parse("run", &format!("\n{{\"text\": \"x\", \"expect\": {expect}}}")).unwrap();
        let request = Request::of_user(message);
        async move { model.complete(&request).await.map(|_| ()).map_err(|error| error.to_string()) }
    };
    assert_eq!(says("\"it is\"", "so it is.").await, Ok(()));
    assert_eq!(says(r#"{"a": {"b": [1]}}"#, r#"{"a": {"b": [1, 2], "c": 3}}"#).await, Ok(()));
    expect!["the script `run`, line 2, does not fit its run: `it is` is not in the last message: `is it?`"]
        .assert_eq(&says("\"it is\"", "is it?").await.unwrap_err());
    expect!["the script `run`, line 2, does not fit its run: the last message, `a`, `b`, element 0: expected `1`, found `2`"]
        .assert_eq(&says(r#"{"a": {"b": [1]}}"#, r#"{"a": {"b": [2]}}"#).await.unwrap_err());
    expect!["the script `run`, line 2, does not fit its run: the last message is no JSON: `hello`"]
        .assert_eq(&says("{}", "hello").await.unwrap_err());
}

#[test]
fn scripts_are_checked_when_they_are_read() {
    let says = |script: &str| Scripted::parse("s", script).unwrap_err().to_string();
    expect!["the script `s`, line 1: it has none of `text`, `action`, `pieces`, `fault`"].assert_eq(&says("{}"));
    expect!["the script `s`, line 1: it has `text` and `action`; an answer is one of them"]
        .assert_eq(&says(r#"{"text": "", "action": {}}"#));
    expect!["the script `s`, line 1: its `pieces` do not add up to its answer"]
        .assert_eq(&says(r#"{"text": "ab", "pieces": ["a"]}"#));
    expect!["the script `s`, line 2: nothing follows `again`"]
        .assert_eq(&says("{\"text\": \"a\"}\n{\"again\": true}\n{\"text\": \"a\"}").replace("line 3", "line 2"));
    expect!["the script `s`, line 1: `again` stands alone, after at least one answer"].assert_eq(&says(r#"{"again": true}"#));
    expect![[r#"the script `s`, line 1: `status` goes with `"fault": "status"`, and the other way round"#]]
        .assert_eq(&says(r#"{"fault": "status"}"#));
    expect!["the script `s`, line 1: `status`, `retry_after_ms` and `message` go with `fault`"]
        .assert_eq(&says(r#"{"text": "a", "retry_after_ms": 1}"#));
    assert!(says(r#"{"txt": "a"}"#).contains("unknown field `txt`"));
    assert!(says("{").contains("line 1"));
}

#[test]
fn a_script_is_of_a_size_that_can_be_held() {
    let long = " ".repeat(floe_llm::MAX_SCRIPT + 1);
    assert!(Scripted::parse("s", &long).unwrap_err().to_string().contains("a script has at most 16777216"));
}

#[tokio::test(start_paused = true)]
async fn a_script_streams_and_waits() {
    let model = scripted("{\"pieces\": [\"he\", \"\", \"llo\"], \"delay_ms\": 250}\n{\"text\": \"all at once\"}");
    let begun = Instant::now();
    let (answer, pieces) = listen(model.as_ref()).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(250));
    let answer = answer.unwrap();
    assert_eq!((answer.text.as_str(), answer.latency), ("hello", Duration::from_millis(250)));
    assert_eq!(pieces, [Piece::Text("he".to_owned()), Piece::Text("llo".to_owned())]);
    let (_, pieces) = listen(model.as_ref()).await;
    assert_eq!(pieces, [Piece::Text("all at once".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn faults_are_the_errors_of_their_names() {
    let model = scripted(
        r#"{"fault": "rate_limited", "retry_after_ms": 1500, "message": "slow down"}
        {"fault": "status", "status": 503, "message": "{\"error\": {\"message\": \"busy\"}}"}
        {"fault": "cut", "pieces": ["half an "]}
        {"fault": "malformed", "text": "<html>"}
        {"fault": "chunk"}
        {"fault": "context_too_long"}
        {"fault": "authentication"}
        {"fault": "refused"}"#,
    );
    let mut said = Vec::new();
    for _ in 0..2 {
        said.push(model.complete(&question()).await.unwrap_err().to_string());
    }
    let (error, pieces) = listen(model.as_ref()).await;
    assert_eq!(heard(&pieces), "half an ");
    said.push(error.unwrap_err().to_string());
    for _ in 0..5 {
        said.push(model.complete(&question()).await.unwrap_err().to_string());
    }
    expect![[r#"
        `script` takes no more requests for now and says to wait 1.5s: slow down
        `script` cannot be asked at the moment: status 503: busy
        `script` cannot be asked at the moment: the stream broke off
        the answer of `script` cannot be used: the script says so
        `script` took more than the 0ns that `chunk` allows
        the messages are longer than `script` can read: the script says so
        `script` does not accept the key: the script says so; check the key and its account
        `script` will not answer this: the script says so"#]]
    .assert_eq(&said.join("\n"));
}

#[tokio::test]
async fn what_a_model_cannot_do_is_a_bad_request_and_uses_no_line() {
    let none = Abilities { streams: false, schema: false, json: false };
    let model = Scripted::parse("plain", r#"{"text": "a"}"#).unwrap().with(none);
    let schema = Arc::new(Schema { name: "s".to_owned(), schema: json!({}) });
    for output in [Output::Json, Output::Schema(schema)] {
        let error = model.complete(&Request { output, ..question() }).await.unwrap_err();
        assert!(matches!(error, Error::BadRequest { .. }), "{error}");
    }
    assert_eq!(model.left(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_ended_by_whoever_waits() {
    let model = scripted(r#"{"fault": "hang"}"#);
    let waiting = tokio::time::timeout(Duration::from_secs(3600), async { model.complete(&question()).await }).await;
    assert!(waiting.is_err());
}
