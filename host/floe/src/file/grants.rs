//! What a plugin is granted in the flow file, and the rights that come of it.

use std::path::PathBuf;

use floe_sandbox::{Clock, DEFAULT_STATE_BYTES, Directory, Grants, Space};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::units::{Bytes, Moment, Time};

/// What can be granted: the interfaces of `floe:capability`, and WASI's files and sockets.
pub const CAPABILITIES: [&str; 11] =
    ["state", "secrets", "http", "clock", "random", "tools", "subflow", "model", "approval", "files", "sockets"];

/// Capabilities that a plugin may use, each with its terms; nothing unless it stands here.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GrantsConfig {
    /// Values that outlive a call, in a space that all plugins that are granted it share.
    pub state: Option<StateConfig>,
    /// Not available in this host yet.
    pub secrets: Option<Value>,
    /// Not available in this host yet.
    pub http: Option<Value>,
    /// The time that its clocks tell; without it as coarse as 1 ms.
    pub clock: Option<ClockConfig>,
    /// Whether it may ask for random numbers beyond WASI's.
    pub random: Option<bool>,
    /// Tools of the flow's plugins that it may call, as `PLUGIN/TOOL`. Each has its own plugin's rights, and this one can have it use them.
    pub tools: Option<Vec<String>>,
    /// Flows under `subflows` that it may run, by name.
    pub subflow: Option<Vec<String>>,
    /// Not available in this host yet.
    pub model: Option<Value>,
    /// Not available in this host yet.
    pub approval: Option<Value>,
    /// Directories that it may read; it can change nothing there.
    pub files: Option<Vec<DirectoryConfig>>,
    /// Not available in this host yet.
    pub sockets: Option<Value>,
}

/// A grant of state.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateConfig {
    /// The space's name; whoever is granted the same one shares its values.
    pub space: String,
    /// Bytes of keys and values that each tenant may have in it.
    pub bytes: Option<Bytes>,
}

/// A grant of a clock: one of the two.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct ClockConfig {
    /// The time, rounded down to multiples of this.
    pub resolution: Option<Time>,
    /// Always this time; what the plugin waits is all that passes.
    pub fixed: Option<Moment>,
}

/// A directory that a plugin may read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// Where it is, relative to the flow file.
    pub dir: String,
    /// The absolute path by which the plugin knows it.
    #[serde(rename = "as")]
    pub name: String,
}

impl ClockConfig {
    /// What the clocks tell; none unless exactly one of the two is there.
    pub fn clock(&self) -> Option<Clock> {
        match (self.resolution, self.fixed) {
            (Some(Time(resolution)), None) => Some(Clock::Coarse(resolution)),
            (None, Some(Moment(time))) => Some(Clock::Fixed(time)),
            _ => None,
        }
    }
}

impl GrantsConfig {
    /// The rights of the plugin. `resolve` finds a path that the file names.
    pub fn rights(&self, resolve: impl Fn(&str) -> PathBuf) -> Grants {
        let unserved = [
            ("secrets", &self.secrets),
            ("http", &self.http),
            ("model", &self.model),
            ("approval", &self.approval),
            ("sockets", &self.sockets),
        ];
        let unserved = unserved.into_iter().filter(|(_, granted)| granted.is_some());
        let directory = |config: &DirectoryConfig| Directory { dir: resolve(&config.dir), name: config.name.clone() };
        Grants {
            state: self.state.as_ref().map(|state| Space {
                name: state.space.clone(),
                bytes: state.bytes.map_or(DEFAULT_STATE_BYTES, |Bytes(bytes)| bytes),
            }),
            clock: self.clock.as_ref().and_then(ClockConfig::clock),
            random: self.random == Some(true),
            files: self.files.iter().flatten().map(directory).collect(),
            tools: self.tools.as_ref().map(|names| names.iter().cloned().collect()),
            subflow: self.subflow.as_ref().map(|names| names.iter().cloned().collect()),
            unserved: unserved.map(|(name, _)| name.to_owned()).collect(),
        }
    }
}
