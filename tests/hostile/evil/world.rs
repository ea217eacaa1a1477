//! Looks for a way out, and for anything that differs between two runs.

use std::time::{SystemTime, UNIX_EPOCH};

use floe_flow::{Item, Origin, Submission};
use serde_json::{Value, json};

use crate::support::{Stage, attack, lines, soon};

pub(super) const NODES: &[&str] = &["stdout", "exit", "env", "told", "hash-order", "state-kept", "unpredictable"];

#[tokio::test]
async fn what_is_printed_is_bounded_and_without_control() {
    let ended = attack("stdout", json!(1), |setup| {
        setup.limits.stdio = 1000;
        setup.limits.log_lines = 1000;
        setup.limits.fuel = 200_000_000;
    });
    let ended = ended.await;
    ended.gave(&[json!(1)]);
    let log = lines(&ended.trace);
    assert!(log.iter().any(|line| line.message == "red"), "{log:?}");
    for level in [tracing::Level::INFO, tracing::Level::WARN] {
        let printed = || log.iter().filter(|line| line.level == Some(level));
        assert!(printed().map(|line| line.message.len()).sum::<usize>() <= 1100);
        let last = &printed().next_back().unwrap().message;
        assert!(last.ends_with("bytes beyond limit `stdio` dropped)"), "{last}");
    }
    // The lines of the log bound it too.
    let ended = attack("stdout", json!(1), |setup| setup.limits.fuel = 200_000_000).await;
    assert_eq!(lines(&ended.gave(&[json!(1)]).trace).len(), 101);
}

#[tokio::test]
async fn exiting_ends_the_call_and_not_the_host() {
    let ended = attack("exit", json!(1), |_| {}).await;
    ended.failed("internal", "the plugin exited with status 0 instead of returning");
}

#[tokio::test]
async fn there_is_nothing_to_see_of_the_machine() {
    let ended = attack("env", json!(1), |_| {}).await;
    let mut seen = ended.gave(&ended.outputs()).outputs().remove(0);
    for part in ["listing", "read", "write"] {
        assert!(seen[part].as_object().is_some_and(|result| result.keys().eq(["Err"])), "{part}: {seen}");
        seen[part].take();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(seen["unix_ms"].take().as_u64().unwrap() <= now);
    let nothing: [Value; 0] = [];
    let expected = json!({
        "variables": nothing, "arguments": nothing, "listing": null, "read": null, "write": null, "unix_ms": null,
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_call_is_told_of_its_own_trace_only() {
    let stage = Stage::new("told", |setup| {
        setup.limits.host_calls = 77;
        setup.budget.hops = 10;
        setup.budget.fuel = Some(1_000_000);
    });
    let stage = stage.await;
    let mut submission = Submission::new("told-trace", "told-tenant", json!([1.0]).into());
    submission.origin = Origin { user: Some("told-user".into()), session: Some("told-session".into()), ..submission.origin };
    submission.topic = Some("attack".into());
    submission.priority = -3;
    submission.meta = [("key".to_owned(), json!({ "b": 1 }).into())].into_iter().collect();
    let handle = soon(stage.flow.submit(submission)).await.unwrap();
    let ended = stage.finish(handle).await;
    let mut told = ended.gave(&ended.outputs()).outputs().remove(0);
    assert_eq!(told["id"].take().as_str().unwrap().len(), 16);
    assert!(told["deadline_ms"].take().as_u64().is_some_and(|left| (1..=60_000).contains(&left)));
    let left = |name: &str| {
        let remaining = told["remaining"].as_array().unwrap().iter().find(|left| left[0] == name);
        remaining.unwrap_or_else(|| panic!("{name}: {told}"))[1].as_u64().unwrap()
    };
    assert!((1..1_000_000).contains(&left("fuel")) && (1..=60_000).contains(&left("time-ms")), "{told}");
    assert_eq!((left("host-calls"), left("hops")), (76, 8));
    assert_eq!(told["remaining"].take().as_array().unwrap().len(), 7);
    let expected = json!({
        "trace": "told-trace", "id": null, "parent": "0000000000000000", "source": "input", "attempt": 1, "turn": 0,
        "deadline_ms": null, "tenant": "told-tenant", "user": "told-user", "session": "told-session", "topic": "attack",
        "priority": -3, "meta": [["key", r#"{"b":1}"#]], "payload": "[1.0]", "remaining": null, "cancelled": false,
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_second_run_is_the_same() {
    let mut orders = Vec::new();
    for trace in ["order-1", "order-1", "order-2"] {
        let stage = Stage::new("hash-order", |_| {}).await;
        let handle = stage.submit_as("tenant", trace, "attack", json!(1)).await;
        orders.push(stage.finish(handle).await.outputs());
        assert_eq!(orders[0][0].as_array().map(Vec::len), Some(16));
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2], "another trace has another seed");
}

#[tokio::test]
async fn what_differs_between_two_runs_is_told() {
    let stage = Stage::new("unpredictable", |_| {}).await;
    let seen = stage.call(json!(3)).await;
    let chunks = seen.items.iter().filter(|item| matches!(item, Item::Chunk { .. })).count();
    let outputs = seen.outputs();
    assert_eq!((chunks, &outputs[0], &outputs[1]["chunks"]), (2, &json!([0, 0]), &json!([0, 0])), "{:?}", seen.terminal);
    assert!(outputs[1]["longest_ns"].as_u64().is_some_and(|time| time >= 1_000_000), "it slept: {}", outputs[1]);
}

/// What `state-kept` counts in calls of these tenants, one after the other.
async fn counts(reuse: u32, instances: u32, tenants: &[&str]) -> Vec<u64> {
    let stage = Stage::new("state-kept", |setup| {
        setup.reuse = reuse;
        setup.instances = instances;
    });
    let stage = stage.await;
    let mut counts = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        let handle = stage.submit_as(tenant, &format!("count-{number}"), "attack", json!(1)).await;
        counts.push(stage.finish(handle).await.outputs()[0].as_u64().unwrap());
    }
    counts
}

#[tokio::test]
async fn an_instance_serves_one_tenant_and_as_often_as_told() {
    assert_eq!(counts(1, 2, &["a"; 4]).await, [1, 1, 1, 1]);
    assert_eq!(counts(0, 2, &["a"; 2]).await, [1, 1]);
    assert_eq!(counts(3, 2, &["a"; 7]).await, [1, 2, 3, 1, 2, 3, 1]);
    assert_eq!(counts(3, 8, &["a", "b", "a", "b", "b", "b", "a", "a"]).await, [1, 1, 2, 2, 3, 1, 3, 1]);
    // Whoever waits makes way where there is room for one only.
    assert_eq!(counts(3, 1, &["a"; 3]).await, [1, 2, 3]);
    assert_eq!(counts(3, 1, &["a", "b", "a"]).await, [1, 1, 1]);
    // Nor is anybody held up by one that waits for another tenant.
    assert_eq!(counts(3, 2, &["a", "b", "c", "d"]).await, [1, 1, 1, 1]);
}
