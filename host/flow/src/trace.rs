//! One request on its way through a flow. All that belongs to a trace sits in one value, dropped after its terminal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::budget::Account;
use crate::context::{Context, Origin, Part};
use crate::event::{Event, EventKind, micros};
use crate::flow::Shared;
use crate::graph::{EdgeIndex, NodeIndex};
use crate::join::{Joins, Lineage};
use crate::journal::{At, Cursor};
use crate::message::{Message, MessageId, Meta, Payload};
use crate::node::{Failure, Outcome, Output, Receipt};
use crate::release::Release;
use crate::rooms::{Queue, Tenant, Ticket};
use crate::tape::Tape;

/// Bytes of an error's text: a screen; the rest is cut.
pub const MAX_ERROR: usize = 4 << 10;

/// What the reader of a trace sees, in order.
#[derive(Debug, Clone)]
pub enum Item {
    /// A piece of a stream.
    Chunk {
        /// Of a subflow, which: the trace's id, `/` and this are the subflow's trace. None: the piece is of the trace itself.
        subflow: Option<Arc<str>>,
        /// The node that sent it; of a subflow, the way to it: `sub/node`.
        node: Arc<str>,
        /// The message that it was handling.
        message: MessageId,
        /// The attempt that sent it; if that fails, [`Item::Superseded`] follows.
        attempt: u32,
        /// The stream's name.
        stream: Arc<str>,
        /// Counts the stream's pieces from 0, whoever sent them and whatever became of them.
        seq: u64,
        /// The piece itself.
        text: String,
        /// The last one that this call sends to the stream. Without it, a stream is over when the trace is.
        done: bool,
        /// What came with it.
        meta: Meta,
    },
    /// An attempt that had sent pieces failed: all that has come with this node, message and attempt counts no more, and neither
    /// does what came from subflows that it had called; [`Item::supersedes`] says which. It comes once, before any piece of the
    /// next attempt. The numbers of the streams go on.
    ///
    /// When a trace goes on after a crash, it comes once more for all that failed, and for each attempt that the crash cut off.
    Superseded {
        /// Of a subflow, which; as in [`Item::Chunk`].
        subflow: Option<Arc<str>>,
        /// The node whose attempt failed.
        node: Arc<str>,
        /// The message that it was handling.
        message: MessageId,
        /// The attempt that failed.
        attempt: u32,
        /// The streams that it had sent pieces to, by name; none after a crash, for these are not known any more.
        streams: Vec<Arc<str>>,
        /// It did not fail: a crash cut it off. The same attempt begins anew, and its subflows go on: what they sent stands.
        restarts: bool,
    },
    /// Something to watch.
    Progress {
        /// The node that sent it.
        node: Arc<str>,
        /// A thought, a plan step, a status, …
        kind: String,
        /// Its content.
        data: Payload,
    },
    /// A result.
    Output {
        /// The node that it came from.
        node: Arc<str>,
        /// The result and its envelope.
        message: Arc<Message>,
    },
    /// The end; nothing follows.
    End(Terminal),
}

/// How a trace ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terminal {
    /// The class.
    pub end: End,
    /// Outputs that left the flow.
    pub outputs: u64,
    /// Why it did not complete; none if it did.
    pub error: Option<TraceError>,
}

/// The ways in which a trace ends: exactly one for each trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every branch ended.
    Completed,
    /// A node failed for good and its policy says that this fails the trace, or a join can no longer fill.
    Failed,
    /// Somebody cancelled it, or nobody reads it any more.
    Cancelled,
    /// Its time was up.
    DeadlineExceeded,
    /// A limit of its budget was reached.
    BudgetExhausted,
    /// The flow was stopped before it could end. With a journal it goes on when it is resumed.
    Stopped,
    /// The process died during a call that must not be made twice; it waits in the journal until somebody decides.
    InDoubt,
}

impl End {
    /// The name in events and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::BudgetExhausted => "budget_exhausted",
            Self::Stopped => "stopped",
            Self::InDoubt => "in_doubt",
        }
    }

    /// Whether the trace is over. If not, it waits in its journal.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Stopped | Self::InDoubt)
    }
}

/// Why a trace did not complete (spec item 49).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceError {
    /// For programs: a failure's kind, or the terminal's name, or `join_incomplete`.
    pub code: String,
    /// For people: what happened and the remedy.
    pub message: String,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Arc<str>>,
    /// The last attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// More for programs: `limit`, `used` and `max`; of the loop that turned last, the working memory as `partial`; what the
    /// plugin sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

impl TraceError {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), node: None, attempt: None, detail: None }
    }

    pub(crate) fn at(node: &Arc<str>, attempt: u32, failure: Failure) -> Self {
        let mut message = failure.message;
        if message.len() > MAX_ERROR {
            message.truncate(message.floor_char_boundary(MAX_ERROR - '…'.len_utf8()));
            message.push('…');
        }
        Self {
            code: failure.kind.code().to_owned(),
            message,
            node: Some(Arc::clone(node)),
            attempt: Some(attempt),
            detail: failure.detail,
        }
    }
}

/// A trace in flight.
pub(crate) struct Trace {
    pub(crate) origin: Origin,
    pub(crate) deadline: Option<Instant>,
    pub(crate) started: Instant,
    /// Fires when the trace ends, early or not.
    pub(crate) cancelled: CancellationToken,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) flow: Arc<Shared>,
    /// The call that this trace is a subflow of. Boxed, as all that most traces have not: a waiting trace is to be small.
    pub(crate) caller: Option<Box<Context>>,
    /// What it began with; none where nothing takes its place.
    pub(crate) release: Option<Box<Release>>,
    /// Up to where its request stands in the input.
    pub(crate) cursor: Option<Box<Cursor>>,
    /// What its attempts' spans belong to; it closes with the last of whoever holds the trace, its reader included. None: nobody
    /// collects spans.
    pub(crate) span: Option<Box<Span>>,
    /// What it may use and has used; none where nobody asks.
    pub(crate) account: Option<Box<Account>>,
    pub(crate) hops: AtomicU64,
    pub(crate) state: Mutex<State>,
    /// The reader has something to read, or has room again. Both sides look again when it fires.
    pub(crate) changed: Notify,
}

/// What changes about a trace. Nothing here is shared with another trace.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) next_event: u64,
    /// Messages queued, held back, running or waiting for a retry; those in joins wait for these.
    pub(crate) live: u64,
    /// Attempts under way.
    pub(crate) running: usize,
    pub(crate) nodes: Box<[Place]>,
    /// Messages that wait for room, by edge; an output of the flow has an edge of its own behind the graph's.
    pub(crate) outbox: BTreeMap<EdgeIndex, Queue>,
    /// Edges on which it stands in line for a place.
    pub(crate) in_line: BTreeMap<EdgeIndex, Ticket>,
    pub(crate) joins: Joins,
    pub(crate) reader: VecDeque<Item>,
    pub(crate) outputs: u64,
    /// Apart, because most traces have none of it.
    pub(crate) counters: Option<Box<Counters>>,
    pub(crate) credit: Option<[OwnedSemaphorePermit; 2]>,
    /// With a journal only.
    pub(crate) log: Option<Box<Log>>,
    /// Of a subflow: keeps the caller's trace from ending before this one.
    pub(crate) part: Option<Part>,
}

/// What is counted for those who stream or loop.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Pieces of each stream.
    pub(crate) streams: BTreeMap<Arc<str>, u64>,
    /// Streams whose pieces the journal does not have yet.
    pub(crate) unrecorded: BTreeSet<Arc<str>>,
    /// The streams that each attempt under way has sent pieces to.
    pub(crate) sent: BTreeMap<(NodeIndex, MessageId), BTreeSet<Arc<str>>>,
    /// The attempts under way of which the journal knows that they send pieces.
    pub(crate) streaming: BTreeSet<(NodeIndex, MessageId)>,
    /// Tokens that all controller loops have used.
    pub(crate) tokens: u64,
    /// Each loop in progress, by the message of its next turn.
    pub(crate) loops: BTreeMap<MessageId, Loop>,
    /// Turns that were asked for.
    pub(crate) turned: u64,
}

/// A controller loop that has asked for another turn.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Tokens that it has used so far.
    pub(crate) tokens: u64,
    /// [`Counters::turned`] at that moment: the greatest is that of the loop that turned last.
    pub(crate) turned: u64,
    /// What that turn was to begin with.
    pub(crate) memory: Payload,
}

/// What stands between a trace and its journal.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Decided and appended, in this order, and applied in this order once they are in the journal.
    pub(crate) waiting: VecDeque<Fact>,
    /// Facts that were applied.
    pub(crate) applied: u64,
    /// Its end has been decided from outside.
    pub(crate) ending: bool,
    /// Its end is in the journal, or cannot be put there.
    pub(crate) recorded: bool,
    /// Its end has been appended, and the rest is done.
    pub(crate) closing: bool,
    /// Records of an earlier process are being applied.
    pub(crate) restoring: Option<Restoring>,
    /// What attempts had noted that an earlier process did not bring to their ends.
    pub(crate) notes: BTreeMap<At, Vec<Payload>>,
}

/// Something decided that is not visible before it is in the journal.
#[derive(Debug)]
pub(crate) enum Fact {
    /// The trace was accepted; the message enters.
    Entered(Arc<Message>),
    /// An attempt ended.
    Attempt(Box<Attempt>),
    /// A join's time is up.
    TimeUp { node: NodeIndex, group: u64 },
    /// It ends, for a reason from outside.
    Ended(Terminal),
    /// It has ended and nothing of it runs any more.
    Closed,
}

/// What is known of a trace whose records are being applied.
#[derive(Debug, Default)]
pub(crate) struct Restoring {
    /// Messages that wait for a retry: until when, and how long.
    pub(crate) parked: BTreeMap<(NodeIndex, MessageId), (Envelope, u64, Duration)>,
    /// Calls that must not be made twice and are not known to have ended.
    pub(crate) started: BTreeSet<At>,
    /// Attempts that had sent pieces and are not known to have ended.
    pub(crate) streamed: BTreeSet<At>,
    /// When the record that is being applied was made, or the last one.
    pub(crate) at_ms: u64,
    /// Outputs that the reader has.
    pub(crate) delivered: BTreeSet<MessageId>,
    /// What each attempt handled, for whoever only looks back.
    pub(crate) handled: Option<BTreeMap<At, Arc<Message>>>,
}

/// Where a trace is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    Running,
    /// Ends with this as soon as nothing runs any more.
    Ending(Box<Terminal>),
    /// Ended; the terminal is here until the reader takes it.
    Ended(Option<Box<Terminal>>),
}

/// What a trace has at one node.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) queue: Queue,
    /// Attempts under way or waiting for a retry.
    pub(crate) busy: u32,
    /// Emissions of this node that wait for room: no new call until they have it.
    pub(crate) blocked: u32,
    /// In line for a slot, with the priority of the message that is next.
    pub(crate) listed: Option<Ticket>,
}

/// A message with what the scheduler knows of it.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) message: Arc<Message>,
    pub(crate) lineage: Lineage,
    pub(crate) attempt: u32,
    /// The edge on which it holds a place.
    pub(crate) on: Option<EdgeIndex>,
}

/// An attempt that has its slot.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) trace: Arc<Trace>,
    pub(crate) node: NodeIndex,
    pub(crate) envelope: Envelope,
}

/// An attempt that came to its end.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) job: Job,
    pub(crate) result: Result<(Vec<Output>, Outcome), Failure>,
    pub(crate) receipt: Receipt,
    pub(crate) latency: Duration,
    /// For its record.
    pub(crate) tape: Option<Box<Tape>>,
}

// === impl Log ===

impl Log {
    /// Whether the journal is known to have the request. Until then nobody is told of it, so nobody is told that it ends either:
    /// the id may be one of a trace that has ended.
    fn is_accepted(&self) -> bool {
        !matches!(self.waiting.front(), Some(Fact::Entered(_)))
    }
}

// === impl Item ===

impl Item {
    /// Whether this takes back that piece, which came before: it is of the attempt that failed, or of a subflow below it.
    pub fn supersedes(&self, piece: &Self) -> bool {
        let Self::Superseded { subflow, node, message, attempt, restarts, .. } = self else { return false };
        let Self::Chunk { subflow: within, node: by, message: at, attempt: number, .. } = piece else { return false };
        if (subflow, node, message, attempt) == (within, by, at, number) {
            return true;
        }
        let name = node.rsplit('/').next().unwrap_or_default();
        let called = match subflow {
            Some(subflow) => format!("{subflow}/{name}.{message}.{attempt}."),
            None => format!("{name}.{message}.{attempt}."),
        };
        !restarts && within.as_ref().is_some_and(|within| within.starts_with(&called))
    }
}

// === impl Trace ===

impl Trace {
    pub(crate) fn node_name(&self, node: NodeIndex) -> &Arc<str> {
        &self.flow.graph.nodes()[node].name
    }

    /// This trace, the one that called it, and so on.
    pub(crate) fn callers(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |trace| trace.caller.as_ref().map(|caller| &*caller.trace))
    }

    /// Of a subflow, the trace that called it.
    pub(crate) fn caller_id(&self) -> Option<Arc<str>> {
        self.caller.as_ref().map(|caller| Arc::clone(&caller.trace.origin.trace))
    }

    /// Hops that are left to this trace and to all that called it.
    pub(crate) fn hops_left(&self) -> u64 {
        self.callers().map(Self::hops).map(|(used, max)| max.saturating_sub(used)).min().unwrap_or_default()
    }

    /// Used and allowed.
    pub(crate) fn hops(&self) -> (u64, u64) {
        (self.hops.load(Ordering::Relaxed), self.flow.config.budget.hops)
    }

    pub(crate) fn use_hops(&self, hops: u64) {
        self.callers().for_each(|trace| _ = trace.hops.fetch_add(hops, Ordering::Relaxed));
    }

    /// The terminal of a trace whose time is up.
    pub(crate) fn deadline_exceeded(&self) -> Terminal {
        let after = self.deadline.map(|deadline| deadline - self.started).unwrap_or_default();
        let whose = match self.flow.config.budget.deadline {
            None => "it came with the request",
            Some(limit) if limit == after => "raise it with `budget.deadline`",
            // A trace that goes on after a crash has what is left.
            Some(_) => "it came with the request, or is what was left of `budget.deadline`",
        };
        let message = format!("the deadline of {after:?} has passed; {whose}");
        let error = TraceError::new(End::DeadlineExceeded.name(), message);
        Terminal { end: End::DeadlineExceeded, outputs: 0, error: Some(error) }
    }

    /// Numbers an event and hands it to the observer, if there is one.
    pub(crate) fn event(&self, state: &mut State, kind: impl FnOnce() -> EventKind) {
        let seq = state.next_event;
        state.next_event += 1;
        let Some(observer) = &self.flow.config.observer else { return };
        if state.log.as_ref().is_some_and(|log| log.restoring.is_some() || !log.is_accepted()) {
            return;
        }
        let at_us = micros(self.flow.started.elapsed());
        let Origin { trace, tenant, .. } = &self.origin;
        let event =
            Event { trace: Arc::clone(trace), tenant: Arc::clone(tenant), caller: self.caller_id(), seq, at_us, kind: kind() };
        // An observer that panics must not leave the trace without an end.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| observer.observe(event)));
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("origin", &self.origin).finish_non_exhaustive()
    }
}
