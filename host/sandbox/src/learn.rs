//! What a plugin asks for and is not granted, kept while somebody wants to know it: so its grants can be written down.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Different things that are kept of what a plugin asks for: more than anybody would grant one by one.
pub const MAX_ASKED: usize = 256;

/// Bytes of a name or path that is kept: the longest rule of HTTP is shorter.
const MAX_TEXT: usize = 1024;

/// Something that a plugin asked for and did not get. What stands in it is the guest's: nothing but text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// A capability without terms, by its key under `grants`: `state`, `clock`, `random`.
    Capability(&'static str),
    /// A request that no rule permits: the narrowest rule that would, as the operator writes it.
    Http(String),
    /// A secret, by name.
    Secret(String),
    /// A tool, as `PLUGIN/TOOL`.
    Tool(String),
    /// A subflow, by name.
    Subflow(String),
    /// A file or a directory, by its path as the plugin knows it.
    File(String),
    /// A request that only a change of a grant's terms would let through: why.
    Refused(String),
}

/// Collects what a plugin asks for.
#[derive(Debug)]
pub struct Asks {
    /// An empty directory, which a plugin without directories sees as `/`: otherwise its language would not even ask.
    pub(crate) empty: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    asked: BTreeSet<Asked>,
    left_out: u64,
}

// === impl Asks ===

impl Asks {
    /// Nothing yet. `empty` is an empty directory.
    pub fn new(empty: PathBuf) -> Self {
        Self { empty, kept: Mutex::default() }
    }

    /// What was asked for, at most [`MAX_ASKED`] different things, in order; and how often something else was.
    pub fn list(&self) -> (Vec<Asked>, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.asked.iter().cloned().collect(), kept.left_out)
    }

    pub(crate) fn add(&self, asked: Asked) {
        let length = match &asked {
            Asked::Capability(_) => 0,
            Asked::Http(text)
            | Asked::Secret(text)
            | Asked::Tool(text)
            | Asked::Subflow(text)
            | Asked::File(text)
            | Asked::Refused(text) => text.len(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.asked.contains(&asked) {
            return;
        }
        if length > MAX_TEXT || kept.asked.len() == MAX_ASKED {
            kept.left_out = kept.left_out.saturating_add(1);
            return;
        }
        kept.asked.insert(asked);
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Asks, MAX_ASKED, MAX_TEXT};

    #[test]
    fn what_is_asked_for_is_bounded_while_it_is_learned() {
        let asks = Asks::new("/nowhere".into());
        for number in 0..MAX_ASKED + 3 {
            asks.add(Asked::Tool(format!("p/{number:04}")));
        }
        asks.add(Asked::Tool("p/0001".to_owned()));
        assert_eq!((asks.list().0.len(), asks.list().1), (MAX_ASKED, 3));

        let asks = Asks::new("/nowhere".into());
        asks.add(Asked::Secret("x".repeat(MAX_TEXT + 1)));
        assert_eq!(asks.list(), (Vec::new(), 1));
    }
}
