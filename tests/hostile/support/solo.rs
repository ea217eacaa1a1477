//! A flow of one node of a plugin that is granted something.

use floe_flow::{Config, Flow, Graph, Origin, Policy, Submission, Terminal};
use floe_sandbox::{Grants, Limits, Sandbox};
use serde_json::{Value, json};

use super::{limits, policy, soon, unique};

/// The flow. The sandbox is the caller's, so that plugins can share one.
pub(crate) struct Solo {
    pub(crate) flow: Flow,
}

/// A request of a tenant, and of its user and session if given.
pub(crate) fn origin(tenant: &str, user: Option<&str>, session: Option<&str>) -> Origin {
    Origin { trace: unique().into(), tenant: tenant.into(), user: user.map(Into::into), session: session.map(Into::into) }
}

impl Solo {
    pub(crate) async fn new(sandbox: &Sandbox, (path, name): (&str, &str), node: &str, grants: &Grants) -> Self {
        Self::within(sandbox, (path, name), node, grants, &limits()).await
    }

    pub(crate) async fn within(
        sandbox: &Sandbox,
        (path, name): (&str, &str),
        node: &str,
        grants: &Grants,
        limits: &Limits,
    ) -> Self {
        let plugin = soon(sandbox.load(name, &floe_tests::bytes(path), grants, limits)).await.unwrap();
        let mut graph = Graph::builder("solo");
        let policy = Policy { concurrency: 4, retries: 0, ..policy() };
        graph.run("attack", plugin.node(node, &json!({}).into(), 1).unwrap(), policy);
        let config = Config { compute: sandbox.handle().clone(), ..Config::on_current_runtime() };
        Self { flow: Flow::start(graph.build().unwrap(), config) }
    }

    /// One request to its end.
    pub(crate) async fn call(&self, origin: Origin, payload: Value) -> (Vec<Value>, Terminal) {
        let mut submission = Submission::new(&origin.trace, &origin.tenant, payload.into());
        submission.origin = origin;
        let handle = soon(self.flow.submit(submission)).await.unwrap();
        let (outputs, terminal) = soon(handle.finish()).await;
        (outputs.iter().map(|output| output.value().into_owned()).collect(), terminal)
    }

    /// One request of a tenant that gives one output.
    pub(crate) async fn ask(&self, tenant: &str, payload: Value) -> Value {
        self.ask_as(origin(tenant, None, None), payload).await
    }

    pub(crate) async fn ask_as(&self, origin: Origin, payload: Value) -> Value {
        let (mut outputs, terminal) = self.call(origin, payload).await;
        assert_eq!(outputs.len(), 1, "{terminal:?}");
        outputs.remove(0)
    }

    /// The code and message of a request that fails.
    pub(crate) async fn fails(&self, payload: Value) -> (String, String) {
        let (_, terminal) = self.call(origin("a", None, None), payload).await;
        let error = terminal.error.as_ref().unwrap_or_else(|| panic!("{terminal:?}"));
        (error.code.clone(), error.message.clone())
    }
}
