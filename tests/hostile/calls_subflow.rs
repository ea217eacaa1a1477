//! A plugin that runs flows: those that it was granted and no others, within its own trace's budget, and no longer than its call.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_egress::secrets::{Secret, Secrets};
use floe_flow::{
    Budget, Config, End, Failure, FailureKind, Flow, Graph, Invoke, Item, Outcome, Output, Policy, Receipt, Report, SubflowNode,
    Submission, Terminal, native,
};
use floe_sandbox::{Error, Grants, Limits, Sandbox};
use serde_json::{Value, json};

use crate::support::asking::VALUE;
use crate::support::{limits, load, policy, sandbox, soon};

pub(crate) const GUEST: &str = floe_tests::CALLS_SUBFLOW;

/// A flow with the plugin's node `ask`, and its subflow `inner`, whose one node is the given one.
struct Asking {
    flow: Flow,
    _sandbox: Sandbox,
}

impl Asking {
    async fn new(inner: Arc<dyn Invoke>, change: impl FnOnce(&mut Config)) -> Self {
        Self::within(&Limits { fuel: 1_000_000_000, ..limits() }, inner, change).await
    }

    async fn within(limits: &Limits, inner: Arc<dyn Invoke>, change: impl FnOnce(&mut Config)) -> Self {
        let mut called = Graph::builder("inner");
        called.run("work", inner, policy());
        Self::of(limits, policy(), called.build().unwrap(), change).await
    }

    async fn of(limits: &Limits, policy: Policy, inner: Graph, change: impl FnOnce(&mut Config)) -> Self {
        let sandbox = sandbox(2, 2);
        let granted: BTreeSet<String> = ["inner", "undeclared"].map(str::to_owned).into();
        // With a secret, whose value nobody else may learn.
        let secret = Secret::try_new("api", VALUE, Vec::new(), b"key").unwrap();
        let secrets = Secrets::try_new(vec![secret]).unwrap();
        let grants = Grants { subflow: Some(granted), secrets, ..Grants::default() };
        let plugin = soon(sandbox.load("asker", &floe_tests::bytes(GUEST), &grants, limits)).await.unwrap();
        let mut config = Config { compute: sandbox.handle().clone(), ..Config::on_current_runtime() };
        change(&mut config);
        let mut graph = Graph::builder("asking");
        graph.subflow("inner", inner, config.budget);
        graph.run("ask", plugin.node("ask", &json!({}).into(), 1).unwrap(), policy);
        Self { flow: Flow::start(graph.build().unwrap(), config), _sandbox: sandbox }
    }

    async fn ask(&self, wanted: Value) -> (Vec<Value>, Terminal) {
        let handle = soon(self.flow.submit(Submission::new("one", "t", wanted.into()))).await.unwrap();
        let (outputs, terminal) = soon(handle.finish()).await;
        (outputs.iter().map(|output| output.value().into_owned()).collect(), terminal)
    }
}

fn doubled() -> Arc<dyn Invoke> {
    native(|call| {
        let output = || Output::new(call.message.payload.clone());
        Ok(Outcome::Outputs(vec![output(), output()]))
    })
}

fn error(terminal: &Terminal) -> (&str, &str) {
    let error = terminal.error.as_ref().unwrap_or_else(|| panic!("{terminal:?}"));
    (&error.code, &error.message)
}

#[tokio::test]
async fn without_a_grant_it_does_not_load() {
    let refused = load(&sandbox(1, 1), (GUEST, "asker"), &limits()).await.unwrap_err();
    assert!(matches!(refused.reason(), Error::NotGranted { .. }), "{refused:?}");
    let lines = "  plugins:\n    asker:\n      grants:\n        subflow: [FLOW]";
    assert!(refused.to_string().ends_with(lines), "{refused}");
}

#[tokio::test]
async fn what_comes_out_of_a_flow_comes_back() {
    let asking = Asking::new(doubled(), |_| {}).await;
    let (outputs, terminal) = asking.ask(json!([["inner", { "a": 1 }], ["inner", "b"]])).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert_eq!(outputs, [json!([[{ "a": 1 }, { "a": 1 }], ["b", "b"]])]);
}

#[tokio::test]
async fn only_what_is_granted_by_name_is_run() {
    let asking = Asking::new(doubled(), |_| {}).await;
    let (_, terminal) = asking.ask(json!([["inner", 1], ["other\u{1b}[2J", 1]])).await;
    let why = "the subflow `other` is not granted; add it to `plugins.asker.grants.subflow`";
    assert_eq!(error(&terminal), ("denied", why));
    let (_, terminal) = asking.ask(json!([["undeclared", 1]])).await;
    assert_eq!(error(&terminal), ("not-found", "the flow has no subflow `undeclared`; declare it under `subflows`"));
}

#[tokio::test]
async fn its_failure_is_the_calls_failure() {
    let fails = native(|_| Err(Failure::new(FailureKind::Unavailable, "not today")));
    let (_, terminal) = Asking::new(fails, |_| {}).await.ask(json!([["inner", 1]])).await;
    assert_eq!(error(&terminal), ("unavailable", "subflow `inner`: not today"));
}

#[tokio::test]
async fn calls_without_end_use_up_the_traces_hops() {
    let asking = Asking::new(doubled(), |config| config.budget.hops = 20).await;
    let (_, terminal) = asking.ask(vec![json!(["inner", 1]); 1000].into()).await;
    assert_eq!(terminal.end, End::BudgetExhausted);
    assert!(error(&terminal).1.starts_with("budget `hops` used up: 20 of 20"), "{terminal:?}");
}

/// Says that it used so much fuel.
#[derive(Debug)]
struct Burns(u64);

impl Invoke for Burns {
    fn invoke(&self, _: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
        let receipt = Receipt { fuel: self.0, ..Receipt::default() };
        Box::pin(async move { Report { receipt, ..Report::from(Ok(Outcome::Outputs(Vec::new()))) } })
    }
}

#[tokio::test]
async fn calls_within_one_call_share_the_traces_fuel() {
    let asking = Asking::new(Arc::new(Burns(60_000_000)), |config| config.budget.fuel = Some(100_000_000)).await;
    let (_, terminal) = asking.ask(vec![json!(["inner", 1]); 20].into()).await;
    assert_eq!(terminal.end, End::BudgetExhausted, "{terminal:?}");
    let detail = terminal.error.unwrap().detail.unwrap();
    assert_eq!(detail["used"], json!(100_000_000), "two calls, and not twenty");
    // One that fits is counted once.
    let (_, terminal) = asking.ask(json!([["inner", 1]])).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
}

#[tokio::test]
async fn what_its_calls_use_is_its_own_use() {
    let limits = Limits { fuel: 100_000_000, calls: 3, ..limits() };
    let asking = Asking::within(&limits, Arc::new(Burns(60_000_000)), |_| {}).await;
    let (_, terminal) = asking.ask(vec![json!(["inner", 1]); 2].into()).await;
    let why = "limit `fuel` reached: used 100000000 of 100000000; raise it with `plugins.asker.limits.fuel`";
    assert_eq!(error(&terminal), ("exhausted", why));
    let asking = Asking::within(&limits, doubled(), |_| {}).await;
    let (_, terminal) = asking.ask(vec![json!(["inner", 1]); 3].into()).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    let (_, terminal) = asking.ask(vec![json!(["inner", 1]); 4].into()).await;
    let why = "limit `calls` reached: used 4 of 3; raise it with `plugins.asker.limits.calls`";
    assert_eq!(error(&terminal), ("exhausted", why));
}

#[tokio::test]
async fn what_comes_back_is_bounded() {
    let many = native(|_| Ok(Outcome::Outputs((0..100).map(|n| Output::new(json!("x".repeat(n)).into())).collect())));
    let asking = Asking::new(Arc::clone(&many), |config| config.budget.payload = 2000).await;
    let (_, terminal) = asking.ask(json!([["inner", 1]])).await;
    let (code, message) = error(&terminal);
    assert_eq!((terminal.end, code), (End::Failed, "exhausted"));
    assert!(message.starts_with("limit `payload` reached: used 2") && message.ends_with("`budget.payload`"), "{message}");
    let asking = Asking::new(many, |config| config.budget.messages = 60).await;
    let (_, terminal) = asking.ask(json!([["inner", 1]])).await;
    assert_eq!(error(&terminal).0, "exhausted", "{terminal:?}");
    assert_eq!(asking.flow.in_flight(), 0);
}

/// Never ends by itself.
#[derive(Debug)]
struct Hangs;

impl Invoke for Hangs {
    fn invoke(&self, _: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1 << 20)).await;
            Ok(Outcome::Outputs(Vec::new())).into()
        })
    }
}

/// Says that it made so many calls and used a million times as much fuel, and passes its message on; or never ends.
#[derive(Debug)]
struct Step {
    uses: u32,
    hangs: fn(&Value) -> bool,
}

impl Invoke for Step {
    fn invoke(&self, call: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
        Box::pin(async move {
            if (self.hangs)(&call.message.payload.value()) {
                std::future::pending::<()>().await;
            }
            let receipt = Receipt { fuel: 1_000_000 * u64::from(self.uses), calls: self.uses, ..Receipt::default() };
            Report { receipt, ..Report::from(Ok(Outcome::one(call.message.payload.clone()))) }
        })
    }
}

/// A call that is cut off leaves no report; what its subflows had used is used all the same: of one that has come back, and of one that
/// has not. Otherwise it could be used again with each attempt.
#[tokio::test]
async fn what_subflows_used_is_booked_when_their_caller_is_cut_off() {
    let short = Duration::from_millis(300);
    let by_policy = Policy { timeout: Some(short), retries: 9, ..policy() };
    let by_limit = Policy { retries: 9, ..policy() };
    let back = || vec![Step { uses: 60, hangs: |payload| payload == "hang" }];
    let running = || vec![Step { uses: 60, hangs: |_| false }, Step { uses: 0, hangs: |_| true }];
    let few = [|budget: &mut Budget| budget.fuel = Some(100_000_000), |budget: &mut Budget| budget.calls = Some(100)];
    for (policy, wall) in [(by_policy, limits().wall), (by_limit, short)] {
        for limit in few {
            for (wanted, steps) in [(json!([["inner", 1], ["inner", "hang"]]), back()), (json!([["inner", 1]]), running())] {
                let (mut inner, names) = (Graph::builder("inner"), ["first", "second"]);
                let names = &names[..steps.len()];
                for (name, step) in names.iter().zip(steps) {
                    inner.run(name, Arc::new(step), crate::support::policy());
                }
                inner.chain(names);
                let limits = Limits { fuel: 1_000_000_000, calls: 1000, wall, ..limits() };
                let asking = Asking::of(&limits, policy.clone(), inner.build().unwrap(), |config| limit(&mut config.budget));
                let (_, terminal) = asking.await.ask(wanted.clone()).await;
                assert_eq!(terminal.end, End::BudgetExhausted, "{wanted} {terminal:?}");
            }
        }
    }
}

/// A call that is dropped before it could say what it used has used it all the same.
#[tokio::test]
async fn what_a_call_used_is_booked_when_its_flow_is_dropped() {
    let sandbox = sandbox(2, 2);
    let endless = Limits { fuel: u64::MAX / 4, ..limits() };
    let evil = load(&sandbox, (floe_tests::EVIL, "evil"), &endless).await.unwrap();
    let mut config = Config { compute: sandbox.handle().clone(), ..Config::on_current_runtime() };
    let inner_budget = config.budget;
    // Enough calls to the host for one attempt, and not for two.
    config.budget.host_calls = Some(100);
    let (mut inner, mut outer) = (Graph::builder("inner"), Graph::builder("outer"));
    inner.run("never", evil.node("exact", &json!({}).into(), 1).unwrap(), policy());
    outer.subflow("inner", inner.build().unwrap(), inner_budget);
    let short = Policy { timeout: Some(Duration::from_millis(300)), retries: 9, ..policy() };
    outer.run("drops", Arc::new(SubflowNode::new("inner")), short);
    let flow = Flow::start(outer.build().unwrap(), config);
    let plan = json!({ "logs": vec![json!(["x", []]); 60], "end": "never" });
    let handle = soon(flow.submit(Submission::new("one", "t", plan.into()))).await.unwrap();
    let (_, terminal) = soon(handle.finish()).await;
    assert_eq!(terminal.end, End::BudgetExhausted, "{terminal:?}");
}

/// Whatever a plugin knows of a secret's value, what it calls with does not have it.
#[tokio::test]
async fn a_payload_has_no_value_of_a_secret() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = {
        let heard = Arc::clone(&heard);
        native(move |call| {
            heard.lock().unwrap().push(call.message.payload.text().to_owned());
            Ok(Outcome::one(json!(1).into()))
        })
    };
    let asking = Asking::new(hear, |_| {}).await;
    let (_, terminal) = asking.ask(json!([["inner", { "a": [VALUE], VALUE: 1 }], ["inner", VALUE]])).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    for text in heard.lock().unwrap().iter() {
        assert!(!text.contains("s3cret") && text.contains("***************"), "{text}");
    }
    assert_eq!(heard.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn it_ends_with_its_call() {
    let asking = Asking::new(Arc::new(Hangs), |_| {}).await;
    let submission = Submission::new("one", "t", json!([["inner", 1]]).into());
    let mut handle = soon(asking.flow.submit(submission)).await.unwrap();
    assert!(handle.cancel());
    let item = soon(handle.next()).await;
    assert!(matches!(item, Some(Item::End(Terminal { end: End::Cancelled, .. }))), "{item:?}");
    // Returns when nothing of the flow and its subflows runs any more.
    soon(asking.flow.stop(Duration::ZERO)).await;
}
