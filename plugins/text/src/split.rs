//! Cuts a speech into chunks of about as many words as the flow file says.

use floe_guest::{Context, Failure, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One speech in, its chunks out, in order.
pub(crate) struct Split;

/// How to cut.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Words in a chunk; the last one may have fewer.
    #[serde(default = "default_words")]
    #[schemars(range(min = 1))]
    words: usize,
}

/// A speech.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Speech {
    year: i32,
    name: String,
    party: String,
    text: String,
}

/// A piece of a speech, cut at white space.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Chunk {
    pub(crate) year: i32,
    pub(crate) name: String,
    pub(crate) party: String,
    /// Its place among the chunks of its speech, from 0.
    pub(crate) index: usize,
    /// How many chunks the speech has.
    pub(crate) total: usize,
    pub(crate) text: String,
}

impl Node for Split {
    const NAME: &'static str = "split";
    const DESCRIPTION: &'static str = "Cuts the text of a speech into chunks at white space.";
    const TAGS: &'static [&'static str] = &["text"];
    type Config = Config;
    type Input = Speech;
    type Output = Chunk;

    fn handle(config: Config, speech: Speech, _: &Context) -> Result<Outcome<Chunk>> {
        if config.words == 0 {
            return Err(Failure::invalid_input("config: `words` must be 1 or more"));
        }
        let texts = cut(&speech.text, config.words);
        let total = texts.len();
        let chunk = |(index, text): (usize, &str)| Chunk {
            year: speech.year,
            name: speech.name.clone(),
            party: speech.party.clone(),
            index,
            total,
            text: text.to_owned(),
        };
        Ok(texts.into_iter().enumerate().map(chunk).collect::<Vec<_>>().into())
    }
}

/// Slices of `words` words each. A text without words is one empty slice, so that a join further on has something to gather.
fn cut(text: &str, words: usize) -> Vec<&str> {
    let text = text.trim();
    let mut slices = Vec::new();
    let mut start = 0;
    for word in text.split_whitespace().step_by(words).skip(1) {
        // A word is a slice of the text, so the distance between the two is its place.
        let next = word.as_ptr().addr() - text.as_ptr().addr();
        slices.push(text[start..next].trim_end());
        start = next;
    }
    slices.push(&text[start..]);
    slices
}

fn default_words() -> usize {
    200
}

#[cfg(test)]
mod tests {
    use floe_guest::{FailureKind, test};
    use serde_json::{Value, json};

    use super::*;

    fn speech(text: &str) -> Value {
        json!({ "year": 1790, "name": "A", "party": "none", "text": text })
    }

    fn texts(words: usize, text: &str) -> Vec<String> {
        let payloads = test::run::<Split>(json!({ "words": words }), speech(text)).payloads();
        payloads.iter().map(|chunk| chunk["text"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn cuts_at_white_space() {
        assert_eq!(texts(2, "one two three four five"), ["one two", "three four", "five"]);
        assert_eq!(texts(2, "one two three four"), ["one two", "three four"]);
        assert_eq!(texts(2, "  one\n\ttwo\u{2003}three  "), ["one\n\ttwo", "three"]);
        assert_eq!(texts(200, "one two"), ["one two"]);
        // U+001F is no white space.
        assert_eq!(texts(1, "one\u{1f}two three"), ["one\u{1f}two", "three"]);
    }

    #[test]
    fn a_speech_without_words_is_one_chunk() {
        assert_eq!(texts(2, ""), [""]);
        assert_eq!(texts(2, " \n "), [""]);
    }

    #[test]
    fn chunks_know_their_place_and_their_speech() {
        let payloads = test::run::<Split>(json!({ "words": 1 }), speech("a b")).payloads();
        assert_eq!(payloads[1], json!({ "year": 1790, "name": "A", "party": "none", "index": 1, "total": 2, "text": "b" }));
    }

    #[test]
    fn two_hundred_words_unless_told() {
        let payloads = test::run::<Split>((), speech(&"word ".repeat(401))).payloads();
        assert_eq!(payloads.len(), 3);
    }

    #[test]
    fn refuses_what_cannot_work() {
        for config in [json!({ "words": 0 }), json!({ "words": -1 }), json!({ "wrds": 2 })] {
            let failure = test::run::<Split>(&config, speech("a")).result.unwrap_err();
            assert_eq!(failure.kind, FailureKind::InvalidInput, "{config}");
            assert!(failure.message.starts_with("config: "), "{}", failure.message);
        }
    }
}
