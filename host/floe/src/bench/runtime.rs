//! `floe bench runtime`: what the runtime costs around a node: journals, streams, subflows, fans, cancels, memory.
//!
//! Nodes are native, but for the guest that is cancelled: what a sandbox adds to a hop is `floe bench hop`'s to measure.

mod cancel;
mod journals;
mod shapes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Config, End, Flow, Invoke, Outcome, Payload, Policy, Submission, Terminal, native};
use floe_sandbox::Sandbox;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::memory;
use super::report::{self, Figures, Row};
use crate::cli::RuntimeArgs;
use crate::run::count;
use crate::settings::Settings;
use crate::{Error, Exit, start};

use journals::LANES;
use shapes::FAN;

/// Nodes of the flows whose memory is measured; the number for which PenguiFlow's is known.
const NODES: usize = 10;

/// Measures and prints.
pub fn runtime(args: &RuntimeArgs, settings: &Settings) -> Result<Exit, Error> {
    let sandbox = start::sandbox(settings)?;
    let payload = Payload::parse(super::PAYLOAD).map_err(|error| Error::wrong(error.to_string()))?;
    let identity = native(|call| Ok(Outcome::one(call.message.payload.clone())));
    let folder = args.journal_in.clone().or_else(|| settings.cache.clone()).unwrap_or_else(|| PathBuf::from("."));
    let bench = Bench { args, cores: settings.cores.get(), sandbox: &sandbox, folder, identity, payload };
    let bar = progress(settings, args.rounds);
    let figures = start::runtime()?.block_on(bench.measure(&bar));
    bar.finish_and_clear();
    let setting = json!({
        "hops": args.hops,
        "messages": args.messages,
        "chunks": args.chunks,
        "cancels": args.cancels,
        "flows": args.flows,
        "rounds": args.rounds,
        "cores": settings.cores,
    });
    let heading = format!(
        "{} hops, {} messages, {} chunks, {} threads; medians of {} rounds in turn",
        args.hops, args.messages, args.chunks, settings.cores, args.rounds
    );
    report::print(rows(&figures?), &setting, &heading, args.json)
}

/// What is measured, and with what.
struct Bench<'a> {
    args: &'a RuntimeArgs,
    cores: usize,
    sandbox: &'a Sandbox,
    /// Where journals are written.
    folder: PathBuf,
    /// Passes its message on.
    identity: Arc<dyn Invoke>,
    payload: Payload,
}

impl Bench<'_> {
    async fn measure(&self, bar: &ProgressBar) -> Result<Figures, Error> {
        let mut figures = Figures::default();
        bar.set_message("memory");
        // Before anything else: what has been used and freed would be used again, and not show.
        let flows = memory::flows(self.args.flows, NODES).await;
        figures.record("flow", flows.as_ref().map_or(f64::NAN, |flows| flows.idle));
        figures.record("flow and trace", flows.as_ref().map_or(f64::NAN, |flows| flows.idle + flows.trace));
        figures.record("queued message", memory::queued().await);
        drop(flows);
        let spinner = self.spinner().await?;
        for _ in 0..self.args.rounds {
            for lane in &LANES {
                bar.set_message(lane.name);
                figures.record(lane.name, micros(self.hops(lane).await?));
            }
            bar.set_message("records, streams, subflows, fans, cancels");
            figures.record("record", micros(self.records().await?));
            figures.record("chunk", micros(self.chunk().await?));
            figures.record("subflow", micros(self.subflow().await?) - micros(self.inline().await?));
            figures.record("fan", micros(self.fan().await?));
            figures.record("stall", micros(self.stall().await));
            self.cancel(&spinner, 0, "cancel", &mut figures).await?;
            self.cancel(&spinner, self.cores, "cancel among others", &mut figures).await?;
            bar.inc(1);
        }
        Ok(figures)
    }

    /// Nodes on the sandbox's threads, everything else on this one, as in `floe run`.
    fn config(&self, in_flight: usize) -> Config {
        let mut config = Config::on_current_runtime();
        config.compute = self.sandbox.handle().clone();
        config.in_flight = in_flight;
        config.in_flight_per_tenant = in_flight;
        config
    }

    /// As many calls at once as there are threads.
    fn policy(&self) -> Policy {
        Policy::with_concurrency(self.cores)
    }
}

/// Submits requests one after the other, reads each in a task of its own, as `floe run` does, and returns the time of all.
async fn drive(flow: &Flow, payload: &Payload, requests: usize, in_flight: usize) -> Result<Duration, Error> {
    let names: Vec<String> = (0..requests).map(|n| format!("bench-{n:04}")).collect();
    let mut traces = JoinSet::new();
    let started = Instant::now();
    for name in &names {
        if traces.len() >= in_flight {
            completed(traces.join_next().await)?;
        }
        let offered = flow.offer(Submission::new(name, "bench", payload.clone())).await;
        let offered = offered.map_err(|error| Error::wrong(error.to_string()))?;
        traces.spawn(async move { Ok(offered.accepted().await?.finish().await) });
    }
    while !traces.is_empty() {
        completed(traces.join_next().await)?;
    }
    Ok(started.elapsed())
}

type Finished = Result<(Vec<Payload>, Terminal), floe_flow::Error>;

/// Whether a request came through, with one output.
fn completed(task: Option<Result<Finished, JoinError>>) -> Result<(), Error> {
    let gone = || Error::wrong("a task of the bench is gone");
    let finished = task.and_then(Result::ok).ok_or_else(gone)?;
    let (outputs, terminal) = finished.map_err(|error| Error::wrong(error.to_string()))?;
    if terminal.end == End::Completed && outputs.len() == 1 {
        return Ok(());
    }
    Err(Error::wrong(format!("a message of the bench did not come through: {terminal:?}")))
}

/// The time of one of so many.
fn each(took: Duration, number: usize) -> Duration {
    took / u32::try_from(number).unwrap_or(u32::MAX)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A bar of rounds; invisible where standard error is no terminal.
fn progress(settings: &Settings, rounds: usize) -> ProgressBar {
    if !settings.draw {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("round {pos} of {len}, {elapsed}: {msg}");
    ProgressBar::new(rounds as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The figures beside the goals.
fn rows(figures: &Figures) -> Vec<Row> {
    let get = |name| figures.median(name);
    let mut rows: Vec<Row> = LANES.iter().map(|lane| rate(lane.name, get(lane.name))).collect();
    let durable = get(LANES[LANES.len() - 1].name);
    rows.extend([
        per_second("  durable hops a second", durable).at_least(20_000.0, "/s"),
        rate("floor: a record in SQLite, 256 a commit", get("record")),
        Row::times("  a durable hop against the floor", durable / get("record")),
        rate("a chunk to the reader, over two nodes", get("chunk")),
        per_second("  chunks a second", get("chunk")).at_least(500_000.0, "/s"),
        Row::micros("a subflow call, beyond its nodes' hops", get("subflow")).at_most(20.0, "µs"),
        Row::micros("a request that fans out into 100 and joins", get("fan")),
        Row::micros("  for each of the 100", get("fan") / FAN as f64),
        Row::micros("floor: the longest that a thread stood still", figures.largest("stall")),
        Row::micros("cancel, until a guest that computes has ended", get("cancel")).at_most(1000.0, "µs"),
        Row::micros("  the slowest", figures.largest("cancel")).at_most(1000.0, "µs"),
        Row::micros("cancel, while others compute on all threads", get("cancel among others")).at_most(1000.0, "µs"),
        Row::micros("  the slowest among others", figures.largest("cancel among others")).at_most(1000.0, "µs"),
        Row::kibibytes("a running flow of 10 nodes", get("flow")).at_most(40.0, "KiB"),
        Row::kibibytes("  and a trace in it", get("flow and trace")),
        Row::kibibytes("a queued message of 1 KiB", get("queued message")).at_most(2.0, "KiB"),
    ]);
    rows
}

fn rate(name: &'static str, micros: f64) -> Row {
    Row::new(name, micros, format!("{micros:.2} µs, {}/s", count((1e6 / micros) as u64)))
}

fn per_second(name: &'static str, micros: f64) -> Row {
    Row::new(name, 1e6 / micros, format!("{}/s", count((1e6 / micros) as u64)))
}
