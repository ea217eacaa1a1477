//! Backpressure: nobody runs ahead of who cannot follow, and nobody else waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use floe_flow::{Call, End, Error, EventKind, Graph, Invoke, Item, Outcome, Policy, Report, Submission, native};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Recorder, Slow, Stuck, chain, echo, payload, policy, split, start, start_with, submit};

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

/// Each output that is taken makes room for the next one, so that there always is one.
#[tokio::test(start_paused = true)]
async fn whoever_reads_a_flood_lets_others_have_its_thread() {
    let flow = start_with(chain(&[("split", split())]), |_| {});
    let items: Vec<u32> = (0..5000).collect();
    let mut handle = submit(&flow, "trace", json!(items)).await;
    handle.next().await.unwrap();
    let turns = Arc::new(AtomicUsize::new(0));
    let (mut other, counted) = (JoinSet::new(), Arc::clone(&turns));
    other.spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    });
    let (outputs, _) = handle.finish().await;
    assert_eq!(outputs.len(), 4999);
    assert!(turns.load(Ordering::SeqCst) >= 10, "{turns:?} turns");
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

#[tokio::test(start_paused = true)]
async fn a_full_edge_holds_only_its_own_copies_back() {
    let count = Arc::new(AtomicUsize::new(0));
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("stuck", Arc::new(Stuck), Policy::with_concurrency(1));
    graph.run("free", counting(&count), Policy::with_concurrency(1));
    graph.edge("split", "stuck", 1).edge("split", "free", 100);
    let recorder = Arc::new(Recorder::default());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let mut handle = submit(&flow, "trace", json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])).await;
    for _ in 0..10 {
        let next = tokio::time::timeout(Duration::from_secs(60), handle.next()).await.expect("the free edge is not held up");
        assert!(matches!(next, Some(Item::Output { .. })));
    }
    assert_eq!(count.load(Ordering::SeqCst), 10);
    let blocked = recorder
        .0
        .lock()
        .unwrap()
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::Blocked { node, .. } => Some(node.to_string()),
            _ => None,
        })
        .collect::<Vec<_>>();
    // One runs and one has the place.
    assert_eq!(blocked, vec!["stuck"; 8]);
}

fn null(trace: &str, tenant: &str) -> Submission {
    Submission::new(trace, tenant, payload(Value::Null))
}

#[tokio::test(start_paused = true)]
async fn try_submit_waits_for_no_credit() {
    let mut graph = Graph::builder("test");
    graph.run("node", Slow::new(Duration::from_secs(1)), Policy::with_concurrency(100));
    let flow = start_with(graph, |config| {
        config.in_flight = 3;
        config.in_flight_per_tenant = 2;
        config.budget.payload = 100;
    });
    let began = tokio::time::Instant::now();
    let first = flow.try_submit(null("a1", "a")).await.unwrap();
    let mut rest = vec![flow.try_submit(null("a2", "a")).await.unwrap()];
    let own = flow.try_submit(null("a3", "a")).await.unwrap_err();
    assert_eq!(own, Error::Busy { limit: "in_flight_per_tenant", max: 2 });
    rest.push(flow.try_submit(null("b1", "b")).await.unwrap());
    let common = flow.try_submit(null("b2", "b")).await.unwrap_err();
    assert_eq!(common, Error::Busy { limit: "in_flight", max: 3 });
    assert_eq!(
        common.to_string(),
        "there is no credit for one more trace: `in_flight` is 3; wait until a trace ends, or raise it"
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
    // Credit that comes free belongs to whoever waits for it.
    let mut waiting = std::pin::pin!(flow.submit(null("b2", "b")));
    assert!(tokio::time::timeout(Duration::from_millis(1), &mut waiting).await.is_err());
    first.cancel();
    first.finish().await;
    assert_eq!(flow.try_submit(null("c1", "c")).await.unwrap_err(), common);
    rest.push(waiting.await.unwrap());
    for handle in rest {
        assert_eq!(handle.finish().await.1.end, End::Completed);
    }
    // Its other answers are those of `submit`.
    let large = flow.try_submit(Submission::new("d", "d", payload(json!("x".repeat(100))))).await;
    assert_eq!(large.unwrap_err(), Error::TooLarge { bytes: 102, max: 100 });
    let one = flow.try_submit(null("e", "e")).await.unwrap();
    assert_eq!(flow.try_submit(null("e", "e")).await.unwrap_err(), Error::Duplicate("e".into()));
    drop(one);
    flow.stop(Duration::from_secs(9)).await;
    assert_eq!(flow.try_submit(null("f", "f")).await.unwrap_err(), Error::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_submit_that_is_given_up_takes_no_credit() {
    let mut graph = Graph::builder("test");
    graph.run("node", Arc::new(Stuck), Policy::with_concurrency(100));
    let flow = start_with(graph, |config| {
        config.in_flight = 3;
        config.in_flight_per_tenant = 2;
    });
    for called in [false, true] {
        let mut running = Vec::new();
        for (trace, tenant) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
            running.push(flow.submit(null(trace, tenant)).await.unwrap());
        }
        {
            // For the tenant's own credit, for the common one, and for a turn in the line for the common one.
            let waits = [("a3", "a"), ("b2", "b"), ("c1", "c"), ("c2", "c")].map(|(trace, tenant)| null(trace, tenant));
            let mut waits = waits.map(|submission| Box::pin(flow.submit(submission)));
            for wait in &mut waits {
                assert!(tokio::time::timeout(Duration::from_millis(1), wait).await.is_err());
            }
            if called {
                // Credit is theirs, and they are gone before they hear of it.
                running.clear();
                tokio::time::sleep(Duration::from_millis(1)).await;
                assert_eq!(flow.in_flight(), 0);
            }
        }
        running.clear();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(flow.in_flight(), 0);
        let mut again = Vec::new();
        for (trace, tenant) in [("c1", "c"), ("c2", "c"), ("a3", "a")] {
            again.push(flow.try_submit(null(trace, tenant)).await.expect("all credit is there"));
        }
        assert_eq!(flow.try_submit(null("b2", "b")).await.unwrap_err(), Error::Busy { limit: "in_flight", max: 3 });
        drop(again);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Five turns of a tenth of a second each.
#[derive(Debug)]
struct Turns;

impl Invoke for Turns {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let payload = call.message.payload.clone();
            let again = call.message.turn < 4;
            Report::from(Ok(if again { Outcome::Again { memory: payload, tokens_used: 0 } } else { Outcome::one(payload) }))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn more_loops_at_once_than_there_are_places_all_end() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("loop", Arc::new(Turns), Policy::with_concurrency(2)).run("last", echo(), policy());
    graph.edge("split", "loop", 1).edge("loop", "last", 1);
    let flow = start_with(graph, |config| {
        config.in_flight = 100;
        config.in_flight_per_tenant = 100;
        config.reader = 1;
    });
    let items: Vec<u32> = (0..40).collect();
    let mut handles = vec![submit(&flow, "many", json!(items)).await];
    for n in 0..40 {
        handles.push(submit(&flow, &format!("one-{n}"), json!([n])).await);
    }
    for (handle, wanted) in handles.into_iter().zip(std::iter::once(40).chain([1; 40])) {
        let finish = tokio::time::timeout(Duration::from_secs(3600), handle.finish());
        let (outputs, terminal) = finish.await.expect("nothing is stuck");
        assert_eq!((outputs.len(), terminal.end), (wanted, End::Completed));
    }
}
