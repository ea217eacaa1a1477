//! Where a call's unpredictable answers come from: the world, or the record of an earlier call.
//!
//! An import whose answer does not follow from its arguments and the call asks here before it asks the world, and says here what
//! the world answered. Randomness is not among them: it follows from the call.

use std::sync::Arc;

use floe_flow::{Answer, MAX_TAPE, Tape, Taping, Unfit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The answers of one call.
#[derive(Debug, Default)]
pub(crate) enum Answers {
    /// From the world.
    #[default]
    Live,
    /// From the world, and they are kept.
    Kept { tape: Box<Tape>, bytes: usize },
    /// From a record.
    Recorded { tape: Arc<Tape>, next: usize },
}

/// The guest asks for something else than the record has: raised as a trap.
#[derive(Debug, thiserror::Error)]
#[error("this call is not the recorded one: {0}")]
pub(crate) struct Conflict(String);

impl Conflict {
    pub(crate) fn new(how: String) -> Self {
        Self(how)
    }
}

// === impl Answers ===

impl Answers {
    /// `records`: whether calls of this node can be recorded at all.
    pub(crate) fn new(taping: &Taping, records: bool) -> Self {
        match taping {
            Taping::Record if records => Self::Kept { tape: Box::default(), bytes: 0 },
            Taping::Record | Taping::Off => Self::Live,
            Taping::Play(tape) => Self::Recorded { tape: Arc::clone(tape), next: 0 },
        }
    }

    /// The call is made once more: nothing leaves it, and it waits for nothing.
    pub(crate) fn are_recorded(&self) -> bool {
        matches!(self, Self::Recorded { .. })
    }

    /// The recorded answer, if answers come from a record.
    pub(crate) fn recorded<T: DeserializeOwned>(&mut self, import: &'static str) -> Result<Option<T>, Conflict> {
        let Self::Recorded { tape, next } = self else { return Ok(None) };
        let number = *next + 1;
        let Some(Answer(name, answer)) = tape.answers.get(*next) else {
            let all = tape.answers.len();
            return Err(Conflict(format!("it asks for `{import}` after all {all} recorded answers")));
        };
        if name != import {
            return Err(Conflict(format!("it asks for `{import}` where the record has `{name}`, as answer {number}")));
        }
        let answer = T::deserialize(answer);
        *next = number;
        answer.map(Some).map_err(|error| Conflict(format!("answer {number} is none to `{import}`: {error}")))
    }

    /// The call has come to its end, and the record has answers that it did not ask for.
    pub(crate) fn left_over(&self) -> Option<Conflict> {
        let Self::Recorded { tape, next } = self else { return None };
        let all = tape.answers.len();
        (*next < all).then(|| Conflict(format!("it asked for {next} of {all} recorded answers")))
    }

    /// What the world answered.
    pub(crate) fn keep<T: Serialize>(&mut self, import: &'static str, answer: &T) {
        let Self::Kept { tape, bytes } = self else { return };
        if tape.unfit.is_some() {
            return;
        }
        let Ok(answer) = serde_json::to_value(answer) else { return };
        let answer = Answer(import.into(), answer);
        *bytes += answer.bytes();
        if *bytes > MAX_TAPE {
            **tape = Tape::unfit(Unfit::TooManyAnswers);
        } else {
            tape.answers.push(answer);
        }
    }

    /// The call has had something that is not recorded.
    pub(crate) fn spoil(&mut self, why: Unfit) {
        if let Self::Kept { tape, .. } = self
            && tape.unfit.is_none()
        {
            **tape = Tape::unfit(why);
        }
    }

    /// The record of the call, if one was kept.
    pub(crate) fn take(&mut self) -> Option<Box<Tape>> {
        match std::mem::take(self) {
            Self::Kept { tape, .. } => Some(tape),
            Self::Live | Self::Recorded { .. } => None,
        }
    }
}

/// An answer that may be a failure, without a word for each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Said<T> {
    Failed(floe_flow::Failure),
    Done(T),
}

impl<T> From<Result<T, floe_flow::Failure>> for Said<T> {
    fn from(result: Result<T, floe_flow::Failure>) -> Self {
        result.map_or_else(Self::Failed, Self::Done)
    }
}

impl<T> From<Said<T>> for Result<T, floe_flow::Failure> {
    fn from(said: Said<T>) -> Self {
        match said {
            Said::Failed(failure) => Err(failure),
            Said::Done(answer) => Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use floe_flow::{Failure, FailureKind, Tape, Taping, Unfit};

    use super::{Answers, Said};

    #[test]
    fn answers_are_kept_up_to_a_limit() {
        let mut answers = Answers::new(&Taping::Record, true);
        let mut kept: u64 = 0;
        let full = |answers: &Answers| matches!(answers, Answers::Kept { tape, .. } if tape.unfit.is_some());
        while !full(&answers) {
            assert!(kept < 1 << 20, "{kept} answers are kept");
            answers.keep("clock.now", &kept);
            kept += 1;
        }
        answers.keep("clock.now", &kept);
        assert_eq!(answers.take().as_deref(), Some(&Tape::unfit(Unfit::TooManyAnswers)));
        assert!(kept > 20_000, "{kept}");
    }

    #[test]
    fn what_is_kept_is_answered_in_order() {
        let mut answers = Answers::new(&Taping::Record, true);
        assert_eq!(answers.recorded::<u64>("clock.now").unwrap(), None);
        let failure = Failure::new(FailureKind::Cancelled, "the trace is ending");
        answers.keep("clock.now", &7_u64);
        answers.keep("emit.chunk", &Said::<u64>::Failed(failure.clone()));
        answers.keep("emit.progress", &Said::Done(()));
        let tape = Arc::<Tape>::from(answers.take().unwrap());
        let play = || Answers::new(&Taping::Play(Arc::clone(&tape)), true);
        let mut answers = play();
        assert_eq!(answers.recorded::<u64>("clock.now").unwrap(), Some(7));
        let said = answers.recorded::<Said<u64>>("emit.chunk").unwrap().unwrap();
        assert_eq!(Result::from(said), Err(failure));
        assert_eq!(answers.recorded::<Said<()>>("emit.progress").unwrap().map(Result::from), Some(Ok(())));
        let more = answers.recorded::<u64>("clock.now").unwrap_err().to_string();
        assert_eq!(more, "this call is not the recorded one: it asks for `clock.now` after all 3 recorded answers");
        let other = play().recorded::<bool>("budget.cancelled").unwrap_err().to_string();
        assert!(other.ends_with("it asks for `budget.cancelled` where the record has `clock.now`, as answer 1"), "{other}");
        let wrong = play().recorded::<bool>("clock.now").unwrap_err().to_string();
        assert!(wrong.contains("answer 1 is none to `clock.now`"), "{wrong}");
    }

    #[test]
    fn nothing_is_kept_unasked() {
        for mut answers in [Answers::new(&Taping::Off, true), Answers::new(&Taping::Record, false)] {
            answers.keep("clock.now", &1_u64);
            assert!(matches!(answers, Answers::Live));
            assert_eq!(answers.take(), None);
        }
    }
}
