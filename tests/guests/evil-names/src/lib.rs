//! Describes nodes with names and descriptions that break listings, paths, terminals and maps.

#[cfg(target_arch = "wasm32")]
use floe_guest::bindings::node::export_node;
use floe_guest::bindings::node::{Guest, Message, Outcome, Spec};
use floe_guest::{Failure, Result, SideEffect};

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

impl Guest for Plugin {
    fn describe() -> Vec<Spec> {
        let long = "x".repeat(1 << 20);
        vec![
            spec("", "No name at all."),
            spec("Upper Case", "Characters that names do not have."),
            spec("../../etc/passwd", "A path."),
            spec("\u{1b}[2J\u{1b}[31mred", "Control of the terminal.\u{1b}]0;owned\u{7}\r\n"),
            spec("\u{202e}txet", "Text that reads backwards."),
            spec(&long, "A name of 1 MiB."),
            spec("long", &long),
            spec("twin", "The same name, first."),
            spec("twin", "The same name, second."),
        ]
    }

    fn handle(_: String, _: String, _: Message) -> Result<Outcome> {
        Err(Failure::internal("nobody gets here"))
    }
}

fn spec(name: &str, description: &str) -> Spec {
    Spec {
        name: name.to_owned(),
        description: description.to_owned(),
        input: None,
        output: None,
        config: None,
        side_effect: SideEffect::Pure,
        idempotent: false,
        tags: vec!["\n".to_owned(); 1000],
        hints: Some("not JSON".to_owned()),
    }
}

#[cfg(target_arch = "wasm32")]
export_node!(Plugin with_types_in floe_guest::bindings::node);
