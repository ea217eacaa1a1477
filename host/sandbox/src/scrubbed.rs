//! Everything that a plugin with secrets hands over, without their values: a last net under the one around its answers from
//! outside, since a value may also have come in with a message.

use floe_egress::scrub::Scrubber;
use floe_flow::{Failure, Outcome, Output, Payload};
use serde_json::Value;

pub(crate) fn outcome(outcome: Outcome, scrubber: &Scrubber) -> Outcome {
    match outcome {
        Outcome::Outputs(outputs) => Outcome::Outputs(outputs.into_iter().map(|output| self::output(output, scrubber)).collect()),
        Outcome::Again { memory, tokens_used } => Outcome::Again { memory: payload(memory, scrubber), tokens_used },
        Outcome::Final(answer) => Outcome::Final(payload(answer, scrubber)),
    }
}

pub(crate) fn output(output: Output, scrubber: &Scrubber) -> Output {
    Output {
        payload: payload(output.payload, scrubber),
        meta: meta(output.meta, scrubber),
        to: successors(&output.to, scrubber),
        topic: output.topic.map(|topic| text(&topic, scrubber).into()),
        ..output
    }
}

/// Whoever is told that there is no such successor is told the name.
pub(crate) fn successors(to: &[String], scrubber: &Scrubber) -> Vec<String> {
    to.iter().map(|name| text(name, scrubber)).collect()
}

pub(crate) fn meta(meta: Vec<(String, Payload)>, scrubber: &Scrubber) -> Vec<(String, Payload)> {
    meta.into_iter().map(|(key, value)| (text(&key, scrubber), payload(value, scrubber))).collect()
}

pub(crate) fn failure(failure: Failure, scrubber: &Scrubber) -> Failure {
    let detail = failure.detail.map(|detail| payload(detail.into(), scrubber).value().into_owned());
    Failure { message: text(&failure.message, scrubber), detail, ..failure }
}

/// A value that spans more than a text, or is a number, leaves no JSON behind: then what is left is a text.
pub(crate) fn payload(payload: Payload, scrubber: &Scrubber) -> Payload {
    match scrubber.text(payload.text()) {
        std::borrow::Cow::Borrowed(_) => payload,
        std::borrow::Cow::Owned(masked) => Payload::parse(masked.as_str()).unwrap_or_else(|_| Value::String(masked).into()),
    }
}

pub(crate) fn text(text: &str, scrubber: &Scrubber) -> String {
    scrubber.text(text).into_owned()
}
