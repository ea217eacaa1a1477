//! Counts the words of a chunk.

use std::collections::BTreeMap;

use floe_guest::{Context, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::split::Chunk;

/// Letters that make a run worth counting.
const MIN_LETTERS: usize = 5;

/// One chunk in, its counts out.
pub(crate) struct Count;

/// What a chunk consists of.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Counts {
    pub(crate) year: i32,
    pub(crate) name: String,
    pub(crate) party: String,
    pub(crate) index: usize,
    /// Pieces between white space.
    pub(crate) words: u64,
    /// How often each run of five or more ASCII letters occurs, in lower case.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Node for Count {
    const NAME: &'static str = "count";
    const DESCRIPTION: &'static str = "Counts the words of a chunk, and how often each longer one occurs.";
    const TAGS: &'static [&'static str] = &["text"];
    type Config = ();
    type Input = Chunk;
    type Output = Counts;

    fn handle((): (), chunk: Chunk, _: &Context) -> Result<Outcome<Counts>> {
        let counts = Counts {
            words: words(&chunk.text),
            counts: counts(&chunk.text),
            year: chunk.year,
            name: chunk.name,
            party: chunk.party,
            index: chunk.index,
        };
        Ok(counts.into())
    }
}

/// Pieces between white space, as Unicode's `White_Space` has it.
pub(crate) fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// A map in order, so that equal chunks give equal text.
fn counts(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for run in text.split(|letter: char| !letter.is_ascii_alphabetic()) {
        if run.len() >= MIN_LETTERS {
            *counts.entry(run.to_ascii_lowercase()).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use floe_guest::test;
    use serde_json::{Value, json};

    use super::*;

    fn count(text: &str) -> Value {
        let chunk = json!({ "year": 1, "name": "A", "party": "B", "index": 3, "total": 4, "text": text });
        test::run::<Count>((), chunk).payloads().remove(0)
    }

    #[test]
    fn counts_runs_of_ascii_letters() {
        assert_eq!(
            count("Peace, PEACE! peace-loving; four, don't O'Neill's caf\u{e9}teria"),
            json!({
                "year": 1, "name": "A", "party": "B", "index": 3, "words": 7,
                "counts": { "loving": 1, "neill": 1, "peace": 3, "teria": 1 },
            })
        );
    }

    #[test]
    fn words_lie_between_white_space() {
        assert_eq!(count(" a\u{a0}b\u{3000}c\n\n- \u{1f}d ")["words"], 5);
        assert_eq!(count(""), json!({ "year": 1, "name": "A", "party": "B", "index": 3, "words": 0, "counts": {} }));
    }
}
