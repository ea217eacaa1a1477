//! What an agent's run comes to: one shape, however it ends (B39–B47, W9).

use std::collections::BTreeMap;

use floe_llm::Answer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::action::Action;

/// How a run ended. A deadline, a cancel or a budget of the whole trace ends that instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The model gave its answer.
    AnswerComplete,
    /// It came to none within its steps.
    NoPath,
    /// What it may use of tokens, money or calls was used up.
    BudgetExhausted,
    /// It did not write an action, not when told how either.
    ParseFailed,
    /// No model answered.
    ModelFailed,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// How it ended.
    pub reason: Reason,
    /// The answer; none unless the reason is `answer_complete`.
    pub answer: Option<String>,
    /// What the model said beside its answer: `confidence`, `route`, `warnings`, and whatever else.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extra: Map<String, Value>,
    /// What tools gave that the model did not see, by `CALL/PROPERTY`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub artifacts: Map<String, Value>,
    /// All that happened, in order.
    pub steps: Vec<Step>,
    /// What was used.
    pub usage: Usage,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One decision and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What the model decided.
    pub action: Action,
    /// What it was told of that; none for the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Value>,
    /// How often it had to be corrected before it wrote that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub corrections: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a run has used. Tokens of which the provider does not tell count as they were estimated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Answers of models.
    pub model_calls: u32,
    /// Calls of tools.
    pub tool_calls: u32,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Millionths of a dollar of those answers whose price is known.
    pub cost: u64,
    /// Answers whose price is not known: the cost is at least that.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unpriced: u32,
    /// Answers by model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, u32>,
}

impl Usage {
    /// Adds an answer to a request of about `asked` tokens.
    pub(crate) fn add(&mut self, answer: &Answer, asked: u64) {
        self.model_calls += 1;
        self.input_tokens = self.input_tokens.saturating_add(answer.usage.input.unwrap_or(asked));
        self.output_tokens = self.output_tokens.saturating_add(answer.usage.output.unwrap_or_else(|| tokens(&answer.text)));
        match answer.cost {
            Some(cost) => self.cost = self.cost.saturating_add(cost),
            None => self.unpriced += 1,
        }
        *self.models.entry(answer.model.clone()).or_default() += 1;
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// About as many tokens as a text has: four bytes each.
pub(crate) fn tokens(text: &str) -> u64 {
    text.len() as u64 / 4 + 1
}
