//! What one call was given and told, so that it can be made once more and compared: the answers of its imports that do not follow
//! from the call and their arguments, in the order in which they were asked for.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::node::is_zero;

/// Bytes of one attempt's answers, some 30 000 of them: more than a call that waits or streams asks for, and a record stays of the
/// size of its payloads.
pub const MAX_TAPE: usize = 1 << 20;
/// Bytes of an answer's punctuation.
const ANSWER: usize = 6;
/// Bytes of a tape beside its answers.
const EMPTY: usize = 64;

/// What an attempt's call was given and told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tape {
    /// Which code ran: the first digits of its digest, as the sandbox says it. None: it did not get that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Arc<str>>,
    /// Units of fuel that it was given.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fuel: u64,
    /// Milliseconds that it was told it had.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wall_ms: u64,
    /// What the host answered, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// Of a map: the calls of its items, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Self>,
    /// Why the call cannot be made again with the same end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfit: Option<Unfit>,
}

/// An import's name and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer(pub Cow<'static, str>, pub Value);

/// Why a call cannot be made again with the same end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// Its time was up.
    TimedOut,
    /// It was ended by the clock that looks at its calls to the host, wherever it was.
    Interrupted,
    /// It had used up what its trace had left of the budget's fuel.
    Budget,
    /// There was no room for it to run.
    NoRoom,
    /// An item of its map failed, and the others were ended wherever they were.
    ItemFailed,
    /// It spoke to others by `wasi:http`, of which no record is kept.
    WasiHttp,
    /// Its answers had more than [`MAX_TAPE`] bytes.
    TooManyAnswers,
    /// It read files, which may have changed.
    ReadFiles,
}

impl Unfit {
    /// In words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TimedOut => "its time was up",
            Self::Interrupted => "the clock ended it, wherever it was",
            Self::Budget => "the trace's budget of fuel ended it",
            Self::NoRoom => "there was no room for an instance",
            Self::ItemFailed => "an item failed, and the others were ended wherever they were",
            Self::WasiHttp => "it asked others by `wasi:http`, which is not recorded; `floe:capability/http` is",
            Self::TooManyAnswers => "too many answers: a journal keeps 1 MiB of what the host answers to a call",
            Self::ReadFiles => "it read files, and what is in these is not recorded",
        }
    }
}

/// Where the answers of a call come from, and whether they are kept.
#[derive(Debug, Clone, Default)]
pub enum Taping {
    /// From the world, and they are forgotten.
    #[default]
    Off,
    /// From the world; [`Report::tape`](crate::Report) has them.
    Record,
    /// From an earlier call, and nothing is sent to anybody.
    Play(Arc<Tape>),
}

// === impl Tape ===

impl Tape {
    /// Of a call that cannot be made again.
    pub fn unfit(why: Unfit) -> Self {
        Self { unfit: Some(why), ..Self::default() }
    }

    /// Of a map, from the calls of its items.
    pub(crate) fn of_items(items: impl Iterator<Item = Self>) -> Self {
        let mut whole = Self::default();
        for item in items {
            whole.unfit = whole.unfit.or(item.unfit);
            // The same for all.
            whole.code = whole.code.or(item.code);
            whole.items.push(Self { code: None, ..item });
        }
        if whole.unfit.is_some() {
            whole.items = Vec::new();
        }
        whole
    }

    /// About the bytes of its text.
    pub(crate) fn bytes(&self) -> usize {
        EMPTY + self.answers.iter().map(Answer::bytes).sum::<usize>()
    }
}

impl Answer {
    /// About the bytes of its text.
    pub fn bytes(&self) -> usize {
        self.0.len() + weight(&self.1) + ANSWER
    }
}

/// About the bytes of a value's text.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 16,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| weight(item) + 1).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(key, value)| key.len() + 4 + weight(value)).sum::<usize>(),
    }
}
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Answer, Tape, Unfit};

    #[test]
    fn a_map_has_the_tapes_of_its_items() {
        let answers = |answer: u8| vec![Answer("emit.chunk".into(), json!(answer))];
        let item = |answer| Tape { code: Some("c".into()), answers: answers(answer), ..Tape::default() };
        let map = Tape::of_items([item(1), item(2)].into_iter());
        let items = [Tape { code: None, ..item(1) }, Tape { code: None, ..item(2) }];
        assert_eq!(map, Tape { code: Some("c".into()), items: items.into(), ..Tape::default() });
        let map = Tape::of_items([item(1), Tape::unfit(Unfit::TimedOut)].into_iter());
        assert_eq!((map.items.len(), map.unfit), (0, Some(Unfit::TimedOut)));
    }

    #[test]
    fn what_is_not_there_is_not_written() {
        assert_eq!(json!(Tape::default()), json!({}));
        let tape = Tape { fuel: 3, answers: vec![Answer("clock.now".into(), json!(7))], ..Tape::default() };
        assert_eq!(json!(tape), json!({ "fuel": 3, "answers": [["clock.now", 7]] }));
        assert_eq!(serde_json::from_value::<Tape>(json!(tape)).ok(), Some(tape));
    }
}
