//! One attempt of one node or tool: an instance, a deadline, an answer, a receipt.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use floe_flow::{
    Amounts, Call, Failure, FailureKind, Hold, Invoke, Outcome, Payload, Receipt, Report, Resource, Tape, Taping, Unfit,
};
use tokio::time::Instant;
use wasmtime::component::InstancePre;
use wasmtime::{Store, Trap};

use crate::bindings::exports::floe::plugin::{node, toolset};
use crate::bindings::floe::plugin::log::Level;
use crate::bindings::floe::plugin::types;
use crate::convert;
use crate::engine::FUEL_YIELD;
use crate::pool::Pool;
use crate::request::Request;
use crate::sandbox::Core;
use crate::scrubbed;
use crate::state::{Identity, OutOfTime, Running, State};
use crate::tape::Answers;
use crate::tenants::Tenant;
use crate::timed::{Timed, after};
use crate::trap::{self, Given};

/// Messages of one call that take the flow longer to send on than it takes to begin another call: each takes half a microsecond.
const MANY: usize = 64;

/// A plugin, ready for instances.
pub(crate) struct Loaded {
    pub(crate) identity: Arc<Identity>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) node: Option<node::GuestIndices>,
    pub(crate) toolset: Option<toolset::GuestIndices>,
    /// Which code it is, for records of calls.
    pub(crate) code: Arc<str>,
    /// `sha256:…` of the component.
    pub(crate) digest: String,
    /// What an instance takes of the sandbox's room.
    pub(crate) places: u32,
    /// Keeps time ticking for the instances.
    pub(crate) core: Arc<Core>,
    /// Another version has taken its place: no instance of it waits for another call.
    pub(crate) retired: AtomicBool,
}

impl Loaded {
    /// A store with every limit in place and no fuel yet. `identity` is what the plugin is for whoever calls.
    pub(crate) fn store(&self, identity: &Arc<Identity>, call: Running) -> Store<State> {
        let limits = &identity.limits;
        let mut store = Store::new(&self.core.engine, State::new(Arc::clone(identity), call));
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(usize::try_from(limits.hostcall).unwrap_or(usize::MAX));
        store.set_max_component_handles(usize::try_from(limits.handles).unwrap_or(usize::MAX));
        store.epoch_deadline_callback(|mut store| store.data_mut().tick());
        store.fuel_async_yield_interval(Some(FUEL_YIELD)).expect("the engine counts fuel, and the interval is not zero");
        store
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// From now on its instances serve the call that they are made for.
    pub(crate) fn retire(self: &Arc<Self>) {
        self.retired.store(true, Ordering::SeqCst);
        self.core.room.clear(self);
    }

    /// A new instance; the component's start functions run here, within the call's limits.
    async fn instantiate(&self, store: &mut Store<State>, target: &Target) -> wasmtime::Result<Guest> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        match target {
            Target::Node => {
                let indices = self.node.as_ref().expect("a node is only made of a plugin that exports nodes");
                Ok(Guest::Node(indices.load(store, &instance)?))
            }
            Target::Tool { .. } => {
                let indices = self.toolset.as_ref().expect("a tool is only made of a plugin that exports tools");
                Ok(Guest::Toolset(indices.load(store, &instance)?))
            }
        }
    }

    /// What the plugin is for whoever calls, if that one may call it now.
    fn caller(&self, call: &Call) -> Result<Caller, Failure> {
        let origin = call.ctx.origin();
        let registry = self.core.tenants.as_ref().filter(|_| !matches!(call.taping, Taping::Play(_)));
        let Some(registry) = registry else { return Ok(Caller { identity: Arc::clone(&self.identity), tenant: None }) };
        let tenant = registry.of(&origin.tenant)?;
        let identity = tenant.plugin(&self.identity, &self.digest)?;
        tenant.check_rate()?;
        Ok(Caller { identity, tenant: Some(tenant) })
    }

    /// The answer or the failure, what was emitted, and what the store knows of the call's use.
    fn report(&self, identity: &Identity, live: &mut Live, result: Result<Accepted, Ended>, given: Given) -> Report {
        let state = live.store().data_mut();
        let (stdout, stderr) = state.take_stdio().unwrap_or_default();
        state.log_lines(Level::Info, &stdout);
        state.log_lines(Level::Warn, &stderr);
        let dropped = state.call.log_dropped;
        if dropped > 0 {
            tracing::debug!(plugin = identity.name, dropped, "Log lines were dropped.");
        }
        let asked_others = state.http.as_ref().is_some_and(|http| http.was_used()).then_some(Unfit::WasiHttp);
        let cut = cut(identity, &result, state.call.interrupted, given).or(asked_others);
        let tape = state.call.answers.take().map(|tape| self.label(tape, given, cut));
        let left_over = state.call.answers.left_over();
        let result = match result {
            Ok(_) | Err(Ended::Failed(_)) if left_over.is_some() => {
                let message = left_over.map(|conflict| conflict.to_string()).unwrap_or_default();
                Err(Failure::new(FailureKind::Conflict, message))
            }
            Ok(Accepted { outcome, size }) => {
                state.call.bytes_out += size;
                Ok(outcome)
            }
            Err(Ended::Failed(failure)) => Err(failure),
            Err(Ended::OutOfTime) => Err(trap::out_of_time(identity, given)),
            Err(Ended::Trapped(error)) => {
                tracing::debug!(plugin = identity.name, error = format!("{error:?}"), "A call was ended.");
                Err(trap::failure(&error, identity, &state.limiter, given, &stderr))
            }
        };
        let result = match state.scrubber() {
            Some(scrubber) => match result {
                Ok(outcome) => Ok(scrubbed::outcome(outcome, scrubber)),
                Err(failure) => Err(scrubbed::failure(failure, scrubber)),
            },
            None => result,
        };
        let mut receipt = Receipt { peak_memory: state.limiter.peak, bytes_out: state.call.bytes_out, ..Receipt::default() };
        let (emitted, hops) = (std::mem::take(&mut state.call.emitted), state.call.children.hops);
        receipt.add(live.usage(), hops);
        Report { emitted, receipt, tape, ..Report::from(result) }
    }

    /// Adds to a call's record what was given to it, and why it may be of no use.
    fn label(&self, mut tape: Box<Tape>, given: Given, cut: Option<Unfit>) -> Box<Tape> {
        if let Some(unfit) = tape.unfit.or(cut) {
            *tape = Tape::unfit(unfit);
        }
        tape.code = Some(Arc::clone(&self.code));
        (tape.fuel, tape.wall_ms) = (given.fuel, given.wall_ms);
        tape
    }
}

/// Gives the store what one call may compute. Everything else was set when the store was made.
pub(crate) fn begin(store: &mut Store<State>, fuel: u64) {
    store.set_fuel(fuel).expect("the engine counts fuel");
    store.set_epoch_deadline(1);
}

/// An instance's exports.
pub(crate) enum Guest {
    Node(node::Guest),
    Toolset(toolset::Guest),
}

/// What is called.
#[derive(Debug)]
pub(crate) enum Target {
    Node,
    Tool {
        /// What the operator passes to tools.
        context: Payload,
    },
}

/// A node or tool of a plugin, with its configuration.
pub(crate) struct Function {
    /// As it was loaded first; a trace may run a newer version of it.
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) config: Payload,
    /// Calls that one instance serves.
    pub(crate) reuse: u32,
    pub(crate) pool: Arc<Pool>,
}

impl Invoke for Function {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(self.run(call))
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plugin = &self.loaded.identity.name;
        f.debug_struct("Function").field("plugin", plugin).field("name", &self.name).field("pool", &self.pool).finish()
    }
}

/// What the guest answered.
enum Answer {
    Node(Result<node::Outcome, types::Failure>),
    Tool(Result<String, types::Failure>),
}

impl Function {
    /// The future holds the instance: dropped, it takes the instance with it.
    async fn run(&self, call: Call) -> Report {
        let started = Instant::now();
        let recorded = matches!(call.taping, Taping::Record);
        let replaced = self.loaded.replaced(&call.ctx);
        let loaded = replaced.as_ref().unwrap_or(&self.loaded);
        let report = match loaded.caller(&call) {
            Ok(caller) => self.run_for(loaded, &caller, call, started).await,
            Err(failure) => Err(failure),
        };
        let mut report = report.unwrap_or_else(|failure| {
            let tape = recorded.then(|| Box::new(Tape::unfit(Unfit::NoRoom)));
            Report { tape, ..Report::from(Err(failure)) }
        });
        report.receipt.wall = started.elapsed();
        report
    }

    /// The error: there is no room for it now.
    async fn run_for(&self, loaded: &Arc<Loaded>, caller: &Caller, call: Call, started: Instant) -> Result<Report, Failure> {
        let identity = &caller.identity;
        let (ctx, message, attempt) = (call.ctx.clone(), Arc::clone(&call.message), call.attempt);
        let (mut given, mut deadline) = give(identity, &call, started);
        let (amounts, hold) = take(identity, &call, given, deadline).await?;
        if hold.is_some() {
            // It may have waited for that.
            (given, deadline) = give(identity, &call, Instant::now());
        }
        given.fuel = amounts[Resource::Fuel];
        let id = message.id.to_string();
        let parent = message.parent.map(|parent| parent.to_string());
        // What an instance has of earlier calls is in no record.
        let answers = Answers::new(&call.taping, self.reuse <= 1);
        let fresh = answers.are_recorded();
        let running = Running::new(call, answers, deadline, amounts);

        let warm = if self.reuse > 1 && !fresh { self.pool.take(&ctx.origin().tenant, loaded) } else { None };
        // The places come before the store, so that they are dropped after it.
        let (places, store, guest, calls) = match warm {
            Some(mut warm) => {
                warm.store.data_mut().begin(running);
                (warm.places, warm.store, Some(warm.guest), warm.calls)
            }
            None => {
                let places = loaded.core.room.take(loaded.places, caller.tenant.as_ref())?;
                (places, loaded.store(identity, running), None, 0)
            }
        };
        let mut live = Live { store: Some(store), fuel: given.fuel, hold, tenant: caller.tenant.clone() };
        begin(live.store(), given.fuel);
        let request =
            Request { ctx: &ctx, message: &message, id: &id, parent: parent.as_deref(), attempt, deadline_ms: given.wall_ms };
        let turns = loaded.core.threads.enter(&ctx.origin().tenant);
        let (ended, cpu) = {
            let work = pin!(self.work(loaded, live.store(), guest, &request));
            let mut timed = Timed::new(work, deadline, Some(&turns));
            let ended = (&mut timed).await;
            (ended, timed.busy)
        };
        let (result, kept) = match ended {
            Ok(Ok((guest, answer))) => accept(identity, answer, guest),
            Ok(Err(error)) => (Err(Ended::Trapped(error)), None),
            Err(_) => (Err(Ended::OutOfTime), None),
        };
        let mut report = loaded.report(identity, &mut live, result, given);
        report.receipt.bytes_in = request.size() + (self.name.len() + self.config.text().len()) as u64;
        report.receipt.cpu = cpu;
        if turns.lasts() && emissions(&report) >= MANY {
            report.until_sent = Some(Box::new(turns));
        }
        let (mut store, hold) = live.done();
        report.hold = hold;
        // Exchanges over HTTP end with their call: what is left of them in the instance goes with it.
        let over = calls + 1 >= self.reuse || fresh || store.data().has_exchanged();
        if let Some(guest) = kept.filter(|_| !over) {
            // A waiting instance keeps nothing of the trace that it served.
            (store.data_mut().call.ctx, store.data_mut().call.message) = (None, None);
            self.pool.put(loaded, Arc::clone(&ctx.origin().tenant), store, guest, calls + 1, places);
        } else {
            drop(store);
        }
        Ok(report)
    }

    /// Everything that runs the guest's code.
    async fn work(
        &self,
        loaded: &Loaded,
        store: &mut Store<State>,
        guest: Option<Guest>,
        request: &Request<'_>,
    ) -> wasmtime::Result<(Guest, Answer)> {
        let guest = match guest {
            Some(guest) => guest,
            None => loaded.instantiate(store, &self.target).await?,
        };
        let config = self.config.text();
        let answer = match (&guest, &self.target) {
            (Guest::Node(guest), _) => {
                let meta = request.meta();
                Answer::Node(guest.call_handle(store, &self.name, config, request.node(&meta)).await?)
            }
            (Guest::Toolset(guest), Target::Tool { context }) => {
                let arguments = request.message.payload.text();
                Answer::Tool(guest.call_call(store, &self.name, config, arguments, request.tool(context)).await?)
            }
            (Guest::Toolset(_), Target::Node) => unreachable!("an instance is made for its target"),
        };
        Ok((guest, answer))
    }
}

/// Who calls, and what the plugin is for that one.
struct Caller {
    identity: Arc<Identity>,
    /// None: nobody has a ceiling.
    tenant: Option<Arc<Tenant>>,
}

/// Takes what the call may use of its trace's budget: as much as the plugin's limits say, or less.
/// The error: others of its trace have held the rest for as long as it may take in all.
async fn take(
    identity: &Identity,
    call: &Call,
    given: Given,
    deadline: Instant,
) -> Result<(Amounts, Option<Box<Hold>>), Failure> {
    let mut amounts = identity.limits.amounts();
    if let Taping::Play(tape) = &call.taping {
        // It is told what it was told.
        amounts[Resource::Fuel] = tape.fuel;
        return Ok((amounts, None));
    }
    let held = tokio::time::timeout_at(deadline, call.ctx.hold(amounts)).await;
    held.map_err(|_| trap::out_of_time(identity, given))
}

/// How long it may take from now: as long as the plugin's limits say, or less where the attempt has less. Its fuel is as its limits say.
fn give(identity: &Identity, call: &Call, now: Instant) -> (Given, Instant) {
    let limits = &identity.limits;
    let wall = after(now, limits.wall);
    if let Taping::Play(tape) = &call.taping {
        // What it is told is what it was told; how long it may take is as long as ever.
        return (Given { fuel: limits.fuel, wall_ms: tape.wall_ms, wall_of_attempt: false }, wall);
    }
    let attempt = call.deadline.filter(|deadline| *deadline < wall);
    let deadline = attempt.unwrap_or(wall);
    let wall_ms = deadline.saturating_duration_since(now).as_millis();
    let wall_ms = u64::try_from(wall_ms).unwrap_or(u64::MAX);
    (Given { fuel: limits.fuel, wall_ms, wall_of_attempt: attempt.is_some() }, deadline)
}

/// Checks the answer. The instance is kept unless the answer breaks the contract.
fn accept(identity: &Identity, answer: Answer, guest: Guest) -> (Result<Accepted, Ended>, Option<Guest>) {
    let (size, checked) = match answer {
        Answer::Node(Ok(outcome)) => (convert::outcome_size(&outcome), convert::outcome(outcome, identity)),
        Answer::Tool(Ok(result)) => (result.len(), convert::result(result, identity)),
        Answer::Node(Err(failure)) | Answer::Tool(Err(failure)) => {
            return (Err(Ended::Failed(convert::failure_from_guest(failure))), Some(guest));
        }
    };
    match checked {
        Ok(outcome) => (Ok(Accepted { outcome, size: size as u64 }), Some(guest)),
        Err(failure) => (Err(Ended::Failed(failure)), None),
    }
}

/// What ended the call from outside; if anything did, it would not end there again.
fn cut(identity: &Identity, result: &Result<Accepted, Ended>, interrupted: bool, given: Given) -> Option<Unfit> {
    match result {
        Ok(_) | Err(Ended::Failed(_)) => None,
        Err(Ended::OutOfTime) => Some(Unfit::TimedOut),
        Err(Ended::Trapped(_)) if interrupted => Some(Unfit::Interrupted),
        Err(Ended::Trapped(error)) if error.is::<OutOfTime>() => Some(Unfit::TimedOut),
        Err(Ended::Trapped(error)) => match error.downcast_ref() {
            Some(Trap::Interrupt) => Some(Unfit::TimedOut),
            Some(Trap::OutOfFuel) if given.fuel < identity.limits.fuel => Some(Unfit::Budget),
            _ => None,
        },
    }
}

/// A call under way: its store, and what it has taken of its trace's budget. If it is dropped before it is done, what it has used
/// until then is booked all the same.
struct Live {
    /// There until it is done.
    store: Option<Store<State>>,
    fuel: u64,
    hold: Option<Box<Hold>>,
    tenant: Option<Arc<Tenant>>,
}

impl Live {
    fn store(&mut self) -> &mut Store<State> {
        self.store.as_mut().expect("the store is there until the call is done")
    }

    fn usage(&mut self) -> Amounts {
        let fuel = self.fuel;
        let store = self.store();
        let left = store.get_fuel().expect("the engine counts fuel");
        store.data().usage(fuel.saturating_sub(left))
    }

    /// What the guest itself has computed counts for its tenant; what it had done by others, they have counted.
    fn count(&mut self) {
        if let Some(tenant) = self.tenant.take() {
            let fuel = self.fuel;
            let store = self.store();
            let spent = fuel.saturating_sub(store.get_fuel().expect("the engine counts fuel"));
            tenant.computed(spent.saturating_sub(store.data().call.children.used[Resource::Fuel]));
        }
    }

    /// Its use is in the report.
    fn done(mut self) -> (Store<State>, Option<Box<Hold>>) {
        self.count();
        let store = self.store.take().expect("the store is there until the call is done");
        (store, self.hold.take())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.store.is_none() {
            return;
        }
        self.count();
        if let Some(mut hold) = self.hold.take() {
            hold.spend(self.usage());
        }
    }
}

/// Messages that the flow has to send on.
fn emissions(report: &Report) -> usize {
    let returned = match &report.result {
        Ok(Outcome::Outputs(outputs)) => outputs.len(),
        _ => 0,
    };
    report.emitted.len() + returned
}

struct Accepted {
    outcome: Outcome,
    size: u64,
}

/// How a call ended without an outcome.
enum Ended {
    /// The guest said so, or its answer breaks the contract.
    Failed(Failure),
    Trapped(wasmtime::Error),
    OutOfTime,
}
