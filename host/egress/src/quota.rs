//! How much goes out and comes in: counted as it passes, for a call and for everything that a tenant does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// A call that looks something up asks once or twice; one that follows pages asks a dozen times.
pub const DEFAULT_REQUESTS: u64 = 16;
/// Each holds a socket and buffers of some 100 KiB.
pub const DEFAULT_CONNECTIONS: u64 = 4;
/// A question and a document.
pub const DEFAULT_BYTES_OUT: u64 = 1 << 20;
/// Some documents; they have to fit into the guest's memory beside their parsed forms.
pub const DEFAULT_BYTES_IN: u64 = 4 << 20;

/// What may be used at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maxima {
    /// Requests, each hop of a redirect counted.
    pub requests: u64,
    /// Connections at once.
    pub connections: u64,
    /// Bytes of requests: the request line, headers, bodies.
    pub bytes_out: u64,
    /// Bytes of answers: headers, bodies, trailers.
    pub bytes_in: u64,
}

/// What has been used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Requests.
    pub requests: u64,
    /// Bytes of requests.
    pub bytes_out: u64,
    /// Bytes of answers.
    pub bytes_in: u64,
}

/// Counters that many exchanges share.
#[derive(Debug)]
pub struct Quota {
    names: &'static Names,
    max: Mutex<Maxima>,
    requests: AtomicU64,
    connections: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

/// What the limits are called in errors.
#[derive(Debug)]
struct Names {
    requests: &'static str,
    connections: &'static str,
    bytes_out: &'static str,
    bytes_in: &'static str,
}

const CALL: Names =
    Names { requests: "requests", connections: "http_connections", bytes_out: "egress_bytes", bytes_in: "http_in" };
const TENANT: Names = Names {
    requests: "network.requests",
    connections: "network.connections",
    bytes_out: "network.egress",
    bytes_in: "network.ingress",
};

impl Quota {
    /// The quota of a call.
    pub fn of_call(max: Maxima) -> Arc<Self> {
        Self::new(&CALL, max)
    }

    /// The quota of all calls of a tenant, for as long as until [`Quota::refill`].
    pub fn of_tenant(max: Maxima) -> Arc<Self> {
        Self::new(&TENANT, max)
    }

    fn new(names: &'static Names, max: Maxima) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        Arc::new(Self { names, max: Mutex::new(max), requests: zero(), connections: zero(), bytes_out: zero(), bytes_in: zero() })
    }

    /// Begins to count requests and bytes anew; connections go on.
    pub fn refill(&self) {
        for counter in [&self.requests, &self.bytes_out, &self.bytes_in] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// What has been used so far, without what was refused.
    pub fn used(&self) -> Used {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Used { requests: read(&self.requests), bytes_out: read(&self.bytes_out), bytes_in: read(&self.bytes_in) }
    }

    /// What may be used at most.
    pub fn max(&self) -> Maxima {
        *self.max.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what may be used at most, from now on.
    pub fn limit(&self, max: Maxima) {
        *self.max.lock().unwrap_or_else(PoisonError::into_inner) = max;
    }

    pub(crate) fn request(&self) -> Result<(), Error> {
        add(&self.requests, 1, self.max().requests, self.names.requests)
    }

    pub(crate) fn bytes_out(&self, count: u64) -> Result<(), Error> {
        add(&self.bytes_out, count, self.max().bytes_out, self.names.bytes_out)
    }

    pub(crate) fn bytes_in(&self, count: u64) -> Result<(), Error> {
        add(&self.bytes_in, count, self.max().bytes_in, self.names.bytes_in)
    }

    /// Bytes that may still go out.
    pub(crate) fn left_out(&self) -> u64 {
        self.max().bytes_out.saturating_sub(self.bytes_out.load(Ordering::Relaxed))
    }

    /// A place for a connection. It never waits for one: who holds the others may be waiting for this one.
    pub(crate) fn connection(self: &Arc<Self>) -> Result<Connection, Error> {
        add(&self.connections, 1, self.max().connections, self.names.connections)?;
        Ok(Connection(Arc::clone(self)))
    }
}

fn add(counter: &AtomicU64, count: u64, max: u64, limit: &'static str) -> Result<(), Error> {
    let fits = |used: u64| used.checked_add(count).filter(|used| *used <= max);
    let refused = |used: u64| Error::Limit { limit, used: used.saturating_add(count), max };
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map(drop).map_err(refused)
}

/// A place that comes free when this is dropped.
#[derive(Debug)]
pub(crate) struct Connection(Arc<Quota>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Maxima, Quota};

    #[test]
    fn a_counter_does_not_run_over() {
        let all = Maxima { requests: u64::MAX, connections: 1, bytes_out: u64::MAX, bytes_in: u64::MAX };
        let quota = Quota::of_call(all);
        assert!(quota.bytes_in(u64::MAX - 1).is_ok() && quota.bytes_out(u64::MAX).is_ok());
        for _ in 0..2 {
            assert!(quota.bytes_in(2).is_err() && quota.bytes_out(1).is_err() && quota.bytes_out(u64::MAX).is_err());
        }
        let used = quota.used();
        assert_eq!((used.bytes_in, used.bytes_out, quota.left_out()), (u64::MAX - 1, u64::MAX, 0));
    }
}
