//! Numbers that follow from events.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_flow::metrics::{MAX_GAUGED_TRACES, MAX_LABEL_BYTES, MAX_LABEL_SETS, OTHER};
use floe_flow::{
    Backoff, Buffered, Event, EventKind, FailureKind, Graph, Load, MessageId, Metrics, Observer, OnFailure, Policy, Receipt,
    Submission,
};
use serde_json::json;
use tokio::runtime::Handle as Runtime;

use crate::support::{Stuck, chain, echo, fails_until, outputs, payload, policy, split, start_with, submit};

/// The samples whose name passes, a line each.
fn text(metrics: &Metrics, passes: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for sample in metrics.samples().into_iter().filter(|sample| passes(&sample.name)) {
        let labels: Vec<String> = sample.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        text += &format!("{} [{}] {}\n", sample.name, labels.join(" "), sample.value);
    }
    text
}

fn check(metrics: &Metrics, passes: impl Fn(&str) -> bool, expected: &Expect) {
    expected.assert_eq(&text(metrics, passes));
}

fn sum(metrics: &Metrics, name: &str) -> f64 {
    metrics.samples().iter().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
}

fn event(trace: &str, tenant: &str, kind: EventKind) -> Event {
    Event { trace: trace.into(), tenant: tenant.into(), caller: None, seq: 0, at_us: 0, kind }
}

fn succeeded(node: &str, latency_us: u64) -> EventKind {
    let receipt = Receipt { fuel: 10, ..Receipt::default() };
    let (node, message) = (node.into(), MessageId::INPUT);
    EventKind::Succeeded { node, message, attempt: 1, latency_us, emitted: 0, receipt, load: Load::default() }
}

#[tokio::test(start_paused = true)]
async fn a_small_flow_with_retries_is_counted() {
    let mut graph = Graph::builder("test");
    let backoff = Backoff { base: Duration::from_millis(10), factor: 1.0, cap: Duration::from_secs(1), jitter: false };
    graph.run("split", split(), policy());
    graph.run("flaky", fails_until(3, FailureKind::Unavailable), Policy { retries: 2, backoff, ..policy() });
    graph.run("bad", fails_until(9, FailureKind::Denied), Policy { on_failure: OnFailure::Drop, ..policy() });
    graph.chain(&["split", "flaky"]).chain(&["split", "bad"]);
    let metrics = Arc::new(Metrics::default());
    let flow = start_with(graph, |config| config.observer = Some(metrics.clone()));
    outputs(&flow, json!([1, 2])).await;
    flow.submit(Submission::new("trace", "acme", payload(json!([])))).await.unwrap().finish().await;
    let text = text(&metrics, |name| !name.contains("_seconds"));
    let counted: Vec<&str> = text.lines().filter(|line| !line.ends_with(" 0")).collect();
    expect![[r#"
        floe_attempts_total [node=bad tenant=tenant outcome=denied] 2
        floe_attempts_total [node=flaky tenant=tenant outcome=ok] 2
        floe_attempts_total [node=flaky tenant=tenant outcome=unavailable] 4
        floe_attempts_total [node=split tenant=acme outcome=ok] 1
        floe_attempts_total [node=split tenant=tenant outcome=ok] 1
        floe_retries_total [node=flaky tenant=tenant] 4
        floe_given_up_total [node=bad tenant=tenant] 2
        floe_outputs_total [node=flaky tenant=tenant] 2
        floe_traces_accepted_total [tenant=acme] 1
        floe_traces_accepted_total [tenant=tenant] 1
        floe_traces_ended_total [tenant=acme terminal=completed] 1
        floe_traces_ended_total [tenant=tenant terminal=completed] 1"#]]
    .assert_eq(&counted.join("\n"));
}

#[test]
fn times_are_in_classes_that_add_up() {
    let metrics = Metrics::default();
    for latency_us in [0, 100, 101, 70_000_000, 2_500] {
        metrics.observe(event("trace", "tenant", succeeded("node", latency_us)));
    }
    check(
        &metrics,
        |name| name.starts_with("floe_attempt_seconds"),
        &expect![[r#"
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.0001] 2
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.0005] 3
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.001] 3
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.005] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.01] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.05] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.1] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=0.5] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=1] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=5] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=30] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=60] 4
        floe_attempt_seconds_bucket [node=node tenant=tenant le=+Inf] 5
        floe_attempt_seconds_sum [node=node tenant=tenant] 70.002701
        floe_attempt_seconds_count [node=node tenant=tenant] 5
        "#]],
    );
}

#[tokio::test(start_paused = true)]
async fn gauges_show_what_is_on_its_way_and_fall_to_nothing() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("work", Arc::new(Stuck), Policy::with_concurrency(1));
    graph.edge("split", "work", 2);
    let metrics = Arc::new(Metrics::default());
    let flow = start_with(graph, |config| config.observer = Some(metrics.clone()));
    let handle = submit(&flow, "trace", json!([1, 2, 3, 4, 5])).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let gauge = |name: &str| {
        ["floe_queued", "floe_waiting", "floe_traces_in_flight", "floe_messages_pending", "floe_attempts_running"].contains(&name)
    };
    check(
        &metrics,
        gauge,
        &expect![[r#"
            floe_queued [node=split tenant=tenant] 0
            floe_queued [node=work tenant=tenant] 2
            floe_waiting [node=split tenant=tenant] 2
            floe_waiting [node=work tenant=tenant] 0
            floe_traces_in_flight [tenant=tenant] 1
            floe_messages_pending [tenant=tenant] 6
            floe_attempts_running [tenant=tenant] 1
        "#]],
    );
    flow.cancel("trace");
    handle.finish().await;
    assert!(metrics.samples().iter().all(|sample| !gauge(&sample.name) || sample.value == 0.0), "{}", text(&metrics, gauge));
}

#[test]
fn labels_are_bounded_and_nothing_is_lost() {
    let metrics = Metrics::default();
    let (tenants, nodes) = (MAX_LABEL_SETS * 2, 3);
    for tenant in 0..tenants {
        for node in 0..nodes {
            metrics.observe(event("trace", &format!("t{tenant}"), succeeded(&format!("n{node}"), 1)));
        }
    }
    for node in 0..MAX_LABEL_SETS * 2 {
        metrics.observe(event("trace", "late", succeeded(&format!("late{node}"), 1)));
    }
    let attempts: Vec<_> = metrics.samples().into_iter().filter(|sample| sample.name == "floe_attempts_total").collect();
    assert!(attempts.len() <= 2 * MAX_LABEL_SETS + 1, "{}", attempts.len());
    assert_eq!(sum(&metrics, "floe_attempts_total"), (tenants * nodes + MAX_LABEL_SETS * 2) as f64);
    let of = |node: &str, tenant: &str| {
        let labels = [("node", node.into()), ("tenant", tenant.into()), ("outcome", "ok".into())];
        attempts.iter().find(|sample| sample.labels == labels).map(|sample| sample.value)
    };
    assert_eq!((of("n0", "t0"), of("n2", "t1999")), (Some(1.0), None));
    assert!(of("n2", OTHER) > Some(1000.0) && of(OTHER, OTHER) > Some(1000.0));
}

#[tokio::test(start_paused = true)]
async fn a_subflow_is_a_part_of_its_callers_trace() {
    let mut inner = Graph::builder("inner");
    inner.run("work", echo(), policy());
    let mut graph = Graph::builder("outer");
    graph.subflow("inner", inner.build().unwrap(), floe_flow::Config::on_current_runtime().budget);
    graph.run("sub", Arc::new(floe_flow::SubflowNode::new("inner")), policy());
    let metrics = Arc::new(Metrics::default());
    let flow = start_with(graph, |config| config.observer = Some(metrics.clone()));
    outputs(&flow, json!(1)).await;
    assert_eq!((sum(&metrics, "floe_attempts_total"), sum(&metrics, "floe_traces_in_flight")), (2.0, 0.0));
    for name in ["floe_traces_accepted_total", "floe_traces_ended_total", "floe_trace_seconds_count"] {
        assert_eq!(sum(&metrics, name), 1.0, "{name}");
    }
}

#[test]
fn long_names_are_other_names() {
    let metrics = Metrics::default();
    let long = "x".repeat(MAX_LABEL_BYTES + 1);
    metrics.observe(event("trace", &long, succeeded(&long, 1)));
    metrics.observe(event("trace", &long, EventKind::Accepted { tenant: "".into(), caller: None }));
    let labels: Vec<_> = metrics.samples().into_iter().flat_map(|sample| sample.labels).collect();
    assert!(labels.iter().all(|(_, value)| value.len() <= MAX_LABEL_BYTES));
}

#[test]
fn traces_in_the_gauges_are_bounded() {
    let metrics = Metrics::default();
    for trace in 0..MAX_GAUGED_TRACES + 5 {
        metrics.observe(event(&trace.to_string(), "tenant", EventKind::Accepted { tenant: "tenant".into(), caller: None }));
    }
    // A trace whose end was missed and whose id comes again is not counted twice.
    metrics.observe(event("7", "tenant", EventKind::Accepted { tenant: "tenant".into(), caller: None }));
    assert_eq!(sum(&metrics, "floe_traces_in_flight"), MAX_GAUGED_TRACES as f64);
    assert_eq!(sum(&metrics, "floe_traces_accepted_total"), (MAX_GAUGED_TRACES + 6) as f64);
}

#[tokio::test]
async fn what_a_buffer_drops_is_counted() {
    let metrics = Arc::new(Metrics::default());
    let buffered = Buffered::start(vec![metrics.clone()], 2, &Runtime::current());
    metrics.follow(&buffered);
    for _ in 0..5 {
        buffered.observe(event("trace", "tenant", succeeded("node", 1)));
    }
    buffered.close().await;
    buffered.observe(event("trace", "tenant", succeeded("node", 1)));
    check(
        &metrics,
        |name| name.starts_with("floe_events") || name.starts_with("floe_observer"),
        &expect![[r#"
        floe_events_dropped_total [cause=bytes] 0
        floe_events_dropped_total [cause=closed] 1
        floe_events_dropped_total [cause=full] 3
        floe_observer_panics_total [] 0
        "#]],
    );
    assert_eq!(sum(&metrics, "floe_attempts_total"), 2.0);
}

#[tokio::test]
async fn the_same_events_give_the_same_samples() {
    let run = async || {
        let metrics = Arc::new(Metrics::default());
        let flow = start_with(chain(&[("b", echo()), ("a", echo())]), |config| config.observer = Some(metrics.clone()));
        for tenant in ["z", "a", "m"] {
            flow.submit(Submission::new(tenant, tenant, payload(json!(1)))).await.unwrap().finish().await;
        }
        text(&metrics, |name| !name.contains("_seconds"))
    };
    assert_eq!(run().await, run().await);
}

#[cfg(feature = "prometheus")]
#[test]
fn the_text_for_prometheus_names_kinds_and_escapes() {
    let metrics = Metrics::default();
    metrics.observe(event("trace", "a \"b\"\\\nc", succeeded("node", 1_500)));
    let text = metrics.prometheus();
    let start = "# HELP floe_attempts_total Attempts that ended, by outcome.\n# TYPE floe_attempts_total counter\n\
                 floe_attempts_total{node=\"node\",tenant=\"a \\\"b\\\"\\\\\\nc\",outcome=\"ok\"} 1\n";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("tenant=\"a \\\"b\\\"\\\\\\nc\",le=\"0.005\"} 1\n"), "{text}");
    assert!(text.ends_with("# TYPE floe_observer_panics_total counter\nfloe_observer_panics_total 0\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()), "{line}");
    }
}
