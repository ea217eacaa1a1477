//! Chunks and progress while a node runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::{
    Backoff, Call, Chunk, Context, End, Failure, FailureKind, Graph, Handle, Invoke, Item, MapNode, OnFailure, Outcome, Policy,
    Report,
};
use serde_json::json;

use crate::support::{Recorder, policy, start, start_with, submit};

type Work = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// A node that streams by a script, then passes its message on.
struct Script(Box<dyn Fn(Context, u32) -> Work + Send + Sync>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("script")
    }
}

impl Invoke for Script {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let result = (self.0)(call.ctx.clone(), call.attempt).await;
            Report::from(result.map(|()| Outcome::one(call.message.payload.clone())))
        })
    }
}

fn script<F, W>(work: F) -> Arc<dyn Invoke>
where
    F: Fn(Context, u32) -> W + Send + Sync + 'static,
    W: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Arc::new(Script(Box::new(move |ctx, attempt| Box::pin(work(ctx, attempt)))))
}

async fn send(ctx: &Context, stream: &str, text: &str, done: bool) -> Result<u64, Failure> {
    ctx.chunk(Chunk { stream: Some(stream.to_owned()), text: text.to_owned(), done, meta: Vec::new() }).await
}

fn retrying(retries: u32) -> Policy {
    let backoff = Backoff { base: Duration::from_secs(1), factor: 1.0, cap: Duration::from_secs(1), jitter: false };
    Policy { retries, backoff, ..policy() }
}

fn failed() -> Failure {
    Failure::new(FailureKind::Unavailable, "planned")
}

/// What the reader sees, a line for each item.
async fn story(mut handle: Handle) -> Vec<String> {
    let mut story = Vec::new();
    while let Some(item) = handle.next().await {
        story.push(match item {
            Item::Chunk { node, attempt, stream, seq, text, done, .. } => {
                format!("{stream} {seq}: {text} by {node}, attempt {attempt}{}", if done { ", done" } else { "" })
            }
            Item::Superseded { node, attempt, streams, .. } => format!("{node}, attempt {attempt}: not {}", streams.join(", ")),
            Item::Progress { node, kind, .. } => format!("{kind} of {node}"),
            Item::Output { node, .. } => format!("output of {node}"),
            Item::End(terminal) => terminal.end.name().to_owned(),
        });
    }
    story
}

#[derive(Debug)]
struct Streams(usize);

impl Invoke for Streams {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let piece = |text: String, done| Chunk { stream: None, text, done, meta: Vec::new() };
            for n in 0..self.0 {
                assert_eq!(call.ctx.chunk(piece(n.to_string(), false)).await.unwrap(), n as u64);
            }
            call.ctx.chunk(piece(String::new(), true)).await.unwrap();
            call.ctx.progress("status".to_owned(), json!("done").into()).await.unwrap();
            Report::from(Ok(Outcome::one(json!("end").into())))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_come_in_order_and_wait_for_the_reader() {
    let mut graph = Graph::builder("test");
    graph.run("streams", Arc::new(Streams(500)), policy());
    let flow = start_with(graph, |config| config.reader = 4);
    let mut handle = submit(&flow, "trace", json!(null)).await;
    let mut seen = Vec::new();
    while let Some(item) = handle.next().await {
        seen.push(match item {
            Item::Chunk { stream, seq, text, done, .. } => {
                assert_eq!(&*stream, "trace");
                assert_eq!(text, if done { String::new() } else { seq.to_string() });
                "chunk"
            }
            Item::Progress { kind, .. } => {
                assert_eq!(kind, "status");
                "progress"
            }
            Item::Output { .. } => "output",
            Item::Superseded { .. } => unreachable!("no attempt fails"),
            Item::End(_) => "end",
        });
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.len(), 504);
    assert_eq!(&seen[500..], ["chunk", "progress", "output", "end"]);
}

#[derive(Debug)]
struct ManyStreams;

impl Invoke for ManyStreams {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            for n in 0.. {
                let chunk = Chunk { stream: Some(format!("s{n}")), text: String::new(), done: true, meta: Vec::new() };
                if let Err(failure) = call.ctx.chunk(chunk).await {
                    return Report::from(Err(failure));
                }
            }
            unreachable!()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded() {
    let mut graph = Graph::builder("test");
    graph.run("many", Arc::new(ManyStreams), policy());
    let flow = start_with(graph, |_| {});
    let error = submit(&flow, "trace", json!(null)).await.finish().await.1.error.unwrap();
    assert_eq!(error.detail.unwrap(), json!({"limit": "streams", "used": 1000, "max": 1000}));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_share_a_stream_share_its_numbers() {
    let mut graph = Graph::builder("test");
    for node in ["a", "b"] {
        let work = |ctx: Context, _| async move {
            for n in 0..100 {
                send(&ctx, "s", &n.to_string(), n == 99).await?;
            }
            Ok(())
        };
        graph.run(node, script(work), policy());
    }
    let flow = start_with(graph, |config| config.reader = 3);
    let mut handle = submit(&flow, "trace", json!(null)).await;
    let (mut numbers, mut texts) = (Vec::new(), BTreeMap::<String, Vec<String>>::new());
    while let Some(item) = handle.next().await {
        if let Item::Chunk { node, seq, text, .. } = item {
            numbers.push(seq);
            texts.entry(node.to_string()).or_default().push(text);
        }
    }
    assert_eq!(numbers, (0..200).collect::<Vec<u64>>());
    let wanted: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    // One node's `done` ends nobody else's part.
    assert_eq!(texts, BTreeMap::from([("a".to_owned(), wanted.clone()), ("b".to_owned(), wanted)]));
}

#[tokio::test(start_paused = true)]
async fn a_retry_supersedes_what_the_failed_attempt_sent() {
    let mut graph = Graph::builder("test");
    let work = |ctx: Context, attempt| async move {
        if attempt != 2 {
            send(&ctx, "y", "first", false).await?;
            send(&ctx, "x", "second", true).await?;
        }
        if attempt < 4 { Err(failed()) } else { Ok(()) }
    };
    graph.run("n", script(work), retrying(3));
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let story = story(submit(&flow, "trace", json!(null)).await).await;
    let wanted = [
        "y 0: first by n, attempt 1",
        "x 0: second by n, attempt 1, done",
        "n, attempt 1: not x, y",
        // The second attempt sent nothing, so there is nothing to take back.
        "y 1: first by n, attempt 3",
        "x 1: second by n, attempt 3, done",
        "n, attempt 3: not x, y",
        "y 2: first by n, attempt 4",
        "x 2: second by n, attempt 4, done",
        "output of n",
        "completed",
    ];
    assert_eq!(story, wanted);
    let told: Vec<String> = recorder.story("trace").into_iter().filter(|event| event.contains("superseded")).collect();
    assert_eq!(told, ["superseded n", "superseded n"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_the_last_is_superseded_too() {
    for (on_failure, rest) in [(OnFailure::Fail, vec!["failed"]), (OnFailure::Drop, vec!["completed"])] {
        let mut graph = Graph::builder("test");
        let work = |ctx: Context, _| async move {
            send(&ctx, "s", "lost", false).await?;
            Err(failed())
        };
        graph.run("n", script(work), Policy { on_failure, ..policy() });
        let story = story(submit(&start(graph), "trace", json!(null)).await).await;
        let mut wanted = vec!["s 0: lost by n, attempt 1", "n, attempt 1: not s"];
        wanted.extend(rest);
        assert_eq!(story, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_behind_holds_no_announcement_up() {
    let mut graph = Graph::builder("test");
    let work = |ctx: Context, attempt: u32| async move {
        let text = attempt.to_string();
        send(&ctx, "s", &text, false).await?;
        if attempt == 1 { Err(failed()) } else { Ok(()) }
    };
    graph.run("n", script(work), retrying(1));
    let flow = start_with(graph, |config| config.reader = 1);
    let handle = submit(&flow, "trace", json!(null)).await;
    // Nobody reads while the attempt fails and the next one begins.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let wanted = ["s 0: 1 by n, attempt 1", "n, attempt 1: not s", "s 1: 2 by n, attempt 2", "output of n", "completed"];
    assert_eq!(story(handle).await, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_closed_stream_takes_nothing_more_from_the_call_that_closed_it() {
    let mut graph = Graph::builder("test");
    let work = |ctx: Context, attempt| async move {
        send(&ctx, "s", "all", true).await?;
        let failure = send(&ctx, "s", "more", false).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conflict);
        assert_eq!(failure.message, "stream `s` is closed: this call has said `done`; say it last, or use another stream");
        send(&ctx, "t", "another", false).await?;
        if attempt == 1 { Err(failed()) } else { Ok(()) }
    };
    graph.run("n", script(work), retrying(1));
    let wanted = [
        "s 0: all by n, attempt 1, done",
        "t 0: another by n, attempt 1",
        "n, attempt 1: not s, t",
        // The next attempt begins anew. What it leaves open is over with the trace: nothing is added.
        "s 1: all by n, attempt 2, done",
        "t 1: another by n, attempt 2",
        "output of n",
        "completed",
    ];
    assert_eq!(story(submit(&start(graph), "trace", json!(null)).await).await, wanted);
}

#[tokio::test(start_paused = true)]
async fn each_item_of_a_map_closes_streams_for_itself() {
    let item = script(|ctx: Context, _| async move {
        send(&ctx, "s", "item", true).await?;
        assert_eq!(send(&ctx, "s", "more", false).await.unwrap_err().kind, FailureKind::Conflict);
        Ok(())
    });
    let mut graph = Graph::builder("test");
    graph.run("each", Arc::new(MapNode::new(item, NonZeroUsize::MIN)), policy());
    let wanted = ["s 0: item by each, attempt 1, done", "s 1: item by each, attempt 1, done", "output of each", "completed"];
    assert_eq!(story(submit(&start(graph), "trace", json!([1, 2])).await).await, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_takes_no_number() {
    let mut graph = Graph::builder("test");
    let work = |ctx: Context, _| async move {
        send(&ctx, "s", "first", false).await?;
        // The reader has no room: each of these waits is dropped, one of them with its `done`.
        for done in [false, true] {
            let wait = send(&ctx, "s", "given up", done);
            assert!(tokio::time::timeout(Duration::from_secs(1), wait).await.is_err());
        }
        assert_eq!(send(&ctx, "s", "second", true).await?, 1);
        Ok(())
    };
    graph.run("n", script(work), policy());
    let flow = start_with(graph, |config| config.reader = 1);
    let handle = submit(&flow, "trace", json!(null)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let wanted = ["s 0: first by n, attempt 1", "s 1: second by n, attempt 1, done", "output of n", "completed"];
    assert_eq!(story(handle).await, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_over_sends_nothing_more() {
    let kept: Arc<Mutex<Option<Context>>> = Arc::default();
    let mut graph = Graph::builder("test");
    let keep = Arc::clone(&kept);
    let work = move |ctx: Context, attempt: u32| {
        let keep = Arc::clone(&keep);
        async move {
            send(&ctx, "s", "sent", false).await?;
            if attempt == 1 {
                *keep.lock().unwrap() = Some(ctx);
                return Err(failed());
            }
            let late = keep.lock().unwrap().take().unwrap();
            for failure in [
                send(&late, "s", "late", false).await.unwrap_err(),
                late.progress("status".to_owned(), json!(1).into()).await.unwrap_err(),
            ] {
                assert_eq!(failure.kind, FailureKind::Cancelled);
            }
            Ok(())
        }
    };
    graph.run("n", script(work), retrying(1));
    let story = story(submit(&start(graph), "trace", json!(null)).await).await;
    assert_eq!(
        story,
        ["s 0: sent by n, attempt 1", "n, attempt 1: not s", "s 1: sent by n, attempt 2", "output of n", "completed"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_is_ended_says_nothing_of_the_pieces_of_its_calls() {
    let mut graph = Graph::builder("test");
    let work = |ctx: Context, _| async move {
        send(&ctx, "s", "sent", false).await?;
        std::future::pending().await
    };
    graph.run("n", script(work), policy());
    let flow = start(graph);
    let mut handle = submit(&flow, "trace", json!(null)).await;
    assert!(matches!(handle.next().await, Some(Item::Chunk { .. })));
    handle.cancel();
    assert!(matches!(handle.next().await, Some(Item::End(terminal)) if terminal.end == End::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn what_stands_at_the_end_is_what_the_last_attempts_sent() {
    let mut graph = Graph::builder("test");
    for node in ["a", "b", "c"] {
        let work = |ctx: Context, attempt: u32| async move {
            for n in 0..5 {
                send(&ctx, "s", &n.to_string(), false).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if attempt < 3 { Err(failed()) } else { Ok(()) }
        };
        graph.run(node, script(work), retrying(2));
    }
    let flow = start_with(graph, |config| config.reader = 2);
    let mut handle = submit(&flow, "trace", json!(null)).await;
    let (mut standing, mut seen) = (Vec::new(), BTreeSet::new());
    while let Some(item) = handle.next().await {
        match item {
            Item::Chunk { node, message, attempt, seq, text, .. } => {
                assert_eq!(seq, seen.len() as u64);
                seen.insert(seq);
                standing.push((node, message, attempt, text));
            }
            Item::Superseded { node, message, attempt, .. } => {
                let before = standing.len();
                standing.retain(|piece| (&piece.0, piece.1, piece.2) != (&node, message, attempt));
                assert_eq!(before - standing.len(), 5);
            }
            Item::Progress { .. } | Item::Output { .. } | Item::End(_) => {}
        }
    }
    assert_eq!((seen.len(), standing.len()), (45, 15));
    assert!(standing.iter().all(|piece| piece.2 == 3));
}
