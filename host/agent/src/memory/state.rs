//! A conversation as it is kept: one value, which every change takes from one valid state to another.

use std::sync::Arc;

use floe_flow::state::MAX_STATE_VALUE;
use serde::{Deserialize, Serialize};

use super::turn::{clean, tokens};
use super::{MAX_FULL_ZONE_TURNS, MemoryConfig, MemoryError, MemoryStrategy, Turn, fit};

/// Bytes of a summary: with the largest turn beside it, a value of the store holds both.
pub const MAX_SUMMARY: usize = 32 << 10;

/// Bytes of turns that one summary is made of: what any model reads, beside the summary before.
pub const MAX_BATCH: usize = 64 << 10;

/// The form that is written. Another one is refused, not guessed at.
const VERSION: u32 = 1;
/// The largest number that JSON's readers agree about.
const MAX_NUMBER: u64 = 1 << 53;

/// How it stands with the summaries of a conversation.
///
/// | from | by | to |
/// |---|---|---|
/// | healthy, retry | a failed summary, and there are tries left | retry |
/// | healthy, retry | a failed summary, and there are none | degraded |
/// | degraded | use of the conversation, some time after the last try | recovering |
/// | recovering | a failed summary | degraded |
/// | any | a summary | healthy |
///
/// Turns wait for a summary in each of them; in none are they forgotten by the model's return. After a restart in recovering, the
/// next use tries again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Summaries are made as they should be, or none are wanted.
    #[default]
    Healthy,
    /// One failed, and is tried again soon.
    Retry,
    /// Some failed. Only recent turns are shown; earlier ones wait.
    Degraded,
    /// Degraded, and a summary is being made of what waits.
    Recovering,
}

/// What is kept of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// The next turn's number: none is given twice.
    next: u64,
    pub(super) health: Health,
    /// Summaries that failed, since the last that did not.
    pub(super) failures: u32,
    /// Grows with each summary, so that one that follows from an earlier one is known for that.
    revision: u64,
    pub(super) summary: Arc<str>,
    /// Oldest first: those that are to be summarised.
    pub(super) pending: Vec<Kept>,
    /// Those that stay word for word.
    pub(super) recent: Vec<Kept>,
}

/// A turn under its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    id: u64,
    pub(super) turn: Arc<Turn>,
}

/// What a summary is made of.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    ids: Vec<u64>,
    revision: u64,
    pub(super) turns: Vec<Arc<Turn>>,
    pub(super) summary: Arc<str>,
}

impl Health {
    /// Whether only recent turns are shown.
    pub(super) fn is_degraded(self) -> bool {
        matches!(self, Self::Degraded | Self::Recovering)
    }
}

// === impl State ===

impl State {
    pub(super) fn empty() -> Self {
        Self {
            version: VERSION,
            next: 1,
            health: Health::Healthy,
            failures: 0,
            revision: 0,
            summary: "".into(),
            pending: Vec::new(),
            recent: Vec::new(),
        }
    }

    /// Reads what [`State::encode`] wrote, and nothing else.
    pub(super) fn decode(text: &str) -> Result<Self, MemoryError> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let unreadable = |why: String| MemoryError::Unreadable(why);
        let form: Form = serde_json::from_str(text).map_err(|error| unreadable(clean(&error.to_string(), 200)))?;
        if form.version != VERSION {
            return Err(unreadable(format!("it has the form {}, and this host knows {VERSION}", form.version)));
        }
        let state: Self = serde_json::from_str(text).map_err(|error| unreadable(clean(&error.to_string(), 200)))?;
        let ids: Vec<u64> = state.pending.iter().chain(&state.recent).map(|kept| kept.id).collect();
        let is_ordered = ids.is_sorted_by(|one, next| one < next) && ids.last().is_none_or(|last| *last < state.next);
        if !is_ordered || state.next >= MAX_NUMBER || state.revision >= MAX_NUMBER {
            return Err(unreadable("its turns are not in order".to_owned()));
        }
        let is_clean = |kept: &Kept| kept.turn.cleaned() == *kept.turn;
        let has_clean_turns = state.pending.iter().chain(&state.recent).all(is_clean);
        if !has_clean_turns || clean(&state.summary, MAX_SUMMARY) != *state.summary {
            return Err(unreadable("its text is too long or has control characters".to_owned()));
        }
        Ok(state)
    }

    /// As it is stored. What a value of the store does not hold is left out, the oldest turns first, if the settings let it.
    pub(super) fn encode(&mut self, config: &MemoryConfig) -> Result<String, MemoryError> {
        loop {
            let text = serde_json::to_string(self).map_err(|error| MemoryError::Store(error.to_string()))?;
            if text.len() <= MAX_STATE_VALUE {
                return Ok(text);
            }
            // Each round leaves out one turn at least, and without any turn the summary fits.
            fit::leave_out(self, config, text.len())?;
        }
    }

    /// The end of a conversation, which leaves nothing but a number: so a summary on its way is known to be of the past.
    pub(super) fn forget(&mut self) {
        *self = Self { revision: self.revision + 1, ..Self::empty() };
    }

    /// A turn more. Says whether it is new.
    pub(super) fn add(&mut self, turn: &Turn, config: &MemoryConfig) -> Result<bool, MemoryError> {
        let is_same = |kept: &Kept| turn.run.is_some() && kept.turn.run == turn.run;
        if self.recent.iter().chain(&self.pending).any(is_same) {
            return Ok(false);
        }
        self.recent.push(Kept { id: self.next, turn: Arc::new(turn.clone()) });
        self.next += 1;
        self.settle(config)?;
        Ok(true)
    }

    /// Moves turns to where they belong, and brings everything within the budget.
    pub(super) fn settle(&mut self, config: &MemoryConfig) -> Result<(), MemoryError> {
        let zone = match config.strategy {
            MemoryStrategy::Custom(_) => MAX_FULL_ZONE_TURNS,
            MemoryStrategy::None | MemoryStrategy::Truncation | MemoryStrategy::RollingSummary(_) => {
                config.budget.full_zone_turns
            }
        };
        let beyond = self.recent.len().saturating_sub(zone);
        self.pending.extend(self.recent.drain(..beyond));
        if config.has_summary() {
            self.trim_backlog(config);
        } else {
            // Settings may have changed since there was a summary.
            self.pending.clear();
            self.summary = "".into();
            self.health = Health::Healthy;
            self.failures = 0;
        }
        fit::to_budget(self, config)
    }

    fn trim_backlog(&mut self, config: &MemoryConfig) {
        if self.health.is_degraded() {
            let beyond = self.pending.len().saturating_sub(config.recovery_backlog);
            self.pending.drain(..beyond);
        }
    }

    /// The oldest turns that wait, and what they go on from; none if nothing waits. A degraded conversation is recovering from here on.
    pub(super) fn begin(&mut self) -> Option<Batch> {
        if self.pending.is_empty() {
            self.health = Health::Healthy;
            self.failures = 0;
            return None;
        }
        if self.health.is_degraded() {
            self.health = Health::Recovering;
        }
        let mut size = 0;
        let is_first_or_fits = |kept: &&Kept| {
            let is_first = size == 0;
            size += kept.turn.tokens() * 4;
            is_first || size <= MAX_BATCH as u64
        };
        let batch: Vec<&Kept> = self.pending.iter().take_while(is_first_or_fits).collect();
        Some(Batch {
            ids: batch.iter().map(|kept| kept.id).collect(),
            revision: self.revision,
            turns: batch.iter().map(|kept| Arc::clone(&kept.turn)).collect(),
            summary: Arc::clone(&self.summary),
        })
    }

    /// A summary of these turns is there: they go, and no others. One that does not follow from what is there now, because somebody
    /// else summarised or the value was removed meanwhile, comes too late, and changes nothing. Says whether it was taken.
    pub(super) fn finish(&mut self, batch: &Batch, summary: &str, config: &MemoryConfig) -> Result<bool, MemoryError> {
        if self.revision != batch.revision || !self.has_had(batch) {
            return Ok(false);
        }
        self.summary = clean(summary, MAX_SUMMARY).into();
        self.revision += 1;
        self.pending.retain(|kept| !batch.ids.contains(&kept.id));
        self.health = Health::Healthy;
        self.failures = 0;
        self.settle(config)?;
        Ok(true)
    }

    /// Whether the numbers of these turns were given here, and to no others. Some of the turns may have made room for newer ones.
    fn has_had(&self, batch: &Batch) -> bool {
        let place = |kept: &Kept| batch.ids.binary_search(&kept.id);
        batch.ids.last().is_some_and(|last| *last < self.next)
            && self.pending.iter().all(|kept| place(kept).map_or(true, |place| batch.turns[place] == kept.turn))
            && self.recent.iter().all(|kept| place(kept).is_err())
    }

    /// There is no summary of these turns, and they wait. One that comes too late failed nothing.
    pub(super) fn fail(&mut self, batch: &Batch, config: &MemoryConfig) {
        if self.revision != batch.revision {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let has_tries = self.failures <= config.retry_attempts;
        self.health = if has_tries { Health::Retry } else { Health::Degraded };
        self.trim_backlog(config);
    }

    /// Tokens of what a model is shown.
    pub(super) fn shown(&self) -> u64 {
        let sum = |kept: &[Kept]| kept.iter().map(|kept| kept.turn.tokens()).sum::<u64>();
        let recent = sum(&self.recent);
        if self.health.is_degraded() { recent } else { recent + sum(&self.pending) + self.summary_tokens() }
    }

    /// Tokens of the summary; without one, none.
    pub(super) fn summary_tokens(&self) -> u64 {
        if self.summary.is_empty() { 0 } else { tokens(&self.summary) }
    }
}
