//! What a model may decide in one step (spec items B15–B17): call a tool, call several at once and join them, or finish.

use std::sync::{Arc, LazyLock};

use floe_llm::Schema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Branches of one plan, whatever an agent's settings say.
pub const MAX_BRANCHES: usize = 50;

/// One step's decision, as the model writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Why.
    pub thought: String,
    /// The tool to call; none: a plan, or the end.
    #[serde(default)]
    pub next_node: Option<String>,
    /// The tool's arguments, or the answer.
    #[serde(default)]
    pub args: Option<Map<String, Value>>,
    /// Calls that are made at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<Branch>>,
    /// A call with what they gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<Join>,
}

/// One call of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// The tool.
    pub node: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Map<String, Value>,
}

/// The call that follows a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The tool.
    pub node: String,
    /// Its arguments, but for those that are injected.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// Arguments by what stands in their place: `$results`, `$branches`, `$failures`, `$success_count`, `$failure_count`, `$expect`.
    #[serde(default)]
    pub inject: Option<Inject>,
    /// How many branches must have succeeded; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<usize>,
}

/// What is injected into a join, in either form that models write (B16).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Inject {
    /// `{"mapping": {"results": "$results"}}`
    Mapping {
        /// Sources by arguments.
        mapping: Map<String, Value>,
    },
    /// `{"results": "$results"}`
    Plain(Map<String, Value>),
}

/// What an action comes to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    Call(Branch),
    Plan(Vec<Branch>, Option<Join>),
    Finish(Map<String, Value>),
}

impl Inject {
    pub(crate) fn mapping(&self) -> &Map<String, Value> {
        match self {
            Self::Mapping { mapping } | Self::Plain(mapping) => mapping,
        }
    }
}

impl Action {
    /// Reads what a model wrote. The error is for the model: what to write instead.
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let action = Self::deserialize(value).map_err(|error| format!("it is no action: {error}"))?;
        action.decision().map(|_| action)
    }

    /// What is to be done. The error says which keys exclude each other, or what is missing.
    pub(crate) fn decision(&self) -> Result<Decision, String> {
        let args = || self.args.clone().unwrap_or_default();
        match (&self.next_node, &self.plan) {
            (Some(node), Some(_)) => {
                Err(format!("a plan cannot set next_node=`{node}`: use `join` to go on from it, or plan nothing"))
            }
            (Some(node), None) if self.join.is_none() => Ok(Decision::Call(Branch { node: node.clone(), args: args() })),
            (_, None) if self.join.is_some() => Err("`join` needs a `plan` whose results it gets".to_owned()),
            (_, Some(plan)) if plan.is_empty() => Err("a plan has at least one branch; to finish, leave `plan` out".to_owned()),
            (_, Some(plan)) => Ok(Decision::Plan(plan.clone(), self.join.clone())),
            (_, None) => match args().get("raw_answer").and_then(Value::as_str) {
                Some(answer) if !answer.trim().is_empty() => Ok(Decision::Finish(args())),
                _ => Err("to finish, set next_node to null and put the answer into args.raw_answer, a string".to_owned()),
            },
        }
    }
}

/// The schema that models are asked to keep to.
pub(crate) fn schema() -> Arc<Schema> {
    static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let object = |what: &str| json!({ "type": "object", "description": what });
        let schema = json!({
            "type": "object",
            "required": ["thought", "next_node", "args"],
            "properties": {
                "thought": { "type": "string", "description": "Why this is the next step, in a sentence." },
                "next_node": { "type": ["string", "null"], "description": "The tool to call; null to finish or to run a plan." },
                "args": { "type": ["object", "null"], "description": "The tool's arguments; to finish, {\"raw_answer\": \"…\"}." },
                "plan": {
                    "type": ["array", "null"],
                    "description": "Calls that do not depend on each other, made at once.",
                    "items": {
                        "type": "object",
                        "required": ["node", "args"],
                        "properties": { "node": { "type": "string" }, "args": object("Its arguments.") },
                    },
                },
                "join": {
                    "type": ["object", "null"],
                    "description": "A call with what the plan gave.",
                    "required": ["node"],
                    "properties": {
                        "node": { "type": "string" },
                        "args": object("Arguments that are not injected."),
                        "inject": object("Arguments by sources, such as {\"items\": \"$results\"}."),
                        "quorum": { "type": ["integer", "null"], "description": "Branches that must succeed; null: all." },
                    },
                },
            },
        });
        Arc::new(Schema { name: "planner_action".to_owned(), schema })
    });
    Arc::clone(&SCHEMA)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Action, Decision};

    #[test]
    fn an_action_is_one_thing_or_refused() {
        let read = |value| Action::read(&value).and_then(|action| action.decision());
        let call = json!({ "thought": "t", "next_node": "a/b", "args": { "x": 1 } });
        assert!(matches!(read(call), Ok(Decision::Call(branch)) if branch.node == "a/b" && branch.args["x"] == 1));
        let plan = json!({ "thought": "t", "plan": [{ "node": "a" }], "join": { "node": "b", "inject": { "mapping": { "x": "$results" } } } });
        let Ok(Decision::Plan(branches, Some(join))) = read(plan) else { panic!("it is a plan") };
        assert_eq!((branches.len(), &join.inject.unwrap().mapping()["x"]), (1, &json!("$results")));
        assert!(matches!(read(json!({ "thought": "t", "args": { "raw_answer": "42" } })), Ok(Decision::Finish(_))));
        for (wrong, why) in [
            (json!({ "foo": 1 }), "it is no action: missing field `thought`"),
            (json!({ "thought": "t" }), "to finish"),
            (json!({ "thought": "t", "args": { "raw_answer": " " } }), "to finish"),
            (json!({ "thought": "t", "args": { "raw_answer": 7 } }), "to finish"),
            (json!({ "thought": "t", "plan": [] }), "a plan has at least one branch"),
            (json!({ "thought": "t", "next_node": "a", "plan": [{ "node": "a" }] }), "a plan cannot set next_node"),
            (json!({ "thought": "t", "next_node": "a", "join": { "node": "b" } }), "`join` needs a `plan`"),
        ] {
            let found = read(wrong.clone()).unwrap_err();
            assert!(found.starts_with(why), "{wrong}: {found}");
        }
    }
}
