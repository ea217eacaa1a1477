//! Spans of traces and attempts, as whoever collects them sees them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_flow::{Backoff, FailureKind, Graph, Policy};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

use crate::support::{Stuck, fails_until, outputs, policy, start, submit};

/// Keeps what each span was created with and what was recorded later.
#[derive(Debug)]
struct Collector {
    level: Level,
    spans: Arc<Mutex<Vec<Span>>>,
}

#[derive(Debug, Default)]
struct Span {
    name: &'static str,
    parent: Option<u64>,
    fields: BTreeMap<&'static str, String>,
    closed: bool,
}

impl Visit for Span {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("floe_flow") && *metadata.level() <= self.level
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let parent = attributes.parent().map(Id::into_u64);
        let mut span = Span { name: attributes.metadata().name(), parent, ..Span::default() };
        attributes.record(&mut span);
        let mut spans = self.spans.lock().unwrap();
        spans.push(span);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut self.spans.lock().unwrap()[id.into_u64() as usize - 1]);
    }

    fn try_close(&self, id: Id) -> bool {
        self.spans.lock().unwrap()[id.into_u64() as usize - 1].closed = true;
        true
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Where there is one collector only, a place that another test's thread comes to first asks that thread's, which has none, and is
/// silent from then on. With two, it asks all.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Collector { level: Level::ERROR, spans: Arc::default() }));

async fn collect(level: Level, run: impl AsyncFnOnce()) -> Vec<String> {
    LazyLock::force(&ANOTHER);
    let spans = Arc::new(Mutex::new(Vec::new()));
    let collector = Collector { level, spans: Arc::clone(&spans) };
    let guard = tracing::subscriber::set_default(collector);
    // Places that were come to before there were two.
    tracing::callsite::rebuild_interest_cache();
    run().await;
    drop(guard);
    let spans = spans.lock().unwrap();
    let line = |span: &Span| format!("{} below {:?}: {:?}", span.name, span.parent, span.fields);
    spans.iter().filter(|span| ["trace", "attempt"].contains(&span.name)).map(line).collect()
}

async fn flaky() {
    let backoff = Backoff { base: Duration::from_millis(10), factor: 1.0, cap: Duration::from_secs(1), jitter: false };
    let mut graph = Graph::builder("flaky");
    graph.run("node", fails_until(2, FailureKind::Busy), Policy { retries: 1, backoff, ..policy() });
    outputs(&start(graph), json!(1)).await;
}

fn check(spans: &[String], expected: &Expect) {
    expected.assert_eq(&spans.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_span_below_its_traces() {
    check(
        &collect(Level::DEBUG, flaky).await,
        &expect![[r#"
        trace below None: {"flow": "\"flaky\"", "tenant": "\"tenant\"", "terminal": "\"completed\"", "trace": "\"trace\""}
        attempt below Some(1): {"attempt": "1", "flow": "\"flaky\"", "message": "0000000000000000", "node": "\"node\"", "outcome": "\"busy\"", "tenant": "\"tenant\"", "trace": "\"trace\""}
        attempt below Some(1): {"attempt": "2", "flow": "\"flaky\"", "message": "0000000000000000", "node": "\"node\"", "outcome": "\"ok\"", "tenant": "\"tenant\"", "trace": "\"trace\""}"#]],
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_stopped_says_so() {
    let stuck = async || {
        let mut graph = Graph::builder("stuck");
        graph.run("node", Arc::new(Stuck), policy());
        let flow = start(graph);
        let handle = submit(&flow, "trace", json!(1)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        flow.cancel("trace");
        handle.finish().await;
    };
    check(
        &collect(Level::DEBUG, stuck).await,
        &expect![[r#"
        trace below None: {"flow": "\"stuck\"", "tenant": "\"tenant\"", "terminal": "\"cancelled\"", "trace": "\"trace\""}
        attempt below Some(1): {"attempt": "1", "flow": "\"stuck\"", "message": "0000000000000000", "node": "\"node\"", "outcome": "\"dropped\"", "tenant": "\"tenant\"", "trace": "\"trace\""}"#]],
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_ask_for_spans_gets_none() {
    assert!(collect(Level::INFO, flaky).await.is_empty());
}
