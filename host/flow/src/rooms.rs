//! The counters that bound a flow: traces in flight, places on an edge, per tenant, and slots of a node. What is freed goes
//! straight to whoever is next, tenants in turn, and nothing here ever blocks a thread.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::graph::{EdgeIndex, NodeIndex};
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
    /// Slots that it holds of each node; nothing where it may hold all. Changed under the lock of the node's slots only.
    slots: Box<[AtomicUsize]>,
}

#[derive(Default)]
struct Places {
    used: usize,
    waiting: Line,
    /// Traces that ever stood in line.
    waited: u64,
}

impl Tenant {
    /// `counted`: the nodes whose slots are counted for it.
    pub(crate) fn new(name: Arc<str>, weight: NonZeroU32, edges: usize, counted: usize, credit: usize) -> Self {
        let turns = usize::try_from(weight.get()).unwrap_or(usize::MAX);
        Self {
            name,
            weight,
            max: credit,
            credit: Arc::new(Semaphore::new(credit.min(Semaphore::MAX_PERMITS))),
            turns: Semaphore::new(turns.min(Semaphore::MAX_PERMITS)),
            edges: (0..edges).map(|_| Mutex::default()).collect(),
            slots: (0..counted).map(|_| AtomicUsize::default()).collect(),
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
        // Somebody waits only while all are taken.
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
///
/// Where tenants share it, each may hold all slots but one: whoever has calls that hang keeps nobody else out. That holds for a tenant
/// that is alone as well, for a slot that it had would not be free when another comes. So while a slot is free, at most one tenant has
/// all that it may have: the one that holds all others.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: usize,
    /// Which node this is, if no tenant may hold all of its slots.
    shared: Option<NodeIndex>,
    state: Mutex<SlotState>,
}

#[derive(Debug, Default)]
struct SlotState {
    running: usize,
    /// Somebody waits only while all slots are taken, or its tenant has all that it may have.
    ready: Ring,
}

impl Slots {
    /// `shared`: which node this is, if no tenant is to hold all of its slots. With one slot only, that cannot be.
    pub(crate) fn new(limit: usize, shared: Option<NodeIndex>) -> Self {
        Self { limit, shared: shared.filter(|_| limit > 1), state: Mutex::default() }
    }

    /// Takes a slot if there is one for this tenant.
    pub(crate) fn take(&self, tenant: &Tenant) -> bool {
        self.take_of(&mut lock(&self.state), tenant)
    }

    /// Takes a slot, or puts the trace in line behind those of its tenant and priority.
    pub(crate) fn take_or_wait(&self, trace: &Arc<Trace>, priority: i32) -> Option<Ticket> {
        let mut state = lock(&self.state);
        let taken = self.take_of(&mut state, &trace.tenant);
        (!taken).then(|| state.ready.push(trace, priority))
    }

    /// Gives a tenant's slot back. If a trace is in line that may have one, the slot is now that trace's.
    pub(crate) fn give_back(&self, tenant: &Tenant) -> Option<Arc<Trace>> {
        let mut state = lock(&self.state);
        if let Some(held) = self.held(tenant) {
            held.fetch_sub(1, Ordering::Relaxed);
        }
        // Most often nobody waits.
        let next = if state.ready.is_empty() { None } else { state.ready.pop(|tenant| self.has_room(tenant)) };
        match &next {
            Some(trace) => self.count(&trace.tenant),
            None => state.running -= 1,
        }
        next
    }

    fn take_of(&self, state: &mut SlotState, tenant: &Tenant) -> bool {
        let free = state.running < self.limit;
        debug_assert!(!free || !state.ready.has(|tenant| self.has_room(tenant)), "somebody waits for a slot that is free");
        let taken = free && self.has_room(tenant);
        if taken {
            state.running += 1;
            self.count(tenant);
        }
        taken
    }

    /// Whether the tenant may have one more of the slots.
    fn has_room(&self, tenant: &Tenant) -> bool {
        self.held(tenant).is_none_or(|held| held.load(Ordering::Relaxed) + 1 < self.limit)
    }

    fn count(&self, tenant: &Tenant) {
        if let Some(held) = self.held(tenant) {
            held.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn held<'t>(&self, tenant: &'t Tenant) -> Option<&'t AtomicUsize> {
        self.shared.map(|node| &tenant.slots[node])
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
