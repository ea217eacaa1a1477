//! `floe bench`: what the runtime costs on this machine, beside the floors that nothing could go below.
//!
//! All variants of a command are measured in one run, round by round in turn, and the medians are compared: a shared machine
//! disturbs them alike. Components are embedded, so that nothing needs to be built.

mod chain;
mod hop;
mod memory;
mod neighbour;
mod report;
mod runtime;
mod sandbox;

pub use hop::hop;
pub use neighbour::neighbour;
pub use runtime::runtime;
pub use sandbox::sandbox;

/// A payload of a usual size for a message between nodes.
const PAYLOAD: &str =
    r#"{"year":1790,"name":"George Washington","text":"Fellow-Citizens of the Senate and House of Representatives"}"#;
