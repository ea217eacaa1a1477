//! What a plugin is granted: the settings of the capabilities that the host serves.

use serde_json::Value;

use super::types::Plugin;

/// What a grant of subflows looks like.
const SUBFLOWS: &str = "a list of names under `subflows`, such as `subflow: [NAME]`";

impl Plugin {
    /// The subflows that it may run; none: the capability is not granted.
    ///
    /// # Errors
    /// What the grant should be, if it is something else.
    pub fn granted_subflows(&self) -> Result<Option<Vec<String>>, String> {
        let Some(granted) = self.grants.get("subflow") else { return Ok(None) };
        let names = granted.as_array().and_then(|names| names.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let names = names.ok_or_else(|| format!("a grant of subflows is {SUBFLOWS}"))?;
        Ok(Some(names.into_iter().map(str::to_owned).collect()))
    }
}
