//! What a model said, as a script.

use std::sync::{Arc, Mutex};

use floe_llm::{Model, Recorder, Scripted};

use crate::support::{heard, listen, question, scripted};

/// A recorder, and the lines that it wrote.
fn record(script: &str, expects: bool) -> (Recorder, Arc<Mutex<Vec<String>>>) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&lines);
    let recorder = Recorder::new(scripted(script), expects, Arc::new(move |line| kept.lock().unwrap().push(line.to_owned())));
    (recorder, lines)
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_can_be_played_again() {
    let script = r#"{"pieces": ["a", "bc"], "usage": {"input": 5, "output": 2, "cached": 1}, "cost": 3, "finish": "length"}
        {"fault": "rate_limited", "retry_after_ms": 20, "message": "later"}
        {"fault": "malformed", "text": "<html>"}
        {"fault": "header"}
        {"fault": "refused", "message": "no"}
        {"text": "end"}"#;
    let (recorder, lines) = record(script, false);
    let mut first = Vec::new();
    first.push(listen(&recorder).await);
    for _ in 0..5 {
        first.push((recorder.complete(&question()).await, Vec::new()));
    }
    let replayed = Scripted::parse("script", &lines.lock().unwrap().join("\n")).unwrap();
    let mut second = Vec::new();
    second.push(listen(&replayed).await);
    for _ in 0..5 {
        second.push((replayed.complete(&question()).await, Vec::new()));
    }
    for ((first, heard_first), (second, heard_second)) in first.iter().zip(&second) {
        assert_eq!(heard_first, heard_second);
        match (first, second) {
            (Ok(first), Ok(second)) => {
                assert_eq!(
                    (&first.text, first.usage, first.cost, first.finish),
                    (&second.text, second.usage, second.cost, second.finish)
                );
            }
            (Err(first), Err(second)) => assert_eq!(first.to_string(), second.to_string()),
            _ => panic!("{first:?} and {second:?}"),
        }
    }
    assert_eq!(first.len(), 6);
}

#[tokio::test]
async fn a_recorder_can_note_what_was_asked() {
    let (recorder, lines) = record(r#"{"text": "a"}"#, true);
    let (answer, pieces) = listen(&recorder).await;
    assert_eq!(heard(&pieces), answer.unwrap().text);
    assert!(lines.lock().unwrap()[0].contains("What is it?"));
    let replayed = Scripted::parse("script", &lines.lock().unwrap().join("\n")).unwrap();
    assert!(replayed.complete(&floe_llm::Request::of_user("Another question")).await.is_err());
    assert!(replayed.complete(&question()).await.is_ok());
}

#[tokio::test]
async fn a_stream_that_was_cut_is_recorded_with_what_came() {
    let (recorder, lines) = record(r#"{"fault": "cut", "pieces": ["half"]}"#, false);
    let (answer, pieces) = listen(&recorder).await;
    assert!(answer.is_err());
    assert_eq!(heard(&pieces), "half");
    let replayed = scripted(&lines.lock().unwrap().join("\n"));
    let (answer, pieces) = listen(replayed.as_ref()).await;
    assert!(answer.is_err());
    assert_eq!(heard(&pieces), "half");
}
