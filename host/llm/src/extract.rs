//! Finds the JSON in what a model said: alone, in a fenced block anywhere, or in the midst of prose, stray braces or not.

use serde_json::Value;

use crate::tolerant;

/// Places of a text at which an object may begin that are looked at. Each look costs the rest of the text at most.
pub const MAX_STARTS: usize = 64;
/// What a line begins with where a fenced block does, and where it ends.
const FENCE: &str = "```";

/// Something that may be the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The value.
    pub value: Value,
    /// Damages that were repaired to read it.
    pub repairs: u32,
    /// The text breaks off within it: what is missing at its end is missing here.
    pub is_cut: bool,
}

/// What may be the answer, the likeliest first: the whole text, what stands in fenced blocks, and objects anywhere; then the same
/// again, with repairs. Nothing is made up: what is not in the text is not in a candidate.
pub fn candidates(text: &str) -> impl Iterator<Item = Candidate> {
    let whole = serde_json::from_str(text).ok().map(sound);
    let strict = sections(text).flat_map(|section| starts(section).filter_map(|rest| Some(sound(prefix(rest)?))));
    let repaired = sections(text).flat_map(|section| {
        starts(section).filter_map(|rest| {
            let tolerant::Repaired { value, repairs, is_cut } = tolerant::read(rest)?;
            Some(Candidate { value, repairs, is_cut })
        })
    });
    // A repaired value without a repair is one that was found before.
    whole.into_iter().chain(strict).chain(repaired.filter(|candidate| candidate.repairs > 0))
}

fn sound(value: Value) -> Candidate {
    Candidate { value, repairs: 0, is_cut: false }
}

/// What stands in fenced blocks, then the whole text.
fn sections(text: &str) -> impl Iterator<Item = &str> {
    blocks(text).take(MAX_STARTS).chain(std::iter::once(text))
}

/// What stands between lines that begin with a fence; the last one may lack its end. A fence within a line is not looked at: it may
/// stand in a string.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut open = None;
    let mut end = 0;
    let mut lines = text.split_inclusive('\n');
    std::iter::from_fn(move || {
        for line in lines.by_ref() {
            let start = end;
            end += line.len();
            if !line.trim_start().starts_with(FENCE) {
                continue;
            }
            match open.take() {
                Some(begin) => return Some(&text[begin..start]),
                None => open = Some(end),
            }
        }
        open.take().map(|begin| &text[begin..])
    })
}

/// The rest of the text from each brace that may open the answer on.
fn starts(section: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + section[at..].find('{')?;
        // What is within an object is not the answer.
        at = start + length(&section[start..]).unwrap_or(1);
        Some(&section[start..])
    })
    .take(MAX_STARTS)
}

/// The value that a text begins with.
fn prefix(text: &str) -> Option<Value> {
    serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok()
}

/// Bytes of the value that a text begins with.
fn length(text: &str) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}
