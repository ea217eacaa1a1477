//! `grants.http` and `grants.secrets` in the flow file: what a plugin may ask of whom, and which secrets the host puts into it.

use std::path::Path;

use floe_egress::policy::{DEFAULT_METHODS, DEFAULT_PATH, Rule, Scope};
use floe_egress::secrets::{Binding, MAX_VALUE, Place, Secret};
use floe_egress::target;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Over TLS.
    #[default]
    Https,
    /// In clear text.
    Http,
}

/// Requests that a plugin may make.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpRule {
    /// How the server is spoken to (https).
    #[serde(default)]
    pub scheme: Scheme,
    /// A name, an address, `*.NAME` for all below a name, or `*` for all.
    pub host: String,
    /// Ports (the scheme's).
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Methods ([GET, HEAD]).
    pub methods: Option<Vec<String>>,
    /// A path: `/a/b`, `/a/*` for all that begins with it, `/*/b` with any segment (`/*`).
    pub path: Option<String>,
    /// Whether the host may have addresses of this machine or of its network.
    #[serde(default)]
    pub private: bool,
    /// Redirects that are followed, each to where a rule permits (0).
    #[serde(default)]
    pub redirects: u32,
}

/// A secret: where its value comes from, never the value itself, and where it may go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretConfig {
    /// The variable of this process's environment that has the value.
    pub env: Option<String>,
    /// The file that has the value, relative to the flow file; nobody but its owner may read it (mode 0600).
    pub file: Option<String>,
    /// The variable of the plugin's environment in which it finds the placeholder (none).
    pub variable: Option<String>,
    /// Where the value may go.
    pub bind: Vec<BindConfig>,
}

/// Requests, and the place in them where the value may stand: one of `header`, `basic`, `hmac`, `query` and `body`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindConfig {
    /// How the server is spoken to (https).
    #[serde(default)]
    pub scheme: Scheme,
    /// A name, an address, or `*.NAME` for all below a name.
    pub host: String,
    /// Ports (the scheme's).
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Methods ([GET, HEAD]).
    pub methods: Option<Vec<String>>,
    /// A path, as in a rule (`/*`).
    pub path: Option<String>,
    /// The header that has it.
    pub header: Option<String>,
    /// The header's value: `Bearer {secret}` (`{secret}`); with `hmac`, `v1={signature}` (`{signature}`).
    pub form: Option<String>,
    /// The user whose password it is, for `authorization: Basic`.
    pub basic: Option<String>,
    /// The header with a signature of which it is the key.
    pub hmac: Option<String>,
    /// With `hmac`: the header with the date that is signed (`x-date`).
    pub date: Option<String>,
    /// The parameter of the query that has it.
    pub query: Option<String>,
    /// It may stand anywhere in the body.
    #[serde(default)]
    pub body: bool,
}

impl HttpRule {
    /// The rule; the error says what is wrong with it.
    pub fn rule(&self) -> Result<Rule, String> {
        let Self { scheme, host, ports, methods, path, private, redirects } = self;
        let scope = scope(*scheme, host, ports, methods.as_deref(), path.as_deref())?;
        Ok(Rule { scope, private: *private, redirects: *redirects })
    }
}

impl BindConfig {
    /// The binding; the error says what is wrong with it.
    pub fn binding(&self) -> Result<Binding, String> {
        let Self { scheme, host, ports, methods, path, .. } = self;
        let scope = scope(*scheme, host, ports, methods.as_deref(), path.as_deref())?;
        Ok(Binding { scope, place: self.place()? })
    }

    fn place(&self) -> Result<Place, String> {
        fn name<T: std::str::FromStr>(text: &str) -> Result<T, String> {
            text.parse().map_err(|_| format!("`{text}` is no name of a header"))
        }
        let form = |default: &str| self.form.clone().unwrap_or_else(|| default.to_owned());
        let given = [self.header.is_some(), self.basic.is_some(), self.hmac.is_some(), self.query.is_some(), self.body];
        if given.into_iter().filter(|given| *given).count() != 1 {
            return Err("a binding has one of `header`, `basic`, `hmac`, `query` and `body: true`".to_owned());
        }
        if self.form.is_some() && self.header.is_none() && self.hmac.is_none() || self.date.is_some() && self.hmac.is_none() {
            return Err("`form` goes with `header` or `hmac`, `date` with `hmac`".to_owned());
        }
        Ok(match (&self.header, &self.basic, &self.hmac, &self.query) {
            (Some(header), ..) => Place::Header { name: name(header)?, form: form("{secret}") },
            (_, Some(user), ..) => Place::Basic { user: user.clone() },
            (_, _, Some(header), _) => {
                let date = name(self.date.as_deref().unwrap_or("x-date"))?;
                Place::Hmac { name: name(header)?, form: form("{signature}"), date }
            }
            (.., Some(query)) => Place::Query { name: query.clone() },
            (None, None, None, None) => Place::Body,
        })
    }
}

fn scope(scheme: Scheme, host: &str, ports: &[u16], methods: Option<&[String]>, path: Option<&str>) -> Result<Scope, String> {
    let scheme = match scheme {
        Scheme::Https => target::Scheme::Https,
        Scheme::Http => target::Scheme::Http,
    };
    let methods = match methods {
        Some(methods) => methods
            .iter()
            .map(|method| method.parse().map_err(|_| format!("`{method}` is no method")))
            .collect::<Result<_, String>>()?,
        None => DEFAULT_METHODS.to_vec(),
    };
    let said = |error: floe_egress::Error| error.to_string();
    let path = path.unwrap_or(DEFAULT_PATH).parse().map_err(said)?;
    Ok(Scope { scheme, host: host.parse().map_err(said)?, ports: ports.to_vec(), methods, path })
}

impl SecretConfig {
    /// Reads the value and makes the secret of it; the error says what is wrong, without the value. `key` is what placeholders of
    /// this process follow from, `resolve` finds files.
    pub fn secret(&self, name: &str, key: &[u8], resolve: impl Fn(&str) -> std::path::PathBuf) -> Result<Secret, String> {
        let bindings = self.bind.iter().map(BindConfig::binding).collect::<Result<Vec<Binding>, String>>()?;
        let value = match (&self.env, &self.file) {
            (Some(variable), None) => settings::variable(variable)?,
            (None, Some(path)) => read(&resolve(path))?,
            _ => return Err("a secret's value comes from one of `env` and `file`".to_owned()),
        };
        Secret::try_new(name, &value, bindings, key).map_err(|error| error.to_string())
    }
}

/// The value in a file, without the line end that editors leave there.
fn read(path: &Path) -> Result<String, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read `{}`: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(|error| cannot(&error))?;
    if open_to_others(&metadata) {
        return Err(format!("`{}` can be read by others than its owner: chmod 600 it", path.display()));
    }
    if metadata.len() > MAX_VALUE as u64 + 2 {
        return Err(cannot(&"it is larger than a secret can be"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(unix)]
fn open_to_others(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &std::fs::Metadata) -> bool {
    false
}
