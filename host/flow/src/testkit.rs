//! A kit for tests of flows and of nodes (feature `testkit`): run a graph, look at all that came out, make nodes fail.
//!
//! Nothing here is shared between two kits. Under Tokio's paused clock (`#[tokio::test(start_paused = true)]`, feature `test-util`
//! of `tokio`) time is virtual: time-outs, pauses before retries and deadlines pass at once and in their order, as do pauses of
//! nodes that wait by `tokio::time`. The clock jumps whenever nothing else is left to do, so a node that waits for the world
//! outside wants a clock that runs. A flow that never ends holds its test up; `config.budget.deadline` bounds that.
//!
//! On a current-thread runtime, Tokio's choice for tests, branches that run side by side start in an order that is the same in
//! every run.
//!
//! ```
//! use floe_flow::testkit::{failing, run_one};
//! use floe_flow::{Failure, FailureKind, Graph, Outcome, Policy, native};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let double = native(|call| {
//!     let number = call.message.payload.value().as_i64().unwrap_or_default();
//!     Ok(Outcome::one(json!(2 * number).into()))
//! });
//! // Fails once, as if something outside were down, then doubles.
//! let double = failing(double, 1, Failure::new(FailureKind::Unavailable, "down"));
//! let mut graph = Graph::builder("doubles");
//! graph.run("double", double.clone(), Policy { retries: 1, ..Policy::with_concurrency(1) });
//!
//! let seen = run_one(graph.build().unwrap(), json!(21).into()).await;
//! assert_eq!(seen.outputs(), [json!(42)]);
//! seen.assert_sequence(&["double", "double#2"]);
//! assert_eq!((double.attempts(), double.failures()), (2, 1));
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::event::{Event, EventKind, Observer};
use crate::flow::{Config, Flow, Submission};
use crate::graph::Graph;
use crate::message::{Message, Meta, Payload};
use crate::node::{Call, Failure, Invoke, Report};
use crate::policy::Policy;
use crate::rooms::lock;
use crate::trace::{End, Item, Terminal};

/// Runs a graph once, with the default configuration, and stops it.
///
/// # Panics
///
/// If the payload is larger than a flow takes, or outside of a Tokio runtime.
pub async fn run_one(graph: Graph, payload: Payload) -> Seen {
    let kit = Kit::start(graph);
    let seen = kit.run(payload).await;
    kit.stop().await;
    seen
}

/// A flow under test.
#[derive(Debug)]
pub struct Kit {
    /// The flow that runs; what is submitted to it directly is recorded nowhere.
    pub flow: Flow,
    recorder: Arc<Recorder>,
    submitted: AtomicU64,
}

/// All that could be seen of one trace.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What its reader got, in order, but for the end.
    pub items: Vec<Item>,
    /// How it ended.
    pub terminal: Terminal,
    /// Every event of it, in order.
    pub events: Vec<Event>,
}

/// A node that fails at first; see [`failing`].
#[derive(Debug)]
pub struct Failing {
    node: Arc<dyn Invoke>,
    times: usize,
    failure: Failure,
    attempts: AtomicUsize,
}

/// A node that gives `failure` at its first `times` calls, over all traces, and is `node` from then on.
pub fn failing(node: Arc<dyn Invoke>, times: usize, failure: Failure) -> Arc<Failing> {
    Arc::new(Failing { node, times, failure, attempts: AtomicUsize::new(0) })
}

/// Checks that a node hands the envelope of what it takes on to all that it gives: its topic, its priority and its metadata, to
/// which it may add. The node stands alone, so it can name no successors.
///
/// # Panics
///
/// If the node fails, gives nothing, or changes the envelope.
pub async fn assert_preserves_envelope(node: Arc<dyn Invoke>, payload: Payload) {
    let mut graph = Graph::builder("envelope");
    graph.run("node", node, Policy::with_concurrency(1));
    let kit = Kit::start(graph.build().expect("one node is a graph"));
    let meta: Meta = [("testkit".to_owned(), Payload::from(json!({ "kept": true })))].into_iter().collect();
    let submission =
        Submission { topic: Some("testkit".into()), priority: 7, meta, ..Submission::new("envelope", "test", payload) };
    let seen = kit.submit(submission.clone()).await;
    kit.stop().await;
    assert_eq!(seen.terminal.end, End::Completed, "the node did not pass its message on: {:?}", seen.terminal.error);
    let messages = seen.messages();
    assert!(!messages.is_empty(), "the node gave nothing, so there is no envelope to look at");
    for (_, message) in messages {
        assert_eq!(message.topic, submission.topic, "the node changed the topic");
        assert_eq!(message.priority, submission.priority, "the node changed the priority");
        for entry in submission.meta.entries() {
            assert!(message.meta.entries().contains(entry), "the node changed or lost `{}` of the metadata", entry.0);
        }
    }
}

// === impl Kit ===

impl Kit {
    /// Starts a graph with the default configuration.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(graph: Graph) -> Self {
        Self::start_with(graph, |_| {})
    }

    /// Starts a graph with the default configuration after some changes. An observer that they set sees every event too.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start_with(graph: Graph, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::on_current_runtime();
        change(&mut config);
        let recorder = Arc::new(Recorder { traces: Mutex::default(), next: config.observer.take() });
        config.observer = Some(recorder.clone());
        Self { flow: Flow::start(graph, config), recorder, submitted: AtomicU64::new(0) }
    }

    /// Submits a payload as a trace of its own (`trace-1`, `trace-2`, …) of the tenant `test`, and reads it to its end.
    ///
    /// # Panics
    ///
    /// If the flow does not take it on.
    pub async fn run(&self, payload: Payload) -> Seen {
        let number = self.submitted.fetch_add(1, Ordering::Relaxed) + 1;
        self.submit(Submission::new(&format!("trace-{number}"), "test", payload)).await
    }

    /// Submits a request and reads it to its end.
    ///
    /// # Panics
    ///
    /// If the flow does not take it on.
    pub async fn submit(&self, submission: Submission) -> Seen {
        let trace = Arc::clone(&submission.origin.trace);
        // Its events are kept from here on; those of an earlier trace of this id are gone.
        lock(&self.recorder.traces).insert(Arc::clone(&trace), Vec::new());
        let mut handle = match self.flow.submit(submission).await {
            Ok(handle) => handle,
            Err(error) => panic!("the flow did not take the trace on: {error}"),
        };
        let mut items = Vec::new();
        loop {
            match handle.next().await {
                Some(Item::End(terminal)) => {
                    let events = lock(&self.recorder.traces).remove(&trace).unwrap_or_default();
                    return Seen { items, terminal, events };
                }
                Some(item) => items.push(item),
                None => unreachable!("a trace has an end"),
            }
        }
    }

    /// Stops the flow; what is in flight is ended at once.
    pub async fn stop(self) {
        self.flow.stop(Duration::ZERO).await;
    }
}

/// Keeps the events of the traces that the kit reads, until they have been read.
#[derive(Debug)]
struct Recorder {
    traces: Mutex<BTreeMap<Arc<str>, Vec<Event>>>,
    next: Option<Arc<dyn Observer>>,
}

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        if let Some(events) = lock(&self.traces).get_mut(&event.trace) {
            events.push(event.clone());
        }
        if let Some(next) = &self.next {
            next.observe(event);
        }
    }
}

// === impl Seen ===

impl Seen {
    /// The payloads of all outputs, in order.
    pub fn outputs(&self) -> Vec<Value> {
        self.messages().iter().map(|(_, message)| message.payload.value().into_owned()).collect()
    }

    /// All outputs with the nodes that they came from, in order.
    pub fn messages(&self) -> Vec<(&str, &Message)> {
        let outputs = self.items.iter().filter_map(|item| match item {
            Item::Output { node, message } => Some((&**node, &**message)),
            _ => None,
        });
        outputs.collect()
    }

    /// All pieces of streams, in order, those of failed attempts among them.
    pub fn chunks(&self) -> Vec<&Item> {
        self.items.iter().filter(|item| matches!(item, Item::Chunk { .. })).collect()
    }

    /// What stands in a stream at the end: the texts of its pieces, without those of failed attempts.
    pub fn text(&self, stream: &str) -> String {
        let mut pieces = Vec::new();
        for item in &self.items {
            match item {
                Item::Chunk { stream: of, text, .. } if **of == *stream => pieces.push((item, text.as_str())),
                Item::Superseded { .. } => pieces.retain(|(piece, _)| !item.supersedes(piece)),
                _ => {}
            }
        }
        pieces.into_iter().map(|(_, text)| text).collect()
    }

    /// All progress with its kind, in order.
    pub fn progress(&self) -> Vec<(&str, &Payload)> {
        let progress = self.items.iter().filter_map(|item| match item {
            Item::Progress { kind, data, .. } => Some((kind.as_str(), data)),
            _ => None,
        });
        progress.collect()
    }

    /// The nodes in the order in which their calls began; a call that is not the first attempt at its message has the attempt's
    /// number behind its name: `fetch`, `fetch#2`.
    pub fn sequence(&self) -> Vec<String> {
        let started = |event: &Event| match &event.kind {
            EventKind::Started { node, attempt: 1, .. } => Some(node.to_string()),
            EventKind::Started { node, attempt, .. } => Some(format!("{node}#{attempt}")),
            _ => None,
        };
        self.events.iter().filter_map(started).collect()
    }

    /// As [`Seen::sequence`], without attempts, and with calls of the same node that follow each other as one.
    pub fn nodes(&self) -> Vec<String> {
        let mut nodes = self.sequence();
        for node in &mut nodes {
            node.truncate(node.find('#').unwrap_or(node.len()));
        }
        nodes.dedup();
        nodes
    }

    /// Checks [`Seen::sequence`].
    ///
    /// # Panics
    ///
    /// If it is another; the message shows the difference.
    #[track_caller]
    pub fn assert_sequence(&self, expected: &[&str]) {
        check("the sequence of calls", expected, &self.sequence());
    }

    /// Checks [`Seen::nodes`].
    ///
    /// # Panics
    ///
    /// If they are others; the message shows the difference.
    #[track_caller]
    pub fn assert_nodes(&self, expected: &[&str]) {
        check("the sequence of nodes", expected, &self.nodes());
    }
}

#[track_caller]
fn check(what: &str, expected: &[&str], actual: &[String]) {
    assert!(expected == actual, "{what} is not as expected (- expected, + happened):\n{}", difference(expected, actual));
}

/// A line for each entry: what is alike at both ends, and between them what is missing and what is there instead.
fn difference(expected: &[&str], actual: &[String]) -> String {
    let alike = |pair: &(&&str, &String)| **pair.0 == **pair.1;
    let ahead = expected.iter().zip(actual).take_while(alike).count();
    let (missing, added) = (&expected[ahead..], &actual[ahead..]);
    let behind = missing.iter().rev().zip(added.iter().rev()).take_while(alike).count();
    let mut text = String::new();
    // Writing to a String cannot fail.
    for line in &expected[..ahead] {
        let _ = writeln!(text, "    {line}");
    }
    for line in &missing[..missing.len() - behind] {
        let _ = writeln!(text, "  - {line}");
    }
    for line in &added[..added.len() - behind] {
        let _ = writeln!(text, "  + {line}");
    }
    for line in &missing[missing.len() - behind..] {
        let _ = writeln!(text, "    {line}");
    }
    text
}

// === impl Failing ===

impl Failing {
    /// Calls so far.
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    /// Calls that were made to fail so far.
    pub fn failures(&self) -> usize {
        self.attempts().min(self.times)
    }
}

impl Invoke for Failing {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        if self.attempts.fetch_add(1, Ordering::SeqCst) < self.times {
            return Box::pin(std::future::ready(Report::from(Err(self.failure.clone()))));
        }
        self.node.invoke(call)
    }
}
