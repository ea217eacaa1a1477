//! The data of one store: what the instance holds across calls, and what belongs to the call that runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use floe_egress::Quota;
use floe_egress::Session;
use floe_egress::scrub::Scrubber;
use floe_flow::{Amounts, Call, Context, Failure, FailureKind, Message, Output, Resource, StateStore};
use tokio::time::Instant;
use wasmtime::UpdateDeadline;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::engine::TICK;
use crate::host::clocks::{Clocks, Polling, Time};
use crate::host::files::Directories;
use crate::host::random::{Random, Secret};
use crate::host::stdio::Capture;
use crate::host::subflow::Children;
use crate::host::wasi_http::WasiHttp;
use crate::interface::Grants;
use crate::learn::{Asked, Asks};
use crate::limiter::Limiter;
use crate::limits::Limits;
use crate::network::Network;
use crate::tape::Answers;
use crate::tenants::MINUTE;

/// A plugin's name, limits and rights, and what these give it, shared by its instances.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
    /// Where values are that outlive a call.
    pub(crate) values: Arc<dyn StateStore>,
    pub(crate) directories: Directories,
    /// What randomness follows from.
    pub(crate) secret: Secret,
    pub(crate) network: Arc<Network>,
    /// What all calls of a tenant may have of the network together.
    pub(crate) egress: Option<Arc<Quota>>,
    /// Whose ceiling lowered them; none: nobody's.
    pub(crate) within: Option<Within>,
    /// Where it is kept what it asks for and does not get; none: nowhere.
    pub(crate) asks: Option<Arc<Asks>>,
}

/// A tenant's ceiling, as far as it concerns a plugin.
#[derive(Debug)]
pub(crate) struct Within {
    pub(crate) tenant: Arc<str>,
    /// Limits that it lowered.
    pub(crate) lowered: Vec<&'static str>,
    /// What the plugin is granted without it.
    pub(crate) granted: Grants,
}

impl Identity {
    /// Keeps what was asked for and denied, if anybody wants to know.
    pub(crate) fn denied(&self, asked: Asked) {
        if let Some(asks) = &self.asks {
            asks.add(asked);
        }
    }

    /// The failure for a limit of this plugin that was reached.
    pub(crate) fn limit(&self, kind: FailureKind, limit: &str, used: u64, max: u64) -> Failure {
        Failure::limit(kind, limit, used, max, &self.line(limit))
    }

    /// The failure for a resource of which a call was given `max`: by this plugin's limits, or by what its trace had left.
    pub(crate) fn over(&self, resource: Resource, used: u64, max: u64) -> Failure {
        let (name, raise) = self.raise(resource, max);
        Failure::limit(FailureKind::Exhausted, &name, used, max, &raise)
    }

    fn raise(&self, resource: Resource, given: u64) -> (String, String) {
        let name = resource.name();
        if given < self.limits.amounts()[resource] {
            return (format!("budget.{name}"), format!("`budget.{name}`"));
        }
        (name.to_owned(), self.line(name))
    }

    /// The failure for what a tenant's calls may have of the network together: of `network.connections` at once, of all else a minute.
    pub(crate) fn over_network(&self, limit: &str, used: u64, max: u64) -> Failure {
        let tenant = self.within.as_ref().map_or("", |within| &within.tenant);
        let failure = Failure::limit(FailureKind::Busy, limit, used, max, &format!("`tenants.{tenant}.{limit}`"));
        Failure { retry_after: Some(if limit == "network.connections" { TICK } else { MINUTE }), ..failure }
    }

    /// The line that sets the limit: of the flow file, or of the file of tenants.
    pub(crate) fn line(&self, limit: &str) -> String {
        match &self.within {
            Some(Within { tenant, lowered, .. }) if lowered.contains(&limit) => format!("`tenants.{tenant}.limits.{limit}`"),
            _ => format!("`plugins.{}.limits.{limit}`", self.name),
        }
    }

    /// The line that grants a capability: of the flow file, or of the file of tenants if only that keeps it back. `has`: whether
    /// grants have what was asked for.
    pub(crate) fn grant_line(&self, capability: &str, has: impl Fn(&Grants) -> bool) -> String {
        match &self.within {
            Some(Within { tenant, granted, .. }) if has(granted) => format!("`tenants.{tenant}.grants.{capability}`"),
            _ => format!("`plugins.{}.grants.{capability}`", self.name),
        }
    }
}

/// A limit that ends the call: raised as a trap by whatever notices it first.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("limit `{limit}` reached: {used} of {max}")]
pub(crate) struct Reached {
    pub(crate) limit: &'static str,
    pub(crate) used: u64,
    pub(crate) max: u64,
}

/// The plugin may not do what it asks for, and the import has no failure to say so: raised as a trap.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Denied(pub(crate) Failure);

/// The call's time is over: raised as a trap by the tick that notices it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("out of time")]
pub(crate) struct OutOfTime;

/// What a store holds.
pub(crate) struct State {
    pub(crate) plugin: Arc<Identity>,
    pub(crate) limiter: Limiter,
    pub(crate) table: ResourceTable,
    pub(crate) time: Time,
    pub(crate) directories: Directories,
    /// The directory that stands for all while it is learned what a plugin asks for.
    pub(crate) root: Option<u32>,
    /// Entries of the listings that the guest holds.
    pub(crate) listed: BTreeMap<u32, usize>,
    /// Made when the guest first asks WASI for something other than randomness: most calls never do.
    wasi: Option<Box<Wasi>>,
    /// Made when the guest first asks for something of `wasi:http`.
    pub(crate) http: Option<Box<WasiHttp>>,
    pub(crate) call: Running,
}

struct Wasi {
    ctx: WasiCtx,
    stdout: Capture,
    stderr: Capture,
}

impl Wasi {
    fn get<'a>(wasi: &'a mut Option<Box<Self>>, Identity { limits, grants, .. }: &Identity) -> &'a mut Self {
        wasi.get_or_insert_with(|| {
            let (stdout, stderr) = (Capture::new(limits.stdio), Capture::new(limits.stdio));
            // No arguments or addresses: all of it is absent unless given. Clocks and directories are the host's own.
            let ctx = WasiCtx::builder().stdout(stdout.clone()).stderr(stderr.clone()).envs(&grants.env).build();
            Box::new(Self { ctx, stdout, stderr })
        })
    }
}

/// What belongs to one call.
#[derive(Debug)]
pub(crate) struct Running {
    /// None while a plugin describes itself.
    pub(crate) ctx: Option<Context>,
    /// What it is called with; none while a plugin describes itself.
    pub(crate) message: Option<Arc<Message>>,
    /// When the call is ended.
    pub(crate) deadline: Instant,
    /// Made when the guest first asks: most calls never do.
    random: Option<Box<Random>>,
    pub(crate) answers: Answers,
    /// The tick ended it.
    pub(crate) interrupted: bool,
    pub(crate) emitted: Vec<Output>,
    pub(crate) emitted_bytes: u64,
    /// Log lines beyond the limit.
    pub(crate) log_dropped: u32,
    pub(crate) bytes_out: u64,
    /// What it may use, with all that it has done by others.
    pub(crate) given: Amounts,
    /// What it has used itself, but for fuel and memory, which the store counts.
    pub(crate) used: Amounts,
    /// Calls of the guest to the host. Apart, because nothing else is counted so often.
    pub(crate) host_calls: u64,
    pub(crate) children: Children,
    /// On whose account it speaks to others; made when it first does.
    pub(crate) session: Option<Box<Session>>,
}

impl Running {
    /// A call at a message.
    pub(crate) fn new(call: Call, answers: Answers, deadline: Instant, given: Amounts) -> Self {
        Self { ctx: Some(call.ctx), message: Some(call.message), answers, ..Self::describe(deadline, given) }
    }

    /// A call without a trace.
    pub(crate) fn describe(deadline: Instant, given: Amounts) -> Self {
        Self {
            ctx: None,
            message: None,
            deadline,
            random: None,
            answers: Answers::Live,
            interrupted: false,
            emitted: Vec::new(),
            emitted_bytes: 0,
            log_dropped: 0,
            bytes_out: 0,
            given,
            used: Amounts::NONE,
            host_calls: 0,
            children: Children::default(),
            session: None,
        }
    }
}

impl State {
    pub(crate) fn new(plugin: Arc<Identity>, call: Running) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(plugin.limits.resources).unwrap_or(usize::MAX));
        let (limiter, time) = (Limiter::new(&plugin.limits, call.given[Resource::Memory]), Time::new(plugin.grants.clock));
        let directories = plugin.directories.clone();
        Self { limiter, plugin, table, time, directories, root: None, listed: BTreeMap::new(), wasi: None, http: None, call }
    }

    /// The next call of an instance that is used again.
    pub(crate) fn begin(&mut self, call: Running) {
        self.limiter.begin(call.given[Resource::Memory]);
        self.http = None;
        self.call = call;
    }

    /// Whether the call has spoken to others by `wasi:http`, whose requests and answers stand in the store's table.
    pub(crate) fn has_exchanged(&self) -> bool {
        self.http.is_some()
    }

    /// What takes the values of the plugin's secrets out of texts; none if it has no secrets.
    pub(crate) fn scrubber(&self) -> Option<&Scrubber> {
        self.plugin.grants.secrets.scrubber().map(Arc::as_ref)
    }

    /// Counts a call of the guest to the host; the error ends the guest's call.
    pub(crate) fn host_call(&mut self) -> Result<(), Reached> {
        self.call.host_calls += 1;
        self.check_host_calls()
    }

    fn check_host_calls(&self) -> Result<(), Reached> {
        let used = self.call.host_calls + self.call.children.used[Resource::HostCalls];
        let max = self.call.given[Resource::HostCalls];
        if used > max { Err(Reached { limit: Resource::HostCalls.name(), used, max }) } else { Ok(()) }
    }

    /// What this call has used of a resource with all that it had done by others; of fuel, what others have used.
    pub(crate) fn used(&self, resource: Resource) -> u64 {
        let sent = || self.call.session.as_ref().and_then(|session| Some(session.quotas.first()?.used())).unwrap_or_default();
        let own = match resource {
            Resource::HostCalls => self.call.host_calls,
            // The first is of an earlier call that is made again.
            Resource::Requests => self.call.used[resource].saturating_add(sent().requests),
            Resource::EgressBytes => self.call.used[resource].saturating_add(sent().bytes_out),
            _ => self.call.used[resource],
        };
        own.saturating_add(self.call.children.used[resource])
    }

    /// What is left of a resource that is counted here.
    pub(crate) fn left(&self, resource: Resource) -> u64 {
        self.call.given[resource].saturating_sub(self.used(resource))
    }

    /// Counts one of a resource, unless none is left.
    pub(crate) fn spend(&mut self, resource: Resource) -> Result<(), Failure> {
        if self.left(resource) == 0 {
            return Err(self.over(resource, self.used(resource).saturating_add(1)));
        }
        self.call.used[resource] += 1;
        Ok(())
    }

    /// The failure for a resource of which the call would use more than it was given.
    pub(crate) fn over(&self, resource: Resource, used: u64) -> Failure {
        self.plugin.over(resource, used, self.call.given[resource])
    }

    /// The line of the flow file that gives more of a resource.
    pub(crate) fn raise(&self, resource: Resource) -> String {
        self.plugin.raise(resource, self.call.given[resource]).1
    }

    /// What the call has used so far of all that counts against budgets; `fuel` is what its store has used.
    pub(crate) fn usage(&self, fuel: u64) -> Amounts {
        let mut usage = self.call.used.plus(self.call.children.used);
        for counted_elsewhere in [Resource::HostCalls, Resource::Requests, Resource::EgressBytes] {
            usage[counted_elsewhere] = self.used(counted_elsewhere);
        }
        // What others used was taken from the store's fuel.
        usage[Resource::Fuel] = fuel;
        self.call.children.running.iter().fold(usage, |usage, allowance| usage.plus(allowance.committed()))
    }

    /// Counts a call of a capability that has no failures to answer with; the error ends a guest that describes itself.
    pub(crate) fn capable_of(&mut self, capability: &'static str) -> wasmtime::Result<&mut Self> {
        self.host_call()?;
        if self.call.ctx.is_none() {
            return Err(wasmtime::Error::msg(format!("a plugin that describes itself has no `{capability}`")));
        }
        if !self.plugin.grants.has(capability) {
            self.plugin.denied(Asked::Capability(capability));
            // It cannot be told so and go on; what it gets is what WASI gives to all.
            if self.plugin.asks.is_some() {
                return Ok(self);
            }
            let line = self.plugin.grant_line(capability, |grants| grants.has(capability));
            let why = format!("`{capability}` is not granted; add {line}");
            return Err(Denied(Failure::new(FailureKind::Denied, why)).into());
        }
        Ok(self)
    }

    /// The call's randomness. It follows from the trace, the message and the node, so that it is the same on every attempt; while a
    /// plugin describes itself, from nothing, so that it says the same in every run.
    pub(crate) fn random(&mut self) -> &mut Random {
        let (plugin, call) = (&self.plugin, &mut self.call);
        call.random.get_or_insert_with(|| {
            let max = plugin.limits.random;
            Box::new(match (&call.ctx, &call.message) {
                (Some(ctx), Some(message)) => {
                    // With the tenant: whoever uses a trace's id again foresees nothing of another's.
                    let (origin, id) = (ctx.origin(), message.id.to_string());
                    let seed = [&*origin.tenant, &*origin.trace, &id, ctx.node()];
                    Random::new(&plugin.secret, seed, max)
                }
                _ => Random::new(&Secret::new([0; 32]), ["describe", "", "", ""], max),
            })
        })
    }

    /// What a running guest is interrupted for at each tick: its time, and calls to WASI that nobody could refuse. It also lets
    /// others run: a guest that has the host work for it spends too little fuel to yield by it.
    pub(crate) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.check_host_calls().inspect_err(|_| self.call.interrupted = true)?;
        if Instant::now() >= self.call.deadline {
            return Err(OutOfTime.into());
        }
        Ok(UpdateDeadline::Yield(1))
    }

    /// The clocks for one call of the guest's, which is counted.
    pub(crate) fn clocks(&mut self) -> Clocks<'_> {
        self.call.host_calls += 1;
        let wasi = Wasi::get(&mut self.wasi, &self.plugin);
        let wasi = WasiClocksCtxView { ctx: wasi.ctx.clocks(), table: &mut self.table };
        Clocks { answers: &mut self.call.answers, time: &mut self.time, wasi }
    }

    /// What can be waited for, for one call of the guest's, which is counted.
    pub(crate) fn polling(&mut self) -> Polling<'_> {
        self.call.host_calls += 1;
        Polling { answers: &mut self.call.answers, time: &mut self.time, table: &mut self.table }
    }

    /// The trace's id and the node's name, for log lines; empty while a plugin describes itself.
    pub(crate) fn place(&self) -> (&str, &str) {
        self.call.ctx.as_ref().map_or(("", ""), |ctx| (&ctx.origin().trace, ctx.node()))
    }

    /// What the guest wrote to standard output and standard error since the last time.
    pub(crate) fn take_stdio(&mut self) -> Option<(String, String)> {
        self.wasi.as_ref().map(|wasi| (wasi.stdout.take(), wasi.stderr.take()))
    }
}

/// Every call to WASI passes here, except to clocks, files, randomness and streams, and is counted; a trap is not possible here, so the tick
/// looks at the count.
impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.call.host_calls += 1;
        let wasi = Wasi::get(&mut self.wasi, &self.plugin);
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut self.table }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("plugin", &self.plugin.name).field("call", &self.call).finish_non_exhaustive()
    }
}
