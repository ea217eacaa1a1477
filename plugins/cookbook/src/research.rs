//! A controller: turn after turn it reads one more article, until it has an answer. A model would choose what to read; this one
//! follows the articles' references.

use std::collections::VecDeque;

use floe_guest::{Context, Failure, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Articles: title, text, and what to read next.
const LIBRARY: [(&str, &str, &[&str]); 9] = [
    ("reset", "Hold the button for ten seconds.", &[]),
    ("channel", "Channels 1, 6 and 11 do not overlap.", &[]),
    ("wifi", "Move the router off the floor.", &["channel", "reset"]),
    ("moving", "Tell us your new address.", &["contract"]),
    ("contract", "A contract moves with you.", &["notice"]),
    ("notice", "Notice takes three months.", &["deposit"]),
    ("deposit", "Deposits come back after return.", &["return"]),
    ("return", "Return the router by mail.", &["reset"]),
    (
        "terms",
        "By using the router you agree that it is ours, that you dust it, that you do not open it, that you do not lend it, \
         sell it, paint it or drop it, and that you read these terms again every year from the first word to the last.",
        &["contract"],
    ),
];

/// Answers a question by reading.
pub(crate) struct Research;

/// What is known so far: the payload of each turn. A request is one with nothing but a topic.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Notes {
    /// The article to begin with.
    topic: String,
    /// Articles to read yet.
    #[serde(default)]
    open: VecDeque<String>,
    /// What was read.
    #[serde(default)]
    facts: Vec<String>,
    /// Words read, as a model would count tokens.
    #[serde(default)]
    tokens: u64,
}

/// All that there is to say on a topic.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Answer {
    topic: String,
    facts: Vec<String>,
    turns: u32,
    tokens: u64,
}

impl Node for Research {
    const NAME: &'static str = "research";
    const DESCRIPTION: &'static str = "Reads about a topic, an article a turn, until there is nothing more to read.";
    const TAGS: &'static [&'static str] = &["controller"];
    type Config = ();
    type Input = Notes;
    type Output = Answer;

    fn handle((): (), mut notes: Notes, ctx: &Context) -> Result<Outcome<Answer>> {
        let next = notes.open.pop_front().unwrap_or_else(|| notes.topic.clone());
        let found = LIBRARY.iter().find(|(title, ..)| *title == next);
        let (_, text, more) = found.ok_or_else(|| Failure::not_found(format_args!("there is no article `{next}`")))?;
        notes.tokens += text.split_whitespace().count() as u64;
        notes.facts.push((*text).to_owned());
        notes.open.extend(more.iter().map(ToString::to_string));
        if notes.open.is_empty() {
            let Notes { topic, facts, tokens, .. } = notes;
            return Outcome::final_answer(Answer { topic, facts, turns: ctx.turn + 1, tokens });
        }
        let tokens = notes.tokens;
        Outcome::again(notes, tokens)
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::{FailureKind, Json, test};
    use serde_json::{Value, json};

    use super::*;

    fn turn(turn: u32, notes: &Value) -> Outcome<Json> {
        let ctx = Context { turn, ..Context::default() };
        test::run_with::<Research>(ctx, (), notes).result.unwrap()
    }

    #[test]
    fn what_an_article_names_is_read_in_the_next_turns() {
        let Outcome::Again { memory, tokens_used: 6 } = turn(0, &json!({ "topic": "wifi" })) else { panic!("one more turn") };
        let Outcome::Again { memory, tokens_used: 14 } = turn(1, &memory.parse().unwrap()) else { panic!("one more turn") };
        let Outcome::Final(answer) = turn(2, &memory.parse().unwrap()) else { panic!("the answer") };
        let answer: Value = answer.parse().unwrap();
        assert_eq!((&answer["turns"], &answer["tokens"]), (&json!(3), &json!(20)));
        assert_eq!(answer["facts"][2], "Hold the button for ten seconds.");
    }

    #[test]
    fn every_reference_leads_to_an_article() {
        for (title, _, more) in LIBRARY {
            for name in more {
                assert!(LIBRARY.iter().any(|(title, ..)| title == name), "`{title}` names `{name}`");
            }
        }
    }

    #[test]
    fn what_nobody_wrote_is_not_found() {
        let failure = test::run::<Research>((), json!({ "topic": "fish" })).result.unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::NotFound, "there is no article `fish`"));
    }
}
