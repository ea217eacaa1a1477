//! A YAML document as a tree that knows the place of every key and value.
//!
//! Types are read from the tree and not from the text, so that one wrong part does not hide the next, and so that `--set` can
//! replace a value while all others keep their places.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

/// Nodes of a document. A flow of a thousand nodes has some twenty thousand.
const MAX_YAML_NODES: usize = 100_000;
/// What aliases may expand to, together.
const MAX_ALIAS_EVENTS: usize = 100_000;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) shape: Shape,
    pub(crate) span: Span,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Tree,
}

/// Bytes of one of the texts that a flow is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Which text.
    pub origin: Origin,
    /// The first byte.
    pub start: usize,
    /// Past the last byte.
    pub end: usize,
}

/// A text that a flow is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The flow file.
    File,
    /// The override with this position among all `--set`.
    Set(usize),
}

/// A step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Under this key.
    Key(String),
    /// At this position.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The text is no YAML.
#[derive(Debug)]
pub(crate) struct NotYaml {
    pub(crate) message: String,
    pub(crate) span: Span,
}

// === impl Tree ===

impl Tree {
    /// Reads one document. Keys that are there twice are kept; [`Tree::duplicates`] finds them.
    pub(crate) fn parse(text: &str) -> Result<Self, NotYaml> {
        let mut options = serde_saphyr::Options::default();
        options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
        options.strict_booleans = true;
        options.with_snippet = false;
        options.alias_limits.max_total_replayed_events = MAX_ALIAS_EVENTS;
        if let Some(budget) = &mut options.budget {
            budget.max_nodes = MAX_YAML_NODES;
        }
        let parsed: Result<Option<Self>, _> = serde_saphyr::from_str_with_options(text, options);
        match parsed {
            Ok(Some(tree)) => Ok(tree),
            Ok(None) => Ok(Self { shape: Shape::Null, span: Span { origin: Origin::File, start: 0, end: 0 } }),
            Err(error) => {
                let start = error.location().map_or(0, |at| offset_of(text, &at));
                Err(NotYaml { message: plain_message(&error), span: Span { origin: Origin::File, start, end: start } })
            }
        }
    }

    /// The value that the steps lead to, and the key it stands under.
    pub(crate) fn find(&self, steps: &[Step]) -> Option<(&Tree, Option<Span>)> {
        let mut here = (self, None);
        for step in steps {
            here = match (&here.0.shape, step) {
                (Shape::Map(entries), Step::Key(key)) => {
                    let entry = entries.iter().find(|entry| entry.key == *key)?;
                    (&entry.value, Some(entry.key_span))
                }
                (Shape::List(items), Step::Index(index)) => (items.get(*index)?, None),
                _ => return None,
            };
        }
        Some(here)
    }

    /// The place to show for this value: of a map or a list that stands under a key, the key.
    pub(crate) fn shown(&self, key_span: Option<Span>) -> Span {
        match (&self.shape, key_span) {
            (Shape::List(_) | Shape::Map(_) | Shape::Null, Some(key)) => key,
            _ => self.span,
        }
    }

    /// Calls `found` with the key, its first place and its second place, for every key that is twice in one map.
    pub(crate) fn duplicates(&self, found: &mut impl FnMut(&str, Span, Span)) {
        match &self.shape {
            Shape::List(items) => items.iter().for_each(|item| item.duplicates(found)),
            Shape::Map(entries) => {
                let mut known = HashMap::with_capacity(entries.len());
                for entry in entries {
                    match known.entry(entry.key.as_str()) {
                        Slot::Occupied(first) => found(&entry.key, *first.get(), entry.key_span),
                        Slot::Vacant(slot) => {
                            slot.insert(entry.key_span);
                        }
                    }
                    entry.value.duplicates(found);
                }
            }
            Shape::Null | Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) => {}
        }
    }

    /// Gives this value and all below it one place.
    pub(crate) fn move_to(&mut self, span: Span) {
        self.span = span;
        match &mut self.shape {
            Shape::List(items) => items.iter_mut().for_each(|item| item.move_to(span)),
            Shape::Map(entries) => entries.iter_mut().for_each(|entry| {
                entry.key_span = span;
                entry.value.move_to(span);
            }),
            Shape::Null | Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) => {}
        }
    }

    /// `a map`, `a list`, `the text …`: what a reader sees here.
    pub(crate) fn describe(&self) -> String {
        match &self.shape {
            Shape::Null => "nothing".to_owned(),
            Shape::Bool(value) => format!("`{value}`"),
            Shape::Number(value) => format!("the number {value}"),
            Shape::Text(value) => format!("the text `{value}`"),
            Shape::List(_) => "a list".to_owned(),
            Shape::Map(_) => "a map".to_owned(),
        }
    }
}

/// The parser's message without the place, which is shown apart.
fn plain_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().render();
    let text = text.split_once("\n").map_or(text.as_str(), |(first, _)| first);
    let place = text.rfind(" at line ").unwrap_or(text.len());
    let text = text[..place].trim_end_matches([':', ' ']);
    // Two of them speak to whoever calls the parser.
    if text.starts_with("multiple YAML documents") {
        "a file holds one document; remove `---` and what follows".to_owned()
    } else {
        text.replace("budget breached", "it is larger or deeper than a flow may be")
    }
}

/// Mistakes of the grammar are told by line and column only.
fn offset_of(text: &str, location: &Location) -> usize {
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let line = text.split_inclusive('\n').take(size(location.line()).saturating_sub(1)).map(str::len).sum::<usize>();
    let rest = text.get(line..).unwrap_or_default();
    line + rest.char_indices().nth(size(location.column()).saturating_sub(1)).map_or(rest.len(), |(column, _)| column)
}

fn span_of(location: &Location) -> Span {
    let span = location.span();
    let start = span.byte_offset().unwrap_or_default();
    let end = start + span.byte_len().unwrap_or_default();
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    Span { origin: Origin::File, start: size(start), end: size(end) }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        Ok(Self { shape: spanned.value, span: span_of(&spanned.referenced) })
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Shape, E> {
        Ok(Shape::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(Shape::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(Shape::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Shape, E> {
        Number::from_f64(value).map(Shape::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(Shape::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Shape::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            if key.value == "<<" {
                return Err(A::Error::custom("`<<` needs an alias to a map"));
            }
            entries.push(Entry { key: key.value, key_span: span_of(&key.referenced), value: access.next_value()? });
        }
        Ok(Shape::Map(entries))
    }
}
