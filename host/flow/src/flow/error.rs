//! Why a flow does not take a request on.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::JournalError;

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
    /// Try again when a trace has ended, or wait with [`Flow::submit`](crate::Flow::submit).
    #[error("there is no credit for one more trace: `{limit}` is {max}; wait until a trace ends, or raise it")]
    Busy {
        /// The setting: for one tenant, or for all of them.
        limit: &'static str,
        /// How many may be in flight.
        max: usize,
    },
    /// Try again after the pause.
    #[error(
        "rate_limited: tenant `{tenant}` may make {max} requests a minute; the next one in {} ms, or raise its `rate.requests`",
        retry_after.as_millis().max(1)
    )]
    RateLimited {
        /// Who asks.
        tenant: Arc<str>,
        /// Requests a minute.
        max: u64,
        /// When the next one may come.
        retry_after: Duration,
    },
    /// Give up, or give the tenant a quota.
    #[error("there is no quota for tenant `{0}`, and none for others")]
    UnknownTenant(Arc<str>),
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
