//! `floe bench sandbox`: what a call in a sandbox costs beyond bare Wasmtime with the same limits, what each of them costs alone, what
//! instances take that do nothing, and what loading takes.

mod guards;
mod load;

use std::sync::Arc;

use floe_flow::{Payload, Policy};
use floe_sandbox::{Grants, Guard, Limits, Plugin, Profile, Raw, Sandbox};
use serde_json::json;

use super::chain::Chain;
use super::memory;
use super::report::{self, Figures, Row};
use crate::cli::SandboxArgs;
use crate::run::count;
use crate::settings::Settings;
use crate::{Error, Exit, start};

use guards::{Around, Cost};
use load::Loading;

/// The identity node of the contract's golden component.
const ECHO: &[u8] = include_bytes!("../../../../tests/golden/plugin-0.1.0.wasm");
/// Live instances of an engine that is made for one guard.
const FEW: u32 = 16;

/// Measures and prints.
pub fn sandbox(args: &SandboxArgs, settings: &Settings) -> Result<Exit, Error> {
    let limits = Limits::profile(Profile::Rust);
    let payload = Payload::parse(super::PAYLOAD).map_err(|error| Error::wrong(error.to_string()))?;
    let bench = Bench { args, settings, limits, payload };
    let rows = start::runtime()?.block_on(bench.measure())?;
    let setting = json!({ "calls": args.calls, "instances": args.instances, "rounds": args.rounds, "cores": settings.cores });
    let heading =
        format!("{} calls, {} instances; medians of {} rounds in turn", args.calls, count(args.instances as u64), args.rounds);
    report::print(rows, &setting, &heading, args.json)
}

struct Bench<'a> {
    args: &'a SandboxArgs,
    settings: &'a Settings,
    limits: Limits,
    payload: Payload,
}

/// An error of the sandbox ends the bench.
#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn wrong(error: floe_sandbox::Error) -> Error {
    Error::wrong(error.to_string())
}

impl Bench<'_> {
    async fn measure(&self) -> Result<Vec<Row>, Error> {
        // Before anything else: what has been used and freed would be used again, and not show.
        let mut rows = self.idle().await?;
        let sandbox = start::sandbox(self.settings)?;
        let plugin = sandbox.load("echo", ECHO, &Grants::default(), &self.limits).await.map_err(wrong)?;
        let figures = self.calls(&sandbox, &plugin).await?;
        let (fresh, reused) = (figures.median("fresh"), figures.median("reused"));
        let mut of_calls = call_rows(&figures);
        for guard in Guard::ALL {
            let cost = self.guard(guard).await?;
            of_calls.push(cost.row(guards::name(guard), figures.median("raw fresh"), figures.median("raw reused")));
        }
        for around in Around::ALL {
            let cost = self.around(around, &sandbox, &plugin).await?;
            of_calls.push(cost.row(around.name(), fresh, reused));
        }
        drop(sandbox);
        of_calls.append(&mut rows);
        of_calls.extend(Loading::measure(self.settings, &self.limits, self.args.rounds).await?.rows());
        Ok(of_calls)
    }

    fn chain(&self, sandbox: &Sandbox, plugin: &Plugin, reuse: u32) -> Result<Arc<Chain>, Error> {
        Ok(Arc::new(Chain {
            invoke: plugin.node("echo", &json!({}).into(), reuse).map_err(wrong)?,
            hops: 1,
            policy: Policy::with_concurrency(1),
            compute: sandbox.handle().clone(),
            payload: self.payload.clone(),
            journal: None,
        }))
    }

    /// Calls within a flow of one node, and what they would cost on bare Wasmtime; microseconds.
    async fn calls(&self, sandbox: &Sandbox, plugin: &Plugin) -> Result<Figures, Error> {
        let raw = Arc::new(Raw::new(plugin, "echo", &json!({}).into()).map_err(wrong)?);
        let (fresh, reused) = (self.chain(sandbox, plugin, 1)?, self.chain(sandbox, plugin, u32::MAX)?);
        let mut figures = Figures::default();
        for _ in 0..self.args.rounds {
            let (raw_fresh, raw_reused) = self.raw(sandbox, &raw).await?;
            figures.record("raw fresh", raw_fresh);
            figures.record("fresh", micros(fresh.run_inside(self.args.calls, 1).await?));
            figures.record("raw reused", raw_reused);
            figures.record("reused", micros(reused.run_inside(self.args.calls, 1).await?));
        }
        Ok(figures)
    }

    /// Microseconds of a fresh and of a reused call on bare Wasmtime.
    async fn raw(&self, sandbox: &Sandbox, raw: &Arc<Raw>) -> Result<(f64, f64), Error> {
        let calls = u32::try_from(self.args.calls).unwrap_or(u32::MAX);
        let (raw, payload) = (Arc::clone(raw), self.payload.clone());
        let calling = async move {
            let fresh = raw.fresh(&payload, calls).await.map_err(wrong)?;
            Ok((micros(fresh / calls), micros(raw.reused(&payload, calls).await.map_err(wrong)? / calls)))
        };
        super::chain::inside(sandbox.handle(), calling).await
    }

    /// What one guard costs on bare Wasmtime.
    async fn guard(&self, guard: Guard) -> Result<Cost, Error> {
        let none = Payload::from(json!({}));
        let raw = |without| Raw::apart(ECHO, "echo", &none, &self.limits, FEW, without).map(Arc::new).map_err(wrong);
        let (with, without) = (raw(None)?, raw(Some(guard))?);
        let sandbox = start::sandbox(self.settings)?;
        let mut cost = Cost::default();
        for _ in 0..self.args.rounds {
            let (with, without) = (self.raw(&sandbox, &with).await?, self.raw(&sandbox, &without).await?);
            cost.add(with, without);
        }
        Ok(cost)
    }

    /// Instances that have served a call and wait.
    async fn idle(&self) -> Result<Vec<Row>, Error> {
        let instances = u32::try_from(self.args.instances).unwrap_or(u32::MAX);
        let raw = Raw::apart(ECHO, "echo", &json!({}).into(), &self.limits, instances, None).map_err(wrong)?;
        let before = memory::resident();
        let idle = raw.idle(&self.payload, self.args.instances).await.map_err(wrong)?;
        let resident = memory::resident().zip(before).map_or(f64::NAN, |(after, before)| after.saturating_sub(before) as f64);
        let mappings = memory::mappings().map_or(f64::NAN, |mappings| mappings as f64);
        let there = idle.count() as f64;
        let mib = resident / f64::from(1 << 20);
        Ok(vec![
            Row::new("idle instances in one pool", there, count(idle.count() as u64)).at_least(self.args.instances as f64, ""),
            Row::new("  their memory", mib, format!("{mib:.1} MiB")).at_most(1024.0, "MiB"),
            Row::kibibytes("  for each", resident / there),
            Row::new("  mappings of the process, of 65 530 that Linux lets it have", mappings, count(mappings as u64)),
        ])
    }
}

fn call_rows(figures: &Figures) -> Vec<Row> {
    let get = |name| figures.median(name);
    vec![
        Row::micros("floor: raw Wasmtime, a fresh instance a call, all limits", get("raw fresh")),
        Row::micros("a call with a fresh instance", get("fresh")),
        Row::times("  against the floor", get("fresh") / get("raw fresh")),
        Row::micros("floor: raw Wasmtime, one instance, all limits", get("raw reused")),
        Row::micros("a call of an instance that is used again", get("reused")),
        Row::micros("  above the floor", get("reused") - get("raw reused")),
    ]
}

fn micros(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
