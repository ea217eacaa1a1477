//! How a node is run: validation, time-out, retries, what a failure means for its trace, how many at once.

use std::time::Duration;

use crate::message::MessageId;
use crate::node::FailureKind;

/// No retries unless asked for: only the operator knows whether a second call is welcome.
pub const DEFAULT_RETRIES: u32 = 0;
/// Short enough for a hiccup of a neighbour, long enough to be a pause (spec item 45 starts at 0.5 s).
pub const DEFAULT_BACKOFF: Duration = Duration::from_millis(100);
/// Doubling reaches the cap in few steps.
pub const DEFAULT_BACKOFF_FACTOR: f64 = 2.0;
/// A person still waits for the tenth retry.
pub const DEFAULT_BACKOFF_CAP: Duration = Duration::from_secs(30);
/// Rounds of a controller loop before it counts as lost (spec item 5).
pub const DEFAULT_TURNS: u32 = 8;
/// The longest pause that a failure may ask for: an hour is longer than what is busy or down for a moment takes, and a longer
/// one would only keep its trace.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Failures that another try can mend.
pub const DEFAULT_RETRY_ON: [FailureKind; 4] =
    [FailureKind::TimedOut, FailureKind::Busy, FailureKind::Unavailable, FailureKind::Internal];

/// How one node is run.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which sides are checked against the node's schemas.
    pub validate: Validate,
    /// Bounds one attempt, not the sum of attempts.
    pub timeout: Option<Duration>,
    /// Tries after the first.
    pub retries: u32,
    /// The pause before a retry.
    pub backoff: Backoff,
    /// Which failures are retried.
    pub retry_on: Vec<FailureKind>,
    /// What happens when the last attempt failed.
    pub on_failure: OnFailure,
    /// Invocations at once, over all traces; at least 1.
    pub concurrency: usize,
    /// One invocation at a time per trace, in the order of arrival: the priorities of the trace's messages do not change it.
    pub ordered: bool,
    /// Turns of a controller loop; the node's first call is turn 1.
    pub turns: u32,
}

impl Policy {
    /// The defaults, with this many invocations at once.
    pub fn with_concurrency(concurrency: usize) -> Self {
        Self {
            validate: Validate::Both,
            timeout: None,
            retries: DEFAULT_RETRIES,
            backoff: Backoff { base: DEFAULT_BACKOFF, factor: DEFAULT_BACKOFF_FACTOR, cap: DEFAULT_BACKOFF_CAP, jitter: true },
            retry_on: DEFAULT_RETRY_ON.to_vec(),
            on_failure: OnFailure::Fail,
            concurrency,
            ordered: false,
            turns: DEFAULT_TURNS,
        }
    }
}

/// Which sides of a node are checked against its schemas (spec item 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validate {
    /// Input and outputs.
    Both,
    /// The input.
    In,
    /// The outputs.
    Out,
    /// Nothing.
    None,
}

impl Validate {
    pub(crate) fn input(self) -> bool {
        matches!(self, Self::Both | Self::In)
    }

    pub(crate) fn output(self) -> bool {
        matches!(self, Self::Both | Self::Out)
    }
}

/// What happens to the trace when a node's last attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailure {
    /// The trace fails; its other branches are cancelled.
    Fail,
    /// This branch ends, the others go on.
    Drop,
    /// The failure travels to this node as the message `{"error": {…}, "payload": …}`.
    To(String),
}

/// Exponential backoff.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Before the first retry.
    pub base: Duration,
    /// From one retry to the next.
    pub factor: f64,
    /// Never longer than this.
    pub cap: Duration,
    /// Take a random part between half and all of the pause, so that retries of many traces spread out. The part follows
    /// from trace, message and attempt: a second run pauses alike.
    pub jitter: bool,
}

impl Backoff {
    /// The pause before retry number `retry` (from 1).
    pub(crate) fn pause(&self, retry: u32, trace: &str, message: MessageId) -> Duration {
        // Zero times a factor that has grown infinite would be no number.
        if self.base.is_zero() {
            return Duration::ZERO;
        }
        let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        let full = Duration::try_from_secs_f64(seconds).unwrap_or(self.cap).min(self.cap);
        if self.jitter { full.mul_f64(0.5 + message.fraction(trace, retry) / 2.0) } else { full }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(jitter: bool) -> Vec<u128> {
        let backoff = Backoff { base: Duration::from_millis(500), factor: 2.0, cap: Duration::from_secs(3), jitter };
        (1..=5).map(|retry| backoff.pause(retry, "trace", MessageId::INPUT).as_millis()).collect()
    }

    #[test]
    fn doubles_up_to_the_cap() {
        assert_eq!(pauses(false), [500, 1000, 2000, 3000, 3000]);
    }

    #[test]
    fn jitter_stays_between_half_and_all_and_is_repeatable() {
        for (spread, full) in pauses(true).into_iter().zip(pauses(false)) {
            assert!((full / 2..=full).contains(&spread), "{spread} of {full}");
        }
        assert_eq!(pauses(true), pauses(true));
    }

    #[test]
    fn no_pause_stays_no_pause() {
        let backoff = Backoff { base: Duration::ZERO, factor: 2.0, cap: Duration::from_secs(30), jitter: true };
        assert_eq!(backoff.pause(1100, "trace", MessageId::INPUT), Duration::ZERO);
    }

    #[test]
    fn huge_retry_numbers_do_not_overflow() {
        let backoff = Backoff { base: Duration::MAX, factor: f64::MAX, cap: Duration::from_secs(1), jitter: false };
        assert_eq!(backoff.pause(u32::MAX, "trace", MessageId::INPUT), Duration::from_secs(1));
    }
}
