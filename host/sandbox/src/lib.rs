//! Loads, compiles, limits, links and calls untrusted WebAssembly components.
//!
//! A guest computes and asks; this crate decides how much of the first and answers the second. It refuses to know HTTP
//! servers, planners and configuration files, and what runs when: it offers a plugin's nodes and tools as [`floe_flow::Invoke`].
//!
//! Start with [`Sandbox::new`], then [`Sandbox::load`] and [`Plugin::node`]. [`inspect()`] reads a component without compiling
//! it. Every limit stands in [`Limits`]; what a guest can import stands in `link`, and who may import what in `interface`.
//!
//! Guest code runs in three places, all under limits: `describe` at load (`plugin`), instantiation and call (`call`).

mod bench;
mod bindings;
mod cache;
mod call;
mod compiler;
mod convert;
mod describe;
mod engine;
mod error;
mod host;
mod inspect;
mod interface;
mod kept;
mod learn;
mod limiter;
mod limits;
mod link;
mod network;
mod plugin;
mod pool;
mod request;
mod sandbox;
mod scrubbed;
mod share;
mod state;
mod tape;
mod tenants;
mod text;
mod timed;
mod trap;
mod trusted;
mod versions;

pub use bench::{Guard, Idle, Raw};
pub use cache::DEFAULT_CACHE_BYTES;
pub use compiler::{Attempt, Compiler, Confinement, MAX_COMPILE_THREADS, compile_child};
pub use describe::{MAX_DESCRIPTION, MAX_SCHEMA, MAX_SPECS, MAX_TAG, MAX_TAGS, MAX_TOTAL, ToolSpec};
pub use engine::{
    ASYNC_STACK, FUEL_YIELD, MAX_INSTANCES, MAX_MEMORIES, MAX_MEMORY, MAX_RANDOM, MAX_TABLE_ELEMENTS, MAX_TABLES, TICK,
    WASM_STACK,
};
pub use error::Error;
pub use host::clocks::{Clock, DEFAULT_CLOCK_RESOLUTION};
pub use host::files::{Directory, FILE_THREADS, MAX_LISTED};
pub use host::random::Secret;
pub use host::state::{DEFAULT_STATE_BYTES, Space};
pub use inspect::{Counts, Imports, Inspection, MAX_FUNCTION_WORK, digest, inspect};
pub use interface::{CONTRACT, Grants};
pub use kept::{MAX_KEPT, MAX_KEPT_BYTES};
pub use learn::{Asked, Asks, MAX_ASKED};
pub use limits::*;
pub use plugin::Plugin;
pub use pool::{MAX_IDLE, MAX_IDLE_BYTES};
pub use sandbox::{Config, DEFAULT_POOL, MAX_COMPILE_MEMORY, Sandbox};
pub use tenants::{Ceiling, Tenants};
pub use text::plain;
pub use versions::{MAX_RELEASES, Versions};
