//! What a plugin is granted in the flow file, and the rights that come of it.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use floe_egress::policy::Policy;
use floe_egress::secrets::Secrets;
use floe_sandbox::{Clock, DEFAULT_STATE_BYTES, Directory, Grants, Space};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::http::{HttpRule, SecretConfig};
use super::named::Named;
use super::tree::Step;
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
    /// Secrets, by name: the plugin has placeholders, which the host replaces on their way to where they are bound.
    pub secrets: Named<SecretConfig>,
    /// HTTP requests that it may make, by `wasi:http` or by the capability `http`.
    pub http: Option<Vec<HttpRule>>,
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

/// What is wrong with a grant, and where: the steps below `grants`.
pub(crate) type Wrong = (Vec<Step>, String);

impl GrantsConfig {
    /// What is wrong with the grants for HTTP and secrets as they are written.
    pub fn check(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for (index, rule) in self.http.iter().flatten().enumerate() {
            let rule = rule.rule().and_then(|rule| Policy::try_new(vec![rule]).map_err(|error| error.to_string()));
            wrong.extend(rule.err().map(|error| (vec![Step::from("http"), index.into()], error)));
        }
        for (name, secret) in self.secrets.iter() {
            for (index, binding) in secret.bind.iter().enumerate() {
                let at = vec![Step::from("secrets"), name.into(), "bind".into(), index.into()];
                wrong.extend(binding.binding().err().map(|error| (at, error)));
            }
        }
        wrong
    }

    /// Adds the secrets as they are now, and the variables in which the plugin finds their placeholders. `resolve` finds files.
    pub fn add_secrets(&self, grants: &mut Grants, resolve: impl Fn(&str) -> PathBuf) -> Result<(), Vec<Wrong>> {
        let (mut wrong, mut secrets, mut env) = (self.check(), Vec::new(), Vec::new());
        for (name, config) in self.secrets.iter() {
            match config.secret(name, key(), &resolve) {
                Ok(secret) => {
                    env.extend(config.variable.clone().map(|variable| (variable, secret.placeholder().to_owned())));
                    secrets.push(secret);
                }
                Err(error) => wrong.push((vec![Step::from("secrets"), name.into()], error)),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        grants.secrets = Secrets::try_new(secrets).map_err(|error| vec![(vec![Step::from("secrets")], error.to_string())])?;
        grants.env = env;
        Ok(())
    }

    /// The rights of the plugin, without the values of its secrets, which [`GrantsConfig::add_secrets`] reads. A rule that
    /// [`GrantsConfig::check`] complains of permits nothing. `resolve` finds a path that the file names.
    pub fn rights(&self, resolve: impl Fn(&str) -> PathBuf) -> Grants {
        let unserved = [("model", &self.model), ("approval", &self.approval), ("sockets", &self.sockets)];
        let unserved = unserved.into_iter().filter(|(_, granted)| granted.is_some()).map(|(name, _)| name);
        let secrets = (!self.secrets.is_empty()).then_some("secrets");
        let http = self.http.as_ref().map(|rules| {
            let rules = rules.iter().filter_map(|rule| rule.rule().ok()).collect();
            Arc::new(Policy::try_new(rules).unwrap_or_default())
        });
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
            http,
            secrets: Secrets::default(),
            env: Vec::new(),
            unserved: unserved.chain(secrets).map(str::to_owned).collect(),
        }
    }
}

/// What this process's placeholders follow from.
fn key() -> &'static [u8] {
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system gives random bytes");
        key
    });
    &*KEY
}
