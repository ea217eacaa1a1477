//! The two counters that bound a flow: places on an edge, per tenant, and slots of a node. Both hand what is freed straight to
//! whoever waits first, and neither ever blocks a thread.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::graph::EdgeIndex;
use crate::trace::Trace;

/// A lock whose data stays usable if a thread panicked while it held it: every critical section leaves it consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one tenant holds of a flow.
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    /// Traces that this tenant may have in flight.
    pub(crate) credit: Arc<Semaphore>,
    edges: Box<[Mutex<Places>]>,
}

#[derive(Default)]
struct Places {
    used: usize,
    waiting: Line,
}

/// Traces that wait, the first one ahead.
#[derive(Debug, Default)]
struct Line {
    traces: VecDeque<Arc<Trace>>,
    /// At least as many as have ended while they waited.
    ended: usize,
}

impl Line {
    /// A trace has ended while it waited. Ended traces are swept out once they may be half of the line, so that none is kept
    /// for long and a sweep costs each of them no more than two steps.
    fn sweep(&mut self) {
        self.ended += 1;
        if self.ended * 2 > self.traces.len() {
            self.traces.retain(|trace| !trace.cancelled.is_cancelled());
            self.ended = 0;
        }
    }
}

impl Tenant {
    pub(crate) fn new(name: Arc<str>, edges: usize, credit: usize) -> Self {
        Self {
            name,
            credit: Arc::new(Semaphore::new(credit.min(Semaphore::MAX_PERMITS))),
            edges: (0..edges).map(|_| Mutex::default()).collect(),
        }
    }

    /// Takes a place on an edge, or puts the trace in line for one.
    pub(crate) fn enter(&self, edge: EdgeIndex, capacity: usize, trace: &Arc<Trace>) -> bool {
        let mut places = lock(&self.edges[edge]);
        if places.used < capacity && places.waiting.traces.is_empty() {
            places.used += 1;
            return true;
        }
        places.waiting.traces.push_back(Arc::clone(trace));
        false
    }

    /// Gives a place back. If a trace is in line, the place is now that trace's.
    pub(crate) fn leave(&self, edge: EdgeIndex) -> Option<Arc<Trace>> {
        let mut places = lock(&self.edges[edge]);
        let next = places.waiting.traces.pop_front();
        if next.is_none() {
            places.used -= 1;
        }
        next
    }

    /// A trace that is in line for a place on this edge has ended.
    pub(crate) fn sweep(&self, edge: EdgeIndex) {
        lock(&self.edges[edge]).waiting.sweep();
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("credit", &self.credit.available_permits()).finish_non_exhaustive()
    }
}

/// A node's invocations at once, and the traces that have a message ready for it.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: usize,
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    running: usize,
    ready: Line,
}

impl Slots {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Takes a slot unless all are taken or others are ahead.
    pub(crate) fn take(&self) -> bool {
        let mut state = lock(&self.state);
        let free = state.running < self.limit && state.ready.traces.is_empty();
        state.running += usize::from(free);
        free
    }

    /// Takes a slot, or puts the trace at the end of the line.
    pub(crate) fn take_or_wait(&self, trace: &Arc<Trace>) -> bool {
        let mut state = lock(&self.state);
        if state.running < self.limit && state.ready.traces.is_empty() {
            state.running += 1;
            return true;
        }
        state.ready.traces.push_back(Arc::clone(trace));
        false
    }

    /// Gives a slot back. If a trace is in line, the slot is now that trace's.
    pub(crate) fn give_back(&self) -> Option<Arc<Trace>> {
        let mut state = lock(&self.state);
        let next = state.ready.traces.pop_front();
        if next.is_none() {
            state.running -= 1;
        }
        next
    }

    /// A trace that is in line for a slot has ended.
    pub(crate) fn sweep(&self) {
        lock(&self.state).ready.sweep();
    }
}
