//! The counters that bound a flow: traces in flight, places on an edge, per tenant, and slots of a node. What is freed goes
//! straight to whoever is next, tenants in turn, and nothing here ever blocks a thread.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::graph::EdgeIndex;
use crate::trace::Trace;

pub(crate) use line::Ticket;
use line::{Line, Ring};
pub(crate) use queue::Queue;

mod line;
mod queue;

/// A lock whose data stays usable if a thread panicked while it held it: every critical section leaves it consistent.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one tenant holds of a flow.
pub(crate) struct Tenant {
    pub(crate) name: Arc<str>,
    /// How often it is served in a row where others wait too.
    pub(crate) weight: NonZeroU32,
    /// Traces that this tenant may have in flight.
    pub(crate) max: usize,
    pub(crate) credit: Arc<Semaphore>,
    /// Those that may stand in line for the credit of all tenants.
    turns: Semaphore,
    edges: Box<[Mutex<Places>]>,
}

#[derive(Default)]
struct Places {
    used: usize,
    waiting: Line,
    /// Traces that ever stood in line.
    waited: u64,
}

impl Tenant {
    pub(crate) fn new(name: Arc<str>, weight: NonZeroU32, edges: usize, credit: usize) -> Self {
        let turns = usize::try_from(weight.get()).unwrap_or(usize::MAX);
        Self {
            name,
            weight,
            max: credit,
            credit: Arc::new(Semaphore::new(credit.min(Semaphore::MAX_PERMITS))),
            turns: Semaphore::new(turns.min(Semaphore::MAX_PERMITS)),
            edges: (0..edges).map(|_| Mutex::default()).collect(),
        }
    }

    /// Waits for credit of this tenant's own and for a part of what all tenants share. In the line for the latter stand no more
    /// of one tenant than its weight, so that those who ask once come no later for those who ask ten thousand times.
    pub(crate) async fn admit(&self, common: &Arc<Semaphore>) -> Result<[OwnedSemaphorePermit; 2], AcquireError> {
        let own = Arc::clone(&self.credit).acquire_owned().await?;
        // Never closed: who stands in line when the flow stops is sent away, and makes room for the next.
        let _turn = self.turns.acquire().await?;
        let common = Arc::clone(common).acquire_owned().await?;
        Ok([own, common])
    }

    /// Takes a place on an edge, or puts the trace in line for one.
    pub(crate) fn enter(&self, edge: EdgeIndex, capacity: usize, trace: &Arc<Trace>, priority: i32) -> Option<Ticket> {
        let mut places = lock(&self.edges[edge]);
        // As with slots, somebody waits only while all are taken.
        if places.used < capacity {
            places.used += 1;
            return None;
        }
        places.waited += 1;
        let ticket = Ticket::new(priority, places.waited);
        places.waiting.insert(ticket, Arc::clone(trace));
        Some(ticket)
    }

    /// Gives a place back. If a trace is in line, the place is now that trace's.
    pub(crate) fn leave(&self, edge: EdgeIndex) -> Option<Arc<Trace>> {
        let mut places = lock(&self.edges[edge]);
        let next = places.waiting.pop_first();
        if next.is_none() {
            places.used -= 1;
        }
        next.map(|(_, trace)| trace)
    }

    /// The message that is next for this edge has another priority: if it is higher, the trace moves up.
    pub(crate) fn raise(&self, edge: EdgeIndex, ticket: &mut Ticket, priority: i32) {
        if priority > ticket.priority() {
            line::raise(&mut lock(&self.edges[edge]).waiting, ticket, priority);
        }
    }

    /// A trace that is in line for a place on this edge has ended.
    pub(crate) fn withdraw(&self, edge: EdgeIndex, ticket: Ticket) {
        lock(&self.edges[edge]).waiting.remove(&ticket);
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
    /// Somebody waits only while all slots are taken: a slot that is given back is free only if nobody was called.
    ready: Ring,
}

impl Slots {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Takes a slot unless all are taken.
    pub(crate) fn take(&self) -> bool {
        let mut state = lock(&self.state);
        let free = state.running < self.limit;
        debug_assert!(!free || state.ready.is_empty(), "somebody waits for a slot that is free");
        state.running += usize::from(free);
        free
    }

    /// Takes a slot, or puts the trace in line behind those of its tenant and priority.
    pub(crate) fn take_or_wait(&self, trace: &Arc<Trace>, priority: i32) -> Option<Ticket> {
        let mut state = lock(&self.state);
        if state.running < self.limit {
            state.running += 1;
            return None;
        }
        Some(state.ready.push(trace, priority))
    }

    /// Gives a slot back. If a trace is in line, the slot is now that trace's.
    pub(crate) fn give_back(&self) -> Option<Arc<Trace>> {
        let mut state = lock(&self.state);
        let next = state.ready.pop();
        if next.is_none() {
            state.running -= 1;
        }
        next
    }

    /// The message that is next for this node has another priority: if it is higher, the trace moves up.
    pub(crate) fn raise(&self, tenant: &Tenant, ticket: &mut Ticket, priority: i32) {
        if priority > ticket.priority() {
            lock(&self.state).ready.raise(&tenant.name, ticket, priority);
        }
    }

    /// A trace that is in line for a slot has ended.
    pub(crate) fn withdraw(&self, tenant: &Tenant, ticket: Ticket) {
        lock(&self.state).ready.remove(&tenant.name, ticket);
    }
}
