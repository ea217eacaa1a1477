//! Which interfaces there are and who may use them: names only. Nothing is granted by being known.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe_egress::policy::Policy;
use floe_egress::secrets::Secrets;

use crate::Error;
use crate::host::clocks::Clock;
use crate::host::files::Directory;
use crate::host::state::Space;
use crate::inspect::Inspection;
use crate::text::is_name;

/// The version of `floe:plugin` that this host serves.
pub const CONTRACT: &str = "0.1.0";

/// What the operator's file grants a plugin. Nothing is granted unless it stands here.
///
/// A capability that is served has its settings here, a module in `host` and a line in `SERVED`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Values that outlive a call; none: the capability is not granted.
    pub state: Option<Space>,
    /// The time that its clocks tell; none: WASI's are coarse (see [`DEFAULT_CLOCK_RESOLUTION`](crate::DEFAULT_CLOCK_RESOLUTION)), and
    /// the capability is not granted.
    pub clock: Option<Clock>,
    /// Whether it may import the capability of randomness; WASI's is there for all.
    pub random: bool,
    /// Directories that it may read through WASI.
    pub files: Vec<Directory>,
    /// Tools that it may call, as `PLUGIN/TOOL`; none: the capability is not granted. Each has its own plugin's rights, not this one's.
    pub tools: Option<BTreeSet<String>>,
    /// Subflows that it may run, by their names in the flow; none: the capability is not granted.
    pub subflow: Option<BTreeSet<String>>,
    /// What it may ask of whom over HTTP, by `floe:capability/http` and `wasi:http` alike; none: the capability is not granted.
    pub http: Option<Arc<Policy>>,
    /// Secrets that it may have sent where they are bound; without any the capability is not granted.
    pub secrets: Secrets,
    /// Variables of its environment, where placeholders of secrets may stand.
    pub env: Vec<(String, String)>,
    /// Keys under `grants` of what is not there, because no host serves it yet or its values have not been read.
    pub unserved: BTreeSet<String>,
}

impl Grants {
    /// What both grant.
    #[must_use]
    pub fn at_most(&self, most: &Self) -> Self {
        let both = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.intersection(other).cloned().collect();
        // Secrets go where HTTP is permitted, so a ceiling of that is one of theirs.
        let goes_out = most.http.is_some();
        let mut unserved: BTreeSet<String> = both(&self.unserved, &most.unserved);
        unserved.extend(self.unserved.get("secrets").filter(|_| goes_out).cloned());
        Self {
            state: self.state.as_ref().zip(most.state.as_ref()).and_then(|(one, other)| one.at_most(other)),
            clock: self.clock.zip(most.clock).map(|(one, other)| one.at_most(other)),
            random: self.random && most.random,
            files: self.files.iter().filter(|directory| most.files.contains(directory)).cloned().collect(),
            tools: self.tools.as_ref().zip(most.tools.as_ref()).map(|(one, other)| both(one, other)),
            subflow: self.subflow.as_ref().zip(most.subflow.as_ref()).map(|(one, other)| both(one, other)),
            http: self.http.as_ref().zip(most.http.as_ref()).map(|(one, other)| Arc::new(one.at_most(other))),
            secrets: if goes_out { self.secrets.clone() } else { Secrets::default() },
            env: if goes_out { self.env.clone() } else { Vec::new() },
            unserved,
        }
    }

    /// Whether a capability is granted, by its key under `grants`.
    pub fn has(&self, key: &str) -> bool {
        match key {
            "state" => self.state.is_some(),
            "clock" => self.clock.is_some(),
            "random" => self.random,
            "files" => !self.files.is_empty(),
            "tools" => self.tools.is_some(),
            "subflow" => self.subflow.is_some(),
            "http" => self.http.is_some(),
            "secrets" if !self.secrets.list().is_empty() => true,
            _ => self.unserved.contains(key),
        }
    }

    /// The keys under `grants` of all that is granted.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        CAPABILITIES.iter().map(|(key, _)| *key).chain(["sockets"]).filter(|key| self.has(key)).map(str::to_owned)
    }
}

/// `package/name@version`, as components write the interfaces that they import and export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interface<'a> {
    pub(crate) package: &'a str,
    pub(crate) name: &'a str,
    pub(crate) version: Option<&'a str>,
}

impl<'a> Interface<'a> {
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let (package, rest) = name.split_once('/')?;
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (rest, None),
        };
        package.contains(':').then_some(Self { package, name, version })
    }
}

/// What the host makes of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Contract,
    Inert,
    Capability,
    Wasi,
    Unknown,
}

/// The interfaces of the contract that a plugin imports.
const CONTRACT_IMPORTS: [&str; 4] = ["types", "log", "budget", "emit"];

/// The interfaces of WASI 0.2 that compilers want and that do nothing outside the call (see `link`).
const INERT: [(&str, &[&str]); 5] = [
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:random", &["random", "insecure", "insecure-seed"]),
    ("wasi:filesystem", &["types", "preopens"]),
];

/// The interfaces of `floe:capability` that this host serves, and their versions up to the last part, which only adds.
const SERVED: [(&str, &str); 7] = [
    ("state", "0.1"),
    ("clock", "0.1"),
    ("random", "0.1"),
    ("http", "0.1"),
    ("secrets", "0.1"),
    ("subflow", "0.1"),
    ("tools", "0.1"),
];

/// The interfaces of `wasi:http` that are served where `http` is granted: requests to others, not from them.
const HTTP: [&str; 2] = ["outgoing-handler", "types"];

/// The interfaces of `floe:capability` and the lines that would grant them.
const CAPABILITIES: [(&str, &str); 9] = [
    ("state", "state: { space: NAME, bytes: 1MiB }"),
    (
        "secrets",
        "secrets: { NAME: { env: VARIABLE, bind: [{ host: api.example.com, header: authorization, form: \"Bearer {secret}\" }] } }",
    ),
    ("http", "http: [{ host: api.example.com, methods: [GET], path: \"/*\" }]"),
    ("clock", "clock: { resolution: 1ms }"),
    ("random", "random: true"),
    ("tools", "tools: [PLUGIN/TOOL]"),
    ("subflow", "subflow: [FLOW]"),
    ("model", "model: [MODEL]"),
    ("approval", "approval: true"),
];

pub(crate) fn classify(import: &str) -> Class {
    let Some(interface) = Interface::parse(import) else { return Class::Unknown };
    match interface.package {
        // Another version of the contract is reported as such, not interface by interface.
        "floe:plugin" if CONTRACT_IMPORTS.contains(&interface.name) || !serves(interface.version) => Class::Contract,
        "floe:capability" if CAPABILITIES.iter().any(|(name, _)| *name == interface.name) => Class::Capability,
        package if package.starts_with("wasi:") => {
            let inert = INERT.iter().any(|(inert, names)| *inert == package && names.contains(&interface.name));
            match interface.version {
                Some(version) if version.starts_with("0.2.") => {
                    if inert {
                        Class::Inert
                    } else {
                        Class::Wasi
                    }
                }
                _ => Class::Unknown,
            }
        }
        _ => Class::Unknown,
    }
}

/// Whether this host serves the version: the same up to its last part, which only adds.
fn serves(version: Option<&str>) -> bool {
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    version.and_then(minor) == minor(CONTRACT)
}

/// Refuses another contract, a component without a node or tool, and whatever is not granted.
pub(crate) fn admit(inspection: &Inspection, plugin: &str, grants: &Grants) -> Result<(), Error> {
    check_contract(inspection)?;
    match inspection.imports.questionable().find(|import| !is_available(import, grants)) {
        Some(import) => Err(refuse(import, plugin, grants)),
        None => check_exports(inspection),
    }
}

/// As [`admit`], but whatever this host serves is as good as granted: it is denied when it is used.
pub(crate) fn admit_to_learn(inspection: &Inspection, plugin: &str, grants: &Grants) -> Result<(), Error> {
    check_contract(inspection)?;
    match inspection.imports.questionable().find(|import| !is_served(import)) {
        Some(import) => Err(refuse(import, plugin, grants)),
        None => check_exports(inspection),
    }
}

/// Refuses another contract, and a component without a node or tool, whatever else it imports.
pub(crate) fn admit_to_describe(inspection: &Inspection) -> Result<(), Error> {
    check_contract(inspection)?;
    check_exports(inspection)
}

fn check_contract(inspection: &Inspection) -> Result<(), Error> {
    match inspection.contract.iter().find(|version| !serves(Some(version))) {
        Some(asked) => {
            let asked = if asked.is_empty() { "(no version)" } else { asked };
            Err(Error::Contract { asked: asked.to_owned(), served: CONTRACT })
        }
        None => Ok(()),
    }
}

fn check_exports(inspection: &Inspection) -> Result<(), Error> {
    if inspection.node || inspection.toolset { Ok(()) } else { Err(Error::NoExport { served: CONTRACT }) }
}

/// Whether this host serves it and the operator grants it.
fn is_available(import: &str, grants: &Grants) -> bool {
    is_served(import) && key(import).is_some_and(|key| grants.has(key))
}

fn is_served(import: &str) -> bool {
    let served = |interface: Interface<'_>| {
        let minor = interface.version.and_then(|version| version.rsplit_once('.')).map(|(minor, _)| minor);
        SERVED.iter().any(|(name, version)| *name == interface.name && minor == Some(version))
    };
    match (classify(import), Interface::parse(import)) {
        (Class::Capability, Some(interface)) => served(interface),
        (Class::Wasi, Some(interface)) => interface.package == "wasi:http" && HTTP.contains(&interface.name),
        _ => false,
    }
}

/// The key under `grants` that an import needs; none: nothing grants it.
pub(crate) fn key(import: &str) -> Option<&str> {
    match (classify(import), Interface::parse(import)?) {
        (Class::Capability, interface) => Some(interface.name),
        // The key is suggested for a file: nothing but a name may get there.
        (Class::Wasi, interface) => Some(interface.package.trim_start_matches("wasi:")).filter(|name| is_name(name)),
        _ => None,
    }
}

fn refuse(import: &str, plugin: &str, grants: &Grants) -> Error {
    let import_name = import.to_owned();
    let Some((key, line)) = key(import).map(grant) else { return Error::UnknownImport { import: import_name } };
    if grants.has(&key) {
        return Error::NotAvailable { import: import_name };
    }
    let lines = format!("  plugins:\n    {plugin}:\n      grants:\n        {line}");
    Error::NotGranted { served: is_served(import), import: import_name, lines }
}

/// The key under `grants` and the whole line.
fn grant(name: &str) -> (String, String) {
    match CAPABILITIES.iter().find(|(known, _)| *known == name) {
        Some((known, line)) => ((*known).to_owned(), (*line).to_owned()),
        None if name == "sockets" => (name.to_owned(), "sockets: [{ host: db.example.com, port: 5432 }]".to_owned()),
        None => (name.to_owned(), format!("{name}: true")),
    }
}
