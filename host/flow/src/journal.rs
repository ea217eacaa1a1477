//! What of a trace must survive the process: one trait, and the records that a trace is made of.
//!
//! A trace's state is what its records say, applied in their order; the code that applies a record of an earlier process is the
//! code that applied it the first time. So nothing but decisions is kept: what was accepted, how each attempt went and what it
//! emitted, that it began to stream, how the trace ended, what its reader has. Queues, joins, loops, budgets and the numbers of streams follow.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::message::{MessageId, Meta, Payload};
use crate::node::{Failure, Outcome, Output, Receipt, is_zero};
use crate::tape::Tape;
use crate::trace::Terminal;

/// Keeps records, in memory or on a disk. `host/store` has both, and one test for all implementations.
pub trait Journal: Send + Sync + Debug {
    /// Takes a record in. It is in the journal when the future says so, and if the process dies before, it may be there or not.
    /// Records are kept in the order of the calls: once one is in, so is every one that was appended before, to any trace.
    /// After a failure nothing more is taken in. The record counts also if the future is dropped.
    fn append(&self, trace: &Arc<str>, entry: Entry) -> Pending<()>;

    /// All records of a trace, in order; none: it is not known.
    fn load(&self, trace: &str) -> Pending<Vec<Entry>>;

    /// The traces whose end has not been delivered and that no other trace called, in the order of their acceptance.
    fn unfinished(&self) -> Pending<Vec<Arc<str>>>;
}

/// What a journal will say.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send>>;

/// Why a journal did not do as it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A trace of this id has been accepted before. The journal goes on.
    #[error("trace `{0}` is in the journal already; each request needs an id of its own")]
    Duplicate(Arc<str>),
    /// It cannot be written or read: what, where, and the remedy.
    #[error("{0}")]
    Unusable(String),
}

/// A record and when it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// Events of the trace before it.
    pub seq: u64,
    /// What happened.
    pub record: Record,
}

/// Something that happened to a trace and decides what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The flow took it on.
    Accepted(Box<Accepted>),
    /// A call began that must not be made twice: one that is neither idempotent nor free of effects.
    Started(At),
    /// An attempt that is under way has noted something, to go on from there. A call of it that had begun, and must not be made twice,
    /// has ended.
    Noted {
        /// Which.
        at: At,
        /// What; it is for whoever noted it.
        note: Payload,
    },
    /// An attempt is about to send its first piece to the reader. If its end is not recorded, its pieces count no more.
    Streamed(At),
    /// An attempt succeeded.
    Done {
        /// Which.
        at: At,
        /// What it emitted before it returned.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        emitted: Vec<Output>,
        /// What it decided.
        outcome: Outcome,
        /// What it used.
        receipt: Receipt,
        /// The pieces of each stream that it wrote to, so far.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        streams: BTreeMap<Arc<str>, u64>,
        /// What the call was given and told, to make it once more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<Box<Tape>>,
    },
    /// An attempt failed. What follows, the node's policy says.
    Failed {
        /// Which.
        at: At,
        /// Why.
        failure: Failure,
        /// What it used.
        receipt: Receipt,
        /// The pieces of each stream that it wrote to, so far.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        streams: BTreeMap<Arc<str>, u64>,
        /// What the call was given and told, to make it once more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tape: Option<Box<Tape>>,
    },
    /// A call of which it was not known whether it had been made is made again: somebody decided so.
    Retry(At),
    /// A join did not wait any longer.
    TimeUp {
        /// Which join.
        node: Arc<str>,
        /// Which of its groups, by its number in the trace.
        group: u64,
    },
    /// The trace ended.
    Ended(Terminal),
    /// The reader has an output, or the end.
    Delivered {
        /// Which output; none: the end, and with it all outputs.
        message: Option<MessageId>,
        /// Up to where its own output stands, for a reader that writes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<Cursor>,
    },
}

/// An attempt of a node at a message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct At {
    /// The node's name.
    pub node: Arc<str>,
    /// The message that it handled.
    pub message: MessageId,
    /// From 1.
    pub attempt: u32,
}

/// How a trace began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The person behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// The conversation that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Arc<str>>,
    /// The trace that called it as a subflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Arc<str>>,
    /// What entered.
    pub payload: Payload,
    /// What travels with it.
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    pub meta: Meta,
    /// A label for routers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Arc<str>>,
    /// Higher is more urgent.
    #[serde(default)]
    pub priority: i32,
    /// When its time is up, in milliseconds since 1970-01-01T00:00:00Z.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Up to where the input had been read, this request included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The [`Release`](crate::Release) that it began with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub release: u64,
}

/// A place in a file of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Lines up to there.
    pub line: u64,
    /// Bytes up to there.
    pub offset: u64,
}

impl Record {
    /// The record's kind, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Started(_) => "started",
            Self::Noted { .. } => "noted",
            Self::Streamed(_) => "streamed",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Retry(_) => "retry",
            Self::TimeUp { .. } => "time_up",
            Self::Ended(_) => "ended",
            Self::Delivered { .. } => "delivered",
        }
    }
}
