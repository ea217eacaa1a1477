//! The same counting as a tool.

use floe_guest::{Caller, Result, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::words;

/// Counts the words of a text.
pub(crate) struct WordCount;

/// What to count.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The text.
    text: String,
}

/// How many there are.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Words {
    words: u64,
}

impl Tool for WordCount {
    const NAME: &'static str = "word-count";
    const DESCRIPTION: &'static str = "Counts the words of a text: the pieces between white space.";
    const TAGS: &'static [&'static str] = &["text"];
    type Config = ();
    type Input = Arguments;
    type Output = Words;

    fn call((): (), arguments: Arguments, _: &Caller) -> Result<Words> {
        Ok(Words { words: words(&arguments.text) })
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::test;
    use serde_json::json;

    use super::*;

    #[test]
    fn counts() {
        assert_eq!(test::call::<WordCount>((), json!({ "text": "one two\nthree" })).result, Ok(json!({ "words": 3 })));
    }

    #[test]
    fn names_a_wrong_argument() {
        let failure = test::call::<WordCount>((), json!({ "text": 7 })).result.unwrap_err();
        assert!(failure.message.contains("`{\"text\":7`"), "{}", failure.message);
    }
}
