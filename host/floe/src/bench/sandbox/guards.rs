//! What each limit costs alone: the guards of bare Wasmtime, and what this host adds around a call.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Config, Flow, Graph, Journal, Policy, Submission};
use floe_sandbox::{Ceiling, Grants, Guard, Limits, Plugin, Sandbox, Tenants};
use floe_store::Memory;
use serde_json::json;

use super::{Bench, ECHO, micros, wrong};
use crate::bench::chain::Chain;
use crate::bench::report::{Figures, Row};
use crate::{Error, attack, start};

/// Longer than any bench.
const LONG: Duration = Duration::from_secs(3600);

/// What is around a call of this host, beside what it is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Around {
    /// A tenant's ceiling is looked up.
    Ceiling,
    /// Another tenant has a call under way, so turns are counted.
    Turns,
    /// What it was given, told and gave is written down.
    Record,
}

/// Microseconds that something adds to a call.
#[derive(Debug, Default)]
pub(super) struct Cost(Figures);

pub(super) fn name(guard: Guard) -> &'static str {
    match guard {
        Guard::Fuel => "  fuel, with its yields",
        Guard::Yields => "  yields by fuel alone",
        Guard::Ticks => "  ticks of the clock",
        Guard::Pool => "  slots of a pool, instead of mapping memory",
        Guard::Nans => "  the same NaNs everywhere",
        Guard::Memory => "  memories and tables counted together",
        Guard::Hostcall => "  bytes of a crossing, instead of Wasmtime's own bound",
        Guard::Handles => "  handles, instead of Wasmtime's own bound",
        Guard::Resources => "  values behind handles",
    }
}

impl Around {
    pub(super) const ALL: [Self; 3] = [Self::Ceiling, Self::Turns, Self::Record];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ceiling => "  a tenant's ceiling",
            Self::Turns => "  turns beside another tenant",
            Self::Record => "  a journal in memory with a record of the call",
        }
    }
}

impl Cost {
    /// A round: a fresh and a reused call each.
    pub(super) fn add(&mut self, with: (f64, f64), without: (f64, f64)) {
        self.0.record("fresh", with.0 - without.0);
        self.0.record("reused", with.1 - without.1);
    }

    /// In nanoseconds, and of what a whole call takes.
    pub(super) fn row(&self, name: &'static str, fresh: f64, reused: f64) -> Row {
        let part = |cost: f64, whole: f64| format!("{:.0} ns ({:.1} %)", cost * 1e3, cost / whole * 100.0);
        let (of_fresh, of_reused) = (self.0.median("fresh"), self.0.median("reused"));
        let shown = format!("fresh {}, reused {}", part(of_fresh, fresh), part(of_reused, reused));
        Row::new(name, of_fresh, shown)
    }
}

/// What a call has that no other has, for as long as this lives.
struct Changed {
    chains: [Arc<Chain>; 2],
    _keeps: (Option<Sandbox>, Option<Flow>, Option<floe_flow::Handle>),
}

impl Bench<'_> {
    /// What something around a call costs.
    pub(super) async fn around(&self, around: Around, sandbox: &Sandbox, plugin: &Plugin) -> Result<Cost, Error> {
        let plain = [self.chain(sandbox, plugin, 1)?, self.chain(sandbox, plugin, u32::MAX)?];
        let mut cost = Cost::default();
        for _ in 0..self.args.rounds {
            let without = self.both(&plain).await?;
            let changed = self.changed(around, sandbox, plugin).await?;
            cost.add(self.both(&changed.chains).await?, without);
        }
        Ok(cost)
    }

    async fn both(&self, [fresh, reused]: &[Arc<Chain>; 2]) -> Result<(f64, f64), Error> {
        let fresh = fresh.run_inside(self.args.calls, 1).await?;
        Ok((micros(fresh), micros(reused.run_inside(self.args.calls, 1).await?)))
    }

    async fn changed(&self, around: Around, sandbox: &Sandbox, plugin: &Plugin) -> Result<Changed, Error> {
        let chains = |sandbox, plugin| Ok::<_, Error>([self.chain(sandbox, plugin, 1)?, self.chain(sandbox, plugin, u32::MAX)?]);
        match around {
            Around::Ceiling => {
                let tenants = Tenants { others: Some(Ceiling::none()), ..Tenants::default() };
                let own = start::sandbox_with(self.settings, |config| config.tenants = Some(tenants))?;
                let plugin = own.load("echo", ECHO, &Grants::default(), &self.limits).await.map_err(wrong)?;
                Ok(Changed { chains: chains(&own, &plugin)?, _keeps: (Some(own), None, None) })
            }
            Around::Turns => {
                let (flow, handle) = self.sleeper(sandbox).await?;
                Ok(Changed { chains: chains(sandbox, plugin)?, _keeps: (None, Some(flow), Some(handle)) })
            }
            Around::Record => {
                let journal: fn() -> Arc<dyn Journal> = || Arc::new(Memory::default());
                let kept = chains(sandbox, plugin)?.map(|chain| {
                    let Chain { invoke, hops, policy, compute, payload, .. } = Arc::unwrap_or_clone(chain);
                    Arc::new(Chain { invoke, hops, policy, compute, payload, journal: Some(journal) })
                });
                Ok(Changed { chains: kept, _keeps: (None, None, None) })
            }
        }
    }

    /// Another tenant, whose call waits for the clock.
    async fn sleeper(&self, sandbox: &Sandbox) -> Result<(Flow, floe_flow::Handle), Error> {
        let limits = Limits { wall: LONG, ..self.limits.clone() };
        let bytes = attack::case("sleep-hour")?;
        let plugin = sandbox.load("sleeper", &bytes, &Grants::default(), &limits).await.map_err(wrong)?;
        let sleeps = plugin.node("attack", &json!({}).into(), 1).map_err(wrong)?;
        let mut graph = Graph::builder("sleeper");
        graph.run("sleeper", sleeps, Policy::with_concurrency(1));
        let graph = graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))?;
        let flow = Flow::start(graph, Config { compute: sandbox.handle().clone(), ..Config::on_current_runtime() });
        let handle = flow.submit(Submission::new("sleeper", "sleeper", self.payload.clone())).await;
        let handle = handle.map_err(|error| Error::wrong(error.to_string()))?;
        // Until it sleeps.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok((flow, handle))
    }
}
