//! Instances that wait for their next call: those of one node of a flow, each for one tenant.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::Store;

use crate::call::Guest;
use crate::state::State;

/// Waiting instances of one node: enough for every core of a large machine. The longest waiting goes first.
pub const MAX_IDLE: usize = 32;

/// An instance between two calls.
pub(crate) struct Warm {
    pub(crate) store: Store<State>,
    pub(crate) guest: Guest,
    /// Calls that it has served.
    pub(crate) calls: u32,
    /// Whose it is: another tenant never gets it.
    tenant: Arc<str>,
    /// Its place among all waiting instances of the sandbox.
    _idle: Idle,
}

/// The waiting instances of one node.
pub(crate) struct Pool {
    warm: Mutex<VecDeque<Warm>>,
    idle: IdleCount,
}

/// How many instances wait, over all nodes, so that waiting ones never take the room of running ones.
#[derive(Debug, Clone)]
pub(crate) struct IdleCount {
    count: Arc<AtomicU32>,
    max: u32,
}

struct Idle(Arc<AtomicU32>);

impl IdleCount {
    pub(crate) fn new(max: u32) -> Self {
        Self { count: Arc::default(), max }
    }

    fn take(&self) -> Option<Idle> {
        let more = |count| (count < self.max).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Idle(Arc::clone(&self.count)))
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(crate) fn new(idle: IdleCount) -> Self {
        Self { warm: Mutex::default(), idle }
    }

    /// An instance that waits for a call of this tenant: the one that came last, whose memory is still in the caches.
    pub(crate) fn take(&self, tenant: &str) -> Option<Warm> {
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        let at = warm.iter().rposition(|warm| *warm.tenant == *tenant)?;
        warm.remove(at)
    }

    /// Keeps the instance, or drops it where too many wait already.
    pub(crate) fn put(&self, tenant: Arc<str>, store: Store<State>, guest: Guest, calls: u32) {
        let mut dropped = None;
        let mut warm = self.warm.lock().unwrap_or_else(PoisonError::into_inner);
        if warm.len() >= MAX_IDLE {
            dropped = warm.pop_front();
        }
        if let Some(idle) = self.idle.take() {
            warm.push_back(Warm { store, guest, calls, tenant, _idle: idle });
        }
        // Memory is cleared after the lock is free.
        drop(warm);
        drop(dropped);
    }

    /// Drops all that wait: their room is needed.
    pub(crate) fn clear(&self) {
        let warm = std::mem::take(&mut *self.warm.lock().unwrap_or_else(PoisonError::into_inner));
        drop(warm);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.warm.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Pool").field("waiting", &waiting).finish_non_exhaustive()
    }
}
