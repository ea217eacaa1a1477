//! What events say, in which order, and what stands between them and slow observers.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_flow::observe::MAX_BUFFERED_BYTES;
use floe_flow::{
    Backoff, Buffered, Event, EventKind, FailureKind, Graph, Losses, MessageId, Observer, OnFailure, Policy, Several,
};
use serde_json::{Value, json};
use tokio::runtime::Handle as Runtime;

use crate::support::{Recorder, Stuck, chain, echo, fails_until, outputs, policy, run, split, start_with, submit};

/// Each event as a line, without what follows from the clock and without the numbers of messages.
fn check(recorder: &Recorder, expected: &Expect) {
    let mut text = String::new();
    for event in &*recorder.0.lock().unwrap() {
        let Value::Object(mut event) = json!(event) else { unreachable!("an event is an object") };
        for clock in ["trace", "seq", "at_us", "latency_us", "receipt", "message"] {
            event.remove(clock);
        }
        let name = event.remove("event").unwrap();
        text += &format!("{} {}\n", name.as_str().unwrap(), Value::Object(event));
    }
    expected.assert_eq(&text);
}

fn event(seq: u64) -> Event {
    let kind = EventKind::Output { node: "node".into(), message: MessageId::INPUT };
    Event { trace: "trace".into(), tenant: "tenant".into(), caller: None, seq, at_us: 0, kind }
}

fn chunk(seq: u64, bytes: usize) -> Event {
    let (node, stream, text) = ("node".into(), "".into(), "x".repeat(bytes));
    Event {
        kind: EventKind::Chunk {
            subflow: None,
            node,
            message: floe_flow::MessageId::INPUT,
            attempt: 1,
            stream,
            seq_in_stream: seq,
            text,
            done: false,
            meta: floe_flow::Meta::default(),
        },
        ..event(seq)
    }
}

fn seen(recorder: &Recorder) -> Vec<u64> {
    recorder.0.lock().unwrap().iter().map(|event| event.seq).collect()
}

/// Handles no event before the test lets it, and says when the first one came.
#[derive(Debug)]
struct Gate(Mutex<Receiver<()>>, Mutex<Sender<()>>);

impl Observer for Gate {
    fn observe(&self, _: Event) {
        let _ = self.1.lock().unwrap().send(());
        // An error means that the gate is open for good.
        let _ = self.0.lock().unwrap().recv();
    }
}

#[derive(Debug)]
struct Panics;

impl Observer for Panics {
    fn observe(&self, event: Event) {
        assert!(event.seq > 1_000_000, "on purpose");
    }
}

// === what events say ===

#[tokio::test(start_paused = true)]
async fn a_failing_node_tells_its_whole_story() {
    let backoff = Backoff { base: Duration::from_millis(500), factor: 2.0, cap: Duration::from_secs(3), jitter: false };
    let timeout = Some(Duration::from_secs(2));
    let mut graph = Graph::builder("test");
    graph.run("node", fails_until(9, FailureKind::Unavailable), Policy { retries: 2, backoff, timeout, ..policy() });
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    run(&flow, json!(1)).await;
    check(
        &recorder,
        &expect![[r#"
        accepted {"tenant":"tenant"}
        started {"attempt":1,"node":"node","pending":2,"queued":0,"running":1,"waiting":0}
        failed {"attempt":1,"code":"unavailable","error":"not yet","max_attempts":3,"node":"node","pending":1,"queued":0,"running":0,"timeout_ms":2000,"waiting":0}
        retry {"attempt":2,"code":"unavailable","error":"not yet","max_attempts":3,"node":"node","pause_ms":500,"pending":1,"queued":0,"running":0,"waiting":0}
        started {"attempt":2,"node":"node","pending":1,"queued":0,"running":1,"waiting":0}
        failed {"attempt":2,"code":"unavailable","error":"not yet","max_attempts":3,"node":"node","pending":1,"queued":0,"running":0,"timeout_ms":2000,"waiting":0}
        retry {"attempt":3,"code":"unavailable","error":"not yet","max_attempts":3,"node":"node","pause_ms":1000,"pending":1,"queued":0,"running":0,"waiting":0}
        started {"attempt":3,"node":"node","pending":1,"queued":0,"running":1,"waiting":0}
        failed {"attempt":3,"code":"unavailable","error":"not yet","max_attempts":3,"node":"node","pending":1,"queued":0,"running":0,"timeout_ms":2000,"waiting":0}
        gave_up {"attempt":3,"error":{"attempt":3,"code":"unavailable","message":"not yet","node":"node"},"max_attempts":3,"node":"node","pending":1,"queued":0,"running":0,"then":"fail","waiting":0}
        ending {"pending":1,"running":0,"why":"failed"}
        ended {"terminal":{"end":"failed","error":{"attempt":3,"code":"unavailable","message":"not yet","node":"node"},"outputs":0}}
        "#]],
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_travels_says_where() {
    let mut graph = Graph::builder("test");
    graph.run("work", fails_until(9, FailureKind::Denied), Policy { on_failure: OnFailure::To("mend".into()), ..policy() });
    graph.run("end", echo(), policy()).run("mend", echo(), policy());
    graph.chain(&["work", "end"]);
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    outputs(&flow, json!(1)).await;
    check(
        &recorder,
        &expect![[r#"
        accepted {"tenant":"tenant"}
        started {"attempt":1,"node":"work","pending":2,"queued":0,"running":1,"waiting":0}
        failed {"attempt":1,"code":"denied","error":"not yet","max_attempts":1,"node":"work","pending":1,"queued":0,"running":0,"waiting":0}
        gave_up {"attempt":1,"error":{"attempt":1,"code":"denied","message":"not yet","node":"work"},"max_attempts":1,"node":"work","pending":1,"queued":0,"running":0,"then":"mend","waiting":0}
        started {"attempt":1,"node":"mend","pending":2,"queued":0,"running":1,"waiting":0}
        succeeded {"attempt":1,"emitted":1,"node":"mend","pending":1,"queued":0,"running":0,"waiting":0}
        output {"node":"mend"}
        ended {"terminal":{"end":"completed","error":null,"outputs":1}}
        "#]],
    );
}

#[tokio::test(start_paused = true)]
async fn events_say_how_busy_the_trace_is() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("work", echo(), Policy::with_concurrency(1));
    graph.chain(&["split", "work"]);
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    outputs(&flow, json!([1, 2, 3])).await;
    check(
        &recorder,
        &expect![[r#"
        accepted {"tenant":"tenant"}
        started {"attempt":1,"node":"split","pending":2,"queued":0,"running":1,"waiting":0}
        succeeded {"attempt":1,"emitted":3,"node":"split","pending":1,"queued":0,"running":0,"waiting":0}
        started {"attempt":1,"node":"work","pending":2,"queued":0,"running":1,"waiting":0}
        queued {"node":"work","pending":3,"queued":1,"running":1,"waiting":0}
        queued {"node":"work","pending":4,"queued":2,"running":1,"waiting":0}
        succeeded {"attempt":1,"emitted":1,"node":"work","pending":3,"queued":2,"running":0,"waiting":0}
        output {"node":"work"}
        started {"attempt":1,"node":"work","pending":2,"queued":1,"running":1,"waiting":0}
        succeeded {"attempt":1,"emitted":1,"node":"work","pending":2,"queued":1,"running":0,"waiting":0}
        output {"node":"work"}
        started {"attempt":1,"node":"work","pending":1,"queued":0,"running":1,"waiting":0}
        succeeded {"attempt":1,"emitted":1,"node":"work","pending":1,"queued":0,"running":0,"waiting":0}
        output {"node":"work"}
        ended {"terminal":{"end":"completed","error":null,"outputs":3}}
        "#]],
    );
}

#[tokio::test(start_paused = true)]
async fn an_early_end_says_what_it_stops() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("work", Arc::new(Stuck), Policy::with_concurrency(1));
    graph.edge("split", "work", 2);
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let handle = submit(&flow, "trace", json!([1, 2, 3, 4, 5])).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    flow.cancel("trace");
    handle.finish().await;
    check(
        &recorder,
        &expect![[r#"
            accepted {"tenant":"tenant"}
            started {"attempt":1,"node":"split","pending":2,"queued":0,"running":1,"waiting":0}
            succeeded {"attempt":1,"emitted":5,"node":"split","pending":1,"queued":0,"running":0,"waiting":0}
            started {"attempt":1,"node":"work","pending":2,"queued":0,"running":1,"waiting":0}
            queued {"node":"work","pending":3,"queued":1,"running":1,"waiting":0}
            queued {"node":"work","pending":4,"queued":2,"running":1,"waiting":0}
            blocked {"from":"split","node":"work","pending":5,"queued":0,"running":1,"waiting":1}
            blocked {"from":"split","node":"work","pending":6,"queued":0,"running":1,"waiting":2}
            ending {"pending":5,"running":1,"why":"cancelled"}
            ended {"terminal":{"end":"cancelled","error":{"code":"cancelled","message":"somebody cancelled the trace"},"outputs":0}}
        "#]],
    );
}

// === Buffered ===

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted_and_the_gap_shows() {
    let recorder = Arc::new(Recorder::default());
    let buffered = Buffered::start(vec![recorder.clone()], 4, &Runtime::current());
    // The task that delivers has no turn before this one waits.
    (0..10).for_each(|seq| buffered.observe(event(seq)));
    assert_eq!(buffered.dropped(), 6);
    buffered.flush().await;
    buffered.observe(event(10));
    buffered.flush().await;
    assert_eq!(seen(&recorder), [0, 1, 2, 3, 10]);
    assert_eq!(buffered.losses(), Losses { full: 6, ..Losses::default() });
}

#[tokio::test]
async fn the_buffer_is_bounded_in_bytes_too() {
    let recorder = Arc::new(Recorder::default());
    let buffered = Buffered::start(vec![recorder.clone()], 100, &Runtime::current());
    let half = MAX_BUFFERED_BYTES / 2;
    // The first of any size has room; what has no text always has.
    for event in [chunk(0, half), chunk(1, half), chunk(2, 1), event(3)] {
        buffered.observe(event);
    }
    buffered.flush().await;
    buffered.observe(chunk(4, 2 * MAX_BUFFERED_BYTES));
    buffered.observe(chunk(5, 1));
    buffered.close().await;
    assert_eq!(seen(&recorder), [0, 1, 3, 4]);
    assert_eq!(buffered.losses(), Losses { bytes: 2, ..Losses::default() });
}

#[tokio::test]
async fn closing_delivers_what_waits_and_takes_nothing_more() {
    let recorder = Arc::new(Recorder::default());
    let buffered = Buffered::start(vec![recorder.clone()], 100, &Runtime::current());
    (0..50).for_each(|seq| buffered.observe(event(seq)));
    buffered.close().await;
    assert_eq!(seen(&recorder), (0..50).collect::<Vec<_>>());
    buffered.observe(event(50));
    // Neither waits for ever.
    buffered.flush().await;
    buffered.close().await;
    assert_eq!(buffered.losses(), Losses { closed: 1, ..Losses::default() });
    assert_eq!(seen(&recorder).len(), 50);
}

#[tokio::test]
async fn an_observer_that_panics_is_counted_and_the_others_go_on() {
    let (before, after) = (Arc::new(Recorder::default()), Arc::new(Recorder::default()));
    let observers: Vec<Arc<dyn Observer>> = vec![before.clone(), Arc::new(Panics), after.clone()];
    let several = Several::new(observers.clone());
    several.observe(event(0));
    assert_eq!((several.panics(), seen(&before), seen(&after)), (1, vec![0], vec![0]));

    let buffered = Buffered::start(observers, 100, &Runtime::current());
    (1..4).for_each(|seq| buffered.observe(event(seq)));
    buffered.close().await;
    assert_eq!(buffered.losses(), Losses { panics: 3, ..Losses::default() });
    assert_eq!((seen(&before), seen(&after)), (vec![0, 1, 2, 3], vec![0, 1, 2, 3]));
    assert_eq!(buffered.dropped(), 0);
}

#[tokio::test]
async fn a_stuck_observer_stops_no_flow() {
    let slow = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (open, gate) = channel();
    let (came, first) = channel();
    let recorder = Arc::new(Recorder::default());
    let gate = Arc::new(Gate(Mutex::new(gate), Mutex::new(came)));
    let buffered = Buffered::start(vec![gate, recorder.clone()], 16, slow.handle());
    let flow = start_with(chain(&[("a", echo()), ("b", echo())]), |config| config.observer = Some(buffered.clone()));
    for n in 0..20 {
        outputs(&flow, json!(n)).await;
    }
    first.recv().unwrap();
    assert!(seen(&recorder).is_empty() && buffered.dropped() > 0);
    drop(open);
    buffered.close().await;
    assert_eq!(seen(&recorder).len() as u64 + buffered.dropped(), 20 * 7);
    drop(flow);
    slow.shutdown_background();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_buffer_keeps_the_order_of_each_trace() {
    let recorder = Arc::new(Recorder::default());
    let buffered = Buffered::start(vec![recorder.clone()], 100_000, &Runtime::current());
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("work", echo(), policy());
    graph.chain(&["split", "work"]);
    let flow = start_with(graph, |config| config.observer = Some(buffered.clone()));
    for round in 0..10 {
        let mut handles = Vec::new();
        for n in 0..10 {
            handles.push(submit(&flow, &format!("{round}-{n}"), json!([1, 2, 3, 4, 5])).await);
        }
        for handle in handles {
            handle.finish().await;
        }
    }
    flow.stop(Duration::ZERO).await;
    buffered.close().await;
    assert_eq!(buffered.losses(), Losses::default());
    for trace in (0..10).flat_map(|round| (0..10).map(move |n| format!("{round}-{n}"))) {
        let story = recorder.story(&trace);
        assert_eq!((story.first().unwrap().as_str(), story.last().unwrap().as_str()), ("accepted", "ended"));
    }
}
