//! Never ends describing itself: `describe` is guest code too, and runs under limits.

#[cfg(target_arch = "wasm32")]
use floe_guest::bindings::node::export_node;
use floe_guest::bindings::node::{Guest, Message, Outcome, Spec};
use floe_guest::{Failure, Result};

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

impl Guest for Plugin {
    fn describe() -> Vec<Spec> {
        let mut turn = 0u64;
        while std::hint::black_box(turn) < u64::MAX {
            turn = turn.wrapping_add(2);
        }
        Vec::new()
    }

    fn handle(_: String, _: String, _: Message) -> Result<Outcome> {
        Err(Failure::internal("nobody gets here"))
    }
}

#[cfg(target_arch = "wasm32")]
export_node!(Plugin with_types_in floe_guest::bindings::node);
