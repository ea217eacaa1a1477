//! Agents: a model decides what to do next, tools of the flow do it, and one gate admits each call.
//!
//! An [`Agent`] is a node of a flow like any other, a controller: each step is a turn of its loop, so that the flow's budget, journal,
//! cancellation and tenants hold for it as for everything else. It knows no WebAssembly, no files and no environment.

mod action;
mod agent;
mod calls;
mod catalog;
mod envelope;
mod gate;
mod memory;
mod prompt;
mod run;
mod think;

pub use action::{Action, Branch, Inject, Join, MAX_BRANCHES};
pub use agent::{Agent, DEFAULT_OBSERVATION, DEFAULT_REPEATS, DEFAULT_STEPS, DEFAULT_TOOL_CALLS, Limits};
pub use catalog::{Catalog, Policy, Tool};
pub use envelope::{Envelope, Reason, Step, Usage};
