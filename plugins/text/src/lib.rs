//! Nodes that cut speeches up and count their words, as `examples/speeches` wires them, and a tool that counts words.
//!
//! - [`split`]: one speech in, many chunks out: a fan-out.
//! - [`count`]: one in, one out.
//! - [`summarize`]: what a join has gathered in, one out.
//! - [`pass`]: any payload, untouched.
//! - [`tools`]: the same crate serves agents.

mod count;
mod pass;
mod split;
mod summarize;
mod tools;

floe_guest::export!(
    nodes: [split::Split, count::Count, summarize::Summarize, pass::Pass],
    tools: [tools::WordCount],
);
