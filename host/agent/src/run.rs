//! One run: ask the model, do what it decided, tell it what came of that, until it finishes or must.
//!
//! Each answer and each result is noted in the journal before anything follows from it. A run that goes on after a crash takes its
//! notes instead of asking and calling, in the same order, and comes to where it was.

use std::collections::VecDeque;

use floe_flow::{Call, Context, Failure, FailureKind, Outcome, Payload, Receipt, Report};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::action::{Action, Decision};
use crate::agent::Agent;
use crate::envelope::{Envelope, Reason, Step, Usage, tokens};
use crate::gate::Gate;
use crate::prompt::{self, About};
use crate::think;

/// Tokens that an answer may take, where nothing says how many: kept back before a model is asked.
const ANSWER: u64 = 1000;

/// What a run notes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note {
    /// On which day it began.
    Began { date: String },
    /// What the model decided, or how it failed; and what has been used so far.
    Asked(Box<Asked>),
    /// What a call gave.
    Called { number: u64, said: Result<Payload, String> },
}

/// What the model decided, and all that has been used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    thought: Thought,
    usage: Usage,
}

/// What came of asking the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Thought {
    Acts { action: Action, corrections: u32 },
    Fails { reason: Reason, error: String },
}

/// A run under way.
pub(crate) struct Run<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) ctx: Context,
    pub(crate) deadline: Option<Instant>,
    pub(crate) gate: Gate,
    pub(crate) steps: Vec<Step>,
    pub(crate) usage: Usage,
    pub(crate) artifacts: Map<String, Value>,
    pub(crate) receipt: Receipt,
    /// Of an earlier process.
    pub(crate) notes: VecDeque<Note>,
    query: String,
    context: Option<Value>,
}

/// How much a run has left for its next decision.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Left {
    Enough,
    /// For one more, which has to be the last.
    Last(Reason),
    Nothing(Reason),
}

pub(crate) async fn run(agent: &Agent, call: Call) -> Report {
    let (query, context) = match question(&call.message.payload) {
        Ok(question) => question,
        Err(failure) => return Report::from(Err(failure)),
    };
    let notes = call.ctx.recall();
    let read = notes.iter().map(|note| serde_json::from_str(note.text()));
    let Ok(notes) = read.collect::<Result<VecDeque<Note>, _>>() else {
        return Report::from(Err(Failure::new(FailureKind::Conflict, "the run's notes are of another version of this host")));
    };
    let tools = agent.catalog.of(&call.ctx.origin().tenant);
    let mut run = Run {
        agent,
        deadline: call.deadline,
        gate: Gate::new(tools),
        steps: Vec::new(),
        usage: Usage::default(),
        artifacts: Map::new(),
        receipt: Receipt::default(),
        notes,
        query,
        context,
        ctx: call.ctx,
    };
    let result = run.go().await;
    // What tools used has been booked, each time one ended.
    Report { receipt: run.receipt, booked: true, ..Report::from(result.map(|envelope| Outcome::one(json!(envelope).into()))) }
}

/// The question, and what comes with it.
fn question(payload: &Payload) -> Result<(String, Option<Value>), Failure> {
    let wrong =
        || Failure::new(FailureKind::InvalidInput, "an agent takes a text, or an object with `query`, a text, and `context`");
    match payload.value().into_owned() {
        Value::String(query) => Ok((query, None)),
        Value::Object(mut object) => match object.remove("query") {
            Some(Value::String(query)) => Ok((query, object.remove("context"))),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

impl Run<'_> {
    async fn go(&mut self) -> Result<Envelope, Failure> {
        let date = self.begin().await?;
        loop {
            let (messages, left) = self.messages(&date);
            if let Left::Nothing(reason) = left {
                return self.finish(reason, None, None).await;
            }
            let (action, corrections) = match self.think(messages).await? {
                Thought::Acts { action, corrections } => (action, corrections),
                Thought::Fails { reason, error } => return self.finish(reason, None, Some(error)).await,
            };
            // It was read before.
            let decision = action.decision().map_err(|why| Failure::new(FailureKind::Internal, why))?;
            self.steps.push(Step { action, observation: None, corrections });
            if let Decision::Finish(args) = decision {
                return self.finish(Reason::AnswerComplete, Some(args), None).await;
            }
            if let Left::Last(reason) = left {
                return self.finish(reason, None, Some("it did not finish when it had to".to_owned())).await;
            }
            let observation = self.act(decision).await?;
            if let Some(step) = self.steps.last_mut() {
                step.observation = Some(observation);
            }
        }
    }

    /// The day on which the run began.
    async fn begin(&mut self) -> Result<String, Failure> {
        if let Some(Note::Began { date }) = self.notes.pop_front_if(|note| matches!(note, Note::Began { .. })) {
            return Ok(date);
        }
        let date = date(self.ctx.now_ms());
        self.note(&Note::Began { date: date.clone() }).await?;
        Ok(date)
    }

    /// What the model is asked next, and whether it may go on after that.
    fn messages(&self, date: &str) -> (Vec<floe_llm::Message>, Left) {
        let tools = self.gate.tools();
        let about = About { query: &self.query, context: self.context.as_ref(), memory: None, tools, date };
        let messages = prompt::messages(self.agent, &about, &self.steps, false);
        let asked = estimate(&messages);
        match self.left(asked) {
            Left::Last(reason) => (prompt::messages(self.agent, &about, &self.steps, true), Left::Last(reason)),
            left => (messages, left),
        }
    }

    fn left(&self, asked: u64) -> Left {
        let limits = &self.agent.limits;
        let steps = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let (used, cost) = (self.usage.tokens(), self.usage.cost);
        let needs = asked.saturating_add(ANSWER);
        let each = cost / u64::from(self.usage.model_calls.max(1));
        let over = |max: Option<u64>, used: u64, needs: u64| max.is_some_and(|max| used.saturating_add(needs) > max);
        if steps >= limits.steps {
            return Left::Nothing(Reason::NoPath);
        }
        if over(limits.tokens, used, needs) || over(limits.cost, cost, each.max(1)) {
            return Left::Nothing(Reason::BudgetExhausted);
        }
        if over(limits.tokens, used, needs.saturating_mul(2)) || over(limits.cost, cost, each.saturating_mul(2)) {
            return Left::Last(Reason::BudgetExhausted);
        }
        if steps + 1 >= limits.steps { Left::Last(Reason::NoPath) } else { Left::Enough }
    }

    /// The model's decision.
    async fn think(&mut self, messages: Vec<floe_llm::Message>) -> Result<Thought, Failure> {
        if let Some(Note::Asked(asked)) = self.notes.pop_front_if(|note| matches!(note, Note::Asked(_))) {
            self.usage = asked.usage;
            return Ok(asked.thought);
        }
        if !self.notes.is_empty() {
            return Err(Failure::new(
                FailureKind::Conflict,
                "the run's notes do not follow from its question and its agent's settings",
            ));
        }
        let began = Instant::now();
        let asked = estimate(&messages);
        let (thought, answers) = think::ask(self.agent, &self.ctx, messages, self.deadline).await;
        for answer in &answers {
            self.usage.add(answer, asked);
        }
        let usage = self.usage.clone();
        self.note(&Note::Asked(Box::new(Asked { thought: thought.clone(), usage: usage.clone() }))).await?;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tell("model_call", json!({ "step": self.steps.len(), "latency_ms": took, "usage": usage })).await?;
        Ok(thought)
    }

    async fn finish(
        &mut self,
        reason: Reason,
        args: Option<Map<String, Value>>,
        error: Option<String>,
    ) -> Result<Envelope, Failure> {
        let mut extra = args.unwrap_or_default();
        let answer = extra.remove("raw_answer").and_then(|answer| answer.as_str().map(str::to_owned));
        self.tell("finish", json!({ "reason": reason, "steps": self.steps.len(), "usage": self.usage })).await?;
        Ok(Envelope {
            reason,
            answer,
            extra,
            artifacts: std::mem::take(&mut self.artifacts),
            steps: std::mem::take(&mut self.steps),
            usage: std::mem::take(&mut self.usage),
            error,
        })
    }

    pub(crate) async fn note(&self, note: &Note) -> Result<(), Failure> {
        self.ctx.note(Payload::from(json!(note))).await
    }

    /// An event for whoever watches.
    pub(crate) async fn tell(&self, kind: &str, data: Value) -> Result<(), Failure> {
        self.ctx.progress(kind.to_owned(), data.into()).await
    }
}

/// About as many tokens as messages have, with what stands around each.
fn estimate(messages: &[floe_llm::Message]) -> u64 {
    messages.iter().map(|message| tokens(&message.text) + 4).sum()
}

/// `YYYY-MM-DD` of a time in milliseconds since 1970, in the proleptic Gregorian calendar: years begin in March here, so that the day
/// that comes and goes is the last one.
fn date(ms: u64) -> String {
    let days = ms / 86_400_000 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day_of_month:02}", era * 400 + year + carry)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_have_their_dates() {
        for (days, text) in
            [(0, "1970-01-01"), (58, "1970-02-28"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_782, "2026-11-25")]
        {
            assert_eq!(date(days * 86_400_000 + 86_399_999), text);
        }
    }
}
