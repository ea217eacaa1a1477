//! Asking again, and asking another.

use std::sync::Arc;
use std::time::Duration;

use floe_llm::{
    Abilities, Backoff, DEFAULT_ATTEMPTS, DEFAULT_BASE, DEFAULT_CAP, DEFAULT_TOTAL, Error, Fallback, Model, Piece, Request,
    Retry, Scripted, TimeOut,
};
use tokio::time::Instant;

use crate::support::{heard, listen, question, scripted};

fn backoff() -> Backoff {
    Backoff { attempts: DEFAULT_ATTEMPTS, base: DEFAULT_BASE, cap: DEFAULT_CAP, total: DEFAULT_TOTAL, seed: 7 }
}

/// What comes of asking, and how long it took.
async fn ask(script: &str, backoff: Backoff) -> (Result<String, Error>, Duration) {
    let model = Retry::new(scripted(script), backoff);
    let begun = Instant::now();
    let result = model.complete(&question()).await.map(|answer| answer.text);
    (result, begun.elapsed())
}

const DOWN: &str = "{\"fault\": \"unavailable\"}\n";

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_for() {
    for fault in ["unavailable", "rate_limited", "connect", "header", "chunk", "cut"] {
        let (result, took) = ask(&format!("{{\"fault\": \"{fault}\"}}\n{{\"text\": \"at last\"}}"), backoff()).await;
        assert_eq!(result.unwrap(), "at last", "{fault}");
        assert!((DEFAULT_BASE / 2..=DEFAULT_BASE).contains(&took), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_not_tried_again() {
    for fault in ["context_too_long", "bad_request", "unknown_model", "authentication", "refused", "malformed", "total"] {
        let (result, took) = ask(&format!("{{\"fault\": \"{fault}\"}}\n{{\"text\": \"no\"}}"), backoff()).await;
        assert!(result.is_err(), "{fault}");
        assert_eq!(took, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted() {
    let script = DOWN.repeat(9);
    let model = scripted(&script);
    let result = Retry::new(model.clone(), backoff()).complete(&question()).await;
    assert!(matches!(result, Err(Error::Unavailable { .. })));
    assert_eq!(9 - model.left(), DEFAULT_ATTEMPTS as usize);
}

#[tokio::test(start_paused = true)]
async fn waits_double_up_to_a_cap_and_follow_from_the_seed() {
    let long = Backoff { attempts: 12, cap: Duration::from_secs(4), ..backoff() };
    let script = DOWN.repeat(12);
    let (_, took) = ask(&script, long).await;
    // 0.5 + 1 + 2 + 8 × 4 seconds, and at least half of it.
    let most = Duration::from_millis(35_500);
    assert!((most / 2..most).contains(&took), "{took:?}");
    assert_eq!(ask(&script, long).await.1, took, "the same seed");
    assert_ne!(ask(&script, Backoff { seed: 8, ..long }).await.1, took, "another seed");
}

#[tokio::test(start_paused = true)]
async fn two_calls_of_one_model_do_not_wait_alike() {
    let model = Retry::new(scripted(&format!("{DOWN}{{\"text\": \"a\"}}\n").repeat(2)), backoff());
    let mut took = Vec::new();
    for _ in 0..2 {
        let begun = Instant::now();
        model.complete(&question()).await.unwrap();
        took.push(begun.elapsed());
    }
    assert_ne!(took[0], took[1]);
}

#[tokio::test(start_paused = true)]
async fn what_the_provider_says_about_when_is_kept_to() {
    let script = "{\"fault\": \"rate_limited\", \"retry_after_ms\": 45000}\n{\"text\": \"a\"}";
    let (result, took) = ask(script, backoff()).await;
    assert!(result.is_ok());
    let at_least = Duration::from_secs(45);
    assert!((at_least..at_least + DEFAULT_BASE).contains(&took), "longer than the cap: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_beyond_the_end() {
    let script = "{\"fault\": \"rate_limited\", \"retry_after_ms\": 600000}\n{\"text\": \"too late\"}";
    let (result, took) = ask(script, backoff()).await;
    assert!(matches!(result, Err(Error::RateLimited { .. })), "what cannot be in time is not waited for");
    assert_eq!(took, Duration::ZERO);
    let short = Backoff { total: Duration::from_secs(2), ..backoff() };
    let (result, took) = ask("{\"text\": \"slow\", \"delay_ms\": 5000}", short).await;
    let expected = Error::TimedOut { model: "script".to_owned(), limit: TimeOut::Total, after: Duration::from_secs(2) };
    assert_eq!((result, took), (Err(expected), Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_requests_own_deadline_ends_it_too() {
    let model = Retry::new(scripted("{\"text\": \"slow\", \"delay_ms\": 5000}"), backoff());
    let begun = Instant::now();
    let request = Request { deadline: Some(begun + Duration::from_secs(1)), ..question() };
    assert!(matches!(model.complete(&request).await, Err(Error::TimedOut { limit: TimeOut::Total, .. })));
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_begins_again_says_so() {
    let script = "{\"fault\": \"cut\", \"pieces\": [\"Once \", \"upon\"]}\n{\"pieces\": [\"Once \", \"more\"]}";
    let (answer, pieces) = listen(&Retry::new(scripted(script), backoff())).await;
    assert_eq!(heard(&pieces), answer.unwrap().text);
    let restarts = pieces.iter().filter(|piece| **piece == Piece::Restarted).count();
    assert_eq!((pieces.len(), restarts), (5, 1));
    let silent = format!("{DOWN}{{\"text\": \"a\"}}");
    let (_, pieces) = listen(&Retry::new(scripted(&silent), backoff())).await;
    assert_eq!(pieces, [Piece::Text("a".to_owned())], "nothing had been said");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_asks_no_more() {
    let model = scripted(&DOWN.repeat(3));
    let retry = Retry::new(model.clone(), backoff());
    let request = question();
    let call = tokio::time::timeout(Duration::from_millis(1), retry.complete(&request)).await;
    assert!(call.is_err());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(model.left(), 2);
}

fn chain(scripts: &[&str]) -> Fallback {
    Fallback::try_new(scripts.iter().map(|script| scripted(script) as Arc<dyn Model>).collect()).unwrap()
}

#[tokio::test]
async fn the_next_model_is_asked_for_what_the_first_cannot() {
    let faults = [
        "rate_limited",
        "unavailable",
        "connect",
        "total",
        "context_too_long",
        "unknown_model",
        "authentication",
        "refused",
        "malformed",
    ];
    for fault in faults {
        let answer = chain(&[&format!("{{\"fault\": \"{fault}\"}}"), "{\"text\": \"b\"}"]).complete(&question()).await;
        assert_eq!(answer.unwrap().text, "b", "{fault}");
    }
    let bad = chain(&["{\"fault\": \"bad_request\"}", "{\"text\": \"b\"}"]).complete(&question()).await;
    assert!(matches!(bad, Err(Error::BadRequest { .. })));
    let spent = chain(&["", "{\"text\": \"b\"}"]).complete(&question()).await;
    assert!(matches!(spent, Err(Error::Invalid(_))), "a script that does not fit its run is not hidden");
    let all = chain(&["{\"fault\": \"refused\"}", "{\"fault\": \"header\"}"]).complete(&question()).await;
    assert!(matches!(all, Err(Error::TimedOut { .. })), "the last one's failure counts");
    assert!(Fallback::try_new(Vec::new()).is_err());
}

#[tokio::test]
async fn pieces_of_a_model_that_failed_are_taken_back() {
    let (answer, pieces) = listen(&chain(&["{\"fault\": \"cut\", \"pieces\": [\"I thi\"]}", "{\"text\": \"b\"}"])).await;
    assert_eq!(answer.unwrap().text, "b");
    assert_eq!(pieces, [Piece::Text("I thi".to_owned()), Piece::Restarted, Piece::Text("b".to_owned())]);
}

#[test]
fn a_chain_can_what_all_of_it_can() {
    let plain = Scripted::parse("plain", "").unwrap().with(Abilities { streams: true, schema: false, json: true });
    let chain = Fallback::try_new(vec![scripted(""), Arc::new(plain)]).unwrap();
    assert_eq!(chain.abilities(), Abilities { streams: true, schema: false, json: true });
    assert_eq!(chain.name(), "script");
}
