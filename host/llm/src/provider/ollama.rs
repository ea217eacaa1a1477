//! Ollama's own chat.

use serde_json::{Value, json};

use super::refusal::in_band;
use super::reply::{Reply, count};
use super::said;
use crate::{Error, Finish, Output, Request};

pub(super) fn body(model: &str, request: &Request, streams: bool) -> Value {
    let mut body = json!({ "model": model, "messages": said(request, true), "stream": streams, "options": {} });
    let options = &mut body["options"];
    if let Some(temperature) = request.temperature {
        options["temperature"] = temperature.into();
    }
    if let Some(max) = request.max_tokens {
        options["num_predict"] = max.into();
    }
    match &request.output {
        Output::Text => {}
        Output::Json => body["format"] = "json".into(),
        Output::Schema(schema) => body["format"] = schema.schema.clone(),
    }
    body
}

pub(super) fn take(name: &str, reply: &mut Reply, value: &Value) -> Result<String, Error> {
    if let Some(error) = value.get("error") {
        return Err(in_band(name, error));
    }
    reply.name(value.get("model"));
    if value.get("done").and_then(Value::as_bool) == Some(true) {
        reply.is_over = true;
        let is_long = value.get("done_reason").and_then(Value::as_str) == Some("length");
        reply.finish = Some(if is_long { Finish::Length } else { Finish::Stop });
        // It leaves the count out where it had read all of the messages before.
        reply.usage.input = count(value, "prompt_eval_count");
        reply.usage.output = count(value, "eval_count");
    }
    let text = value.pointer("/message/content").and_then(Value::as_str).unwrap_or_default();
    Ok(reply.add(text))
}
