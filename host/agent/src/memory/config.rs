//! What an agent's memory may be, and what no memory can be.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::state::MAX_STATE_BYTES;
use floe_llm::Model;
use serde_json::Value;

use super::{MAX_SUMMARY, Turn};

/// A person refers back some turns word for word; what is earlier does in a summary.
pub const DEFAULT_FULL_ZONE_TURNS: usize = 5;
/// A page and a half: more is no summary.
pub const DEFAULT_SUMMARY_MAX_TOKENS: u64 = 1_000;
/// A tenth of what usual models read, so that most is left for the run itself.
pub const DEFAULT_TOTAL_MAX_TOKENS: u64 = 10_000;
/// Enough to follow a conversation again, and little enough for one summary.
pub const DEFAULT_RECOVERY_BACKLOG: usize = 20;
/// What fails more often than that will fail for a while.
pub const DEFAULT_RETRY_ATTEMPTS: u32 = 3;
/// With its doubling, three tries have some fourteen seconds for an outage to pass.
pub const DEFAULT_RETRY_BASE: Duration = Duration::from_secs(2);
/// Seldom enough not to burden a model that is down, and soon enough for the same conversation.
pub const DEFAULT_DEGRADED_RETRY: Duration = Duration::from_secs(30);
/// Some thousand full conversations of a tenant.
pub const DEFAULT_MEMORY_BYTES: u64 = 64 << 20;

/// Turns that are kept word for word: beyond that a summary is what helps.
pub const MAX_FULL_ZONE_TURNS: usize = 1_000;
/// Turns that wait for a model to come back: as many as are ever kept.
pub const MAX_RECOVERY_BACKLOG: usize = 1_000;
/// Tries after a failed summary: each waits twice as long as the one before.
pub const MAX_RETRY_ATTEMPTS: u32 = 10;
/// The longest wait between two of them: the next turn comes sooner than that.
pub const MAX_RETRY_WAIT: Duration = Duration::from_secs(300);

/// How an agent remembers. [`MemoryConfig::problems`] says what cannot be.
#[derive(Debug, Clone)]
pub struct MemoryConfig {
    /// What becomes of turns.
    pub strategy: MemoryStrategy,
    /// How much there may be.
    pub budget: MemoryBudget,
    /// Whether turns are kept with their [`Digest`](super::Digest)s.
    pub include_digest: bool,
    /// Turns that wait for a summary while the model is down; the newest count.
    pub recovery_backlog: usize,
    /// Tries after a failed summary, before the conversation is [degraded](super::Health::Degraded).
    pub retry_attempts: u32,
    /// The wait before the first of them; it doubles, up to [`MAX_RETRY_WAIT`].
    pub retry_base: Duration,
    /// A degraded conversation that is used tries again after this time.
    pub degraded_retry: Duration,
    /// The space of the store. Nobody else should be granted it.
    pub space: Arc<str>,
    /// Bytes that a tenant's conversations may have in the space.
    pub max_bytes: u64,
}

/// What becomes of turns.
#[derive(Debug, Clone)]
pub enum MemoryStrategy {
    /// They are forgotten.
    None,
    /// The newest are kept, the others forgotten.
    Truncation,
    /// The newest are kept, the others summarised by the first of these models that answers, in the background.
    RollingSummary(Vec<Arc<dyn Model>>),
    /// As many are kept as fit the budget, and the caller's own code makes of them what the model sees.
    Custom(Arc<dyn Strategy>),
}

/// Makes a context of a conversation's turns, in whatever way: for [`MemoryStrategy::Custom`].
pub trait Strategy: Send + Sync + Debug {
    /// What the model is to see, of all turns that are kept, oldest first. It is asked at the beginning of each run, in no lock, and
    /// may take its time; dropping the future ends it. What it gives must be within the budget, and says so as text if it cannot.
    fn context<'a>(&'a self, turns: &'a [Arc<Turn>]) -> Recalling<'a>;
}

/// What a [`Strategy`] will say.
pub type Recalling<'a> = Pin<Box<dyn Future<Output = Result<Value, String>> + Send + 'a>>;

/// How much a model may be shown of a conversation. A text has a quarter of its bytes and one in tokens: an estimate, for each model
/// counts its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryBudget {
    /// Turns that stay word for word.
    pub full_zone_turns: usize,
    /// Tokens of the summary.
    pub summary_max_tokens: u64,
    /// Tokens of everything; 0: what a value of the store holds.
    pub total_max_tokens: u64,
    /// What gives way.
    pub overflow: Overflow,
}

/// What gives way when there is too much. A turn that is too large by itself is cut, with a mark; if there is no room even for that,
/// it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest turns, and what is left of the summary only after them.
    TruncateOldest,
    /// The summary's beginning, and then the oldest turns.
    TruncateSummary,
    /// Nothing: a turn that does not fit is not taken, and a summary that does not fit counts as failed.
    Error,
}

// === impl MemoryConfig ===

impl MemoryConfig {
    /// What is wrong with it, each with its remedy; empty if nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |is_wrong: bool, problem: &str| {
            if is_wrong {
                problems.push(problem.to_owned());
            }
        };
        let MemoryBudget { full_zone_turns, summary_max_tokens, total_max_tokens, overflow } = self.budget;
        let is_truncation = matches!(self.strategy, MemoryStrategy::Truncation);
        check(
            is_truncation && full_zone_turns == 0,
            "memory: truncation with `full_zone_turns: 0` remembers nothing; keep at least 1 turn, or set the strategy `none`",
        );
        let too_many = full_zone_turns > MAX_FULL_ZONE_TURNS || self.recovery_backlog > MAX_RECOVERY_BACKLOG;
        check(
            too_many,
            "memory: `full_zone_turns` and `recovery_backlog` are at most 1000; set fewer, and let a summary say the rest",
        );
        let is_larger = total_max_tokens > 0 && summary_max_tokens > total_max_tokens;
        check(is_larger, "memory: `summary_max_tokens` is more than `total_max_tokens`; lower the first or raise the second");
        let has_no_summary = !matches!(self.strategy, MemoryStrategy::RollingSummary(_));
        check(
            has_no_summary && overflow == Overflow::TruncateSummary,
            "memory: `overflow: truncate_summary` needs the strategy `rolling_summary`; set `truncate_oldest` or `error`",
        );
        check(self.space.is_empty(), "memory: the store's space has no name; give it one");
        check(
            self.max_bytes == 0 || self.max_bytes > MAX_STATE_BYTES,
            "memory: `max_bytes` is from 1 to 1073741824 (1 GiB), as much as a space may have",
        );
        if let MemoryStrategy::RollingSummary(models) = &self.strategy {
            check(models.is_empty(), "memory: a rolling summary needs a model; name one, or set the strategy `truncation`");
            problems.extend(self.summary_problems());
        }
        problems
    }

    fn summary_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let most = MAX_SUMMARY as u64 / 4;
        if !(1..=most).contains(&self.budget.summary_max_tokens) {
            problems
                .push(format!("memory: `summary_max_tokens` is from 1 to {most}; without any, set the strategy `truncation`"));
        }
        if self.retry_attempts > MAX_RETRY_ATTEMPTS {
            problems.push(format!(
                "memory: `retry_attempts` is at most {MAX_RETRY_ATTEMPTS}; what fails so often is tried again later"
            ));
        }
        if self.retry_base.is_zero() || self.degraded_retry.is_zero() {
            problems.push(
                "memory: `retry_base` and `degraded_retry` must be longer than 0; a model that fails needs some time".into(),
            );
        }
        problems
    }

    /// Whether turns are summarised.
    pub(super) fn has_summary(&self) -> bool {
        matches!(self.strategy, MemoryStrategy::RollingSummary(_))
    }
}
