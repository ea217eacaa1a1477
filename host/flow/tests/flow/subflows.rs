//! Flows within flows: one budget, one life, one stream, one journal.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Budget, Call, Chunk, Config, End, Failure, FailureKind, Graph, Invoke, Item, Outcome, Policy, Report, SubflowNode, native,
};
use serde_json::{Value, json};

use crate::support::{Slow, compute, echo, outputs, policy, run, split, start, start_with, submit};

fn budget() -> Budget {
    Config::on_current_runtime().budget
}

fn inner(invoke: Arc<dyn Invoke>) -> Graph {
    let mut graph = Graph::builder("inner");
    graph.run("work", invoke, policy());
    graph.build().unwrap()
}

fn outer(inner: Graph, budget: Budget) -> Builder {
    let mut graph = Graph::builder("outer");
    graph.subflow("inner", inner, budget);
    graph.run("sub", Arc::new(SubflowNode::new("inner")), policy());
    graph
}

#[tokio::test(start_paused = true)]
async fn its_outputs_are_the_nodes_outputs() {
    let mut graph = outer(inner(split()), budget());
    graph.run("after", compute(|n| json!(n.as_u64().unwrap() * 10)), policy()).chain(&["sub", "after"]);
    let mut all = outputs(&start(graph), json!([1, 2, 3])).await;
    all.sort_by_key(Value::as_u64);
    assert_eq!(all, [10, 20, 30]);
}

#[tokio::test(start_paused = true)]
async fn its_failure_is_the_nodes_failure() {
    let fails = native(|_| Err(Failure::new(FailureKind::NotFound, "no such thing")));
    let (_, terminal) = run(&start(outer(inner(fails), budget())), json!(1)).await;
    let error = terminal.error.unwrap();
    assert_eq!((terminal.end, error.code.as_str(), error.node.as_deref()), (End::Failed, "not-found", Some("sub")));
    assert_eq!(error.message, "subflow `inner`: no such thing");
    assert_eq!(error.detail.unwrap()["node"], "work");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_declared_is_not_found() {
    let mut graph = Graph::builder("outer");
    graph.run("sub", Arc::new(SubflowNode::new("inner")), policy());
    let (_, terminal) = run(&start(graph), json!(1)).await;
    assert_eq!(terminal.error.unwrap().message, "the flow has no subflow `inner`; declare it under `subflows`");
}

#[tokio::test(start_paused = true)]
async fn its_hops_are_its_callers() {
    let make = |hops| start_with(outer(inner(echo()), budget()), |config| config.budget.hops = hops);
    assert_eq!(run(&make(2), json!(1)).await.1.end, End::Completed);
    let (_, terminal) = run(&make(1), json!(1)).await;
    assert_eq!(terminal.end, End::BudgetExhausted);
    assert_eq!(terminal.error.unwrap().detail.unwrap(), json!({"limit": "hops", "used": 1, "max": 1}));
}

#[derive(Debug)]
struct Burns(u64);

impl Invoke for Burns {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        let mut report = Report::from(Ok(Outcome::one(json!(call.ctx.remaining().fuel).into())));
        report.receipt.fuel = self.0;
        Box::pin(std::future::ready(report))
    }
}

#[tokio::test(start_paused = true)]
async fn its_fuel_is_its_callers_and_counted_once() {
    let mut graph = outer(inner(Arc::new(Burns(40))), budget());
    graph.run("after", Arc::new(Burns(1)), policy()).chain(&["sub", "after"]);
    let flow = start_with(graph, |config| config.budget.fuel = Some(100));
    assert_eq!(outputs(&flow, json!(1)).await, [json!(60)]);

    let flow = start_with(outer(inner(Arc::new(Burns(100))), budget()), |config| config.budget.fuel = Some(100));
    let (_, terminal) = run(&flow, json!(1)).await;
    assert_eq!(terminal.end, End::BudgetExhausted);
    let own = Budget { fuel: Some(10), ..budget() };
    let (_, terminal) = run(&start(outer(inner(Arc::new(Burns(40))), own)), json!(1)).await;
    let error = terminal.error.unwrap();
    assert_eq!((terminal.end, error.code.as_str()), (End::Failed, "exhausted"));
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_caller() {
    let slow = Slow::new(Duration::from_secs(60));
    let flow = start(outer(inner(slow.clone()), budget()));
    let mut handle = submit(&flow, "trace", json!(1)).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), handle.next()).await.is_err());
    assert_eq!(slow.running.load(std::sync::atomic::Ordering::SeqCst), 1);
    handle.cancel();
    assert_eq!(handle.finish().await.1.end, End::Cancelled);
    assert_eq!(slow.running.load(std::sync::atomic::Ordering::SeqCst), 0, "nothing of it runs after the caller's end");

    let flow = start_with(outer(inner(slow.clone()), budget()), |config| config.budget.deadline = Some(Duration::from_secs(5)));
    assert_eq!(run(&flow, json!(1)).await.1.end, End::DeadlineExceeded);

    let own = Budget { deadline: Some(Duration::from_secs(5)), ..budget() };
    let (_, terminal) = run(&start(outer(inner(slow.clone()), own)), json!(1)).await;
    assert_eq!((terminal.end, terminal.error.unwrap().code.as_str()), (End::Failed, "timed-out"));

    let mut graph = Graph::builder("outer");
    graph.subflow("inner", inner(slow.clone()), budget());
    let impatient = Policy { timeout: Some(Duration::from_secs(1)), ..policy() };
    graph.run("sub", Arc::new(SubflowNode::new("inner")), impatient);
    assert_eq!(run(&start(graph), json!(1)).await.1.error.unwrap().code, "timed-out");
    assert_eq!(slow.running.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[derive(Debug)]
struct Streams;

impl Invoke for Streams {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let chunk = Chunk { stream: None, text: "piece".to_owned(), done: false, meta: Vec::new() };
            let seq = call.ctx.chunk(chunk).await.unwrap();
            call.ctx.progress("status".to_owned(), json!("half").into()).await.unwrap();
            if call.attempt == 1 {
                return Report::from(Err(Failure::new(FailureKind::Busy, "once more")));
            }
            Report::from(Ok(Outcome::one(json!(seq).into())))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn its_stream_is_its_callers() {
    let twice = || Policy { retries: 1, ..policy() };
    let mut inner = Graph::builder("inner");
    inner.run("work", Arc::new(Streams), twice());
    let mut graph = outer(inner.build().unwrap(), budget());
    graph.run("after", Arc::new(Streams), twice()).chain(&["sub", "after"]);
    let mut handle = submit(&start(graph), "trace", json!(1)).await;
    let mut seen = Vec::new();
    while let Some(item) = handle.next().await {
        seen.push(match item {
            Item::Chunk { node, stream, seq, .. } => format!("{node} {stream} {seq}"),
            Item::Progress { node, kind, .. } => format!("{node} {kind}"),
            Item::Superseded { node, attempt, .. } => format!("{node} superseded {attempt}"),
            Item::Output { message, .. } => message.payload.text().to_owned(),
            Item::End(terminal) => terminal.end.name().to_owned(),
        });
    }
    let expected = "\
        sub/work trace 0, sub/work status, sub/work superseded 1, sub/work trace 1, sub/work status, \
        after trace 2, after status, after superseded 1, after trace 3, after status, 3, completed";
    assert_eq!(seen.join(", "), expected);
}

#[tokio::test(start_paused = true)]
async fn depth_is_limited() {
    let mut graph = inner(echo());
    for _ in 0..=floe_flow::MAX_DEPTH {
        graph = outer(graph, budget()).build().unwrap();
    }
    let flow = floe_flow::Flow::start(graph, Config::on_current_runtime());
    let error = run(&flow, json!(1)).await.1.error.unwrap();
    assert_eq!(error.code, "exhausted");
    assert!(
        error.message.ends_with("limit `depth` reached: used 16 of 16; raise it with nothing: a subflow calls itself"),
        "{}",
        error.message
    );
}
