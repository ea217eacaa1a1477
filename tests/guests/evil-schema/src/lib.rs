//! Describes nodes with schemas that break whoever compiles them or checks payloads by them. Each node passes payloads on.

use std::fmt::Write;

#[cfg(target_arch = "wasm32")]
use floe_guest::bindings::node::export_node;
use floe_guest::bindings::node::{Guest, Message, Outcome, Output, Spec};
use floe_guest::{Result, SideEffect, budget};

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

impl Guest for Plugin {
    /// Not the same each time: where the host leaves few calls to it, the one node of that number, else all.
    fn describe() -> Vec<Spec> {
        let left = budget::left("host-calls").and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
        let mut all = vec![
            spec("not-json", "No JSON.", "{ type: object".to_owned()),
            spec("not-a-schema", "JSON, but no schema.", r#"{"type":"nothing-known","minimum":"many"}"#.to_owned()),
            spec(
                "regex",
                "Exponential time in a backtracking matcher.",
                r#"{"type":"string","pattern":"^(([a-z])+.)+[A-Z]([a-z])+$"}"#.to_owned(),
            ),
            spec(
                "regex-size",
                "A small pattern that compiles into a huge one.",
                r#"{"type":"string","pattern":"((a{1,1000}){1,1000}){1,1000}"}"#.to_owned(),
            ),
            spec("references", "References that double at each of 40 levels.", references(40)),
            spec("self-reference", "A schema that is only itself.", r##"{"$ref":"#"}"##.to_owned()),
            spec(
                "remote",
                "A reference that would have the host fetch a page.",
                r#"{"$ref":"http://127.0.0.1:9/schema.json"}"#.to_owned(),
            ),
            spec("file", "A reference that would have the host read a file.", r#"{"$ref":"file:///etc/passwd"}"#.to_owned()),
            spec("deep", "Nested 10 000 levels.", r#"{"not":"#.repeat(10_000) + "true" + &"}".repeat(10_000)),
            spec("huge", "128 KiB of names.", format!(r#"{{"enum":["{}"]}}"#, "x".repeat(128 << 10))),
        ];
        if left < all.len() { vec![all.swap_remove(left)] } else { all }
    }

    fn handle(_: String, _: String, message: Message) -> Result<Outcome> {
        let output = Output { payload: message.payload, meta: Vec::new(), to: Vec::new(), topic: None, priority: None };
        Ok(Outcome::Outputs(vec![output]))
    }
}

/// Each definition asks for the one before it twice.
fn references(levels: u32) -> String {
    let mut text = r#"{"$defs":{"level0":{"type":"null"}"#.to_owned();
    for level in 1..=levels {
        let before = level - 1;
        write!(text, r##","level{level}":{{"anyOf":[{{"$ref":"#/$defs/level{before}"}},{{"$ref":"#/$defs/level{before}"}}]}}"##)
            .expect("writing to a string cannot fail");
    }
    text + &format!(r##"}},"$ref":"#/$defs/level{levels}"}}"##)
}

fn spec(name: &str, description: &str, schema: String) -> Spec {
    Spec {
        name: name.to_owned(),
        description: description.to_owned(),
        input: Some(schema),
        output: None,
        config: None,
        side_effect: SideEffect::Pure,
        idempotent: false,
        tags: Vec::new(),
        hints: None,
    }
}

#[cfg(target_arch = "wasm32")]
export_node!(Plugin with_types_in floe_guest::bindings::node);
