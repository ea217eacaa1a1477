//! Agents: a model decides what to do next, tools of the flow do it, and one gate admits each call.
//!
//! An [`Agent`] is a node of a flow like any other, a controller: each step is a turn of its loop, so that the flow's budget, journal,
//! cancellation and tenants hold for it as for everything else. It knows no WebAssembly, no files and no environment.

mod memory;

pub use memory::*;
