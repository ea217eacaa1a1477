//! What a call may do, what it may not, and what it leaves behind: nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_sandbox::{FILE_THREADS, Limits};

use crate::support::{Caller, call, evil, limits, sandbox};

async fn check(node: &str, payload: &str, limits: &Limits, expect: &Expect) {
    let sandbox = sandbox(4);
    let plugin = evil(&sandbox, limits).await;
    let did = call(&sandbox, &plugin, node, payload).await;
    expect.assert_eq(&match did.result {
        Ok(outputs) => format!("{outputs:?}, emitted {}", did.emitted.len()),
        Err(failure) => failure,
    });
    // The next message is served, whatever happened.
    assert_eq!(call(&sandbox, &plugin, "state-kept", "1").await.result, Ok(vec!["1".to_owned()]));
}

#[tokio::test]
async fn computing_is_limited() {
    // Only where time is to end the call is it short: a busy machine is slow.
    let limits = limits();
    let short = Limits { wall: Duration::from_millis(200), ..limits.clone() };
    check("slow", "1000", &limits, &expect![[r#"["1000"], emitted 0"#]]).await;
    check(
        "slow",
        "1000000000",
        &limits,
        &expect!["exhausted: limit `fuel` reached: used 1000000000 of 1000000000; raise it with `plugins.evil.limits.fuel`"],
    )
    .await;
    let forever = Limits { fuel: u64::MAX / 4, ..short.clone() };
    check(
        "spin",
        "1",
        &forever,
        &expect!["timed-out: limit `wall` reached: used 200 of 200; raise it with `plugins.evil.limits.wall`"],
    )
    .await;
    check(
        "sleep",
        "60000",
        &short,
        &expect!["timed-out: limit `wall` reached: used 200 of 200; raise it with `plugins.evil.limits.wall`"],
    )
    .await;
    check(
        "recurse",
        "1",
        &limits,
        &expect!["exhausted: limit `stack` reached: the plugin's calls are nested beyond 524288 bytes; this is fixed"],
    )
    .await;
    check("recurse-frames", "1", &limits, &expect!["internal: the plugin crashed: out of bounds memory access"]).await;
    check("panic", "1", &limits, &expect!["internal: the plugin panicked: this plugin panics on purpose"]).await;
    check("exit", "1", &limits, &expect!["internal: the plugin exited with status 0 instead of returning"]).await;
}

/// How much is asked for beyond the limit is up to the guest's allocator.
#[tokio::test]
async fn memory_is_limited() {
    let sandbox = sandbox(4);
    let plugin = evil(&sandbox, &limits()).await;
    let failure = call(&sandbox, &plugin, "allocate", "1").await.result.unwrap_err();
    let used = failure.strip_prefix("exhausted: limit `memory` reached: used ").unwrap();
    let (used, rest) = used.split_once(' ').unwrap();
    assert!((64 << 20..66 << 20).contains(&used.parse::<u64>().unwrap()), "{failure}");
    assert_eq!(rest, "of 67108864; raise it with `plugins.evil.limits.memory`");
}

#[tokio::test]
async fn what_is_returned_is_checked() {
    check("garbage", "1", &limits(), &expect!["internal: the plugin returned an output that breaks the contract: not valid JSON: key must be a string at line 1 column 3"]).await;
    check("garbage-meta", "1", &limits(), &expect!["internal: the plugin returned an output that breaks the contract: meta `` is not valid JSON: expected ident at line 1 column 2"]).await;
    check(
        "invalid-text",
        "1",
        &limits(),
        &expect!["internal: the plugin broke the contract: invalid utf-8 sequence of 1 bytes from index 1"],
    )
    .await;
    check("deep", "100", &limits(), &expect![[r#"["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"], emitted 0"#]]).await;
    check("deep", "100000", &limits(), &expect!["internal: the plugin returned an output that breaks the contract: not valid JSON: recursion limit exceeded at line 1 column 128"]).await;
    check(
        "huge",
        "2000000",
        &limits(),
        &expect!["exhausted: limit `result` reached: used 2000002 of 1048576; raise it with `plugins.evil.limits.result`"],
    )
    .await;
    check(
        "huge",
        "5000000",
        &limits(),
        &expect!["exhausted: limit `hostcall` reached: used 4194305 of 4194304; raise it with `plugins.evil.limits.hostcall`"],
    )
    .await;
    check(
        "many",
        "10001",
        &limits(),
        &expect!["exhausted: limit `emits` reached: used 10001 of 10000; raise it with `plugins.evil.limits.emits`"],
    )
    .await;
    check("long-failure", "1", &limits(), &expect!["internal: the plugin failed and did not say why"]).await;
    check("final", "1", &limits(), &expect![[r#"["final 1"], emitted 0"#]]).await;
    check("again", "1", &limits(), &expect![[r#"["again 8"], emitted 0"#]]).await;
}

#[tokio::test]
async fn what_is_sent_is_limited() {
    check("flood-emit", "1", &limits(), &expect![[r#"["{\"kind\":\"exhausted\",\"sent\":10000}"], emitted 10000"#]]).await;
    check(
        "flood-emit",
        "1",
        &Limits { emit: 10, ..limits() },
        &expect![[r#"["{\"kind\":\"exhausted\",\"sent\":10}"], emitted 10"#]],
    )
    .await;
    check(
        "flood-chunk",
        "1",
        &Limits { chunk: 10, ..limits() },
        &expect!["exhausted: limit `chunk` reached: used 16 of 10; raise it with `plugins.evil.limits.chunk`"],
    )
    .await;
    check("emit-then-panic", "1", &limits(), &expect!["internal: the plugin panicked: after a message"]).await;
    check("flood-log", "1000", &limits(), &expect![[r#"["1000"], emitted 0"#]]).await;
    check(
        "flood-log",
        "1000",
        &Limits { host_calls: 500, ..limits() },
        &expect!["exhausted: limit `host_calls` reached: used 501 of 500; raise it with `plugins.evil.limits.host_calls`"],
    )
    .await;
    check("stdout", "1", &limits(), &expect![[r#"["1"], emitted 0"#]]).await;
}

/// WASI has no way to refuse a call, so the tick looks at the count.
#[tokio::test]
async fn calls_to_wasi_count() {
    let sandbox = sandbox(4);
    let plugin = evil(&sandbox, &Limits { host_calls: 1000, ..limits() }).await;
    let failure = call(&sandbox, &plugin, "stdout", "1").await.result.unwrap_err();
    assert!(failure.starts_with("exhausted: limit `host_calls` reached: used "), "{failure}");
}

#[tokio::test]
async fn the_machine_is_not_to_be_seen() {
    let sandbox = sandbox(4);
    let plugin = evil(&sandbox, &limits()).await;
    let seen = call(&sandbox, &plugin, "env", "1").await.result.unwrap().remove(0);
    assert!(seen.contains(r#""variables":[]"#) && seen.contains(r#""arguments":[]"#), "{seen}");
    assert!(!seen.contains(r#""Ok""#), "{seen}");
}

#[tokio::test]
async fn randomness_repeats_with_the_call() {
    let sandbox = sandbox(4);
    let plugin = evil(&sandbox, &limits()).await;
    let first = call(&sandbox, &plugin, "hash-order", "1").await.result;
    assert_eq!(first, call(&sandbox, &plugin, "hash-order", "1").await.result);
}

#[tokio::test]
async fn a_receipt_says_what_was_used_also_after_a_failure() {
    let sandbox = sandbox(4);
    let plugin = evil(&sandbox, &Limits { fuel: 10_000_000, ..limits() }).await;
    for (node, fuel) in [("told", None), ("spin", Some(10_000_000)), ("panic", None)] {
        let receipt = call(&sandbox, &plugin, node, "1").await.receipt;
        assert!(fuel.map_or(receipt.fuel > 1000, |fuel| receipt.fuel == fuel), "{node}: {receipt:?}");
        assert!(receipt.cpu > Duration::ZERO && receipt.wall >= receipt.cpu, "{node}: {receipt:?}");
        assert!(receipt.peak_memory > 1 << 20 && receipt.bytes_in > 4, "{node}: {receipt:?}");
    }
    let told = call(&sandbox, &plugin, "told", "1").await.receipt;
    assert!(told.host_calls == 2 && told.bytes_out > 100, "{told:?}");
}

#[tokio::test]
async fn an_instance_serves_as_often_as_it_may_and_one_tenant_only() {
    let sandbox = sandbox(8);
    let plugin = evil(&sandbox, &limits()).await;
    let mine = Caller::new(&plugin, "state-kept", 3);
    let mut counts = Vec::new();
    for _ in 0..4 {
        counts.extend(mine.call(&sandbox, "1").await.unwrap().result.unwrap());
    }
    assert_eq!(counts, ["1", "2", "3", "1"]);
    // The instance that now waits has served one call of `me`.
    let other = mine.tenant("other");
    assert_eq!(other.call(&sandbox, "1").await.unwrap().result.unwrap(), ["1"]);
    let mine = other.tenant("me");
    assert_eq!(mine.call(&sandbox, "1").await.unwrap().result.unwrap(), ["2"]);
}

/// An instance that failed in its own words is sound; one that crashed, or returned what breaks the contract, is not.
#[tokio::test]
async fn no_instance_survives_a_crash() {
    // Room for one: if it were kept, or lost, the next call would find none.
    let sandbox = sandbox(1);
    let plugin = evil(&sandbox, &limits()).await;
    for node in ["panic", "garbage", "allocate", "recurse", "huge"] {
        let caller = Caller::new(&plugin, node, 100);
        for _ in 0..3 {
            let failure = caller.call(&sandbox, "5000000").await.unwrap().result.unwrap_err();
            assert!(!failure.starts_with("busy"), "{node}: {failure}");
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_its_place() {
    let sandbox = sandbox(1);
    let plugin = evil(&sandbox, &limits()).await;
    let sleeps = Caller::new(&plugin, "sleep", 100).cancel(Duration::from_millis(50));
    let spins = Caller::new(&plugin, "spin", 100).cancel(Duration::from_millis(50));
    for _ in 0..3 {
        assert_eq!(sleeps.call(&sandbox, "60000").await.map(|did| did.result), None);
        assert_eq!(spins.call(&sandbox, "1").await.map(|did| did.result), None);
    }
    assert_eq!(call(&sandbox, &plugin, "state-kept", "1").await.result, Ok(vec!["1".to_owned()]));
}

#[tokio::test]
async fn a_full_pool_is_busy() {
    let sandbox = sandbox(1);
    let plugin = evil(&sandbox, &limits()).await;
    let (first, second) = (Caller::new(&plugin, "sleep", 1), Caller::new(&plugin, "sleep", 1));
    let (first, second) = tokio::join!(first.call(&sandbox, "300"), second.call(&sandbox, "300"));
    let mut results = [first.unwrap().result, second.unwrap().result];
    results.sort();
    expect![[r#"[Ok(["300"]), Err("busy: no room for another instance: 1 run at once at most, each memory counted")]"#]]
        .assert_eq(&format!("{results:?}"));
}

/// Whoever waits for a next call that may never come takes no room from those who run, of whatever node.
#[tokio::test]
async fn waiting_instances_make_way() {
    let sandbox = sandbox(2);
    let plugin = evil(&sandbox, &limits()).await;
    let mine = Caller::new(&plugin, "state-kept", 100);
    assert_eq!(mine.call(&sandbox, "1").await.unwrap().result.unwrap(), ["1"]);
    let other = Caller::new(&plugin, "state-kept", 100).tenant("other");
    assert_eq!(other.call(&sandbox, "1").await.unwrap().result.unwrap(), ["1"]);
    // Both places are taken; the one that has waited longest goes.
    assert_eq!(call(&sandbox, &plugin, "sleep", "1").await.result.unwrap(), ["1"]);
    assert_eq!(other.call(&sandbox, "1").await.unwrap().result.unwrap(), ["2"]);
    assert_eq!(mine.call(&sandbox, "1").await.unwrap().result.unwrap(), ["1"]);
}

#[tokio::test]
async fn a_tool_is_called_like_a_node() {
    let sandbox = sandbox(4);
    let text = crate::support::load(&sandbox, &floe_tests::bytes(floe_tests::TEXT)).await.unwrap();
    let names: Vec<&str> = text.tools.iter().map(|tool| tool.name.as_str()).collect();
    let did = Caller::tool(&text, names[0]).call(&sandbox, r#"{"text":"one two two"}"#).await.unwrap();
    expect![[r#"["word-count"] Ok(["{\"words\":3}"])"#]].assert_eq(&format!("{names:?} {:?}", did.result));
}

/// What waits for a disk takes one of so many threads, however much waits.
#[tokio::test]
async fn threads_that_wait_for_disks_are_limited() {
    let sandbox = sandbox(1);
    let (begun, mut first) = tokio::sync::mpsc::channel(1000);
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let disk = |_| {
        let (begun, wait, running) = (begun.clone(), Arc::clone(&wait), Arc::clone(&running));
        sandbox.handle().spawn_blocking(move || {
            let now = running.0.fetch_add(1, Ordering::SeqCst) + 1;
            running.1.fetch_max(now, Ordering::SeqCst);
            begun.try_send(()).unwrap();
            // Until all are let go: the sender is dropped.
            let _ = wait.lock().unwrap().recv();
            running.0.fetch_sub(1, Ordering::SeqCst);
        })
    };
    let disks: Vec<_> = (0..2 * FILE_THREADS).map(disk).collect();
    for _ in 0..FILE_THREADS {
        first.recv().await.unwrap();
    }
    // Those that wait begin as soon as one has ended, and no sooner.
    assert_eq!(running.0.load(Ordering::SeqCst), FILE_THREADS);
    drop(release);
    for disk in disks {
        disk.await.unwrap();
    }
    assert_eq!(running.1.load(Ordering::SeqCst), FILE_THREADS);
}
