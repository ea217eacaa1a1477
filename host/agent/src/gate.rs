//! The one way to a tool's execution: whatever asks for a call, of a single step, a branch or a join, is admitted here or not at all
//! (W1, W12, W15). Arguments that are missing are never made up.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_flow::Payload;
use floe_flow::graph::did_you_mean;
use serde_json::{Map, Value};

use crate::action::Branch;
use crate::agent::Limits;
use crate::catalog::Tool;
use crate::envelope::Usage;

/// A call that may go out.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) tool: Arc<Tool>,
    pub(crate) args: Payload,
    /// Tells the calls of a run apart; the same when the run goes on after a crash.
    pub(crate) number: u64,
}

/// Knows what a run may still do.
#[derive(Debug)]
pub(crate) struct Gate {
    tools: Vec<Arc<Tool>>,
    /// How often each tool was called with each arguments.
    made: BTreeMap<(String, String), u32>,
    next: u64,
}

impl Gate {
    /// For a run that sees these tools.
    pub(crate) fn new(tools: Vec<Arc<Tool>>) -> Self {
        Self { tools, made: BTreeMap::new(), next: 0 }
    }

    pub(crate) fn tools(&self) -> &[Arc<Tool>] {
        &self.tools
    }

    /// Admits a single call or a join.
    pub(crate) fn admit(&mut self, limits: &Limits, usage: &Usage, call: &Branch) -> Result<Admitted, String> {
        let tool = self.check(limits, usage, call, 1)?;
        Ok(self.take(tool, &call.args))
    }

    /// Admits all branches of a plan, or none of them: what is wrong with each (B58).
    pub(crate) fn admit_all(&mut self, limits: &Limits, usage: &Usage, branches: &[Branch]) -> Result<Vec<Admitted>, String> {
        if branches.len() > limits.parallel {
            let (count, max) = (branches.len(), limits.parallel);
            return Err(format!("a plan has at most {max} branches, and this has {count}; plan less at once"));
        }
        let calls = u32::try_from(branches.len()).unwrap_or(u32::MAX);
        let alone = branches.iter().find(|branch| branches.len() > 1 && limits.sequential.contains(&branch.node));
        if let Some(branch) = alone {
            return Err(format!("`{}` is not called beside others; call it in a step of its own", branch.node));
        }
        let checked: Vec<Result<Arc<Tool>, String>> =
            branches.iter().map(|branch| self.check(limits, usage, branch, calls)).collect();
        let mut wrong: Vec<String> = checked.iter().filter_map(|checked| checked.as_ref().err().cloned()).collect();
        wrong.dedup();
        if !wrong.is_empty() {
            return Err(format!("nothing of the plan was run: {}. Correct it and plan again", wrong.join("; ")));
        }
        Ok(checked.into_iter().flatten().zip(branches).map(|(tool, branch)| self.take(tool, &branch.args)).collect())
    }

    /// In this order: is it there, is there budget, is it permitted, has it been made too often, do the arguments fit.
    fn check(&self, limits: &Limits, usage: &Usage, call: &Branch, calls: u32) -> Result<Arc<Tool>, String> {
        let Some(tool) = self.tools.iter().find(|tool| tool.name == call.node) else {
            let names: Vec<String> = self.tools.iter().map(|tool| tool.name.clone()).collect();
            let name = shown(&call.node);
            let guess = did_you_mean(&call.node, &names);
            return Err(format!("there is no tool `{name}`{guess}; there are: {}", names.join(", ")));
        };
        let name = &tool.name;
        if usage.tool_calls.saturating_add(calls) > limits.tool_calls {
            let (used, max) = (usage.tool_calls, limits.tool_calls);
            return Err(format!("limit `tool_calls` reached: {used} of {max} are used; finish with what you have"));
        }
        if limits.disallow.contains(name) {
            return Err(format!("`{name}` must not be called in this run; find another way, or finish"));
        }
        if !tool.is_repeatable() && !limits.effects {
            return Err(format!(
                "`{name}` changes something, and this agent may only look; finish, and say what would be needed"
            ));
        }
        let key = (name.clone(), canonical(&call.args));
        let made = self.made.get(&key).copied().unwrap_or_default();
        if made >= limits.repeats {
            return Err(format!("`{name}` was called {made} times with these arguments; it will not say anything else"));
        }
        tool.check.check(&Value::Object(call.args.clone())).map_err(|why| format!("the arguments do not fit `{name}`: {why}"))?;
        Ok(Arc::clone(tool))
    }

    fn take(&mut self, tool: Arc<Tool>, args: &Map<String, Value>) -> Admitted {
        *self.made.entry((tool.name.clone(), canonical(args))).or_default() += 1;
        self.next += 1;
        Admitted { tool, args: Payload::from(Value::Object(args.clone())), number: self.next - 1 }
    }
}

/// Equal for equal arguments: maps are ordered by their keys.
fn canonical(args: &Map<String, Value>) -> String {
    Value::Object(args.clone()).to_string()
}

/// A name that a model made up, for a message.
fn shown(name: &str) -> String {
    name.chars().filter(|char| !char.is_control()).take(64).collect()
}
