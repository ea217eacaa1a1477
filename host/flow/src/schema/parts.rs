//! Reads a schema's text as the parts it is made of. By keyword, never by looks; what is not understood here and would be live
//! in the validator is refused, so that what is counted is all there is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Deeper values do not parse.
pub(super) const MAX_DEPTH: usize = 127;
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Dividing by a fraction is exact, with numbers of some hundred digits.
const FRACTION: usize = 1_000;

/// How a keyword holds its schemas.
#[derive(Clone, Copy)]
enum Holds {
    One,
    List,
    Map,
}

/// What a keyword's schemas look at.
#[derive(Clone, Copy)]
enum LooksAt {
    /// The same value as the schema that holds them.
    Here,
    /// Each item of a list.
    Items,
    /// The item at their place.
    Item,
    /// Each item at no place of its own.
    OtherItems,
    /// Each entry of an object.
    Entries,
    /// The entry of their name.
    Entry,
    /// Each entry without a name of its own.
    OtherEntries,
    /// Nothing, unless they are referred to.
    Nothing,
}

const KEYWORDS: [(&str, Holds, LooksAt); 20] = [
    ("allOf", Holds::List, LooksAt::Here),
    ("anyOf", Holds::List, LooksAt::Here),
    ("oneOf", Holds::List, LooksAt::Here),
    ("not", Holds::One, LooksAt::Here),
    ("if", Holds::One, LooksAt::Here),
    ("then", Holds::One, LooksAt::Here),
    ("else", Holds::One, LooksAt::Here),
    ("dependentSchemas", Holds::Map, LooksAt::Here),
    ("properties", Holds::Map, LooksAt::Entry),
    ("prefixItems", Holds::List, LooksAt::Item),
    ("patternProperties", Holds::Map, LooksAt::Entries),
    ("additionalProperties", Holds::One, LooksAt::OtherEntries),
    ("unevaluatedProperties", Holds::One, LooksAt::OtherEntries),
    ("propertyNames", Holds::One, LooksAt::Entries),
    ("items", Holds::One, LooksAt::OtherItems),
    ("unevaluatedItems", Holds::One, LooksAt::OtherItems),
    ("contains", Holds::One, LooksAt::Items),
    ("contentSchema", Holds::One, LooksAt::Entries),
    ("$defs", Holds::Map, LooksAt::Nothing),
    ("definitions", Holds::Map, LooksAt::Nothing),
];

/// Of other drafts; some are live in the validator all the same.
const REFUSED: [(&str, &str); 3] = [
    ("$recursiveRef", "use `$dynamicRef`"),
    ("dependencies", "use `dependentSchemas` or `dependentRequired`"),
    ("additionalItems", "use `prefixItems` and `items`"),
];

/// Parts that look at what a value holds.
#[derive(Default)]
pub(super) struct Below {
    pub(super) every: Vec<usize>,
    pub(super) named: Vec<(String, usize)>,
    /// Look at whatever `named` does not.
    pub(super) others: Vec<usize>,
}

impl Below {
    pub(super) fn all(&self) -> impl Iterator<Item = usize> {
        self.every.iter().chain(&self.others).copied().chain(self.named.iter().map(|(_, child)| *child))
    }
}

/// One schema within the text. Others are named by their index; the whole text is part 0.
#[derive(Default)]
pub(super) struct Part<'a> {
    /// What this part's own keywords compare a value with, in values.
    pub(super) compares: usize,
    /// Regular expressions for a text or for keys.
    pub(super) patterns: Vec<&'a str>,
    /// Whether its own keywords read a text as a whole, once.
    pub(super) measures_text: bool,
    pub(super) unique_items: bool,
    /// `anyOf` or `oneOf`: a failure is explained once for each branch.
    pub(super) branches: bool,
    /// What was checked elsewhere matters here: those parts are looked at again.
    pub(super) unevaluated: bool,
    /// Parts that the text holds and that are compiled with this one.
    pub(super) holds: Vec<usize>,
    /// Parts that look at the same value, referred ones included.
    pub(super) here: Vec<usize>,
    pub(super) items: Below,
    pub(super) entries: Below,
}

pub(super) struct Parts<'a> {
    pub(super) list: Vec<Part<'a>>,
    /// Where a schema stands in memory → its part.
    at: BTreeMap<usize, usize>,
    anchors: BTreeMap<&'a str, usize>,
    /// The part that refers, its place, and where to.
    references: Vec<(usize, String, &'a str)>,
}

impl<'a> Parts<'a> {
    pub(super) fn read(root: &'a Value) -> Result<Self, String> {
        let mut parts = Self { list: Vec::new(), at: BTreeMap::new(), anchors: BTreeMap::new(), references: Vec::new() };
        parts.part(root, "", 0)?;
        for (from, place, reference) in std::mem::take(&mut parts.references) {
            let target = match reference.strip_prefix('#') {
                Some("") => Some(0),
                Some(pointer) if pointer.starts_with('/') => {
                    follow(root, reference).and_then(|schema| parts.at.get(&address(schema)).copied())
                }
                Some(anchor) => parts.anchors.get(anchor).copied(),
                None => None,
            };
            let target = target.ok_or_else(|| {
                let reference: String = reference.chars().take(100).collect();
                refused(&place, &format!("no schema of this text is at `{reference}`; refer with `#/$defs/NAME`"))
            })?;
            parts.list[from].here.push(target);
        }
        Ok(parts)
    }

    fn part(&mut self, schema: &'a Value, place: &str, depth: usize) -> Result<usize, String> {
        let index = self.list.len();
        self.list.push(Part::default());
        self.at.insert(address(schema), index);
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(_) => return Ok(index),
            _ => return Err(refused(place, "a schema is an object, true or false")),
        };
        if depth > MAX_DEPTH {
            return Err(refused(place, &format!("it is nested deeper than {MAX_DEPTH} levels; use `$defs`")));
        }
        check_draft(keywords, place)?;
        self.list[index] = own_keywords(keywords);
        for keyword in ["$ref", "$dynamicRef"] {
            match keywords.get(keyword) {
                Some(Value::String(target)) => self.references.push((index, place.to_owned(), target)),
                Some(_) => return Err(refused(place, &format!("`{keyword}` is text"))),
                None => {}
            }
        }
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = keywords.get(keyword).and_then(Value::as_str)
                && self.anchors.insert(name, index).is_some_and(|other| other != index)
            {
                return Err(refused(place, "another schema has this anchor; give each a name of its own"));
            }
        }
        for (keyword, holds, looks_at) in KEYWORDS {
            if let Some(value) = keywords.get(keyword) {
                let place = format!("{place}/{keyword}");
                for (name, child) in schemas(value, holds, &place)? {
                    let place = if name.is_empty() { place.clone() } else { format!("{place}/{name}") };
                    let child = self.part(child, &place, depth + 1)?;
                    let part = &mut self.list[index];
                    match looks_at {
                        LooksAt::Here => part.here.push(child),
                        LooksAt::Items => part.items.every.push(child),
                        LooksAt::Item => part.items.named.push((name, child)),
                        LooksAt::OtherItems => part.items.others.push(child),
                        LooksAt::Entries => part.entries.every.push(child),
                        LooksAt::Entry => part.entries.named.push((name, child)),
                        LooksAt::OtherEntries => part.entries.others.push(child),
                        LooksAt::Nothing => continue,
                    }
                    part.holds.push(child);
                }
            }
        }
        Ok(index)
    }
}

fn address(schema: &Value) -> usize {
    std::ptr::from_ref(schema).addr()
}

fn refused(place: &str, why: &str) -> String {
    let place: String = place.chars().take(200).collect();
    if place.is_empty() { format!("the schema: {why}") } else { format!("the schema at `{place}`: {why}") }
}

fn check_draft(keywords: &Map<String, Value>, place: &str) -> Result<(), String> {
    if !place.is_empty() {
        for keyword in ["$id", "$schema"] {
            if keywords.contains_key(keyword) {
                return Err(refused(place, &format!("`{keyword}` stands at the root only; leave it out")));
            }
        }
    }
    if let Some(draft) = keywords.get("$schema")
        && draft.as_str().map(|draft| draft.trim_end_matches('#')) != Some(DRAFT)
    {
        return Err(refused(place, &format!("only draft 2020-12 is known; set `$schema` to `{DRAFT}` or leave it out")));
    }
    match REFUSED.iter().find(|(keyword, _)| keywords.contains_key(*keyword)) {
        Some((keyword, remedy)) => Err(refused(place, &format!("`{keyword}` is of another draft; {remedy}"))),
        None => Ok(()),
    }
}

/// What the keywords that hold no schemas take.
fn own_keywords(keywords: &Map<String, Value>) -> Part<'_> {
    let compares = ["const", "enum", "required", "dependentRequired"];
    let names = keywords.get("properties").and_then(Value::as_object).map_or(0, Map::len);
    let keys = keywords.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let pattern = keywords.get("pattern").and_then(Value::as_str);
    let patterns: Vec<&str> = keys.map(String::as_str).chain(pattern).collect();
    let alternatives = patterns.iter().map(|pattern| pattern.matches('|').count()).sum::<usize>();
    let division = match keywords.get("multipleOf") {
        Some(of) if !of.is_u64() => FRACTION,
        _ => 0,
    };
    let compares = compares.iter().filter_map(|keyword| keywords.get(*keyword)).map(values).sum::<usize>();
    Part {
        compares: compares + names + alternatives + division,
        patterns,
        measures_text: keywords.contains_key("minLength") || keywords.contains_key("maxLength"),
        unique_items: keywords.contains_key("uniqueItems"),
        branches: keywords.contains_key("anyOf") || keywords.contains_key("oneOf"),
        unevaluated: keywords.contains_key("unevaluatedItems") || keywords.contains_key("unevaluatedProperties"),
        ..Part::default()
    }
}

/// How many values a value is made of.
fn values(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
        Value::Object(entries) => 1 + entries.values().map(values).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// The schemas that a keyword holds, with their names.
fn schemas<'a>(value: &'a Value, holds: Holds, place: &str) -> Result<Vec<(String, &'a Value)>, String> {
    match (holds, value) {
        (Holds::One, Value::Array(_)) => Err(refused(place, "a list of schemas is of another draft; use `prefixItems`")),
        (Holds::One, schema) => Ok(vec![(String::new(), schema)]),
        (Holds::List, Value::Array(list)) => Ok(list.iter().enumerate().map(|(n, schema)| (n.to_string(), schema)).collect()),
        (Holds::List, _) => Err(refused(place, "it holds a list of schemas")),
        (Holds::Map, Value::Object(map)) => Ok(map.iter().map(|(name, schema)| (name.clone(), schema)).collect()),
        (Holds::Map, _) => Err(refused(place, "it holds schemas by name")),
    }
}

/// What `#` or `#/json/pointer` points at; nothing where a reader could take it for something else.
pub(super) fn follow<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    if !pointer.contains('%') {
        return root.pointer(pointer);
    }
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let code = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(code, 16).ok().filter(|byte| *byte != b'/')?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    root.pointer(std::str::from_utf8(&bytes).ok()?)
}
