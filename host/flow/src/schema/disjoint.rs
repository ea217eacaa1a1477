//! Whether two schemas can meet.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Schema;
use super::parts::follow;

/// Steps that one comparison takes before it stands as undecided; a pair of large schemas takes some thousand.
pub(super) const MAX_STEPS: usize = 100_000;

/// Says why no value can satisfy both schemas, where that is certain; nothing where they may meet or where it is hard to say.
pub(crate) fn disjoint(given: &Schema, taken: &Schema) -> Option<String> {
    let mut steps = MAX_STEPS;
    disjoint_at(&Side::root(given.text()), &Side::root(taken.text()), 8, &mut steps)
}

/// A place in a schema.
pub(super) struct Side<'a> {
    root: &'a Value,
    pub(super) here: &'a Value,
}

impl<'a> Side<'a> {
    pub(super) fn root(root: &'a Value) -> Self {
        Self { root, here: root }
    }

    /// This place after following references, a few at most.
    pub(super) fn resolved(&self) -> Option<Self> {
        let mut here = self.here;
        for _ in 0..8 {
            match here.get("$ref").and_then(Value::as_str) {
                Some(reference) => here = follow(self.root, reference)?,
                None => return Some(Self { root: self.root, here }),
            }
        }
        None
    }

    pub(super) fn at(&self, here: &'a Value) -> Self {
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

    pub(super) fn constants(&self) -> Option<Vec<&'a Value>> {
        match (self.here.get("const"), self.here.get("enum")) {
            (Some(value), _) => Some(vec![value]),
            (None, Some(Value::Array(values))) => Some(values.iter().collect()),
            _ => None,
        }
    }

    pub(super) fn property(&self, name: &str) -> Option<Self> {
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

/// Equal as JSON Schema sees it, where 1 is 1.0.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(l), Value::Number(r)) => l == r || ((l.is_f64() || r.is_f64()) && l.as_f64() == r.as_f64()),
        (Value::Array(l), Value::Array(r)) => l.len() == r.len() && l.iter().zip(r).all(|(l, r)| same(l, r)),
        (Value::Object(l), Value::Object(r)) => {
            l.len() == r.len() && l.iter().all(|(name, l)| r.get(name).is_some_and(|r| same(l, r)))
        }
        _ => left == right,
    }
}

fn types_meet(left: &str, right: &str) -> bool {
    left == right || matches!((left, right), ("integer", "number") | ("number", "integer"))
}

/// Takes `n` of what is left of a budget.
pub(super) fn take(steps: &mut usize, n: usize) -> Option<()> {
    *steps = steps.checked_sub(n)?;
    Some(())
}

fn disjoint_at(given: &Side<'_>, taken: &Side<'_>, depth: u32, steps: &mut usize) -> Option<String> {
    if depth == 0 {
        return None;
    }
    take(steps, 1)?;
    let (given, taken) = (given.resolved()?, taken.resolved()?);
    if let (Some(left), Some(right)) = (given.types(), taken.types())
        && !left.iter().any(|l| right.iter().any(|r| types_meet(l, r)))
    {
        return Some(format!("{} is never {}", list(&left), list(&right)));
    }
    if let (Some(left), Some(right)) = (given.constants(), taken.constants()) {
        take(steps, left.len().saturating_mul(right.len()))?;
        if !left.iter().any(|l| right.iter().any(|r| same(l, r))) {
            return Some("their lists of allowed values have none in common".to_owned());
        }
    }
    let only_objects = |side: &Side<'_>| side.types().is_some_and(|types| types.iter().all(|name| *name == "object"));
    if !only_objects(&given) || !only_objects(&taken) {
        return None;
    }
    let required = taken.here.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        take(steps, 1)?;
        match given.property(name) {
            Some(offered) => {
                if let Some(wanted) = taken.property(name)
                    && let Some(why) = disjoint_at(&offered, &wanted, depth - 1, steps)
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
