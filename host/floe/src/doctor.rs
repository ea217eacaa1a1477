//! `floe doctor`: what this host is, where it keeps things, what plugins may use, and whether they can be built here and are
//! compiled apart.

mod advisories;

use std::io::Write;
use std::path::Path;

use floe_sandbox::{Compiler, Limits, Profile};
use serde::Serialize;

use crate::builder::{TARGET, target_installed};
use crate::cli::DoctorArgs;
use crate::file::{Bytes, Time};
use crate::settings::{Settings, open_to_others};
use crate::table::table;
use crate::{Error, Exit};

use advisories::Advisory;

/// The lock file that this program was built with.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Debug, Serialize)]
struct Health {
    floe: &'static str,
    wasmtime: &'static str,
    /// What is known of this version of Wasmtime, and on which day it was.
    advisories: Vec<Advisory>,
    advisories_known_on: &'static str,
    compiling: Compiling,
    contract: &'static str,
    cores: usize,
    cache: Option<Cache>,
    target: Target,
    limits: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Cache {
    folder: String,
    state: &'static str,
    ok: bool,
}

/// How plugins are compiled.
#[derive(Debug, Serialize)]
struct Compiling {
    state: String,
    /// What a compiling process could do that it must not.
    possible: Vec<String>,
    ok: bool,
}

#[derive(Debug, Serialize)]
struct Target {
    name: &'static str,
    state: &'static str,
    ok: bool,
}

/// One limit in every profile, in [`Profile::ALL`]'s order.
#[derive(Debug, Serialize)]
struct Row {
    limit: &'static str,
    #[serde(flatten)]
    profiles: std::collections::BTreeMap<&'static str, String>,
}

/// Prints the state of this host; incomplete if something needs mending.
pub fn execute(args: &DoctorArgs, settings: &Settings) -> Result<Exit, Error> {
    let wasmtime = locked("wasmtime").unwrap_or("unknown");
    let health = Health {
        floe: env!("CARGO_PKG_VERSION"),
        wasmtime,
        advisories: advisories::of(wasmtime),
        advisories_known_on: advisories::KNOWN_ON,
        compiling: compiling(&settings.compiler),
        contract: floe_sandbox::CONTRACT,
        cores: settings.cores.get(),
        cache: settings.cache.as_deref().map(cache),
        target: target(),
        limits: limits(),
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&health).map_err(std::io::Error::from)?)?;
    } else {
        write!(out, "{}", text(&health))?;
    }
    let sound = !health.advisories.iter().any(|advisory| advisory.reaches);
    let well = sound && health.compiling.ok && health.target.ok && health.cache.is_none_or(|cache| cache.ok);
    Ok(if well { Exit::Completed } else { Exit::Incomplete })
}

fn text(health: &Health) -> String {
    let cache = match &health.cache {
        Some(cache) => format!("{} ({})", cache.folder, cache.state),
        None => "none: set FLOE_CACHE, XDG_CACHE_HOME or HOME, or plugins are compiled anew at every start".to_owned(),
    };
    let facts = [
        ["floe".to_owned(), health.floe.to_owned()],
        ["wasmtime".to_owned(), wasmtime(health)],
        ["compiling".to_owned(), health.compiling.state.clone()],
        ["contract".to_owned(), health.contract.to_owned()],
        ["cores".to_owned(), health.cores.to_string()],
        ["cache".to_owned(), cache],
        ["plugins".to_owned(), format!("{}: {}", health.target.name, health.target.state)],
    ];
    let header: Vec<&str> = std::iter::once("LIMIT").chain(Profile::ALL.map(Profile::name)).collect();
    let rows = health.limits.iter().map(|row| {
        let values = Profile::ALL.iter().map(|profile| row.profiles[profile.name()].clone());
        std::iter::once(row.limit.to_owned()).chain(values).collect::<Vec<_>>()
    });
    let known = health.advisories.iter().map(|advisory| {
        let reaches = if advisory.reaches { "yes: " } else { "no: " };
        [advisory.id.to_owned(), advisory.what.to_owned(), format!("{reaches}{}", advisory.why)]
    });
    let known = table(&["ADVISORY", "WHAT", "REACHES THIS HOST"], known);
    let known = if health.advisories.is_empty() { String::new() } else { format!("{known}\n") };
    format!("{}\n{known}{}", table(&[], facts), table(&header, rows))
}

fn wasmtime(health: &Health) -> String {
    let all = health.advisories.len();
    let reach = health.advisories.iter().filter(|advisory| advisory.reaches).count();
    let known = match (all, reach) {
        (0, _) => "no advisory is known here".to_owned(),
        (all, 0) => format!("{all} advisories, none of which reaches this host"),
        (all, reach) => format!("{reach} of {all} advisories reach this host: get a newer floe"),
    };
    format!("{} ({known}; as of {}, later ones at {})", health.wasmtime, health.advisories_known_on, advisories::LATER)
}

/// Starts a compiling process and has it try what it must not be able to do. Where calls cannot be filtered at all, that is said
/// and is not wrong; where they can, and something is possible all the same, it is.
fn compiling(compiler: &Compiler) -> Compiling {
    let checked = compiler.check(floe_sandbox::DEFAULT_COMPILE_MEMORY);
    let (state, possible, ok) = match checked {
        Err(error) => (format!("the process that compiles does not work: {error}"), Vec::new(), false),
        Ok(None) => ("in this process, without limits of memory".to_owned(), Vec::new(), true),
        Ok(Some(found)) if found.is_whole() => {
            ("in a process of its own, without files, network, programs or signals".to_owned(), Vec::new(), true)
        }
        Ok(Some(found)) => {
            let possible: Vec<String> =
                found.attempts.into_iter().filter(|attempt| !attempt.refused).map(|attempt| attempt.what).collect();
            (
                format!("in a process of its own, which still can: {}", possible.join(", ")),
                possible,
                !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
            )
        }
    };
    Compiling { state, possible, ok }
}

/// The version of a crate in [`LOCK`].
pub(crate) fn locked(name: &str) -> Option<&'static str> {
    let (_, after) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}

fn cache(folder: &Path) -> Cache {
    let (state, ok) = match std::fs::metadata(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => ("not made yet", true),
        Err(_) => ("cannot be read", false),
        Ok(metadata) if !metadata.is_dir() => ("not a folder", false),
        Ok(metadata) if metadata.permissions().readonly() => ("cannot be written", false),
        Ok(metadata) if open_to_others(&metadata) => ("others may write to it: chmod 700", false),
        Ok(_) => ("ready", true),
    };
    Cache { folder: folder.display().to_string(), state, ok }
}

fn target() -> Target {
    let (state, ok) = match target_installed(Path::new(".")) {
        Some(true) => ("installed", true),
        Some(false) => ("not installed; `floe build` adds it", true),
        None => ("there is no Rust; plugins that are built already run without it", true),
    };
    Target { name: TARGET, state, ok }
}

fn limits() -> Vec<Row> {
    let bytes = |bytes: u64| Bytes(bytes).to_string();
    let time = |time| Time(time).to_string();
    let row = |limit: &'static str, value: &dyn Fn(&Limits) -> String| Row {
        limit,
        profiles: Profile::ALL.iter().map(|profile| (profile.name(), value(&Limits::profile(*profile)))).collect(),
    };
    vec![
        row("memory", &|limits| bytes(limits.memory)),
        row("fuel", &|limits| limits.fuel.to_string()),
        row("wall", &|limits| time(limits.wall)),
        row("table_elements", &|limits| limits.table_elements.to_string()),
        row("tables", &|limits| limits.tables.to_string()),
        row("memories", &|limits| limits.memories.to_string()),
        row("instances", &|limits| limits.instances.to_string()),
        row("hostcall", &|limits| bytes(limits.hostcall)),
        row("handles", &|limits| limits.handles.to_string()),
        row("resources", &|limits| limits.resources.to_string()),
        row("random", &|limits| bytes(limits.random)),
        row("stdio", &|limits| bytes(limits.stdio)),
        row("log_lines", &|limits| limits.log_lines.to_string()),
        row("log_line", &|limits| bytes(limits.log_line)),
        row("chunk", &|limits| bytes(limits.chunk)),
        row("emits", &|limits| limits.emits.to_string()),
        row("emit", &|limits| bytes(limits.emit)),
        row("result", &|limits| bytes(limits.result)),
        row("host_calls", &|limits| limits.host_calls.to_string()),
        row("calls", &|limits| limits.calls.to_string()),
        row("state_writes", &|limits| limits.state_writes.to_string()),
        row("requests", &|limits| limits.requests.to_string()),
        row("http_connections", &|limits| limits.http_connections.to_string()),
        row("egress_bytes", &|limits| bytes(limits.egress_bytes)),
        row("http_in", &|limits| bytes(limits.http_in)),
        row("http_time", &|limits| time(limits.http_time)),
        row("fields", &|limits| bytes(limits.fields)),
        row("module", &|limits| bytes(limits.module)),
        row("functions", &|limits| limits.functions.to_string()),
        row("imports", &|limits| limits.imports.to_string()),
        row("nested", &|limits| limits.nested.to_string()),
        row("compile", &|limits| time(limits.compile)),
        row("compile_memory", &|limits| bytes(limits.compile_memory)),
    ]
}
