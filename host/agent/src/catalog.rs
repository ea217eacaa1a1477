//! The tools of an agent: what the model is told of each, and how each is called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Schema, SideEffect};
use serde_json::Value;

/// A tool of the flow that an agent may call (B10, B13).
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name in the flow, such as `search/find`; the model calls it so.
    pub name: String,
    /// For the model.
    pub description: String,
    /// What it takes: shown to the model, and checked before each call.
    pub input: Value,
    /// The same, to check with.
    pub check: Schema,
    /// What it gives; a property with `"artifact": true` is kept from the model and goes into the answer's artifacts (B14, B49).
    pub output: Option<Value>,
    /// What a call does outside.
    pub side_effect: SideEffect,
    /// A second call with the same key has no second effect.
    pub idempotent: bool,
    /// For policies.
    pub tags: Vec<String>,
    /// How long a call may take; none: as long as its plugin's limits say.
    pub timeout: Option<Duration>,
    /// Calls again that are made if one fails for a while; only of those that may be made twice.
    pub retries: u32,
}

impl Tool {
    /// Whether a call may be made twice.
    pub fn is_repeatable(&self) -> bool {
        self.side_effect.is_repeatable(self.idempotent)
    }

    /// Its output's properties that the model does not see.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &String> {
        let properties = self.output.as_ref().and_then(|output| output.get("properties")).and_then(Value::as_object);
        let is_artifact = |schema: &Value| schema.get("artifact") == Some(&Value::Bool(true));
        properties.into_iter().flatten().filter(move |(_, schema)| is_artifact(schema)).map(|(name, _)| name)
    }
}

/// Which tools are there for whom (B57).
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// These and no others; none: all.
    pub allowed: Option<BTreeSet<String>>,
    /// None of these.
    pub denied: BTreeSet<String>,
    /// Only tools with all of these tags.
    pub tags: BTreeSet<String>,
}

impl Policy {
    fn permits(&self, tool: &Tool) -> bool {
        !self.denied.contains(&tool.name)
            && self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&tool.name))
            && self.tags.iter().all(|tag| tool.tags.contains(tag))
    }
}

/// All tools of an agent, and who sees which.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// In the order in which the model sees them.
    pub tools: Vec<Arc<Tool>>,
    /// For everybody.
    pub policy: Policy,
    /// Beside that, for a tenant.
    pub tenants: BTreeMap<Arc<str>, Policy>,
}

impl Catalog {
    /// What is there for a tenant. What is not, is for the model as if it were nowhere.
    pub(crate) fn of(&self, tenant: &str) -> Vec<Arc<Tool>> {
        let own = self.tenants.get(tenant);
        let permits = |tool: &&Arc<Tool>| self.policy.permits(tool) && own.is_none_or(|own| own.permits(tool));
        self.tools.iter().filter(permits).cloned().collect()
    }
}
