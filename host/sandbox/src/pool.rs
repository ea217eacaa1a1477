//! Room for instances: who runs, who waits for its next call, and who makes way.
//!
//! Every instance holds places of the engine's memory slots from before it is made until after it is gone, so that the engine
//! never runs out by surprise. An instance between two calls holds them too, but gives way to one that is to run.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use floe_flow::{Failure, FailureKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Store;

use crate::call::{Guest, Loaded};
use crate::engine::TICK;
use crate::state::State;
use crate::tenants::{Shared, Tenant};

/// Waiting instances of one node: enough for every core of a large machine. The longest waiting goes first.
pub const MAX_IDLE: usize = 32;
/// Bytes that waiting instances hold together, in all of a sandbox; the longest waiting goes first.
pub const MAX_IDLE_BYTES: u64 = 1 << 30;

/// The places of one instance. To be dropped after its store.
#[derive(Debug)]
pub(crate) struct Places {
    _all: OwnedSemaphorePermit,
    /// Of the tenant's share, if it has one.
    _own: Option<Shared>,
}

/// Nothing waits that could make way, and all places are taken.
#[derive(Debug, Clone, Copy)]
struct Full {
    places: u32,
    all: u32,
}

/// All places of a sandbox.
#[derive(Debug)]
pub(crate) struct Room {
    free: Arc<Semaphore>,
    all: u32,
    pools: Mutex<Vec<Weak<Pool>>>,
    waiting_bytes: AtomicU64,
    /// Instances that ever began to wait.
    waited: AtomicU64,
}

/// An instance between two calls.
pub(crate) struct Warm {
    pub(crate) store: Store<State>,
    pub(crate) guest: Guest,
    /// What it is an instance of.
    loaded: Arc<Loaded>,
    /// Calls that it has served.
    pub(crate) calls: u32,
    /// After the store, so that its slots are free before its places are.
    pub(crate) places: Places,
    /// Whose it is: another tenant never gets it.
    pub(crate) tenant: Arc<str>,
    /// Grows from one that begins to wait to the next.
    since: u64,
    bytes: u64,
}

/// The waiting instances of one node.
pub(crate) struct Pool {
    warm: Mutex<VecDeque<Warm>>,
    room: Arc<Room>,
}

impl Warm {
    fn is_of(&self, tenant: Option<&str>) -> bool {
        tenant.is_none_or(|tenant| *self.tenant == *tenant)
    }
}

// === impl Full ===

impl Full {
    /// What whoever called is told: to come back.
    fn failure(self) -> Failure {
        let Self { places, all } = self;
        let what = if places == 1 { "another instance".to_owned() } else { format!("an instance with {places} memories") };
        let message = format!("no room for {what}: {all} run at once at most, each memory counted");
        let mut failure = Failure::new(FailureKind::Busy, message);
        failure.retry_after = Some(TICK);
        failure
    }
}

// === impl Room ===

impl Room {
    /// Room for `all` instances of one memory each.
    pub(crate) fn new(all: u32) -> Arc<Self> {
        let free = Arc::new(Semaphore::new(usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { free, all, pools: Mutex::default(), waiting_bytes: AtomicU64::new(0), waited: AtomicU64::new(0) })
    }

    /// Places for an instance that is to run now, of the tenant's share if it has one; waiting instances make way.
    pub(crate) fn take(&self, places: u32, tenant: Option<&Arc<Tenant>>) -> Result<Places, Failure> {
        let own = loop {
            match tenant.map(|tenant| tenant.take(places)).transpose() {
                Ok(own) => break own,
                // Of its own, for others' would not help.
                Err(full) if !self.evict(tenant.map(|tenant| tenant.name())) => return Err(full),
                Err(_) => {}
            }
        };
        loop {
            if let Ok(all) = Arc::clone(&self.free).try_acquire_many_owned(places) {
                return Ok(Places { _all: all, _own: own });
            }
            if !self.evict(None) {
                return Err(Full { places, all: self.all }.failure());
            }
        }
    }

    /// Places for somebody who can wait and is no tenant.
    pub(crate) async fn wait(&self, places: u32) -> Result<Places, Failure> {
        match self.take(places, None) {
            Err(full) if places <= self.all => {
                let all = Arc::clone(&self.free).acquire_many_owned(places).await.map_err(|_| full)?;
                Ok(Places { _all: all, _own: None })
            }
            taken => taken,
        }
    }

    /// Drops what waits of this code, which nothing new calls any more.
    pub(crate) fn clear(&self, loaded: &Arc<Loaded>) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for pool in pools.iter().filter_map(Weak::upgrade) {
            while pool.remove(|warm| Arc::ptr_eq(&warm.loaded, loaded)).is_some() {}
        }
    }

    /// Drops the instance that has waited longest, of this tenant or of all; false if none waits.
    fn evict(&self, tenant: Option<&str>) -> bool {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pools: Vec<Arc<Pool>> = pools.iter().filter_map(Weak::upgrade).collect();
        let longest = pools.iter().filter_map(|pool| Some((pool.oldest(tenant)?, pool))).min_by_key(|(since, _)| *since);
        let dropped = longest.and_then(|(_, pool)| pool.pop(tenant));
        dropped.is_some()
    }
}

// === impl Pool ===

impl Pool {
    pub(crate) fn new(room: &Arc<Room>) -> Arc<Self> {
        let pool = Arc::new(Self { warm: Mutex::default(), room: Arc::clone(room) });
        let mut pools = room.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// An instance of this code that waits for a call of this tenant: the one that came last, whose memory is still in the caches.
    pub(crate) fn take(&self, tenant: &str, loaded: &Arc<Loaded>) -> Option<Warm> {
        let warm = {
            let mut warm = self.lock();
            let at = warm.iter().rposition(|warm| *warm.tenant == *tenant && Arc::ptr_eq(&warm.loaded, loaded))?;
            warm.remove(at)?
        };
        self.room.waiting_bytes.fetch_sub(warm.bytes, Ordering::Relaxed);
        Some(warm)
    }

    /// Keeps the instance. Others make way if too many wait, or with too much memory; it itself does if there are no others.
    pub(crate) fn put(
        &self,
        loaded: &Arc<Loaded>,
        tenant: Arc<str>,
        store: Store<State>,
        guest: Guest,
        calls: u32,
        places: Places,
    ) {
        let bytes = store.data().limiter.held();
        let waiting = self.room.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let since = self.room.waited.fetch_add(1, Ordering::Relaxed);
        let count = {
            let mut warm = self.lock();
            warm.push_back(Warm { store, guest, loaded: Arc::clone(loaded), calls, places, tenant, since, bytes });
            warm.len()
        };
        // Asked when it is in there, so that either this or what retires the code finds it.
        if loaded.is_retired() {
            self.room.clear(loaded);
        }
        if count > MAX_IDLE {
            self.pop(None);
        }
        if waiting > MAX_IDLE_BYTES {
            while self.room.waiting_bytes.load(Ordering::Relaxed) > MAX_IDLE_BYTES && self.room.evict(None) {}
        }
    }

    fn oldest(&self, tenant: Option<&str>) -> Option<u64> {
        self.lock().iter().find(|warm| warm.is_of(tenant)).map(|warm| warm.since)
    }

    /// Takes the longest waiting out, of this tenant or of all. Its memory is cleared by whoever drops it, after the lock is free.
    fn pop(&self, tenant: Option<&str>) -> Option<Warm> {
        self.remove(|warm| warm.is_of(tenant))
    }

    fn remove(&self, which: impl Fn(&Warm) -> bool) -> Option<Warm> {
        let warm = {
            let mut warm = self.lock();
            let at = warm.iter().position(which)?;
            warm.remove(at)?
        };
        self.room.waiting_bytes.fetch_sub(warm.bytes, Ordering::Relaxed);
        Some(warm)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Warm>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        while self.pop(None).is_some() {}
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("waiting", &self.lock().len()).finish_non_exhaustive()
    }
}
