//! Asks again when that may help, and asks another model when it does not.
//!
//! | error | [`Retry`] | [`Fallback`], [`Ladder`](crate::Ladder) |
//! |---|---|---|
//! | rate limited, unavailable | again, after what the provider says or a growing time | next model |
//! | timed out to connect, for the head, between parts | again | next model |
//! | timed out over everything | gives up | next model |
//! | context too long, unknown model, authentication, refused, malformed, a limit | gives up | next model |
//! | bad request, cancelled, invalid | gives up | gives up |

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use crate::{Abilities, Answer, Answering, Error, Model, Request, TimeOut};

/// The first try and two more: what lasts longer than they do is no hiccup.
pub const DEFAULT_ATTEMPTS: u32 = 3;
/// Providers' gateways recover within a second or two; it doubles from try to try.
pub const DEFAULT_BASE: Duration = Duration::from_millis(500);
/// Longer than this a person does not wait for one step.
pub const DEFAULT_CAP: Duration = Duration::from_secs(20);
/// As long as a slow model takes for a long answer, and a second try.
pub const DEFAULT_TOTAL: Duration = Duration::from_secs(300);

/// How often, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Tries in all, the first included; 0 is taken as 1.
    pub attempts: u32,
    /// The wait before the second try, where the provider says nothing; it doubles with each.
    pub base: Duration,
    /// The longest such wait.
    pub cap: Duration,
    /// Time for everything, waits included.
    pub total: Duration,
    /// What the waits' randomness follows from.
    pub seed: u64,
}

/// A model that is asked again when that may help. What the provider says about when to come back is kept to; a try that could not
/// begin before the end is not waited for.
#[derive(Debug)]
pub struct Retry {
    model: Arc<dyn Model>,
    backoff: Backoff,
    calls: AtomicU64,
}

impl Retry {
    /// Around a model.
    pub fn new(model: Arc<dyn Model>, backoff: Backoff) -> Self {
        Self { model, backoff, calls: AtomicU64::new(0) }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, Error> {
        let (begun, call) = (Instant::now(), self.calls.fetch_add(1, Ordering::Relaxed));
        let end = request.deadline.map_or(begun + self.backoff.total, |deadline| deadline.min(begun + self.backoff.total));
        let name = self.model.name();
        let late = || Error::TimedOut { model: name.to_owned(), limit: TimeOut::Total, after: end.duration_since(begun) };
        let mut attempt = 1;
        loop {
            let error = match timeout_at(end, self.model.complete(request)).await {
                Ok(Ok(mut answer)) => {
                    answer.latency = begun.elapsed();
                    return Ok(answer);
                }
                Ok(Err(error)) => error,
                Err(_) => return Err(late()),
            };
            if !error.is_passing() || attempt >= self.backoff.attempts {
                return Err(error);
            }
            let wait = self.backoff.wait(call, attempt, error.retry_after());
            if begun.elapsed() + wait >= end.duration_since(begun) {
                debug!(%error, model = name, ?wait, "There is no time left to ask a model again.");
                return Err(error);
            }
            warn!(%error, model = name, attempt, ?wait, "A model does not answer, it will be asked again.");
            sleep(wait).await;
            if let Some(pieces) = &request.pieces {
                pieces.restart(name).await?;
            }
            attempt += 1;
        }
    }
}

impl Backoff {
    /// The time before the next try: between half of the doubled base and all of it; what the provider says, if that is longer,
    /// with up to the base on top, so that all who were told the same do not come back at once.
    fn wait(&self, call: u64, attempt: u32, retry_after: Option<Duration>) -> Duration {
        let doubled = self.base.saturating_mul(1 << (attempt - 1).min(20)).min(self.cap);
        let random = mix(self.seed ^ mix(call ^ (u64::from(attempt) << 48)));
        // 53 bits are what a double has.
        let share = (random >> 11) as f64 / (1u64 << 53) as f64;
        let own = doubled.mul_f64(0.5 + share / 2.0);
        match retry_after {
            Some(after) if after >= own => after + self.base.min(self.cap).mul_f64(share),
            _ => own,
        }
    }
}

/// SplitMix64's finalizer: every bit of the input decides about every bit of the output.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Model for Retry {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn abilities(&self) -> Abilities {
        self.model.abilities()
    }

    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a> {
        Box::pin(self.ask(request))
    }
}

/// Models of which the first that answers counts.
#[derive(Debug)]
pub struct Fallback {
    /// All but the last.
    first: Vec<Arc<dyn Model>>,
    last: Arc<dyn Model>,
}

impl Fallback {
    /// In the order in which they are asked. Fails without any.
    pub fn try_new(mut models: Vec<Arc<dyn Model>>) -> Result<Self, Error> {
        let last = models.pop().ok_or_else(|| Error::Invalid("a chain of models needs at least one".to_owned()))?;
        Ok(Self { first: models, last })
    }

    async fn ask(&self, request: &Request) -> Result<Answer, Error> {
        for model in &self.first {
            match model.complete(request).await {
                Err(error) if error.moves_on() => {
                    warn!(%error, model = model.name(), "A model does not answer, the next one is asked.");
                    if let Some(pieces) = &request.pieces {
                        pieces.restart(model.name()).await?;
                    }
                }
                result => return result,
            }
        }
        self.last.complete(request).await
    }
}

impl Model for Fallback {
    /// The first one's.
    fn name(&self) -> &str {
        self.first.first().unwrap_or(&self.last).name()
    }

    /// What all of them can do.
    fn abilities(&self) -> Abilities {
        self.first.iter().map(|model| model.abilities()).fold(self.last.abilities(), |all, one| Abilities {
            streams: all.streams && one.streams,
            schema: all.schema && one.schema,
            json: all.json && one.json,
        })
    }

    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a> {
        Box::pin(self.ask(request))
    }
}
