//! What a waiting message costs in memory: the process's resident size before and after many of them wait.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use floe_flow::{Call, Config, Flow, Graph, Invoke, Payload, Policy, Report, Submission};

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

/// Resident bytes of this process, as Linux tells them.
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
