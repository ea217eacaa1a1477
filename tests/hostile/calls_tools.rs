//! A plugin that calls tools: those that it was granted and no others, on what its own call has left, and never in a circle.

use std::collections::BTreeSet;
use std::time::Duration;

use floe_egress::secrets::{Secret, Secrets};
use floe_flow::{Config, End, Flow, Graph, Policy, Schema, Submission, Terminal, Tool};
use floe_sandbox::{Error, Grants, Limits, Plugin, Sandbox};
use serde_json::{Value, json};

use crate::support::asking::VALUE;
use crate::support::{limits, load, policy, sandbox, soon};

pub(crate) const GUEST: &str = floe_tests::CALLS_TOOLS;

/// Fuel of the caller: several times what a test needs.
const FUEL: u64 = 400_000_000;

/// A flow with a node of the plugin `asker`, which may call the tools of `helper`, of the same code, and those may call each other's.
struct Asking {
    flow: Flow,
    _sandbox: Sandbox,
}

/// With a secret, whose value nobody else may learn.
fn granted(names: &[&str]) -> Grants {
    let names: BTreeSet<String> = names.iter().map(|name| format!("helper/{name}")).collect();
    let secret = Secret::try_new("api", VALUE, Vec::new(), b"key").unwrap();
    Grants { tools: Some(names), secrets: Secrets::try_new(vec![secret]).unwrap(), ..Grants::default() }
}

impl Asking {
    async fn new(node: &str, change: impl FnOnce(&mut Limits, &mut Config)) -> Self {
        Self::with(node, policy(), change).await
    }

    async fn with(node: &str, policy: Policy, change: impl FnOnce(&mut Limits, &mut Config)) -> Self {
        let sandbox = sandbox(2, 6);
        let mut config = Config { compute: sandbox.handle().clone(), ..Config::on_current_runtime() };
        let mut of_asker = Limits { fuel: FUEL, memory: 64 << 20, ..limits() };
        change(&mut of_asker, &mut config);
        let of_helper = Limits { fuel: (of_asker.fuel / 20).max(20_000_000), ..limits() };
        let load = async |name, limits: &Limits, grants: Grants| -> Plugin {
            soon(sandbox.load(name, &floe_tests::bytes(GUEST), &grants, limits)).await.unwrap()
        };
        let asker = load("asker", &of_asker, granted(&["double", "hear", "relay", "spin", "who-asks", "missing"])).await;
        let helper = load("helper", &of_helper, Grants { secrets: Secrets::default(), ..granted(&["double", "relay"]) }).await;
        let none = json!({}).into();
        let mut graph = Graph::builder("asking");
        graph.run("ask", asker.node(node, &none, 1).unwrap(), policy);
        for spec in &helper.tools {
            let invoke = helper.tool(&spec.name, &none, &none, 1).unwrap();
            let input = Some(Schema::compile(&spec.input).unwrap());
            graph.tool(&format!("helper/{}", spec.name), Tool { invoke, input, output: None });
        }
        Self { flow: Flow::start(graph.build().unwrap(), config), _sandbox: sandbox }
    }

    async fn ask(&self, wanted: Value) -> (Vec<Value>, Terminal) {
        let handle = soon(self.flow.submit(Submission::new("one", "tenant", wanted.into()))).await.unwrap();
        let (outputs, terminal) = soon(handle.finish()).await;
        (outputs.iter().map(|output| output.value().into_owned()).collect(), terminal)
    }

    async fn fails(&self, wanted: Value) -> (String, String) {
        let (_, terminal) = self.ask(wanted).await;
        let error = terminal.error.unwrap_or_else(|| panic!("it does not fail"));
        (error.code, error.message)
    }
}

fn double(n: u64) -> Value {
    json!(["helper/double", { "n": n }])
}

#[tokio::test]
async fn without_a_grant_it_does_not_load() {
    let refused = load(&sandbox(1, 1), (GUEST, "asker"), &limits()).await.unwrap_err();
    assert!(matches!(refused.reason(), Error::NotGranted { .. }), "{refused:?}");
    assert!(refused.to_string().ends_with("      grants:\n        tools: [PLUGIN/TOOL]"), "{refused}");
}

#[tokio::test]
async fn what_a_tool_gives_comes_back() {
    let asking = Asking::new("ask", |_, _| {}).await;
    let (outputs, terminal) =
        asking.ask(json!([double(1), ["helper/relay", { "tool": "helper/double", "with": { "n": 4 } }], double(2)])).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert_eq!(outputs, [json!([2, 8, 4])]);
    // It is called for the same tenant, each call with a key of its own.
    let (outputs, _) = asking.ask(json!([["helper/who-asks", {}], ["helper/who-asks", {}]])).await;
    let (first, second) = (&outputs[0][0], &outputs[0][1]);
    assert_eq!((&first[0], &first[2]), (&json!("tenant"), &json!(1)));
    assert!(first[1] != second[1] && first[1] != "0000000000000000", "{outputs:?}");
    let (again, _) = asking.ask(json!([["helper/who-asks", {}], ["helper/who-asks", {}]])).await;
    assert_eq!(outputs, again, "the keys are the same when the call is made again");
}

#[tokio::test]
async fn several_run_at_once_and_answer_in_order() {
    let asking = Asking::new("ask-all", |_, _| {}).await;
    let (outputs, terminal) = asking
        .ask(json!([double(1), ["other/tool", {}], double(3), ["helper/double", { "m": 1 }], ["helper/missing", {}]]))
        .await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    let answers = outputs[0].as_array().unwrap();
    assert_eq!((&answers[0], &answers[2]), (&json!(2), &json!(6)));
    assert_eq!(answers[1], "the tool `other/tool` is not granted; add it to `plugins.asker.grants.tools`");
    let why = answers[3].as_str().unwrap();
    assert!(why.starts_with("the arguments do not fit the tool `helper/double`: "), "{why}");
    assert_eq!(answers[4], "the flow has no tool `helper/missing`");
}

#[tokio::test]
async fn only_what_is_granted_by_name_is_called() {
    let asking = Asking::new("ask", |_, _| {}).await;
    let why = "the tool `other/double` is not granted; add it to `plugins.asker.grants.tools`";
    assert_eq!(asking.fails(json!([["other/double", { "n": 1 }]])).await, ("denied".to_owned(), why.to_owned()));
    // Who is called has its own rights, and not those of its caller.
    let why = "tool `helper/relay`: the tool `helper/spin` is not granted; add it to `plugins.helper.grants.tools`";
    assert_eq!(
        asking.fails(json!([["helper/relay", { "tool": "helper/spin", "with": {} }]])).await,
        ("denied".to_owned(), why.to_owned())
    );
    let (code, message) = asking.fails(json!([["\u{1b}[31mevil", 1]])).await;
    assert!(code == "denied" && !message.contains('\u{1b}'), "{message}");
}

#[tokio::test]
async fn no_tool_calls_itself_by_others_either() {
    let asking = Asking::new("ask", |_, _| {}).await;
    let (code, message) = asking
        .fails(json!([["helper/relay", { "tool": "helper/relay", "with": { "tool": "helper/double", "with": { "n": 1 } } }]]))
        .await;
    assert_eq!(code, "denied");
    assert!(message.contains("the tool `helper/relay` is running for this call already"), "{message}");
}

#[tokio::test]
async fn what_tools_use_is_the_callers_use() {
    // Its own limit ends the tool, and the caller goes on.
    let asking = Asking::new("ask-all", |_, _| {}).await;
    let (outputs, _) = asking.ask(json!([["helper/spin", {}], double(2)])).await;
    let why = "tool `helper/spin`: limit `fuel` reached: used 20000000 of 20000000; raise it with `plugins.helper.limits.fuel`";
    assert_eq!(outputs[0], json!([why, 4]));
    // A tool has no more than its caller has left.
    let asking = Asking::new("ask", |limits, _| limits.fuel = 10_000_000).await;
    let (code, message) = asking.fails(json!([["helper/spin", {}]])).await;
    assert_eq!(code, "exhausted", "{message}");
    let asking = Asking::new("ask", |limits, _| limits.calls = 2).await;
    let (code, message) = asking.fails(json!([double(1), double(1), double(1)])).await;
    let why = "limit `calls` reached: used 3 of 2; raise it with `plugins.asker.limits.calls`";
    assert_eq!((code.as_str(), message.as_str()), ("exhausted", why));
    // And all of them no more than the trace.
    let asking = Asking::new("ask-all", |_, config| config.budget.fuel = Some(30_000_000)).await;
    let (_, terminal) = asking.ask(json!([["helper/spin", {}], ["helper/spin", {}], ["helper/spin", {}]])).await;
    assert!(matches!(terminal.end, End::BudgetExhausted | End::Completed), "{terminal:?}");
    let asking = Asking::new("ask", |_, config| config.budget.fuel = Some(30_000_000)).await;
    let (_, terminal) = asking.ask(json!([double(1), double(1)])).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
}

/// A call that is cut off leaves no report; what its tools had taken is used all the same, or it could be used again and again.
#[tokio::test]
async fn what_tools_had_taken_is_booked_when_their_caller_is_cut_off() {
    let short = Duration::from_millis(300);
    let by_policy = Policy { timeout: Some(short), retries: 9, ..policy() };
    let by_limit = Policy { retries: 9, ..policy() };
    for (policy, wall) in [(by_policy, limits().wall), (by_limit, short)] {
        // Fuel for as long as it may spin; and calls to the host for one attempt, and not for two.
        let asking = Asking::with("ask", policy, |limits, config| {
            (limits.fuel, limits.wall) = (u64::MAX / 4, wall);
            config.budget.host_calls = Some(100);
        });
        let (_, terminal) = asking.await.ask(json!([["helper/spin", { "asks": 60 }]])).await;
        assert_eq!(terminal.end, End::BudgetExhausted, "{terminal:?}");
        assert_eq!(terminal.error.unwrap().detail.unwrap()["limit"], json!("host_calls"));
    }
}

/// Whatever a plugin knows of a secret's value, its arguments do not have it.
#[tokio::test]
async fn arguments_have_no_value_of_a_secret() {
    for node in ["ask", "ask-all"] {
        let asking = Asking::new(node, |_, _| {}).await;
        let (outputs, terminal) = asking
            .ask(json!([["helper/hear", { "a": [VALUE], VALUE: 1 }], ["helper/hear", { "b": format!("<{VALUE}>") }]]))
            .await;
        assert_eq!(terminal.end, End::Completed, "{terminal:?}");
        // What it heard, a character apart from the next, so that nobody takes anything out of it.
        let heard = outputs[0].to_string().replace("\\n", "");
        assert!(!heard.contains("s3cret") && heard.contains("***************"), "{heard}");
    }
}

#[tokio::test]
async fn a_call_that_is_cancelled_takes_its_tools_along() {
    // Fuel for so long that its tool is still running when it is cancelled, however late this thread comes to that.
    let asking = Asking::new("ask", |limits, _| limits.fuel = u64::MAX / 4).await;
    let submission = Submission::new("one", "tenant", json!([["helper/spin", {}]]).into());
    let handle = soon(asking.flow.submit(submission)).await.unwrap();
    assert!(handle.cancel());
    let (_, terminal) = soon(handle.finish()).await;
    assert_eq!(terminal.end, End::Cancelled);
    // Returns when nothing of the flow runs any more.
    soon(asking.flow.stop(Duration::ZERO)).await;
}
