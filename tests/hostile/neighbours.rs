//! Hostile tenants beside good ones, and more calls than there is room for.

use std::time::Duration;

use floe_flow::{End, Event, EventKind, FailureKind, Handle};
use serde_json::json;

use crate::support::{Ended, Setup, Stage, attack_started};

fn endless(setup: &mut Setup) {
    setup.limits.fuel = u64::MAX;
    setup.limits.wall = Duration::from_secs(3600);
}

async fn cancelled(stage: &Stage, handles: Vec<Handle>) {
    for handle in handles {
        assert!(handle.cancel(), "it was still there");
        assert_eq!(stage.finish(handle).await.terminal.end, End::Cancelled);
    }
}

#[tokio::test]
async fn spinning_guests_on_every_thread_leave_room_for_others() {
    let stage = Stage::new("spin", |setup| {
        endless(setup);
        setup.instances = 8;
        setup.policy.concurrency = 4;
    });
    let stage = stage.await;
    let mut spinners = Vec::new();
    for _ in 0..4 {
        spinners.push(stage.submit("attack", json!(null)).await);
    }
    stage.recorder.until(4, attack_started).await;
    for _ in 0..200 {
        stage.serves().await;
    }
    assert_eq!(stage.flow.in_flight(), 4);
    cancelled(&stage, spinners).await;
}

/// Its own computing takes too little fuel to yield; the host's takes the time.
#[tokio::test]
async fn a_guest_that_keeps_the_host_busy_leaves_room_for_others() {
    let stage = Stage::new("flood-host", |setup| {
        endless(setup);
        setup.threads = 1;
    });
    let stage = stage.await;
    let hostile = stage.submit("attack", json!(4000)).await;
    stage.recorder.until(1, chunk).await;
    for _ in 0..3 {
        stage.serves().await;
    }
    assert_eq!(stage.flow.in_flight(), 1, "whoever waits for the thread gets it long before the guest is done");
    cancelled(&stage, vec![hostile]).await;
}

#[tokio::test]
async fn a_tenant_that_fills_a_node_holds_only_its_own_up() {
    let stage = Stage::new("spin", |setup| {
        endless(setup);
        setup.instances = 8;
        setup.policy.concurrency = 1;
    });
    let stage = stage.await;
    let mut traces = Vec::new();
    for _ in 0..20 {
        traces.push(stage.submit("attack", json!(null)).await);
    }
    stage.recorder.until(1, attack_started).await;
    for _ in 0..20 {
        stage.serves().await;
    }
    assert_eq!((stage.recorder.count(attack_started), stage.flow.in_flight()), (1, 20));
    cancelled(&stage, traces).await;
    stage.serves().await;
}

// === the pool of instances ===

/// Two calls that wait for readers hold both instances until they are read.
async fn full(retries: u32) -> (Stage, Vec<Handle>) {
    let stage = Stage::new("flood-chunk", |setup| {
        setup.reader = 2;
        setup.policy.concurrency = 8;
        setup.policy.retries = retries;
    });
    let stage = stage.await;
    let mut holders = Vec::new();
    for number in 1..=2 {
        holders.push(stage.submit("attack", json!(10)).await);
        stage.recorder.until(2 * number, chunk).await;
    }
    (stage, holders)
}

fn chunk(event: &Event) -> bool {
    matches!(event.kind, EventKind::Chunk { .. })
}

fn busy(event: &Event) -> bool {
    matches!(event.kind, EventKind::Failed { code: FailureKind::Busy, .. })
}

fn is_busy(ended: &Ended) {
    let error = ended.terminal.error.as_ref().unwrap();
    let message = &error.message;
    assert!(message.starts_with("no room for another instance: "), "{message}");
    assert_eq!((error.code.as_str(), ended.terminal.end), ("busy", End::Failed));
    // Nothing ran.
    assert_eq!(ended.receipts()[0].fuel, 0);
}

#[tokio::test]
async fn without_room_for_an_instance_a_call_fails_at_once_and_says_so() {
    let (stage, holders) = full(0).await;
    for _ in 0..3 {
        let ended = stage.call(json!(0)).await;
        assert_eq!(ended.story().iter().filter(|step| *step == "failed attack").count(), 1);
        is_busy(&ended);
    }
    for holder in holders {
        stage.finish(holder).await.gave(&[json!(10)]);
    }
    stage.call(json!(0)).await.gave(&[json!(0)]);
    stage.serves().await;
}

#[tokio::test]
async fn a_call_that_found_no_room_comes_back() {
    let (stage, holders) = full(u32::MAX).await;
    let mut waiting = Vec::new();
    for _ in 0..6 {
        waiting.push(stage.submit("attack", json!(0)).await);
    }
    // Each of them has been refused, and the first more than once.
    stage.recorder.until(12, busy).await;
    for holder in holders {
        stage.finish(holder).await.gave(&[json!(10)]);
    }
    for handle in waiting {
        let ended = stage.finish(handle).await;
        ended.gave(&[json!(0)]);
        assert!(ended.events.iter().any(busy));
    }
}

#[tokio::test]
async fn instances_that_wait_make_room() {
    let stage = Stage::new("state-kept", |setup| {
        setup.reuse = 1000;
        setup.instances = 4;
        setup.policy.concurrency = 4;
    });
    let stage = stage.await;
    // Many tenants, each with an instance that could be used again.
    for number in 0..50 {
        let handle = stage.submit_as(&format!("tenant-{number}"), &format!("room-{number}"), "attack", json!(1)).await;
        stage.finish(handle).await.gave(&[json!(1)]);
    }
    stage.serves().await;
}
