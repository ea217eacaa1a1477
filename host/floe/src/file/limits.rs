//! The `profile` and `limits` of a plugin in the flow file, and the limits that come of them.

use clap::ValueEnum;
use floe_sandbox::Limits;
use schemars::JsonSchema;
use serde::Deserialize;

use super::units::{Bytes, Count, Time};

/// Named limits for a language.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Rust, C and other compiled languages.
    #[default]
    Rust,
    /// JavaScript and TypeScript.
    Js,
    /// Python.
    Python,
    /// Go.
    Go,
}

/// Limits of a plugin that differ from its profile's; `floe doctor` shows those. A size is `64MiB`, a time `10s`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes of all memories, and 8 for each element of a table.
    pub memory: Option<Bytes>,
    /// Units of computation a call.
    pub fuel: Option<Count>,
    /// Time a call, host calls and waiting included.
    pub wall: Option<Time>,
    /// Elements of all tables.
    pub table_elements: Option<Count>,
    /// Tables of an instance.
    pub tables: Option<u32>,
    /// Memories of an instance.
    pub memories: Option<u32>,
    /// Core instances of which an instance of the component consists.
    pub instances: Option<u32>,
    /// Bytes that one crossing may copy from the guest to the host.
    pub hostcall: Option<Bytes>,
    /// Live handles.
    pub handles: Option<u32>,
    /// Live host values behind handles.
    pub resources: Option<u32>,
    /// Bytes that one request for randomness may ask for.
    pub random: Option<Bytes>,
    /// Bytes of standard output and of standard error kept a call; the rest is dropped.
    pub stdio: Option<Bytes>,
    /// Log lines a call; the rest is dropped.
    pub log_lines: Option<u32>,
    /// Bytes of a log line and of its fields; the rest is cut.
    pub log_line: Option<Bytes>,
    /// Bytes of a piece of a stream, or of progress.
    pub chunk: Option<Bytes>,
    /// Emissions a call, and outputs of its result.
    pub emits: Option<u32>,
    /// Bytes of all emissions a call.
    pub emit: Option<Bytes>,
    /// Bytes of a call's result.
    pub result: Option<Bytes>,
    /// Calls of the guest to the host.
    pub host_calls: Option<Count>,
    /// Calls of subflows and tools a call.
    pub calls: Option<u32>,
    /// Values set or deleted a call.
    pub state_writes: Option<u32>,
    /// HTTP requests a call, each hop of a redirect counted.
    pub requests: Option<u32>,
    /// HTTP connections at once.
    pub http_connections: Option<u32>,
    /// Bytes of all HTTP requests a call.
    pub egress_bytes: Option<Bytes>,
    /// Bytes of all HTTP answers a call.
    pub http_in: Option<Bytes>,
    /// Time for an HTTP exchange.
    pub http_time: Option<Time>,
    /// Bytes of the headers of an HTTP request or answer.
    pub fields: Option<Bytes>,
    /// Bytes of the component.
    pub module: Option<Bytes>,
    /// Functions in the component.
    pub functions: Option<u32>,
    /// Imports in the component, at any depth.
    pub imports: Option<u32>,
    /// Components and modules within the component, at any depth, and how often these are instantiated.
    pub nested: Option<u32>,
    /// Time for compiling.
    pub compile: Option<Time>,
    /// Bytes of memory that compiling may take.
    pub compile_memory: Option<Bytes>,
}

impl From<Profile> for floe_sandbox::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Rust => Self::Rust,
            Profile::Js => Self::Js,
            Profile::Python => Self::Python,
            Profile::Go => Self::Go,
        }
    }
}

impl LimitsConfig {
    /// The profile's limits with these in their place.
    pub fn over(&self, profile: Profile) -> Limits {
        self.in_place_of(&Limits::profile(profile.into()))
    }

    /// Other limits with these in their place.
    pub fn in_place_of(&self, default: &Limits) -> Limits {
        Limits {
            memory: self.memory.map_or(default.memory, |given| given.0),
            fuel: self.fuel.map_or(default.fuel, |given| given.0),
            wall: self.wall.map_or(default.wall, |given| given.0),
            table_elements: self.table_elements.map_or(default.table_elements, |given| given.0),
            tables: self.tables.unwrap_or(default.tables),
            memories: self.memories.unwrap_or(default.memories),
            instances: self.instances.unwrap_or(default.instances),
            hostcall: self.hostcall.map_or(default.hostcall, |given| given.0),
            handles: self.handles.unwrap_or(default.handles),
            resources: self.resources.unwrap_or(default.resources),
            random: self.random.map_or(default.random, |given| given.0),
            stdio: self.stdio.map_or(default.stdio, |given| given.0),
            log_lines: self.log_lines.unwrap_or(default.log_lines),
            chunk: self.chunk.map_or(default.chunk, |given| given.0),
            log_line: self.log_line.map_or(default.log_line, |given| given.0),
            emits: self.emits.unwrap_or(default.emits),
            emit: self.emit.map_or(default.emit, |given| given.0),
            result: self.result.map_or(default.result, |given| given.0),
            host_calls: self.host_calls.map_or(default.host_calls, |given| given.0),
            calls: self.calls.unwrap_or(default.calls),
            state_writes: self.state_writes.unwrap_or(default.state_writes),
            requests: self.requests.unwrap_or(default.requests),
            http_connections: self.http_connections.unwrap_or(default.http_connections),
            egress_bytes: self.egress_bytes.map_or(default.egress_bytes, |given| given.0),
            http_in: self.http_in.map_or(default.http_in, |given| given.0),
            http_time: self.http_time.map_or(default.http_time, |given| given.0),
            fields: self.fields.map_or(default.fields, |given| given.0),
            module: self.module.map_or(default.module, |given| given.0),
            functions: self.functions.unwrap_or(default.functions),
            imports: self.imports.unwrap_or(default.imports),
            nested: self.nested.unwrap_or(default.nested),
            compile: self.compile.map_or(default.compile, |given| given.0),
            compile_memory: self.compile_memory.map_or(default.compile_memory, |given| given.0),
        }
    }
}
