//! What a running call may ask of its trace.

use std::sync::Arc;

use crate::budget::{Account, Resource};
use crate::message::{MessageId, Payload};
use crate::node::Receipt;
use crate::release::Release;
use crate::stream::Sender;
use crate::tool::Calling;
use crate::trace::Trace;

/// Who asks: fixed for a whole trace and shared by its calls.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The id that all messages of one request share. Those of subflows have a `/`: an id that somebody else chooses should have none,
    /// or it may be the one that a subflow will need.
    pub trace: Arc<str>,
    /// Whose work this is; instances and state are never shared between tenants.
    pub tenant: Arc<str>,
    /// The person behind the request, if known.
    pub user: Option<Arc<str>>,
    /// The conversation that the request belongs to, if any.
    pub session: Option<Arc<str>>,
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// The stream's name; none: the trace's own stream.
    pub stream: Option<String>,
    /// The piece.
    pub text: String,
    /// The last piece that this call sends to the stream.
    pub done: bool,
    /// Keys and values for the reader.
    pub meta: Vec<(String, Payload)>,
}

/// A call's view of its trace.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) trace: Arc<Trace>,
    pub(crate) node: usize,
    /// What the node handles: of a map, the whole array's message.
    pub(crate) message: MessageId,
    pub(crate) attempt: u32,
    pub(crate) sender: Arc<Sender>,
    /// What the call lives on that made this one, instead of the trace's account.
    pub(crate) allowance: Option<Arc<Account>>,
    /// The tool that this call is of; none: it is a node's.
    pub(crate) calling: Option<Arc<Calling>>,
}

impl Context {
    /// Trace id, tenant, user, session.
    pub fn origin(&self) -> &Origin {
        &self.trace.origin
    }

    /// The name of the node in the flow.
    pub fn node(&self) -> &Arc<str> {
        self.trace.node_name(self.node)
    }

    /// What the trace began with, of [`Config::releases`](crate::Config); none where there are none.
    pub fn release(&self) -> Option<&Release> {
        self.trace.release.as_deref()
    }

    /// Invocations of nodes that the trace has left.
    pub fn hops_left(&self) -> u64 {
        self.trace.hops_left()
    }

    /// The time now, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.trace.flow.now_ms()
    }

    /// Bytes of one payload's text that the trace allows.
    pub fn max_payload(&self) -> usize {
        self.trace.flow.config.budget.payload
    }

    /// Messages of the trace that may be on their way at once.
    pub(crate) fn max_outputs(&self) -> u64 {
        self.trace.flow.config.budget.messages
    }

    /// True once the trace is ending early: clean up and return; the call is dropped soon after.
    pub fn is_cancelled(&self) -> bool {
        self.trace.cancelled.is_cancelled()
    }

    /// Whether the trace has as many hops left as parts of this call will need. If not, it is ending.
    pub(crate) fn has_hops(&self, parts: u64) -> bool {
        self.trace.flow.with(&self.trace, |step| step.has_hops(self.node, parts))
    }

    /// Keeps the trace from ending while this lives. None: it is ending.
    pub(crate) fn start_guard(&self) -> Option<Part> {
        let started = self.trace.flow.with(&self.trace, |step| step.start_guard());
        started.then(|| Part(Arc::clone(&self.trace)))
    }

    /// Counts a hop for a part of this call that runs in a task of its own. None: the trace is ending.
    pub(crate) fn start_part(&self) -> Option<Part> {
        let started = self.trace.flow.with(&self.trace, |step| step.start_part(self.node));
        started.then(|| Part(Arc::clone(&self.trace)))
    }

    /// Ends the trace, or the one that called it, if nothing of its budget is left: of hops, or of what `limit` names.
    pub(crate) fn check_budget(&self, limit: &str) {
        self.trace.flow.with(&self.trace, |step| {
            if step.has_hops(self.node, 1) {
                step.check_budget(Resource::named(limit).unwrap_or(Resource::Fuel));
            }
        });
    }
}

/// A part of a call that runs in a task of its own. Its trace does not end while it lives.
#[derive(Debug)]
pub(crate) struct Part(Arc<Trace>);

impl Part {
    /// Counts what the part used, at once: a budget is not to be found overdrawn only when the whole call ends.
    pub(crate) fn book(&self, receipt: &Receipt) {
        self.0.book(receipt.amounts());
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.0.flow.with(&self.0, |step| step.end_part());
    }
}
