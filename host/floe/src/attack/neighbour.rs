//! The well-behaved neighbour: another tenant's plugin in the same sandbox, which is called all the time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_flow::{Config, End, Flow, Graph, Payload, Policy, Submission};
use floe_sandbox::{Grants, Limits, Profile, Sandbox};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Error;

/// The identity node of the contract's golden component.
const ECHO: &[u8] = include_bytes!("../../../../tests/golden/plugin-0.1.0.wasm");
/// Between two calls: a tenant that is there, and not one that fills the machine.
const PAUSE: Duration = Duration::from_micros(250);
/// A neighbour that gets nothing done for so long is no neighbour any more.
pub(super) const STANDSTILL: Duration = Duration::from_secs(1);

/// Calls itself until it is dropped.
#[derive(Debug)]
pub(super) struct Neighbour {
    shared: Arc<Shared>,
    _calling: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    calls: Mutex<Calls>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Calls {
    /// When each began, and how long it took.
    done: Vec<(Instant, Duration)>,
    failed: Option<String>,
}

/// How the neighbour fared; times in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Fared {
    /// Calls that ended.
    pub(super) calls: usize,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) slowest: u64,
    /// What went wrong for it.
    pub(super) failed: Option<String>,
}

impl Neighbour {
    /// Loads it and begins.
    pub(super) async fn start(sandbox: &Sandbox) -> Result<Self, Error> {
        let wrong = |error: floe_sandbox::Error| Error::wrong(error.to_string());
        let limits = Limits::profile(Profile::Rust);
        let plugin = sandbox.load("neighbour", ECHO, &Grants::default(), &limits).await.map_err(wrong)?;
        let echo = plugin.node("echo", &json!({}).into(), 1).map_err(wrong)?;
        let mut graph = Graph::builder("neighbour");
        graph.run("echo", echo, Policy::with_concurrency(1));
        let graph = graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))?;
        let shared = Arc::new(Shared::default());
        let mut calling = JoinSet::new();
        let telling = Arc::clone(&shared);
        // On the threads of the guests, so that it sees what another plugin would see.
        calling.spawn_on(async move { telling.call(graph).await }, sandbox.handle());
        Ok(Self { shared, _calling: calling })
    }

    /// How it has fared since then. Waits for so many calls to begin and end, as long as it does not stand still.
    pub(super) async fn fared(&self, since: Instant, calls: usize) -> Fared {
        let enough = async {
            loop {
                let ended = self.shared.ended.notified();
                if self.shared.lock().is_enough(since, calls) {
                    return;
                }
                ended.await;
            }
        };
        let hundreds = u32::try_from(calls / 100).unwrap_or(u32::MAX);
        let stands = timeout(STANDSTILL * (1 + hundreds), enough).await.is_err();
        let mut fared = self.shared.lock().fared(since);
        if stands {
            fared.failed.get_or_insert_with(|| format!("it stands still: {} calls of {calls}", fared.calls));
        }
        fared
    }
}

impl Shared {
    async fn call(&self, graph: Graph) {
        let payload =
            Payload::from(json!({ "year": 1790, "text": "Fellow-Citizens of the Senate and House of Representatives" }));
        let flow = Flow::start(graph, Config::on_current_runtime());
        let mut number = 0_u64;
        loop {
            let began = Instant::now();
            let failed = match flow.submit(Submission::new(format!("n-{number}").as_str(), "neighbour", payload.clone())).await {
                Err(refused) => Some(refused.to_string()),
                Ok(handle) => {
                    let (outputs, terminal) = handle.finish().await;
                    let same = outputs.len() == 1 && outputs[0].text() == payload.text();
                    (terminal.end != End::Completed || !same).then(|| format!("a call ended as {terminal:?}"))
                }
            };
            number += 1;
            self.lock().done.push((began, began.elapsed()));
            if failed.is_some() {
                self.lock().failed = failed;
            }
            self.ended.notify_waiters();
            sleep(PAUSE).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn since(&self, since: Instant) -> impl Iterator<Item = Duration> + '_ {
        self.done.iter().rev().take_while(move |(began, _)| *began >= since).map(|(_, took)| *took)
    }

    fn is_enough(&self, since: Instant, calls: usize) -> bool {
        self.failed.is_some() || self.since(since).count() >= calls
    }

    fn fared(&mut self, since: Instant) -> Fared {
        let mut times: Vec<u64> = self.since(since).map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)).collect();
        times.sort_unstable();
        let at = |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1))).copied();
        let (p50, p99, slowest) = (at(50), at(99), times.last().copied());
        self.done.clear();
        Fared {
            calls: times.len(),
            p50: p50.unwrap_or(0),
            p99: p99.unwrap_or(0),
            slowest: slowest.unwrap_or(0),
            failed: self.failed.take(),
        }
    }
}
