//! Sandboxes, components written by hand, and calls of one node through a flow of one node.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use floe_flow::{Call, Config, Flow, Graph, Invoke, Payload, Policy, Receipt, Report, Submission, Validate};
use floe_sandbox::{Error, Grants, Limits, Plugin, Profile, Sandbox, Secret};
use tempfile::TempDir;

/// A sandbox with room for `instances`. All share what was compiled, as all use the same few guests.
pub(crate) fn sandbox(instances: u32) -> Sandbox {
    static CACHE: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    let cache = Some(CACHE.path().to_owned());
    let secret = Some(Secret::new([7; 32]));
    Sandbox::new(floe_sandbox::Config { cache, instances, secret, ..floe_sandbox::Config::new(2) }).unwrap()
}

/// The limits of a Rust plugin.
pub(crate) fn limits() -> Limits {
    Limits::profile(Profile::Rust)
}

/// Loads as the plugin `x`, with the default limits and no grants.
pub(crate) async fn load(sandbox: &Sandbox, bytes: &[u8]) -> Result<Plugin, Error> {
    sandbox.load("x", bytes, &Grants::default(), &limits()).await
}

/// The plugin that attacks.
pub(crate) async fn evil(sandbox: &Sandbox, limits: &Limits) -> Plugin {
    sandbox.load("evil", &floe_tests::bytes(floe_tests::EVIL), &Grants::default(), limits).await.unwrap()
}

/// A component from its text.
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A component that exports a node and whose core module is `core`; it runs as the component is instantiated, in `describe`.
pub(crate) fn starting(core: &str) -> Vec<u8> {
    component("", &format!("(core module $m {core} (func (export \"f\"))) (core instance $i (instantiate $m))"))
}

/// A component that exports a node of the core instance `$i`, which exports a function `f`.
pub(crate) fn component(imports: &str, cores: &str) -> Vec<u8> {
    wat(&format!(
        r#"(component {imports} {cores}
            (func $f (canon lift (core func $i "f")))
            (instance $node (export "describe" (func $f)) (export "handle" (func $f)))
            (export "floe:plugin/node@0.1.0" (instance $node)))"#
    ))
}

pub(crate) fn json(text: &str) -> Payload {
    Payload::parse(text).unwrap()
}

/// One call, made and awaited.
pub(crate) struct Caller {
    invoke: Arc<dyn Invoke>,
    tenant: String,
    cancel: Option<Duration>,
}

/// What one call did, in a line.
#[derive(Debug, PartialEq)]
pub(crate) struct Did {
    /// Outputs, or the failure's kind and message.
    pub(crate) result: Result<Vec<String>, String>,
    /// Emitted before it returned.
    pub(crate) emitted: Vec<String>,
    pub(crate) receipt: Receipt,
}

impl Caller {
    /// Calls a node, with a fresh instance each time unless `reuse` says otherwise.
    pub(crate) fn new(plugin: &Plugin, node: &str, reuse: u32) -> Self {
        Self { invoke: plugin.node(node, &json("{}"), reuse).unwrap(), tenant: "me".to_owned(), cancel: None }
    }

    /// Calls a tool.
    pub(crate) fn tool(plugin: &Plugin, tool: &str) -> Self {
        Self { invoke: plugin.tool(tool, &json("{}"), &json("{}"), 1).unwrap(), tenant: "me".to_owned(), cancel: None }
    }

    pub(crate) fn tenant(self, tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), ..self }
    }

    /// The trace is cancelled after this time, so that the flow drops the call.
    pub(crate) fn cancel(self, after: Duration) -> Self {
        Self { cancel: Some(after), ..self }
    }

    /// Calls; `None` if the flow dropped the call.
    pub(crate) async fn call(&self, sandbox: &Sandbox, payload: &str) -> Option<Did> {
        let (spy, did) = Spy::on(Arc::clone(&self.invoke));
        let mut policy = Policy::with_concurrency(1);
        policy.validate = Validate::None;
        let mut graph = Graph::builder("test");
        graph.run("n", spy, policy);
        let config = {
            let _entered = sandbox.handle().enter();
            Config::on_current_runtime()
        };
        let flow = Flow::start(graph.build().unwrap(), config);
        let submission = Submission::new("t", &self.tenant, json(payload));
        let finished = flow.submit(submission).await.unwrap().finish();
        let _cancelled = tokio::time::timeout(self.cancel.unwrap_or(Duration::MAX), finished).await;
        flow.stop(Duration::ZERO).await;
        did.lock().unwrap().take()
    }
}

/// Calls once and expects an end.
pub(crate) async fn call(sandbox: &Sandbox, plugin: &Plugin, node: &str, payload: &str) -> Did {
    Caller::new(plugin, node, 1).call(sandbox, payload).await.expect("nobody drops the call")
}

/// Takes down what a call did.
struct Spy {
    invoke: Arc<dyn Invoke>,
    did: Arc<Mutex<Option<Did>>>,
}

impl Spy {
    fn on(invoke: Arc<dyn Invoke>) -> (Arc<Self>, Arc<Mutex<Option<Did>>>) {
        let did = Arc::default();
        (Arc::new(Self { invoke, did: Arc::clone(&did) }), did)
    }
}

impl fmt::Debug for Spy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.invoke.fmt(f)
    }
}

impl Invoke for Spy {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let report = self.invoke.invoke(call).await;
            let texts = |outputs: &[floe_flow::Output]| outputs.iter().map(|output| output.payload.text().to_owned()).collect();
            let result = match &report.result {
                Ok(floe_flow::Outcome::Outputs(outputs)) => Ok(texts(outputs)),
                Ok(floe_flow::Outcome::Again { memory, .. }) => Ok(vec![format!("again {}", memory.text())]),
                Ok(floe_flow::Outcome::Final(payload)) => Ok(vec![format!("final {}", payload.text())]),
                Err(failure) => Err(format!("{}: {}", failure.kind.code(), failure.message)),
            };
            *self.did.lock().unwrap() = Some(Did { result, emitted: texts(&report.emitted), receipt: report.receipt });
            report
        })
    }
}
