//! An attempt of a node: its limits, its end, the pause before the next one.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Instrument, debug_span};

use super::Shared;
use super::commit::After;
use crate::context::Context;
use crate::graph::{Kind, Node};
use crate::journal::At;
use crate::message::Message;
use crate::node::{Call, Failure, FailureKind, Outcome, Output, Report};
use crate::stream::{Sender, Silence};
use crate::tape::Taping;
use crate::trace::{Job, Trace};

impl Shared {
    /// Runs a job in a task of its own.
    pub(crate) fn spawn(self: &Arc<Self>, job: Job) {
        // Without a span of its own: it runs attempts of whatever trace, each in the attempt's span.
        self.tasks.spawn_on(Arc::clone(self).run(job), &self.config.compute);
    }

    /// Runs a job and whatever it makes ready first.
    async fn run(self: Arc<Self>, mut job: Job) {
        // Both serve one attempt after the other: what they have allocated is used again.
        let (mut after, mut sender) = (After::default(), Arc::<Sender>::default());
        loop {
            // Lets other tasks have a turn now and then, however long the chain.
            tokio::task::coop::consume_budget().await;
            let started = self.config.observer.is_some().then(Instant::now);
            let span = self.attempt_span(&job);
            let mut report = if span.is_disabled() {
                caught(self.attempt(&job, &sender)).await
            } else {
                // Apart, so that its future takes no room where nobody collects spans.
                Box::pin(self.spanned(span, &job, &sender)).await
            };
            let latency = started.map_or(Duration::ZERO, |started| started.elapsed());
            let until_sent = report.as_mut().and_then(|report| report.until_sent.take());
            let appended = self.finish(job, report, latency, &mut after);
            drop(until_sent);
            if let Some(appended) = appended {
                self.recorded(appended, &mut after).await;
            }
            match self.go_on(&mut after) {
                Some(next) => job = next,
                None => return,
            }
            Sender::renew(&mut sender);
        }
    }

    /// One attempt within its limits; none if the trace ended meanwhile.
    pub(super) async fn attempt(self: &Arc<Self>, job: &Job, sender: &Arc<Sender>) -> Option<Report> {
        let trace = &job.trace;
        if trace.cancelled.is_cancelled() {
            return None;
        }
        let node = &self.graph.nodes()[job.node];
        let Kind::Run { repeatable, .. } = &node.kind else { return None };
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
        let _silence = Silence(sender);
        let attempt = job.envelope.attempt;
        let call = Call {
            ctx: Context {
                trace: Arc::clone(trace),
                node: job.node,
                message: message.id,
                attempt,
                sender: Arc::clone(sender),
                allowance: None,
                calling: None,
            },
            message: Arc::clone(message),
            attempt,
            deadline: timeout.into_iter().chain(trace.deadline).min(),
            taping: if self.config.journal.is_some() { Taping::Record } else { Taping::Off },
        };
        self.guard(trace, timeout, self.compute(node, message, call)).await
    }

    /// Makes a call, and checks what goes in and what comes out.
    pub(super) async fn compute(&self, node: &Node, message: &Message, call: Call) -> Report {
        let wrong = |why| Failure::new(FailureKind::InvalidInput, why);
        let Kind::Run { invoke, input, output, .. } = &node.kind else {
            return Report::from(Err(wrong(format!("`{}` computes nothing", node.name))));
        };
        let input = input.as_ref().filter(|_| node.policy.validate.input());
        let output = output.as_ref().filter(|_| node.policy.validate.output());
        if let Some(why) = input.and_then(|schema| schema.check(&message.payload.value()).err()) {
            let failure = wrong(format!("the payload does not fit the input of `{}`: {why}", node.name));
            let tape = matches!(call.taping, Taping::Record).then(Box::default);
            return Report { tape, ..Report::from(Err(failure)) };
        }
        let mut report = invoke.invoke(call).await;
        if let Some(why) = output.and_then(|schema| check_outputs(schema, &report).err()) {
            report.result = Err(wrong(format!("an output of `{}` does not fit its own schema: {why}", node.name)));
        }
        if let Some(bytes) = largest(&report, message).filter(|bytes| *bytes > self.config.budget.payload) {
            let (used, max) = (bytes as u64, self.config.budget.payload as u64);
            report.result = Err(Failure::limit(FailureKind::Exhausted, "payload", used, max, "`budget.payload`"));
        }
        report
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
pub(super) async fn caught(attempt: impl Future<Output = Option<Report>>) -> Option<Report> {
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

/// What leaves the node must fit, an answer included. A loop's memory does not leave it: that is checked as the next turn's input.
/// What a failed attempt has emitted goes nowhere, and says nothing against its own failure.
fn check_outputs(schema: &crate::schema::Schema, report: &Report) -> Result<(), String> {
    let (returned, answer) = match &report.result {
        Ok(Outcome::Outputs(outputs)) => (outputs.as_slice(), None),
        Ok(Outcome::Final(answer)) => (&[][..], Some(answer)),
        Ok(Outcome::Again { .. }) => (&[][..], None),
        Err(_) => return Ok(()),
    };
    let outputs = report.emitted.iter().chain(returned).map(|output| &output.payload);
    outputs.chain(answer).try_for_each(|payload| schema.check(&payload.value()))
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
