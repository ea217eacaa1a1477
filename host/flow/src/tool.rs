//! Tools that a graph declares for the calls of its nodes: a call of one is a part of the call that made it, in its trace, within what
//! it has left.
//!
//! A tool answers for itself: it has the rights of its own plugin, not those of whoever calls it, and whoever may call it can have it use
//! them. That is for the operator to know who grants the call.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument, debug_span};

use crate::context::{Context, Part};
use crate::message::{Message, Payload, name_key};
use crate::node::{Call, Failure, FailureKind, Invoke, Outcome, Receipt, Report};
use crate::schema::Schema;
use crate::subflow::MAX_DEPTH;
use crate::tape::Taping;

/// What a graph declares under a name.
#[derive(Debug)]
pub struct Tool {
    /// Computes its result.
    pub invoke: Arc<dyn Invoke>,
    /// What it takes; none: anything.
    pub input: Option<Schema>,
    /// What it gives; none: anything.
    pub output: Option<Schema>,
}

/// A tool that runs for a call, within those that run for this.
#[derive(Debug)]
pub(crate) struct Calling {
    tool: Box<str>,
    above: Option<Arc<Calling>>,
}

/// A call of a tool under way. Dropping it stops it.
#[derive(Debug)]
pub struct ToolCall {
    ctx: Context,
    name: String,
    running: JoinSet<Report>,
    /// Dropped after what runs, so that the trace does not end before it.
    _part: Part,
}

impl Context {
    /// Starts a tool of this flow in a task of its own. `number` tells the calls of one attempt apart, and is the same when the attempt
    /// is made again. It lives on the accounts of this context; see [`Context::within`].
    ///
    /// # Errors
    /// `not-found`; `denied` where it is running for this call already; `invalid-input` where the arguments do not fit.
    pub fn start_tool(
        &self,
        name: &str,
        arguments: Payload,
        number: u64,
        deadline: Option<Instant>,
    ) -> Result<ToolCall, Failure> {
        let graph = &self.trace.flow.graph;
        let Some(tool) = graph.tool(name) else {
            return Err(Failure::new(FailureKind::NotFound, format!("the flow has no tool `{name}`")));
        };
        let above: Vec<&str> = self.tools().collect();
        if above.contains(&name) {
            let why =
                format!("the tool `{name}` is running for this call already: tools cannot call themselves, not by others either");
            return Err(Failure::new(FailureKind::Denied, why));
        }
        if above.len() >= MAX_DEPTH {
            let (used, max) = (above.len() as u64, MAX_DEPTH as u64);
            return Err(Failure::limit(FailureKind::Exhausted, "depth", used, max, "nothing: tools call tools without end"));
        }
        if let Some(why) = tool.input.as_ref().and_then(|schema| schema.check(&arguments.value()).err()) {
            let why = format!("the arguments do not fit the tool `{name}`: {why}");
            return Err(Failure::new(FailureKind::InvalidInput, why));
        }
        let part = self.start_guard().ok_or_else(|| Failure::new(FailureKind::Cancelled, "the trace is ending"))?;
        let key = name_key(name) ^ name_key("tool") ^ graph.nodes()[self.node].key;
        let message = Message {
            id: self.message.child(key, number),
            parent: Some(self.message),
            source: None,
            payload: arguments,
            meta: crate::message::Meta::default(),
            topic: None,
            priority: 0,
            turn: 0,
        };
        let calling = Calling { tool: name.into(), above: self.calling.clone() };
        let ctx = Self { sender: self.sender.part(), calling: Some(Arc::new(calling)), ..self.clone() };
        let call = Call { ctx, message: Arc::new(message), attempt: self.attempt, deadline, taping: Taping::Off };
        let invoke = Arc::clone(&tool.invoke);
        let mut running = JoinSet::new();
        let work = async move { invoke.invoke(call).await };
        running.spawn_on(work.instrument(debug_span!("tool", name)), &self.trace.flow.config.compute);
        Ok(ToolCall { ctx: self.clone(), name: name.to_owned(), running, _part: part })
    }

    /// The tools that run for this call, up to the trace that nobody called.
    fn tools(&self) -> impl Iterator<Item = &str> {
        let contexts = std::iter::successors(Some(self), |ctx| ctx.trace.caller.as_deref());
        contexts.flat_map(|ctx| {
            let lines = std::iter::successors(ctx.calling.as_deref(), |calling| calling.above.as_deref());
            lines.map(|calling| &*calling.tool)
        })
    }
}

impl ToolCall {
    /// Its result. What it used is booked, and added to `receipt`.
    ///
    /// # Errors
    /// The tool's own failure, or `invalid-input` where what it gives is no result.
    pub async fn finish(mut self, receipt: &mut Receipt) -> Result<Payload, Failure> {
        let Self { ctx, name, running, .. } = &mut self;
        let report = running.join_next().await.and_then(Result::ok);
        let report =
            report.ok_or_else(|| Failure::new(FailureKind::Internal, format!("the tool `{name}` ended without a result")))?;
        let used = report.receipt.amounts();
        ctx.book(used);
        receipt.add(used, report.receipt.hops);
        // Given back only now that it is booked.
        drop(report.hold);
        let wrong = |what: &str| Failure::new(FailureKind::InvalidInput, format!("the tool `{name}` {what}"));
        let outcome =
            report.result.map_err(|failure| Failure { message: format!("tool `{name}`: {}", failure.message), ..failure })?;
        if !report.emitted.is_empty() {
            return Err(wrong("emits messages, and whoever calls it has no successors for them"));
        }
        let result = match outcome {
            Outcome::Outputs(mut outputs) if outputs.len() == 1 => outputs.remove(0).payload,
            Outcome::Outputs(_) | Outcome::Again { .. } | Outcome::Final(_) => {
                return Err(wrong("gives something else than one result"));
            }
        };
        let schema = ctx.trace.flow.graph.tool(name).and_then(|tool| tool.output.as_ref());
        match schema.and_then(|schema| schema.check(&result.value()).err()) {
            Some(why) => Err(wrong(&format!("gives what does not fit its own schema: {why}"))),
            None => Ok(result),
        }
    }
}
