//! Small flows and what comes out of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Call, Config, End, Event, Failure, FailureKind, Flow, Graph, Handle, Invoke, Item, Observer, Outcome, Output, Payload,
    Policy, Report, Submission, Terminal, native,
};
use serde_json::{Value, json};

pub(crate) fn policy() -> Policy {
    Policy::with_concurrency(2)
}

pub(crate) fn echo() -> Arc<dyn Invoke> {
    native(|call| Ok(Outcome::one(call.message.payload.clone())))
}

/// Computes a value from the payload.
pub(crate) fn compute(function: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Arc<dyn Invoke> {
    native(move |call| Ok(Outcome::one(function(&call.message.payload.value()).into())))
}

/// Emits each item of an array.
pub(crate) fn split() -> Arc<dyn Invoke> {
    native(|call| {
        let items = call.message.payload.value().as_array().cloned().unwrap_or_default();
        Ok(Outcome::Outputs(items.into_iter().map(|item| Output::new(item.into())).collect()))
    })
}

/// Fails until the given attempt, then passes on.
pub(crate) fn fails_until(attempt: u32, kind: FailureKind) -> Arc<dyn Invoke> {
    native(move |call| {
        if call.attempt < attempt { Err(Failure::new(kind, "not yet")) } else { Ok(Outcome::one(call.message.payload.clone())) }
    })
}

/// Waits, then passes on; counts those that are under way and those that were dropped before their end.
#[derive(Debug, Default)]
pub(crate) struct Slow {
    pub(crate) pause: Duration,
    pub(crate) running: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) dropped: AtomicUsize,
    pub(crate) order: Mutex<Vec<String>>,
}

impl Slow {
    pub(crate) fn new(pause: Duration) -> Arc<Self> {
        Arc::new(Self { pause, ..Self::default() })
    }
}

struct Running<'a>(&'a Slow, bool);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.dropped.fetch_add(usize::from(!self.1), Ordering::SeqCst);
    }
}

impl Invoke for Slow {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            let mut running = Running(self, false);
            tokio::time::sleep(self.pause).await;
            self.order.lock().unwrap().push(call.message.payload.text().to_owned());
            running.1 = true;
            Report::from(Ok(Outcome::one(call.message.payload.clone())))
        })
    }
}

/// Never ready.
#[derive(Debug)]
pub(crate) struct Stuck;

impl Invoke for Stuck {
    fn invoke(&self, _: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// Keeps every event.
#[derive(Debug, Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Recorder {
    /// The names of a trace's events with the node where there is one, after a check that the numbers have no gap.
    pub(crate) fn story(&self, trace: &str) -> Vec<String> {
        let events = self.0.lock().unwrap();
        let events = events.iter().filter(|event| &*event.trace == trace).map(|event| (event.kind.name(), json!(event)));
        let events: Vec<Value> =
            events.inspect(|(name, event)| assert_eq!(event["event"], json!(name))).map(|(_, event)| event).collect();
        for (seq, event) in events.iter().enumerate() {
            assert_eq!(event["seq"], json!(seq));
        }
        events
            .iter()
            .map(|event| match event["node"].as_str() {
                Some(node) => format!("{} {node}", event["event"].as_str().unwrap()),
                None => event["event"].as_str().unwrap().to_owned(),
            })
            .collect()
    }
}

pub(crate) fn start(graph: Builder) -> Flow {
    start_with(graph, |_| {})
}

pub(crate) fn start_with(graph: Builder, change: impl FnOnce(&mut Config)) -> Flow {
    let mut config = Config::on_current_runtime();
    change(&mut config);
    Flow::start(graph.build().unwrap(), config)
}

pub(crate) fn payload(value: Value) -> Payload {
    Payload::from(value)
}

pub(crate) async fn submit(flow: &Flow, trace: &str, value: Value) -> Handle {
    flow.submit(Submission::new(trace, "tenant", payload(value))).await.unwrap()
}

/// Submits one value and waits for the end.
pub(crate) async fn run(flow: &Flow, value: Value) -> (Vec<Value>, Terminal) {
    let (outputs, terminal) = submit(flow, "trace", value).await.finish().await;
    (outputs.iter().map(|payload| payload.value().into_owned()).collect(), terminal)
}

/// As [`run`], for a flow that completes.
pub(crate) async fn outputs(flow: &Flow, value: Value) -> Vec<Value> {
    let (outputs, terminal) = run(flow, value).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    outputs
}

pub(crate) fn problems(graph: Builder) -> String {
    let problems = graph.build().unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

pub(crate) fn chain(nodes: &[(&str, Arc<dyn Invoke>)]) -> Builder {
    let mut graph = Graph::builder("test");
    let names: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
    for (name, invoke) in nodes {
        graph.run(name, Arc::clone(invoke), policy());
    }
    graph.chain(&names);
    graph
}

/// The next item that is an output.
pub(crate) async fn next_output(handle: &mut Handle) -> Value {
    match handle.next().await {
        Some(Item::Output { message, .. }) => message.payload.value().into_owned(),
        other => panic!("expected an output, got {other:?}"),
    }
}
