//! The kit for tests, tested with itself.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;
use floe_flow::testkit::{Kit, assert_preserves_envelope, failing, run_one};
use floe_flow::{Call, Chunk, End, Failure, FailureKind, Graph, Invoke, Outcome, Output, Policy, Report, Submission, native};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{Recorder, chain, compute, echo, payload, policy, split};

fn down() -> Failure {
    Failure::new(FailureKind::Unavailable, "down")
}

/// Streams a word, shows its progress, and answers.
#[derive(Debug)]
struct Streams;

impl Invoke for Streams {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let piece = |text: &str, done| Chunk { stream: None, text: text.to_owned(), done, meta: Vec::new() };
            call.ctx.chunk(piece("Hel", false)).await.unwrap();
            if call.attempt == 1 {
                return Report::from(Err(down()));
            }
            call.ctx.chunk(piece("lo", true)).await.unwrap();
            call.ctx.progress("status".to_owned(), json!("said").into()).await.unwrap();
            Report::from(Ok(Outcome::one(call.message.payload.clone())))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn everything_that_comes_out_can_be_looked_at() {
    let mut graph = chain(&[("split", split()), ("add", compute(|value| json!(value.as_i64().unwrap() + 1)))]);
    graph.run("say", Arc::new(Streams), Policy { retries: 1, ..policy() });
    let seen = run_one(graph.build().unwrap(), payload(json!([1, 2]))).await;
    let mut outputs = seen.outputs();
    outputs.sort_by_key(ToString::to_string);
    assert_eq!(outputs, [json!(2), json!(3), json!([1, 2])]);
    assert_eq!(seen.messages().iter().filter(|(node, _)| *node == "add").count(), 2);
    assert_eq!((seen.chunks().len(), seen.text("trace-1")), (3, "Hello".to_owned()));
    assert_eq!(seen.progress(), [("status", &payload(json!("said")))]);
    assert_eq!((seen.terminal.end, seen.terminal.outputs), (End::Completed, 3));
    assert_eq!(seen.events.first().unwrap().kind.name(), "accepted");
    assert_eq!(seen.events.last().unwrap().kind.name(), "ended");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_seen_and_can_be_passed_over() {
    let fetch = failing(echo(), 2, down());
    let mut graph = Graph::builder("test");
    graph.run("fetch", fetch.clone(), Policy { retries: 3, ..policy() }).run("store", echo(), policy());
    graph.chain(&["fetch", "store"]);
    let kit = Kit::start(graph.build().unwrap());
    let seen = kit.run(payload(json!(1))).await;
    seen.assert_sequence(&["fetch", "fetch#2", "fetch#3", "store"]);
    seen.assert_nodes(&["fetch", "store"]);
    assert_eq!((fetch.attempts(), fetch.failures()), (3, 2));
    // The next trace finds it mended, and nothing of the first is left.
    kit.run(payload(json!(1))).await.assert_sequence(&["fetch", "store"]);
    assert_eq!((fetch.attempts(), fetch.failures()), (4, 2));
    kit.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_sequence_is_shown_beside_the_right_one() {
    let fetch = failing(echo(), 1, down());
    let mut graph = Graph::builder("test");
    graph.run("fetch", fetch, Policy { retries: 1, ..policy() }).run("check", echo(), policy()).run("store", echo(), policy());
    graph.chain(&["fetch", "check", "store"]);
    let seen = run_one(graph.build().unwrap(), payload(json!(1))).await;
    let wrong = |check: &dyn Fn()| {
        let panic = std::panic::catch_unwind(AssertUnwindSafe(check)).unwrap_err();
        panic.downcast::<String>().unwrap()
    };
    expect![[r"
        the sequence of calls is not as expected (- expected, + happened):
            fetch
          - read
          + fetch#2
          + check
            store
    "]]
    .assert_eq(&wrong(&|| seen.assert_sequence(&["fetch", "read", "store"])));
    expect![[r"
        the sequence of nodes is not as expected (- expected, + happened):
            fetch
            check
            store
          - store
    "]]
    .assert_eq(&wrong(&|| seen.assert_nodes(&["fetch", "check", "store", "store"])));
}

#[tokio::test(start_paused = true)]
async fn time_is_virtual_and_the_configuration_can_be_changed() {
    #[derive(Debug)]
    struct Sleeps;

    impl Invoke for Sleeps {
        fn invoke(&self, _: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Report::from(Ok(Outcome::Outputs(Vec::new())))
            })
        }
    }

    let graph = || {
        let mut graph = Graph::builder("test");
        graph.run("sleeps", Arc::new(Sleeps), Policy { timeout: Some(Duration::from_secs(60)), retries: 1, ..policy() });
        graph.build().unwrap()
    };
    let seen = run_one(graph(), payload(json!(null))).await;
    seen.assert_sequence(&["sleeps", "sleeps#2"]);
    assert_eq!(seen.terminal.error.unwrap().code, "timed-out");

    let recorder = Arc::new(Recorder::default());
    let kit = Kit::start_with(graph(), |config| {
        config.budget.deadline = Some(Duration::from_secs(30));
        config.observer = Some(recorder.clone());
    });
    let seen = kit.submit(Submission::new("mine", "acme", payload(json!(null)))).await;
    assert_eq!(seen.terminal.end, End::DeadlineExceeded);
    assert_eq!(recorder.story("mine").len(), seen.events.len());
    kit.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_envelope_is_preserved_or_the_change_is_named() {
    assert_preserves_envelope(echo(), payload(json!(1))).await;
    let output = |change: fn(&mut Output)| {
        native(move |call| {
            let mut output = Output::new(call.message.payload.clone());
            change(&mut output);
            Ok(Outcome::Outputs(vec![output]))
        })
    };
    assert_preserves_envelope(output(|output| output.meta.push(("mine".to_owned(), json!(1).into()))), payload(json!(1))).await;
    let table: [(Arc<dyn Invoke>, &str); 5] = [
        (output(|output| output.topic = Some("other".into())), "the node changed the topic"),
        (output(|output| output.priority = Some(0)), "the node changed the priority"),
        (
            output(|output| output.meta.push(("testkit".to_owned(), json!(1).into()))),
            "the node changed or lost `testkit` of the metadata",
        ),
        (native(|_| Ok(Outcome::Outputs(Vec::new()))), "the node gave nothing"),
        (native(|_| Err(down())), "the node did not pass its message on"),
    ];
    for (node, wanted) in table {
        let mut task = JoinSet::new();
        task.spawn(assert_preserves_envelope(node, payload(json!(1))));
        let error = task.join_next().await.unwrap().unwrap_err();
        let message = error
            .into_panic()
            .downcast::<String>()
            .map_or_else(|other| (*other.downcast::<&str>().unwrap()).to_owned(), |text| *text);
        assert!(message.contains(wanted), "{message}");
    }
}
