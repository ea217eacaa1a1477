//! Google's `generateContent`.

use serde_json::{Value, json};

use super::refusal::in_band;
use super::reply::{Reply, count};
use super::system;
use crate::error::{MAX_EXPLANATION, plain};
use crate::{Error, Finish, Output, Request, Role};

pub(super) fn body(request: &Request) -> Value {
    let said = request.messages.iter().filter_map(|message| {
        let role = match message.role {
            Role::System => return None,
            Role::User => "user",
            Role::Assistant => "model",
        };
        Some(json!({ "role": role, "parts": [{ "text": message.text }] }))
    });
    let mut body = json!({ "contents": said.collect::<Vec<_>>(), "generationConfig": {} });
    if let Some(system) = system(&request.messages) {
        body["systemInstruction"] = json!({ "parts": [{ "text": system }] });
    }
    let config = &mut body["generationConfig"];
    if let Some(temperature) = request.temperature {
        config["temperature"] = temperature.into();
    }
    if let Some(max) = request.max_tokens {
        config["maxOutputTokens"] = max.into();
    }
    match &request.output {
        Output::Text => {}
        Output::Json => config["responseMimeType"] = "application/json".into(),
        Output::Schema(schema) => {
            config["responseMimeType"] = "application/json".into();
            config["responseJsonSchema"] = schema.schema.clone();
        }
    }
    body
}

pub(super) fn take(name: &str, reply: &mut Reply, value: &Value) -> Result<String, Error> {
    if let Some(error) = value.get("error") {
        return Err(in_band(name, error));
    }
    if let Some(reason) = value.pointer("/promptFeedback/blockReason").and_then(Value::as_str) {
        let message = format!("it blocks the messages: {}", plain(reason, MAX_EXPLANATION));
        return Err(Error::Refused { model: name.to_owned(), message });
    }
    reply.name(value.get("modelVersion"));
    if let Some(usage) = value.get("usageMetadata") {
        reply.usage.input = count(usage, "promptTokenCount");
        let thought = count(usage, "thoughtsTokenCount").unwrap_or(0);
        reply.usage.output = count(usage, "candidatesTokenCount").map(|said| said.saturating_add(thought));
        reply.usage.cached = count(usage, "cachedContentTokenCount");
    }
    let Some(candidate) = value.get("candidates").and_then(|candidates| candidates.get(0)) else { return Ok(String::new()) };
    if let Some(reason) = candidate.get("finishReason").and_then(Value::as_str) {
        reply.finish = Some(match reason {
            "MAX_TOKENS" => Finish::Length,
            "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => Finish::Filter,
            _ => Finish::Stop,
        });
    }
    let parts = candidate.pointer("/content/parts").and_then(Value::as_array);
    let is_said = |part: &&Value| part.get("thought").and_then(Value::as_bool) != Some(true);
    let text: String = parts.into_iter().flatten().filter(is_said).filter_map(|part| part.get("text")?.as_str()).collect();
    Ok(reply.add(&text))
}
