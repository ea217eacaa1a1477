//! JSON Schema (2020-12) for payloads and configurations. A plugin's schema is a stranger's text: what it may cost is counted
//! before it is compiled, and what a check may cost before it begins, since neither can be interrupted.
//!
//! [`parts`] reads the text, [`cost`] counts. The validator does the rest.

mod cost;
mod disjoint;
mod parts;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use regex_automata::dfa::{dense, regex};
use regex_automata::nfa::thompson;
use serde_json::Value;

use cost::Cost;
pub(crate) use disjoint::disjoint;
use parts::Parts;

/// A schema's text; generous for a hand-written one.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// Steps that a schema may take for any single value. A plain schema takes 8 for each subschema that looks at the value and 1
/// for each thing it is compared with; references that double at every step would take 2^n.
pub const MAX_SCHEMA_WORK: u64 = 50_000;
/// Schemas that look at a value within each other, all the way down a value of the greatest depth. Each takes some hundred bytes
/// to half a KiB of a stack of 2 MiB.
pub const MAX_SCHEMA_FRAMES: usize = 2_000;
/// Schemas that look at one value, each for the one before it; counting them recurses, and so does checking.
pub const MAX_SCHEMA_NESTED: usize = 256;
/// Links between schemas that are followed while counting: milliseconds. Large schemas have some ten thousand.
pub const MAX_SCHEMA_LINKS: usize = 200_000;
/// Steps of one check: values of the payload × steps for each. A hundred thousand values at 200 steps; some tens of milliseconds.
pub const MAX_CHECK_WORK: u64 = 20_000_000;
/// Bytes of a pattern's automaton, forwards and backwards, with every state it can get into. One that is small enough to be
/// kept whole takes a nanosecond or two for a byte of text; else each byte could take as long as the pattern has states.
pub const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// Bytes of the automata of all patterns of a schema; every thread may hold them.
pub const MAX_PATTERNS_BYTES: usize = 2 * 1024 * 1024;
/// Different patterns of a schema.
pub const MAX_PATTERNS: usize = 64;
/// Steps up to which a failed check of a schema with alternatives is repeated to learn the place: each alternative is explained.
const MAX_EXPLAINED: u64 = 20_000;
/// Bytes of text that are read in one step.
const TEXT_A_STEP: u64 = 4;

/// A compiled schema and its text.
#[derive(Debug, Clone)]
pub struct Schema(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    text: Value,
    validator: Validator,
    cost: Cost,
    branches: bool,
}

impl Schema {
    /// Compiles a schema; an error says what is wrong with it. References reach only into the schema itself.
    pub fn compile(text: &Value) -> Result<Self, String> {
        let bytes = text.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(format!("the schema has {bytes} bytes; the limit is {MAX_SCHEMA_BYTES}"));
        }
        let parts = Parts::read(text)?;
        let cost = cost::of(&parts)?;
        check_patterns(&parts)?;
        let branches = parts.list.iter().any(|part| part.branches);
        // Its own name could be that of a schema which the validator brings along.
        let mut nameless = text.clone();
        if let Some(keywords) = nameless.as_object_mut() {
            keywords.remove("$id");
        }
        // The automaton and the sets that its states stand for.
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(4 * MAX_PATTERN_BYTES);
        let options = jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(patterns);
        let validator =
            options.build(&nameless).map_err(|error| format!("not a usable JSON Schema: {}", shortened(&error.to_string())))?;
        Ok(Self(Arc::new(Compiled { text: text.clone(), validator, cost, branches })))
    }

    /// Checks a value; an error names the place in it and the rule that it breaks, or the limit that the check would pass.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let Compiled { validator, cost, branches, .. } = &*self.0;
        let size = Size::of(value);
        let work = size.values.saturating_mul(cost.value);
        within(work, || format!("{} values and the schema takes up to {} steps for each", size.values, cost.value))?;
        within(size.text.saturating_mul(cost.text) / TEXT_A_STEP, || {
            format!("{} bytes of text and the schema reads each up to {} times", size.text, cost.text)
        })?;
        within(size.pairs.saturating_mul(cost.unique), || {
            format!(
                "lists whose items take {} steps to compare and the schema compares them up to {} times",
                size.pairs, cost.unique
            )
        })?;
        if validator.is_valid(value) {
            return Ok(());
        }
        if *branches && work > MAX_EXPLAINED {
            return Err("the value fits none of the schema's alternatives or breaks another of its rules; \
                        send less at once to learn the place"
                .to_owned());
        }
        validator.validate(value).map_err(|error| {
            let place = error.instance_path().to_string();
            let rule = shortened(&error.masked_with("the value").to_string());
            if place.is_empty() { rule } else { format!("at `{place}`: {rule}") }
        })
    }

    /// The schema as it was given.
    pub fn text(&self) -> &Value {
        &self.0.text
    }
}

fn within(work: u64, what: impl FnOnce() -> String) -> Result<(), String> {
    if work > MAX_CHECK_WORK {
        return Err(format!("the payload has {}: more than {MAX_CHECK_WORK}; send less at once or use a simpler schema", what()));
    }
    Ok(())
}

/// What a payload is made of.
#[derive(Default)]
struct Size {
    values: u64,
    /// Bytes, keys included.
    text: u64,
    /// Items that could have to be compared with each other, in values: a text or a small number is found by its hash, but the
    /// hashes of other items can be made the same.
    pairs: u64,
}

impl Size {
    fn of(value: &Value) -> Self {
        let mut size = Self::default();
        size.add(value);
        size
    }

    fn add(&mut self, value: &Value) {
        self.values += 1;
        match value {
            Value::String(text) => self.text += text.len() as u64,
            Value::Array(items) => {
                let before = self.values + self.text / 32;
                items.iter().for_each(|item| self.add(item));
                let alike = items.iter().filter(|item| !has_own_hash(item)).count() as u64;
                self.pairs = self.pairs.saturating_add(alike.saturating_mul(self.values + self.text / 32 - before));
            }
            Value::Object(entries) => {
                for (key, value) in entries {
                    self.text += key.len() as u64;
                    self.add(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Numbers are hashed as floats: above 2^53 several have one hash.
fn has_own_hash(item: &Value) -> bool {
    match item {
        Value::Array(_) | Value::Object(_) => false,
        Value::Number(number) => number.is_f64() || number.as_i64().is_some_and(|number| number.unsigned_abs() <= 1 << 53),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

fn check_patterns(parts: &Parts<'_>) -> Result<(), String> {
    let patterns: BTreeSet<&str> = parts.list.iter().flat_map(|part| &part.patterns).copied().collect();
    if patterns.len() > MAX_PATTERNS {
        return Err(format!("the schema has {} different patterns; the limit is {MAX_PATTERNS}", patterns.len()));
    }
    let mut sum = 0;
    for pattern in patterns {
        let bytes = automaton_bytes(pattern).ok_or_else(|| {
            format!(
                "the pattern `{}` is no regular expression, looks around or back, or takes more than {MAX_PATTERN_BYTES} bytes; use \
                 a simpler one, with smaller numbers of repetitions",
                shortened(pattern)
            )
        })?;
        sum += bytes;
        if sum > MAX_PATTERNS_BYTES {
            return Err(format!("the schema's patterns take more than {MAX_PATTERNS_BYTES} bytes; use fewer or simpler ones"));
        }
    }
    Ok(())
}

/// Builds what the validator's engine could come to build while it matches.
fn automaton_bytes(pattern: &str) -> Option<usize> {
    let pattern = jsonschema_regex::to_rust_regex(pattern).ok()?;
    let limit = Some(MAX_PATTERN_BYTES / 2);
    let each = dense::Config::new().dfa_size_limit(limit).determinize_size_limit(limit);
    let states = thompson::Config::new().nfa_size_limit(limit);
    let automaton = regex::Builder::new().thompson(states).dense(each).build(&pattern).ok()?;
    Some(automaton.forward().memory_usage() + automaton.reverse().memory_usage())
}

/// Messages of the validator may quote whole schemas.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
