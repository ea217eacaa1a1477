//! An agent and its settings.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;

use floe_flow::{Call, Invoke, Report};
use floe_llm::Ladder;

use crate::action::MAX_BRANCHES;
use crate::catalog::Catalog;
use crate::run;

/// Decisions of the model in one run.
pub const DEFAULT_STEPS: u32 = 8;
/// Calls of tools in one run: some for each step, and a plan of many.
pub const DEFAULT_TOOL_CALLS: u32 = 100;
/// Calls of one tool with the same arguments: a look, and another one later.
pub const DEFAULT_REPEATS: u32 = 2;
/// Bytes of what one call gave that the model sees: a few pages, some thousand tokens.
pub const DEFAULT_OBSERVATION: usize = 16 << 10;

/// An agent: a node that reaches a goal by calling tools, as a model decides. Settings do not change while it runs, and runs share
/// nothing else.
#[derive(Debug)]
pub struct Agent {
    /// Decides.
    pub model: Ladder,
    /// What it may call.
    pub catalog: Catalog,
    /// What the operator tells the model about itself, beside the rules that all have.
    pub instructions: Option<String>,
    /// From 0, the likeliest words; none: the provider's own.
    pub temperature: Option<f64>,
    /// What a run may use and do.
    pub limits: Limits,
}

/// What one run may use and do. The budget of its trace holds beside that.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Decisions of the model; in the last one it can only finish.
    pub steps: u32,
    /// Calls of tools, each branch and join counted.
    pub tool_calls: u32,
    /// Tokens read and written; where a provider does not tell, as they were estimated.
    pub tokens: Option<u64>,
    /// Millionths of a dollar, of answers whose price is known.
    pub cost: Option<u64>,
    /// Branches of one plan.
    pub parallel: usize,
    /// Calls of one tool with the same arguments.
    pub repeats: u32,
    /// Bytes of what one call gave that the model sees.
    pub observation: usize,
    /// It may call tools that change something outside and cannot take that twice.
    pub effects: bool,
    /// Tools that are shown and must not be called.
    pub disallow: BTreeSet<String>,
    /// Tools that are not called beside others.
    pub sequential: BTreeSet<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: DEFAULT_STEPS,
            tool_calls: DEFAULT_TOOL_CALLS,
            tokens: None,
            cost: None,
            parallel: MAX_BRANCHES,
            repeats: DEFAULT_REPEATS,
            observation: DEFAULT_OBSERVATION,
            effects: false,
            disallow: BTreeSet::new(),
            sequential: BTreeSet::new(),
        }
    }
}

impl Invoke for Agent {
    /// The payload is the question, a text, or `{"query": "…", "context": …}`; the output an [`Envelope`](crate::Envelope).
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(run::run(self, call))
    }
}
