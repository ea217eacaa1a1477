//! What a plugin is granted in the flow file, and the rights that come of it.

use floe_sandbox::Grants;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What can be granted: the interfaces of `floe:capability`, and WASI's sockets.
pub const CAPABILITIES: [&str; 10] =
    ["state", "secrets", "http", "clock", "random", "tools", "subflow", "model", "approval", "sockets"];

/// Capabilities that a plugin may use, each with its terms; nothing unless it stands here.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrantsConfig {
    /// Not available in this host yet.
    pub state: Option<Value>,
    /// Not available in this host yet.
    pub secrets: Option<Value>,
    /// Not available in this host yet.
    pub http: Option<Value>,
    /// Not available in this host yet.
    pub clock: Option<Value>,
    /// Not available in this host yet.
    pub random: Option<Value>,
    /// Not available in this host yet.
    pub tools: Option<Value>,
    /// Flows under `subflows` that it may run, by name.
    pub subflow: Option<Vec<String>>,
    /// Not available in this host yet.
    pub model: Option<Value>,
    /// Not available in this host yet.
    pub approval: Option<Value>,
    /// Not available in this host yet.
    pub sockets: Option<Value>,
}

impl GrantsConfig {
    /// The rights of the plugin.
    pub fn rights(&self) -> Grants {
        let unserved = [
            ("state", &self.state),
            ("secrets", &self.secrets),
            ("http", &self.http),
            ("clock", &self.clock),
            ("random", &self.random),
            ("tools", &self.tools),
            ("model", &self.model),
            ("approval", &self.approval),
            ("sockets", &self.sockets),
        ];
        let unserved = unserved.into_iter().filter(|(_, granted)| granted.is_some());
        Grants {
            subflow: self.subflow.as_ref().map(|names| names.iter().cloned().collect()),
            unserved: unserved.map(|(name, _)| name.to_owned()).collect(),
        }
    }
}
