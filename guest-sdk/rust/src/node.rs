//! Nodes: what the author of a plugin implements, and what goes in and out.

use std::time::Duration;

use serde::Serialize;

use crate::bindings::node as raw;
use crate::bindings::plugin::types::{Field, SideEffect};
use crate::failure::Result;
use crate::json::{FromJson, IntoJson, Json, field};

/// A part of a flow: takes a message and says what follows.
///
/// There is no `self`: the host gives each call a fresh instance unless told otherwise, so nothing is kept between calls.
pub trait Node {
    /// Unique within the plugin, of `[a-z0-9_-]`: the flow file says `plugin/name`.
    const NAME: &'static str;
    /// One or two sentences for people and models.
    const DESCRIPTION: &'static str;
    /// What the node does outside the plugin. A call that may have begun is repeated after a crash only if it is `Pure` or
    /// `Read`, or [`Node::IDEMPOTENT`]; so a node that uses a capability to change something must say so here.
    const SIDE_EFFECT: SideEffect = SideEffect::Pure;
    /// A second run with the same message id has no second effect.
    const IDEMPOTENT: bool = false;
    /// Words to find the node by.
    const TAGS: &'static [&'static str] = &[];

    /// What the flow file gives under `config`; `()` takes nothing.
    type Config: FromJson;
    /// The payload taken; [`Json`] for any, untouched.
    type Input: FromJson;
    /// The payload given; [`Json`] for any, untouched.
    type Output: IntoJson;

    /// An object of hints for people and models.
    fn hints() -> Option<Json> {
        None
    }

    /// Handles one message.
    fn handle(config: Self::Config, input: Self::Input, ctx: &Context) -> Result<Outcome<Self::Output>>;
}

/// What a message brings besides its payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// All messages of one request share it.
    pub trace: String,
    /// The message's own, the same on every attempt: fit as an idempotency key.
    pub id: String,
    /// The message that this one came of.
    pub parent: Option<String>,
    /// The node that sent it; none at the flow's input.
    pub source: Option<String>,
    /// 1 at first.
    pub attempt: u32,
    /// 0 at first; counts the turns of [`Outcome::Again`].
    pub turn: u32,
    /// Time left when the call began.
    pub deadline: Option<Duration>,
    /// Whose work this is.
    pub tenant: String,
    /// The person behind the request, if known.
    pub user: Option<String>,
    /// The conversation that the request belongs to, if any.
    pub session: Option<String>,
    /// What the message is about, for routers.
    pub topic: Option<String>,
    /// Higher is more urgent.
    pub priority: i32,
    /// Keys with JSON values.
    pub meta: Vec<Field>,
}

/// What follows from a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// Messages for the successors, in this order; none ends this branch.
    Outputs(Vec<Output<T>>),
    /// One more turn of a loop: the node is called again, with `memory` as its payload and the turn one higher.
    Again {
        /// What to remember.
        memory: Json,
        /// Tokens used so far, as the node counts them.
        tokens_used: u64,
    },
    /// The trace's answer, straight to the flow's output. It must fit the node's output schema, which is that of `T`.
    Final(Json),
}

/// A message for successors.
#[derive(Debug, Clone, PartialEq)]
pub struct Output<T> {
    /// What it carries.
    pub payload: T,
    /// Added to what the incoming message came with.
    pub meta: Vec<Field>,
    /// Successors by name; none named: all.
    pub to: Vec<String>,
    /// As the message came, unless given.
    pub topic: Option<String>,
    /// As the message came, unless given.
    pub priority: Option<i32>,
}

// === impl Context ===

impl Context {
    /// The value under this key.
    pub fn meta(&self, key: &str) -> Option<Json> {
        self.meta.iter().find(|(name, _)| name == key).map(|(_, value)| Json::from_text(value))
    }

    pub(crate) fn split(message: raw::Message) -> (Self, Json) {
        let ctx = Self {
            trace: message.trace,
            id: message.id,
            parent: message.parent,
            source: message.source,
            attempt: message.attempt,
            turn: message.turn,
            deadline: message.deadline_ms.map(Duration::from_millis),
            tenant: message.tenant,
            user: message.user,
            session: message.session,
            topic: message.topic,
            priority: message.priority,
            meta: message.meta,
        };
        (ctx, Json::from_text(message.payload))
    }
}

/// A first attempt without a deadline, for tests.
impl Default for Context {
    fn default() -> Self {
        Self {
            trace: "trace".to_owned(),
            id: "message".to_owned(),
            parent: None,
            source: None,
            attempt: 1,
            turn: 0,
            deadline: None,
            tenant: "tenant".to_owned(),
            user: None,
            session: None,
            topic: None,
            priority: 0,
            meta: Vec::new(),
        }
    }
}

// === impl Outcome ===

impl<T> Outcome<T> {
    /// No message: this branch ends here.
    pub fn nothing() -> Self {
        Self::Outputs(Vec::new())
    }

    /// One more turn with this memory.
    pub fn again(memory: impl IntoJson, tokens_used: u64) -> Result<Self> {
        Ok(Self::Again { memory: memory.into_json()?, tokens_used })
    }

    /// The trace's answer.
    pub fn final_answer(answer: impl IntoJson) -> Result<Self> {
        Ok(Self::Final(answer.into_json()?))
    }
}

impl<T: IntoJson> Outcome<T> {
    pub(crate) fn into_raw(self) -> Result<raw::Outcome> {
        Ok(match self {
            Self::Outputs(outputs) => raw::Outcome::Outputs(outputs.into_iter().map(Output::into_raw).collect::<Result<_>>()?),
            Self::Again { memory, tokens_used } => {
                raw::Outcome::Again(raw::WorkingMemory { memory: memory.into_text(), tokens_used })
            }
            Self::Final(answer) => raw::Outcome::Final(answer.into_text()),
        })
    }
}

impl<T> From<T> for Outcome<T> {
    fn from(payload: T) -> Self {
        Output::new(payload).into()
    }
}

impl<T> From<Output<T>> for Outcome<T> {
    fn from(output: Output<T>) -> Self {
        Self::Outputs(vec![output])
    }
}

impl<T> From<Vec<T>> for Outcome<T> {
    fn from(payloads: Vec<T>) -> Self {
        Self::Outputs(payloads.into_iter().map(Output::new).collect())
    }
}

impl<T> From<Vec<Output<T>>> for Outcome<T> {
    fn from(outputs: Vec<Output<T>>) -> Self {
        Self::Outputs(outputs)
    }
}

// === impl Output ===

impl<T> Output<T> {
    /// For all successors, with the incoming message's headers.
    pub fn new(payload: T) -> Self {
        Self { payload, meta: Vec::new(), to: Vec::new(), topic: None, priority: None }
    }

    /// For this successor, and others named so, only.
    #[must_use]
    pub fn to(mut self, successor: impl Into<String>) -> Self {
        self.to.push(successor.into());
        self
    }

    /// Adds metadata.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.meta.push(field(key, value));
        self
    }

    /// Under this topic.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// With this priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }
}

impl<T: IntoJson> Output<T> {
    pub(crate) fn into_raw(self) -> Result<raw::Output> {
        let payload = self.payload.into_json()?.into_text();
        Ok(raw::Output { payload, meta: self.meta, to: self.to, topic: self.topic, priority: self.priority })
    }
}
