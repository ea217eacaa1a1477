//! Which values a schema allows at a place, where it lists them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Schema;
use super::disjoint::{MAX_STEPS, Side, take};

/// How deep alternatives may nest.
const MAX_DEPTH: u32 = 8;

impl Schema {
    /// The values that a payload may have at this path, in the schema's order, if `const`, `enum` and alternatives of these
    /// list them; nothing where others may be there. Null is left out: an optional value is not listed by that.
    pub fn values_at(&self, path: &[String]) -> Option<Vec<&Value>> {
        let mut steps = MAX_STEPS;
        let mut values = values(&Side::root(self.text()), path, MAX_DEPTH, &mut steps)?;
        let mut seen = BTreeSet::new();
        values.retain(|value| !value.is_null() && seen.insert(value.to_string()));
        Some(values)
    }
}

fn values<'a>(side: &Side<'a>, path: &[String], depth: u32, steps: &mut usize) -> Option<Vec<&'a Value>> {
    take(steps, 1)?;
    let side = side.resolved()?;
    let here = match path.split_first() {
        None if side.here.get("type").and_then(Value::as_str) == Some("null") => Some(Vec::new()),
        None => side.constants(),
        Some((first, rest)) => side.property(first).and_then(|inner| values(&inner, rest, depth, steps)),
    };
    if let Some(here) = here {
        take(steps, here.len())?;
        return Some(here);
    }
    let depth = depth.checked_sub(1)?;
    let parts = |key: &str| side.here.get(key).and_then(Value::as_array);
    if let Some(alternatives) = parts("oneOf").or_else(|| parts("anyOf")) {
        let all: Option<Vec<_>> = alternatives.iter().map(|part| values(&side.at(part), path, depth, steps)).collect();
        return all.map(|all| all.concat());
    }
    // All of these hold, so what one of them lists is all there is.
    parts("allOf")?.iter().find_map(|part| values(&side.at(part), path, depth, steps))
}
