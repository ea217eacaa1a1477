//! What a tenant may ask for: how much at once, and how much a minute.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::flow::Error;
use crate::rooms::lock;

const MINUTE: Duration = Duration::from_secs(60);

/// The quotas of all tenants.
#[derive(Debug, Clone, Default)]
pub struct Quotas {
    /// Of those that have one of their own.
    pub tenants: BTreeMap<Arc<str>, Quota>,
    /// Of each of the others; none: they are refused.
    pub others: Option<Quota>,
}

/// What one tenant may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How often it is served in a row where others wait too.
    pub weight: NonZeroU32,
    /// Traces in flight at once; none: as many as the flow lets any tenant have.
    pub in_flight: Option<usize>,
    /// Requests a minute, so many of them at once at most; none: as many as there is credit for.
    pub requests: Option<NonZeroU64>,
}

impl Quotas {
    pub(crate) fn of(&self, tenant: &str) -> Option<Quota> {
        self.tenants.get(tenant).copied().or(self.others)
    }
}

/// A store of something that fills up at a steady rate, up to what comes in a minute. More than is there may be taken out, by whoever
/// learns only afterwards how much he took; then it has to fill up again first.
#[derive(Debug)]
pub struct Bucket {
    per_minute: u64,
    /// Below zero: a debt.
    level: i128,
    /// When the level was as it says.
    since: Instant,
}

/// The level counts parts: a minute in nanoseconds of them make one.
const PARTS: i128 = MINUTE.as_nanos() as i128;

impl Bucket {
    /// A full one.
    pub fn new(per_minute: NonZeroU64) -> Self {
        let per_minute = per_minute.get();
        Self { per_minute, level: i128::from(per_minute) * PARTS, since: Instant::now() }
    }

    /// How long until there is something in it; none: there is.
    pub fn wait(&mut self) -> Option<Duration> {
        self.fill();
        let missing = PARTS - self.level;
        if missing <= 0 {
            return None;
        }
        let rate = i128::from(self.per_minute);
        let nanos = (missing + rate - 1) / rate;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Takes out, also what is not there.
    pub fn take(&mut self, amount: u64) {
        self.fill();
        self.level -= i128::from(amount) * PARTS;
    }

    fn fill(&mut self) {
        let now = Instant::now();
        let passed = i128::try_from((now - self.since).as_nanos()).unwrap_or(i128::MAX);
        let full = i128::from(self.per_minute) * PARTS;
        self.level = passed.saturating_mul(self.per_minute.into()).saturating_add(self.level).min(full);
        self.since = now;
    }

    /// Whether nothing was taken out that has not come in again.
    pub fn is_full(&mut self) -> bool {
        self.fill();
        self.level == i128::from(self.per_minute) * PARTS
    }
}

/// Counts what tenants ask for, by name.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<BTreeMap<Arc<str>, Bucket>>);

/// Tenants that are counted at once before those are forgotten who have asked for nothing in a while.
const MANY: usize = 1000;
/// Tenants that are counted at all: names may come from requests, and a flood of them is not to take memory without end.
const MOST: usize = 100_000;

impl Rates {
    /// Counts one request, unless it is one too many.
    pub(crate) fn admit(&self, tenant: &Arc<str>, requests: Option<NonZeroU64>) -> Result<(), Error> {
        let Some(per_minute) = requests else { return Ok(()) };
        let mut buckets = lock(&self.0);
        if buckets.len() >= MANY && !buckets.contains_key(tenant) {
            buckets.retain(|_, bucket| !bucket.is_full());
            if buckets.len() >= MOST {
                let retry_after = MINUTE;
                return Err(Error::RateLimited { tenant: Arc::clone(tenant), max: per_minute.get(), retry_after });
            }
        }
        let bucket = buckets.entry(Arc::clone(tenant)).or_insert_with(|| Bucket::new(per_minute));
        match bucket.wait() {
            Some(retry_after) => Err(Error::RateLimited { tenant: Arc::clone(tenant), max: per_minute.get(), retry_after }),
            None => {
                bucket.take(1);
                Ok(())
            }
        }
    }
}
