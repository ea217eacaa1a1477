//! One budget for a trace and all that its calls cause: however they run beside and below each other, the parts never use more in
//! sum than was left to the whole.

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::{
    Account, Amounts, Budget, Call, Config, End, EventKind, Failure, FailureKind, Flow, Graph, Invoke, MapNode, Outcome, Policy,
    Receipt, Report, Resource, SubflowNode, SubflowRequest, Submission,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Recorder, policy, run, split, start_with};

/// Takes what its message says, keeps it for a while, uses a part of it, and hands a part on to subflows, which do the same.
#[derive(Debug, Default)]
struct Takes {
    /// Memory of all that run now, and the most that ever was.
    memory: Mutex<(u64, u64)>,
}

/// Memory that a call has, until it ends or is dropped.
struct Held<'a>(&'a Mutex<(u64, u64)>, u64);

impl<'a> Held<'a> {
    fn new(memory: &'a Mutex<(u64, u64)>, bytes: u64) -> Self {
        let mut now = memory.lock().unwrap();
        now.0 += bytes;
        now.1 = now.1.max(now.0);
        Self(memory, bytes)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= self.1;
    }
}

fn amounts(of: impl Fn(usize) -> u64) -> Amounts {
    let mut amounts = Amounts::NONE;
    for (index, resource) in Resource::ALL.into_iter().enumerate() {
        amounts[resource] = of(index);
    }
    amounts
}

fn within(used: Amounts, most: Amounts) -> bool {
    Resource::ALL.iter().all(|resource| used[*resource] <= most[*resource])
}

impl Takes {
    async fn take(&self, call: Call) -> Report {
        let plan = call.message.payload.value().into_owned();
        let number = |of: &Value| of.as_u64().unwrap();
        let want = amounts(|index| number(&plan["want"][index]));
        let (given, hold) = call.ctx.hold(want).await;
        assert!(within(given, want));
        let memory = given[Resource::Memory] * number(&plan["share"]) / 100;
        let _held = Held::new(&self.memory, memory);
        tokio::time::sleep(Duration::from_millis(number(&plan["ms"]))).await;
        // A part is used here, the rest is for those that are called.
        let mut own = amounts(|index| given[Resource::ALL[index]] * number(&plan["share"]) / 100);
        own[Resource::Memory] = 0;
        let mut receipt = Receipt::default();
        receipt.add(own, 0);
        for (index, child) in plan["calls"].as_array().into_iter().flatten().enumerate() {
            let mut left = given.less(receipt.amounts());
            left[Resource::Memory] -= memory;
            let allowance = Arc::new(Account::new("plugins.p.limits".into(), left));
            let message = floe_flow::Message { payload: child.clone().into(), ..(*call.message).clone() };
            let name = format!("{index}");
            let request = SubflowRequest { message: &message, call: &name, most: usize::MAX };
            let mut used = Receipt::default();
            let _ = call.ctx.within(Arc::clone(&allowance)).call("inner", &request, &mut used).await;
            assert!(within(used.amounts(), left), "a child used {used:?} of {left:?}");
            assert_eq!(used.amounts(), allowance.used(), "its receipt is what was booked");
            receipt.add(used.amounts(), used.hops);
        }
        Report { receipt, hold, ..Report::from(Ok(Outcome::Outputs(Vec::new()))) }
    }
}

impl Invoke for Takes {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(self.take(call))
    }
}

fn unlimited() -> Budget {
    Config::on_current_runtime().budget
}

/// A flow whose node calls the flow one level below.
fn nested(takes: &Arc<Takes>, levels: u32, budget: Budget) -> Graph {
    let mut graph = Graph::builder("nested");
    let work = Arc::clone(takes) as Arc<dyn Invoke>;
    let items = MapNode::new(Arc::clone(&work), NonZeroUsize::new(3).unwrap());
    graph.run("split", split(), policy()).run("work", work, Policy::with_concurrency(3));
    // The same work as items of a map, and as a subflow.
    graph.run("items", Arc::new(items), Policy::with_concurrency(2)).run("again", split(), policy());
    graph.run("sub", Arc::new(SubflowNode::new("leaf")), Policy::with_concurrency(2));
    graph.chain(&["split", "work"]).chain(&["items"]).chain(&["again", "sub"]);
    let mut leaf = Graph::builder("leaf");
    leaf.run("work", Arc::clone(takes) as _, policy());
    graph.subflow("leaf", leaf.build().unwrap(), budget);
    graph.subflow("inner", below(takes, levels, budget), budget);
    graph.build().unwrap()
}

fn below(takes: &Arc<Takes>, levels: u32, budget: Budget) -> Graph {
    let mut graph = Graph::builder("inner");
    graph.run("work", Arc::clone(takes) as _, policy());
    if levels > 0 {
        graph.subflow("inner", below(takes, levels - 1, budget), budget);
    }
    graph.build().unwrap()
}

fn plan(depth: u32) -> BoxedStrategy<Value> {
    let node = (proptest::collection::vec(0u64..60, Resource::ALL.len()), 0u64..=100, 1u64..20);
    let leaf = node.clone().prop_map(|(want, share, ms)| json!({ "want": want, "share": share, "ms": ms }));
    if depth == 0 {
        return leaf.boxed();
    }
    (node, proptest::collection::vec(plan(depth - 1), 0..3))
        .prop_map(|((want, share, ms), calls)| json!({ "want": want, "share": share, "ms": ms, "calls": calls }))
        .boxed()
}

/// Runs the plans, and returns what the trace used in sum, the most memory at once, and how it ended.
async fn used(plans: Value, limit: u64, inner: Option<u64>) -> (Amounts, u64, End) {
    let limited = |limit: Option<u64>| Budget {
        fuel: limit,
        memory: limit,
        host_calls: limit,
        log_lines: limit,
        emits: limit,
        calls: limit,
        state_writes: limit,
        requests: limit,
        egress_bytes: limit,
        ..unlimited()
    };
    let (takes, recorder) = (Arc::new(Takes::default()), Arc::new(Recorder::default()));
    let config = Config { budget: limited(Some(limit)), observer: Some(recorder.clone()), ..Config::on_current_runtime() };
    let flow = Flow::start(nested(&takes, 3, limited(inner)), config);
    let handle = flow.submit(Submission::new("trace", "tenant", plans.into())).await.unwrap();
    let (_, terminal) = tokio::time::timeout(Duration::from_secs(3600), handle.finish()).await.expect("nobody waits for ever");
    flow.stop(Duration::ZERO).await;
    let mut sum = Receipt::default();
    for event in recorder.0.lock().unwrap().iter().filter(|event| event.caller.is_none()) {
        if let EventKind::Succeeded { receipt, .. } | EventKind::Failed { receipt, .. } = &event.kind {
            sum.add(receipt.amounts(), 0);
        }
    }
    let memory = takes.memory.lock().unwrap().1;
    (sum.amounts(), memory, terminal.end)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parts_never_use_more_than_the_whole(
        plans in proptest::collection::vec(plan(3), 1..6),
        limit in 20u64..400,
        inner in proptest::option::of(5u64..100),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (used, memory, end) = runtime.block_on(used(json!(plans), limit, inner));
        prop_assert!(within(used, amounts(|_| limit)), "{used:?} of {limit}");
        prop_assert!(memory <= limit, "{memory} bytes at once of {limit}");
        // A subflow that uses up a budget of its own fails its caller.
        let failed = inner.is_some() && end == End::Failed;
        prop_assert!(failed || matches!(end, End::Completed | End::BudgetExhausted), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_want_more_than_is_left_wait_for_each_other() {
    // Each wants 60 of 100 and uses 30: one after the other, all three get what they need.
    let takes = Arc::new(Takes::default());
    let plan = json!({ "want": [60, 60, 0, 0, 0, 0, 0, 0, 0], "share": 50, "ms": 10 });
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("work", takes.clone(), Policy::with_concurrency(3)).chain(&["split", "work"]);
    let flow = start_with(graph, |config| (config.budget.fuel, config.budget.memory) = (Some(100), Some(100)));
    let began = tokio::time::Instant::now();
    let (_, terminal) = run(&flow, json!([plan, plan, plan])).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    // The third finds 40 of 100, and nobody who could give something back: it lives on that.
    assert_eq!(began.elapsed(), Duration::from_millis(30));
    assert_eq!(takes.memory.lock().unwrap().1, 30);
}

/// Fails as a plugin does that has reached what its trace had left.
#[derive(Debug)]
struct Reaches;

impl Invoke for Reaches {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let (given, hold) = call.ctx.hold(amounts(|_| 10)).await;
            let mut receipt = Receipt::default();
            receipt.add(given, 0);
            let failure = Failure::limit(FailureKind::Exhausted, "budget.requests", 5, 4, "`budget.requests`");
            Report { receipt, hold, ..Report::from(Err(failure)) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_reaches_the_traces_budget_ends_the_trace_and_says_what_raises_it() {
    let mut graph = Graph::builder("test");
    graph.run("work", Arc::new(Reaches), policy());
    let flow = start_with(graph, |config| config.budget.requests = Some(4));
    let (_, terminal) = run(&flow, json!(1)).await;
    assert_eq!(terminal.end, End::BudgetExhausted);
    let error = terminal.error.unwrap();
    assert_eq!(error.message, "budget `requests` used up: 4 of 4; raise it with `budget.requests`");
    assert_eq!(error.detail, Some(json!({ "limit": "requests", "used": 4, "max": 4 })));
}
