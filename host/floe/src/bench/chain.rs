//! Chains of identity nodes, and a chain of plain channels.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Config, End, Flow, Graph, Invoke, Journal, Payload, Policy, Submission};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Error;

/// Nodes in a row that all run the same code.
#[derive(Clone)]
pub(super) struct Chain {
    pub(super) invoke: Arc<dyn Invoke>,
    pub(super) hops: usize,
    pub(super) policy: Policy,
    pub(super) compute: Handle,
    pub(super) payload: Payload,
    /// Where what happens is kept, by whatever makes a new one for each run; none: nowhere.
    pub(super) journal: Option<fn() -> Arc<dyn Journal>>,
}

/// A flow of nodes in a row.
pub(super) fn graph(hops: usize, invoke: &Arc<dyn Invoke>, policy: &Policy) -> Result<Graph, Error> {
    let mut graph = Graph::builder("bench");
    let names: Vec<String> = (0..hops).map(|hop| format!("hop-{hop}")).collect();
    for name in &names {
        graph.run(name, Arc::clone(invoke), policy.clone());
    }
    graph.chain(&names.iter().map(String::as_str).collect::<Vec<_>>());
    graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))
}

impl Chain {
    /// As [`Chain::run`], with messages that are submitted and read on the same threads on which the nodes run.
    pub(super) async fn run_inside(self: &Arc<Self>, messages: usize, in_flight: usize) -> Result<Duration, Error> {
        let chain = Arc::clone(self);
        inside(&self.compute, async move { chain.run(messages, in_flight).await }).await
    }

    /// Sends messages through a fresh flow and returns the time per hop.
    pub(super) async fn run(&self, messages: usize, in_flight: usize) -> Result<Duration, Error> {
        let graph = graph(self.hops, &self.invoke, &self.policy)?;
        let mut config = Config::on_current_runtime();
        config.compute = self.compute.clone();
        config.in_flight = in_flight;
        config.in_flight_per_tenant = in_flight;
        config.journal = self.journal.map(|journal| journal());
        let flow = Flow::start(graph, config);
        let traces: Vec<String> = (0..messages).map(|n| format!("bench-{n:04}")).collect();

        let started = Instant::now();
        let mut running = VecDeque::with_capacity(in_flight);
        let mut next = traces.iter();
        loop {
            if running.len() < in_flight
                && let Some(trace) = next.next()
            {
                let handle = flow.submit(Submission::new(trace, "bench", self.payload.clone())).await;
                running.push_back(handle.map_err(|error| Error::wrong(error.to_string()))?);
                continue;
            }
            let Some(handle) = running.pop_front() else { break };
            let (outputs, terminal) = handle.finish().await;
            if terminal.end != End::Completed || outputs.len() != 1 {
                return Err(Error::wrong(format!("a message of the bench did not come through: {terminal:?}")));
            }
        }
        let took = started.elapsed();
        flow.stop(Duration::ZERO).await;
        Ok(took / u32::try_from(messages * self.hops).unwrap_or(u32::MAX))
    }
}

/// Does something on these threads, and waits for it.
pub(super) async fn inside<T, F>(threads: &Handle, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut task = JoinSet::new();
    task.spawn_on(work, threads);
    let ended = task.join_next().await.ok_or_else(|| Error::wrong("a task of the bench is gone"))?;
    ended.map_err(|error| Error::wrong(error.to_string()))?
}

/// The same messages through tasks that are joined by bounded channels and do nothing else.
pub(super) async fn channels(chain: &Chain, messages: usize, in_flight: usize) -> Result<Duration, Error> {
    let mut tasks = JoinSet::new();
    let (first, mut input) = mpsc::channel::<Payload>(in_flight);
    for _ in 0..chain.hops {
        let (tx, rx) = mpsc::channel(in_flight);
        let mut from = std::mem::replace(&mut input, rx);
        let pass = async move {
            while let Some(payload) = from.recv().await {
                if tx.send(payload).await.is_err() {
                    return;
                }
            }
        };
        tasks.spawn_on(pass, &chain.compute);
    }
    let started = Instant::now();
    let payload = chain.payload.clone();
    let feed = async move {
        for _ in 0..messages {
            if first.send(payload.clone()).await.is_err() {
                return;
            }
        }
    };
    tasks.spawn_on(feed, &chain.compute);
    for _ in 0..messages {
        input.recv().await.ok_or_else(|| Error::wrong("a channel of the bench closed early"))?;
    }
    let took = started.elapsed();
    while tasks.join_next().await.is_some() {}
    Ok(took / u32::try_from(messages * chain.hops).unwrap_or(u32::MAX))
}
