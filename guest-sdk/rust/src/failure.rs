//! Failures: the contract's closed set of kinds, with constructors for `?` and `map_err`.

use std::fmt::Display;
use std::time::Duration;

use serde::Serialize;

use crate::bindings::plugin::types::{Failure, FailureKind};
use crate::json::text_of;

/// What a handler returns.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure of this kind. The message is one line for people: `Failure::new(FailureKind::Busy, "no seat is free")`.
    pub fn new(kind: FailureKind, message: impl Display) -> Self {
        Self { kind, message: message.to_string(), retry_after_ms: None, detail: None }
    }

    /// The input is wrong; never retried.
    pub fn invalid_input(message: impl Display) -> Self {
        Self::new(FailureKind::InvalidInput, message)
    }

    /// What was asked for is not there; never retried.
    pub fn not_found(message: impl Display) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    /// The state has moved on; the caller decides.
    pub fn conflict(message: impl Display) -> Self {
        Self::new(FailureKind::Conflict, message)
    }

    /// Not permitted; never retried.
    pub fn denied(message: impl Display) -> Self {
        Self::new(FailureKind::Denied, message)
    }

    /// A limit is used up.
    pub fn exhausted(message: impl Display) -> Self {
        Self::new(FailureKind::Exhausted, message)
    }

    /// A time-out has passed.
    pub fn timed_out(message: impl Display) -> Self {
        Self::new(FailureKind::TimedOut, message)
    }

    /// Too many at once; retried, see [`Failure::retry_after`].
    pub fn busy(message: impl Display) -> Self {
        Self::new(FailureKind::Busy, message)
    }

    /// Something outside is down for now; retried.
    pub fn unavailable(message: impl Display) -> Self {
        Self::new(FailureKind::Unavailable, message)
    }

    /// The trace was cancelled; never retried.
    pub fn cancelled(message: impl Display) -> Self {
        Self::new(FailureKind::Cancelled, message)
    }

    /// Anything else; retried if the node's policy says so, as it does by default.
    pub fn internal(message: impl Display) -> Self {
        Self::new(FailureKind::Internal, message)
    }

    /// Asks the host to wait at least this long before a retry.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Adds something for programs to read.
    #[must_use]
    pub fn detail(mut self, detail: impl Serialize) -> Self {
        self.detail = Some(text_of(&detail));
        self
    }

    /// Says what the message is about.
    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.message.insert_str(0, ": ");
        self.message.insert_str(0, subject);
        self
    }
}

/// JSON that a handler could not read is taken for wrong input.
impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::invalid_input(error)
    }
}
