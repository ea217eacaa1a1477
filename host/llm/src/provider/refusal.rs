//! What providers say beside an answer or instead of one: errors within it, and when to come back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use serde_json::Value;

use crate::Error;
use crate::status::classify;

/// The longest wait that a provider can ask for: whoever says more has no hope for today.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// The error that an error object in the middle of an answer stands for.
pub(crate) fn in_band(model: &str, error: &Value) -> Error {
    let text = error.to_string();
    let named = ["type", "code", "status"].iter().find_map(|key| error.get(*key)?.as_str()).unwrap_or_default();
    let number = ["code", "status"].iter().find_map(|key| error.get(*key)?.as_u64()).and_then(|code| u16::try_from(code).ok());
    let status = number.filter(|code| (400..600).contains(code)).unwrap_or(match named {
        "rate_limit_error" | "rate_limit_exceeded" | "RESOURCE_EXHAUSTED" => 429,
        "authentication_error" | "permission_error" | "invalid_api_key" => 401,
        "not_found_error" | "model_not_found" => 404,
        "invalid_request_error" | "INVALID_ARGUMENT" | "context_length_exceeded" => 400,
        "request_too_large" => 413,
        _ => 503,
    });
    classify(model, status, None, &text)
}

/// How long an answer asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), which is
/// compared with the answer's own date where it has one, so that clocks that differ do not matter.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(wait) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return Some(Duration::from_millis(wait).min(MAX_RETRY_AFTER));
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(MAX_RETRY_AFTER));
    }
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let from = text(DATE.as_str()).and_then(date).unwrap_or_else(now);
    Some(Duration::from_secs(date(value)?.saturating_sub(from)).min(MAX_RETRY_AFTER))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that RFC 9110 lets servers send.
fn date(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split(' ');
    let mut number = |max: u64| words.next()?.parse::<u64>().ok().filter(|number| *number <= max);
    let day = number(31)?;
    let name = words.next()?;
    let month = (name.len() == 3).then(|| MONTHS.find(name)).flatten().filter(|at| at % 3 == 0)? as u64 / 3 + 1;
    let year = words.next()?.parse::<u64>().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut parts = words.next()?.split(':').map(str::parse::<u64>);
    let mut part = |max: u64| parts.next()?.ok().filter(|part| *part <= max);
    let (hour, minute, second) = (part(23)?, part(59)?, part(60)?);
    if words.next() != Some("GMT") || day == 0 {
        return None;
    }
    // Days from 1970 to the first of March of a year, counted from March so that a leap day is the last day of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}
