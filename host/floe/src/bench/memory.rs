//! What waits and runs costs in memory: the process's resident size before and after there is much of it.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use floe_flow::{Call, Config, Flow, Graph, Handle, Invoke, Payload, Policy, Report, Submission};

use super::chain;

/// Enough that the rest of the process does not matter.
const MESSAGES: usize = 50_000;

/// Never answers.
#[derive(Debug)]
struct Busy;

impl Invoke for Busy {
    fn invoke(&self, _: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(pending())
    }
}

/// Bytes for a message of 1 KiB that waits at a node, its trace and its reader included; not a number where the system does not
/// tell the resident size.
pub(super) async fn queued() -> f64 {
    measure_queued().await.unwrap_or(f64::NAN)
}

async fn measure_queued() -> Option<f64> {
    let mut graph = Graph::builder("queue");
    graph.run("busy", Arc::new(Busy), Policy::with_concurrency(1)).run("next", Arc::new(Busy), Policy::with_concurrency(1));
    graph.chain(&["busy", "next"]);
    let mut config = Config::on_current_runtime();
    config.in_flight = MESSAGES + 1;
    config.in_flight_per_tenant = MESSAGES + 1;
    let flow = Flow::start(graph.build().ok()?, config);
    let mut handles = Vec::with_capacity(MESSAGES);
    let before = resident()?;
    for n in 0..MESSAGES {
        // Each its own text, as it would come from an input.
        let payload = Payload::parse(format!("\"{n:01022}\"")).ok()?;
        handles.push(flow.submit(Submission::new(&format!("{n}"), "bench", payload)).await.ok()?);
    }
    let after = resident()?;
    Some(after.saturating_sub(before) as f64 / MESSAGES as f64)
}

/// Bytes for flows; while this lives, what is measured next finds none of their memory free to be used again.
#[derive(Debug)]
pub(super) struct Flows {
    /// For one that has been started.
    pub(super) idle: f64,
    /// More for one whose first node computes.
    pub(super) trace: f64,
    _running: Vec<(Flow, Handle)>,
}

/// Starts flows of this many nodes, and then a trace in each. None where the system does not tell the resident size.
pub(super) async fn flows(count: usize, nodes: usize) -> Option<Flows> {
    let invoke: Arc<dyn Invoke> = Arc::new(Busy);
    let policy = Policy::with_concurrency(1);
    let mut running = Vec::with_capacity(count);
    let mut flows = Vec::with_capacity(count);
    let before = resident()?;
    for _ in 0..count {
        let graph = chain::graph(nodes, &invoke, &policy).ok()?;
        flows.push(Flow::start(graph, Config::on_current_runtime()));
    }
    let started = resident()?;
    for (n, flow) in flows.into_iter().enumerate() {
        let payload = Payload::parse(format!("{n}")).ok()?;
        let handle = flow.submit(Submission::new(&format!("{n}"), "bench", payload)).await.ok()?;
        running.push((flow, handle));
        // Its attempt begins.
        tokio::task::yield_now().await;
    }
    let each = |bytes: u64| bytes as f64 / count as f64;
    let (idle, trace) = (each(started.saturating_sub(before)), each(resident()?.saturating_sub(started)));
    Some(Flows { idle, trace, _running: running })
}

/// Resident bytes of this process, as Linux tells them.
pub(super) fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// Mappings of this process, as Linux tells them.
pub(super) fn mappings() -> Option<usize> {
    Some(std::fs::read_to_string("/proc/self/maps").ok()?.lines().count())
}
