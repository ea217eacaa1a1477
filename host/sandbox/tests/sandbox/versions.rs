//! New versions of a plugin in a flow that runs.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use floe_flow::{Call, Config, Flow, Graph, Handle, Invoke, Outcome, Policy, Releases, Report, Submission};
use floe_sandbox::{Error, MAX_RELEASES, Plugin, Sandbox, Versions};
use tokio::sync::Semaphore;

use crate::support::{evil, json, limits, load, sandbox};

/// Lets through what has a permit.
struct Gate(Semaphore);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gate")
    }
}

impl Invoke for Gate {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            self.0.acquire().await.unwrap().forget();
            Report::from(Ok(Outcome::one(call.message.payload.clone())))
        })
    }
}

/// A gate, and behind it the node `env` of `evil`, whose instances serve many calls.
struct Running {
    flow: Flow,
    gate: Arc<Gate>,
    versions: Arc<Versions>,
    first: Plugin,
    sandbox: Sandbox,
}

impl Running {
    async fn start() -> Self {
        let sandbox = sandbox(4);
        let first = evil(&sandbox, &limits()).await;
        let (gate, versions) = (Arc::new(Gate(Semaphore::new(0))), Versions::new(0));
        let mut graph = Graph::builder("reloads");
        graph.run("gate", Arc::clone(&gate) as _, Policy::with_concurrency(100));
        graph.run("env", first.node("env", &json("{}"), 100).unwrap(), Policy::with_concurrency(2));
        graph.chain(&["gate", "env"]);
        let mut config = Config::on_current_runtime();
        (config.compute, config.releases) = (sandbox.handle().clone(), Some(Arc::clone(&versions) as _));
        Self { flow: Flow::start(graph.build().unwrap(), config), gate, versions, first, sandbox }
    }

    async fn submit(&self, trace: &str) -> Handle {
        self.flow.submit(Submission::new(trace, "me", json("1"))).await.unwrap()
    }

    /// A version that calls what it says something else, and is the same otherwise.
    async fn version(&self, name: &str) -> Plugin {
        let mut bytes = floe_tests::bytes(floe_tests::EVIL);
        let old = b"variables";
        assert_eq!(name.len(), old.len());
        let places: Vec<usize> = (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
        assert!(!places.is_empty());
        for at in places {
            bytes[at..at + old.len()].copy_from_slice(name.as_bytes());
        }
        load(&self.sandbox, &bytes).await.unwrap()
    }
}

async fn said(handle: Handle) -> String {
    let (outputs, terminal) = handle.finish().await;
    assert_eq!(terminal.error, None);
    let said = outputs[0].value().into_owned();
    said.as_object().unwrap().keys().find(|key| key.starts_with("vari")).unwrap().clone()
}

#[tokio::test]
async fn a_trace_stays_on_its_version_and_the_next_one_has_the_new() {
    let running = Running::start().await;
    running.gate.0.add_permits(1);
    assert_eq!(said(running.submit("warm").await).await, "variables");
    let before = running.submit("before").await;
    let second = running.version("varietiez").await;
    assert_eq!(running.versions.replace(&running.first, &second).unwrap(), 1);
    let between = running.submit("between").await;
    let third = running.version("variation").await;
    assert_eq!(running.versions.replace(&running.first, &third).unwrap(), 2);
    let after = running.submit("after").await;
    assert_eq!(running.versions.alive(), [0, 1, 2]);
    running.gate.0.add_permits(3);
    assert_eq!(said(after).await, "variation");
    assert_eq!(said(between).await, "varietiez");
    assert_eq!(said(before).await, "variables");
    // What nobody runs any more is gone, as soon as the last who ran it has looked away.
    let gone = async {
        while running.versions.alive() != [2] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.expect("older versions are kept");
    // Back to the first, which is loaded already.
    assert_eq!(running.versions.replace(&running.first, &running.first).unwrap(), 3);
    running.gate.0.add_permits(2);
    assert_eq!(said(running.submit("back").await).await, "variables");
    assert_eq!(said(running.submit("again").await).await, "variables");
}

#[tokio::test]
async fn what_was_checked_stays_as_it_is() {
    let running = Running::start().await;
    let echo = load(&running.sandbox, &floe_tests::bytes(floe_tests::ECHO)).await.unwrap();
    let refused = running.versions.replace(&running.first, &echo).unwrap_err();
    assert!(matches!(refused.reason(), Error::Changed { .. }));
    assert_eq!(
        refused.to_string(),
        "plugin `evil`: it has no node `spin` any more: not what the flow was started with; start it again to run this version"
    );
    let mut bytes = floe_tests::bytes(floe_tests::ECHO);
    // The default of a property of its configuration.
    let at = bytes.windows(5).position(|window| window == b"Hello").unwrap();
    bytes[at..at + 5].copy_from_slice(b"Howdy");
    let changed = load(&running.sandbox, &bytes).await.unwrap();
    assert_eq!(
        Versions::new(0).replace(&echo, &changed).unwrap_err().reason().to_string(),
        "node `greet` has another schema of its configuration: not what the flow was started with; start it again to run this version"
    );
    assert_eq!(running.versions.alive(), [0]);
}

#[tokio::test]
async fn no_more_versions_are_kept_than_the_limit_says() {
    let running = Running::start().await;
    let second = running.version("varietiez").await;
    let mut waiting = Vec::new();
    for number in 1..MAX_RELEASES as u64 {
        waiting.push(running.submit(&number.to_string()).await);
        let with = if number % 2 == 1 { &second } else { &running.first };
        assert_eq!(running.versions.replace(&running.first, with).unwrap(), number);
    }
    waiting.push(running.submit("last").await);
    let refused = running.versions.replace(&running.first, &running.first).unwrap_err();
    assert!(matches!(refused, Error::Releases { max: MAX_RELEASES }), "{refused}");
    running.gate.0.add_permits(waiting.len());
    for handle in waiting {
        said(handle).await;
    }
    assert_eq!(running.versions.replace(&running.first, &running.first).unwrap(), MAX_RELEASES as u64);
}

#[tokio::test]
async fn an_earlier_processes_release_is_there_as_long_as_it_is_held() {
    let running = Running::start().await;
    let old = running.version("varietiez").await;
    let versions = Versions::new(5);
    let release = versions.restore(3, &[(&running.first, &old)]).unwrap();
    assert_eq!((release.number, versions.numbered(3).is_some(), versions.numbered(4).is_some()), (3, true, false));
    assert_eq!((versions.current().number, versions.alive()), (5, vec![3, 5]));
    drop(release);
    assert!(versions.numbered(3).is_none());
}
