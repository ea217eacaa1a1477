//! A stage for one node of a guest: a flow in which it is called, a good node of the same plugin, and a node that it sends to.

pub(crate) mod asking;
mod log;
mod recorder;
mod solo;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use floe_flow::{Budget, Config, End, Flow, Graph, Handle, Invoke, Item, Outcome, Output, Payload, Policy, Submission, native};
use floe_sandbox::{Grants, Limits, Plugin, Profile, Sandbox, Secret};
use serde_json::{Value, json};

pub(crate) use self::log::{Line, lines, operators_lines};
pub(crate) use self::recorder::{Ended, Recorder, attack_started};
pub(crate) use self::solo::{Solo, origin};

/// What a wait that should be short may take before it counts as a hang; never waited for when all is well.
const HANG: Duration = Duration::from_secs(60);
/// Live instances of a stage: one for the attack and one beside it. Whoever leaves one behind is noticed at the third attempt.
pub(crate) const INSTANCES: u32 = 2;
/// Times that an attack is run.
const REPEATS: usize = 3;

/// How a stage is set up.
pub(crate) struct Setup {
    /// The path of the component and the name under which it is loaded.
    pub(crate) guest: (&'static str, &'static str),
    pub(crate) limits: Limits,
    /// The policy of the node under attack.
    pub(crate) policy: Policy,
    /// Calls that one instance of it serves.
    pub(crate) reuse: u32,
    pub(crate) budget: Budget,
    /// Items that a reader may be behind.
    pub(crate) reader: usize,
    pub(crate) threads: usize,
    pub(crate) instances: u32,
}

/// A flow with the nodes `input`, `attack`, `good` and `sink`: the first sends to the node that the topic names, the last takes
/// what the attacker sends on.
pub(crate) struct Stage {
    pub(crate) flow: Flow,
    pub(crate) recorder: Arc<Recorder>,
    _sandbox: Sandbox,
}

/// Small limits, so that attacks are over soon.
pub(crate) fn limits() -> Limits {
    Limits { fuel: 20_000_000, memory: 8 << 20, wall: HANG, ..Limits::profile(Profile::Rust) }
}

/// A sandbox that compiles each guest once for all tests and runs.
pub(crate) fn sandbox(threads: usize, instances: u32) -> Sandbox {
    log::start();
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    let secret = Some(Secret::new([7; 32]));
    let config = floe_sandbox::Config { cache: Some(cache), instances, secret, ..floe_sandbox::Config::new(threads) };
    Sandbox::new(config).unwrap()
}

/// The same, with tenants that have no more than this.
pub(crate) fn sandbox_for(tenants: floe_sandbox::Tenants, instances: u32) -> Sandbox {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    let tenants = Some(tenants);
    Sandbox::new(floe_sandbox::Config { cache: Some(cache), instances, tenants, ..floe_sandbox::Config::new(1) }).unwrap()
}

/// Loads a guest without grants.
pub(crate) async fn load(sandbox: &Sandbox, (path, name): (&str, &str), limits: &Limits) -> Result<Plugin, floe_sandbox::Error> {
    soon(sandbox.load(name, &floe_tests::bytes(path), &Grants::default(), limits)).await
}

/// Waits for what must come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("it hangs")
}

pub(crate) fn policy() -> Policy {
    let mut policy = Policy::with_concurrency(1);
    policy.backoff.base = Duration::from_millis(1);
    policy
}

/// An id that no other trace of this process has.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("trace-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

// === impl Stage ===

impl Stage {
    /// A stage for a node of `evil`.
    pub(crate) async fn new(node: &str, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup {
            guest: (floe_tests::EVIL, "evil"),
            limits: limits(),
            policy: policy(),
            reuse: 1,
            budget: Config::on_current_runtime().budget,
            reader: 64,
            threads: 2,
            instances: INSTANCES,
        };
        change(&mut setup);
        let sandbox = sandbox(setup.threads, setup.instances);
        let plugin = load(&sandbox, setup.guest, &setup.limits).await.unwrap();
        let none = Payload::from(json!({}));
        let attack = plugin.node(node, &none, setup.reuse).unwrap();
        // Of a plugin without a node that is good for this, one of `evil`: then it is a neighbour.
        let good = match plugin.node("slow", &none, 1) {
            Ok(good) => good,
            Err(_) => {
                let evil = load(&sandbox, (floe_tests::EVIL, "evil"), &limits()).await.unwrap();
                evil.node("slow", &none, 1).unwrap()
            }
        };
        let recorder = Arc::new(Recorder::default());
        let config = Config {
            budget: setup.budget,
            reader: setup.reader,
            compute: sandbox.handle().clone(),
            observer: Some(recorder.clone()),
            ..Config::on_current_runtime()
        };
        let flow = Flow::start(graph(attack, good, &setup.policy), config);
        Self { flow, recorder, _sandbox: sandbox }
    }

    /// Sends a payload to a node, as a tenant of its own.
    pub(crate) async fn submit(&self, node: &str, payload: Value) -> Handle {
        self.submit_as("attacker", &unique(), node, payload).await
    }

    pub(crate) async fn submit_as(&self, tenant: &str, trace: &str, node: &str, payload: Value) -> Handle {
        let mut submission = Submission::new(trace, tenant, payload.into());
        submission.topic = Some(node.into());
        soon(self.flow.submit(submission)).await.unwrap()
    }

    /// Reads a trace to its end, and checks that nothing of it happens afterwards.
    pub(crate) async fn finish(&self, mut handle: Handle) -> Ended {
        let trace = Arc::clone(&handle.origin().trace);
        let mut items = Vec::new();
        while let Some(item) = soon(handle.next()).await {
            items.push(item);
        }
        let Some(Item::End(terminal)) = items.pop() else { panic!("the last item of a trace is its end") };
        assert!(items.iter().all(|item| !matches!(item, Item::End(_))), "a trace has one end");
        Ended { terminal, items, events: self.recorder.story(&trace), trace }
    }

    /// Calls the node under attack once.
    pub(crate) async fn call(&self, payload: Value) -> Ended {
        let handle = self.submit("attack", payload).await;
        self.finish(handle).await
    }

    /// Calls the node under attack again and again: each time it ends alike, while a trace beside it completes, and the plugin
    /// serves the next one. The pool has room for two: an instance left behind would change the end.
    pub(crate) async fn attack(&self, payload: Value) -> Ended {
        let mut first: Option<Ended> = None;
        for _ in 0..REPEATS {
            let bystander = self.submit_as("bystander", &unique(), "good", json!(50_000)).await;
            let ended = self.call(payload.clone()).await;
            let beside = self.finish(bystander).await;
            assert_eq!(beside.outputs(), [json!(50_000)], "{:?}", beside.terminal);
            self.serves().await;
            if let Some(first) = &first {
                assert_eq!(first.terminal, ended.terminal, "each attempt ends alike");
            }
            first.get_or_insert(ended);
        }
        assert_eq!(self.flow.in_flight(), 0);
        first.unwrap()
    }

    /// The plugin serves others.
    pub(crate) async fn serves(&self) {
        let good = self.submit_as("good", &unique(), "good", json!(3)).await;
        let ended = self.finish(good).await;
        assert_eq!(ended.outputs(), [json!(3)], "{:?}", ended.terminal);
    }
}

fn graph(attack: Arc<dyn Invoke>, good: Arc<dyn Invoke>, under_attack: &Policy) -> Graph {
    let mut graph = Graph::builder("hostile");
    let input = native(|call| {
        let mut output = Output::new(call.message.payload.clone());
        output.to = vec![call.message.topic.as_deref().unwrap_or("good").to_owned()];
        Ok(Outcome::Outputs(vec![output]))
    });
    let sink = native(|call| Ok(Outcome::one(call.message.payload.clone())));
    graph.run("input", input, policy()).run("attack", attack, under_attack.clone()).run("good", good, policy());
    graph.run("sink", sink, policy());
    graph.chain(&["input", "attack", "sink"]).chain(&["input", "good"]);
    graph.build().unwrap()
}

/// Attacks on fresh stages, with instances that are used once and, if they survive, three times.
pub(crate) async fn attack(node: &str, payload: Value, change: impl Fn(&mut Setup)) -> Ended {
    let change = &change;
    let stage = |reuse| {
        Stage::new(node, move |setup| {
            change(setup);
            setup.reuse = reuse;
        })
    };
    let reused = stage(3).await.attack(payload.clone()).await;
    let fresh = stage(1).await.attack(payload).await;
    assert_eq!(fresh.terminal, reused.terminal, "no instance survives a crash or a limit");
    fresh
}

// === impl Ended ===

impl Ended {
    /// The payloads that left the flow.
    pub(crate) fn outputs(&self) -> Vec<Value> {
        let output = |item: &Item| match item {
            Item::Output { message, .. } => Some(message.payload.value().into_owned()),
            Item::Chunk { .. } | Item::Superseded { .. } | Item::Progress { .. } | Item::End(_) => None,
        };
        self.items.iter().filter_map(output).collect()
    }

    /// It completed and gave this.
    pub(crate) fn gave(&self, outputs: &[Value]) -> &Self {
        assert_eq!((self.terminal.end, &*self.outputs()), (End::Completed, outputs), "{:?}", self.terminal);
        self
    }

    /// It failed with this code and message; there is a receipt, nothing came out and nothing was sent on.
    pub(crate) fn failed(&self, code: &str, message: &str) -> &Self {
        let error = self.error();
        assert_eq!((self.terminal.end, error.code.as_str(), error.message.as_str()), (End::Failed, code, message));
        assert_eq!(error.node.as_deref(), Some("attack"));
        assert!(self.outputs().is_empty());
        assert!(!self.story().iter().any(|step| step.ends_with("sink")), "{:?}", self.story());
        self.has_receipt();
        self
    }

    /// It reached a limit of the plugin; the message names the limit, what was used, what is allowed, and the line that raises it.
    pub(crate) fn reached(&self, limit: &str, max: u64) -> &Self {
        let detail = self.error().detail.clone().expect("a limit has detail");
        let used = detail["used"].as_u64().unwrap();
        assert_eq!(detail, json!({ "limit": limit, "used": used, "max": max }));
        assert!(used >= max, "{used} of {max}");
        let code = if limit == "wall" { "timed-out" } else { "exhausted" };
        let raise = format!("`plugins.evil.limits.{limit}`");
        self.failed(code, &format!("limit `{limit}` reached: used {used} of {max}; raise it with {raise}"))
    }

    /// It used up the trace's budget.
    pub(crate) fn exhausted(&self, budget: &str, max: u64, raise: &str) -> &Self {
        let error = self.error();
        assert_eq!(self.terminal.end, End::BudgetExhausted, "{error:?}");
        let detail = error.detail.as_ref().expect("a budget has detail");
        assert_eq!((&detail["limit"], &detail["max"]), (&json!(budget), &json!(max)));
        let used = &detail["used"];
        assert_eq!(error.message, format!("budget `{budget}` used up: {used} of {max}; raise it with {raise}"));
        self
    }

    fn error(&self) -> &floe_flow::TraceError {
        self.terminal.error.as_ref().unwrap_or_else(|| panic!("it did not fail: {:?} {:?}", self.terminal, self.outputs()))
    }
}
