//! Tenants that share the slots of a node: none has all of them, whatever its calls do, and none waits beside one that is free for it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Backoff, Budget, Call, Config, End, Failure, FailureKind, Flow, Graph, Handle, Invoke, OnFailure, Outcome, Policy, Report,
    SubflowNode, Submission,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::notebook::Notebook;
use crate::support::{payload, split, start_with};

const PAUSE: Duration = Duration::from_millis(50);

/// Longer than anything here takes, if nothing hangs for good.
const LONG: Duration = Duration::from_secs(100_000);

/// Takes `[millis, failures]`: waits that long, or for ever without a number, and fails at the first attempts. Knows who runs, and
/// who should.
#[derive(Debug)]
struct Work {
    slots: usize,
    /// Slots that a tenant may have.
    most: usize,
    retries: u32,
    ordered: bool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    traces: BTreeMap<String, Course>,
    mistakes: Vec<String>,
}

/// What a trace has at the node.
#[derive(Debug, Clone)]
struct Course {
    tenant: String,
    /// Messages that are not done with.
    left: usize,
    running: usize,
    /// When failed ones come back.
    parked: Vec<Instant>,
    ended: bool,
}

impl Seen {
    fn running(&self, tenant: &str) -> usize {
        self.traces.values().filter(|course| course.tenant == tenant).map(|course| course.running).sum()
    }

    fn all_running(&self) -> usize {
        self.traces.values().map(|course| course.running).sum()
    }
}

impl Work {
    fn new(slots: usize, spare: bool) -> Self {
        let most = if spare && slots > 1 { slots - 1 } else { slots };
        Self { slots, most, retries: 0, ordered: false, seen: Mutex::default() }
    }

    fn expect(&self, trace: &str, tenant: &str, messages: usize) {
        let course = Course { tenant: tenant.to_owned(), left: messages, running: 0, parked: Vec::new(), ended: false };
        self.seen.lock().unwrap().traces.insert(trace.to_owned(), course);
    }

    fn running(&self, tenant: &str) -> usize {
        self.seen.lock().unwrap().running(tenant)
    }

    fn cancel(&self, handle: &Handle) {
        self.seen.lock().unwrap().traces.get_mut(&*handle.origin().trace).unwrap().ended = true;
        handle.cancel();
    }

    fn begin<'w>(&'w self, call: &Call) -> Running<'w> {
        let mut seen = self.seen.lock().unwrap();
        let (trace, tenant) = (call.ctx.origin().trace.to_string(), call.ctx.origin().tenant.to_string());
        let course = seen.traces.get_mut(&trace).unwrap();
        course.running += 1;
        if call.attempt > 1 {
            course.parked.remove(0);
        }
        let (all, own) = (seen.all_running(), seen.running(&tenant));
        if all > self.slots || own > self.most {
            seen.mistakes.push(format!("{all} calls run, {own} of them of {tenant}"));
        }
        Running { work: self, trace, again: call.attempt <= self.retries }
    }

    /// When nothing is left to do just now: whoever waits for a slot may not have one.
    fn check(&self) {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.mistakes, Vec::<String>::new());
        // A timer may be late by its grain.
        let sure = Instant::now() - Duration::from_millis(2);
        for (trace, course) in seen.traces.iter().filter(|(_, course)| !course.ended) {
            let parked = course.parked.iter().filter(|until| **until >= sure).count();
            let busy = course.running + parked;
            let waits = course.left > busy && !(self.ordered && busy > 0);
            let (all, own) = (seen.all_running(), seen.running(&course.tenant));
            assert!(
                !waits || all == self.slots || own == self.most,
                "{trace} of {} waits, which has {own} of {} slots; {all} are taken: {course:?}",
                course.tenant,
                self.slots
            );
        }
    }
}

/// A call under way.
struct Running<'w> {
    work: &'w Work,
    trace: String,
    /// If it fails, it is made again.
    again: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut seen = self.work.seen.lock().unwrap();
        let course = seen.traces.get_mut(&self.trace).unwrap();
        course.running -= 1;
        if self.again {
            course.parked.push(Instant::now() + PAUSE);
        } else {
            course.left -= 1;
        }
    }
}

impl Invoke for Work {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let mut running = self.begin(&call);
            let item = call.message.payload.value();
            match item[0].as_u64() {
                Some(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                None => std::future::pending().await,
            }
            if u64::from(call.attempt) <= item[1].as_u64().unwrap() {
                return Report::from(Err(Failure::new(FailureKind::Unavailable, "planned")));
            }
            running.again = false;
            Report::from(Ok(Outcome::one(json!(null).into())))
        })
    }
}

/// Items of an array come to `work`, all at once.
fn graph(work: &Arc<Work>, queue: usize, policy: Policy) -> Builder {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), Policy::with_concurrency(1000)).run("work", work.clone(), policy).edge("split", "work", queue);
    graph
}

fn flow(work: &Arc<Work>, spare: bool) -> Flow {
    start_with(graph(work, 100, Policy::with_concurrency(work.slots)), |config| config.spare_slot = spare)
}

async fn send(flow: &Flow, work: &Work, trace: &str, tenant: &str, items: Value) -> Handle {
    work.expect(trace, tenant, items.as_array().unwrap().len());
    flow.submit(Submission::new(trace, tenant, payload(items))).await.unwrap()
}

/// How it ends, if it does.
async fn end(handle: Handle) -> End {
    tokio::time::timeout(LONG, handle.finish()).await.expect("no trace hangs").1.end
}

fn items(count: usize, item: &Value) -> Value {
    vec![item.clone(); count].into()
}

fn hanging(count: usize) -> Value {
    items(count, &json!([null, 0]))
}

/// Lets some virtual time pass, and then whatever is to be done at once be done.
async fn millis(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

// === a slot for others ===

#[tokio::test(start_paused = true)]
async fn calls_of_one_tenant_that_hang_leave_a_slot_for_others() {
    for traces in [1, 10] {
        let work = Arc::new(Work::new(4, true));
        let flow = flow(&work, true);
        let mut greedy = Vec::new();
        for trace in 0..traces {
            greedy.push(send(&flow, &work, &format!("greedy-{trace}"), "greedy", hanging(10 / traces)).await);
        }
        millis(1).await;
        assert_eq!(work.running("greedy"), 3);
        let began = Instant::now();
        // One after the other has the slot that was left.
        for trace in 0..3 {
            let single = send(&flow, &work, &format!("single-{trace}"), "other", json!([[0, 0]])).await;
            assert_eq!(end(single).await, End::Completed);
        }
        assert!(began.elapsed() < Duration::from_millis(10), "it waited {:?}", began.elapsed());
        assert_eq!(work.running("greedy"), 3);
        work.check();
        drop(greedy);
        millis(1).await;
        assert_eq!((work.running("greedy"), flow.in_flight()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn where_tenants_do_not_share_one_has_all_slots() {
    let work = Arc::new(Work::new(4, false));
    let flow = flow(&work, false);
    let greedy = send(&flow, &work, "greedy", "greedy", hanging(10)).await;
    millis(1).await;
    assert_eq!(work.running("greedy"), 4);
    let single = send(&flow, &work, "single", "other", json!([[0, 0]])).await;
    millis(3_600_000).await;
    assert_eq!((flow.in_flight(), work.running("other")), (2, 0));
    greedy.cancel();
    assert_eq!(end(single).await, End::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_node_with_one_slot_cannot_be_shared() {
    let work = Arc::new(Work::new(1, true));
    let flow = flow(&work, true);
    let greedy = send(&flow, &work, "greedy", "greedy", hanging(2)).await;
    let single = send(&flow, &work, "single", "other", json!([[0, 0]])).await;
    millis(3_600_000).await;
    assert_eq!((work.running("greedy"), work.running("other")), (1, 0));
    greedy.cancel();
    assert_eq!(end(single).await, End::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_alone_goes_on_with_what_it_may_have() {
    let work = Arc::new(Work::new(4, true));
    let flow = flow(&work, true);
    let began = Instant::now();
    let all = send(&flow, &work, "trace", "tenant", items(12, &json!([1000, 0]))).await;
    assert_eq!(end(all).await, End::Completed);
    assert_eq!(began.elapsed().as_secs(), 4, "three at a time");
    // It gave back what it had: others, and itself anew, have as many.
    for tenant in ["other", "tenant"] {
        let trace = send(&flow, &work, &format!("{tenant}-hangs"), tenant, hanging(5)).await;
        millis(1).await;
        assert_eq!(work.running(tenant), 3);
        work.cancel(&trace);
        end(trace).await;
        millis(1).await;
        assert_eq!(work.running(tenant), 0);
    }
    work.check();
}

#[tokio::test(start_paused = true)]
async fn of_two_slots_each_of_two_tenants_has_one() {
    let work = Arc::new(Work::new(2, true));
    let flow = flow(&work, true);
    let began = Instant::now();
    let one = send(&flow, &work, "one", "one", items(5, &json!([1000, 0]))).await;
    let two = send(&flow, &work, "two", "two", items(3, &json!([1000, 0]))).await;
    millis(1).await;
    assert_eq!((work.running("one"), work.running("two")), (1, 1));
    end(two).await;
    assert_eq!(began.elapsed().as_secs(), 3);
    millis(1).await;
    // What the other left is for whoever else may come.
    assert_eq!(work.running("one"), 1);
    end(one).await;
    assert_eq!(began.elapsed().as_secs(), 5);
}

/// A tenant that has all that it may have is passed over and keeps its turn: what others are served meanwhile is not taken from it.
#[tokio::test(start_paused = true)]
async fn weights_hold_where_tenants_share() {
    let work = Arc::new(Work::new(3, true));
    let flow = start_with(graph(&work, 1000, Policy::with_concurrency(3)), |config| {
        (config.spare_slot, config.reader) = (true, 1000);
        config.weights =
            [("heavy", 3), ("light", 1)].map(|(name, weight)| (name.into(), NonZeroU32::new(weight).unwrap())).into();
    });
    let mut handles = Vec::new();
    for tenant in ["heavy", "light", "other"] {
        handles.push(send(&flow, &work, tenant, tenant, items(300, &json!([1000, 0]))).await);
    }
    millis(100_500).await;
    let left = |tenant: &str| work.seen.lock().unwrap().traces[tenant].left;
    let [heavy, light, other] = ["heavy", "light", "other"].map(|tenant| 300 - left(tenant));
    assert_eq!(heavy + light + other, 300, "no slot is ever free: {heavy} {light} {other}");
    assert!((175..=185).contains(&heavy) && light.abs_diff(other) <= 2, "three of five: {heavy} {light} {other}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_parked_counts_for_nobody() {
    let mut work = Work::new(3, true);
    work.retries = 1;
    let work = Arc::new(work);
    let policy = Policy { retries: 1, backoff: constant(), ..Policy::with_concurrency(3) };
    let flow = start_with(graph(&work, 100, policy), |config| config.spare_slot = true);
    let failing = send(&flow, &work, "failing", "tenant", items(2, &json!([0, 1]))).await;
    millis(1).await;
    assert_eq!(work.running("tenant"), 0);
    let hanging = send(&flow, &work, "hanging", "tenant", hanging(2)).await;
    millis(1).await;
    assert_eq!(work.running("tenant"), 2);
    // Their pause is over, and their tenant has all that it may have.
    millis(1000).await;
    work.check();
    assert_eq!(flow.in_flight(), 2);
    hanging.cancel();
    assert_eq!(end(failing).await, End::Completed);
}

#[tokio::test(start_paused = true)]
async fn nodes_of_a_subflow_are_shared_as_well() {
    let work = Arc::new(Work::new(4, true));
    let mut outer = Graph::builder("outer");
    outer.subflow("inner", graph(&work, 100, Policy::with_concurrency(4)).build().unwrap(), Budget::new(1000, 1000, 1000));
    outer.run("call", Arc::new(SubflowNode::new("inner")), Policy::with_concurrency(100));
    let flow = start_with(outer, |config| config.spare_slot = true);
    for trace in ["greedy", "single"] {
        // The id of a subflow's trace follows from its call.
        work.expect(&format!("{trace}/call.0000000000000000.1.0"), trace, if trace == "single" { 1 } else { 10 });
    }
    let submit = async |trace: &str, items| flow.submit(Submission::new(trace, trace, payload(items))).await.unwrap();
    let greedy = submit("greedy", hanging(10)).await;
    millis(1).await;
    assert_eq!(work.running("greedy"), 3);
    assert_eq!(end(submit("single", json!([[0, 0]])).await).await, End::Completed);
    greedy.cancel();
    end(greedy).await;
}

#[tokio::test(start_paused = true)]
async fn traces_that_are_resumed_leave_a_slot_for_others() {
    let journal = Notebook::new();
    let start = |work: &Arc<Work>| {
        start_with(graph(work, 100, Policy::with_concurrency(4)), |config| {
            (config.spare_slot, config.journal) = (true, Some(journal.clone() as _));
        })
    };
    let work = Arc::new(Work::new(4, true));
    let first = start(&work);
    let mut handles = Vec::new();
    for trace in 0..5 {
        handles.push(send(&first, &work, &format!("greedy-{trace}"), "greedy", hanging(2)).await);
    }
    millis(1000).await;
    assert_eq!(work.running("greedy"), 3);
    first.stop(Duration::ZERO).await;

    let work = Arc::new(Work::new(4, true));
    let second = start(&work);
    let mut handles = Vec::new();
    for trace in 0..5 {
        let trace = format!("greedy-{trace}");
        work.expect(&trace, "greedy", 2);
        handles.push(second.resume(&trace).await.unwrap());
    }
    millis(1000).await;
    assert_eq!(work.running("greedy"), 3);
    let single = send(&second, &work, "single", "other", json!([[0, 0]])).await;
    assert_eq!(end(single).await, End::Completed);
    work.check();
    drop(handles);
    second.stop(Duration::ZERO).await;
}

// === whatever they do ===

#[derive(Debug, Clone)]
struct Plan {
    slots: usize,
    spare: bool,
    queue: usize,
    ordered: bool,
    retries: u32,
    weights: Vec<u32>,
    steps: Vec<(Act, u64)>,
}

#[derive(Debug, Clone)]
enum Act {
    /// Of a tenant, with a priority.
    Submit(usize, i32, Vec<(Option<u64>, u64)>),
    Cancel(usize),
}

fn plans() -> impl Strategy<Value = Plan> {
    // Some calls hang, until the node's time-out.
    let call = (prop_oneof![2 => Just(None), 5 => (0u64..5).prop_map(|n| Some(n * 20))], 0u64..3);
    let act = prop_oneof![
        4 => (0usize..4, -1i32..3, vec(call, 1..7)).prop_map(|(tenant, priority, calls)| Act::Submit(tenant, priority, calls)),
        1 => any::<usize>().prop_map(Act::Cancel),
    ];
    let steps = vec((act, prop_oneof![2 => Just(0), 3 => 1u64..60, 1 => Just(400)]), 1..25);
    (1usize..6, prop::bool::weighted(0.8), 1usize..4, any::<bool>(), 0u32..2, vec(1u32..4, 4), steps).prop_map(
        |(slots, spare, queue, ordered, retries, weights, steps)| {
            // What waits at an ordered node for what is ahead of it keeps its place on the edge from others of its tenant.
            let queue = if ordered { 1000 } else { queue };
            Plan { slots, spare, queue, ordered, retries, weights, steps }
        },
    )
}

fn constant() -> Backoff {
    Backoff { base: PAUSE, factor: 1.0, cap: PAUSE, jitter: false }
}

fn start(plan: &Plan, work: &Arc<Work>) -> Flow {
    let policy = Policy {
        retries: plan.retries,
        backoff: constant(),
        retry_on: vec![FailureKind::Unavailable, FailureKind::TimedOut],
        timeout: Some(Duration::from_millis(300)),
        on_failure: OnFailure::Drop,
        ordered: plan.ordered,
        ..Policy::with_concurrency(plan.slots)
    };
    start_with(graph(work, plan.queue, policy), |config: &mut Config| {
        (config.in_flight, config.in_flight_per_tenant, config.reader) = (1000, 1000, 1000);
        config.spare_slot = plan.spare;
        let weights = plan.weights.iter().enumerate();
        config.weights =
            weights.map(|(tenant, weight)| (format!("t{tenant}").into(), NonZeroU32::new(*weight).unwrap())).collect();
    })
}

async fn act(flow: &Flow, work: &Work, handles: &mut Vec<Handle>, act: &Act) {
    match act {
        Act::Submit(tenant, priority, calls) => {
            let (trace, tenant) = (format!("trace-{}", work.seen.lock().unwrap().traces.len()), format!("t{tenant}"));
            work.expect(&trace, &tenant, calls.len());
            let submission = Submission::new(&trace, &tenant, payload(json!(calls)));
            handles.push(flow.submit(Submission { priority: *priority, ..submission }).await.unwrap());
        }
        Act::Cancel(which) if !handles.is_empty() => {
            let handle = handles.swap_remove(which % handles.len());
            work.cancel(&handle);
        }
        Act::Cancel(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_slot_is_free_while_somebody_waits_who_may_have_it(plan in plans()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let work = Work { retries: plan.retries, ordered: plan.ordered, ..Work::new(plan.slots, plan.spare) };
            let work = Arc::new(work);
            let flow = start(&plan, &work);
            let mut handles = Vec::new();
            for (next, pause) in &plan.steps {
                act(&flow, &work, &mut handles, next).await;
                millis(*pause).await;
                work.check();
            }
            let began = Instant::now();
            while !handles.is_empty() {
                millis(25).await;
                work.check();
                prop_assert!(began.elapsed() < LONG, "a trace hangs");
                let idle = |handle: &Handle| work.seen.lock().unwrap().traces[&*handle.origin().trace].left == 0;
                let (over, rest) = handles.into_iter().partition(|handle| idle(handle));
                handles = rest;
                for handle in over {
                    prop_assert_eq!(end(handle).await, End::Completed);
                }
            }
            flow.stop(Duration::ZERO).await;
            prop_assert_eq!((flow.in_flight(), work.seen.lock().unwrap().all_running()), (0, 0));
            Ok(())
        })?;
    }
}
