//! A running flow: takes traces on, runs nodes, ends what is stopped.
//!
//! An attempt runs in a task on the threads for computation; when it ends, `commit` sends its emissions on, and the task goes on
//! with the first message that this made ready. So a message usually runs through its nodes in one task, and a task is spawned
//! only where a trace branches out or another trace's message was waiting.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug_span};

use crate::budget::Budget;
use crate::context::Origin;
use crate::event::Observer;
use crate::graph::Graph;
use crate::handle::Handle;
use crate::join::Joins;
use crate::journal::{Cursor, Journal, Pending, Record};
use crate::message::{Message, MessageId, Meta, Payload};
use crate::quota::{Quotas, Rates};
use crate::release::{Release, Releases};
use crate::rooms::{Slots, Tenant, lock};
use crate::subflow::Caller;
use crate::trace::{End, Phase, Place, State, Terminal, Trace, TraceError};

mod admit;
mod attempt;
mod commit;
mod error;
mod gather;
mod log;
mod replay;
mod restore;
mod send;
mod settle;
mod span;

pub use error::Error;
pub use replay::{Attempted, Past, Repeated};

/// Traces in flight at once; enough to keep a few nodes busy, few enough to look at.
pub const DEFAULT_IN_FLIGHT: usize = 64;
/// Invocations of nodes that one trace may cause: a runaway fan-out ends here.
pub const DEFAULT_HOPS: u64 = 100_000;
/// Messages of one trace on their way at once: with the payload limit, this bounds a trace's memory.
pub const DEFAULT_MESSAGES: u64 = 10_000;
/// Bytes of one payload's text; the longest address of a president has 200 KB.
pub const DEFAULT_PAYLOAD: usize = 8 * 1024 * 1024;
/// Items that a trace's reader may be behind.
pub const DEFAULT_READER: usize = 64;

/// How a flow runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Traces in flight at once, over all tenants; `submit` waits beyond it.
    pub in_flight: usize,
    /// Traces in flight at once for one tenant.
    pub in_flight_per_tenant: usize,
    /// How often a tenant is served in a row where others wait too, for credit or for a slot of a node; those that are not
    /// here, once.
    pub weights: BTreeMap<Arc<str>, NonZeroU32>,
    /// What each tenant may ask for; none: as much as any.
    pub quotas: Option<Arc<Quotas>>,
    /// A tenant holds at most all slots of a node but one, so that its calls keep nobody else out, also if they hang: whoever has
    /// the tenants of others beside it wants that. It holds for a tenant that is alone, too, since a call that runs cannot be
    /// taken back when another comes; and it is nothing at a node with one slot.
    pub spare_slot: bool,
    /// What one trace may use.
    pub budget: Budget,
    /// Items that a trace's reader may be behind before its trace waits.
    pub reader: usize,
    /// Threads on which nodes run.
    pub compute: Runtime,
    /// Threads on which time-outs and retries wait, apart from those that nodes may keep busy.
    pub timers: Runtime,
    /// Sees every event.
    pub observer: Option<Arc<dyn Observer>>,
    /// Keeps what must survive the process; none: nothing does.
    pub journal: Option<Arc<dyn Journal>>,
    /// What nodes compute with, where that changes while the flow runs; none: it does not.
    pub releases: Option<Arc<dyn Releases>>,
    /// Whoever reads the traces appends [`Record::Delivered`](crate::Record) itself. If not, a trace whose end has been read is
    /// done with, and one whose end has not been read gives all its outputs again when it is resumed.
    pub acknowledge: bool,
    /// The time now, in milliseconds since 1970; it is carried on from here by the clock that cannot be set.
    pub epoch_ms: u64,
}

impl Config {
    /// The defaults, with everything on the current Tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn on_current_runtime() -> Self {
        Self {
            in_flight: DEFAULT_IN_FLIGHT,
            in_flight_per_tenant: DEFAULT_IN_FLIGHT,
            weights: BTreeMap::new(),
            quotas: None,
            spare_slot: false,
            budget: Budget::new(DEFAULT_HOPS, DEFAULT_MESSAGES, DEFAULT_PAYLOAD),
            reader: DEFAULT_READER,
            compute: Runtime::current(),
            timers: Runtime::current(),
            observer: None,
            journal: None,
            releases: None,
            acknowledge: false,
            epoch_ms: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// A request for a flow.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Who asks; the trace's id must not be in flight already.
    pub origin: Origin,
    /// What enters at each input of the graph.
    pub payload: Payload,
    /// What travels with it.
    pub meta: Meta,
    /// A label for routers.
    pub topic: Option<Arc<str>>,
    /// Higher is more urgent: what it causes goes ahead of what the same tenant has waiting with a lower one.
    pub priority: i32,
    /// From acceptance, after whatever [`Flow::submit`] waited for; the flow's own deadline holds too.
    pub deadline: Option<Duration>,
    /// Up to where the input has been read, for the journal.
    pub cursor: Option<Cursor>,
}

impl Submission {
    /// A payload for a trace with this id, of this tenant.
    pub fn new(trace: &str, tenant: &str, payload: Payload) -> Self {
        let origin = Origin { trace: trace.into(), tenant: tenant.into(), user: None, session: None };
        Self { origin, payload, meta: Meta::default(), topic: None, priority: 0, deadline: None, cursor: None }
    }
}

/// A graph that runs.
#[derive(Debug, Clone)]
pub struct Flow {
    shared: Arc<Shared>,
}

/// What a trace holds of its flow while it is in flight.
struct Seat {
    tenant: Arc<Tenant>,
    credit: Option<[OwnedSemaphorePermit; 2]>,
    caller: Option<Caller>,
    /// None: its caller's, or there are none.
    release: Option<Release>,
}

/// What all traces of a flow share.
pub(crate) struct Shared {
    pub(crate) graph: Graph,
    pub(crate) config: Config,
    pub(crate) started: Instant,
    pub(crate) slots: Box<[Slots]>,
    traces: Mutex<BTreeMap<Arc<str>, Arc<Trace>>>,
    tenants: Mutex<BTreeMap<Arc<str>, Arc<Tenant>>>,
    credit: Arc<Semaphore>,
    rates: Rates,
    stopping: AtomicBool,
    /// A trace has ended.
    ended: Notify,
    pub(crate) tasks: TaskTracker,
    /// Run for calls of this flow's nodes.
    pub(crate) subflows: BTreeMap<String, Flow>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("name", &self.graph.name).finish_non_exhaustive()
    }
}

// === impl Flow ===

impl Flow {
    /// Starts a graph.
    pub fn start(mut graph: Graph, mut config: Config) -> Self {
        // With room for none, no output could ever leave.
        config.reader = config.reader.max(1);
        let nodes = graph.nodes().iter().enumerate();
        let slots = nodes.map(|(index, node)| Slots::new(node.policy.concurrency, config.spare_slot.then_some(index))).collect();
        let credit = Arc::new(Semaphore::new(config.in_flight.min(Semaphore::MAX_PERMITS)));
        let subflows = graph.take_subflows().into_iter().map(|(name, graph, budget)| {
            // Their ends are their callers', and nobody acknowledges them.
            let config = Config { budget, acknowledge: false, ..config.clone() };
            (name, Self::start(graph, config))
        });
        let subflows = subflows.collect();
        let shared = Shared {
            graph,
            started: Instant::now(),
            slots,
            traces: Mutex::default(),
            tenants: Mutex::default(),
            credit,
            rates: Rates::default(),
            stopping: AtomicBool::new(false),
            ended: Notify::new(),
            tasks: TaskTracker::new(),
            subflows,
            config,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The graph that runs.
    pub fn graph(&self) -> &Graph {
        &self.shared.graph
    }

    /// Takes a request on as soon as there is credit for it and, with a journal, as soon as it is in there. Its results come out
    /// of the handle. Dropping the handle cancels it; with a journal, it stops there and can be resumed.
    pub async fn submit(&self, submission: Submission) -> Result<Handle, Error> {
        self.submit_for(submission, None).await
    }

    pub(crate) async fn submit_for(&self, submission: Submission, caller: Option<Caller>) -> Result<Handle, Error> {
        self.offer_for(submission, caller).await?.accepted().await
    }

    /// The first half of [`Flow::submit`]: waits for credit and hands the request to the journal. Whoever offers one request after
    /// the other has them accepted in this order, without waiting for each.
    pub async fn offer(&self, submission: Submission) -> Result<Offered, Error> {
        self.offer_for(submission, None).await
    }

    async fn offer_for(&self, submission: Submission, caller: Option<Caller>) -> Result<Offered, Error> {
        self.check_size(&submission)?;
        if caller.is_none() {
            self.shared.check_quota(&submission.origin.tenant)?;
        }
        let seat = self.shared.seat(&submission.origin.tenant, caller).await?;
        self.enter(submission, seat)
    }

    fn check_size(&self, submission: &Submission) -> Result<(), Error> {
        let (bytes, max) = (submission.payload.text().len() + submission.meta.size(), self.shared.config.budget.payload);
        if bytes > max { Err(Error::TooLarge { bytes, max }) } else { Ok(()) }
    }

    /// Takes on a request that has its seat.
    fn enter(&self, submission: Submission, seat: Seat) -> Result<Offered, Error> {
        let shared = &self.shared;
        let deadline = submission.deadline.into_iter().chain(shared.config.budget.deadline).min();
        let seat = Seat { release: shared.config.releases.as_ref().map(|releases| releases.current()), ..seat };
        let trace = shared.open(submission.origin, deadline, submission.cursor, seat);
        let message = Message {
            id: MessageId::INPUT,
            parent: None,
            source: None,
            payload: submission.payload,
            meta: submission.meta,
            topic: submission.topic,
            priority: submission.priority,
            turn: 0,
        };
        // Whoever finds it in the table waits until it has entered.
        let appended = shared.with(&trace, |step| {
            shared.register(&trace).inspect_err(|_| step.forgo())?;
            Ok::<_, Error>(step.take_on(message))
        })?;
        // From here on a caller that does not wait any more leaves nothing behind.
        Ok(Offered { handle: Handle::new(trace), appended })
    }

    /// Goes on with a trace where its records in the journal end. Its reader gets the outputs that it is not known to have.
    pub async fn resume(&self, trace: &str) -> Result<Handle, Error> {
        self.resume_for(trace, None).await
    }

    pub(crate) fn has_journal(&self) -> bool {
        self.shared.config.journal.is_some()
    }

    pub(crate) async fn resume_for(&self, trace: &str, caller: Option<Caller>) -> Result<Handle, Error> {
        let shared = &self.shared;
        let Some(journal) = &shared.config.journal else {
            return Err(Error::Journal("the flow has no journal to resume from".to_owned()));
        };
        let entries = journal.load(trace).await?;
        let Some(Record::Accepted(accepted)) = entries.first().map(|entry| &entry.record) else {
            return Err(Error::Journal(format!("the journal has no trace `{trace}`")));
        };
        if let Some(why) = caller.as_ref().and_then(|caller| caller.is_not_of(accepted)) {
            return Err(Error::Unfit { trace: trace.into(), reason: why.to_owned() });
        }
        let origin = Origin {
            trace: trace.into(),
            tenant: Arc::clone(&accepted.tenant),
            user: accepted.user.clone(),
            session: accepted.session.clone(),
        };
        let release = if caller.is_none() { shared.release_of(trace, accepted.release)? } else { None };
        let seat = Seat { release, ..shared.seat(&origin.tenant, caller).await? };
        // A clock that was set back meanwhile gives no one more time than there was at the last record.
        let latest = entries.iter().map(|entry| entry.at_ms).max().unwrap_or_default();
        let now = shared.now_ms().max(latest);
        let left = accepted.deadline_ms.map(|deadline| Duration::from_millis(deadline.saturating_sub(now)));
        let trace = shared.open(origin, left, accepted.cursor, seat);
        shared.with(&trace, |step| {
            shared.register(&trace).inspect_err(|_| step.forgo())?;
            step.restore(entries)
        })?;
        shared.watch_deadline(&trace);
        Ok(Handle::new(trace))
    }

    /// Ends a trace as cancelled. False if no trace in flight has this id.
    pub fn cancel(&self, trace: &str) -> bool {
        let found = lock(&self.shared.traces).get(trace).cloned();
        found.is_some_and(|trace| self.shared.end(&trace, End::Cancelled, "somebody cancelled the trace"))
    }

    /// Ends every trace in flight as failed, for this reason: what they run on must not run any more. Returns how many. Nothing
    /// keeps others from being submitted.
    pub fn fail_all(&self, code: &str, message: &str) -> usize {
        self.fail_those(|_| true, code, message)
    }

    /// As [`Flow::fail_all`], of those that began with this release.
    pub fn fail_release(&self, number: u64, code: &str, message: &str) -> usize {
        self.fail_those(|trace| trace.release.as_ref().is_some_and(|release| release.number == number), code, message)
    }

    fn fail_those(&self, which: impl Fn(&Trace) -> bool, code: &str, message: &str) -> usize {
        let all: Vec<Arc<Trace>> = lock(&self.shared.traces).values().filter(|trace| which(trace)).cloned().collect();
        let end = |trace: &&Arc<Trace>| {
            let error = Some(TraceError::new(code, message));
            self.shared.end_with(trace, Terminal { end: End::Failed, outputs: 0, error })
        };
        all.iter().filter(end).count()
    }

    /// Traces that have not ended.
    pub fn in_flight(&self) -> usize {
        lock(&self.shared.traces).len()
    }

    /// Takes on nothing more, waits up to `grace` for what is in flight, and ends the rest as stopped. When it returns, nothing
    /// of the flow runs any more.
    pub async fn stop(&self, grace: Duration) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::SeqCst);
        shared.credit.close();
        for tenant in lock(&shared.tenants).values() {
            tenant.credit.close();
        }
        if tokio::time::timeout(grace, shared.wait_until_idle()).await.is_err() {
            let rest: Vec<Arc<Trace>> = lock(&shared.traces).values().cloned().collect();
            for trace in rest {
                shared.end(&trace, End::Stopped, "the flow was stopped before this trace could end");
            }
            shared.wait_until_idle().await;
        }
        shared.tasks.close();
        shared.tasks.wait().await;
        for subflow in shared.subflows.values() {
            // Nothing calls them any more.
            Box::pin(subflow.stop(Duration::ZERO)).await;
        }
    }
}

/// A request on its way into the journal. Dropping it is as dropping its handle.
#[must_use]
pub struct Offered {
    handle: Handle,
    appended: Option<(u64, Pending<()>)>,
}

impl fmt::Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offered").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Offered {
    /// Waits until the journal has it. Without a journal there is nothing to wait for.
    pub async fn accepted(self) -> Result<Handle, Error> {
        let Self { handle, appended } = self;
        let (trace, shared) = (&handle.trace, &handle.trace.flow);
        if let Some((fact, pending)) = appended {
            let result = pending.await;
            let refused = result.clone().err();
            shared.with(trace, |step| step.recorded(fact, result));
            if let Some(error) = refused {
                return Err(error.into());
            }
        }
        shared.watch_deadline(trace);
        Ok(handle)
    }
}

// === impl Shared ===

impl Shared {
    fn tenant(&self, name: &Arc<str>) -> Arc<Tenant> {
        let mut tenants = lock(&self.tenants);
        if let Some(tenant) = tenants.get(name) {
            return Arc::clone(tenant);
        }
        // Whoever is not in use any more makes place: tenants are as many as have traces in flight.
        tenants.retain(|_, tenant| Arc::strong_count(tenant) > 1);
        let quota = self.config.quotas.as_ref().and_then(|quotas| quotas.of(name));
        let weight = self.config.weights.get(name).copied().or(quota.map(|quota| quota.weight)).unwrap_or(NonZeroU32::MIN);
        let credit = quota.and_then(|quota| quota.in_flight).unwrap_or(self.config.in_flight_per_tenant);
        let (edges, nodes) = (self.graph.edges().len(), self.graph.nodes().len());
        let counted = if self.config.spare_slot { nodes } else { 0 };
        let tenant = Arc::new(Tenant::new(Arc::clone(name), weight, edges, counted, credit));
        if self.stopping.load(Ordering::SeqCst) {
            tenant.credit.close();
        }
        tenants.insert(Arc::clone(name), Arc::clone(&tenant));
        tenant
    }

    /// Waits for credit; a subflow runs on its caller's.
    async fn seat(&self, tenant: &Arc<str>, caller: Option<Caller>) -> Result<Seat, Error> {
        let tenant = self.tenant(tenant);
        if caller.is_some() {
            return Ok(Seat { tenant, credit: None, caller, release: None });
        }
        let credit = tenant.admit(&self.credit).await.map_err(|_| Error::Stopped)?;
        Ok(Seat { tenant, credit: Some(credit), caller, release: None })
    }

    /// A trace that nobody knows yet and in which nothing happens.
    fn open(self: &Arc<Self>, mut origin: Origin, left: Option<Duration>, cursor: Option<Cursor>, seat: Seat) -> Arc<Trace> {
        let now = Instant::now();
        let Seat { tenant, credit, caller, release } = seat;
        let (caller, part) = caller.map(|Caller { ctx, part, .. }| (ctx, part)).unzip();
        let own = left.and_then(|left| now.checked_add(left));
        let callers = caller.as_ref().and_then(|caller| caller.trace.deadline);
        // What calls a subflow decides what it runs.
        let release = match &caller {
            Some(caller) => caller.trace.release.clone(),
            None => release.map(Box::new),
        };
        // One text for all traces of the tenant.
        origin.tenant = Arc::clone(&tenant.name);
        let state = State {
            phase: Phase::Running,
            next_event: 0,
            live: 0,
            running: 0,
            nodes: self.graph.nodes().iter().map(|_| Place::default()).collect(),
            outbox: BTreeMap::new(),
            in_line: BTreeMap::new(),
            joins: Joins::default(),
            reader: std::collections::VecDeque::new(),
            outputs: 0,
            counters: None,
            credit,
            part,
            log: self.config.journal.as_ref().map(|_| Box::default()),
        };
        Arc::new(Trace {
            span: self.trace_span(&origin),
            origin,
            deadline: own.into_iter().chain(callers).min(),
            started: now,
            cancelled: CancellationToken::new(),
            tenant,
            flow: Arc::clone(self),
            account: self.config.budget.account(caller.is_some()),
            caller: caller.map(Box::new),
            release,
            cursor: cursor.map(Box::new),
            hops: AtomicU64::new(0),
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// What a trace began with in an earlier process, where code changes while the flow runs.
    fn release_of(&self, trace: &str, number: u64) -> Result<Option<Release>, Error> {
        let Some(releases) = &self.config.releases else { return Ok(None) };
        releases.numbered(number).map(Some).ok_or_else(|| {
            let reason = format!("it began with release {number} of the flow's code, which is not here");
            Error::Unfit { trace: trace.into(), reason }
        })
    }

    fn register(&self, trace: &Arc<Trace>) -> Result<(), Error> {
        let mut traces = lock(&self.traces);
        if self.stopping.load(Ordering::SeqCst) {
            return Err(Error::Stopped);
        }
        if traces.contains_key(&trace.origin.trace) {
            return Err(Error::Duplicate(Arc::clone(&trace.origin.trace)));
        }
        traces.insert(Arc::clone(&trace.origin.trace), Arc::clone(trace));
        Ok(())
    }

    fn watch_deadline(self: &Arc<Self>, trace: &Arc<Trace>) {
        let Some(deadline) = trace.deadline else { return };
        let (shared, trace) = (Arc::clone(self), Arc::clone(trace));
        let watch = async move {
            tokio::select! {
                () = trace.cancelled.cancelled() => {}
                () = tokio::time::sleep_until(deadline) => {
                    shared.end_with(&trace, trace.deadline_exceeded());
                }
            }
        };
        self.tasks.spawn_on(watch.instrument(debug_span!("deadline")), &self.config.timers);
    }

    async fn wait_until_idle(&self) {
        loop {
            let ended = self.ended.notified();
            if lock(&self.traces).is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Forgets a trace that has ended.
    pub(crate) fn forget(&self, trace: &Trace) {
        lock(&self.traces).remove(&trace.origin.trace);
        self.ended.notify_waiters();
    }

    /// Ends a trace early, unless it is ending already.
    pub(crate) fn end(self: &Arc<Self>, trace: &Arc<Trace>, end: End, message: &str) -> bool {
        let error = Some(TraceError::new(end.name(), message));
        self.end_with(trace, Terminal { end, outputs: 0, error })
    }
}
