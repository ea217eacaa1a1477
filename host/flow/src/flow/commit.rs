//! What follows from an attempt: its emissions go on, joins fill, the trace ends. All of it happens in one step that holds the
//! trace's lock and takes each room's and node's lock for a moment only; what concerns other traces is done after the step.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Shared;
use crate::budget::Resource;
use crate::context::Part;
use crate::event::{self, EventKind, Load, micros, millis};
use crate::graph::{EdgeIndex, Node, NodeIndex};
use crate::journal::Pending;
use crate::message::Payload;
use crate::node::{Failure, FailureKind, Outcome, Output, Receipt, Report};
use crate::policy::{MAX_RETRY_AFTER, OnFailure};
use crate::rooms::{Tenant, lock};
use crate::stream::Superseded;
use crate::trace::{Attempt, End, Envelope, Job, Phase, State, Terminal, Trace, TraceError};

/// What a step leaves to be done without the trace's lock.
#[derive(Default)]
pub(super) struct After {
    /// Ready to run; the first one in the task that made it ready.
    pub(super) first: Option<Job>,
    pub(super) others: Vec<Job>,
    /// Places that became free.
    pub(super) places: Vec<(Arc<Tenant>, EdgeIndex)>,
    /// Slots that were these traces' and are not needed.
    pub(super) slots: Vec<(Arc<Trace>, NodeIndex)>,
    /// Failed attempts to try again.
    pub(super) parked: Vec<(Job, Duration)>,
    /// For the readers of callers.
    pub(super) superseded: Vec<Superseded>,
    /// Callers' traces may end now.
    pub(super) parts: Vec<Part>,
    /// Facts to be applied as soon as they are in the journal.
    pub(super) appended: Vec<Appended>,
}

/// A trace's fact, by its number, on its way into the journal.
pub(super) type Appended = (Arc<Trace>, u64, Pending<()>);

impl After {
    pub(super) fn start(&mut self, job: Job) {
        if self.first.is_none() {
            self.first = Some(job);
        } else {
            self.others.push(job);
        }
    }
}

impl Shared {
    /// Commits an attempt (none: it was dropped because its trace is ending). With a journal its outcome is handed in, and what
    /// follows from that is what [`Shared::recorded`] does. The node's slot is free in any case: the next message need not wait for
    /// the disk.
    pub(super) fn finish(
        self: &Arc<Self>,
        job: Job,
        report: Option<Report>,
        latency: Duration,
        after: &mut After,
    ) -> Option<Appended> {
        let (trace, node) = (Arc::clone(&job.trace), job.node);
        let durable = self.config.journal.is_some();
        let appended = self.step(&trace, after, |step| {
            let attempt = step.returned(job, report, latency)?;
            if durable {
                return step.record_attempt(attempt);
            }
            step.apply(attempt);
            None
        });
        let appended = appended.map(|(fact, pending)| (Arc::clone(&trace), fact, pending));
        after.slots.push((trace, node));
        appended
    }

    /// Waits until the journal has it, and applies it.
    pub(super) async fn recorded(self: &Arc<Self>, (trace, fact, pending): Appended, after: &mut After) {
        self.spawn_all(after);
        let result = pending.await;
        self.step(&trace, after, |step| step.recorded(fact, result));
    }

    /// Does what a step left to do. What became ready gets tasks of its own, but for the first.
    pub(super) fn go_on(self: &Arc<Self>, after: &mut After) -> Option<Job> {
        self.after(after);
        for job in after.others.drain(..) {
            self.spawn(job);
        }
        after.first.take()
    }

    fn spawn_all(self: &Arc<Self>, after: &mut After) {
        self.after(after);
        for job in after.first.take().into_iter().chain(after.others.drain(..)) {
            self.spawn(job);
        }
    }

    /// Changes a trace from outside of a node; what becomes ready gets tasks of its own.
    pub(crate) fn with<T>(self: &Arc<Self>, trace: &Arc<Trace>, change: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let mut after = After::default();
        let result = self.step(trace, &mut after, change);
        self.spawn_all(&mut after);
        result
    }

    /// Ends a trace early with this terminal, unless it is ending already.
    pub(super) fn end_with(self: &Arc<Self>, trace: &Arc<Trace>, terminal: Terminal) -> bool {
        self.with(trace, |step| step.request_end(terminal))
    }

    fn step<T>(self: &Arc<Self>, trace: &Arc<Trace>, after: &mut After, change: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let mut state = lock(&trace.state);
        let mut step = Step { flow: self, trace, state: &mut state, after, emptied: Vec::new() };
        let result = change(&mut step);
        step.settle();
        result
    }

    /// Does what few steps leave to do. Each look at an empty list is cheaper than emptying it.
    fn others(self: &Arc<Self>, after: &mut After) {
        if !after.superseded.is_empty() {
            after.superseded.drain(..).for_each(Superseded::announce);
        }
        if !after.parked.is_empty() {
            after.parked.drain(..).for_each(|(job, pause)| self.park(job, pause));
        }
        if !after.appended.is_empty() {
            after.appended.drain(..).for_each(|(trace, fact, pending)| self.apply_when_recorded(trace, fact, pending));
        }
        if !after.parts.is_empty() {
            after.parts.clear();
        }
    }

    /// Passes freed places and slots on. What is left are the jobs that are ready.
    fn after(self: &Arc<Self>, after: &mut After) {
        loop {
            self.others(after);
            if let Some((tenant, edge)) = after.places.pop() {
                if let Some(next) = tenant.leave(edge) {
                    self.step(&next, after, |step| step.take_place(edge));
                }
            } else if let Some((trace, node)) = after.slots.pop() {
                if let Some(next) = self.slots[node].give_back(&trace.tenant) {
                    self.step(&next, after, |step| step.take_slot(node));
                }
            } else {
                break;
            }
        }
    }
}

/// One change to one trace.
pub(crate) struct Step<'a> {
    pub(super) flow: &'a Arc<Shared>,
    pub(super) trace: &'a Arc<Trace>,
    pub(crate) state: &'a mut State,
    pub(super) after: &'a mut After,
    /// Groups whose last message on the way is gone.
    pub(super) emptied: Vec<u64>,
}

// === an attempt's end ===

impl Step<'_> {
    /// An attempt has come back. None: it makes no difference any more.
    #[inline]
    pub(super) fn returned(&mut self, job: Job, report: Option<Report>, latency: Duration) -> Option<Attempt> {
        let dropped = report.is_none();
        let Report { result, emitted, receipt, tape, hold, booked, until_sent: _ } =
            report.unwrap_or_else(|| Report::from(Ok(Outcome::Outputs(Vec::new()))));
        if !booked {
            self.trace.book(receipt.amounts());
        }
        drop(hold);
        if dropped || !self.is_open() {
            self.state.running -= 1;
            return None;
        }
        let result = result.and_then(|outcome| self.check_targets(job.node, &outcome, &emitted).map(|()| (emitted, outcome)));
        let attempt = Attempt { job, result, receipt, latency, tape };
        // Whoever computes may see the deadline a moment before its watch does.
        if let Err(failure) = &attempt.result
            && failure.kind == FailureKind::TimedOut
            && self.trace.deadline.is_some_and(|deadline| deadline <= Instant::now())
        {
            self.failed(&attempt, failure);
            self.state.running -= 1;
            self.request_end(self.trace.deadline_exceeded());
            return None;
        }
        Some(attempt)
    }

    /// What follows from an attempt.
    pub(super) fn apply(&mut self, attempt: Attempt) {
        self.state.running -= 1;
        if !matches!(self.state.phase, Phase::Running) {
            return;
        }
        if let Err(failure) = &attempt.result {
            self.failed(&attempt, failure);
        }
        let Attempt { job, result, receipt, latency, .. } = attempt;
        match result {
            Ok((emitted, outcome)) => self.succeed(job, outcome, emitted, receipt, latency),
            Err(failure) => self.fail(job, failure),
        }
        self.check_fuel();
    }

    fn failed(&mut self, attempt: &Attempt, failure: &Failure) {
        let Attempt { job, receipt, latency, .. } = attempt;
        let name = &self.node(job.node).name;
        let node = self.node(job.node);
        let (message, attempt) = (job.envelope.message.id, job.envelope.attempt);
        self.event_at(job.node, |load| EventKind::Failed {
            node: Arc::clone(name),
            message,
            attempt,
            max_attempts: node.policy.retries.saturating_add(1),
            latency_us: micros(*latency),
            timeout_ms: node.policy.timeout.map(millis),
            code: failure.kind,
            error: failure.message.clone(),
            receipt: *receipt,
            load,
        });
    }

    pub(super) fn succeed(&mut self, job: Job, outcome: Outcome, emitted: Vec<Output>, receipt: Receipt, latency: Duration) {
        let node = self.node(job.node);
        let Envelope { message, lineage, attempt, .. } = job.envelope;
        let (returned, turn, answer) = match outcome {
            Outcome::Outputs(outputs) => (outputs, None, None),
            Outcome::Again { memory, tokens_used } => (Vec::new(), Some((memory, tokens_used)), None),
            Outcome::Final(payload) => (Vec::new(), None, Some(payload)),
        };
        let count = emitted.len() + returned.len();
        let name = &node.name;
        self.event_at(job.node, |load| EventKind::Succeeded {
            node: Arc::clone(name),
            message: message.id,
            attempt,
            latency_us: micros(latency),
            emitted: count,
            receipt,
            load,
        });
        self.state.keep_pieces(job.node, message.id);
        self.state.nodes[job.node].busy -= 1;
        let index = count as u64;
        // Another turn and a final answer emit nothing: no join over this node is due for them.
        if count > 0 || (turn.is_none() && answer.is_none()) {
            self.emit(job.node, &message, &lineage, emitted.into_iter().chain(returned), count);
        }
        if let Some(payload) = answer {
            let output = Output::new(payload);
            let answer = self.message(node, &message, index, output);
            self.send(self.output_edge(job.node), &Arc::new(answer), &lineage);
        }
        if let (None, Some(counters)) = (&turn, &mut self.state.counters) {
            counters.loops.remove(&message.id);
        }
        if let Some((memory, tokens_used)) = turn {
            self.next_turn(job.node, &message, &lineage, index, memory, tokens_used);
        }
        self.consume(&lineage);
        // An ordered node holds its trace's next message back until this one is done.
        self.line_up(job.node);
    }

    pub(super) fn fail(&mut self, job: Job, failure: Failure) {
        let node = self.node(job.node);
        let name = &node.name;
        let (id, attempt) = (job.envelope.message.id, job.envelope.attempt);
        let max_attempts = node.policy.retries.saturating_add(1);
        self.after.superseded.extend(self.trace.supersede_pieces(self.state, job.node, id, attempt));
        // A call that ran out of the trace's budget is not the node's fault.
        let limit = failure.detail.as_ref().and_then(|detail| detail.get("limit")?.as_str()?.strip_prefix("budget."));
        self.check_budget(limit.and_then(Resource::named).unwrap_or(Resource::Fuel));
        if !matches!(self.state.phase, Phase::Running) {
            return;
        }
        let retries_left = attempt <= node.policy.retries;
        if retries_left && node.policy.retry_on.contains(&failure.kind) {
            let pause = node.policy.backoff.pause(attempt, &self.trace.origin.trace, job.envelope.message.id);
            let pause = pause.max(failure.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER));
            self.event_at(job.node, |load| EventKind::Retry {
                node: Arc::clone(name),
                message: id,
                attempt: attempt + 1,
                max_attempts,
                pause_ms: millis(pause),
                code: failure.kind,
                error: failure.message,
                load,
            });
            let envelope = Envelope { attempt: attempt + 1, on: None, ..job.envelope };
            self.after.parked.push((Job { envelope, ..job }, pause));
            return;
        }
        self.state.nodes[job.node].busy -= 1;
        let error = TraceError::at(name, attempt, failure);
        self.event_at(job.node, |load| EventKind::GaveUp {
            node: Arc::clone(name),
            message: id,
            attempt,
            max_attempts,
            error: error.clone(),
            then: event::then(&node.policy.on_failure),
            load,
        });
        self.give_up(job, error);
    }

    /// The last attempt failed: the policy decides what that means.
    pub(super) fn give_up(&mut self, job: Job, error: TraceError) {
        let node = self.node(job.node);
        let Envelope { message, lineage, .. } = job.envelope;
        if let Some(counters) = &mut self.state.counters {
            counters.loops.remove(&message.id);
        }
        match (&node.policy.on_failure, node.on_failure) {
            (OnFailure::To(_), Some(edge)) => {
                let text = format!("{{\"error\":{},\"payload\":{}}}", json!(error), message.payload.text());
                let fits = text.len() <= self.flow.config.budget.payload;
                match Payload::parse(text) {
                    Ok(payload) if fits => {
                        let report = self.message(node, &message, u64::MAX, Output::new(payload));
                        self.send(edge, &Arc::new(report), &lineage);
                    }
                    // Whoever takes failures would not take this one.
                    _ => {
                        self.end(Terminal { end: End::Failed, outputs: 0, error: Some(error) });
                        return;
                    }
                }
            }
            (OnFailure::Drop, _) => self.state.joins.fail(&lineage),
            (OnFailure::Fail | OnFailure::To(_), _) => {
                self.end(Terminal { end: End::Failed, outputs: 0, error: Some(error) });
                return;
            }
        }
        self.consume(&lineage);
        self.line_up(job.node);
    }

    pub(super) fn check_targets(&self, node: NodeIndex, outcome: &Outcome, emitted: &[Output]) -> Result<(), Failure> {
        let returned: &[Output] = if let Outcome::Outputs(outputs) = outcome { outputs } else { &[] };
        for to in emitted.iter().chain(returned).map(|output| &output.to) {
            for (index, name) in to.iter().enumerate() {
                if self.successor(node, name).is_none() {
                    let node = self.node(node);
                    let known: Vec<&str> = node.successors.iter().map(|edge| &*self.target(*edge).name).collect();
                    let message =
                        format!("`{}` sent to `{name}`, which is not one of its successors: {}", node.name, known.join(", "));
                    return Err(Failure::new(FailureKind::NotFound, message));
                }
                if to[..index].contains(name) {
                    let message = format!("`{}` sent a message to `{name}` twice; name it once", self.node(node).name);
                    return Err(Failure::new(FailureKind::InvalidInput, message));
                }
            }
        }
        Ok(())
    }

    /// Ends the trace if all fuel is used: nothing can compute any more.
    pub(crate) fn check_fuel(&mut self) {
        self.check_budget(Resource::Fuel);
    }

    /// Ends the trace if all of a resource is used and a call needs more.
    pub(crate) fn check_budget(&mut self, resource: Resource) {
        if let Some((used, max, raise)) = self.trace.exhausted(resource) {
            self.used_up((resource.name(), used, max), &raise, None, None);
        }
    }

    pub(super) fn exhausted(&mut self, limit: &str, used: u64, max: u64, node: Option<NodeIndex>, partial: Option<&Payload>) {
        let raise = if limit == "turns" { "the node's `policy.turns`".to_owned() } else { format!("`budget.{limit}`") };
        self.used_up((limit, used, max), &raise, node, partial);
    }

    fn used_up(&mut self, (limit, used, max): (&str, u64, u64), raise: &str, node: Option<NodeIndex>, partial: Option<&Payload>) {
        let message = format!("budget `{limit}` used up: {used} of {max}; raise it with {raise}");
        let mut error = TraceError::new(End::BudgetExhausted.name(), message);
        error.node = node.map(|node| Arc::clone(&self.node(node).name));
        let mut detail = json!({ "limit": limit, "used": used, "max": max });
        if let Some(partial) = partial {
            detail["partial"] = partial.value().into_owned();
        }
        error.detail = Some(detail);
        let mut terminal = Terminal { end: End::BudgetExhausted, outputs: 0, error: Some(error) };
        self.keep_partial(&mut terminal);
        self.end(terminal);
    }
}

// === the graph ===

impl<'a> Step<'a> {
    pub(super) fn event(&mut self, kind: impl FnOnce() -> EventKind) {
        self.trace.event(self.state, kind);
    }

    /// An event of a node, with how busy the trace is; counted only if somebody observes.
    pub(super) fn event_at(&mut self, node: NodeIndex, kind: impl FnOnce(Load) -> EventKind) {
        if self.flow.config.observer.is_some() {
            let load = Load::of(self.state, node);
            self.trace.event(self.state, || kind(load));
        }
    }

    pub(super) fn node(&self, node: NodeIndex) -> &'a Node {
        &self.flow.graph.nodes()[node]
    }

    pub(super) fn target(&self, edge: EdgeIndex) -> &'a Node {
        self.node(self.flow.graph.edges()[edge].to)
    }

    pub(super) fn successor(&self, node: NodeIndex, name: &str) -> Option<EdgeIndex> {
        self.node(node).successors.iter().copied().find(|edge| &*self.target(*edge).name == name)
    }

    /// Every node has an edge out of the flow behind the graph's own: for a node without successors, and for final answers.
    pub(super) fn output_edge(&self, node: NodeIndex) -> EdgeIndex {
        self.flow.graph.edges().len() + node
    }

    pub(super) fn sender(&self, edge: EdgeIndex) -> NodeIndex {
        self.flow.graph.edges().get(edge).map_or_else(|| edge - self.flow.graph.edges().len(), |edge| edge.from)
    }
}
