//! A running flow: takes traces on, runs nodes, ends what is stopped.
//!
//! An attempt runs in a task on the threads for computation; when it ends, `commit` sends its emissions on, and the task goes on
//! with the first message that this made ready. So a message usually runs through its nodes in one task, and a task is spawned
//! only where a trace branches out or another trace's message was waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug_span};

use crate::context::{Context, Origin};
use crate::event::Observer;
use crate::graph::{Graph, Kind};
use crate::handle::Handle;
use crate::join::Joins;
use crate::journal::{At, Cursor, Journal, JournalError, Pending, Record};
use crate::message::{Message, MessageId, Meta, Payload};
use crate::node::{Call, Failure, FailureKind, Outcome, Output, Report};
use crate::rooms::{Slots, Tenant, lock};
use crate::stream::{Sender, Silence};
use crate::subflow::Caller;
use crate::trace::{End, Job, Phase, Place, State, Terminal, Trace, TraceError};

mod commit;
mod gather;
mod log;
mod restore;
mod send;
mod settle;
mod span;

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
            budget: Budget {
                hops: DEFAULT_HOPS,
                messages: DEFAULT_MESSAGES,
                payload: DEFAULT_PAYLOAD,
                fuel: None,
                tokens: None,
                deadline: None,
            },
            reader: DEFAULT_READER,
            compute: Runtime::current(),
            timers: Runtime::current(),
            observer: None,
            journal: None,
            acknowledge: false,
            epoch_ms: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// What one trace may use; `None` is unlimited.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Invocations of nodes.
    pub hops: u64,
    /// Messages on their way at once.
    pub messages: u64,
    /// Bytes of one payload's text.
    pub payload: usize,
    /// Units of guest computation.
    pub fuel: Option<u64>,
    /// Tokens that a controller says it used.
    pub tokens: Option<u64>,
    /// From acceptance to the end.
    pub deadline: Option<Duration>,
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
    /// Higher is more urgent.
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

/// Why a submission was not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Submit under another id, or wait for the first to end.
    #[error("trace `{0}` is in flight already; each request needs an id of its own")]
    Duplicate(Arc<str>),
    /// Send less.
    #[error("the payload has {bytes} bytes; the limit is {max}: raise it with `budget.payload`")]
    TooLarge {
        /// What was sent.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// Give up.
    #[error("the flow has been stopped")]
    Stopped,
    /// The journal cannot be written or read, or has no such trace.
    #[error("{0}")]
    Journal(String),
    /// What the journal has of a trace does not fit this flow.
    #[error("trace `{trace}` cannot go on: {reason}")]
    Unfit {
        /// Which.
        trace: Arc<str>,
        /// Why, and the remedy.
        reason: String,
    },
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Duplicate(trace) => Self::Duplicate(trace),
            JournalError::Unusable(why) => Self::Journal(why),
        }
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
        let slots = graph.nodes().iter().map(|node| Slots::new(node.policy.concurrency)).collect();
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
        let shared = &self.shared;
        let bytes = submission.payload.text().len() + submission.meta.size();
        if bytes > shared.config.budget.payload {
            return Err(Error::TooLarge { bytes, max: shared.config.budget.payload });
        }
        let seat = shared.seat(&submission.origin.tenant, caller).await?;
        let deadline = submission.deadline.into_iter().chain(shared.config.budget.deadline).min();
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
        let origin = Origin {
            trace: trace.into(),
            tenant: Arc::clone(&accepted.tenant),
            user: accepted.user.clone(),
            session: accepted.session.clone(),
        };
        let seat = shared.seat(&origin.tenant, caller).await?;
        // A clock that was set back meanwhile gives no one more time than there was.
        let accepted_ms = entries[0].at_ms;
        let left = accepted.deadline_ms.map(|deadline| {
            let whole = deadline.saturating_sub(accepted_ms);
            Duration::from_millis(deadline.saturating_sub(shared.now_ms()).min(whole))
        });
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
        let tenant = Arc::new(Tenant::new(Arc::clone(name), self.graph.edges().len(), self.config.in_flight_per_tenant));
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
            return Ok(Seat { tenant, credit: None, caller });
        }
        let own = Arc::clone(&tenant.credit).acquire_owned().await.map_err(|_| Error::Stopped)?;
        let common = Arc::clone(&self.credit).acquire_owned().await.map_err(|_| Error::Stopped)?;
        Ok(Seat { tenant, credit: Some([own, common]), caller })
    }

    /// A trace that nobody knows yet and in which nothing happens.
    fn open(self: &Arc<Self>, mut origin: Origin, left: Option<Duration>, cursor: Option<Cursor>, seat: Seat) -> Arc<Trace> {
        let now = Instant::now();
        let Seat { tenant, credit, caller } = seat;
        let (caller, part) = caller.map(|Caller { ctx, part }| (ctx, part)).unzip();
        let own = left.and_then(|left| now.checked_add(left));
        let callers = caller.as_ref().and_then(|caller| caller.trace.deadline);
        // One text for all traces of the tenant.
        origin.tenant = Arc::clone(&tenant.name);
        let state = State {
            phase: Phase::Running,
            next_event: 0,
            live: 0,
            running: 0,
            nodes: self.graph.nodes().iter().map(|_| Place::default()).collect(),
            outbox: BTreeMap::new(),
            in_line: BTreeSet::new(),
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
            caller,
            cursor,
            fuel_used: AtomicU64::new(0),
            hops: AtomicU64::new(0),
            state: Mutex::new(state),
            changed: Notify::new(),
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

    /// Runs a job in a task of its own.
    pub(crate) fn spawn(self: &Arc<Self>, job: Job) {
        // Without a span of its own: it runs attempts of whatever trace, each in the attempt's span.
        self.tasks.spawn_on(Arc::clone(self).run(job), &self.config.compute);
    }

    /// Runs a job and whatever it makes ready first.
    async fn run(self: Arc<Self>, mut job: Job) {
        loop {
            // Lets other tasks have a turn now and then, however long the chain.
            tokio::task::coop::consume_budget().await;
            let started = self.config.observer.is_some().then(Instant::now);
            let report = self.spanned(&job).await;
            let latency = started.map_or(Duration::ZERO, |started| started.elapsed());
            match self.finish(job, report, latency).await {
                Some(next) => job = next,
                None => return,
            }
        }
    }

    /// One attempt within its limits; none if the trace ended meanwhile.
    async fn attempt(self: &Arc<Self>, job: &Job) -> Option<Report> {
        let trace = &job.trace;
        if trace.cancelled.is_cancelled() {
            return None;
        }
        let node = &self.graph.nodes()[job.node];
        let Kind::Run { invoke, input, output, repeatable } = &node.kind else { return None };
        let input = input.as_ref().filter(|_| node.policy.validate.input());
        let output = output.as_ref().filter(|_| node.policy.validate.output());
        let message = &job.envelope.message;
        if trace.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            // The commit makes it the trace's end.
            return Some(Report::from(Err(Failure::new(FailureKind::TimedOut, "the trace's deadline has passed"))));
        }
        if !repeatable && self.config.journal.is_some() {
            let (node, attempt) = (Arc::clone(&node.name), job.envelope.attempt);
            if !self.record_start(trace, At { node, message: message.id, attempt }).await {
                return None;
            }
        }
        let timeout = node.policy.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let sender = Arc::<Sender>::default();
        let _silence = Silence(Arc::clone(&sender));
        let attempt = job.envelope.attempt;
        let call = Call {
            ctx: Context { trace: Arc::clone(trace), node: job.node, message: message.id, attempt, sender },
            message: Arc::clone(message),
            attempt,
            deadline: timeout.into_iter().chain(trace.deadline).min(),
        };
        let work = async {
            let wrong = |why| Err(Failure::new(FailureKind::InvalidInput, why));
            if let Some(why) = input.and_then(|schema| schema.check(&message.payload.value()).err()) {
                return Report::from(wrong(format!("the payload does not fit the input of `{}`: {why}", node.name)));
            }
            let mut report = invoke.invoke(call).await;
            if let Some(why) = output.and_then(|schema| check_outputs(schema, &report).err()) {
                report.result = wrong(format!("an output of `{}` does not fit its own schema: {why}", node.name));
            }
            report
        };
        let mut report = self.guard(trace, timeout, work).await?;
        if let Some(bytes) = largest(&report, message).filter(|bytes| *bytes > self.config.budget.payload) {
            let (used, max) = (bytes as u64, self.config.budget.payload as u64);
            report.result = Err(Failure::limit(FailureKind::Exhausted, "payload", used, max, "`budget.payload`"));
        }
        Some(report)
    }

    /// Polls a computation; ends it when its time is up or its trace ends.
    async fn guard(&self, trace: &Trace, timeout: Option<Instant>, work: impl Future<Output = Report>) -> Option<Report> {
        let mut work = pin!(work);
        // Most native nodes are ready at once: no timer, no registration.
        if let Poll::Ready(report) = std::future::poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
            return Some(report);
        }
        let time_is_up = async {
            match timeout {
                Some(at) => self.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = trace.cancelled.cancelled() => None,
            report = &mut work => Some(report),
            () = time_is_up => {
                let failure = Failure::new(FailureKind::TimedOut, "the attempt took longer than the node's `policy.timeout`");
                Some(Report::from(Err(failure)))
            }
        }
    }

    /// Sleeps on the threads for timers, from whatever thread.
    async fn sleep_until(&self, at: Instant) {
        let sleep = {
            let _on_timers = self.config.timers.enter();
            tokio::time::sleep_until(at)
        };
        sleep.await;
    }

    /// Brings a failed message back after a pause, unless its trace ends first.
    pub(crate) fn park(self: &Arc<Self>, job: Job, pause: Duration) {
        let shared = Arc::clone(self);
        let at = Instant::now().checked_add(pause);
        let wait = async move {
            let time_is_up = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = job.trace.cancelled.cancelled() => {}
                () = time_is_up => shared.retry(job),
            }
        };
        self.tasks.spawn_on(wait.instrument(debug_span!("retry")), &self.config.timers);
    }

    /// A parked message's pause is over.
    fn retry(self: &Arc<Self>, job: Job) {
        let Job { trace, node, envelope } = job;
        self.with(&trace, |step| step.resume(node, envelope));
    }
}

/// An attempt that panics, wherever it does, is a failed one: its trace goes on.
async fn caught(attempt: impl Future<Output = Option<Report>>) -> Option<Report> {
    let mut attempt = pin!(attempt);
    std::future::poll_fn(|cx| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| {
            let failure = Failure::new(FailureKind::Internal, "the node panicked; see the standard error for where");
            Poll::Ready(Some(Report::from(Err(failure))))
        })
    })
    .await
}

fn check_outputs(schema: &crate::schema::Schema, report: &Report) -> Result<(), String> {
    let returned = match &report.result {
        Ok(Outcome::Outputs(outputs)) => outputs.as_slice(),
        _ => &[],
    };
    report.emitted.iter().chain(returned).try_for_each(|output| schema.check(&output.payload.value()))
}

/// The bytes of the largest message that the node gives: its payload, and the metadata that travels with it.
fn largest(report: &Report, message: &Message) -> Option<usize> {
    let handed_on = message.meta.size();
    let size = |output: &Output| output.payload.text().len() + crate::message::size(&output.meta) + handed_on;
    let returned = match &report.result {
        Ok(Outcome::Outputs(outputs)) => outputs.iter().map(size).max(),
        Ok(Outcome::Again { memory: payload, .. } | Outcome::Final(payload)) => Some(payload.text().len()),
        Err(_) => None,
    };
    report.emitted.iter().map(size).chain(returned).max()
}
