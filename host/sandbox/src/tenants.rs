//! What tenants may have at most, whatever a plugin is granted: rights, limits, plugins, computation a minute, room.
//!
//! A call has what its plugin asks for, as far as the operator's flow file grants it and its tenant's ceiling lets it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_egress::{Maxima, Quota};
use floe_flow::{Bucket, Failure, FailureKind};

use tokio::time::Instant;

use crate::engine::TICK;
use crate::host::files::Directories;
use crate::interface::Grants;
use crate::limits::Limits;
use crate::state::{Identity, Within};

/// The ceilings of all tenants.
#[derive(Debug, Clone, Default)]
pub struct Tenants {
    /// Of those that have one of their own.
    pub tenants: BTreeMap<Arc<str>, Ceiling>,
    /// Of each of the others; none: their calls are refused.
    pub others: Option<Ceiling>,
}

/// What one tenant may have at most.
#[derive(Debug, Clone)]
pub struct Ceiling {
    /// No call has more than this.
    pub limits: Limits,
    /// No plugin has other rights than these; none: whatever it is granted.
    pub grants: Option<Grants>,
    /// Digests (`sha256:…`) of the plugins that may work for it; none: all.
    pub plugins: Option<BTreeSet<String>>,
    /// Units of computation a minute; none: as many as there are.
    pub fuel: Option<NonZeroU64>,
    /// Instances at once, each memory counted; none: as many as there is room for.
    pub instances: Option<u32>,
    /// Of the network: connections at once, requests and bytes a minute; none: what each call may have.
    pub network: Option<Maxima>,
}

impl Ceiling {
    /// Nothing is lower than without it.
    pub fn none() -> Self {
        Self { limits: Limits::unlimited(), grants: None, plugins: None, fuel: None, instances: None, network: None }
    }
}

/// For how long what a tenant uses of the network is counted.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// What tenants use, counted by their names.
#[derive(Debug)]
pub(crate) struct Registry {
    given: Tenants,
    known: Mutex<BTreeMap<Arc<str>, Arc<Tenant>>>,
}

/// Tenants without a ceiling of their own that are remembered; more, and those go that have nothing under way.
const MANY: usize = 1000;

/// Tenants that are remembered at all; whoever comes then has to wait until others have filled up again.
const MOST: usize = 100_000;

/// A tenant with its ceiling and what it uses of it.
#[derive(Debug)]
pub(crate) struct Tenant {
    name: Arc<str>,
    ceiling: Ceiling,
    fuel: Option<Mutex<Bucket>>,
    instances: AtomicU32,
    /// What its calls have used of the network, since when.
    network: Option<(Arc<Quota>, Mutex<Instant>)>,
    /// What plugins are for this tenant, each as it was loaded with what it is here: two may have one name and code and other rights.
    plugins: Mutex<Vec<(Arc<Identity>, Arc<Identity>)>>,
}

/// Places for an instance that a tenant has taken of its share.
#[derive(Debug)]
pub(crate) struct Shared {
    tenant: Arc<Tenant>,
    places: u32,
}

impl Registry {
    pub(crate) fn new(given: Tenants) -> Self {
        Self { given, known: Mutex::default() }
    }

    /// The tenant, if it may have anything done at all.
    pub(crate) fn of(&self, name: &Arc<str>) -> Result<Arc<Tenant>, Failure> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = known.get(name) {
            return Ok(Arc::clone(tenant));
        }
        let Some(ceiling) = self.given.tenants.get(name).or(self.given.others.as_ref()) else {
            let why = format!("there is no tenant `{name}`, and none for others; add it to the file of tenants");
            return Err(Failure::new(FailureKind::Denied, why));
        };
        if known.len() >= MANY {
            known.retain(|name, tenant| {
                Arc::strong_count(tenant) > 1 || self.given.tenants.contains_key(name) || !tenant.owes_nothing()
            });
        }
        if known.len() >= MOST {
            let message = format!("rate_limited: {MOST} tenants have something under way or used up; come back later");
            return Err(Failure { retry_after: Some(MINUTE), ..Failure::new(FailureKind::Busy, message) });
        }
        let tenant = Arc::new(Tenant {
            name: Arc::clone(name),
            ceiling: ceiling.clone(),
            fuel: ceiling.fuel.map(|fuel| Mutex::new(Bucket::new(fuel))),
            instances: AtomicU32::new(0),
            network: ceiling.network.map(|max| (Quota::of_tenant(max), Mutex::new(Instant::now()))),
            plugins: Mutex::default(),
        });
        known.insert(Arc::clone(name), Arc::clone(&tenant));
        Ok(tenant)
    }
}

impl Tenant {
    /// What the plugin is for this tenant: with its own rights and limits where the ceiling is not lower.
    pub(crate) fn plugin(&self, plugin: &Arc<Identity>, digest: &str) -> Result<Arc<Identity>, Failure> {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, identity)) = plugins.iter().find(|(loaded, _)| Arc::ptr_eq(loaded, plugin)) {
            return Ok(Arc::clone(identity));
        }
        // Of those that are loaded no more, nobody else holds anything.
        plugins.retain(|(loaded, _)| Arc::strong_count(loaded) > 1);
        let name = &self.name;
        if self.ceiling.plugins.as_ref().is_some_and(|allowed| !allowed.contains(digest)) {
            let plugin = &plugin.name;
            let why = format!("plugin `{plugin}` may not work for tenant `{name}`; add {digest} to `tenants.{name}.plugins`");
            return Err(Failure::new(FailureKind::Denied, why));
        }
        let (limits, lowered) = plugin.limits.at_most(&self.ceiling.limits);
        let grants = self.ceiling.grants.as_ref().map_or_else(|| plugin.grants.clone(), |most| plugin.grants.at_most(most));
        let within = Within { tenant: Arc::clone(name), lowered, granted: plugin.grants.clone() };
        let directories = if grants.files == plugin.grants.files {
            plugin.directories.clone()
        } else {
            let opened = Directories::open(&grants.files, &format!("plugins.{}.grants.files", plugin.name), None);
            opened.map_err(|error| Failure::new(FailureKind::Unavailable, error.to_string()))?
        };
        let identity = Arc::new(Identity {
            name: plugin.name.clone(),
            limits,
            grants,
            values: Arc::clone(&plugin.values),
            directories,
            secret: plugin.secret,
            network: Arc::clone(&plugin.network),
            egress: self.network.as_ref().map(|(quota, _)| Arc::clone(quota)),
            within: Some(within),
            asks: plugin.asks.clone(),
        });
        plugins.push((Arc::clone(plugin), Arc::clone(&identity)));
        Ok(identity)
    }

    /// Nothing is lost if it is forgotten: what it has used is there again.
    fn owes_nothing(&self) -> bool {
        let full = |bucket: &Mutex<Bucket>| bucket.lock().unwrap_or_else(PoisonError::into_inner).is_full();
        let over = |since: &Mutex<Instant>| since.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= MINUTE;
        self.fuel.as_ref().is_none_or(full) && self.network.as_ref().is_none_or(|(_, since)| over(since))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has computation left for this minute.
    pub(crate) fn check_rate(&self) -> Result<(), Failure> {
        if let Some((quota, since)) = &self.network {
            let mut since = since.lock().unwrap_or_else(PoisonError::into_inner);
            if since.elapsed() >= MINUTE {
                *since = Instant::now();
                quota.refill();
            }
        }
        let Some(fuel) = &self.fuel else { return Ok(()) };
        let Some(retry_after) = fuel.lock().unwrap_or_else(PoisonError::into_inner).wait() else { return Ok(()) };
        let (name, max) = (&self.name, self.ceiling.fuel.map_or(0, NonZeroU64::get));
        let message = format!(
            "rate_limited: tenant `{name}` may use {max} of fuel a minute; come back in {} ms, or raise `tenants.{name}.rate.fuel`",
            retry_after.as_millis().max(1)
        );
        Err(Failure { retry_after: Some(retry_after), ..Failure::new(FailureKind::Busy, message) })
    }

    /// Counts what a call has computed, whatever became of it.
    pub(crate) fn computed(&self, fuel: u64) {
        if let Some(bucket) = &self.fuel {
            bucket.lock().unwrap_or_else(PoisonError::into_inner).take(fuel);
        }
    }

    /// Takes places of its share.
    pub(crate) fn take(self: &Arc<Self>, places: u32) -> Result<Shared, Failure> {
        let most = self.ceiling.instances.unwrap_or(u32::MAX);
        let more = |used: u32| used.checked_add(places).filter(|used| *used <= most);
        if self.instances.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok() {
            return Ok(Shared { tenant: Arc::clone(self), places });
        }
        let name = &self.name;
        let message = format!(
            "limit `instances` reached: tenant `{name}` has {most} at once, each memory counted; raise it with `tenants.{name}.instances`"
        );
        Err(Failure { retry_after: Some(TICK), ..Failure::new(FailureKind::Busy, message) })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.tenant.instances.fetch_sub(self.places, Ordering::SeqCst);
    }
}
