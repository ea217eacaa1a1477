//! What travels through a flow: a payload with an identity and an envelope. Values here are cheap to clone and never change.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Bytes that a parsed payload may take: a text of the default limit of a payload, made of values of a usual size. Without it
/// a text of eight megabytes could take gigabytes.
pub const MAX_PARSED: usize = 128 << 20;
/// Bytes of a parsed payload that is kept for the next who asks; a larger one is parsed again, for every queue may hold many.
const KEPT: usize = 16 << 10;
/// Bytes of a parsed value, with its share of what holds it.
const VALUE: usize = 64;
/// Bytes of a map with one entry.
const MAP: usize = 640;

/// JSON text, checked once when it enters the host and passed on exactly as it was written.
///
/// A small parsed value is made on first use and shared by all clones.
#[derive(Clone)]
pub struct Payload(Arc<Json>);

struct Json {
    text: Box<str>,
    kept: bool,
    value: OnceLock<Box<Value>>,
}

/// The text is not JSON, is nested deeper than 127 levels, or would take more than [`MAX_PARSED`]; the message says where.
#[derive(Debug, thiserror::Error)]
#[error("not valid JSON: {0}")]
pub struct NotJson(#[from] pub serde_json::Error);

impl Payload {
    /// Takes JSON text as it stands, but for white space around it, after checking that it is JSON of at most 127 levels and of at most [`MAX_PARSED`] bytes
    /// once it is parsed.
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, NotJson> {
        let mut text = text.into();
        let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
        if trimmed.len() < text.len() {
            text = trimmed.into();
        }
        let weight = Cell::new(0);
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        (&Check(&weight)).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(Self(Arc::new(Json { text, kept: weight.get() <= KEPT, value: OnceLock::new() })))
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The parsed value.
    pub fn value(&self) -> Cow<'_, Value> {
        let parse = || {
            let value = serde_json::from_str(&self.0.text);
            value.expect("the constructors checked the text with the same grammar, depth and range of numbers")
        };
        match self.0.value.get() {
            Some(value) => Cow::Borrowed(value),
            None if self.0.kept => Cow::Borrowed(self.0.value.get_or_init(|| Box::new(parse()))),
            None => Cow::Owned(parse()),
        }
    }
}

/// Of the host's own making.
impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        let text = value.to_string().into();
        Self(Arc::new(Json { text, kept: true, value: OnceLock::from(Box::new(value)) }))
    }
}

/// As JSON, not as text in JSON.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.text()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(Box::<str>::from(raw)).map_err(de::Error::custom)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Walks JSON without keeping any of it, through serde_json's depth limit, and adds up what its parsed value would take.
struct Check<'a>(&'a Cell<usize>);

impl Check<'_> {
    fn add<E: de::Error>(&self, bytes: usize) -> Result<(), E> {
        let weight = self.0.get().saturating_add(bytes);
        self.0.set(weight);
        if weight > MAX_PARSED {
            return Err(E::custom(format_args!(
                "parsed, it would take more than {} MiB; use fewer, longer values",
                MAX_PARSED >> 20
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.add(VALUE)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.add(VALUE)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.add(VALUE)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.add(VALUE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.add(VALUE + text.len())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.add(VALUE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.add(VALUE)?;
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.add(MAP)?;
        while entries.next_key_seed(Key(self))?.is_some() {
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// A key of a map. serde_json reads some keys of its own as instructions: text under them would be parsed once more, as
/// something else than the next guest gets to see, and at any depth.
struct Key<'a>(&'a Check<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        if key.starts_with("$serde_json::private::") {
            return Err(E::custom("a key may not begin with `$serde_json::private::`"));
        }
        self.0.add(VALUE + key.len())
    }
}

/// A message's identity within its trace: derived from its parent, the node that sent it and its place among that node's
/// emissions, so that it is the same on every attempt and in every run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

impl MessageId {
    /// The message that enters the flow.
    pub const INPUT: Self = Self(0);

    /// The id of the `index`-th emission that the node with `node_key` makes while it handles `self`.
    pub(crate) fn child(self, node_key: u64, index: u64) -> Self {
        Self(mix(mix(self.0 ^ node_key).wrapping_add(index)))
    }

    /// A number from 0 up to 1 that follows from trace, message and retry.
    pub(crate) fn fraction(self, trace: &str, retry: u32) -> f64 {
        const STEPS: f64 = (1u64 << 53) as f64;
        (mix(mix(self.0 ^ name_key(trace)).wrapping_add(retry.into())) >> 11) as f64 / STEPS
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// As [`MessageId`] is displayed.
impl FromStr for MessageId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom(format_args!("`{text}` is no message id: 16 hexadecimal digits")))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): a bijection that
/// spreads every input bit over the whole word.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of a name. A node's contribution to message ids, so that they survive a reordering of the flow file.
pub(crate) fn name_key(name: &str) -> u64 {
    name.bytes().fold(0, |key, byte| mix(key ^ u64::from(byte)))
}

/// Keys and JSON texts that travel with a message. Empty costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta(Option<Arc<[(String, Payload)]>>);

impl Meta {
    /// The entries in the order in which they were added.
    pub fn entries(&self) -> &[(String, Payload)] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Nothing travels along.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Bytes of all keys and texts.
    pub fn size(&self) -> usize {
        size(self.entries())
    }

    /// These entries and `more`; a key that is there already takes the new value.
    pub fn with(&self, more: Vec<(String, Payload)>) -> Self {
        if more.is_empty() {
            return self.clone();
        }
        let mut entries = self.entries().to_vec();
        for (key, value) in more {
            match entries.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        Self(Some(entries.into()))
    }
}

/// Bytes of all keys and texts.
pub(crate) fn size(entries: &[(String, Payload)]) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.text().len()).sum()
}

impl FromIterator<(String, Payload)> for Meta {
    fn from_iter<I: IntoIterator<Item = (String, Payload)>>(entries: I) -> Self {
        Self::default().with(entries.into_iter().collect())
    }
}

/// One message on its way to one node.
#[derive(Clone, Debug)]
pub struct Message {
    /// Unique within the trace.
    pub id: MessageId,
    /// The message that the sender was handling; none at the input.
    pub parent: Option<MessageId>,
    /// The node that sent it; none at the input.
    pub source: Option<Arc<str>>,
    /// What it carries.
    pub payload: Payload,
    /// What travels with it.
    pub meta: Meta,
    /// A label for routers (spec item 1).
    pub topic: Option<Arc<str>>,
    /// Higher is more urgent (spec item 1): it goes ahead of what the same tenant has waiting with a lower one.
    pub priority: i32,
    /// 0 at first; counts the turns of a controller loop.
    pub turn: u32,
}
