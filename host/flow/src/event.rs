//! What happened to a trace: one closed enum, one sequence of numbers per trace.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::graph::NodeIndex;
use crate::message::{MessageId, Meta};
use crate::node::{FailureKind, Receipt};
use crate::policy::OnFailure;
use crate::trace::{State, Terminal, TraceError};

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The trace it happened to.
    pub trace: Arc<str>,
    /// Whose trace it is. In JSON only `accepted` says it: a reader of a file sees that event first.
    #[serde(skip)]
    pub tenant: Arc<str>,
    /// Of a subflow, the trace that called it. In JSON only `accepted` says it.
    #[serde(skip)]
    pub caller: Option<Arc<str>>,
    /// Counts the trace's events from 0, without gaps.
    pub seq: u64,
    /// Microseconds since the flow started.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How busy a trace was at an event of one of its nodes (the figures of spec items 86 to 88).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Messages of the trace that are on their way, the event's own included. Each counts until all that follows from it has been
    /// sent; those that a join has gathered do not count.
    pub pending: u64,
    /// Attempts of the trace under way: a starting one is counted, an ended one is not.
    pub running: usize,
    /// Messages of the trace that wait at the node for a slot.
    pub queued: usize,
    /// Emissions of the node that wait in the trace for room further on.
    pub waiting: u32,
}

impl Load {
    pub(crate) fn of(state: &State, node: NodeIndex) -> Self {
        let place = &state.nodes[node];
        Self { pending: state.live, running: state.running, queued: place.queue.len(), waiting: place.blocked }
    }
}

/// Everything that can happen to a trace (spec items 86 to 89, completed as W15 asks).
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The flow took it on.
    Accepted {
        /// Whose it is.
        tenant: Arc<str>,
        /// The trace that called it as a subflow.
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<Arc<str>>,
    },
    /// It goes on where the journal of an earlier process ends.
    Resumed {
        /// Messages on their way.
        pending: u64,
    },
    /// A message waits at a node.
    Queued {
        /// Where.
        node: Arc<str>,
        /// Which.
        message: MessageId,
        /// How busy the trace is; `queued` counts this message.
        #[serde(flatten)]
        load: Load,
    },
    /// A message waits in its trace until there is room at the node that it goes to.
    Blocked {
        /// Where it goes.
        node: Arc<str>,
        /// Which.
        message: MessageId,
        /// Where it comes from: this node starts nothing more for the trace until its messages have room.
        from: Arc<str>,
        /// How busy the trace is and that node; `waiting` counts this message.
        #[serde(flatten)]
        load: Load,
    },
    /// An attempt began.
    Started {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// From 1.
        attempt: u32,
        /// How busy the trace is.
        #[serde(flatten)]
        load: Load,
    },
    /// An attempt succeeded; what it emitted follows in the same step.
    Succeeded {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// From 1.
        attempt: u32,
        /// From start to end, in microseconds.
        latency_us: u64,
        /// Emissions; with none, this branch ends here.
        emitted: usize,
        /// What it used.
        receipt: Receipt,
        /// How busy the trace is, before the emissions.
        #[serde(flatten)]
        load: Load,
    },
    /// An attempt failed; its emissions are dropped.
    Failed {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// From 1.
        attempt: u32,
        /// Attempts that the node's policy allows.
        max_attempts: u32,
        /// From start to end, in microseconds.
        latency_us: u64,
        /// The node's time-out for one attempt, in milliseconds, if it has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        timeout_ms: Option<u64>,
        /// The class.
        code: FailureKind,
        /// For people.
        error: String,
        /// What it used.
        receipt: Receipt,
        /// How busy the trace is.
        #[serde(flatten)]
        load: Load,
    },
    /// The attempt with this number will follow after a pause.
    Retry {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// The upcoming one.
        attempt: u32,
        /// Attempts that the node's policy allows.
        max_attempts: u32,
        /// The pause, in milliseconds.
        pause_ms: u64,
        /// The class of the failure before it.
        code: FailureKind,
        /// That failure, for people.
        error: String,
        /// How busy the trace is.
        #[serde(flatten)]
        load: Load,
    },
    /// No attempt is left; the policy decides what the failure means.
    GaveUp {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// The last attempt.
        attempt: u32,
        /// Attempts that the node's policy allows: more than were made, if the policy does not retry this class.
        max_attempts: u32,
        /// What the trace's terminal, or the node that the failure travels to, will say of it.
        error: TraceError,
        /// `fail`, `drop`, or the node that the failure travels to.
        then: String,
        /// How busy the trace is.
        #[serde(flatten)]
        load: Load,
    },
    /// A message ended in a `discard` node.
    Discarded {
        /// Which node.
        node: Arc<str>,
        /// Which message.
        message: MessageId,
    },
    /// A join let its messages go on as one.
    Joined {
        /// Which join.
        node: Arc<str>,
        /// The one.
        message: MessageId,
        /// How many it gathered.
        members: usize,
    },
    /// A message came to a join when the others had gone on.
    Late {
        /// Which join.
        node: Arc<str>,
        /// Which message.
        message: MessageId,
    },
    /// A payload left the flow.
    Output {
        /// The node that it came from.
        node: Arc<str>,
        /// Which.
        message: MessageId,
    },
    /// A piece of a stream went to the reader.
    Chunk {
        /// Of a subflow, which: the trace's id, `/` and this are the subflow's trace.
        #[serde(skip_serializing_if = "Option::is_none")]
        subflow: Option<Arc<str>>,
        /// From which node; of a subflow, the way to it: `sub/node`.
        node: Arc<str>,
        /// The message that it was handling.
        message: MessageId,
        /// The attempt that sent it.
        attempt: u32,
        /// Which stream.
        stream: Arc<str>,
        /// Its number in the stream.
        seq_in_stream: u64,
        /// The piece: a plugin's text.
        text: String,
        /// The last one that its call sends to the stream.
        done: bool,
        /// What came with it.
        #[serde(skip_serializing_if = "Meta::is_empty")]
        meta: Meta,
    },
    /// An attempt that had sent pieces failed: the reader was told that they count no more.
    Superseded {
        /// Of a subflow, which: as with its pieces.
        #[serde(skip_serializing_if = "Option::is_none")]
        subflow: Option<Arc<str>>,
        /// Of which node; of a subflow, the way to it.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// The attempt that failed.
        attempt: u32,
        /// The streams that it had sent pieces to; none after a crash.
        streams: Vec<Arc<str>>,
        /// It did not fail: a crash cut it off, and the same attempt begins anew. What its subflows sent stands.
        #[serde(skip_serializing_if = "is_false")]
        restarts: bool,
    },
    /// Something to watch went to the reader.
    Progress {
        /// From which node.
        node: Arc<str>,
        /// A thought, a plan step, a status, …: a plugin's word.
        kind: String,
        /// Its content.
        data: Value,
    },
    /// The trace is ending early: what runs is being stopped.
    Ending {
        /// The name of the terminal.
        why: &'static str,
        /// Messages of the trace that were on their way and are dropped.
        pending: u64,
        /// Attempts under way that are being stopped; the end follows the last one.
        running: usize,
    },
    /// The trace ended; nothing follows.
    Ended {
        /// How.
        terminal: Terminal,
        /// From acceptance, in microseconds.
        latency_us: u64,
    },
}

impl EventKind {
    /// The name as it is written: the `event` of an event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Resumed { .. } => "resumed",
            Self::Queued { .. } => "queued",
            Self::Blocked { .. } => "blocked",
            Self::Started { .. } => "started",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Retry { .. } => "retry",
            Self::GaveUp { .. } => "gave_up",
            Self::Discarded { .. } => "discarded",
            Self::Joined { .. } => "joined",
            Self::Late { .. } => "late",
            Self::Output { .. } => "output",
            Self::Chunk { .. } => "chunk",
            Self::Superseded { .. } => "superseded",
            Self::Progress { .. } => "progress",
            Self::Ending { .. } => "ending",
            Self::Ended { .. } => "ended",
        }
    }
}

/// Sees every event of every trace.
pub trait Observer: Send + Sync + Debug {
    /// Called in the order of the trace's sequence, while the trace stands still: hand the event on and return.
    fn observe(&self, event: Event);
}

/// What an [`EventKind::GaveUp`] says of a policy.
pub(crate) fn then(policy: &OnFailure) -> String {
    match policy {
        OnFailure::Fail => "fail".to_owned(),
        OnFailure::Drop => "drop".to_owned(),
        OnFailure::To(target) => target.clone(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
