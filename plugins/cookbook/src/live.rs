//! What can be seen while a call runs: a text as it is written, and how far a long piece of work has come.

use floe_guest::emit::{self, Stream};
use floe_guest::{Context, Failure, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows between two looks at how far it is.
const STEP: usize = 2;

/// Writes a letter, word by word, as a model would.
pub(crate) struct Draft;

/// Whom to write to.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Addressee {
    name: String,
    /// The first attempt fails behind so many words.
    #[serde(default)]
    breaks_off_after: Option<usize>,
}

/// The whole letter.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Letter {
    text: String,
}

impl Node for Draft {
    const NAME: &'static str = "draft";
    const DESCRIPTION: &'static str = "Writes a letter and shows it word by word.";
    const TAGS: &'static [&'static str] = &["letters"];
    type Config = ();
    type Input = Addressee;
    type Output = Letter;

    fn handle((): (), addressee: Addressee, ctx: &Context) -> Result<Outcome<Letter>> {
        // A stream beside the trace's own, of one piece.
        let remarks = Stream::named("remarks").meta("for", &addressee.name);
        remarks.chunk("A short letter will do.")?;
        remarks.done()?;
        let text = format!("Dear {}, your router is on its way.", addressee.name);
        for (index, word) in text.split_inclusive(' ').enumerate() {
            if ctx.attempt == 1 && addressee.breaks_off_after == Some(index) {
                return Err(Failure::unavailable("the writer went for coffee"));
            }
            emit::chunk(word)?;
        }
        emit::chunk_done()?;
        Ok(Letter { text }.into())
    }
}

/// Takes addresses in and says how far it is.
pub(crate) struct Import;

/// Addresses to take in.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Batch {
    addresses: Vec<String>,
}

/// What a person may watch.
#[derive(Serialize)]
struct Status {
    done: usize,
    of: usize,
}

/// What became of the addresses.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Imported {
    taken: usize,
    refused: Vec<String>,
}

impl Node for Import {
    const NAME: &'static str = "import";
    const DESCRIPTION: &'static str = "Takes addresses in, refuses what is none, and says how far it is.";
    const TAGS: &'static [&'static str] = &["addresses"];
    type Config = ();
    type Input = Batch;
    type Output = Imported;

    fn handle((): (), batch: Batch, _: &Context) -> Result<Outcome<Imported>> {
        let of = batch.addresses.len();
        let mut imported = Imported { taken: 0, refused: Vec::new() };
        for (index, address) in batch.addresses.into_iter().enumerate() {
            if address.contains('@') {
                imported.taken += 1;
            } else {
                // The kind is a word of the plugin's own, the data any JSON.
                emit::progress("refused", &address)?;
                imported.refused.push(address);
            }
            let done = index + 1;
            if done % STEP == 0 || done == of {
                emit::progress("status", Status { done, of })?;
            }
        }
        Ok(imported.into())
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::test::{self, Ran};
    use floe_guest::{FailureKind, Json};
    use serde_json::{Value, json};

    use super::*;

    fn draft(attempt: u32) -> Ran<Outcome<Json>> {
        let ctx = Context { attempt, ..Context::default() };
        test::run_with::<Draft>(ctx, (), json!({ "name": "Ada", "breaks_off_after": 2 }))
    }

    fn text(ran: &Ran<Outcome<Json>>) -> String {
        ran.record.chunks.iter().filter(|chunk| chunk.stream.is_none()).map(|chunk| chunk.text.as_str()).collect()
    }

    #[test]
    fn the_pieces_make_the_letter() {
        let ran = draft(2);
        assert_eq!(ran.payloads(), [json!({ "text": "Dear Ada, your router is on its way." })]);
        assert_eq!(text(&ran), "Dear Ada, your router is on its way.");
        let remarks: Vec<_> = ran.record.chunks.iter().filter(|chunk| chunk.stream.as_deref() == Some("remarks")).collect();
        assert_eq!((remarks.len(), remarks[0].text.as_str(), remarks[1].done), (2, "A short letter will do.", true));
    }

    #[test]
    fn the_first_attempt_may_break_off() {
        let ran = draft(1);
        assert_eq!(ran.result.as_ref().unwrap_err().kind, FailureKind::Unavailable);
        assert_eq!(text(&ran), "Dear Ada, ");
    }

    #[test]
    fn progress_comes_at_every_other_row_and_at_the_end() {
        let ran = test::run::<Import>((), json!({ "addresses": ["a@b", "c", "d@e"] }));
        assert_eq!(ran.payloads(), [json!({ "taken": 2, "refused": ["c"] })]);
        let progress: Vec<(&str, Value)> =
            ran.record.progress.iter().map(|(kind, data)| (kind.as_str(), data.parse().unwrap())).collect();
        let status = |done: usize| ("status", json!({ "done": done, "of": 3 }));
        assert_eq!(progress, [("refused", json!("c")), status(2), status(3)]);
    }
}
