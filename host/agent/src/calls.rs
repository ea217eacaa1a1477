//! Doing what the model decided: one call, or a plan's branches and their join, and what the model is told of it (B58–B65).
//!
//! Calls that may be made twice run at once. Those that may not run one after the other, each noted before it begins, so that of a run
//! whose process dies it is known which of them is in doubt.

use std::collections::BTreeMap;
use std::time::Duration;

use floe_flow::{Failure, FailureKind, Payload, ToolCall};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::action::{Branch, Decision, Join};
use crate::gate::Admitted;
use crate::run::{Note, Run};

/// Characters of a failure that the model sees.
const MAX_FAILURE: usize = 500;

/// What a call gave, or why it failed.
type Said = Result<Payload, String>;

/// A call under way, and when it is given up.
type Started = Result<(ToolCall, Option<Instant>), Failure>;

impl Run<'_> {
    /// Does it, and gives what the model is told.
    pub(crate) async fn act(&mut self, decision: Decision) -> Result<Value, Failure> {
        match decision {
            Decision::Call(call) => self.one(&call).await,
            Decision::Plan(branches, join) => self.plan(&branches, join).await,
            Decision::Finish(_) => Ok(Value::Null),
        }
    }

    async fn one(&mut self, call: &Branch) -> Result<Value, Failure> {
        match self.gate.admit(&self.agent.limits, &self.usage, call) {
            Ok(admitted) => {
                let said = self.call_all(std::slice::from_ref(&admitted)).await?;
                Ok(said.into_iter().next().map_or(Value::Null, |said| self.seen(&admitted, said)))
            }
            Err(why) => self.refuse(&call.node, why).await,
        }
    }

    async fn plan(&mut self, branches: &[Branch], join: Option<Join>) -> Result<Value, Failure> {
        let admitted = match self.gate.admit_all(&self.agent.limits, &self.usage, branches) {
            Ok(admitted) => admitted,
            Err(why) => return self.refuse("plan", why).await,
        };
        let said = self.call_all(&admitted).await?;
        let failed = said.iter().filter(|said| said.is_err()).count();
        let joined = match join {
            Some(join) => Some(self.join(join, branches, &said).await?),
            None => None,
        };
        let told = admitted.iter().zip(branches).zip(said.clone()).map(|((admitted, branch), said)| {
            let mut told = json!({ "node": branch.node, "args": branch.args });
            let key = if said.is_ok() { "observation" } else { "error" };
            let seen = match self.seen(admitted, said) {
                Value::Object(mut failure) if key == "error" => failure.remove("error").unwrap_or_default(),
                seen => seen,
            };
            if let Some(told) = told.as_object_mut() {
                told.insert(key.to_owned(), seen);
            }
            told
        });
        let branches: Vec<Value> = told.collect();
        let stats = json!({ "success": branches.len() - failed, "failed": failed });
        Ok(json!({ "branches": branches, "stats": stats, "join": joined }))
    }

    /// Calls a tool with what the branches gave, unless too few of them gave anything.
    async fn join(&mut self, join: Join, branches: &[Branch], said: &[Said]) -> Result<Value, Failure> {
        let succeeded = said.iter().filter(|said| said.is_ok()).count();
        let needed = join.quorum.unwrap_or(branches.len()).min(branches.len());
        if succeeded < needed {
            let skipped = format!("{succeeded} of the {needed} branches that it needs succeeded");
            return Ok(json!({ "node": join.node, "status": "skipped", "reason": skipped }));
        }
        let mut args = join.args;
        for (argument, source) in join.inject.iter().flat_map(|inject| inject.mapping()) {
            match injected(source, branches, said) {
                Ok(value) => _ = args.insert(argument.clone(), value),
                Err(why) => return Ok(json!({ "node": join.node, "error": why })),
            }
        }
        let call = Branch { node: join.node, args };
        let told = self.one(&call).await?;
        Ok(match told.as_object().filter(|told| told.len() == 1).and_then(|told| told.get("error")) {
            Some(error) => json!({ "node": call.node, "error": error }),
            None => json!({ "node": call.node, "observation": told }),
        })
    }

    async fn refuse(&mut self, what: &str, why: String) -> Result<Value, Failure> {
        self.tell("refused", json!({ "node": what, "why": why })).await?;
        Ok(json!({ "error": why }))
    }

    /// Makes the calls, but for those whose results an earlier process has noted; the results in the calls' order.
    async fn call_all(&mut self, calls: &[Admitted]) -> Result<Vec<Said>, Failure> {
        let mut said: BTreeMap<u64, Said> = BTreeMap::new();
        let is_of_these =
            |note: &mut Note| matches!(note, Note::Called { number, .. } if calls.iter().any(|call| call.number == *number));
        while let Some(Note::Called { number, said: noted }) = self.notes.pop_front_if(is_of_these) {
            self.usage.tool_calls += 1;
            said.insert(number, noted);
        }
        let (at_once, in_turn): (Vec<&Admitted>, Vec<&Admitted>) =
            calls.iter().filter(|call| !said.contains_key(&call.number)).partition(|call| call.tool.is_repeatable());
        let mut started = Vec::with_capacity(at_once.len());
        for call in at_once {
            started.push((call, Instant::now(), self.start(call).await?));
        }
        for (call, began, starting) in started {
            let result = self.end(call, began, starting).await?;
            said.insert(call.number, result);
        }
        for call in in_turn {
            self.ctx.begin().await?;
            let (began, starting) = (Instant::now(), self.start(call).await?);
            let result = self.end(call, began, starting).await?;
            said.insert(call.number, result);
        }
        Ok(said.into_values().collect())
    }

    async fn start(&mut self, call: &Admitted) -> Result<Started, Failure> {
        self.usage.tool_calls += 1;
        self.tell("tool_start", json!({ "node": call.tool.name, "call": call.number, "args": call.args })).await?;
        Ok(self.begin_call(call))
    }

    fn begin_call(&self, call: &Admitted) -> Started {
        let own = call.tool.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let deadline = own.into_iter().chain(self.deadline).min();
        let started = self.ctx.start_tool(&call.tool.name, call.args.clone(), call.number, deadline)?;
        Ok((started, own))
    }

    /// Waits for a call, makes it again where that may help and is allowed, and notes what came of it.
    async fn end(&mut self, call: &Admitted, began: Instant, mut started: Started) -> Result<Said, Failure> {
        let mut left = if call.tool.is_repeatable() { call.tool.retries } else { 0 };
        let result = loop {
            let result = match started {
                Ok((running, until)) => finish(running, until, call.tool.timeout, &mut self.receipt).await,
                Err(failure) => Err(failure),
            };
            match result {
                Err(failure) if left > 0 && is_passing(failure.kind) => {
                    left -= 1;
                    tokio::time::sleep(failure.retry_after.unwrap_or_default()).await;
                    started = self.begin_call(call);
                }
                result => break result,
            }
        };
        if self.ctx.is_cancelled() {
            return Err(Failure::new(FailureKind::Cancelled, "the trace is ending"));
        }
        let said: Said = result.map_err(|failure| shorten(&failure.message, MAX_FAILURE));
        self.note(&Note::Called { number: call.number, said: said.clone() }).await?;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (kind, error) = match &said {
            Ok(_) => ("tool_end", None),
            Err(error) => ("tool_error", Some(error)),
        };
        let told = json!({ "node": call.tool.name, "call": call.number, "latency_ms": took, "error": error });
        self.tell(kind, told).await?;
        Ok(said)
    }

    /// What the model sees of a result: without artifacts, which are kept for the answer, and no more than fits.
    fn seen(&mut self, call: &Admitted, said: Said) -> Value {
        let mut result = match said {
            Ok(payload) => payload.value().into_owned(),
            Err(error) => return json!({ "error": error }),
        };
        if let Value::Object(fields) = &mut result {
            for name in call.tool.artifacts() {
                if let Some(artifact) = fields.get_mut(name).filter(|value| !value.is_null()) {
                    let key = format!("{}/{name}", call.number);
                    let size = artifact.to_string().len();
                    let mark = json!(format!("<artifact {key}, {size} bytes>"));
                    self.artifacts.insert(key, std::mem::replace(artifact, mark));
                }
            }
        }
        let text = result.to_string();
        let max = self.agent.limits.observation;
        if text.len() <= max {
            return result;
        }
        json!({ "truncated": shorten(&text, max), "bytes": text.len() })
    }
}

async fn finish(
    running: ToolCall,
    until: Option<Instant>,
    timeout: Option<Duration>,
    receipt: &mut floe_flow::Receipt,
) -> Result<Payload, Failure> {
    let Some(until) = until else { return running.finish(receipt).await };
    // Dropped, it stops.
    timeout_at(until, running.finish(receipt)).await.unwrap_or_else(|_| {
        let after = timeout.unwrap_or_default();
        Err(Failure::new(FailureKind::TimedOut, format!("it took longer than its `timeout`, {after:?}")))
    })
}

/// Whether the same call may succeed later.
fn is_passing(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::TimedOut | FailureKind::Busy | FailureKind::Unavailable | FailureKind::Internal)
}

/// What stands for a source (B62).
fn injected(source: &Value, branches: &[Branch], said: &[Said]) -> Result<Value, String> {
    let failures = || branches.iter().zip(said).filter_map(|(branch, said)| Some((branch, said.as_ref().err()?)));
    let value = |said: &Said| said.as_ref().map(|payload| payload.value().into_owned()).ok();
    let succeeded = said.iter().filter(|said| said.is_ok()).count();
    Ok(match source.as_str() {
        Some("$results") => said.iter().filter_map(value).collect(),
        Some("$branches") => {
            let told = branches.iter().zip(said).map(|(branch, said)| {
                let mut told = Map::from_iter([("node".to_owned(), json!(branch.node)), ("args".to_owned(), json!(branch.args))]);
                match said {
                    Ok(payload) => told.insert("observation".to_owned(), payload.value().into_owned()),
                    Err(error) => told.insert("error".to_owned(), json!(error)),
                };
                Value::Object(told)
            });
            told.collect()
        }
        Some("$failures") => failures().map(|(branch, error)| json!({ "node": branch.node, "error": error })).collect(),
        Some("$success_count") => json!(succeeded),
        Some("$failure_count") => json!(said.len() - succeeded),
        Some("$expect") => json!(branches.len()),
        _ => {
            let known = "$results, $branches, $failures, $success_count, $failure_count, $expect";
            return Err(format!("`inject` has the unknown source {}; there are: {known}", shorten(&source.to_string(), 64)));
        }
    })
}

/// No more than so many bytes.
fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}
