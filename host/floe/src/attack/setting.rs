//! The limits under which a case runs: those of the installation's configuration, smaller where a case is over sooner then.

use std::time::Duration;

use floe_sandbox::Limits;

use super::corpus::Case;
use crate::Error;
use crate::cli::AttackArgs;
use crate::file::{self, LimitsConfig};

/// What people raise with a reason stays below so many times the profile's limit; beyond it, nothing is held.
pub(super) const LAX: u64 = 10;

/// What is attacked.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// Whose limits these are, for people.
    pub(super) of: String,
    /// As configured.
    pub(super) limits: Limits,
    /// The profile's own: hard bounds follow from them, whatever is configured.
    pub(super) default: Limits,
}

impl Setting {
    /// The limits of a profile or of a plugin of a flow, with those of the command line in their place.
    pub(super) fn new(args: &AttackArgs) -> Result<Self, Error> {
        let (of, profile, own) = match &args.flow {
            None => (format!("profile `{}`", floe_sandbox::Profile::from(args.profile).name()), args.profile, None),
            Some(path) => {
                let flow = file::Flow::load(path, &[])?;
                let (name, plugin) = plugin(&flow, args.plugin.as_deref())?;
                (format!("plugin `{name}` of `{}`", path.display()), plugin.profile, Some(plugin.limits.clone()))
            }
        };
        let default = Limits::profile(profile.into());
        let mut limits = own.map_or_else(|| default.clone(), |own: LimitsConfig| own.in_place_of(&default));
        for given in &args.limits {
            limits = parse(given).map_err(|why| Error::wrong(format!("--limit {given}: {why}")))?.in_place_of(&limits);
        }
        Ok(Self { of, limits, default })
    }

    /// The limits for a case: what it asks for, unless the configuration allows beyond reason. Then that is what is to be seen.
    pub(super) fn of_case(&self, case: &Case) -> Result<Limits, Error> {
        let mut limits = self.limits.clone();
        for given in &case.with {
            let wrong = |why| Error::wrong(format!("tests/attack/{}.wat: with {given}: {why}", case.name));
            let wanted = parse(given).map_err(wrong)?.in_place_of(&limits);
            let name = given.split('=').next().unwrap_or_default();
            if self.is_raised(name) || value(&wanted, name) >= value(&limits, name) {
                continue;
            }
            limits = wanted;
        }
        Ok(limits)
    }

    /// Whether the configuration allows more than anybody has a reason to.
    pub(super) fn is_raised(&self, limit: &str) -> bool {
        value(&self.limits, limit) / LAX > value(&self.default, limit)
    }

    /// Whether the configuration allows less than the profile does.
    pub(super) fn is_lowered(&self, limit: &str) -> bool {
        value(&self.limits, limit) < value(&self.default, limit)
    }
}

fn plugin<'a>(flow: &'a file::Flow, wanted: Option<&str>) -> Result<(&'a str, &'a file::Plugin), Error> {
    let plugins: Vec<(&str, &file::Plugin)> = flow.file.plugins.iter().collect();
    let known = || plugins.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (wanted, plugins.as_slice()) {
        (Some(wanted), plugins) => plugins
            .iter()
            .find(|(name, _)| *name == wanted)
            .copied()
            .ok_or_else(|| Error::wrong(format!("the flow has no plugin `{wanted}`; it has {}", known()))),
        (None, [only]) => Ok(*only),
        (None, []) => Err(Error::wrong("the flow has no plugin, so there is none to attack")),
        (None, _) => Err(Error::wrong(format!("the flow has several plugins: {}", known())).with_help("name one with --plugin")),
    }
}

/// Reads `NAME=VALUE`, as the flow file takes it; a power of ten may be larger than a file's numbers are.
fn parse(given: &str) -> Result<LimitsConfig, String> {
    let (name, value) = given.split_once('=').ok_or("write NAME=VALUE, as in fuel=1e12 or memory=1GiB")?;
    let power = value
        .split_once('e')
        .and_then(|(digit, zeros)| digit.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(zeros.parse().ok()?)?));
    let value = power.map_or_else(|| value.to_owned(), |power| power.to_string());
    serde_saphyr::from_str(&format!("{name}: {value}\n")).map_err(|error| {
        let said = error.to_string();
        let line = said.lines().next().unwrap_or_default();
        // Its place is a line of what was put together here.
        line.split_once(" column ").and_then(|(_, said)| said.split_once(": ")).map_or(line, |(_, said)| said).to_owned()
    })
}

/// A limit by its name, times in milliseconds; 0 for one that cannot be set.
pub(super) fn value(limits: &Limits, name: &str) -> u64 {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match name {
        "memory" => limits.memory,
        "fuel" => limits.fuel,
        "wall" => millis(limits.wall),
        "table_elements" => limits.table_elements,
        "tables" => limits.tables.into(),
        "memories" => limits.memories.into(),
        "instances" => limits.instances.into(),
        "hostcall" => limits.hostcall,
        "handles" => limits.handles.into(),
        "resources" => limits.resources.into(),
        "random" => limits.random,
        "stdio" => limits.stdio,
        "log_lines" => limits.log_lines.into(),
        "log_line" => limits.log_line,
        "chunk" => limits.chunk,
        "emits" => limits.emits.into(),
        "emit" => limits.emit,
        "result" => limits.result,
        "host_calls" => limits.host_calls,
        "state_writes" => limits.state_writes.into(),
        "requests" => limits.requests.into(),
        "http_connections" => limits.http_connections.into(),
        "egress_bytes" => limits.egress_bytes,
        "http_in" => limits.http_in,
        "http_time" => millis(limits.http_time),
        "fields" => limits.fields,
        "calls" => limits.calls.into(),
        "module" => limits.module,
        "functions" => limits.functions.into(),
        "imports" => limits.imports.into(),
        "nested" => limits.nested.into(),
        "compile" => millis(limits.compile),
        "compile_memory" => limits.compile_memory,
        _ => 0,
    }
}
