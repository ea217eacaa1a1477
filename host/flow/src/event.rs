//! What happened to a trace: one closed enum, one sequence of numbers per trace.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::message::{MessageId, Meta};
use crate::node::{FailureKind, Receipt};
use crate::trace::Terminal;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The trace it happened to.
    pub trace: Arc<str>,
    /// Counts the trace's events from 0, without gaps.
    pub seq: u64,
    /// Microseconds since the flow started.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Everything that can happen to a trace (spec items 86 to 89, completed as W15 asks).
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The flow took it on.
    Accepted {
        /// Whose it is.
        tenant: Arc<str>,
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
    },
    /// A message waits in its trace until there is room at the node that it goes to.
    Blocked {
        /// Where it goes.
        node: Arc<str>,
        /// Which.
        message: MessageId,
    },
    /// An attempt began.
    Started {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// From 1.
        attempt: u32,
        /// Messages of the trace that are on their way, this one included.
        pending: u64,
    },
    /// An attempt succeeded and its emissions are out.
    Succeeded {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// From 1.
        attempt: u32,
        /// From start to end, in microseconds.
        latency_us: u64,
        /// Emissions.
        emitted: usize,
        /// What it used.
        receipt: Receipt,
    },
    /// An attempt failed; its emissions are dropped.
    Failed {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// From 1.
        attempt: u32,
        /// From start to end, in microseconds.
        latency_us: u64,
        /// The class.
        code: FailureKind,
        /// For people.
        error: String,
        /// What it used.
        receipt: Receipt,
    },
    /// The attempt with this number will follow after a pause.
    Retry {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// The upcoming one.
        attempt: u32,
        /// The pause, in milliseconds.
        pause_ms: u64,
    },
    /// No attempt is left; the policy decides what the failure means.
    GaveUp {
        /// Which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// `fail`, `drop`, or the node that the failure travels to.
        then: String,
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
        /// From which node.
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
        /// Of which node.
        node: Arc<str>,
        /// At which message.
        message: MessageId,
        /// The attempt that failed.
        attempt: u32,
        /// The streams that it had sent pieces to.
        streams: Vec<Arc<str>>,
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

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
