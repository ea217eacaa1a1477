//! What a trace may use, and how it ends when that is used up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Call, End, Failure, FailureKind, Flow, Graph, Handle, Invoke, Join, Kind, MapNode, OnFailure, Outcome, Policy, Receipt,
    Report, Resource, Submission, Terminal, native,
};
use serde_json::{Value, json};

use crate::support::{Recorder, Slow, Stuck, chain, echo, outputs, payload, policy, run, split, start, start_with, submit};

fn limit(terminal: &Terminal) -> Value {
    assert_eq!(terminal.end, End::BudgetExhausted, "{terminal:?}");
    terminal.error.as_ref().unwrap().detail.clone().unwrap()
}

#[tokio::test(start_paused = true)]
async fn hops_are_counted() {
    let flow = start_with(chain(&[("a", echo()), ("b", echo()), ("c", echo())]), |config| config.budget.hops = 2);
    let (_, terminal) = run(&flow, json!(1)).await;
    assert_eq!(limit(&terminal), json!({"limit": "hops", "used": 2, "max": 2}));
    assert!(terminal.error.unwrap().message.contains("raise it with `budget.hops`"));
}

#[tokio::test(start_paused = true)]
async fn messages_on_their_way_are_counted() {
    let flow = start_with(chain(&[("split", split()), ("b", echo())]), |config| config.budget.messages = 100);
    let items: Vec<u32> = (0..1000).collect();
    assert_eq!(limit(&run(&flow, json!(items)).await.1), json!({"limit": "messages", "used": 100, "max": 100}));
    assert_eq!(outputs(&flow, json!([1, 2])).await, [json!(1), json!(2)]);
}

#[tokio::test(start_paused = true)]
async fn messages_are_counted_when_a_request_enters() {
    let slow = Slow::new(Duration::from_secs(1));
    let start = |max| {
        let mut graph = Graph::builder("test");
        for name in ["a", "b", "c"] {
            graph.run(name, slow.clone(), policy());
        }
        start_with(graph, |config| config.budget.messages = max)
    };
    let (_, terminal) = run(&start(2), json!(1)).await;
    assert_eq!(limit(&terminal), json!({"limit": "messages", "used": 2, "max": 2}));
    assert_eq!(slow.most.load(Ordering::SeqCst), 0, "nothing has begun");
    // While a node's emission is counted, so is what it came of.
    assert_eq!(outputs(&start(4), json!(1)).await, [json!(1), json!(1), json!(1)]);
}

#[derive(Debug)]
struct Burns(u64);

impl floe_flow::Invoke for Burns {
    fn invoke(&self, call: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        let left = json!(call.ctx.left()[Resource::Fuel]);
        let receipt = Receipt { fuel: self.0, ..Receipt::default() };
        Box::pin(std::future::ready(Report { receipt, ..Report::from(Ok(Outcome::one(left.into()))) }))
    }
}

#[tokio::test(start_paused = true)]
async fn fuel_is_shared_along_the_trace() {
    let nodes = || chain(&[("a", std::sync::Arc::new(Burns(40))), ("b", std::sync::Arc::new(Burns(40)))]);
    let flow = start_with(nodes(), |config| config.budget.fuel = Some(100));
    assert_eq!(outputs(&flow, json!(null)).await, [json!(60)]);
    let flow = start_with(nodes(), |config| config.budget.fuel = Some(80));
    assert_eq!(limit(&run(&flow, json!(null)).await.1), json!({"limit": "fuel", "used": 80, "max": 80}));
}

fn map(item: std::sync::Arc<dyn floe_flow::Invoke>) -> std::sync::Arc<dyn floe_flow::Invoke> {
    std::sync::Arc::new(MapNode::new(item, std::num::NonZeroUsize::MIN))
}

#[tokio::test(start_paused = true)]
async fn fuel_of_a_maps_items_counts_at_once_and_once() {
    let nodes = || chain(&[("map", map(std::sync::Arc::new(Burns(40)))), ("rest", std::sync::Arc::new(Burns(1)))]);
    let flow = start_with(nodes(), |config| config.budget.fuel = Some(100));
    assert_eq!(outputs(&flow, json!([1, 2])).await, [json!(20)]);
    let many = json!(vec![1; 1000]);
    assert_eq!(limit(&run(&flow, many).await.1), json!({"limit": "fuel", "used": 120, "max": 100}));
    // A map in a map counts nothing twice either.
    let flow = start_with(chain(&[("map", map(map(std::sync::Arc::new(Burns(40)))))]), |config| config.budget.fuel = Some(100));
    assert_eq!(outputs(&flow, json!([[1], [2]])).await, [json!([[100], [60]])]);
}

#[tokio::test(start_paused = true)]
async fn a_maps_items_are_hops() {
    let flow = start_with(chain(&[("map", map(echo())), ("rest", echo())]), |config| config.budget.hops = 10);
    assert_eq!(outputs(&flow, json!([1, 2, 3, 4, 5, 6, 7, 8])).await, [json!([1, 2, 3, 4, 5, 6, 7, 8])]);
    // The map, its nine items, and one hop too many behind it.
    let nine = json!(vec![1; 9]);
    assert_eq!(limit(&run(&flow, nine).await.1), json!({"limit": "hops", "used": 10, "max": 10}));
    // More items than hops: none is started.
    let many = json!(vec![1; 1000]);
    let never = native(|_| unreachable!("no item is started"));
    let flow = start_with(chain(&[("map", map(never))]), |config| config.budget.hops = 10);
    assert_eq!(limit(&run(&flow, many).await.1), json!({"limit": "hops", "used": 1000, "max": 10}));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_a_node_runs() {
    let mut graph = Graph::builder("test");
    graph.run("stuck", std::sync::Arc::new(Stuck), policy());
    let flow = start(graph);
    let submission =
        Submission { deadline: Some(Duration::from_secs(3)), ..Submission::new("trace", "tenant", payload(json!(1))) };
    let began = tokio::time::Instant::now();
    let (_, terminal) = flow.submit(submission).await.unwrap().finish().await;
    assert_eq!(terminal.end, End::DeadlineExceeded);
    assert_eq!(terminal.error.unwrap().message, "the deadline of 3s has passed; it came with the request");
    assert_eq!(began.elapsed().as_millis() / 10, 300);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_gives_up_at_the_deadline_does_not_hide_it() {
    #[derive(Debug)]
    struct GivesUp;
    impl floe_flow::Invoke for GivesUp {
        fn invoke(&self, call: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
            Box::pin(async move {
                tokio::time::sleep_until(call.deadline.unwrap()).await;
                Report::from(Err(floe_flow::Failure::new(floe_flow::FailureKind::TimedOut, "no time left")))
            })
        }
    }
    for _ in 0..20 {
        let mut graph = Graph::builder("test");
        graph.run("node", std::sync::Arc::new(GivesUp), policy());
        let flow = start_with(graph, |config| config.budget.deadline = Some(Duration::from_secs(1)));
        assert_eq!(run(&flow, json!(1)).await.1.end, End::DeadlineExceeded);
    }
}

#[tokio::test(start_paused = true)]
async fn the_flow_has_a_deadline_too() {
    let mut graph = Graph::builder("test");
    graph.run("stuck", std::sync::Arc::new(Stuck), policy());
    let flow = start_with(graph, |config| config.budget.deadline = Some(Duration::from_secs(2)));
    for (own, says) in [
        (None, "the deadline of 2s has passed; raise it with `budget.deadline`"),
        (Some(9), "the deadline of 2s has passed; raise it with `budget.deadline`"),
        (Some(1), "the deadline of 1s has passed; it came with the request, or is what was left of `budget.deadline`"),
    ] {
        let deadline = own.map(Duration::from_secs);
        let submission = Submission { deadline, ..Submission::new("trace", "tenant", payload(json!(1))) };
        let (_, terminal) = flow.submit(submission).await.unwrap().finish().await;
        assert_eq!(terminal.end, End::DeadlineExceeded);
        assert_eq!(terminal.error.unwrap().message, says);
    }
}

fn counts_to(last: u64) -> std::sync::Arc<dyn floe_flow::Invoke> {
    native(move |call| {
        let next = call.message.payload.value().as_u64().unwrap() + 1;
        assert_eq!(u64::from(call.message.turn) + 1, next);
        if next == last {
            Ok(Outcome::Final(json!({"answer": next}).into()))
        } else {
            Ok(Outcome::Again { memory: json!(next).into(), tokens_used: next * 10 })
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_loop_turns_until_its_answer_or_its_limit() {
    let looped = |last, turns| {
        let mut graph = Graph::builder("test");
        graph.run("loop", counts_to(last), Policy { turns, ..policy() }).run("never", echo(), policy());
        graph.chain(&["loop", "never"]);
        graph
    };
    // The final answer leaves the flow past the successors.
    assert_eq!(outputs(&start(looped(8, 8)), json!(0)).await, [json!({"answer": 8})]);
    let (_, terminal) = run(&start(looped(9, 8)), json!(0)).await;
    assert_eq!(limit(&terminal), json!({"limit": "turns", "used": 8, "max": 8, "partial": 8}));
    let flow = start_with(looped(100, 100), |config| config.budget.tokens = Some(35));
    assert_eq!(limit(&run(&flow, json!(0)).await.1), json!({"limit": "tokens", "used": 40, "max": 35, "partial": 4}));
}

/// Ends in this time.
async fn within(flow: &Flow, trace: &str, deadline: Duration, value: Value) -> Handle {
    let submission = Submission { deadline: Some(deadline), ..Submission::new(trace, "tenant", payload(value)) };
    flow.submit(submission).await.unwrap()
}

/// The trace ended once, at its deadline, and nothing came after that.
fn assert_ended_once(recorder: &Recorder, trace: &str) {
    let story = recorder.story(trace);
    assert_eq!(story.iter().filter(|event| event.starts_with("end")).collect::<Vec<_>>(), ["ending", "ended"], "{story:?}");
    assert_eq!(story.last().unwrap(), "ended");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_in_a_queue() {
    let slow = Slow::new(Duration::from_secs(10));
    let recorder = Arc::new(Recorder::default());
    let mut graph = Graph::builder("test");
    graph.run("slow", slow.clone(), Policy::with_concurrency(1));
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let began = tokio::time::Instant::now();
    let ahead = submit(&flow, "ahead", json!("ahead")).await;
    let late = within(&flow, "late", Duration::from_secs(3), json!("late")).await;
    let behind = submit(&flow, "behind", json!("behind")).await;
    let (outputs, terminal) = late.finish().await;
    assert_eq!((outputs.len(), terminal.end, began.elapsed().as_secs()), (0, End::DeadlineExceeded, 3));
    assert_ended_once(&recorder, "late");
    // Its place in line is nobody's.
    for handle in [ahead, behind] {
        assert_eq!(handle.finish().await.1.end, End::Completed);
    }
    assert_eq!(began.elapsed().as_secs(), 20);
    assert_eq!(*slow.order.lock().unwrap(), ["\"ahead\"", "\"behind\""], "a call was made for the one that is late");
}

#[tokio::test(start_paused = true)]
async fn without_time_left_no_call_is_made() {
    let never = native(|_| unreachable!("there is no time"));
    let flow = start(chain(&[("never", never)]));
    let (outputs, terminal) = within(&flow, "trace", Duration::ZERO, json!(1)).await.finish().await;
    assert_eq!((outputs.len(), terminal.end), (0, End::DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_in_a_join() {
    for join in [Join::count(2), Join::all_of("split"), Join { within: Some(Duration::from_secs(60)), ..Join::count(2) }] {
        let recorder = Arc::new(Recorder::default());
        let mut graph = Graph::builder("test");
        graph.run("split", split(), policy()).run("slow", Slow::new(Duration::from_secs(2)), Policy::with_concurrency(1));
        graph.node("gather", Kind::Join(join), policy()).chain(&["split", "slow", "gather"]);
        let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
        let began = tokio::time::Instant::now();
        let (outputs, terminal) = within(&flow, "trace", Duration::from_secs(3), json!([1, 2])).await.finish().await;
        assert_eq!((outputs.len(), terminal.end, began.elapsed().as_secs()), (0, End::DeadlineExceeded, 3));
        assert_ended_once(&recorder, "trace");
        flow.stop(Duration::from_secs(60)).await;
        assert_eq!(began.elapsed().as_secs(), 3, "nothing waits any longer");
    }
}

/// Each turn takes a second; the memory counts them. Without end.
#[derive(Debug)]
struct Thinks;

impl Invoke for Thinks {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let memory = json!(call.message.turn + 1).into();
            Report::from(Ok(Outcome::Again { memory, tokens_used: 1 }))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_between_turns() {
    let recorder = Arc::new(Recorder::default());
    let mut graph = Graph::builder("test");
    graph.run("loop", Arc::new(Thinks), Policy { turns: 100, ..Policy::with_concurrency(1) });
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let began = tokio::time::Instant::now();
    // They take turns, so that each one's next turn waits while the other computes.
    let other = submit(&flow, "other", json!(0)).await;
    let late = within(&flow, "late", Duration::from_millis(4500), json!(0)).await;
    let (outputs, terminal) = late.finish().await;
    assert_eq!((outputs.len(), terminal.end, began.elapsed().as_millis() / 10), (0, End::DeadlineExceeded, 450));
    assert_ended_once(&recorder, "late");
    let story = recorder.story("late");
    assert_eq!(story[story.len() - 3..], ["queued loop", "ending", "ended"], "{story:?}");
    drop(other);
}

/// The partial memory that the terminal has, after its end has been checked.
fn partial(terminal: &Terminal, end: End) -> Value {
    assert_eq!(terminal.end, end, "{terminal:?}");
    let detail = terminal.error.as_ref().unwrap().detail.clone();
    detail.map_or(Value::Null, |detail| detail["partial"].clone())
}

fn thinks(turns: u32) -> Builder {
    let mut graph = Graph::builder("test");
    graph.run("loop", Arc::new(Thinks), Policy { turns, ..policy() });
    graph
}

#[tokio::test(start_paused = true)]
async fn a_deadline_leaves_the_last_memory_of_a_loop() {
    let flow = start(thinks(100));
    for (millis, wanted) in [(500, json!(null)), (1500, json!(1)), (3500, json!(3))] {
        let handle = within(&flow, "trace", Duration::from_millis(millis), json!(0)).await;
        let terminal = handle.finish().await.1;
        assert_eq!(partial(&terminal, End::DeadlineExceeded), wanted, "in its first turn a loop has no memory");
    }
    // A cancel is no limit of its budget.
    let handle = submit(&flow, "trace", json!(0)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    handle.cancel();
    assert_eq!(partial(&handle.finish().await.1, End::Cancelled), json!(null));
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_hops_messages_and_fuel_leave_it_too() {
    let flow = start_with(thinks(100), |config| config.budget.hops = 3);
    let (_, terminal) = run(&flow, json!(0)).await;
    assert_eq!(limit(&terminal), json!({"limit": "hops", "used": 3, "max": 3, "partial": 3}));

    // Beside the loop, a node takes two seconds and then sends too much, or has used too much.
    let beside = |node: Arc<dyn Invoke>| {
        let mut graph = thinks(100);
        graph.run("slow", Slow::new(Duration::from_millis(2500)), policy()).run("greedy", node, policy());
        graph.run("stuck", Arc::new(Stuck), policy()).chain(&["slow", "greedy", "stuck"]);
        graph
    };
    let flow = start_with(beside(split()), |config| config.budget.messages = 5);
    let (_, terminal) = run(&flow, json!([1, 2, 3, 4, 5, 6])).await;
    assert_eq!(limit(&terminal), json!({"limit": "messages", "used": 5, "max": 5, "partial": 2}));
    let flow = start_with(beside(Arc::new(Burns(40))), |config| config.budget.fuel = Some(30));
    let (_, terminal) = run(&flow, json!(0)).await;
    assert_eq!(limit(&terminal), json!({"limit": "fuel", "used": 40, "max": 30, "partial": 2}));
}

#[tokio::test(start_paused = true)]
async fn of_several_loops_it_is_the_one_that_turned_last() {
    /// Takes `[name, seconds a turn, turns]`: remembers the turn with its name, and fails in the end.
    #[derive(Debug)]
    struct Named;
    impl Invoke for Named {
        fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
            Box::pin(async move {
                let mut memory = call.message.payload.value().into_owned();
                tokio::time::sleep(Duration::from_secs(memory[1].as_u64().unwrap())).await;
                if memory[2].as_u64() == Some(u64::from(call.message.turn)) {
                    return Report::from(Err(Failure::new(FailureKind::NotFound, "no answer")));
                }
                memory[3] = json!(call.message.turn + 1);
                Report::from(Ok(Outcome::Again { memory: memory.into(), tokens_used: 0 }))
            })
        }
    }
    let mut graph = Graph::builder("test");
    let patient = Policy { turns: 100, on_failure: OnFailure::Drop, ..Policy::with_concurrency(9) };
    graph.run("split", split(), policy()).run("loop", Arc::new(Named), patient).chain(&["split", "loop"]);
    let flow = start_with(graph, |config| config.budget.deadline = Some(Duration::from_millis(5500)));
    let named = |name: &str, seconds: u32, turns: u32| json!([name, seconds, turns, null]);
    for (loops, wanted) in [
        (json!([named("slow", 5, 9), named("quick", 2, 9)]), json!(["slow", 5, 9, 1])),
        (json!([named("slow", 3, 9), named("quick", 1, 9)]), json!(["quick", 1, 9, 5])),
        // A loop that gave up is none in progress.
        (json!([named("slow", 3, 9), named("fails", 1, 4)]), json!(["slow", 3, 9, 1])),
    ] {
        let (_, terminal) = run(&flow, loops).await;
        assert_eq!(partial(&terminal, End::DeadlineExceeded), wanted);
    }
}
