//! `floe bench hop`: what one hop costs, native and sandboxed.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Outcome, Payload, Policy, native};
use floe_sandbox::{Grants, Limits, Plugin, Profile, Raw, Sandbox};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::chain::{self, Chain};
use super::memory;
use super::report::{self, Figures, Row};
use crate::cli::HopArgs;
use crate::settings::Settings;
use crate::{Error, Exit, start};

/// The identity node of the contract's golden component.
const ECHO: &[u8] = include_bytes!("../../../../tests/golden/plugin-0.1.0.wasm");
/// Rounds in turn; the median of them counts.
const ROUNDS: usize = 5;

/// Measures and prints.
pub fn hop(args: &HopArgs, settings: &Settings) -> Result<Exit, Error> {
    let sandbox = start::sandbox(settings)?;
    let runtime = start::runtime()?;
    let limits = Limits::profile(Profile::Rust);
    let plugin = runtime.block_on(sandbox.load("echo", ECHO, &Grants::default(), &limits));
    let plugin = plugin.map_err(|error| Error::wrong(error.to_string()))?;
    let payload = Payload::parse(super::PAYLOAD).map_err(|error| Error::wrong(error.to_string()))?;
    let bench = Bench { args, cores: settings.cores.get(), sandbox: &sandbox, plugin: &plugin, payload };
    let mut figures = runtime.block_on(bench.measure())?;
    figures.record("queued message", runtime.block_on(memory::queued()));
    let setting = json!({ "hops": args.hops, "messages": args.messages, "in_flight": args.in_flight, "cores": settings.cores });
    let heading = format!(
        "{} hops, {} messages, {} in flight, {} threads; medians of {ROUNDS} rounds in turn",
        args.hops, args.messages, args.in_flight, settings.cores
    );
    report::print(rows(&figures), &setting, &heading, args.json)
}

struct Bench<'a> {
    args: &'a HopArgs,
    cores: usize,
    sandbox: &'a Sandbox,
    plugin: &'a Plugin,
    payload: Payload,
}

impl Bench<'_> {
    async fn measure(&self) -> Result<Figures, Error> {
        let wrong = |error: floe_sandbox::Error| Error::wrong(error.to_string());
        let config = json!({}).into();
        let fresh = self.plugin.node("echo", &config, 1).map_err(wrong)?;
        let reused = self.plugin.node("echo", &config, u32::MAX).map_err(wrong)?;
        let identity = native(|call| Ok(Outcome::one(call.message.payload.clone())));
        let raw = Arc::new(Raw::new(self.plugin, "echo", &config).map_err(wrong)?);
        let chain = |invoke| {
            Arc::new(Chain {
                invoke,
                hops: self.args.hops,
                policy: Policy::with_concurrency(self.cores),
                compute: self.sandbox.handle().clone(),
                payload: self.payload.clone(),
                journal: None,
            })
        };
        let (native, fresh, reused) = (chain(identity), chain(fresh), chain(reused));
        // A sandboxed hop costs about thirty native ones: fewer messages give as good a median.
        let (many, few) = (self.args.messages, (self.args.messages / 10).max(1));
        let deep = self.args.in_flight;
        let mut figures = Figures::default();
        let mut record = |name, per_hop: Duration| figures.record(name, per_hop.as_secs_f64() * 1e6);
        for _ in 0..ROUNDS {
            record("channel", chain::channels(&native, many, deep).await?);
            record("native pipelined", native.run(many, deep).await?);
            record("native one", native.run(many, 1).await?);
            record("raw fresh", self.raw(&raw, true, few, 1).await?);
            record("raw fresh all", self.raw(&raw, true, few, self.cores).await?);
            record("fresh one", fresh.run_inside(few, 1).await?);
            record("fresh many", fresh.run_inside(few * self.cores, deep).await?);
            record("raw reused", self.raw(&raw, false, many, 1).await?);
            record("reused one", reused.run_inside(few * 4, 1).await?);
            record("reused many", reused.run_inside(few * 4 * self.cores, deep).await?);
        }
        Ok(figures)
    }

    /// As many calls as one lane makes hops, by each of several loops, on the same threads.
    async fn raw(&self, raw: &Arc<Raw>, fresh: bool, messages: usize, loops: usize) -> Result<Duration, Error> {
        let calls = u32::try_from(messages * self.args.hops).unwrap_or(u32::MAX);
        let mut running = JoinSet::new();
        let started = Instant::now();
        for _ in 0..loops {
            let (raw, payload) = (Arc::clone(raw), self.payload.clone());
            let calling = async move { if fresh { raw.fresh(&payload, calls).await } else { raw.reused(&payload, calls).await } };
            running.spawn_on(calling, self.sandbox.handle());
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|error| Error::wrong(error.to_string()))?.map_err(|error| Error::wrong(error.to_string()))?;
        }
        Ok(started.elapsed() / calls / u32::try_from(loops).unwrap_or(1))
    }
}

/// The figures, and what they are worth against the floors and the goals.
fn rows(figures: &Figures) -> Vec<Row> {
    let get = |name| figures.median(name);
    let micros = |shown, name| Row::micros(shown, get(name));
    vec![
        micros("floor: a bounded channel", "channel"),
        micros("native hop, pipelined", "native pipelined").at_most(2.0, "µs"),
        micros("native hop, one message in flight", "native one").at_most(5.0, "µs"),
        micros("floor: raw Wasmtime, a fresh instance a call", "raw fresh"),
        micros("sandboxed hop, fresh, one message in flight", "fresh one"),
        Row::times("  against the floor", get("fresh one") / get("raw fresh")).at_most(1.25, "×"),
        micros("floor: raw Wasmtime, one instance", "raw reused"),
        micros("sandboxed hop, reused, one message in flight", "reused one"),
        Row::micros("  above the floor", get("reused one") - get("raw reused")).at_most(3.0, "µs"),
        micros("floor: raw Wasmtime, fresh, a loop on each thread", "raw fresh all"),
        micros("sandboxed hop, fresh, many traces on all threads", "fresh many"),
        Row::times("  what the threads gain raw Wasmtime", get("raw fresh") / get("raw fresh all")),
        Row::times("  what they gain a flow", get("fresh one") / get("fresh many")).at_least(1.7, "×"),
        micros("sandboxed hop, reused, many traces on all threads", "reused many"),
        Row::kibibytes("a queued message of 1 KiB", get("queued message")).at_most(2.0, "KiB"),
    ]
}
