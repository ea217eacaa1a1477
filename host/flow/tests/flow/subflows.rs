//! Flows within flows: one budget, one life, one stream, one journal.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Budget, Call, Chunk, Config, End, EventKind, Failure, FailureKind, Flow, Graph, Handle, Invoke, Item, MapNode, OnFailure,
    Origin, Outcome, Output, Policy, Receipt, Report, Resource, SubflowNode, SubflowRequest, Submission, native,
};
use serde_json::{Value, json};

use crate::support::{
    Recorder, Slow, compute, echo, fails_until, outputs, payload, policy, run, split, start, start_with, submit,
};

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
        let mut report = Report::from(Ok(Outcome::one(json!(call.ctx.left()[Resource::Fuel]).into())));
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

#[tokio::test(start_paused = true)]
async fn its_nodes_see_the_envelope_of_the_call() {
    let shows = native(|call| {
        let message = &call.message;
        let meta: Vec<Value> = message.meta.entries().iter().map(|(key, value)| json!([key, value.value()])).collect();
        let Origin { trace, tenant, user, session } = call.ctx.origin();
        let (headers, source) = (json!([message.topic, message.priority, tenant, user, session]), &message.source);
        let shown = json!({ "headers": headers, "meta": meta, "trace": trace, "source": source });
        let output = Output { topic: Some("inner".into()), priority: Some(9), ..Output::new(shown.into()) };
        Ok(Outcome::Outputs(vec![Output { meta: vec![("inner".to_owned(), json!(true).into())], ..output }]))
    });
    let adds = native(|call| {
        let meta = vec![("before".to_owned(), json!("sub").into())];
        Ok(Outcome::Outputs(vec![Output { meta, ..Output::new(call.message.payload.clone()) }]))
    });
    let mut graph = outer(inner(shows), budget());
    graph.run("before", adds, policy()).chain(&["before", "sub"]);
    let mut submission = Submission::new("trace", "tenant", payload(json!(1)));
    submission.origin = Origin { user: Some("ada".into()), session: Some("s1".into()), ..submission.origin };
    submission.meta = [("came".to_owned(), payload(json!({"n": 1})))].into_iter().collect();
    (submission.topic, submission.priority) = (Some("news".into()), 4);
    let mut handle = start(graph).submit(submission).await.unwrap();
    let Some(Item::Output { message, .. }) = handle.next().await else { panic!("no output") };
    let shown = message.payload.value();
    assert_eq!(shown["headers"], json!(["news", 4, "tenant", "ada", "s1"]));
    assert_eq!(shown["meta"], json!([["came", {"n": 1}], ["before", "sub"]]));
    assert_eq!(shown["source"], Value::Null, "for the subflow it is an input");
    let trace = format!("trace/sub.{}.1.0", message.parent.unwrap());
    assert_eq!(shown["trace"].as_str(), Some(trace.as_str()));
    // What comes out has the envelope of the call again: inside, only payloads change.
    let keys: Vec<&str> = message.meta.entries().iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!((message.topic.as_deref(), message.priority, keys), (Some("news"), 4, vec!["came", "before"]));
}

/// Ends its trace, then calls a subflow.
struct CallsLate {
    flow: Arc<Mutex<Option<Flow>>>,
    answer: Arc<Mutex<Option<Failure>>>,
}

impl std::fmt::Debug for CallsLate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("calls late")
    }
}

impl Invoke for CallsLate {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let flow = self.flow.lock().unwrap().clone().unwrap();
            assert!(flow.cancel(&call.ctx.origin().trace));
            assert!(call.ctx.is_cancelled());
            let failure = call
                .ctx
                .call("inner", &SubflowRequest { message: &call.message, call: "0", most: usize::MAX }, &mut Receipt::default())
                .await
                .unwrap_err();
            *self.answer.lock().unwrap() = Some(failure.clone());
            Report::from(Err(failure))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_trace_that_is_ending_starts_none() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let counts = native(move |call| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Outcome::one(call.message.payload.clone()))
    });
    let recorder = Arc::new(Recorder::default());
    let (known, answer) = (Arc::default(), Arc::default());
    let mut graph = Graph::builder("outer");
    graph.subflow("inner", inner(counts), budget());
    graph.run("late", Arc::new(CallsLate { flow: Arc::clone(&known), answer: Arc::clone(&answer) }), policy());
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    *known.lock().unwrap() = Some(flow.clone());
    assert_eq!(run(&flow, json!(1)).await.1.end, End::Cancelled);
    let failure: Failure = answer.lock().unwrap().take().unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Cancelled, "the trace is ending"));
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let events = recorder.0.lock().unwrap();
    assert!(events.iter().all(|event| &*event.trace == "trace"), "nothing of a subflow was begun");
    known.lock().unwrap().take();
}

#[tokio::test(start_paused = true)]
async fn its_events_are_its_callers_observers_and_name_the_caller() {
    let recorder = Arc::new(Recorder::default());
    let mut middle = outer(inner(fails_until(2, FailureKind::Busy)), budget());
    middle.run("after", echo(), policy()).chain(&["sub", "after"]);
    let mut graph = outer(middle.build().unwrap(), budget());
    graph.run("last", echo(), policy()).chain(&["sub", "last"]);
    let flow = start_with(graph, |config| config.observer = Some(recorder.clone()));
    let (_, terminal) = run(&flow, json!(1)).await;
    assert_eq!(terminal.end, End::Failed, "the inner node has no retries");
    let mut callers = Vec::new();
    for event in &*recorder.0.lock().unwrap() {
        if let EventKind::Accepted { tenant, caller } = &event.kind {
            assert_eq!((&**tenant, &*event.tenant), ("tenant", "tenant"));
            callers.push((event.trace.to_string(), caller.as_deref().map(str::to_owned)));
        }
    }
    let [(outermost, None), (called, Some(by)), (innermost, Some(by_called))] = callers.as_slice() else { panic!("{callers:?}") };
    assert_eq!((outermost.as_str(), by, by_called), ("trace", outermost, called));
    assert_eq!(*called, format!("trace/sub.{}.1.0", floe_flow::MessageId::INPUT));
    assert_eq!(*innermost, format!("{called}/sub.{}.1.0", floe_flow::MessageId::INPUT));
    // Each has a row of numbers and an end of its own.
    assert_eq!(recorder.story(innermost), ["accepted", "started work", "failed work", "gave_up work", "ending", "ended"]);
    for trace in [called, outermost] {
        assert_eq!(recorder.story(trace), ["accepted", "started sub", "failed sub", "gave_up sub", "ending", "ended"]);
    }
}

/// Streams its payload; if that is `"fails"`, it fails then.
#[derive(Debug)]
struct Says;

impl Invoke for Says {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let text = format!("{} {}", call.ctx.node(), call.message.payload.text());
            call.ctx.chunk(Chunk { stream: None, text, done: false, meta: Vec::new() }).await.unwrap();
            if call.message.payload.text() == "\"fails\"" && call.ctx.node().as_ref() == "two" {
                return Report::from(Err(Failure::new(FailureKind::Busy, "planned")));
            }
            Report::from(Ok(Outcome::one(call.message.payload.clone())))
        })
    }
}

/// Two nodes that stream, the first of which succeeds.
fn says() -> Graph {
    let mut graph = Graph::builder("inner");
    graph.run("one", Arc::new(Says), policy()).run("two", Arc::new(Says), policy()).chain(&["one", "two"]);
    graph.build().unwrap()
}

fn lenient() -> Policy {
    Policy { on_failure: OnFailure::Drop, ..policy() }
}

/// The pieces that came and those that stand in the end.
async fn pieces(mut handle: Handle) -> (Vec<String>, Vec<String>) {
    let (mut came, mut standing) = (Vec::new(), Vec::new());
    while let Some(item) = handle.next().await {
        match &item {
            Item::Chunk { text, .. } => {
                came.push(text.clone());
                standing.push(item);
            }
            Item::Superseded { .. } => standing.retain(|piece| !item.supersedes(piece)),
            _ => {}
        }
    }
    let text = |item| if let Item::Chunk { text, .. } = item { text } else { unreachable!("only pieces are kept") };
    (came, standing.into_iter().map(text).collect())
}

#[tokio::test(start_paused = true)]
async fn what_it_streamed_counts_no_more_when_its_call_fails() {
    let direct: Arc<dyn Invoke> = Arc::new(SubflowNode::new("inner"));
    let mapped: Arc<dyn Invoke> = Arc::new(MapNode::new(Arc::clone(&direct), 9.try_into().unwrap()));
    for (sub, input) in [(direct, json!(["works", "fails", "too"])), (mapped, json!([["works", "too"], ["fails"]]))] {
        // Calls run at once, and the messages within them have the same ids.
        let mut graph = Graph::builder("outer");
        graph.subflow("inner", says(), budget());
        graph.run("split", split(), policy()).run("sub", sub, lenient()).chain(&["split", "sub"]);
        let (mut came, mut standing) = pieces(submit(&start(graph), "trace", input).await).await;
        came.sort();
        let wanted = ["fails", "too", "works"].map(|item| [format!("one \"{item}\""), format!("two \"{item}\"")]);
        let mut all = wanted.concat();
        all.sort();
        assert_eq!(came, all);
        standing.sort();
        all.retain(|text| !text.contains("fails"));
        assert_eq!(standing, all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_at_any_depth_takes_back_what_is_below_it_and_nothing_else() {
    let recorder = Arc::new(Recorder::default());
    let mut middle = Graph::builder("middle");
    middle.subflow("inner", says(), budget());
    middle.run("before", Arc::new(Says), policy()).run("sub", Arc::new(SubflowNode::new("inner")), lenient());
    middle.chain(&["before", "sub"]);
    let flow = start_with(outer(middle.build().unwrap(), budget()), |config| config.observer = Some(recorder.clone()));
    let (came, standing) = pieces(submit(&flow, "trace", json!("fails")).await).await;
    assert_eq!(came, ["before \"fails\"", "one \"fails\"", "two \"fails\""]);
    assert_eq!(standing, ["before \"fails\""], "the call of `sub` failed, the call around it did not");
    // Who watches the events of the trace is told where the pieces were shown.
    let mut shown = Vec::new();
    let mut traces = std::collections::BTreeSet::new();
    for event in &*recorder.0.lock().unwrap() {
        traces.insert(event.trace.to_string());
        if let EventKind::Chunk { subflow, node, .. } | EventKind::Superseded { subflow, node, .. } = &event.kind {
            assert_eq!(&*event.trace, "trace");
            shown.push((event.kind.name(), node.to_string(), format!("trace/{}", subflow.as_deref().unwrap())));
        }
    }
    // The trace's own id, that of the subflow, and that of the one within.
    let traces: Vec<String> = traces.into_iter().collect();
    let [_, called, below] = traces.as_slice() else { panic!("{traces:?}") };
    let wanted = [
        ("chunk", "sub/before", called),
        ("chunk", "sub/sub/one", below),
        ("chunk", "sub/sub/two", below),
        ("superseded", "sub/sub/two", below),
        ("superseded", "sub/sub", called),
    ];
    assert_eq!(shown, wanted.map(|(event, node, trace)| (event, node.to_owned(), trace.clone())));
}
