//! What a provider's status and explanation mean for the caller.

use std::time::Duration;

use serde_json::Value;

use crate::Error;
use crate::error::{MAX_EXPLANATION, plain};

/// Words of explanations that mean that the messages are too long. Providers answer with 400 and a sentence.
const TOO_LONG: [&str; 8] = [
    "context_length",
    "context length",
    "context window",
    "maximum context",
    "prompt is too long",
    "input is too long",
    "input token count",
    "exceed context",
];
/// The same for filters.
const FILTERED: [&str; 4] = ["content_filter", "content management policy", "content_policy", "safety system"];
/// The same for keys and accounts, where the status says something else.
const ACCOUNT: [&str; 4] = ["insufficient_quota", "api_key_invalid", "api key not valid", "credit balance is too low"];

/// The error that a status other than 2xx stands for. `body` is the provider's explanation as it came, JSON or not.
pub(crate) fn classify(model: &str, status: u16, retry_after: Option<Duration>, body: &str) -> Error {
    let model = model.to_owned();
    let message = format!("status {status}: {}", explanation(body));
    let lower = body.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match status {
        400..=499 if says(&ACCOUNT) => Error::Authentication { model, message },
        401..=403 => Error::Authentication { model, message },
        404 => Error::UnknownModel { model, message },
        413 => Error::ContextTooLong { model, message },
        429 => Error::RateLimited { model, retry_after, message },
        408 | 425 | 500..=599 => Error::Unavailable { model, retry_after, message },
        400..=499 if says(&TOO_LONG) => Error::ContextTooLong { model, message },
        400..=499 if says(&FILTERED) => Error::Refused { model, message },
        _ => Error::BadRequest { model, message },
    }
}

/// The sentence in a provider's explanation.
fn explanation(body: &str) -> String {
    let parsed = serde_json::from_str::<Value>(body).unwrap_or_default();
    // Gemini's compatible endpoint wraps the object in an array.
    let parsed = parsed.get(0).unwrap_or(&parsed);
    let error = parsed.get("error").unwrap_or(parsed);
    let sentence = error.as_str().or_else(|| error.get("message")?.as_str()).unwrap_or(body);
    match plain(sentence, MAX_EXPLANATION) {
        empty if empty.is_empty() => "it does not say why".to_owned(),
        said => said,
    }
}
