//! What an agent remembers of a conversation: its last turns, and a summary of those before.
//!
//! A [`Memory`] serves all conversations of an agent. What counts is in the store: each change is one comparison and one write there,
//! made again where somebody else was first, so that runs and processes beside each other lose no turn. What a process has at hand is
//! a copy, and makes way when there is too much of it. Summaries are made in the background, in no lock; a finished one removes the
//! turns that it is made of, by their numbers, and a failed one is tried again by a timer, a few times ([`Health`]). Two processes at
//! one conversation may both ask for the same summary; the first that is there counts.
//!
//! It refuses to guess whose memory it is ([`MemoryKey`]), to take the text of turns for anything but data, and to fail a run:
//! whatever goes wrong is a [`MemoryError`], and the caller goes on without. Start at [`Memory::context`].

mod config;
mod conversation;
mod error;
mod fit;
mod key;
mod state;
mod summary;
mod turn;

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use floe_flow::StateStore;
use floe_llm::{Answer, Error, Ladder};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use config::{
    DEFAULT_DEGRADED_RETRY, DEFAULT_FULL_ZONE_TURNS, DEFAULT_MEMORY_BYTES, DEFAULT_RECOVERY_BACKLOG, DEFAULT_RETRY_ATTEMPTS,
    DEFAULT_RETRY_BASE, DEFAULT_SUMMARY_MAX_TOKENS, DEFAULT_TOTAL_MAX_TOKENS, MAX_FULL_ZONE_TURNS, MAX_RECOVERY_BACKLOG,
    MAX_RETRY_ATTEMPTS, MAX_RETRY_WAIT, MemoryBudget, MemoryConfig, MemoryStrategy, Overflow, Recalling, Strategy,
};
pub use conversation::{MAX_CONFLICTS, MAX_CONVERSATIONS};
pub use error::MemoryError;
pub use key::{MAX_KEY_PART, MemoryKey};
pub use state::{Health, MAX_BATCH, MAX_SUMMARY};
pub use summary::{MAX_SUMMARIES, MAX_SUMMARY_TIME};
pub use turn::{Digest, MAX_DIGEST_TEXT, MAX_DIGEST_TOOLS, MAX_TURN_NAME, MAX_TURN_TEXT, Turn};

use conversation::{AtHand, Conversation};
use state::{Kept, State};

/// The memory of an agent's conversations. Dropping it ends its tasks at once; [`Memory::close`] also waits for them. Neither loses
/// a turn.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use floe_agent::{Memory, MemoryBudget, MemoryConfig, MemoryKey, MemoryStrategy, Overflow, Turn};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let config = MemoryConfig {
///     strategy: MemoryStrategy::Truncation,
///     budget: MemoryBudget {
///         full_zone_turns: 5,
///         summary_max_tokens: 1_000,
///         total_max_tokens: 10_000,
///         overflow: Overflow::TruncateOldest,
///     },
///     include_digest: true,
///     recovery_backlog: 20,
///     retry_attempts: 3,
///     retry_base: Duration::from_secs(2),
///     degraded_retry: Duration::from_secs(30),
///     space: "agent-memory".into(),
///     max_bytes: 64 << 20,
/// };
/// let memory = Memory::try_new(config, Arc::new(floe_flow::state::Memory::default()), None)?;
///
/// let key = MemoryKey::try_new(Some("acme".into()), Some("ann".into()), Some("monday".into()))?;
/// let turn = Turn { run: None, user: "How many?".into(), assistant: "Three.".into(), digest: None, at_ms: 1_700_000_000_000 };
/// memory.add(&key, turn).await?;
///
/// let context = serde_json::to_string(&memory.context(&key).await?).unwrap();
/// assert_eq!(context, r#"{"recent_turns":[{"user":"How many?","assistant":"Three."}]}"#);
/// // Without a user, there is no memory, rather than somebody else's.
/// assert!(MemoryKey::try_new(Some("acme".into()), None, Some("monday".into())).is_err());
/// # Ok::<(), floe_agent::MemoryError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Memory {
    shared: Arc<Shared>,
    _closing: DropGuard,
}

/// What the tasks have in common.
#[derive(Debug)]
struct Shared {
    config: MemoryConfig,
    /// The models that summarise, if any do.
    ladder: Option<Ladder>,
    store: Arc<dyn StateStore>,
    observer: Option<Arc<dyn MemoryObserver>>,
    at_hand: Mutex<AtHand>,
    summaries: Semaphore,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// Hears what becomes of a memory. It is called while the conversation is locked: it returns at once, and does not ask back.
pub trait MemoryObserver: Send + Sync + Debug {
    /// A turn is kept.
    fn on_turn_added(&self, _key: &MemoryKey, _turn: &Turn) {}

    /// Another summary is kept, or the same one is cut.
    fn on_summary_updated(&self, _key: &MemoryKey, _old: &str, _new: &str) {}

    /// It stands differently with the summaries.
    fn on_health_changed(&self, _key: &MemoryKey, _old: Health, _new: Health) {}

    /// Models were asked for a summary. Here is every answer that came, with its usage and cost, whether a summary came of it or
    /// not. Of a call that failed, or was cut off at the end of the process, nobody knows what it used.
    fn on_summary_asked(&self, _key: &MemoryKey, _answers: &[Answer], _error: Option<&Error>) {}
}

/// What a model is shown of a conversation. As JSON it has only what is there; all of its text is data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemoryContext {
    /// What was before the turns, in short.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub summary: Arc<str>,
    /// Turns that are not in the summary yet, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending_turns: Vec<Recalled>,
    /// The last turns, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent_turns: Vec<Recalled>,
    /// What a [`Strategy`] made of the turns, in the place of all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// How it stands with the summaries. Where it is degraded, there are recent turns only. Not a part of the JSON.
    #[serde(skip)]
    pub health: Health,
}

/// A turn as a model is shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recalled {
    /// What the user asked.
    pub user: Arc<str>,
    /// What the agent answered.
    pub assistant: Arc<str>,
    /// How it came to the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

// === impl Memory ===

impl Memory {
    /// A memory with its conversations in this store. Fails with [`MemoryError::Invalid`], which has all
    /// [problems](MemoryConfig::problems) of the settings. Everything else needs a runtime with timers.
    pub fn try_new(
        config: MemoryConfig,
        store: Arc<dyn StateStore>,
        observer: Option<Arc<dyn MemoryObserver>>,
    ) -> Result<Self, MemoryError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(MemoryError::Invalid(problems.join("\n")));
        }
        let ladder = match &config.strategy {
            MemoryStrategy::RollingSummary(models) => Some(Ladder::new(models.clone())),
            MemoryStrategy::None | MemoryStrategy::Truncation | MemoryStrategy::Custom(_) => None,
        };
        let (summaries, closing) = (Semaphore::new(MAX_SUMMARIES), CancellationToken::new());
        let (at_hand, tasks, guard) = (Mutex::default(), TaskTracker::new(), closing.clone().drop_guard());
        let shared = Shared { config, ladder, store, observer, at_hand, summaries, tasks, closing };
        Ok(Self { shared: Arc::new(shared), _closing: guard })
    }

    /// What the model is to see of the conversation, at the beginning of a run.
    ///
    /// Fails if the store does, if what it has cannot be read, if the strategy is a caller's and fails, or if it does not fit the
    /// budget and nothing may be left out. The run goes on without memory then, and says so.
    pub async fn context(&self, key: &MemoryKey) -> Result<MemoryContext, MemoryError> {
        if matches!(self.shared.config.strategy, MemoryStrategy::None) {
            return Ok(MemoryContext::of(&State::empty()));
        }
        let conversation = self.conversation(key)?;
        let mut state = self.shared.look(&conversation).await?;
        self.shared.touch(&conversation, &state);
        // What was kept under other settings is shown under these.
        state.settle(&self.shared.config)?;
        let mut context = MemoryContext::of(&state);
        if let MemoryStrategy::Custom(strategy) = &self.shared.config.strategy {
            drop(conversation);
            let turns: Vec<Arc<Turn>> = state.recent.iter().map(|kept| Arc::clone(&kept.turn)).collect();
            context.recent_turns.clear();
            context.custom = Some(self.shared.custom(strategy.as_ref(), &turns).await?);
        }
        Ok(context)
    }

    /// Keeps a turn, at the end of a run. It is there for good when this returns. Summaries follow in the background.
    ///
    /// Fails if the store does or has no room, or if the turn does not fit the budget and nothing may be left out; the turn is not
    /// remembered then. If the store failed, or the future was dropped, it may be: [`Turn::run`] makes it safe to add it again.
    pub async fn add(&self, key: &MemoryKey, turn: Turn) -> Result<(), MemoryError> {
        let shared = &self.shared;
        if matches!(shared.config.strategy, MemoryStrategy::None) {
            return Ok(());
        }
        let turn = Turn { digest: turn.digest.filter(|_| shared.config.include_digest), ..turn }.cleaned();
        let conversation = self.conversation(key)?;
        let (is_new, state) = shared.change(&conversation, |state| state.add(&turn, &shared.config)).await?;
        if is_new && let Some(observer) = &shared.observer {
            observer.on_turn_added(key, &turn);
        }
        shared.touch(&conversation, &state);
        Ok(())
    }

    /// Waits until no turn of the conversation waits for a summary, or it is degraded. Fails if the store does.
    pub async fn flush(&self, key: &MemoryKey) -> Result<Health, MemoryError> {
        if self.shared.ladder.is_none() {
            return Ok(Health::Healthy);
        }
        let conversation = self.conversation(key)?;
        let state = self.shared.look(&conversation).await?;
        self.shared.touch(&conversation, &state);
        let mut idle = std::pin::pin!(conversation.idle.notified());
        idle.as_mut().enable();
        if conversation.work().stop.is_some() {
            idle.await;
        }
        let state = self.shared.look(&conversation).await?;
        match conversation.work().failure.clone() {
            Some(failure) if !state.pending.is_empty() && !state.health.is_degraded() => Err(failure),
            _ => Ok(state.health),
        }
    }

    /// Forgets a conversation, also one that cannot be read. A summary of it that is on its way comes to nothing.
    pub async fn forget(&self, key: &MemoryKey) -> Result<(), MemoryError> {
        let conversation = self.conversation(key)?;
        let forget = |state: &mut State| {
            state.forget();
            Ok(())
        };
        match self.shared.change(&conversation, forget).await {
            Ok(_) => Ok(()),
            Err(MemoryError::Unreadable(_)) => self.shared.delete(&conversation).await,
            Err(error) => Err(error),
        }
    }

    /// Ends the tasks that make summaries, and waits for them. What they were at waits in the store, for the next process.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// How many conversations are kept at hand, at most [`MAX_CONVERSATIONS`].
    pub fn at_hand(&self) -> usize {
        self.shared.at_hand.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn conversation(&self, key: &MemoryKey) -> Result<Arc<Conversation>, MemoryError> {
        let mut at_hand = self.shared.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        at_hand.take(key, &self.shared.config.space)
    }
}

// === impl Shared ===

impl Shared {
    /// What the caller's own strategy makes of the turns, if it is no more than there may be.
    async fn custom(&self, strategy: &dyn Strategy, turns: &[Arc<Turn>]) -> Result<Value, MemoryError> {
        let failed = |why: String| MemoryError::Strategy(turn::clean(&why, turn::MAX_DIGEST_TEXT));
        let value = strategy.context(turns).await.map_err(failed)?;
        let text = value.to_string();
        let max = match self.config.budget.total_max_tokens {
            0 => floe_flow::state::MAX_STATE_VALUE as u64 / 4,
            max => max,
        };
        let used = turn::tokens(&text);
        if used > max {
            let remedy = "have the strategy give less, or raise `budget.total_max_tokens`";
            return Err(MemoryError::Budget { limit: "total_max_tokens", used, max, unit: "tokens", remedy });
        }
        Ok(plain(value))
    }
}

/// JSON without control characters in its strings. As deep as the strategy made it; what was parsed is never deep.
fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(turn::clean(&text, text.len())),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (turn::clean(&key, key.len()), plain(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

// === impl MemoryContext ===

impl MemoryContext {
    fn of(state: &State) -> Self {
        let shown = |kept: &[Kept]| kept.iter().map(|kept| Recalled::from(kept.turn.as_ref())).collect();
        let is_degraded = state.health.is_degraded();
        Self {
            summary: if is_degraded { "".into() } else { Arc::clone(&state.summary) },
            pending_turns: if is_degraded { Vec::new() } else { shown(&state.pending) },
            recent_turns: shown(&state.recent),
            custom: None,
            health: state.health,
        }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.summary.is_empty() && self.pending_turns.is_empty() && self.recent_turns.is_empty() && self.custom.is_none()
    }
}

// === impl Recalled ===

impl From<&Turn> for Recalled {
    fn from(turn: &Turn) -> Self {
        Self { user: Arc::clone(&turn.user), assistant: Arc::clone(&turn.assistant), digest: turn.digest.clone() }
    }
}
