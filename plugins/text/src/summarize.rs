//! Sums the counts of a speech's chunks up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use floe_guest::{Context, Failure, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::Serialize;

use crate::count::Counts;

/// Words that a summary names.
const TOP: usize = 10;

/// The counts of all chunks in, as a join gathers them; the summary of the speech out.
pub(crate) struct Summarize;

/// What a speech is about.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Summary {
    year: i32,
    name: String,
    party: String,
    words: u64,
    /// The most frequent longer words with their counts, most frequent first, then by the alphabet.
    top: Vec<(String, u64)>,
}

impl Node for Summarize {
    const NAME: &'static str = "summarize";
    const DESCRIPTION: &'static str = "Sums the counts of a speech's chunks up and names its most frequent longer words.";
    const TAGS: &'static [&'static str] = &["text"];
    type Config = ();
    type Input = Vec<Counts>;
    type Output = Summary;

    fn handle((): (), chunks: Vec<Counts>, _: &Context) -> Result<Outcome<Summary>> {
        let mut words = 0;
        let mut counts = BTreeMap::<&str, u64>::new();
        for chunk in &chunks {
            words += chunk.words;
            for (word, count) in &chunk.counts {
                *counts.entry(word).or_default() += count;
            }
        }
        // The map is in order already and the sort is stable, so equal counts stay alphabetical.
        let mut top: Vec<(&str, u64)> = counts.into_iter().collect();
        top.sort_by_key(|&(_, count)| Reverse(count));
        let top = top.into_iter().take(TOP).map(|(word, count)| (word.to_owned(), count)).collect();

        let first = chunks.into_iter().next().ok_or_else(|| Failure::invalid_input("payload: there are no chunks"))?;
        Ok(Summary { year: first.year, name: first.name, party: first.party, words, top }.into())
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::{FailureKind, test};
    use serde_json::{Value, json};

    use super::*;

    fn chunk(index: usize, words: u64, counts: &Value) -> Value {
        json!({ "year": 1, "name": "A", "party": "B", "index": index, "words": words, "counts": counts })
    }

    #[test]
    fn sums_up_and_sorts() {
        let chunks = json!([
            chunk(0, 3, &json!({ "peace": 1, "union": 2 })),
            chunk(1, 4, &json!({ "peace": 1, "labor": 2, "congress": 3 })),
        ]);
        let summary = test::run::<Summarize>((), chunks).payloads().remove(0);
        let top = json!([["congress", 3], ["labor", 2], ["peace", 2], ["union", 2]]);
        assert_eq!(summary, json!({ "year": 1, "name": "A", "party": "B", "words": 7, "top": top }));
    }

    #[test]
    fn names_ten() {
        let counts: BTreeMap<String, u64> = ('a'..='l').map(|letter| (letter.to_string().repeat(5), 1)).collect();
        let summary = test::run::<Summarize>((), json!([chunk(0, 12, &json!(counts))])).payloads().remove(0);
        assert_eq!(summary["top"].as_array().unwrap().len(), TOP);
        assert_eq!(summary["top"][9], json!(["jjjjj", 1]));
    }

    #[test]
    fn nothing_gathered_is_wrong_input() {
        let failure = test::run::<Summarize>((), json!([])).result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidInput);
    }
}
