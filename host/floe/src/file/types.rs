//! The flow file as types. `floe schema flow` prints the JSON Schema of these very types, doc comments included.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};

use floe_flow::flow::{DEFAULT_HOPS, DEFAULT_MESSAGES, DEFAULT_PAYLOAD};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::agent::AgentNode;
use super::grants::GrantsConfig;
use super::join::JoinNode;
use super::limits::{LimitsConfig, Profile};
use super::named::Named;
use super::policy::PolicyConfig;
use super::route::RouteNode;
use super::subflow::SubflowNode;
use super::units::{Bytes, Count, FromByte, FromMillisecond, FromOne, Time};

/// A Floe flow: plugins, the nodes made of them, the edges between the nodes, and what a trace may use.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(deny_unknown_fields, title = "Floe flow")]
pub struct FlowFile {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub floe: u32,
    /// The flow's name: `[a-z0-9_-]+`.
    #[schemars(regex(pattern = "^[a-z0-9_-]{1,64}$"))]
    pub name: String,
    /// Sandboxed code, by name.
    #[schemars(default)]
    pub plugins: Named<Plugin>,
    /// Other flows that nodes of this one run, by name: each a flow file or its folder, relative to this file. A subflow has
    /// plugins of its own, and a budget within what its caller has left.
    #[schemars(default)]
    pub subflows: Named<String>,
    /// What a message goes through, by name.
    pub nodes: Named<Node>,
    /// The ways between nodes. A node without successors is an output of the flow, one without predecessors an input.
    #[schemars(default)]
    pub edges: Vec<Edge>,
    /// What one trace may use.
    #[schemars(default)]
    pub budget: Budget,
}

/// A plugin: where it comes from and what it may do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// A directory with the plugin's source, or a `.wasm` file, relative to the flow file; or `store:NAME`, one that
    /// `floe plugin add` has put into the store.
    pub source: String,
    /// Capabilities that it may use, each with its terms; nothing unless it stands here.
    #[serde(default)]
    pub grants: GrantsConfig,
    /// The limits that suit the language it is written in.
    #[serde(default)]
    pub profile: Profile,
    /// Limits of one call that differ from the profile's.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// What one trace may use; what is not given is as described here.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Invocations of nodes, each retry one more (100 000).
    #[schemars(with = "Option<FromOne>")]
    pub hops: Option<Count>,
    /// Time from submit to terminal (unlimited).
    #[schemars(with = "Option<FromMillisecond>")]
    pub deadline: Option<Time>,
    /// Units of guest computation (unlimited).
    #[schemars(with = "Option<FromOne>")]
    pub fuel: Option<Count>,
    /// Bytes of guest memory of all calls that run at once (unlimited).
    #[schemars(with = "Option<FromByte>")]
    pub memory: Option<Bytes>,
    /// Calls of guests to the host (unlimited).
    pub host_calls: Option<Count>,
    /// Log lines of guests (unlimited).
    pub log_lines: Option<Count>,
    /// Emissions of guests (unlimited).
    pub emits: Option<Count>,
    /// Calls of guests to subflows and tools (unlimited).
    pub calls: Option<Count>,
    /// Values that guests set or delete (unlimited).
    pub state_writes: Option<Count>,
    /// Requests of guests to the network (unlimited).
    pub requests: Option<Count>,
    /// Bytes that guests send to the network (unlimited).
    pub egress_bytes: Option<Bytes>,
    /// Messages on their way at once (10 000).
    #[schemars(with = "Option<FromOne>")]
    pub messages: Option<Count>,
    /// Bytes of one payload (8MiB).
    #[schemars(with = "Option<FromByte>")]
    pub payload: Option<Bytes>,
    /// Tokens that controllers say they used (unlimited).
    #[schemars(with = "Option<FromOne>")]
    pub tokens: Option<Count>,
}

/// What a trace may use where the file says nothing.
pub(crate) const DEFAULT_BUDGET: floe_flow::Budget = floe_flow::Budget::new(DEFAULT_HOPS, DEFAULT_MESSAGES, DEFAULT_PAYLOAD);

impl Budget {
    /// The default with what is given in its place.
    pub fn over(&self, default: floe_flow::Budget) -> floe_flow::Budget {
        let count = |given: Option<Count>| given.map(|given| given.0);
        floe_flow::Budget {
            hops: count(self.hops).unwrap_or(default.hops),
            messages: count(self.messages).unwrap_or(default.messages),
            payload: self.payload.map_or(default.payload, |bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX)),
            fuel: count(self.fuel).or(default.fuel),
            memory: self.memory.map(|bytes| bytes.0).or(default.memory),
            host_calls: count(self.host_calls).or(default.host_calls),
            log_lines: count(self.log_lines).or(default.log_lines),
            emits: count(self.emits).or(default.emits),
            calls: count(self.calls).or(default.calls),
            state_writes: count(self.state_writes).or(default.state_writes),
            requests: count(self.requests).or(default.requests),
            egress_bytes: self.egress_bytes.map(|bytes| bytes.0).or(default.egress_bytes),
            tokens: count(self.tokens).or(default.tokens),
            deadline: self.deadline.map(|time| time.0).or(default.deadline),
        }
    }
}

/// A node is exactly one of `run`, `route`, `join`, `map`, `subflow`, `agent` and `discard`.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Node {
    /// Computes.
    Run(RunNode),
    /// Chooses successors.
    Route(RouteNode),
    /// Makes one message of many.
    Join(JoinNode),
    /// Applies a plugin's node to every item of an array.
    Map(MapNode),
    /// Runs another flow.
    Subflow(SubflowNode),
    /// Reaches a goal by calling tools, as a model decides.
    Agent(Box<AgentNode>),
    /// Ends what it is sent.
    Discard(DiscardNode),
}

/// A node of a plugin, or a tool of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunNode {
    /// `PLUGIN/NODE` or `PLUGIN/TOOL`.
    pub run: String,
    /// What the plugin's node is given with every message, as its configuration schema says.
    #[serde(default)]
    pub config: Value,
    /// How it is run.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// Calls that one instance may serve before it is dropped, all of one tenant; without it every call has a fresh instance.
    #[serde(default)]
    pub reuse: Option<NonZeroU32>,
}

/// Applies a plugin's node to every item of an array; the results keep the order of the items.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapNode {
    /// `PLUGIN/NODE` or `PLUGIN/TOOL`.
    pub map: String,
    /// As for `run`.
    #[serde(default)]
    pub config: Value,
    /// Items of one message at once (8).
    #[serde(default)]
    pub concurrency: Option<NonZeroUsize>,
    /// How it is run.
    #[serde(default)]
    pub policy: PolicyConfig,
    /// As for `run`.
    #[serde(default)]
    pub reuse: Option<NonZeroU32>,
}

/// Ends what it is sent.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardNode {
    /// Always `true`.
    pub discard: bool,
}

/// `"a -> b -> c"`, or the long form.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Edge {
    /// Nodes along a line.
    Chain(String),
    /// From each to each.
    Long(LongEdge),
}

/// Edges from each of some nodes to each of others.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LongEdge {
    /// The senders.
    pub from: OneOrMany,
    /// The receivers.
    pub to: OneOrMany,
    /// Messages of one tenant that may wait on each of these edges (64).
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub queue: Option<usize>,
}

/// One name or a list of names.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
pub struct OneOrMany(#[schemars(with = "OneOrManySchema")] pub Vec<String>);

/// The two ways to write [`OneOrMany`].
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum OneOrManySchema {
    One(String),
    Many(Vec<String>),
}

// === what is written in one of two ways ===

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a node or a list of names")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for Edge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Edge;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an edge such as `a -> b` or `{ from: a, to: b }`")
            }

            fn visit_str<E: Error>(self, chain: &str) -> Result<Edge, E> {
                Ok(Edge::Chain(chain.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Edge, A::Error> {
                LongEdge::deserialize(MapAccessDeserializer::new(entries)).map(Edge::Long)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
