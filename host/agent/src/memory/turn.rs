//! A turn: what was asked, what was answered, and what happened in between. All of it is somebody else's text: bounded, and without
//! control characters.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bytes of what a user or an agent said: some fifteen pages. What is longer is no conversation, and belongs among the artifacts.
pub const MAX_TURN_TEXT: usize = 24 << 10;
/// Bytes of a digest's observations, and of its reasoning: a page each, for a digest is to be short.
pub const MAX_DIGEST_TEXT: usize = 4 << 10;
/// Tools that a digest names, and the bytes of a name: more calls than that are no digest.
pub const MAX_DIGEST_TOOLS: usize = 32;
/// Bytes of a tool's or a run's name in a turn.
pub const MAX_TURN_NAME: usize = 128;

/// What stands where text was cut.
pub(super) const CUT: &str = " … [cut]";

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The run that it comes from. Adding a turn of the same run again changes nothing, as long as the first one is remembered word
    /// for word: so a run that is continued after a crash may say its turn twice. A name of more than [`MAX_TURN_NAME`] bytes, or
    /// with control characters, is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Arc<str>>,
    /// What the user asked.
    pub user: Arc<str>,
    /// What the agent answered.
    pub assistant: Arc<str>,
    /// How it came to the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
}

/// A run in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// The tools that were called, in their order.
    pub tools: Vec<String>,
    /// What they gave.
    pub observations: String,
    /// Why the agent answered as it did.
    pub reasoning: String,
}

/// Tokens of a text, estimated: a quarter of its bytes, and one.
pub(super) fn tokens(text: &str) -> u64 {
    text.len() as u64 / 4 + 1
}

/// The longest text of so many tokens, in bytes.
pub(super) fn bytes(tokens: u64) -> usize {
    usize::try_from(tokens.saturating_mul(4).saturating_sub(1)).unwrap_or(usize::MAX)
}

// === impl Turn ===

impl Turn {
    /// Tokens of all its texts, each estimated by itself.
    pub(super) fn tokens(&self) -> u64 {
        let digest = self.digest.as_ref().map_or(0, |digest| {
            let tools: u64 = digest.tools.iter().map(|tool| tokens(tool)).sum();
            tools + tokens(&digest.observations) + tokens(&digest.reasoning)
        });
        tokens(&self.user) + tokens(&self.assistant) + digest
    }

    /// As it may be kept.
    pub(super) fn cleaned(&self) -> Self {
        Self {
            // Cut or stripped, two runs could have the same name, and one would lose its turn.
            run: self.run.clone().filter(|run| clean(run, MAX_TURN_NAME) == **run),
            user: clean(&self.user, MAX_TURN_TEXT).into(),
            assistant: clean(&self.assistant, MAX_TURN_TEXT).into(),
            digest: self.digest.as_ref().map(Digest::cleaned),
            at_ms: self.at_ms,
        }
    }

    /// The turn in so many tokens: without its digest, and where that is not enough, both texts cut with a mark. None if there is no
    /// room for words and marks.
    pub(super) fn cut_to(&self, room: u64) -> Option<Self> {
        let (user, assistant) = (tokens(&self.user), tokens(&self.assistant));
        // Each may have half, and what the other one leaves.
        let user_room = user.min((room / 2).max(room.saturating_sub(assistant)));
        let turn = Self {
            user: cut(&self.user, bytes(user_room))?.into(),
            assistant: cut(&self.assistant, bytes(room - user_room))?.into(),
            digest: None,
            ..self.clone()
        };
        (turn.tokens() <= room).then_some(turn)
    }
}

impl Digest {
    fn cleaned(&self) -> Self {
        let tools = self.tools.iter().take(MAX_DIGEST_TOOLS);
        Self {
            tools: tools.map(|tool| clean(tool, MAX_TURN_NAME)).collect(),
            observations: clean(&self.observations, MAX_DIGEST_TEXT),
            reasoning: clean(&self.reasoning, MAX_DIGEST_TEXT),
        }
    }
}

/// Without control characters but line breaks and tabs, and without those that hide or turn their neighbours; at most `max` bytes.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut clean = String::new();
    for char in text.chars().filter(|char| is_text(*char)) {
        clean.push(char);
        if clean.len() > max {
            break;
        }
    }
    cut(&clean, max).unwrap_or_default()
}

/// The text's beginning in so many bytes, with a mark if it is cut; none if there is no room for a word and the mark.
fn cut(text: &str, max: usize) -> Option<String> {
    if text.len() <= max {
        return Some(text.to_owned());
    }
    let room = max.checked_sub(CUT.len()).filter(|room| *room > 0)?;
    Some(format!("{}{CUT}", &text[..text.floor_char_boundary(room)]))
}

/// The text's end in so many bytes, with a mark if it is cut; nothing if there is no room for the mark.
pub(super) fn cut_front(text: &str, max: usize) -> String {
    const MARK: &str = "[cut] … ";
    if text.len() <= max {
        return text.to_owned();
    }
    let Some(room) = max.checked_sub(MARK.len()).filter(|room| *room > 0) else { return String::new() };
    format!("{MARK}{}", &text[text.ceil_char_boundary(text.len() - room)..])
}

fn is_text(char: char) -> bool {
    let is_format = matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    matches!(char, '\n' | '\t') || !(char.is_control() || is_format)
}
