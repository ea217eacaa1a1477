//! `floe bench hop`: what one hop costs on this machine, beside the floors that nothing could go below.
//!
//! All variants are measured in one run, round by round in turn, and the medians are compared: a shared machine disturbs them
//! alike. The component is the golden one of the contract, so that the command needs no build.

mod hop;
mod memory;

use std::io::Write;
use std::time::Duration;

use floe_flow::{Payload, Policy, native};
use floe_sandbox::{Grants, Limits, Plugin, Profile, Raw, Sandbox};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::HopArgs;
use crate::settings::Settings;
use crate::table::table;
use crate::{Error, Exit, start};

use hop::{Chain, Lane};

/// The identity node of the contract's golden component.
const ECHO: &[u8] = include_bytes!("../../../tests/golden/plugin-0.1.0.wasm");
/// Rounds in turn; the median of them counts.
const ROUNDS: usize = 5;
/// A payload of a usual size for a message between nodes.
const PAYLOAD: &str =
    r#"{"year":1790,"name":"George Washington","text":"Fellow-Citizens of the Senate and House of Representatives"}"#;

/// Measures and prints.
pub fn hop(args: &HopArgs, settings: &Settings) -> Result<Exit, Error> {
    let sandbox = start::sandbox(settings)?;
    let runtime = start::runtime()?;
    let limits = Limits::profile(Profile::Rust);
    let plugin = runtime.block_on(sandbox.load("echo", ECHO, &Grants::default(), &limits));
    let plugin = plugin.map_err(|error| Error::wrong(error.to_string()))?;
    let payload = Payload::parse(PAYLOAD).map_err(|error| Error::wrong(error.to_string()))?;
    let bench = Bench { args, cores: settings.cores.get(), sandbox: &sandbox, plugin: &plugin, payload };
    let mut figures = runtime.block_on(bench.measure())?;
    figures.push(runtime.block_on(memory::queued(settings)));
    let rows = rows(&figures);
    let mut out = std::io::stdout().lock();
    if args.json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let setting =
            json!({ "hops": args.hops, "messages": args.messages, "in_flight": args.in_flight, "cores": settings.cores });
        writeln!(out, "{:#}", json!({ "setting": setting, "figures": rows }))?;
    } else {
        writeln!(
            out,
            "{} hops, {} messages, {} in flight, {} threads; medians of {ROUNDS} rounds in turn\n",
            args.hops, args.messages, args.in_flight, settings.cores
        )?;
        let cells = rows.into_iter().map(|row| [row.name.to_owned(), row.figure, row.goal, row.verdict.to_owned()]);
        write!(out, "{}", table(&["WHAT", "FIGURE", "GOAL", ""], cells))?;
    }
    Ok(Exit::Completed)
}

/// A measured number and its name.
type Figure = (&'static str, f64);

struct Bench<'a> {
    args: &'a HopArgs,
    cores: usize,
    sandbox: &'a Sandbox,
    plugin: &'a Plugin,
    payload: Payload,
}

impl Bench<'_> {
    async fn measure(&self) -> Result<Vec<Figure>, Error> {
        let wrong = |error: floe_sandbox::Error| Error::wrong(error.to_string());
        let config = json!({}).into();
        let fresh = self.plugin.node("echo", &config, 1).map_err(wrong)?;
        let reused = self.plugin.node("echo", &config, u32::MAX).map_err(wrong)?;
        let identity = native(|call| Ok(floe_flow::Outcome::one(call.message.payload.clone())));
        let raw = std::sync::Arc::new(Raw::new(self.plugin, "echo", &config).map_err(wrong)?);
        let chain = |invoke| {
            std::sync::Arc::new(Chain {
                invoke,
                hops: self.args.hops,
                policy: Policy::with_concurrency(self.cores),
                compute: self.sandbox.handle().clone(),
                payload: self.payload.clone(),
            })
        };
        let (native, fresh, reused) = (chain(identity), chain(fresh), chain(reused));
        // A sandboxed hop costs about thirty native ones: fewer messages give as good a median.
        let (many, few) = (self.args.messages, (self.args.messages / 10).max(1));
        let deep = self.args.in_flight;
        let mut lanes: Vec<Lane> = Vec::new();
        let mut record = |name, per_hop: Duration| hop::record(&mut lanes, name, per_hop);
        for _ in 0..ROUNDS {
            record("channel", hop::channels(&native, many, deep).await?);
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
        Ok(lanes.into_iter().map(Lane::median_micros).collect())
    }

    /// As many calls as one lane makes hops, by each of several loops, on the same threads.
    async fn raw(&self, raw: &std::sync::Arc<Raw>, fresh: bool, messages: usize, loops: usize) -> Result<Duration, Error> {
        let calls = u32::try_from(messages * self.args.hops).unwrap_or(u32::MAX);
        let mut running = JoinSet::new();
        let started = Instant::now();
        for _ in 0..loops {
            let (raw, payload) = (std::sync::Arc::clone(raw), self.payload.clone());
            let calling = async move { if fresh { raw.fresh(&payload, calls).await } else { raw.reused(&payload, calls).await } };
            running.spawn_on(calling, self.sandbox.handle());
        }
        while let Some(ended) = running.join_next().await {
            ended.map_err(|error| Error::wrong(error.to_string()))?.map_err(|error| Error::wrong(error.to_string()))?;
        }
        Ok(started.elapsed() / calls / u32::try_from(loops).unwrap_or(1))
    }
}

struct Row {
    name: &'static str,
    figure: String,
    goal: String,
    verdict: &'static str,
    value: f64,
}

impl Row {
    fn json(&self) -> Value {
        json!({ "name": self.name, "value": self.value, "shown": self.figure, "goal": self.goal, "verdict": self.verdict })
    }
}

/// The figures, and what they are worth against the floors and the goals.
fn rows(figures: &[Figure]) -> Vec<Row> {
    let get = |name: &str| figures.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |(_, value)| *value);
    let micros = |name, value: f64, goal: Option<f64>| {
        row(name, value, format!("{value:.2} µs"), goal.map(|g| (g, "≤", format!("{g} µs"))))
    };
    let ratio =
        |name, value: f64, sign, goal: f64| row(name, value, format!("{value:.2} ×"), Some((goal, sign, format!("{goal} ×"))));
    let gain = |one: &str, all: &str| format!("{:.2} ×", get(one) / get(all));
    let (raw_fresh, raw_reused) = (get("raw fresh"), get("raw reused"));
    let kib = get("queued message") / 1024.0;
    vec![
        micros("floor: a bounded channel", get("channel"), None),
        micros("native hop, pipelined", get("native pipelined"), Some(2.0)),
        micros("native hop, one message in flight", get("native one"), Some(5.0)),
        micros("floor: raw Wasmtime, a fresh instance a call", raw_fresh, None),
        micros("sandboxed hop, fresh, one message in flight", get("fresh one"), None),
        ratio("  against the floor", get("fresh one") / raw_fresh, "≤", 1.25),
        micros("floor: raw Wasmtime, one instance", raw_reused, None),
        micros("sandboxed hop, reused, one message in flight", get("reused one"), None),
        micros("  above the floor", get("reused one") - raw_reused, Some(3.0)),
        micros("floor: raw Wasmtime, fresh, a loop on each thread", get("raw fresh all"), None),
        micros("sandboxed hop, fresh, many traces on all threads", get("fresh many"), None),
        row(
            "  what the threads gain raw Wasmtime",
            get("raw fresh") / get("raw fresh all"),
            gain("raw fresh", "raw fresh all"),
            None,
        ),
        ratio("  what they gain a flow", get("fresh one") / get("fresh many"), "≥", 1.7),
        micros("sandboxed hop, reused, many traces on all threads", get("reused many"), None),
        row("a queued message of 1 KiB", kib, format!("{kib:.2} KiB"), Some((2.0, "≤", "2 KiB".to_owned()))),
    ]
}

fn row(name: &'static str, value: f64, figure: String, goal: Option<(f64, &str, String)>) -> Row {
    let verdict = match &goal {
        None => "",
        Some(_) if value.is_nan() => "not measured here",
        Some((goal, "≤", _)) if value <= *goal => "met",
        Some((goal, "≥", _)) if value >= *goal => "met",
        Some(_) => "missed",
    };
    let goal = goal.map(|(_, sign, shown)| format!("{sign} {shown}")).unwrap_or_default();
    Row { name, figure, goal, verdict, value }
}
