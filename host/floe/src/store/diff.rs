//! What one version of a plugin asks for and says of itself, beside another.
//!
//! A change is *wider* if the operator has not approved what comes with it: an import that needs a grant, a node or tool, a grant,
//! a stronger effect, and any other text or schema, since these are read by models and decide what is let through. What is only
//! less than before is not.

use std::collections::{BTreeMap, BTreeSet};

use floe_flow::SideEffect;
use floe_sandbox::{Plugin, plain};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Approval;

/// Bytes of a value that a table shows.
const SHOWN: usize = 72;
/// Bytes of a text within a value that is printed as JSON; a plugin's descriptions are no longer.
const TEXT: usize = floe_sandbox::MAX_DESCRIPTION;

/// What a plugin asks for and says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Surface {
    /// Imports that need a grant.
    pub(super) asks: BTreeSet<String>,
    /// Everything about its nodes and tools, by `node NAME` and `tool NAME`.
    members: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    /// Of what.
    what: String,
    /// Null: it was not there.
    old: Value,
    /// Null: it is not there any more.
    new: Value,
    /// It needs approval.
    pub(super) wider: bool,
}

impl Surface {
    pub(super) fn of(plugin: &Plugin) -> Self {
        let nodes = plugin.nodes.iter().map(|node| ("node", &node.name, json!(node)));
        let tools = plugin.tools.iter().map(|tool| ("tool", &tool.name, json!(tool)));
        let members = nodes.chain(tools).map(|(kind, name, spec)| {
            let fields = match spec {
                Value::Object(fields) => fields.into_iter().filter(|(key, _)| key != "name").collect(),
                _ => BTreeMap::new(),
            };
            (format!("{kind} `{name}`"), fields)
        });
        Self { asks: plugin.inspection.imports.questionable().cloned().collect(), members: members.collect() }
    }

    /// The SHA-256 of what it says of itself.
    pub(super) fn says(&self) -> String {
        // The keys of all maps are sorted.
        format!("{:x}", Sha256::digest(json!(self.members).to_string().as_bytes()))
    }
}

/// What `new` has that `old` has not, and the reverse.
pub(super) fn compare(old: &Surface, new: &Surface) -> Vec<Change> {
    let mut changes = asks(&old.asks, &new.asks);
    let names: BTreeSet<&String> = old.members.keys().chain(new.members.keys()).collect();
    for name in names {
        match (old.members.get(name), new.members.get(name)) {
            (Some(old), Some(new)) => changes.extend(fields(name, old, new)),
            (old, new) => {
                let wider = new.is_some();
                changes.push(Change { what: name.clone(), old: json!(old), new: json!(new), wider });
            }
        }
    }
    changes
}

/// The same where only the approval of the old one is left.
pub(super) fn compare_to_approval(old: &Approval, new: &Surface) -> Vec<Change> {
    let mut changes = asks(&old.asks.iter().cloned().collect(), &new.asks);
    let says = new.says();
    if old.says != says {
        let what = "what it says of itself (SHA-256)".to_owned();
        changes.push(Change { what, old: json!(old.says), new: json!(says), wider: true });
    }
    changes
}

/// What may be granted to it at most, before and now.
pub(super) fn compare_grants(old: Option<&Value>, new: Option<&Value>) -> Option<Change> {
    let wider = match (old, new) {
        (old, new) if old == new => return None,
        // Where nothing bounds them, the flow file's are the operator's.
        (None, _) => false,
        (Some(_), None) => true,
        (Some(old), Some(new)) => !is_within(new, old),
    };
    Some(Change { what: "grants".to_owned(), old: json!(old), new: json!(new), wider })
}

/// Whether these grants give nothing that the others do not give. What a key that is not there means is the capability's to say, so
/// that terms are compared only where they have the same keys; then each item of a list is within one of the other's, and all else
/// is equal.
pub(crate) fn is_within(inner: &Value, outer: &Value) -> bool {
    match (inner, outer) {
        (Value::Object(inner), Value::Object(outer)) => {
            inner.iter().all(|(capability, terms)| outer.get(capability).is_some_and(|outer| gives_no_more(terms, outer)))
        }
        _ => false,
    }
}

fn gives_no_more(inner: &Value, outer: &Value) -> bool {
    match (inner, outer) {
        (Value::Object(inner), Value::Object(outer)) => {
            let same = inner.len() == outer.len();
            same && inner.iter().all(|(key, value)| outer.get(key).is_some_and(|outer| gives_no_more(value, outer)))
        }
        // An empty list may stand for everything.
        (Value::Array(inner), Value::Array(outer)) if inner.is_empty() || outer.is_empty() => inner == outer,
        (Value::Array(inner), Value::Array(outer)) => {
            inner.iter().all(|item| outer.iter().any(|outer| gives_no_more(item, outer)))
        }
        (inner, outer) => inner == outer,
    }
}

fn asks(old: &BTreeSet<String>, new: &BTreeSet<String>) -> Vec<Change> {
    let change = |import: &String| {
        let there = |set: &BTreeSet<String>| if set.contains(import) { json!("asked for") } else { Value::Null };
        Change { what: format!("import `{import}`"), old: there(old), new: there(new), wider: new.contains(import) }
    };
    old.symmetric_difference(new).map(change).collect()
}

fn fields(name: &str, old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> Vec<Change> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |fields: &BTreeMap<String, Value>, key: &str| fields.get(key).cloned().unwrap_or_default();
    let differ = keys.into_iter().filter_map(|key| {
        let (old, new) = (value(old, key), value(new, key));
        let wider = match key.as_str() {
            "side_effect" => strength(&new) > strength(&old),
            "idempotent" => new != json!(true),
            "description" => new != json!(""),
            _ => true,
        };
        let what = format!("{name}: {}", key.replace('_', " "));
        (old != new).then_some(Change { what, old, new, wider })
    });
    differ.collect()
}

/// Effects from the least to the most; what is none comes last.
fn strength(effect: &Value) -> usize {
    let effects = [SideEffect::Pure, SideEffect::Read, SideEffect::Write, SideEffect::External];
    effects.iter().position(|known| json!(known) == *effect).unwrap_or(effects.len())
}

impl Change {
    /// A line of a table: what, before, now, whether it needs approval.
    pub(super) fn row(&self) -> [String; 4] {
        let shown = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => plain(text, SHOWN),
            // Of a whole node or tool, what people know it by.
            Value::Object(fields) if fields.contains_key("side_effect") => {
                plain(fields.get("description").and_then(Value::as_str).unwrap_or_default(), SHOWN)
            }
            other => plain(&other.to_string(), SHOWN),
        };
        [plain(&self.what, 2 * SHOWN), shown(&self.old), shown(&self.new), if self.wider { "yes" } else { "no" }.to_owned()]
    }

    /// The same as JSON, without what does not belong into a text.
    pub(super) fn json(&self) -> Value {
        stripped(&json!(self))
    }
}

/// A value whose texts are plain: a schema's are the plugin's, as it wrote them.
pub(super) fn stripped(value: &Value) -> Value {
    match value {
        Value::String(text) => plain(text, TEXT).into(),
        Value::Array(items) => items.iter().map(stripped).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (plain(key, TEXT), stripped(value))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{compare_grants, fields, is_within, stripped};

    #[test]
    fn a_grant_is_within_another_that_gives_all_of_it() {
        let outer = json!({ "http": [{ "host": "a", "methods": ["GET", "POST"] }, { "host": "b" }], "random": true });
        let fewer = json!({ "http": [{ "host": "a", "methods": ["GET"] }] });
        for inner in [json!({}), json!({ "random": true }), fewer, outer.clone()] {
            assert!(is_within(&inner, &outer), "{inner}");
        }
        for inner in [
            json!({ "clock": true }),
            json!({ "http": [{ "host": "c" }] }),
            json!({ "http": [{ "host": "b", "methods": ["PUT"] }] }),
            // Without methods it may be all of them.
            json!({ "http": [{ "host": "a" }] }),
            json!({ "http": [{ "host": "a", "methods": [] }] }),
            json!({ "http": [] }),
            json!({ "random": false }),
            json!([]),
            json!(null),
        ] {
            assert!(!is_within(&inner, &outer), "{inner}");
        }
        let change =
            |old: Option<&serde_json::Value>, new: Option<&serde_json::Value>| compare_grants(old, new).map(|it| it.wider);
        assert_eq!(change(None, Some(&outer)), Some(false));
        assert_eq!(change(Some(&outer), None), Some(true));
        assert_eq!(change(Some(&outer), Some(&json!({}))), Some(false));
        assert_eq!(change(Some(&json!({})), Some(&outer)), Some(true));
        assert_eq!(change(Some(&outer), Some(&outer)), None);
    }

    #[test]
    fn only_what_is_more_needs_approval() {
        let of = |value: serde_json::Value| serde_json::from_value(value).expect("it is a map");
        let wider = |old: serde_json::Value, new: serde_json::Value| {
            fields("node `n`", &of(old), &of(new)).into_iter().map(|change| change.wider).collect::<Vec<_>>()
        };
        for (old, new, expected) in [
            (json!({ "side_effect": "read" }), json!({ "side_effect": "external" }), true),
            (json!({ "side_effect": "external" }), json!({ "side_effect": "pure" }), false),
            (json!({ "side_effect": "pure" }), json!({ "side_effect": "something" }), true),
            (json!({ "idempotent": true }), json!({ "idempotent": false }), true),
            (json!({ "idempotent": false }), json!({ "idempotent": true }), false),
            (json!({ "description": "a" }), json!({ "description": "b" }), true),
            (json!({ "description": "a" }), json!({ "description": "" }), false),
            // Without a schema everything is let through.
            (json!({ "input": { "type": "string" } }), json!({ "input": null }), true),
            (json!({ "tags": [] }), json!({ "tags": ["admin"] }), true),
        ] {
            assert_eq!(wider(old.clone(), new.clone()), [expected], "{old} -> {new}");
        }
        assert_eq!(wider(json!({ "tags": [] }), json!({ "tags": [] })), [false; 0]);
    }

    #[test]
    fn what_is_printed_is_plain() {
        let hostile = json!({ "a\u{1b}[2J": ["x\u{202e}y", { "b": "\u{1b}]0;t\u{7}z" }] });
        assert_eq!(stripped(&hostile), json!({ "a": ["xy", { "b": "z" }] }));
    }
}
