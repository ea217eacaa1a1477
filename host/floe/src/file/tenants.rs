//! The file of tenants: what each may have at most, whatever a flow grants its plugins.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_egress::Maxima;
use floe_flow::{Quota, Quotas};
use floe_sandbox::{Ceiling, Limits, Tenants};
use schemars::JsonSchema;
use serde::Deserialize;

use super::de::{Mismatch, read};
use super::grants::{GrantsConfig, Wrong};
use super::limits::LimitsConfig;
use super::named::Named;
use super::problem::{Problem, Problems, Texts};
use super::read_text;
use super::tree::{Step, Tree};
use super::units::{Bytes, Count};
use crate::Error;

/// What tenants may have at most. A call has what its plugin asks for, as far as the flow file grants it and this file lets it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Floe tenants")]
pub struct TenantsFile {
    /// The version of this format: 1.
    #[schemars(range(min = 1, max = 1))]
    pub floe: u32,
    /// By name.
    pub tenants: Named<TenantConfig>,
    /// Each tenant that is not named; without it, they are refused.
    #[serde(default)]
    pub others: Option<TenantConfig>,
    /// What paths in it are relative to.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// What one tenant may have at most. What is not given is as without this file.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TenantConfig {
    /// How often it is served in a row where others wait too (1).
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<NonZeroU32>,
    /// Traces in flight at once.
    #[schemars(range(min = 1))]
    pub in_flight: Option<usize>,
    /// What it may ask for in a minute.
    pub rate: RateConfig,
    /// Instances of plugins at once, each memory counted.
    pub instances: Option<u32>,
    /// What all its calls may have of the network together.
    pub network: Option<NetworkConfig>,
    /// The plugins that may work for it, by `sha256:…` of their bytes (`floe plugin inspect`); without it, all.
    pub plugins: Option<Vec<String>>,
    /// Limits of one call, where they are lower than the plugin's.
    pub limits: LimitsConfig,
    /// Rights that plugins may have for it; without it, those that the flow file grants. An empty map lets them have none.
    pub grants: Option<GrantsConfig>,
}

/// What a tenant may ask for in a minute.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateConfig {
    /// Requests a minute; one too many is refused as `rate_limited`, and told when to come back.
    #[schemars(range(min = 1))]
    pub requests: Option<NonZeroU64>,
    /// Units of guest computation a minute; when they are used, calls are `busy` until there are some again.
    pub fuel: Option<Count>,
}

/// What all calls of a tenant may have of the network together; what is not given is as each call may have it.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Connections at once.
    pub connections: Option<u32>,
    /// Requests a minute.
    pub requests: Option<Count>,
    /// Bytes sent a minute.
    pub egress: Option<Bytes>,
    /// Bytes received a minute.
    pub ingress: Option<Bytes>,
}

impl NetworkConfig {
    fn maxima(&self) -> Maxima {
        Maxima {
            connections: self.connections.map_or(u64::MAX, u64::from),
            requests: self.requests.map_or(u64::MAX, |count| count.0),
            bytes_out: self.egress.map_or(u64::MAX, |bytes| bytes.0),
            bytes_in: self.ingress.map_or(u64::MAX, |bytes| bytes.0),
        }
    }
}

impl TenantsFile {
    /// Reads the file; all that is wrong with it is said with its place.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = read_text(path)?;
        let texts = Texts { path: path.display().to_string(), text: text.into(), sets: Vec::new() };
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { folder, ..Self::parse(texts)? })
    }

    /// Reads the file's text.
    pub fn parse(texts: Texts) -> Result<Self, Problems> {
        let tree = match Tree::parse(&texts.text) {
            Ok(tree) => tree,
            Err(error) => {
                let problem = Problem::new(format!("not valid YAML: {}", error.message), Some(error.span));
                return Err(Problems::new(texts, vec![problem]));
            }
        };
        let mut list = Vec::new();
        tree.duplicates(&mut |key, first, second| {
            let message = format!("`{key}` is there twice; rename or remove one");
            list.push(Problem { beside: Some((first, "the first one")), ..Problem::new(message, Some(second)) });
        });
        match read::<Self>(&tree) {
            Ok(file) if file.floe != 1 => {
                let message = format!("this host reads files of tenants of version 1, not {}", file.floe);
                list.push(Problem::new(message, tree.find(&["floe".into()]).map(|(value, _)| value.span)));
            }
            Ok(file) => {
                let place = |at: &[Step]| tree.find(at).map(|(value, _)| value.span);
                list.extend(file.wrong_grants().into_iter().map(|(at, message)| Problem::new(message, place(&at))));
                if list.is_empty() {
                    return Ok(file);
                }
            }
            Err(Mismatch { message, help, span }) => {
                list.push(Problem { message, help, at: Some(span.unwrap_or(tree.span)), beside: None });
            }
        }
        Err(Problems::new(texts, list))
    }

    fn wrong_grants(&self) -> Vec<Wrong> {
        let tenants = self.tenants.iter().map(|(name, config)| (vec![Step::from("tenants"), name.into()], config));
        let others = self.others.iter().map(|config| (vec![Step::from("others")], config));
        let mut wrong = Vec::new();
        for (at, config) in tenants.chain(others) {
            let Some(grants) = &config.grants else { continue };
            let mut found = grants.check();
            if !grants.secrets.is_empty() {
                let message = "secrets have no ceiling of their own: they go where HTTP is permitted, and `http` is theirs too";
                found.push((vec!["secrets".into()], message.to_owned()));
            }
            wrong.extend(
                found.into_iter().map(|(below, message)| ([at.as_slice(), &["grants".into()], &below].concat(), message)),
            );
        }
        wrong
    }

    /// What one tenant may have; none: it is refused.
    pub fn of(&self, tenant: &str) -> Option<&TenantConfig> {
        self.tenants.get(tenant).or(self.others.as_ref())
    }

    /// For the sandbox.
    pub fn ceilings(&self) -> Tenants {
        let tenants = self.tenants.iter().map(|(name, config)| (Arc::from(name), self.ceiling(config)));
        Tenants { tenants: tenants.collect(), others: self.others.as_ref().map(|config| self.ceiling(config)) }
    }

    /// Of one tenant, for the sandbox.
    pub fn ceiling(&self, config: &TenantConfig) -> Ceiling {
        Ceiling {
            limits: config.limits.in_place_of(&Limits::unlimited()),
            grants: config.grants.as_ref().map(|grants| grants.rights(|dir| self.folder.join(dir))),
            plugins: config.plugins.as_ref().map(|digests| digests.iter().cloned().collect()),
            // Without any, nothing could be computed: one unit says that as well.
            fuel: config.rate.fuel.map(|fuel| NonZeroU64::new(fuel.0).unwrap_or(NonZeroU64::MIN)),
            instances: config.instances,
            network: config.network.as_ref().map(NetworkConfig::maxima),
        }
    }

    /// For the flow.
    pub fn quotas(&self) -> Quotas {
        let tenants = self.tenants.iter().map(|(name, config)| (Arc::from(name), config.quota()));
        Quotas { tenants: tenants.collect(), others: self.others.as_ref().map(TenantConfig::quota) }
    }
}

impl TenantConfig {
    fn quota(&self) -> Quota {
        Quota { weight: self.weight.unwrap_or(NonZeroU32::MIN), in_flight: self.in_flight, requests: self.rate.requests }
    }
}
