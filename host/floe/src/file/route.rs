//! Routers in the flow file.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::named::Named;
use super::policy::PolicyConfig;
use super::types::OneOrMany;

/// A router: passes a message on, unchanged, to some of its successors.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteNode {
    /// Rules in order, or a field whose value chooses.
    pub route: Route,
    /// Every matching rule counts, not only the first.
    #[serde(default)]
    pub all: bool,
    /// How it is run.
    #[serde(default)]
    pub policy: PolicyConfig,
}

/// How a router chooses.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Route {
    /// Rules in order.
    Rules(Vec<RuleConfig>),
    /// A field of the payload, or a header.
    Field(RouteField),
}

/// `{ when: CEL, to: NODE }` or, as the last one, `{ else: NODE }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// A CEL expression over `payload`, `headers`, `meta` and `trace`, of at most 4 KiB. In a walk over a list (`all`, `exists`,
    /// `map`, `filter`) it sees only the item, so that its work grows no faster than the payload.
    #[serde(default)]
    pub when: Option<String>,
    /// The successors for messages where it is true.
    #[serde(default)]
    pub to: Option<OneOrMany>,
    /// The successors for what no rule matched.
    #[serde(default, rename = "else")]
    pub otherwise: Option<OneOrMany>,
}

/// A field whose value chooses. A value that is not listed goes to `else`; without `else` it names its successor itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteField {
    /// The field, a dotted path in the payload; or `headers.tenant`, `headers.topic`, `headers.priority` or `trace`. A field of
    /// the payload that is called like one of these is `payload.trace`, `payload.headers.topic`.
    pub by: String,
    /// Successors by value.
    #[serde(default)]
    pub to: Named<OneOrMany>,
    /// In the place of `to`: a JSON file with the same, relative to the flow file. It is read again when it has changed; a change
    /// that is wrong is logged and not followed.
    #[serde(default)]
    pub from_file: Option<String>,
    /// In the place of `to`: an environment variable that holds the same as JSON.
    #[serde(default)]
    pub from_env: Option<String>,
    /// The successors for every other value; `[]` ends what is not listed.
    #[serde(default, rename = "else")]
    pub otherwise: Option<OneOrMany>,
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Route;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of rules or `{ by: FIELD, to: { VALUE: NODE } }`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Route, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(Route::Rules)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Route, A::Error> {
                RouteField::deserialize(MapAccessDeserializer::new(entries)).map(Route::Field)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
