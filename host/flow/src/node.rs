//! The one interface between the scheduler and whatever computes: a sandboxed plugin, a native function, a map.

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::budget::{Amounts, Hold, Resource};
use crate::context::Context;
use crate::message::{Message, Payload};
use crate::tape::{Tape, Taping};

/// Computes one message at a time, as often at once as the node's policy allows.
pub trait Invoke: Send + Sync + Debug {
    /// Runs to the end or is dropped: dropping the future must stop the computation and free what it holds.
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>>;
}

/// A native node: a function from a call to an outcome, run on the scheduler's own threads.
pub fn native<F>(function: F) -> Arc<dyn Invoke>
where
    F: Fn(Call) -> Result<Outcome, Failure> + Send + Sync + 'static,
{
    Arc::new(Native(function))
}

struct Native<F>(F);

impl<F> Debug for Native<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("native")
    }
}

impl<F: Fn(Call) -> Result<Outcome, Failure> + Send + Sync> Invoke for Native<F> {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        let result = (self.0)(call);
        Box::pin(std::future::ready(Report::from(result)))
    }
}

/// One attempt of one node at one message.
#[derive(Debug)]
pub struct Call {
    /// What the call may ask of its trace: who asks, what is left, where chunks go.
    pub ctx: Context,
    /// What to handle.
    pub message: Arc<Message>,
    /// 1 at first.
    pub attempt: u32,
    /// When the attempt is ended, from the trace's deadline and the node's time-out; whoever computes may stop earlier.
    pub deadline: Option<Instant>,
    /// Whether it is recorded, or answered from a record.
    pub taping: Taping,
}

/// How an attempt went, what it emitted and what it used. Emissions of a failed attempt are dropped.
#[derive(Debug)]
pub struct Report {
    /// The node's answer.
    pub result: Result<Outcome, Failure>,
    /// What the node emitted before it returned; ahead of the outcome's outputs.
    pub emitted: Vec<Output>,
    /// What it used, also when it failed.
    pub receipt: Receipt,
    /// What it was given and told, if that was asked for and whoever computes can tell.
    pub tape: Option<Box<Tape>>,
    /// What it had taken of its trace's budget.
    pub hold: Option<Box<Hold>>,
    /// What the receipt says has been booked already, part by part.
    pub booked: bool,
    /// Kept until what was emitted is on its way: whoever computes may count that as its own time.
    pub until_sent: Option<Box<dyn Any + Send>>,
}

impl From<Result<Outcome, Failure>> for Report {
    fn from(result: Result<Outcome, Failure>) -> Self {
        Self { result, emitted: Vec::new(), receipt: Receipt::default(), tape: None, hold: None, booked: false, until_sent: None }
    }
}

/// What a node decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Messages for the successors; none ends this branch.
    Outputs(Vec<Output>),
    /// One more turn of a controller loop: the same node gets `memory` as its payload.
    Again {
        /// The next turn's payload.
        memory: Payload,
        /// Tokens used so far, as the node counts them.
        tokens_used: u64,
    },
    /// The trace's answer: straight to the flow's output, past the successors.
    Final(Payload),
}

impl Outcome {
    /// One output for all successors.
    pub fn one(payload: Payload) -> Self {
        Self::Outputs(vec![Output::new(payload)])
    }
}

/// One emission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// What it carries.
    pub payload: Payload,
    /// Added to what the handled message came with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meta: Vec<(String, Payload)>,
    /// Successors by name; none named: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// As the handled message's, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<Arc<str>>,
    /// As the handled message's, unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

impl Output {
    /// An emission for all successors.
    pub fn new(payload: Payload) -> Self {
        Self { payload, meta: Vec::new(), to: Vec::new(), topic: None, priority: None }
    }
}

/// Why something did not work, in the classes by which the host decides what to do (`failure-kind` of the contract).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The input is wrong: never retried.
    InvalidInput,
    /// What was asked for is not there: never retried.
    NotFound,
    /// The state has moved on: the caller decides.
    Conflict,
    /// Not permitted: never retried.
    Denied,
    /// A limit or budget is used up: never retried.
    Exhausted,
    /// A time-out has passed: retried.
    TimedOut,
    /// Too many at once: retried after the hint.
    Busy,
    /// Something outside is down for now: retried.
    Unavailable,
    /// The trace was cancelled: never retried.
    Cancelled,
    /// Anything else, a trap included: retried.
    Internal,
}

impl FailureKind {
    /// Every kind, in the contract's order.
    pub const ALL: [Self; 10] = [
        Self::InvalidInput,
        Self::NotFound,
        Self::Conflict,
        Self::Denied,
        Self::Exhausted,
        Self::TimedOut,
        Self::Busy,
        Self::Unavailable,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The kind as the contract, the flow file and the output write it.
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Exhausted => "exhausted",
            Self::TimedOut => "timed-out",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// The class.
    pub kind: FailureKind,
    /// For people: what happened, where, and the remedy.
    pub message: String,
    /// Wait at least this long before a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
    /// For programs; `{"limit", "used", "max"}` when a limit was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

impl Failure {
    /// A failure of this kind with this message.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, detail: None }
    }

    /// A limit was reached. `raise` names the line of configuration that sets it.
    pub fn limit(kind: FailureKind, limit: &str, used: u64, max: u64, raise: &str) -> Self {
        Self {
            kind,
            message: format!("limit `{limit}` reached: used {used} of {max}; raise it with {raise}"),
            retry_after: None,
            detail: Some(json!({ "limit": limit, "used": used, "max": max })),
        }
    }
}

/// What a call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Units of guest computation.
    pub fuel: u64,
    /// From start to end.
    #[serde(rename = "wall_us", with = "microseconds")]
    pub wall: Duration,
    /// On a thread.
    #[serde(rename = "cpu_us", with = "microseconds")]
    pub cpu: Duration,
    /// The most memory that the guest held, in bytes.
    pub peak_memory: u64,
    /// Text handed to the guest, in bytes.
    pub bytes_in: u64,
    /// Text taken from the guest, in bytes.
    pub bytes_out: u64,
    /// Calls of the guest to the host.
    pub host_calls: u64,
    /// Invocations of nodes within the call: items of a map, nodes of a subflow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u64,
    /// Log lines of the guest that were kept.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub log_lines: u32,
    /// Emissions of the guest before it returned.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub emits: u32,
    /// Calls of the guest to subflows and tools.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub calls: u32,
    /// Values that the guest set or deleted.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub state_writes: u32,
    /// Requests to the network.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub requests: u32,
    /// Bytes sent to the network.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub egress_bytes: u64,
}

impl Receipt {
    /// What counts against budgets.
    pub fn amounts(&self) -> Amounts {
        let mut amounts = Amounts::NONE;
        amounts[Resource::Fuel] = self.fuel;
        amounts[Resource::HostCalls] = self.host_calls;
        amounts[Resource::LogLines] = self.log_lines.into();
        amounts[Resource::Emits] = self.emits.into();
        amounts[Resource::Calls] = self.calls.into();
        amounts[Resource::StateWrites] = self.state_writes.into();
        amounts[Resource::Requests] = self.requests.into();
        amounts[Resource::EgressBytes] = self.egress_bytes;
        amounts
    }

    /// Adds what a part of the call used, or what it had done by others. Their times and memory are their own.
    pub fn add(&mut self, used: Amounts, hops: u64) {
        let sum = |old: u32, more: u64| old.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        self.fuel = self.fuel.saturating_add(used[Resource::Fuel]);
        self.host_calls = self.host_calls.saturating_add(used[Resource::HostCalls]);
        self.log_lines = sum(self.log_lines, used[Resource::LogLines]);
        self.emits = sum(self.emits, used[Resource::Emits]);
        self.calls = sum(self.calls, used[Resource::Calls]);
        self.state_writes = sum(self.state_writes, used[Resource::StateWrites]);
        self.requests = sum(self.requests, used[Resource::Requests]);
        self.egress_bytes = self.egress_bytes.saturating_add(used[Resource::EgressBytes]);
        self.hops = self.hops.saturating_add(hops);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

mod microseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_micros)
    }
}

/// What an action does outside the plugin; decides whether a call may be repeated after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideEffect {
    /// Nothing.
    Pure,
    /// Reads only.
    Read,
    /// Changes state that belongs to the tenant.
    Write,
    /// Acts on the world.
    External,
}

impl SideEffect {
    /// Whether a call that a crash cut off may be made again: it changes nothing, or nothing the second time.
    pub fn is_repeatable(self, idempotent: bool) -> bool {
        idempotent || matches!(self, Self::Pure | Self::Read)
    }
}

/// What a plugin says of one of its nodes.
#[derive(Debug, Clone, Serialize)]
pub struct NodeSpec {
    /// Unique within the plugin, `[a-z0-9_-]+`.
    pub name: String,
    /// For people.
    pub description: String,
    /// JSON Schema of the payload taken; none: anything.
    pub input: Option<Value>,
    /// JSON Schema of each output's payload; none: anything.
    pub output: Option<Value>,
    /// JSON Schema of the node's configuration in the flow file.
    pub config: Option<Value>,
    /// What a call does outside.
    pub side_effect: SideEffect,
    /// A second run with the same key has no second effect.
    pub idempotent: bool,
    /// For finding it.
    pub tags: Vec<String>,
    /// An object of hints for people and models.
    pub hints: Option<Value>,
}
