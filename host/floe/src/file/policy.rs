//! The `policy` of a node in the flow file, and what becomes of it.

use std::fmt;

use floe_flow::{Backoff, FailureKind, OnFailure, Policy, Validate};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::units::{FromMillisecond, Time};

/// How a node is run; what is not given is the default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Bounds one attempt (unlimited).
    #[schemars(with = "Option<FromMillisecond>")]
    pub timeout: Option<Time>,
    /// Tries after the first (0).
    pub retries: Option<u32>,
    /// The pause before a retry (100ms, doubled each time up to 30s).
    pub backoff: Option<BackoffConfig>,
    /// Failures that are retried (busy, unavailable, timed-out, internal).
    #[schemars(with = "Option<Vec<KindSchema>>")]
    pub retry_on: Option<Vec<FailureKind>>,
    /// Invocations at once (number of cores).
    #[schemars(range(min = 1))]
    pub concurrency: Option<usize>,
    /// One invocation at a time per trace, in the order of arrival.
    pub ordered: Option<bool>,
    /// Which sides are checked against the node's schemas (both).
    pub validate: Option<ValidateConfig>,
    /// What the last failed attempt means for the trace (fail).
    pub on_failure: Option<OnFailureConfig>,
    /// Turns of a controller loop (8).
    pub turns: Option<u32>,
}

/// Which sides are checked.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValidateConfig {
    /// Input and outputs.
    Both,
    /// The input.
    In,
    /// The outputs.
    Out,
    /// Nothing.
    None,
}

/// The pause before a retry: a duration, or all of it.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum BackoffConfig {
    /// Before the first retry.
    Base(Time),
    /// All of it.
    Full(BackoffParts),
}

/// All of a backoff.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffParts {
    /// Before the first retry (100ms).
    pub base: Option<Time>,
    /// From one retry to the next (2).
    #[schemars(range(min = 1.0))]
    pub factor: Option<f64>,
    /// Never longer than this (30s).
    pub cap: Option<Time>,
    /// Take a random part between half and all of the pause (true).
    pub jitter: Option<bool>,
}

/// What the last failed attempt means for the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnFailureConfig {
    /// The trace fails.
    Fail,
    /// This branch ends.
    Drop,
    /// The failure goes to this node.
    To(String),
}

/// `{ to: NODE }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FailureTarget {
    /// The node that the failure goes to, as the message `{"error": {…}, "payload": …}`.
    to: String,
}

impl PolicyConfig {
    /// The policy, with `cores` invocations at once unless the file says otherwise. The error names what is out of range.
    pub fn policy(&self, cores: usize) -> Result<Policy, String> {
        let default = Policy::with_concurrency(self.concurrency.unwrap_or(cores));
        Ok(Policy {
            validate: self.validate.map_or(default.validate, Into::into),
            timeout: self.timeout.map(|time| time.0).or(default.timeout),
            retries: self.retries.unwrap_or(default.retries),
            backoff: self.backoff.as_ref().map_or(Ok(default.backoff), |given| given.over(default.backoff))?,
            retry_on: self.retry_on.clone().unwrap_or(default.retry_on),
            on_failure: self.on_failure.clone().map_or(default.on_failure, Into::into),
            concurrency: default.concurrency,
            ordered: self.ordered.unwrap_or(default.ordered),
            turns: self.turns.unwrap_or(default.turns),
        })
    }
}

impl BackoffConfig {
    fn over(&self, default: Backoff) -> Result<Backoff, String> {
        match self {
            Self::Base(base) => Ok(Backoff { base: base.0, ..default }),
            Self::Full(parts) => {
                let factor = parts.factor.unwrap_or(default.factor);
                if !factor.is_finite() || factor < 1.0 {
                    return Err(format!("`factor: {factor}` would shorten the pauses; use 1 or more"));
                }
                Ok(Backoff {
                    base: parts.base.map_or(default.base, |time| time.0),
                    factor,
                    cap: parts.cap.map_or(default.cap, |time| time.0),
                    jitter: parts.jitter.unwrap_or(default.jitter),
                })
            }
        }
    }
}

impl From<ValidateConfig> for Validate {
    fn from(config: ValidateConfig) -> Self {
        match config {
            ValidateConfig::Both => Self::Both,
            ValidateConfig::In => Self::In,
            ValidateConfig::Out => Self::Out,
            ValidateConfig::None => Self::None,
        }
    }
}

impl From<OnFailureConfig> for OnFailure {
    fn from(config: OnFailureConfig) -> Self {
        match config {
            OnFailureConfig::Fail => Self::Fail,
            OnFailureConfig::Drop => Self::Drop,
            OnFailureConfig::To(node) => Self::To(node),
        }
    }
}

// === how they are read ===

impl<'de> Deserialize<'de> for BackoffConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = BackoffConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 100ms, or `{ base, factor, cap, jitter }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<BackoffConfig, E> {
                super::units::parse_time(text).map(|base| BackoffConfig::Base(Time(base))).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<BackoffConfig, A::Error> {
                BackoffParts::deserialize(MapAccessDeserializer::new(entries)).map(BackoffConfig::Full)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for OnFailureConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = OnFailureConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`fail`, `drop` or `{ to: NODE }`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OnFailureConfig, E> {
                match (text, text.strip_prefix("to:")) {
                    ("fail", _) => Ok(OnFailureConfig::Fail),
                    ("drop", _) => Ok(OnFailureConfig::Drop),
                    (_, Some(node)) => Ok(OnFailureConfig::To(node.trim().to_owned())),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<OnFailureConfig, A::Error> {
                let target = FailureTarget::deserialize(MapAccessDeserializer::new(entries))?;
                Ok(OnFailureConfig::To(target.to))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

// === how an editor checks them ===

impl JsonSchema for OnFailureConfig {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OnFailure".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let target = generator.subschema_for::<FailureTarget>();
        schemars::json_schema!({
            "description": "What the last failed attempt means for the trace.",
            "anyOf": [{ "type": "string", "pattern": "^(fail|drop|to: ?[a-z0-9_-]+)$" }, target],
        })
    }
}

/// The names of [`FailureKind`], for an editor.
struct KindSchema;

impl JsonSchema for KindSchema {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FailureKind".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = FailureKind::ALL.iter().map(|kind| kind.code()).collect();
        schemars::json_schema!({ "type": "string", "enum": names })
    }
}
