//! Tools: named functions for agents, other plugins and protocol clients.

use crate::bindings::plugin::types::SideEffect;
use crate::bindings::toolset::Caller;
use crate::failure::Result;
use crate::json::{FromJson, IntoJson, Json};

/// A function with a name, a description and a schema.
pub trait Tool {
    /// Unique within the plugin, of `[a-z0-9_-]`.
    const NAME: &'static str;
    /// What it does and when to use it: a model chooses by this text.
    const DESCRIPTION: &'static str;
    /// What the tool does outside the plugin, see [`Node::SIDE_EFFECT`](crate::Node::SIDE_EFFECT).
    const SIDE_EFFECT: SideEffect = SideEffect::Pure;
    /// A second run with the same [`Caller::id`] has no second effect.
    const IDEMPOTENT: bool = false;
    /// Words to find the tool by.
    const TAGS: &'static [&'static str] = &[];
    /// Scopes that a caller needs.
    const SCOPES: &'static [&'static str] = &[];

    /// What the flow or agent file gives under `config`; `()` takes nothing.
    type Config: FromJson;
    /// The arguments: an object.
    type Input: FromJson;
    /// The result.
    type Output: IntoJson;

    /// An object of hints: cost, latency-ms, safety, examples.
    fn hints() -> Option<Json> {
        None
    }

    /// Answers one call.
    fn call(config: Self::Config, arguments: Self::Input, caller: &Caller) -> Result<Self::Output>;
}

/// A first attempt without a deadline, for tests.
impl Default for Caller {
    fn default() -> Self {
        Self {
            trace: "trace".to_owned(),
            id: "call".to_owned(),
            attempt: 1,
            deadline_ms: None,
            tenant: "tenant".to_owned(),
            user: None,
            session: None,
            context: "{}".to_owned(),
        }
    }
}
