//! Too much becomes enough, or an error. Each step here leaves less than there was, so that no budget, however small, is worked at
//! for ever.

use std::sync::Arc;

use floe_flow::state::MAX_STATE_VALUE;

use super::state::State;
use super::turn::{bytes, cut_front};
use super::{MemoryConfig, MemoryError, Overflow};

/// Brings what a model is shown within the budget.
pub(super) fn to_budget(state: &mut State, config: &MemoryConfig) -> Result<(), MemoryError> {
    let (overflow, max) = (config.budget.overflow, config.budget.summary_max_tokens);
    let used = state.summary_tokens();
    if used > max {
        if overflow == Overflow::Error {
            let remedy = "`budget.summary_max_tokens` raises it, and another `budget.overflow` cuts";
            return Err(MemoryError::Budget { limit: "summary_max_tokens", used, max, unit: "tokens", remedy });
        }
        cut_summary(state, max);
    }
    let max = config.budget.total_max_tokens;
    let used = state.shown();
    if max == 0 || used <= max {
        return Ok(());
    }
    match overflow {
        Overflow::Error => {
            let remedy = "`budget.total_max_tokens` raises it, and another `budget.overflow` leaves something out";
            return Err(MemoryError::Budget { limit: "total_max_tokens", used, max, unit: "tokens", remedy });
        }
        Overflow::TruncateSummary => {
            make_room(state, max);
            drop_oldest(state, max);
        }
        Overflow::TruncateOldest => {
            drop_oldest(state, max);
            make_room(state, max);
        }
    }
    cut_last(state, max);
    Ok(())
}

/// Leaves out enough of the oldest turns for the store, of which the text of so many bytes is too large.
pub(super) fn leave_out(state: &mut State, config: &MemoryConfig, used: usize) -> Result<(), MemoryError> {
    if config.budget.overflow == Overflow::Error {
        let remedy = "a lower `budget.full_zone_turns` keeps less, and another `budget.overflow` leaves something out";
        let (used, max) = (used as u64, MAX_STATE_VALUE as u64);
        return Err(MemoryError::Budget { limit: "a stored conversation", used, max, unit: "bytes", remedy });
    }
    let mut over = used.saturating_sub(MAX_STATE_VALUE);
    loop {
        let from = if state.pending.is_empty() { &mut state.recent } else { &mut state.pending };
        if from.is_empty() {
            // A summary alone fits, so that this is never reached; without it the rest is some bytes.
            state.summary = "".into();
            return Ok(());
        }
        let gone = serde_json::to_string(&from.remove(0)).map_or(0, |text| text.len());
        over = over.saturating_sub(gone);
        if over == 0 {
            return Ok(());
        }
    }
}

/// Cuts the summary to the room that turns leave.
fn make_room(state: &mut State, max: u64) {
    if state.health.is_degraded() || state.summary.is_empty() {
        return;
    }
    let turns = state.shown() - state.summary_tokens();
    cut_summary(state, max.saturating_sub(turns));
}

/// The summary's end is what is newest in it.
fn cut_summary(state: &mut State, max: u64) {
    state.summary = if max == 0 { "".into() } else { cut_front(&state.summary, bytes(max)).into() };
}

/// Leaves out the oldest turns that are shown, but the newest one.
fn drop_oldest(state: &mut State, max: u64) {
    let mut used = state.shown();
    let is_shown = !state.health.is_degraded();
    while used > max {
        let has_pending = is_shown && !state.pending.is_empty();
        let count = state.recent.len() + if has_pending { state.pending.len() } else { 0 };
        if count <= 1 {
            return;
        }
        let from = if has_pending { &mut state.pending } else { &mut state.recent };
        used = used.saturating_sub(from.remove(0).turn.tokens());
    }
}

/// The newest turn is too large by itself: it is cut, or left out.
fn cut_last(state: &mut State, max: u64) {
    let used = state.shown();
    if used <= max {
        return;
    }
    let is_recent = !state.recent.is_empty();
    let from = if is_recent { &mut state.recent } else { &mut state.pending };
    let Some(last) = from.last_mut() else { return };
    let others = used.saturating_sub(last.turn.tokens());
    match last.turn.cut_to(max.saturating_sub(others)) {
        Some(turn) => last.turn = Arc::new(turn),
        None => drop(from.pop()),
    }
}
