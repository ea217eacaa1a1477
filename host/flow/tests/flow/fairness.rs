//! Who goes first where several wait: tenants in turn by their weight, within a tenant the highest priority.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Call, Config, End, Failure, FailureKind, Flow, Graph, Handle, Invoke, Outcome, Output, Policy, Report, Submission,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Slow, payload, policy, split, start_with};

/// Takes `[name, priority, pause]`, waits that many milliseconds, and sends the name on with the priority.
#[derive(Debug)]
struct Source;

impl Invoke for Source {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let item = call.message.payload.value().into_owned();
            tokio::time::sleep(Duration::from_millis(item[2].as_u64().unwrap())).await;
            let priority = i32::try_from(item[1].as_i64().unwrap()).ok();
            let output = Output { priority, ..Output::new(item[0].clone().into()) };
            Report::from(Ok(Outcome::Outputs(vec![output])))
        })
    }
}

/// Items of an array pass a source, all at once, and come to `work` over an edge of this size; each takes it a second.
fn graph(work: Arc<dyn Invoke>, queue: usize, policy: Policy) -> Builder {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), Policy::with_concurrency(1000));
    graph.run("source", Arc::new(Source), Policy::with_concurrency(1000));
    graph.run("work", work, policy);
    graph.edge("split", "source", 20_000).edge("source", "work", queue);
    graph
}

fn second() -> Arc<Slow> {
    Slow::new(Duration::from_secs(1))
}

fn plenty(config: &mut Config) {
    config.in_flight = 20_000;
    config.in_flight_per_tenant = 20_000;
    config.budget.messages = 20_000;
}

async fn send(flow: &Flow, trace: &str, tenant: &str, value: Value) -> Handle {
    flow.submit(Submission::new(trace, tenant, payload(value))).await.unwrap()
}

/// Lets some virtual time pass.
async fn millis(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// The names that `work` is done with, in order, without their quotes.
fn order(work: &Slow) -> Vec<String> {
    work.order.lock().unwrap().iter().map(|name| name.trim_matches('"').to_owned()).collect()
}

/// `count` items called `name`, of priority 0.
fn items(name: &str, count: usize) -> Value {
    vec![json!([name, 0, 0]); count].into()
}

fn weights<const N: usize>(weights: [(&str, u32); N]) -> std::collections::BTreeMap<Arc<str>, NonZeroU32> {
    weights.into_iter().map(|(tenant, weight)| (tenant.into(), NonZeroU32::new(weight).unwrap())).collect()
}

// === tenants ===

#[tokio::test(start_paused = true)]
async fn one_message_passes_ten_thousand_of_another_tenant() {
    for traces in [1, 10_000] {
        let work = second();
        let flow = start_with(graph(work.clone(), 20_000, policy()), plenty);
        let mut greedy = Vec::new();
        for trace in 0..traces {
            greedy.push(send(&flow, &format!("greedy-{trace}"), "greedy", items("greedy", 10_000 / traces)).await);
        }
        millis(500).await;
        let (_, terminal) = send(&flow, "single", "other", items("single", 1)).await.finish().await;
        assert_eq!(terminal.end, End::Completed);
        // Two were in flight, and two slots became free at once.
        let place = order(&work).iter().position(|name| name == "single").unwrap();
        assert!(place <= 3, "{traces} traces: {place}");
        drop(greedy);
        millis(1).await;
        assert_eq!(flow.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn weights_say_how_often_a_tenant_is_served_in_a_row() {
    // A tenant's messages may all belong to one trace, which leaves the line each time it is served.
    for traces in [1, 50] {
        let work = second();
        let flow = start_with(graph(work.clone(), 20_000, Policy::with_concurrency(1)), |config| {
            plenty(config);
            config.weights = weights([("a", 3), ("b", 1)]);
        });
        let mut handles = Vec::new();
        for trace in 0..traces {
            for name in ["a", "b", "c"] {
                handles.push(send(&flow, &format!("{name}-{trace}"), name, items(name, 100 / traces)).await);
            }
        }
        millis(41_500).await;
        let served = order(&work);
        // Who came first has nothing to do with it.
        let rounds = ["aaabc", "aabca", "abcaa", "bcaaa", "caaab"];
        let round = served[1..6].concat();
        assert!(rounds.contains(&&*round), "{round}");
        assert_eq!(served[1..41].concat(), round.repeat(8), "{traces} traces");
    }
}

#[tokio::test(start_paused = true)]
async fn slots_of_one_tenant_alone_are_all_used_whatever_its_weight() {
    let work = second();
    let flow = start_with(graph(work.clone(), 20_000, policy()), |config| config.weights = weights([("other", 9)]));
    let (outputs, _) = send(&flow, "trace", "tenant", items("item", 10)).await.finish().await;
    assert_eq!((outputs.len(), work.most.load(std::sync::atomic::Ordering::SeqCst)), (10, 2));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_traces_that_ended_in_line_and_of_their_tenants() {
    let flow = start_with(graph(second(), 1, Policy::with_concurrency(1)), plenty);
    // Has the only slot and, of its tenant's, the only place on the edge.
    let holder = send(&flow, "holder", "holder", json!([["holder", 0, 0], ["queued", 0, 0]])).await;
    millis(1).await;
    let (mut traces, mut tenants) = (Vec::new(), Vec::new());
    for n in 0..100 {
        // The holder's tenant has more in line for its place; of each other one the first is in line for the slot.
        let tenant = if n % 2 == 0 { "holder".to_owned() } else { format!("tenant-{}", n / 8) };
        let handle = send(&flow, &format!("trace-{n}"), &tenant, json!([["name", n % 3, 0], ["more", n % 5, 1]])).await;
        millis(2).await;
        traces.push((Arc::downgrade(&handle.origin().trace), handle));
    }
    assert_eq!(flow.in_flight(), 101);
    for (trace, handle) in traces {
        tenants.push(Arc::downgrade(&handle.origin().tenant));
        handle.cancel();
        handle.finish().await;
        assert!(trace.upgrade().is_none(), "no place came free that would have called it");
    }
    // Tenants without a trace are forgotten when a new one comes.
    let last = send(&flow, "last", "last", items("last", 1)).await;
    let kept = tenants.iter().filter_map(std::sync::Weak::upgrade).filter(|tenant| **tenant != *"holder").count();
    assert_eq!((flow.in_flight(), kept), (2, 0));
    assert_eq!((holder.finish().await.1.end, last.finish().await.1.end), (End::Completed, End::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_was_served_is_forgotten() {
    let flow = start_with(graph(second(), 1, Policy::with_concurrency(1)), plenty);
    let first = send(&flow, "first", "first", items("first", 3)).await;
    let second = send(&flow, "second", "second", items("second", 1)).await;
    let tenants = [&first, &second].map(|handle| Arc::downgrade(&handle.origin().tenant));
    first.finish().await;
    second.finish().await;
    send(&flow, "last", "last", json!([])).await.finish().await;
    assert!(tenants.iter().all(|tenant| tenant.upgrade().is_none()));
}

// === credit ===

/// Submits as often as there are traces, all at once; each takes its trace a second.
fn submit_many(flow: &Flow, tasks: &mut JoinSet<End>, tenant: &'static str, count: usize) {
    for trace in 0..count {
        let (flow, trace) = (flow.clone(), format!("{tenant}-{trace}"));
        tasks.spawn(async move { send(&flow, &trace, tenant, items(tenant, 1)).await.finish().await.1.end });
    }
}

#[tokio::test(start_paused = true)]
async fn one_submit_passes_a_thousand_of_other_tenants() {
    for (in_flight_per_tenant, place) in [(1, 3), (2, 3), (1000, 5)] {
        let work = second();
        let flow = start_with(graph(work.clone(), 100, Policy::with_concurrency(100)), |config| {
            config.in_flight = 2;
            config.in_flight_per_tenant = in_flight_per_tenant;
        });
        let mut tasks = JoinSet::new();
        submit_many(&flow, &mut tasks, "greedy", 1000);
        submit_many(&flow, &mut tasks, "hungry", 1000);
        millis(500).await;
        send(&flow, "single", "other", items("single", 1)).await.finish().await;
        // Two are in flight, and one more of each of the others may be ahead; two end at the same moment.
        let found = order(&work).iter().position(|name| name == "single").unwrap();
        assert!(found <= place, "credit of a tenant {in_flight_per_tenant}: {found}");
        tasks.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn another_tenant_is_next_where_one_holds_all_credit() {
    let work = second();
    let flow = start_with(graph(work.clone(), 100, Policy::with_concurrency(100)), |config| {
        config.in_flight = 2;
        config.in_flight_per_tenant = 2;
    });
    let mut tasks = JoinSet::new();
    submit_many(&flow, &mut tasks, "greedy", 10_000);
    millis(500).await;
    send(&flow, "single", "other", items("single", 1)).await.finish().await;
    // It took what the first to end gave back: two end at the same moment.
    assert!(order(&work)[2..4].contains(&"single".to_owned()), "{:?}", order(&work));
    tasks.shutdown().await;
    assert_eq!(flow.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn weights_hold_for_credit_too() {
    let work = second();
    let flow = start_with(graph(work.clone(), 100, Policy::with_concurrency(100)), |config| {
        config.in_flight = 1;
        config.weights = weights([("a", 3)]);
    });
    let mut tasks = JoinSet::new();
    submit_many(&flow, &mut tasks, "a", 100);
    submit_many(&flow, &mut tasks, "b", 100);
    millis(48_500).await;
    let served = order(&work);
    for window in served[8..48].windows(4) {
        assert_eq!(window.iter().filter(|name| *name == "a").count(), 3, "{served:?}");
    }
    tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_every_submit_that_waits() {
    let flow = start_with(graph(second(), 100, policy()), |config| config.in_flight = 1);
    let mut tasks = JoinSet::new();
    for trace in 0..1000 {
        let flow = flow.clone();
        let tenant = format!("tenant-{}", trace % 3);
        tasks.spawn(async move {
            let submission = Submission::new(&format!("trace-{trace}"), &tenant, payload(items("item", 1)));
            match flow.submit(submission).await {
                Ok(handle) => handle.finish().await.1.end == End::Completed,
                Err(error) => error == floe_flow::Error::Stopped,
            }
        });
    }
    millis(500).await;
    flow.stop(Duration::from_secs(5)).await;
    assert!(tasks.join_all().await.into_iter().all(|answered| answered));
}

// === priority ===

#[tokio::test(start_paused = true)]
async fn within_a_tenant_the_highest_priority_goes_first() {
    for queue in [100, 1] {
        let work = second();
        let mut graph = Graph::builder("test");
        // The edge's only place goes to the next trace when the one that holds it starts.
        graph.run("first", split(), policy()).run("work", work.clone(), Policy::with_concurrency(1)).edge("first", "work", queue);
        let flow = start_with(graph, plenty);
        let mut handles = Vec::new();
        for (name, priority) in
            [("running", 0), ("queued", 0), ("a0", 0), ("b5", 5), ("c-1", -1), ("d5", 5), ("e0", 0), ("f7", 7)]
        {
            let submission = Submission { priority, ..Submission::new(name, "tenant", payload(json!([name]))) };
            handles.push(flow.submit(submission).await.unwrap());
            millis(1).await;
        }
        for handle in handles {
            handle.finish().await;
        }
        let expected = match queue {
            1 => "running queued f7 b5 d5 a0 e0 c-1",
            _ => "running f7 b5 d5 queued a0 e0 c-1",
        };
        assert_eq!(order(&work).join(" "), expected, "an edge of {queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn priority_does_not_pass_other_tenants() {
    let work = second();
    let flow = start_with(graph(work.clone(), 100, Policy::with_concurrency(1)), plenty);
    let urgent: Vec<Value> = (0..6).map(|n| json!([format!("urgent-{n}"), i32::MAX, 0])).collect();
    let urgent = send(&flow, "urgent", "one", json!(urgent)).await;
    let idle = send(&flow, "idle", "other", json!([["idle", i32::MIN, 1]])).await;
    urgent.finish().await;
    idle.finish().await;
    assert!(order(&work).iter().position(|name| name == "idle").unwrap() <= 2, "{:?}", order(&work));
}

/// What one trace fans out: a name of each priority.
fn fan_out() -> Value {
    let priorities = [0, 1, 9, 1, 5, 9, i32::MIN, 0];
    priorities.into_iter().enumerate().map(|(n, priority)| json!([format!("{n}:{priority}"), priority, n])).collect()
}

#[tokio::test(start_paused = true)]
async fn within_a_trace_the_highest_priority_goes_first() {
    let (low, lowest) = (Policy::with_concurrency(1), i32::MIN);
    for (queue, expected) in [
        (100, format!("0:0 2:9 5:9 4:5 1:1 3:1 7:0 6:{lowest}")),
        // The first to come has the only place on the edge.
        (1, format!("0:0 1:1 2:9 5:9 4:5 3:1 7:0 6:{lowest}")),
    ] {
        let work = second();
        let flow = start_with(graph(work.clone(), queue, low.clone()), plenty);
        send(&flow, "trace", "tenant", fan_out()).await.finish().await;
        assert_eq!(order(&work).join(" "), expected, "an edge of {queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_ordered_node_keeps_the_order_of_arrival() {
    for queue in [100, 1] {
        let work = second();
        let policy = Policy { ordered: true, ..Policy::with_concurrency(2) };
        let flow = start_with(graph(work.clone(), queue, policy), plenty);
        send(&flow, "trace", "tenant", fan_out()).await.finish().await;
        let expected: Vec<String> =
            fan_out().as_array().unwrap().iter().map(|item| item[0].as_str().unwrap().to_owned()).collect();
        assert_eq!(order(&work), expected, "an edge of {queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_an_ordered_node_a_trace_waits_with_the_priority_of_its_next_message() {
    let work = second();
    let policy = Policy { ordered: true, ..Policy::with_concurrency(1) };
    let flow = start_with(graph(work.clone(), 100, policy), plenty);
    let mut handles = Vec::new();
    for (trace, items) in [
        ("running", json!([["running", 0, 0]])),
        ("late", json!([["late-0", 0, 1], ["late-9", 9, 2]])),
        ("middle", json!([["middle-5", 5, 3]])),
        ("early", json!([["early-7", 7, 4], ["early-0", 0, 5]])),
    ] {
        handles.push(send(&flow, trace, "tenant", items).await);
    }
    for handle in handles {
        handle.finish().await;
    }
    assert_eq!(order(&work).join(" "), "running early-7 middle-5 late-0 late-9 early-0");
}

#[tokio::test(start_paused = true)]
async fn a_trace_in_line_moves_up_when_a_higher_message_comes() {
    for queue in [100, 1] {
        let work = second();
        let flow = start_with(graph(work.clone(), queue, Policy::with_concurrency(1)), plenty);
        let running = send(&flow, "running", "tenant", json!([["running", 0, 0], ["queued", 8, 0]])).await;
        let y = send(&flow, "y", "tenant", json!([["y", 1, 1]])).await;
        let x = send(&flow, "x", "tenant", json!([["x-low", 0, 1], ["x-high", 9, 100], ["x-lower", -1, 200]])).await;
        for handle in [running, y, x] {
            handle.finish().await;
        }
        let expected = match queue {
            // For the place on the edge it was in line, too.
            1 => "running queued x-high y x-low x-lower",
            _ => "running x-high queued y x-low x-lower",
        };
        assert_eq!(order(&work).join(" "), expected, "an edge of {queue}");
    }
}

/// Fails at once when it sees this name for the first time.
#[derive(Debug)]
struct FailsAtFirst(&'static str, Arc<Slow>);

impl Invoke for FailsAtFirst {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        if call.attempt == 1 && *call.message.payload.value() == self.0 {
            return Box::pin(async { Report::from(Err(Failure::new(FailureKind::Busy, "not yet"))) });
        }
        self.1.invoke(call)
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_ahead_of_its_equals_only() {
    let work = second();
    let policy = Policy { retries: 1, ..Policy::with_concurrency(1) };
    let flow = start_with(graph(Arc::new(FailsAtFirst("again", work.clone())), 100, policy), plenty);
    let items = json!([["first", 0, 0], ["again", 3, 1], ["a", 1, 2], ["b", 1, 2], ["c", 1, 2], ["d", 4, 1001], ["e", 3, 1002]]);
    send(&flow, "trace", "tenant", items).await.finish().await;
    assert_eq!(order(&work).join(" "), "first a d again e b c");
}
