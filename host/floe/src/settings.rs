//! What the environment says. The only place that reads it.

use std::env::var_os;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use floe_sandbox::Compiler;

/// The argument with which `floe` starts itself to compile one plugin.
pub const COMPILE: &str = "compile-plugin";

/// The process's surroundings, read once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where compiled plugins are kept: `FLOE_CACHE`, else `floe` under `XDG_CACHE_HOME` or under `~/.cache`. None if the
    /// environment names no home: then nothing is kept.
    pub cache: Option<PathBuf>,
    /// Standard error may carry colours.
    pub color_errors: bool,
    /// Standard output may carry colours.
    pub color_output: bool,
    /// Standard error is a terminal: progress may be drawn on it.
    pub draw: bool,
    /// Processors that this process may use.
    pub cores: NonZeroUsize,
    /// Where plugins are compiled. In this process, unless the program says that it can start itself for it (see
    /// [`this_program`]).
    pub compiler: Compiler,
}

/// This program as one that compiles: for a program that calls [`floe_sandbox::compile_child`], with all but the first argument,
/// as soon as its first argument is [`COMPILE`]. The binary `floe` does.
pub fn this_program() -> Compiler {
    // Linux keeps this one even where another file has taken the program's place since it started.
    let running = PathBuf::from("/proc/self/exe");
    let program = if running.exists() { Some(running) } else { std::env::current_exe().ok() };
    program.map_or(Compiler::InProcess, |program| Compiler::Child { program, args: vec![COMPILE.into()] })
}

/// What the variable that a flow file names holds; the error says that there is none.
pub(crate) fn variable(name: &str) -> Result<String, String> {
    let value = var_os(name).ok_or_else(|| format!("there is no `{name}` in the environment"))?;
    value.into_string().map_err(|_| format!("the environment's `{name}` is not UTF-8 text"))
}

/// The folder of the plugin store: `FLOE_HOME`, else `floe` under `XDG_DATA_HOME` or under `~/.local/share`. None if the
/// environment names no home.
pub(crate) fn home() -> Option<PathBuf> {
    let set = |name: &str| var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = || set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
    set("FLOE_HOME").or_else(|| base().map(|base| base.join("floe")))
}

/// Whether other users may change what is in a folder.
#[cfg(unix)]
pub(crate) fn open_to_others(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o022 != 0
}

/// Elsewhere the folder's place in the user's profile sees to it.
#[cfg(not(unix))]
pub(crate) fn open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

impl Settings {
    /// Reads `FLOE_CACHE`, `XDG_CACHE_HOME`, `HOME`, `NO_COLOR` and `TERM`.
    pub fn from_env() -> Self {
        let set = |name: &str| var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let color = set("NO_COLOR").is_none() && !dumb;
        let base =
            || set("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let errors = std::io::stderr().is_terminal();
        Self {
            cache: set("FLOE_CACHE").map(PathBuf::from).or_else(|| base().map(|base| base.join("floe"))),
            color_errors: color && errors,
            color_output: color && std::io::stdout().is_terminal(),
            draw: errors && !dumb,
            cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            compiler: Compiler::InProcess,
        }
    }
}
