//! `floe.lock`: what the names of the store mean. JSON, sorted, for people to read; changed by `floe plugin`.

use std::collections::BTreeMap;

use floe_flow::graph::valid_name;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::is_digest;

/// Bytes of `floe.lock`: a thousand plugins.
pub const MAX_LOCK_BYTES: u64 = 4 << 20;
/// Earlier versions of a plugin that stay in the store, for a look back.
pub(super) const MAX_REPLACED: usize = 8;

const FORMAT: u32 = 1;

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// 1.
    format: u32,
    /// The plugins, by name.
    pub plugins: BTreeMap<String, Entry>,
}

/// What a name means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// The version of the contract that it was built for.
    pub contract: String,
    /// Everything that it imports.
    pub imports: Vec<String>,
    /// What was approved.
    pub approval: Approval,
    /// What the name meant before, the last one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
}

/// What the operator approved when the plugin was added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Of which component.
    pub digest: String,
    /// Its imports that need a grant.
    pub asks: Vec<String>,
    /// The SHA-256 of all that it says of itself: names, descriptions, schemas, effects.
    pub says: String,
    /// The most that a flow file may grant it, as a flow file writes it; none: that is the flow file's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<Value>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { format: FORMAT, plugins: BTreeMap::new() }
    }
}

impl Lock {
    /// Reads it; the error says what is wrong. Names and digests become paths, so they are what they should be.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let lock: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if lock.format != FORMAT {
            return Err(format!("it is of format {}, and this floe knows {FORMAT}; update floe", lock.format));
        }
        if let Some(name) = lock.plugins.keys().find(|name| !valid_name(name)) {
            return Err(format!("`{}` is no name", floe_sandbox::plain(name, 64)));
        }
        if let Some(digest) = lock.plugins.values().flat_map(Entry::digests).find(|digest| !is_digest(digest)) {
            return Err(format!("`{}` is no digest", floe_sandbox::plain(digest, 80)));
        }
        Ok(lock)
    }

    pub(super) fn text(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }

    /// Whether a name means this component, or has meant it.
    pub(super) fn uses(&self, digest: &str) -> bool {
        self.plugins.values().flat_map(Entry::digests).any(|used| used == digest)
    }
}

impl Entry {
    /// What it means, what is approved, and what it meant before.
    pub(super) fn digests(&self) -> impl Iterator<Item = &String> {
        [&self.digest, &self.approval.digest].into_iter().chain(&self.replaced)
    }
}
