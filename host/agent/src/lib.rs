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
pub use memory::{
    DEFAULT_DEGRADED_RETRY, DEFAULT_FULL_ZONE_TURNS, DEFAULT_MEMORY_BYTES, DEFAULT_RECOVERY_BACKLOG, DEFAULT_RETRY_ATTEMPTS,
    DEFAULT_RETRY_BASE, DEFAULT_SUMMARY_MAX_TOKENS, DEFAULT_TOTAL_MAX_TOKENS, Digest, Health, MAX_BATCH, MAX_CONFLICTS,
    MAX_CONVERSATIONS, MAX_DIGEST_TEXT, MAX_DIGEST_TOOLS, MAX_FULL_ZONE_TURNS, MAX_KEY_PART, MAX_RECOVERY_BACKLOG,
    MAX_RETRY_ATTEMPTS, MAX_RETRY_WAIT, MAX_SUMMARIES, MAX_SUMMARY, MAX_SUMMARY_TIME, MAX_TURN_NAME, MAX_TURN_TEXT, Memory,
    MemoryBudget, MemoryConfig, MemoryContext, MemoryError, MemoryKey, MemoryObserver, MemoryStrategy, Overflow, Recalled,
    Recalling, Strategy, Turn,
};
