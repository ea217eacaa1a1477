//! Anthropic's messages.

use serde_json::{Value, json};

use super::refusal::in_band;
use super::reply::{Reply, count};
use super::{said, system};
use crate::{Error, Finish, Output, Request};

/// Tokens of an answer where the request says nothing: Anthropic asks for a number, and all its models can do this many.
pub(super) const MAX_TOKENS: u32 = 4096;

pub(super) fn body(model: &str, request: &Request, streams: bool) -> Value {
    let mut body = json!({
        "model": model,
        "max_tokens": request.max_tokens.unwrap_or(MAX_TOKENS),
        "messages": said(request, false),
    });
    if let Some(system) = system(&request.messages) {
        body["system"] = system.into();
    }
    if let Some(temperature) = request.temperature {
        body["temperature"] = temperature.into();
    }
    if streams {
        body["stream"] = true.into();
    }
    if let Output::Schema(schema) = &request.output {
        body["output_config"] = json!({ "format": { "type": "json_schema", "schema": schema.schema } });
    }
    body
}

pub(super) fn take(name: &str, reply: &mut Reply, value: &Value) -> Result<String, Error> {
    let text = |value: &Value| value.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    match value.get("type").and_then(Value::as_str).unwrap_or_default() {
        "error" => return Err(in_band(name, value.get("error").unwrap_or(value))),
        "message" => {
            note(reply, value);
            reply.is_over = true;
            let blocks = value.get("content").and_then(Value::as_array);
            let said: String = blocks.into_iter().flatten().map(text).collect();
            return Ok(reply.add(&said));
        }
        "message_start" => note(reply, value.get("message").unwrap_or(&Value::Null)),
        "message_delta" => {
            note(reply, value.get("delta").unwrap_or(&Value::Null));
            note(reply, value);
        }
        "message_stop" => reply.is_over = true,
        "content_block_start" => return Ok(reply.add(&value.get("content_block").map(text).unwrap_or_default())),
        "content_block_delta" => return Ok(reply.add(&value.get("delta").map(text).unwrap_or_default())),
        _ => {}
    }
    Ok(String::new())
}

/// Who answers, what it used, why it stopped, as far as it says so here.
fn note(reply: &mut Reply, value: &Value) {
    reply.name(value.get("model"));
    if let Some(reason) = value.get("stop_reason").and_then(Value::as_str) {
        reply.finish = Some(match reason {
            "max_tokens" | "model_context_window_exceeded" => Finish::Length,
            "refusal" => Finish::Filter,
            _ => Finish::Stop,
        });
    }
    let Some(usage) = value.get("usage") else { return };
    if let Some(input) = count(usage, "input_tokens") {
        // What came from the cache, or went into it, is counted apart.
        let cached = count(usage, "cache_read_input_tokens");
        let written = count(usage, "cache_creation_input_tokens").unwrap_or(0);
        reply.usage.input = Some(input.saturating_add(cached.unwrap_or(0)).saturating_add(written));
        reply.usage.cached = cached;
    }
    reply.usage.output = count(usage, "output_tokens").or(reply.usage.output);
}
