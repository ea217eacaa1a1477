//! OpenAI's chat completions, and the dialects of the servers that speak them.

use serde_json::{Value, json};

use super::refusal::in_band;
use super::reply::{Reply, count};
use super::said;
use crate::{Error, Finish, Output, Request};

pub(super) fn body(model: &str, request: &Request, streams: bool, is_custom: bool) -> Value {
    let mut body = json!({ "model": model, "messages": said(request, true) });
    if let Some(temperature) = request.temperature {
        body["temperature"] = temperature.into();
    }
    if let Some(max) = request.max_tokens {
        // OpenAI's thinking models know only the new name, other servers often only the old one.
        body[if is_custom { "max_tokens" } else { "max_completion_tokens" }] = max.into();
    }
    if streams {
        body["stream"] = true.into();
        body["stream_options"] = json!({ "include_usage": true });
    }
    match &request.output {
        Output::Text => {}
        Output::Json => body["response_format"] = json!({ "type": "json_object" }),
        // Strict schemas must name every member and forbid all others, which a tool's arguments cannot.
        Output::Schema(schema) => {
            let schema = json!({ "name": schema.name, "schema": schema.schema, "strict": false });
            body["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
        }
    }
    body
}

pub(super) fn take(name: &str, reply: &mut Reply, value: &Value) -> Result<String, Error> {
    if let Some(error) = value.get("error").filter(|error| !error.is_null()) {
        return Err(in_band(name, error));
    }
    reply.name(value.get("model"));
    if let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) {
        reply.usage.input = count(usage, "prompt_tokens");
        reply.usage.output = count(usage, "completion_tokens");
        reply.usage.cached = usage.get("prompt_tokens_details").and_then(|details| count(details, "cached_tokens"));
    }
    let Some(choice) = value.get("choices").and_then(|choices| choices.get(0)) else { return Ok(String::new()) };
    if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
        reply.finish = Some(match reason {
            "length" => Finish::Length,
            "content_filter" => Finish::Filter,
            _ => Finish::Stop,
        });
    }
    let Some(said) = choice.get("message").or_else(|| choice.get("delta")) else { return Ok(String::new()) };
    if let Some(refusal) = said.get("refusal").and_then(Value::as_str) {
        reply.refusal.push_str(refusal);
    }
    Ok(match said.get("content") {
        Some(Value::String(text)) => reply.add(text),
        Some(Value::Array(parts)) => {
            let text: String = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            reply.add(&text)
        }
        _ => String::new(),
    })
}
