//! What runs in the nodes of a plan, and what is seen of it: calls, events, and what neither may ever say.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    At, Backoff, Call, Config, Entry, Event, EventKind, Failure, FailureKind, Flow, Graph, Invoke, Join, Kind as NodeKind, Load,
    Members, MessageId, Observer, OnFailure, Outcome, Output, Policy, Receipt, Record, Report, Resource, Router, Rule,
};

use super::model::{self, TOKENS, emission};
use super::plan::{Kind, Node, OnFail, Plan};
use crate::notebook::Notebook;

/// A flow that runs in one process, and what happened there.
#[derive(Debug)]
pub(crate) struct World {
    plan: Plan,
    pub(crate) journal: Option<Arc<Notebook>>,
    /// Calls run at once, so that what one is told of the budget may be older than what the next one is told.
    threads: bool,
    /// What the journal had when the process began.
    past: Past,
    pub(crate) events: Mutex<Vec<Event>>,
    /// Every call of a node that is not a router, in the order in which they began.
    pub(crate) calls: Mutex<Vec<Called>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone)]
pub(crate) struct Called {
    pub(crate) trace: String,
    pub(crate) at: At,
    /// Whether a failure of this sender came.
    pub(crate) source: Option<(Arc<str>, bool)>,
    pub(crate) parent: Option<MessageId>,
    pub(crate) index: Option<u64>,
}

/// What is in a journal.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Attempts that ended.
    pub(crate) ended: BTreeSet<(String, At)>,
    /// Those that must not be made twice and began.
    pub(crate) started: BTreeSet<(String, At)>,
    /// Attempts and fuel of each trace.
    used: BTreeMap<String, (u64, u64)>,
}

#[derive(Debug, Default)]
struct Seen {
    wrong: Vec<String>,
    /// Attempts of each trace that began here.
    started: BTreeMap<String, u64>,
    /// The least fuel that was left.
    fuel: BTreeMap<String, u64>,
    /// Calls that somebody decided to make again.
    decided: BTreeSet<(String, At)>,
}

// === impl Past ===

impl Past {
    pub(crate) fn of(journal: &Notebook) -> Self {
        let mut past = Self::default();
        for (trace, entry) in journal.entries() {
            match entry.record {
                Record::Done { at, receipt, .. } | Record::Failed { at, receipt, .. } => {
                    let used = past.used.entry(trace.to_string()).or_default();
                    *used = (used.0 + 1, used.1 + receipt.fuel);
                    assert!(past.ended.insert((trace.to_string(), at.clone())), "{at:?} of {trace} ended twice");
                }
                Record::Started(at) => {
                    past.started.insert((trace.to_string(), at));
                }
                Record::Retry(at) => {
                    past.started.remove(&(trace.to_string(), at));
                }
                _ => {}
            }
        }
        past
    }

    /// Calls that must not be made twice and of which nobody knows whether they were made, of traces that have not ended.
    pub(crate) fn doubtful_and_open(&self, entries: &[(Arc<str>, Entry)]) -> BTreeSet<(String, At)> {
        let over = entries.iter().filter(|(_, entry)| matches!(entry.record, Record::Ended(_)));
        let over: BTreeSet<&str> = over.map(|(trace, _)| &**trace).collect();
        self.started.difference(&self.ended).filter(|(trace, _)| !over.contains(trace.as_str())).cloned().collect()
    }
}

// === impl World ===

impl World {
    pub(crate) fn new(plan: &Plan, journal: Option<Arc<Notebook>>) -> Arc<Self> {
        Arc::new(Self::of(plan, journal, false))
    }

    pub(crate) fn on_threads(plan: &Plan, journal: Option<Arc<Notebook>>) -> Arc<Self> {
        Arc::new(Self::of(plan, journal, true))
    }

    fn of(plan: &Plan, journal: Option<Arc<Notebook>>, threads: bool) -> Self {
        let past = journal.as_ref().map(|journal| Past::of(journal)).unwrap_or_default();
        let (events, calls, seen) = Default::default();
        Self { plan: plan.clone(), journal, threads, past, events, calls, seen }
    }

    /// Starts the plan's flow.
    pub(crate) fn start(self: &Arc<Self>, epoch_ms: u64) -> Flow {
        let mut config = Config::on_current_runtime();
        let (room, limits) = (&self.plan.room, &self.plan.limits);
        (config.in_flight, config.in_flight_per_tenant, config.reader) = (room.in_flight, room.per_tenant, room.reader);
        config.spare_slot = room.spare;
        config.budget.hops = limits.hops.unwrap_or(config.budget.hops);
        config.budget.messages = limits.messages.unwrap_or(config.budget.messages);
        (config.budget.fuel, config.budget.tokens) = (limits.fuel, limits.tokens);
        config.observer = Some(Arc::clone(self) as _);
        config.journal = self.journal.clone().map(|journal| journal as _);
        config.acknowledge = self.plan.acknowledge;
        config.epoch_ms = epoch_ms;
        Flow::start(self.graph().build().unwrap(), config)
    }

    fn graph(self: &Arc<Self>) -> Builder {
        let mut graph = Graph::builder("random");
        for (index, node) in self.plan.nodes.iter().enumerate() {
            graph.node(&Plan::name(index), self.kind(index, node), policy(node));
        }
        for (from, to, queue) in &self.plan.edges {
            graph.edge(&Plan::name(*from), &Plan::name(*to), *queue);
        }
        graph
    }

    fn kind(self: &Arc<Self>, index: usize, node: &Node) -> NodeKind {
        let within = node.within.map(Duration::from_millis);
        let join = |members| Join { within, quorum: node.quorum, members, ..Join::count(1) };
        let run = |invoke, repeatable| NodeKind::Run { invoke, input: None, output: None, repeatable };
        match &node.kind {
            Kind::Work { .. } | Kind::Loop { .. } => {
                run(Arc::new(Planned { index, node: node.clone(), world: Arc::clone(self) }), node.repeatable)
            }
            Kind::Route { least, to, otherwise, all } => {
                let names = |nodes: &[usize]| nodes.iter().map(|node| Plan::name(*node)).collect();
                let first = Rule::when(&format!("headers.priority >= {least}"), names(to)).unwrap();
                let rest = if *all { Rule::when("true", names(otherwise)).unwrap() } else { Rule::otherwise(names(otherwise)) };
                run(Arc::new(Router::rules(vec![first, rest], *all)), true)
            }
            Kind::All { of, late } => NodeKind::Join(Join { late: *late, ..join(Members::AllOf(Plan::name(*of))) }),
            Kind::Count { count, by } => {
                let by = by.then(|| vec!["k".to_owned()]);
                NodeKind::Join(Join { by, ..join(Members::Count(*count)) })
            }
            Kind::Each => {
                let sources = self.plan.sources(index).into_iter().map(Plan::name).collect();
                NodeKind::Join(join(Members::EachOf(sources)))
            }
            Kind::Discard => NodeKind::Discard,
        }
    }

    fn wrong(&self, what: String) {
        self.seen.lock().unwrap().wrong.push(what);
    }

    /// What must never happen, and did.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        self.seen.lock().unwrap().wrong.clone()
    }

    /// This call is to be made again.
    pub(crate) fn decide(&self, trace: &str, at: &At) {
        self.seen.lock().unwrap().decided.insert((trace.to_owned(), at.clone()));
    }

    /// The events of a trace.
    pub(crate) fn story(&self, trace: &str) -> Vec<Event> {
        self.events.lock().unwrap().iter().filter(|event| &*event.trace == trace).cloned().collect()
    }

    pub(crate) fn calls_of(&self, trace: &str) -> Vec<Called> {
        self.calls.lock().unwrap().iter().filter(|called| called.trace == trace).cloned().collect()
    }

    pub(crate) fn is_join(&self, node: &str) -> bool {
        (0..self.plan.nodes.len()).any(|index| Plan::name(index) == node && model::is_join(&self.plan.nodes[index]))
    }

    /// A call begins.
    fn begin(&self, node: &Node, call: &Call) {
        let at = At { node: Arc::clone(call.ctx.node()), message: call.message.id, attempt: call.attempt };
        let trace = call.ctx.origin().trace.to_string();
        let key = (trace.clone(), at.clone());
        if self.past.ended.contains(&key) {
            self.wrong(format!("{at:?} of {trace} has a record and is made again"));
        }
        if let Some(journal) = self.journal.as_ref().filter(|_| !node.repeatable) {
            if self.past.started.contains(&key) && !self.seen.lock().unwrap().decided.contains(&key) {
                self.wrong(format!("{at:?} of {trace} is made twice"));
            }
            if !journal.has(&trace, |record| *record == Record::Started(at.clone())) {
                self.wrong(format!("{at:?} of {trace} begins before its record is written"));
            }
        }
        self.check_budget(&trace, call);
        let message = &call.message;
        let payload = message.payload.value();
        let source = message.source.clone().map(|source| (source, payload.get("error").is_some()));
        let index = payload["i"].as_u64();
        self.calls.lock().unwrap().push(Called { trace, at, source, parent: message.parent, index });
    }

    fn check_budget(&self, trace: &str, call: &Call) {
        let (hops_left, fuel_left) = (call.ctx.hops_left(), call.ctx.left()[Resource::Fuel]);
        let mut seen = self.seen.lock().unwrap();
        let (hops, fuel) = self.past.used.get(trace).copied().unwrap_or_default();
        if let Some(max) = self.plan.limits.hops {
            let used = hops + seen.started.get(trace).copied().unwrap_or(0);
            let wanted = max.checked_sub(used);
            let fits = if self.threads { hops_left < max } else { Some(hops_left) == wanted };
            if !fits {
                seen.wrong.push(format!("{trace} has {hops_left} hops left of {max}, and used {used}"));
            }
        }
        if let Some(max) = self.plan.limits.fuel {
            let most = max.saturating_sub(fuel);
            let before = seen.fuel.get(trace).copied().filter(|_| !self.threads).unwrap_or(most);
            if fuel_left <= before {
                seen.fuel.insert(trace.to_owned(), fuel_left);
            } else {
                seen.wrong.push(format!("{trace} has {fuel_left} fuel left, where it had {before} before"));
            }
        }
    }

    fn check_load(&self, event: &Event, load: Load) {
        let Load { pending, running, queued, waiting } = load;
        // There is one more while a request enters, and while what a message leads to is being sent.
        let most = self.plan.limits.messages.map_or(u64::MAX, |max| max + 1);
        if pending == 0 || pending > most || (running + queued) as u64 > pending || u64::from(waiting) > pending {
            self.wrong(format!("an event says {load:?} where {most} messages may be pending: {event:?}"));
        }
    }
}

impl Observer for World {
    fn observe(&self, event: Event) {
        match &event.kind {
            EventKind::Started { load, .. } => {
                *self.seen.lock().unwrap().started.entry(event.trace.to_string()).or_default() += 1;
                self.check_load(&event, *load);
            }
            EventKind::Queued { load, .. }
            | EventKind::Blocked { load, .. }
            | EventKind::Succeeded { load, .. }
            | EventKind::Failed { load, .. }
            | EventKind::Retry { load, .. }
            | EventKind::GaveUp { load, .. } => self.check_load(&event, *load),
            _ => {}
        }
        self.events.lock().unwrap().push(event);
    }
}

fn policy(node: &Node) -> Policy {
    let (base, cap) = (Duration::from_millis(10), Duration::from_millis(40));
    let on_failure = match node.on_failure {
        OnFail::Fail => OnFailure::Fail,
        OnFail::Drop => OnFailure::Drop,
        OnFail::To(target) => OnFailure::To(Plan::name(target)),
    };
    Policy {
        retries: node.retries,
        backoff: Backoff { base, factor: 2.0, cap, jitter: true },
        on_failure,
        ordered: node.ordered,
        ..Policy::with_concurrency(node.concurrency)
    }
}

/// A node that computes as it was planned.
#[derive(Debug)]
struct Planned {
    index: usize,
    node: Node,
    world: Arc<World>,
}

impl Planned {
    fn answer(&self, call: &Call) -> Report {
        let handled = call.message.payload.value();
        let (node, emission) = (self.index, |index| Output::new(emission(self.index, index, &handled).into()));
        let receipt = Receipt { fuel: self.node.fuel, ..Receipt::default() };
        if call.attempt <= self.node.fails.at(&handled) {
            let kind = if self.node.fails.passing { FailureKind::Unavailable } else { FailureKind::Denied };
            return Report { receipt, ..Report::from(Err(Failure::new(kind, "planned"))) };
        }
        let work = |index| Output { priority: i32::try_from(index % 3).ok(), ..emission(index) };
        let (mut outputs, outcome): (Vec<Output>, _) = match self.node.kind {
            Kind::Work { copies } => ((0..copies).map(work).collect(), None),
            Kind::Loop { turns, each, .. } if call.message.turn + 1 < turns => {
                let tokens_used = TOKENS * u64::from(call.message.turn + 1);
                let again = Outcome::Again { memory: call.message.payload.clone(), tokens_used };
                ((0..usize::from(each)).map(emission).collect(), Some(again))
            }
            Kind::Loop { copies: Some(copies), .. } => ((0..copies).map(emission).collect(), None),
            _ => (Vec::new(), Some(Outcome::Final(model::emission(node, 0, &handled).into()))),
        };
        let kept = if self.node.early || outcome.is_some() { 0 } else { outputs.len() };
        let returned = outputs.split_off(outputs.len() - kept);
        let result = Ok(outcome.unwrap_or(Outcome::Outputs(returned)));
        Report { receipt, emitted: outputs, ..Report::from(result) }
    }
}

impl Invoke for Planned {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        self.world.begin(&self.node, &call);
        Box::pin(async move {
            if self.node.pause > 0 {
                tokio::time::sleep(Duration::from_millis(self.node.pause)).await;
            }
            self.answer(&call)
        })
    }
}
