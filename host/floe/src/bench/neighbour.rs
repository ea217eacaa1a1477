//! `floe bench neighbour`: what a tenant's calls take alone, and beside another tenant who takes what it can get.

mod aggressor;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use floe_flow::flow::DEFAULT_IN_FLIGHT;
use floe_flow::{Config, End, Flow, Graph, Invoke, Outcome, Output, Payload, Policy, Submission, native};
use floe_sandbox::{Grants, Limits, Profile, Sandbox};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::report::{self, Row};
use crate::cli::NeighbourArgs;
use crate::settings::Settings;
use crate::{Error, Exit, start};

use aggressor::{AGGRESSORS, Aggressor, Prepared};

/// The identity node of the contract's golden component.
const ECHO: &[u8] = include_bytes!("../../../../tests/golden/plugin-0.1.0.wasm");
/// Calls before those that count: the first ones of a flow find nothing in the caches.
const FIRST: usize = 20;
/// How long an aggressor is at it before anything is measured.
const UNDER_WAY: Duration = Duration::from_millis(20);
/// What is kept of the log of the process that measures, to say why it failed.
const TAIL: usize = 8 << 10;

/// Measures in a process of its own, and prints.
pub fn neighbour(args: &NeighbourArgs, settings: &Settings) -> Result<Exit, Error> {
    if !args.child {
        return in_child();
    }
    let sandbox = start::sandbox(settings)?;
    let measured = start::runtime()?.block_on(async {
        let bench = Bench::new(args, settings.cores.get(), &sandbox).await?;
        bench.measure().await
    })?;
    let setting = json!({
        "requests": args.requests,
        "rounds": args.rounds,
        "aggressor_in_flight": DEFAULT_IN_FLIGHT,
        "cores": settings.cores,
    });
    let heading = format!(
        "{} requests one after the other in each of {} rounds in turn; an aggressor has {DEFAULT_IN_FLIGHT} in flight; {} threads",
        args.requests, args.rounds, settings.cores
    );
    report::print(measured.rows(), &setting, &heading, args.json)
}

/// Starts this program once more with the same arguments, and reads its log, as whatever runs a flow would.
fn in_child() -> Result<Exit, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).arg("--child");
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut log = child.stderr.take().expect("its standard error is a pipe");
    let (mut piece, mut tail) = (vec![0; TAIL], Vec::new());
    loop {
        let length = log.read(&mut piece)?;
        if length == 0 {
            break;
        }
        tail.extend_from_slice(&piece[..length]);
        tail.drain(..tail.len().saturating_sub(TAIL));
    }
    if child.wait()?.success() {
        return Ok(Exit::Completed);
    }
    // Below the floods, it says what went wrong.
    std::io::stderr().lock().write_all(&tail)?;
    Ok(Exit::Wrong)
}

struct Bench<'a> {
    args: &'a NeighbourArgs,
    cores: usize,
    sandbox: &'a Sandbox,
    good: Arc<dyn Invoke>,
    aggressors: Vec<Prepared>,
    payload: Payload,
}

/// Microseconds of the good tenant's calls.
struct Measured {
    alone: Histogram<u64>,
    /// In the order of [`AGGRESSORS`], with the calls of the aggressor that ended meanwhile.
    beside: Vec<(Histogram<u64>, u64)>,
}

impl<'a> Bench<'a> {
    async fn new(args: &'a NeighbourArgs, cores: usize, sandbox: &'a Sandbox) -> Result<Self, Error> {
        let plugin = sandbox.load("echo", ECHO, &Grants::default(), &Limits::profile(Profile::Rust)).await;
        let good = plugin.and_then(|plugin| plugin.node("echo", &json!({}).into(), 1));
        let good = good.map_err(|error| Error::wrong(error.to_string()))?;
        let mut aggressors = Vec::new();
        for aggressor in &AGGRESSORS {
            aggressors.push(aggressor.prepare(sandbox).await?);
        }
        let payload = Payload::parse(super::PAYLOAD).map_err(|error| Error::wrong(error.to_string()))?;
        Ok(Self { args, cores, sandbox, good, aggressors, payload })
    }

    async fn measure(&self) -> Result<Measured, Error> {
        // To three digits, up to a minute.
        let empty = Histogram::new_with_max(60_000_000_000, 3).map_err(|error| Error::wrong(error.to_string()))?;
        let beside = self.aggressors.iter().map(|_| (empty.clone(), 0)).collect();
        let mut measured = Measured { alone: empty, beside };
        for aggressor in &self.aggressors {
            self.check(aggressor).await?;
        }
        for _ in 0..self.args.rounds {
            for (aggressor, (times, ended)) in self.aggressors.iter().zip(&mut measured.beside) {
                let flow = self.flow(aggressor)?;
                self.call(&flow, &mut measured.alone).await?;
                *ended += self.attack(&flow, times).await?;
                flow.stop(Duration::ZERO).await;
            }
        }
        Ok(measured)
    }

    /// A flow that sends each tenant's messages to its own node.
    fn flow(&self, aggressor: &Prepared) -> Result<Arc<Flow>, Error> {
        let to_own = native(|call| {
            let to = vec![call.ctx.origin().tenant.to_string()];
            Ok(Outcome::Outputs(vec![Output { to, ..Output::new(call.message.payload.clone()) }]))
        });
        let policy = Policy::with_concurrency(self.cores);
        let mut graph = Graph::builder("bench");
        graph.run("tenants", to_own, policy.clone()).run("good", Arc::clone(&self.good), policy.clone());
        graph.run("bad", Arc::clone(&aggressor.node), Policy { retries: 0, ..policy });
        graph.chain(&["tenants", "good"]).chain(&["tenants", "bad"]);
        let graph = graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))?;
        let mut config = Config::on_current_runtime();
        config.compute = self.sandbox.handle().clone();
        // What one has in flight is not what the other may have.
        config.in_flight = 2 * DEFAULT_IN_FLIGHT;
        Ok(Arc::new(Flow::start(graph, config)))
    }

    /// An aggressor that is stopped by something else than expected is none.
    async fn check(&self, aggressor: &Prepared) -> Result<(), Error> {
        let flow = self.flow(aggressor)?;
        let handle = flow.submit(Submission::new("check", "bad", self.payload.clone())).await;
        let (_, terminal) = handle.map_err(|error| Error::wrong(error.to_string()))?.finish().await;
        flow.stop(Duration::ZERO).await;
        let limit = terminal.error.as_ref().and_then(|error| error.detail.as_ref()?.get("limit")?.as_str());
        if limit == aggressor.ends && (limit.is_some() || terminal.end == End::Completed) {
            return Ok(());
        }
        Err(Error::wrong(format!("the aggressor `{}` is none: {terminal:?}", aggressor.name)))
    }

    /// The good tenant's calls, one after the other.
    async fn call(&self, flow: &Flow, times: &mut Histogram<u64>) -> Result<(), Error> {
        let first = FIRST.min(self.args.requests);
        for n in 0..first + self.args.requests {
            let began = Instant::now();
            let handle = flow.submit(Submission::new(&format!("good-{n}"), "good", self.payload.clone())).await;
            let (outputs, terminal) = handle.map_err(|error| Error::wrong(error.to_string()))?.finish().await;
            let took = began.elapsed();
            if terminal.end != End::Completed || outputs.len() != 1 {
                return Err(Error::wrong(format!("a call of the good tenant did not come through: {terminal:?}")));
            }
            if n >= first {
                times.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
            }
        }
        Ok(())
    }

    /// The good tenant's calls beside the aggressor's, of which the result says how many ended.
    async fn attack(&self, flow: &Arc<Flow>, times: &mut Histogram<u64>) -> Result<u64, Error> {
        let ended = Arc::new(AtomicU64::new(0));
        let mut lanes = JoinSet::new();
        for lane in 0..DEFAULT_IN_FLIGHT {
            let (flow, ended, payload) = (Arc::clone(flow), Arc::clone(&ended), self.payload.clone());
            lanes.spawn(async move {
                let mut number = 0_u64;
                while let Ok(handle) = flow.submit(Submission::new(&format!("bad-{lane}-{number}"), "bad", payload.clone())).await
                {
                    handle.finish().await;
                    ended.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            });
        }
        tokio::time::sleep(UNDER_WAY).await;
        ended.store(0, Ordering::Relaxed);
        let called = self.call(flow, times).await;
        let ended = ended.load(Ordering::Relaxed);
        lanes.shutdown().await;
        called.map(|()| ended)
    }
}

impl Measured {
    fn rows(&self) -> Vec<Row> {
        let micros = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1e3;
        let alone = micros(&self.alone, 0.99);
        let most = (alone * 1.5).max(alone + 500.0).ceil();
        let mut rows = vec![
            Row::micros("alone, half of the calls at most", micros(&self.alone, 0.5)),
            Row::micros("  and 99 of 100", alone),
        ];
        for (aggressor, (times, ended)) in AGGRESSORS.iter().zip(&self.beside) {
            let Aggressor { half, most: nearly_all, calls, .. } = aggressor;
            rows.push(Row::micros(half, micros(times, 0.5)));
            rows.push(Row::micros(nearly_all, micros(times, 0.99)).at_most(most, "µs"));
            rows.push(Row::new(calls, *ended as f64, crate::run::count(*ended)));
        }
        rows
    }
}
