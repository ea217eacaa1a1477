//! What events say, and in which order.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_flow::{Backoff, FailureKind, Graph, OnFailure, Policy};
use serde_json::{Value, json};

use crate::support::{Recorder, Stuck, echo, fails_until, outputs, policy, run, split, start_with, submit};

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
