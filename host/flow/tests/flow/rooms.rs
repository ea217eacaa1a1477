//! Backpressure: nobody runs ahead of who cannot follow, and nobody else waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use floe_flow::{End, Graph, Invoke, Item, Outcome, Policy, Submission, native};
use serde_json::{Value, json};

use crate::support::{Slow, Stuck, chain, echo, payload, policy, split, start, start_with, submit};

/// Passes on and counts.
fn counting(count: &Arc<AtomicUsize>) -> Arc<dyn Invoke> {
    let count = Arc::clone(count);
    native(move |call| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Outcome::one(call.message.payload.clone()))
    })
}

#[tokio::test(start_paused = true)]
async fn a_full_edge_holds_its_sender_back() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("quick", counting(&count), Policy::with_concurrency(1));
    graph.run("stuck", Arc::new(Stuck), Policy::with_concurrency(1));
    graph.edge("split", "quick", 1000).edge("quick", "stuck", 4);
    let flow = start(graph);
    let items: Vec<u32> = (0..100).collect();
    let handle = submit(&flow, "trace", json!(items)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // One runs, four are queued, one waits in the trace's outbox.
    assert_eq!(count.load(Ordering::SeqCst), 6);
    handle.cancel();
    assert_eq!(handle.finish().await.1.end, End::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn room_is_per_tenant() {
    let mut graph = Graph::builder("test");
    let stuck_for_one = native(|call| Ok(Outcome::one(call.message.payload.clone())));
    #[derive(Debug)]
    struct StuckFor(&'static str, Arc<dyn Invoke>);
    impl Invoke for StuckFor {
        fn invoke(&self, call: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
            if &*call.ctx.origin().tenant == self.0 { Box::pin(std::future::pending()) } else { self.1.invoke(call) }
        }
    }
    graph.run("split", split(), policy());
    graph.run("node", Arc::new(StuckFor("greedy", stuck_for_one)), Policy::with_concurrency(8));
    graph.edge("split", "node", 2);
    let flow = start(graph);
    let items: Vec<u32> = (0..7).collect();
    let greedy = flow.submit(Submission::new("greedy", "greedy", payload(json!(items)))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Seven of eight slots are taken for good; the other tenant has room on the edge and one slot.
    let other = flow.submit(Submission::new("other", "other", payload(json!(items)))).await.unwrap();
    let (outputs, terminal) = other.finish().await;
    assert_eq!((outputs.len(), terminal.end), (7, End::Completed));
    drop(greedy);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_only_its_own_trace_back() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("last", counting(&count), Policy::with_concurrency(1));
    graph.edge("split", "last", 1000);
    let flow = start_with(graph, |config| config.reader = 3);
    let items: Vec<u32> = (0..100).collect();
    let mut unread = submit(&flow, "unread", json!(items)).await;
    let (outputs, _) = submit(&flow, "read", json!([1, 2, 3, 4, 5, 6, 7])).await.finish().await;
    assert_eq!(outputs.len(), 7);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(count.load(Ordering::SeqCst), 7 + 4, "three with the reader, one held back");
    let mut read = 0;
    while let Some(item) = unread.next().await {
        read += usize::from(matches!(item, Item::Output { .. }));
    }
    assert_eq!(read, 100);
}

#[tokio::test(start_paused = true)]
async fn submit_waits_for_credit() {
    let slow = Slow::new(Duration::from_secs(1));
    let mut graph = Graph::builder("test");
    graph.run("node", slow.clone(), Policy::with_concurrency(100));
    let flow = start_with(graph, |config| {
        config.in_flight = 3;
        config.in_flight_per_tenant = 2;
    });
    let one = |trace: &str, tenant: &str| {
        let (flow, submission) = (flow.clone(), Submission::new(trace, tenant, payload(Value::Null)));
        async move { flow.submit(submission).await.unwrap().finish().await.1.end }
    };
    let began = tokio::time::Instant::now();
    let (a1, a2, a3, b1, b2) = tokio::join!(one("a1", "a"), one("a2", "a"), one("a3", "a"), one("b1", "b"), one("b2", "b"));
    assert!([a1, a2, a3, b1, b2].iter().all(|end| *end == End::Completed));
    assert_eq!(slow.most.load(Ordering::SeqCst), 3);
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_fan_out_larger_than_every_queue_passes() {
    let flow = start_with(chain(&[("split", split()), ("a", echo()), ("b", echo()), ("c", echo())]), |config| config.reader = 1);
    let items: Vec<u32> = (0..5000).collect();
    let (outputs, terminal) = submit(&flow, "trace", json!(items)).await.finish().await;
    assert_eq!((outputs.len(), terminal.end), (5000, End::Completed));
}

#[tokio::test(start_paused = true)]
async fn an_unread_trace_keeps_no_room_from_others_of_its_tenant() {
    let flow = start_with(chain(&[("split", split()), ("a", echo()), ("b", echo()), ("c", echo())]), |config| config.reader = 1);
    let items: Vec<u32> = (0..2000).collect();
    let mut unread = Vec::new();
    for n in 0..5 {
        unread.push(submit(&flow, &format!("unread-{n}"), json!(items)).await);
    }
    for n in 0..5 {
        let finish = submit(&flow, &format!("read-{n}"), json!(items)).await.finish();
        let (outputs, terminal) = tokio::time::timeout(Duration::from_secs(3600), finish).await.expect("it is not held up");
        assert_eq!((outputs.len(), terminal.end), (2000, End::Completed));
    }
    for handle in unread {
        assert_eq!(handle.finish().await.0.len(), 2000);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_trace_is_not_kept_in_line() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("stuck", Arc::new(Stuck), Policy::with_concurrency(1));
    graph.edge("split", "stuck", 1);
    let flow = start(graph);
    // One message for the slot and one for the place on the edge: later traces stand in line for the place, and the second
    // trace for the slot.
    let mut waiting = Vec::new();
    for trace in ["running", "queued"] {
        waiting.push(submit(&flow, trace, json!([1])).await);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut ended = Vec::new();
    for trace in 0..100 {
        let handle = submit(&flow, &format!("trace-{trace}"), json!([1, 2])).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        ended.push(Arc::downgrade(&handle.origin().trace));
        handle.cancel();
        handle.finish().await;
    }
    let queued = waiting.pop().unwrap();
    ended.push(Arc::downgrade(&queued.origin().trace));
    drop(queued);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(flow.in_flight(), 1);
    assert_eq!(ended.iter().filter(|trace| trace.upgrade().is_some()).count(), 0);
}
