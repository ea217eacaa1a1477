//! JSON Schema (2020-12) for payloads and configurations. A plugin's schema is a stranger's text: it is bounded in size, in the
//! cost of its patterns and in how often it may look at one value, all before it is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

/// A schema's text; generous for a hand-written one.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// How many subschemas may look at one place of a value and all that lies below it on one path. A plain schema needs about its
/// own number of keywords; references that double at every step need 2^n.
pub const MAX_SCHEMA_WORK: u64 = 50_000;
/// Bytes of one compiled pattern; the engine's matching time is linear in the text.
pub const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// Deeper values do not parse, so work is counted down to here.
const MAX_DEPTH: u32 = 127;

/// A compiled schema and its text.
#[derive(Debug, Clone)]
pub struct Schema(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    text: Value,
    validator: Validator,
}

impl Schema {
    /// Compiles a schema; an error says what is wrong with it. References reach only into the schema itself.
    pub fn compile(text: &Value) -> Result<Self, String> {
        let bytes = text.to_string().len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(format!("the schema has {bytes} bytes; the limit is {MAX_SCHEMA_BYTES}"));
        }
        check_work(text)?;
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .build(text)
            .map_err(|error| format!("not a usable JSON Schema: {error}"))?;
        Ok(Self(Arc::new(Compiled { text: text.clone(), validator })))
    }

    /// Checks a value; an error names the place in it and the rule that it breaks.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        self.0.validator.validate(value).map_err(|error| {
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

/// Messages of the validator may quote whole schemas.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

// === how much work a schema can ask for ===

/// Keywords whose schemas look at the same value as the schema that holds them.
const IN_PLACE: [&str; 8] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"];
/// Keywords whose schemas look at each child of the value.
const BELOW_ALL: [&str; 9] = [
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "propertyNames",
    "items",
    "prefixItems",
    "unevaluatedItems",
    "contains",
    "contentSchema",
];

/// Counts, over the worst path through a value, how many subschemas look at it; refuses what grows out of hand.
fn check_work(root: &Value) -> Result<(), String> {
    let mut counter = Counter { root, known: BTreeMap::new() };
    if counter.work(root, MAX_DEPTH) > MAX_SCHEMA_WORK {
        return Err(format!(
            "its references multiply: checking one value could take more than {MAX_SCHEMA_WORK} steps; refer to each definition once"
        ));
    }
    Ok(())
}

struct Counter<'a> {
    root: &'a Value,
    /// Work of the schema at this address and depth.
    known: BTreeMap<(usize, u32), u64>,
}

impl<'a> Counter<'a> {
    fn work(&mut self, schema: &'a Value, depth: u32) -> u64 {
        let key = (std::ptr::from_ref(schema).addr(), depth);
        if let Some(&work) = self.known.get(&key) {
            return work;
        }
        let mut here = Vec::new();
        let in_place = self.collect_in_place(schema, &mut BTreeSet::new(), &mut here);
        let Some(in_place) = in_place.filter(|count| *count <= MAX_SCHEMA_WORK) else { return u64::MAX };
        let mut work = in_place;
        if depth > 0 {
            work = work.saturating_add(self.work_below(&here, depth - 1));
        }
        self.known.insert(key, work);
        work
    }

    /// All schemas that look at the same place as `schema`, each as often as it is reached; none if it refers to itself
    /// without going down.
    fn collect_in_place(
        &mut self,
        schema: &'a Value,
        path: &mut BTreeSet<usize>,
        here: &mut Vec<&'a Map<String, Value>>,
    ) -> Option<u64> {
        let Value::Object(keywords) = schema else { return Some(1) };
        let address = std::ptr::from_ref(keywords).addr();
        if !path.insert(address) || here.len() as u64 > MAX_SCHEMA_WORK {
            return None;
        }
        here.push(keywords);
        let mut count = 1u64;
        let mut parts: Vec<&'a Value> = Vec::new();
        for keyword in ["$ref", "$dynamicRef"] {
            if let Some(target) = keywords.get(keyword).and_then(Value::as_str) {
                parts.extend(resolve(self.root, target));
            }
        }
        for keyword in IN_PLACE {
            parts.extend(keywords.get(keyword).into_iter().flat_map(subschemas));
        }
        for part in parts {
            count = count.saturating_add(self.collect_in_place(part, path, here)?);
        }
        path.remove(&address);
        Some(count)
    }

    /// The heaviest child: what the named property is checked against, and whatever is checked on every child.
    fn work_below(&mut self, here: &[&'a Map<String, Value>], depth: u32) -> u64 {
        let mut every = 0u64;
        let mut named: BTreeMap<&str, u64> = BTreeMap::new();
        for keywords in here {
            for part in BELOW_ALL.iter().filter_map(|keyword| keywords.get(*keyword)).flat_map(subschemas) {
                every = every.saturating_add(self.work(part, depth));
            }
            if let Some(Value::Object(properties)) = keywords.get("properties") {
                for (name, part) in properties {
                    let work = self.work(part, depth);
                    let sum = named.entry(name).or_default();
                    *sum = sum.saturating_add(work);
                }
            }
        }
        every.saturating_add(named.into_values().max().unwrap_or(0))
    }
}

/// The schemas in a keyword's value: one, a list of them, or a map of them.
fn subschemas(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) if !looks_like_schema(map) => map.values().collect(),
        Value::Object(_) | Value::Bool(_) => vec![value],
        Value::Null | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// `patternProperties` and `dependentSchemas` map names to schemas, the other keywords hold a schema itself.
fn looks_like_schema(map: &Map<String, Value>) -> bool {
    map.is_empty() || !map.values().all(|value| value.is_object() || value.is_boolean()) || map.keys().any(|key| is_keyword(key))
}

fn is_keyword(key: &str) -> bool {
    key.starts_with('$') || key == "properties" || key == "items" || IN_PLACE.contains(&key) || BELOW_ALL.contains(&key)
}

/// Follows `#`, `#/json/pointer` and `#anchor` within one document.
fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    match reference.strip_prefix('#')? {
        "" => Some(root),
        pointer if pointer.starts_with('/') => root.pointer(&pointer.replace("%25", "%").replace("%22", "\"")),
        anchor => find_anchor(root, anchor),
    }
}

fn find_anchor<'a>(value: &'a Value, anchor: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => {
            let named = ["$anchor", "$dynamicAnchor"].iter().any(|key| map.get(*key).and_then(Value::as_str) == Some(anchor));
            if named { Some(value) } else { map.values().find_map(|child| find_anchor(child, anchor)) }
        }
        Value::Array(list) => list.iter().find_map(|child| find_anchor(child, anchor)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

// === whether two schemas can meet ===

/// Says why no value can satisfy both schemas, where that is certain; nothing where they may meet or where it is hard to say.
pub(crate) fn disjoint(given: &Schema, taken: &Schema) -> Option<String> {
    disjoint_at(&Side::root(given.text()), &Side::root(taken.text()), 8)
}

struct Side<'a> {
    root: &'a Value,
    here: &'a Value,
}

impl<'a> Side<'a> {
    fn root(root: &'a Value) -> Self {
        Self { root, here: root }
    }

    /// This place after following references, a few at most.
    fn resolved(&self) -> Option<Self> {
        let mut here = self.here;
        for _ in 0..8 {
            match here.get("$ref").and_then(Value::as_str) {
                Some(reference) => here = resolve(self.root, reference)?,
                None => return Some(Self { root: self.root, here }),
            }
        }
        None
    }

    fn at(&self, here: &'a Value) -> Self {
        Self { root: self.root, here }
    }

    /// The types that a value may have; none: any.
    fn types(&self) -> Option<BTreeSet<&'a str>> {
        if let Some(constant) = self.constants() {
            return Some(constant.iter().map(|value| type_name(value)).collect());
        }
        match self.here.get("type")? {
            Value::String(name) => Some(BTreeSet::from([name.as_str()])),
            Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect()),
            _ => None,
        }
    }

    fn constants(&self) -> Option<Vec<&'a Value>> {
        match (self.here.get("const"), self.here.get("enum")) {
            (Some(value), _) => Some(vec![value]),
            (None, Some(Value::Array(values))) => Some(values.iter().collect()),
            _ => None,
        }
    }

    fn property(&self, name: &str) -> Option<Self> {
        self.here.get("properties").and_then(|properties| properties.get(name)).map(|here| self.at(here))
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn types_meet(left: &str, right: &str) -> bool {
    left == right || matches!((left, right), ("integer", "number") | ("number", "integer"))
}

fn disjoint_at(given: &Side<'_>, taken: &Side<'_>, depth: u32) -> Option<String> {
    if depth == 0 {
        return None;
    }
    let (given, taken) = (given.resolved()?, taken.resolved()?);
    if let (Some(left), Some(right)) = (given.types(), taken.types())
        && !left.iter().any(|l| right.iter().any(|r| types_meet(l, r)))
    {
        return Some(format!("{} is never {}", list(&left), list(&right)));
    }
    if let (Some(left), Some(right)) = (given.constants(), taken.constants())
        && !left.iter().any(|value| right.contains(value))
    {
        return Some("their lists of allowed values have none in common".to_owned());
    }
    let only_objects = |side: &Side<'_>| side.types().is_some_and(|types| types.iter().all(|name| *name == "object"));
    if !only_objects(&given) || !only_objects(&taken) {
        return None;
    }
    let required = taken.here.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        match given.property(name) {
            Some(offered) => {
                if let Some(wanted) = taken.property(name)
                    && let Some(why) = disjoint_at(&offered, &wanted, depth - 1)
                {
                    return Some(format!("property `{name}`: {why}"));
                }
            }
            None if given.here.get("additionalProperties") == Some(&Value::Bool(false))
                && given.here.get("patternProperties").is_none() =>
            {
                return Some(format!("property `{name}` is required and never given"));
            }
            None => {}
        }
    }
    None
}

fn list(types: &BTreeSet<&str>) -> String {
    types.iter().copied().collect::<Vec<_>>().join(" or ")
}
