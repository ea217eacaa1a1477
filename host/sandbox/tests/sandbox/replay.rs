//! Calls that are made once more, with the answers of their records.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_flow::journal::Pending;
use floe_flow::state::{Owner, Place};
use floe_flow::{
    Attempted, Config, Entry, Flow, Graph, Invoke, Journal, MapNode, Policy, Receipt, Record, Repeated, StateStore, Submission,
    Tape, Unfit,
};
use floe_sandbox::{Clock, Directory, Grants, Limits, Sandbox, Space};
use serde_json::json;

use crate::support::{evil, json as payload, limits, sandbox};

/// Keeps everything.
#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Entry>>);

impl Journal for Kept {
    fn append(&self, _: &Arc<str>, entry: Entry) -> Pending<()> {
        // As a store would: what is read back is what was written.
        let text = serde_json::to_string(&entry.record).unwrap();
        let record = serde_json::from_str(&text).unwrap();
        self.0.lock().unwrap().push(Entry { record, ..entry });
        Box::pin(std::future::ready(Ok(())))
    }

    fn load(&self, _: &str) -> Pending<Vec<Entry>> {
        Box::pin(std::future::ready(Ok(self.0.lock().unwrap().clone())))
    }

    fn unfinished(&self) -> Pending<Vec<Arc<str>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}

/// A flow of the one node, with a journal.
fn flow(sandbox: &Sandbox, invoke: &Arc<dyn Invoke>, journal: Option<Arc<Kept>>) -> Flow {
    let mut graph = Graph::builder("test");
    graph.run("n", Arc::clone(invoke), Policy::with_concurrency(1));
    let _entered = sandbox.handle().enter();
    let journal = journal.map(|journal| journal as Arc<dyn Journal>);
    Flow::start(graph.build().unwrap(), Config { journal, ..Config::on_current_runtime() })
}

/// What was recorded of one call of the node, and the flow to make it once more.
async fn recorded(sandbox: &Sandbox, invoke: &Arc<dyn Invoke>, input: &str) -> (Flow, Vec<Entry>) {
    let journal = Arc::new(Kept::default());
    let running = flow(sandbox, invoke, Some(Arc::clone(&journal)));
    running.submit(Submission::new("t", "me", payload(input))).await.unwrap().finish().await;
    running.stop(Duration::ZERO).await;
    let entries = journal.0.lock().unwrap().clone();
    (flow(sandbox, invoke, None), entries)
}

/// The one attempt.
async fn attempt(sandbox: &Sandbox, node: &str, input: &str, limits: &Limits) -> (Flow, floe_flow::Past) {
    let invoke = evil(sandbox, limits).await.node(node, &payload("{}"), 1).unwrap();
    let (flow, entries) = recorded(sandbox, &invoke, input).await;
    let past = flow.look_back("t", entries).unwrap();
    assert_eq!(past.attempts.len(), 1);
    (flow, past)
}

async fn repeat(sandbox: &Sandbox, flow: &Flow, past: &floe_flow::Past, attempt: &Attempted) -> Repeated {
    let (flow, origin, attempt) = (flow.clone(), past.origin.clone(), attempt.clone());
    sandbox.handle().spawn(async move { flow.repeat(&origin, &attempt).await }).await.unwrap().unwrap()
}

/// Computation and what crosses the border.
fn counted(receipt: &Receipt) -> (u64, u64, u64, u64, u64) {
    (receipt.fuel, receipt.peak_memory, receipt.bytes_in, receipt.bytes_out, receipt.host_calls)
}

#[tokio::test]
async fn a_call_comes_out_the_same() {
    let sandbox = sandbox(4);
    let small = Limits { fuel: 1_000_000, ..limits() };
    for (node, input, limits) in [
        ("unpredictable", "10", &limits()),
        ("told", "1", &limits()),
        ("hash-order", "1", &limits()),
        ("env", "1", &limits()),
        ("sleep", "20", &limits()),
        ("slow", "1000000000", &small),
        ("flood-chunk", "1", &Limits { host_calls: 100, ..limits() }),
        ("panic", "1", &limits()),
        ("recurse", "1", &limits()),
        ("garbage", "1", &limits()),
        ("allocate", "1", &limits()),
        ("fail", "{\"kind\": \"busy\", \"times\": 9}", &limits()),
    ] {
        let (flow, past) = attempt(&sandbox, node, input, limits).await;
        let then = &past.attempts[0];
        let tape = then.tape.as_ref().unwrap();
        assert_eq!((tape.unfit, tape.fuel), (None, limits.fuel), "{node}");
        for _ in 0..2 {
            let now = repeat(&sandbox, &flow, &past, then).await;
            assert_eq!(now.result, then.result, "{node}");
            assert_eq!(counted(&now.receipt), counted(&then.receipt), "{node}");
        }
    }
}

#[tokio::test]
async fn what_the_host_answered_is_recorded_in_order() {
    let sandbox = sandbox(4);
    let (_, past) = attempt(&sandbox, "unpredictable", "1", &limits()).await;
    let names: Vec<&str> = past.attempts[0].tape.as_ref().unwrap().answers.iter().map(|answer| &*answer.0).collect();
    expect![[r#"
        [
            "monotonic-clock.now",
            "monotonic-clock.now",
            "emit.progress",
            "emit.chunk",
            "emit.chunk",
            "wall-clock.now",
            "budget.remaining",
            "budget.cancelled",
        ]
    "#]]
    .assert_debug_eq(&names);
}

/// Changes the tape, and says what comes of it.
async fn check(change: impl FnOnce(&mut Tape), expect: &Expect) {
    let sandbox = sandbox(4);
    let (flow, past) = attempt(&sandbox, "unpredictable", "1", &limits()).await;
    let mut changed = past.attempts[0].clone();
    let mut tape = changed.tape.as_deref().unwrap().clone();
    change(&mut tape);
    changed.tape = Some(Arc::new(tape));
    let now = repeat(&sandbox, &flow, &past, &changed).await;
    let then = &past.attempts[0];
    let fuel = if now.receipt.fuel == then.receipt.fuel { "the same" } else { "other" };
    expect.assert_eq(&match now.result {
        Ok(result) => format!("the same output: {}, {fuel} fuel", then.result.as_ref() == Ok(&result)),
        Err(failure) => format!("{}: {}", failure.kind.code(), failure.message),
    });
}

#[tokio::test]
async fn another_answer_makes_another_call() {
    let wall = |tape: &mut Tape| tape.answers[5].1 = json!([1, 2]);
    check(wall, &expect!["the same output: false, other fuel"]).await;
    let chunk = |tape: &mut Tape| tape.answers[3].1 = json!(7);
    check(chunk, &expect!["the same output: false, other fuel"]).await;
    let failure = |tape: &mut Tape| tape.answers[3].1 = json!({ "kind": "busy", "message": "not now" });
    check(failure, &expect!["busy: not now"]).await;
    let other = |tape: &mut Tape| tape.answers.swap(5, 6);
    check(
        other,
        &expect![
            "conflict: this call is not the recorded one: it asks for `wall-clock.now` where the record has `budget.remaining`, as answer 6"
        ],
    )
    .await;
    let short = |tape: &mut Tape| tape.answers.truncate(3);
    check(short, &expect!["conflict: this call is not the recorded one: it asks for `emit.chunk` after all 3 recorded answers"])
        .await;
    let less = |tape: &mut Tape| tape.fuel = 1000;
    check(less, &expect!["exhausted: limit `budget.fuel` reached: used 1000 of 1000; raise it with `budget.fuel`"]).await;
}

#[tokio::test]
async fn calls_that_the_host_ended_are_not_made_again() {
    let sandbox = sandbox(4);
    let unfit = async |node, input, limits: &Limits| {
        let (_, past) = attempt(&sandbox, node, input, limits).await;
        let tape = past.attempts[0].tape.clone().unwrap();
        assert!(tape.answers.is_empty() && tape.code.is_some());
        tape.unfit
    };
    let short = Limits { wall: Duration::from_millis(200), fuel: u64::MAX / 4, ..limits() };
    assert_eq!(unfit("spin", "1", &short).await, Some(Unfit::TimedOut));
    assert_eq!(unfit("sleep", "60000", &short).await, Some(Unfit::TimedOut));
}

#[tokio::test]
async fn answers_are_recorded_up_to_a_limit() {
    let sandbox = sandbox(4);
    let (_, past) = attempt(&sandbox, "unpredictable", "60000", &limits()).await;
    assert!(past.attempts[0].result.is_ok());
    let tape = past.attempts[0].tape.as_ref().unwrap();
    assert_eq!((tape.unfit, tape.answers.len()), (Some(Unfit::TooManyAnswers), 0));
}

#[tokio::test]
async fn instances_that_serve_many_calls_leave_no_record() {
    let sandbox = sandbox(4);
    let invoke = evil(&sandbox, &limits()).await.node("told", &payload("{}"), 2).unwrap();
    let (_, entries) = recorded(&sandbox, &invoke, "1").await;
    assert!(entries.iter().any(|entry| matches!(&entry.record, Record::Done { tape: None, .. })));
}

#[tokio::test]
async fn a_map_comes_out_the_same() {
    let sandbox = sandbox(8);
    let item = evil(&sandbox, &limits()).await.node("unpredictable", &payload("{}"), 1).unwrap();
    let map: Arc<dyn Invoke> = Arc::new(MapNode::new(item, 3.try_into().unwrap()));
    let (flow, entries) = recorded(&sandbox, &map, "[1, 20, 3, 400, 5]").await;
    let past = flow.look_back("t", entries).unwrap();
    let then = &past.attempts[0];
    assert_eq!(then.tape.as_ref().map(|tape| (tape.items.len(), tape.unfit)), Some((5, None)));
    let now = repeat(&sandbox, &flow, &past, then).await;
    assert_eq!((now.result, now.receipt.fuel), (then.result.clone(), then.receipt.fuel));

    let (flow, entries) = recorded(&sandbox, &map, "[1, \"x\", 3]").await;
    let past = flow.look_back("t", entries).unwrap();
    assert_eq!(past.attempts[0].tape.as_ref().and_then(|tape| tape.unfit), Some(Unfit::ItemFailed));
}

/// One attempt of a guest that is granted something.
async fn granted(sandbox: &Sandbox, guest: &str, node: &str, grants: &Grants, input: &str) -> (Flow, floe_flow::Past) {
    let plugin = sandbox.load("x", &floe_tests::bytes(guest), grants, &limits()).await.unwrap();
    let (flow, entries) = recorded(sandbox, &plugin.node(node, &payload("{}"), 1).unwrap(), input).await;
    let past = flow.look_back("t", entries).unwrap();
    (flow, past)
}

#[tokio::test]
async fn a_call_that_keeps_values_is_told_what_it_was_told_and_writes_nothing() {
    let store = Arc::new(floe_flow::state::Memory::default());
    let state = Some(Arc::clone(&store) as Arc<dyn StateStore>);
    let sandbox = Sandbox::new(floe_sandbox::Config { instances: 2, state, ..floe_sandbox::Config::new(1) }).unwrap();
    let grants = Grants { state: Some(Space { name: "s".to_owned(), bytes: 100 }), ..Grants::default() };
    let ops = r#"[{"set": ["tenant", "a", 1]}, {"get": ["tenant", "a"]}, {"keys": ["tenant", ""]}, {"delete": ["tenant", "a"]},
        {"compare_and_set": ["tenant", "b", 7, 1]}, {"compare_and_set": ["tenant", "b", 0, 1]}, {"get": ["user", "b"]},
        {"set_text": ["tenant", 99, "1"]}, {"set_text": ["tenant", 600, "1"]}]"#;
    let (flow, past) = granted(&sandbox, floe_tests::WANTS_STATE, "do", &grants, ops).await;
    let then = &past.attempts[0];
    let names: Vec<&str> = then.tape.as_ref().unwrap().answers.iter().map(|answer| &*answer.0).collect();
    let set = "state.compare-and-set";
    assert_eq!(names, ["state.set", "state.get", "state.keys", "state.delete", set, set, "state.set"]);
    let place = Place { tenant: "me".into(), space: "s".into(), owner: Owner::Tenant };
    let kept = store.get(&place, "b").await.unwrap();
    assert_eq!(kept.as_ref().map(|entry| entry.version), Some(2));
    store.delete(&place, "b").await.unwrap();
    for _ in 0..2 {
        let now = repeat(&sandbox, &flow, &past, then).await;
        assert_eq!(now.result, then.result);
        assert_eq!(counted(&now.receipt), counted(&then.receipt));
    }
    assert_eq!(store.keys(&place, "", None, 9).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_call_that_read_files_is_not_made_again() {
    let sandbox = sandbox(2);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "text").unwrap();
    let files = vec![Directory { dir: dir.path().to_owned(), name: "/data".to_owned() }];
    let grants = Grants { files, ..Grants::default() };
    for (node, input, unfit) in [
        ("read", "\"/data/file\"", Some(Unfit::ReadFiles)),
        ("attack", "[{\"stat\": \"gone\"}]", Some(Unfit::ReadFiles)),
        // Which directories there are follows from the grant, and what is refused from nothing.
        ("attack", "[{\"unlink\": \"file\"}]", None),
    ] {
        let (_, past) = granted(&sandbox, floe_tests::READS_FILES, node, &grants, input).await;
        let tape = past.attempts[0].tape.as_ref().unwrap();
        assert_eq!((past.attempts[0].result.is_ok(), tape.unfit), (true, unfit), "{node} {input}");
    }
}

#[tokio::test]
async fn clocks_tell_the_same_again_and_numbers_are_not_recorded() {
    let sandbox = sandbox(2);
    for clock in [Clock::Coarse(Duration::from_nanos(1)), Clock::Fixed(Duration::from_secs(9))] {
        let grants = Grants { clock: Some(clock), ..Grants::default() };
        let (flow, past) = granted(&sandbox, floe_tests::WANTS_CLOCK, "times", &grants, "20").await;
        let now = repeat(&sandbox, &flow, &past, &past.attempts[0]).await;
        assert_eq!(now.result, past.attempts[0].result);
    }
    let grants = Grants { random: true, ..Grants::default() };
    let (flow, past) = granted(&sandbox, floe_tests::WANTS_RANDOM, "numbers", &grants, "9").await;
    assert_eq!(past.attempts[0].tape.as_ref().unwrap().answers, []);
    let now = repeat(&sandbox, &flow, &past, &past.attempts[0]).await;
    assert_eq!(now.result, past.attempts[0].result);
}
