//! What travels through a flow: a payload with an identity and an envelope. Values here are cheap to clone and never change.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// JSON text, checked once when it enters the host and passed on exactly as it was written.
///
/// The parsed value is made on first use and shared by all clones.
#[derive(Clone)]
pub struct Payload(Arc<Json>);

struct Json {
    text: Box<str>,
    value: OnceLock<Box<Value>>,
}

/// The text is not JSON, or is nested deeper than 127 levels; the message says where.
#[derive(Debug, thiserror::Error)]
#[error("not valid JSON: {0}")]
pub struct NotJson(#[from] serde_json::Error);

impl Payload {
    /// Takes JSON text as it stands, after checking that it is JSON of at most 127 levels.
    pub fn parse(text: impl Into<Box<str>>) -> Result<Self, NotJson> {
        let text = text.into();
        serde_json::from_str::<Checked>(&text)?;
        Ok(Self::checked(text))
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The parsed value; parsed at the first call.
    pub fn value(&self) -> &Value {
        self.0.value.get_or_init(|| {
            let value = serde_json::from_str(&self.0.text);
            Box::new(value.expect("the constructors checked the text with the same grammar, depth and range of numbers"))
        })
    }

    fn checked(text: Box<str>) -> Self {
        Self(Arc::new(Json { text, value: OnceLock::new() }))
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        let payload = Self::checked(value.to_string().into());
        let _ = payload.0.value.set(Box::new(value));
        payload
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

/// Walks JSON without keeping any of it. Unlike [`IgnoredAny`] it goes through serde_json's depth limit.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Checked)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Checked>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<IgnoredAny, Checked>()?.is_some() {}
        Ok(self)
    }
}

/// A message's identity within its trace: derived from its parent, the node that sent it and its place among that node's
/// emissions, so that it is the same on every attempt and in every run.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta(Option<Arc<[(String, Payload)]>>);

impl Meta {
    /// The entries in the order in which they were added.
    pub fn entries(&self) -> &[(String, Payload)] {
        self.0.as_deref().unwrap_or_default()
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
    /// Higher is more urgent (spec item 1).
    pub priority: i32,
    /// 0 at first; counts the turns of a controller loop.
    pub turn: u32,
}
