//! Between the contract's types and the flow's. Whatever comes from the guest is checked here: JSON, names, sizes, counts.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Failure, FailureKind, Outcome, Output, Payload, SideEffect};

use crate::bindings::exports::floe::plugin::node;
use crate::bindings::floe::plugin::types;
use crate::state::Identity;
use crate::text::{is_format, is_name, plain};

/// A failure's message; the contract says so.
const MAX_MESSAGE: usize = 4 << 10;
/// A failure's detail is for programs, not for data.
const MAX_DETAIL: usize = 64 << 10;
/// More keys than a message's sender can keep apart.
const MAX_META: usize = 64;
/// A key of meta, or a topic.
const MAX_LABEL: usize = 256;
/// More successors than a node has.
const MAX_TO: usize = 256;
/// What the host holds for a field or a name beside its text: structures and allocations, rounded up. Messages have a limit
/// in number.
const OVERHEAD: usize = 128;

/// What is wrong with a value of the guest's, as a clause.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

/// A JSON text.
pub(crate) fn payload(text: String) -> Result<Payload, Wrong> {
    Payload::parse(text).map_err(|error| Wrong(error.to_string()))
}

/// Keys and JSON texts.
pub(crate) fn meta(fields: Vec<types::FieldResult>) -> Result<Vec<(String, Payload)>, Wrong> {
    if fields.len() > MAX_META {
        return Err(Wrong(format!("{} keys of meta are more than {MAX_META}", fields.len())));
    }
    let field = |(key, value): types::FieldResult| {
        let value = payload(value).map_err(|Wrong(what)| Wrong(format!("meta `{}` is {what}", plain(&key, MAX_LABEL))))?;
        Ok((label("a key of meta", key)?, value))
    };
    fields.into_iter().map(field).collect()
}

/// Names of successors; whether the node has them is the flow's to know.
pub(crate) fn successors(to: Vec<String>) -> Result<Vec<String>, Wrong> {
    if to.len() > MAX_TO {
        return Err(Wrong(format!("{} names of successors are more than {MAX_TO}", to.len())));
    }
    for (index, name) in to.iter().enumerate() {
        if !is_name(name) {
            return Err(Wrong(format!("`{}` is no name of a successor", plain(name, 64))));
        }
        if to[..index].contains(name) {
            return Err(Wrong(format!("the successor `{name}` is named twice")));
        }
    }
    Ok(to)
}

/// A short text that people and programs tell things apart by.
pub(crate) fn label(what: &str, label: String) -> Result<String, Wrong> {
    if label.is_empty() || label.len() > MAX_LABEL || label.chars().any(|char| char.is_control() || is_format(char)) {
        return Err(Wrong(format!("{what} is not a text of 1 to {MAX_LABEL} bytes without control characters")));
    }
    Ok(label)
}

/// Bytes of an emission beside its payload.
pub(crate) fn size(meta: &[types::FieldResult], to: &[String]) -> usize {
    let meta: usize = meta.iter().map(|(key, value)| key.len() + value.len() + OVERHEAD).sum();
    meta + to.iter().map(|name| name.len() + OVERHEAD).sum::<usize>()
}

/// Bytes that a message takes in the host.
pub(crate) fn output_size(output: &types::Output) -> usize {
    output.payload.len() + size(&output.meta, &output.to) + output.topic.as_ref().map_or(0, String::len)
}

/// Bytes of everything in an outcome.
pub(crate) fn outcome_size(outcome: &node::Outcome) -> usize {
    match outcome {
        node::Outcome::Outputs(outputs) => outputs.iter().map(output_size).sum(),
        node::Outcome::Again(memory) => memory.memory.len(),
        node::Outcome::Final(payload) => payload.len(),
    }
}

/// What a node decided.
pub(crate) fn outcome(outcome: node::Outcome, plugin: &Identity) -> Result<Outcome, Failure> {
    let used = outcome_size(&outcome) as u64;
    if used > plugin.limits.result {
        return Err(plugin.limit(FailureKind::Exhausted, "result", used, plugin.limits.result));
    }
    match outcome {
        node::Outcome::Outputs(outputs) => {
            let (count, max) = (outputs.len() as u64, u64::from(plugin.limits.emits));
            if count > max {
                return Err(plugin.limit(FailureKind::Exhausted, "emits", count, max));
            }
            let outputs = outputs.into_iter().map(output).collect::<Result<_, _>>();
            outputs.map(Outcome::Outputs).map_err(|Wrong(what)| garbage("an output", &what))
        }
        node::Outcome::Again(memory) => {
            let tokens_used = memory.tokens_used;
            let memory = payload(memory.memory).map_err(|Wrong(what)| garbage("a working memory", &what))?;
            Ok(Outcome::Again { memory, tokens_used })
        }
        node::Outcome::Final(answer) => payload(answer).map(Outcome::Final).map_err(|Wrong(what)| garbage("an answer", &what)),
    }
}

/// A tool's result.
pub(crate) fn result(text: String, plugin: &Identity) -> Result<Outcome, Failure> {
    let used = text.len() as u64;
    if used > plugin.limits.result {
        return Err(plugin.limit(FailureKind::Exhausted, "result", used, plugin.limits.result));
    }
    payload(text).map(Outcome::one).map_err(|Wrong(what)| garbage("a result", &what))
}

/// A message that the guest sends.
pub(crate) fn output(output: types::Output) -> Result<Output, Wrong> {
    Ok(Output {
        payload: payload(output.payload)?,
        meta: meta(output.meta)?,
        to: successors(output.to)?,
        topic: output.topic.map(|topic| label("a topic", topic)).transpose()?.map(Arc::from),
        priority: output.priority,
    })
}

fn garbage(what: &str, wrong: &str) -> Failure {
    Failure::new(FailureKind::Internal, format!("the plugin returned {what} that breaks the contract: {wrong}"))
}

/// A failure that the guest reports.
pub(crate) fn failure_from_guest(failure: types::Failure) -> Failure {
    let detail = failure.detail.filter(|detail| detail.len() <= MAX_DETAIL);
    let message = plain(&failure.message, MAX_MESSAGE);
    Failure {
        kind: kind_from_guest(failure.kind),
        message: if message.trim().is_empty() { "the plugin failed and did not say why".to_owned() } else { message },
        retry_after: failure.retry_after_ms.map(Duration::from_millis),
        // What is not JSON is no use to a program.
        detail: detail.and_then(|detail| Payload::parse(detail).ok()).map(|detail| detail.value().into_owned()),
    }
}

/// A failure that the guest is told of.
pub(crate) fn failure_to_guest(failure: Failure) -> types::Failure {
    types::Failure {
        kind: kind_to_guest(failure.kind),
        message: failure.message,
        retry_after_ms: failure.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        detail: failure.detail.map(|detail| detail.to_string()),
    }
}

fn kind_from_guest(kind: types::FailureKind) -> FailureKind {
    match kind {
        types::FailureKind::InvalidInput => FailureKind::InvalidInput,
        types::FailureKind::NotFound => FailureKind::NotFound,
        types::FailureKind::Conflict => FailureKind::Conflict,
        types::FailureKind::Denied => FailureKind::Denied,
        types::FailureKind::Exhausted => FailureKind::Exhausted,
        types::FailureKind::TimedOut => FailureKind::TimedOut,
        types::FailureKind::Busy => FailureKind::Busy,
        types::FailureKind::Unavailable => FailureKind::Unavailable,
        types::FailureKind::Cancelled => FailureKind::Cancelled,
        types::FailureKind::Internal => FailureKind::Internal,
    }
}

fn kind_to_guest(kind: FailureKind) -> types::FailureKind {
    match kind {
        FailureKind::InvalidInput => types::FailureKind::InvalidInput,
        FailureKind::NotFound => types::FailureKind::NotFound,
        FailureKind::Conflict => types::FailureKind::Conflict,
        FailureKind::Denied => types::FailureKind::Denied,
        FailureKind::Exhausted => types::FailureKind::Exhausted,
        FailureKind::TimedOut => types::FailureKind::TimedOut,
        FailureKind::Busy => types::FailureKind::Busy,
        FailureKind::Unavailable => types::FailureKind::Unavailable,
        FailureKind::Cancelled => types::FailureKind::Cancelled,
        FailureKind::Internal => types::FailureKind::Internal,
    }
}

pub(crate) fn side_effect(side_effect: types::SideEffect) -> SideEffect {
    match side_effect {
        types::SideEffect::Pure => SideEffect::Pure,
        types::SideEffect::Read => SideEffect::Read,
        types::SideEffect::Write => SideEffect::Write,
        types::SideEffect::External => SideEffect::External,
    }
}
