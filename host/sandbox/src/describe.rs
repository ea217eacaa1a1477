//! What a plugin says of itself, checked: names, uniqueness, sizes, JSON. Attacker's text until then.

use std::collections::BTreeSet;

use floe_flow::{NodeSpec, NotJson, Payload, SideEffect};
use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::bindings::exports::floe::plugin::{node, toolset};
use crate::convert::side_effect;
use crate::text::{is_name, plain, plain_lines};

/// Nodes, and tools, of one plugin.
pub const MAX_SPECS: usize = 256;
/// Bytes of a description: a page; the rest is cut.
pub const MAX_DESCRIPTION: usize = 4 << 10;
/// Bytes of a schema: types of a large API; and what the flow is willing to compile.
pub const MAX_SCHEMA: usize = 64 << 10;
/// Bytes of all that a plugin says of itself: parsed, they take the host some ten times as much for as long as it is loaded.
pub const MAX_TOTAL: usize = 1 << 20;
/// Tags, and scopes, of a node or tool.
pub const MAX_TAGS: usize = 32;
/// Bytes of a tag or scope.
pub const MAX_TAG: usize = 64;

/// What a plugin says of one of its tools.
#[derive(Debug, Clone, Serialize)]
pub struct ToolSpec {
    /// Unique within the plugin, `[a-z0-9_-]+`.
    pub name: String,
    /// For people and models.
    pub description: String,
    /// JSON Schema of the arguments.
    pub input: Value,
    /// JSON Schema of the result; none: anything.
    pub output: Option<Value>,
    /// JSON Schema of the tool's configuration.
    pub config: Option<Value>,
    /// What a call does outside.
    pub side_effect: SideEffect,
    /// A second run with the same key has no second effect.
    pub idempotent: bool,
    /// For finding it.
    pub tags: Vec<String>,
    /// Scopes that a caller needs.
    pub scopes: Vec<String>,
    /// An object of hints for people and models.
    pub hints: Option<Value>,
}

pub(crate) fn nodes(specs: Vec<node::Spec>) -> Result<Vec<NodeSpec>, Error> {
    check_names("node", specs.iter().map(|spec| spec.name.as_str()))?;
    check_total("nodes", specs.iter().flat_map(|spec| [&spec.input, &spec.output, &spec.config, &spec.hints]))?;
    specs.into_iter().map(node).collect()
}

fn node(spec: node::Spec) -> Result<NodeSpec, Error> {
    let place = |what| format!("the {what} of node `{}`", spec.name);
    Ok(NodeSpec {
        description: plain_lines(&spec.description, MAX_DESCRIPTION),
        input: schema(spec.input, || place("input schema"))?,
        output: schema(spec.output, || place("output schema"))?,
        config: schema(spec.config, || place("config schema"))?,
        side_effect: side_effect(spec.side_effect),
        idempotent: spec.idempotent,
        tags: tags(&spec.tags, || place("tags"))?,
        hints: hints(spec.hints, || place("hints"))?,
        name: spec.name,
    })
}

pub(crate) fn tools(specs: Vec<toolset::Spec>) -> Result<Vec<ToolSpec>, Error> {
    check_names("tool", specs.iter().map(|spec| spec.name.as_str()))?;
    check_total("tools", specs.iter().flat_map(|spec| [&spec.output, &spec.config, &spec.hints]))?;
    specs.into_iter().map(tool).collect()
}

fn tool(spec: toolset::Spec) -> Result<ToolSpec, Error> {
    let place = |what| format!("the {what} of tool `{}`", spec.name);
    Ok(ToolSpec {
        description: plain_lines(&spec.description, MAX_DESCRIPTION),
        input: json(&spec.input, || place("input schema"))?,
        output: schema(spec.output, || place("output schema"))?,
        config: schema(spec.config, || place("config schema"))?,
        side_effect: side_effect(spec.side_effect),
        idempotent: spec.idempotent,
        tags: tags(&spec.tags, || place("tags"))?,
        scopes: tags(&spec.scopes, || place("scopes"))?,
        hints: hints(spec.hints, || place("hints"))?,
        name: spec.name,
    })
}

fn check_names<'a>(what: &str, names: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Error> {
    if names.len() > MAX_SPECS {
        return Err(Error::Description(format!("{} {what}s are more than {MAX_SPECS}", names.len())));
    }
    let mut seen = BTreeSet::new();
    for name in names {
        if !is_name(name) {
            let name = plain(name, MAX_TAG);
            return Err(Error::Description(format!("`{name}` is no name of a {what}; a name is [a-z0-9_-]+, at most 64 bytes")));
        }
        if !seen.insert(name) {
            return Err(Error::Description(format!("there are two {what}s of the name `{name}`")));
        }
    }
    Ok(())
}

fn check_total<'a>(what: &str, texts: impl Iterator<Item = &'a Option<String>>) -> Result<(), Error> {
    let total: usize = texts.flatten().map(String::len).sum();
    if total > MAX_TOTAL {
        return Err(Error::Description(format!("the schemas and hints of its {what} have {total} bytes, more than {MAX_TOTAL}")));
    }
    Ok(())
}

fn schema(text: Option<String>, place: impl Fn() -> String) -> Result<Option<Value>, Error> {
    text.map(|text| json(&text, place)).transpose()
}

fn hints(text: Option<String>, place: impl Fn() -> String) -> Result<Option<Value>, Error> {
    let hints = schema(text, &place)?;
    match &hints {
        Some(hints) if !hints.is_object() => Err(Error::Description(format!("{} are not an object", place()))),
        _ => Ok(hints),
    }
}

fn json(text: &str, place: impl Fn() -> String) -> Result<Value, Error> {
    if text.len() > MAX_SCHEMA {
        return Err(Error::Description(format!("{} has {} bytes, more than {MAX_SCHEMA}", place(), text.len())));
    }
    // With the checks of a payload.
    match Payload::parse(text) {
        Ok(json) => Ok(json.value().into_owned()),
        Err(NotJson(error)) => Err(Error::Description(format!("{} is not valid JSON: {error}", place()))),
    }
}

fn tags(tags: &[String], place: impl Fn() -> String) -> Result<Vec<String>, Error> {
    if tags.len() > MAX_TAGS {
        return Err(Error::Description(format!("{} are {}, more than {MAX_TAGS}", place(), tags.len())));
    }
    Ok(tags.iter().map(|tag| plain(tag, MAX_TAG)).collect())
}

#[cfg(test)]
mod tests {
    use super::{MAX_DESCRIPTION, MAX_SCHEMA, MAX_SPECS, MAX_TAGS, node, nodes};
    use crate::bindings::floe::plugin::types;

    fn spec(name: &str) -> node::Spec {
        node::Spec {
            name: name.to_owned(),
            description: String::new(),
            input: None,
            output: None,
            config: None,
            side_effect: types::SideEffect::Pure,
            idempotent: false,
            tags: Vec::new(),
            hints: None,
        }
    }

    fn refusal(spec: node::Spec) -> String {
        nodes(vec![spec]).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_description_is_bounded() {
        let many = |count| (0..count).map(|number| spec(&number.to_string())).collect();
        assert_eq!(nodes(many(MAX_SPECS)).map(|nodes| nodes.len()).ok(), Some(MAX_SPECS));
        assert!(nodes(many(MAX_SPECS + 1)).is_err_and(|error| error.to_string().ends_with("257 nodes are more than 256")));

        let long = node::Spec { description: "x".repeat(MAX_DESCRIPTION + 1), ..spec("long") };
        let cut = nodes(vec![long]).map(|nodes| nodes[0].description.clone());
        assert!(cut.is_ok_and(|text| text.len() <= MAX_DESCRIPTION && text.ends_with('…')));

        let schema = format!("\"{}\"", "x".repeat(MAX_SCHEMA));
        let error = refusal(node::Spec { output: Some(schema), ..spec("large") });
        assert!(error.ends_with("the output schema of node `large` has 65538 bytes, more than 65536"), "{error}");
        let schema = format!("\"{}\"", "x".repeat(MAX_SCHEMA - 2));
        let all = (0..17).map(|number| node::Spec { input: Some(schema.clone()), ..spec(&number.to_string()) }).collect();
        let error = nodes(all).expect_err("it is refused").to_string();
        assert!(error.ends_with("hints of its nodes have 1114112 bytes, more than 1048576"), "{error}");
        let error = refusal(node::Spec { tags: vec![String::new(); MAX_TAGS + 1], ..spec("tagged") });
        assert!(error.ends_with("the tags of node `tagged` are 33, more than 32"), "{error}");
        let error = refusal(node::Spec { hints: Some("1".to_owned()), ..spec("hinted") });
        assert!(error.ends_with("the hints of node `hinted` are not an object"), "{error}");
    }
}
