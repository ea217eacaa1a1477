//! From an assembled flow to a running one.

use floe_flow::Config;
use floe_sandbox::Sandbox;
use tokio::runtime::Handle;

use crate::Error;
use crate::file::Flow;
use crate::settings::Settings;

/// Turns of the thread for timers and I/O between two looks at what other threads have for it, and at whatever it was started for.
/// Tokio's 31 and 61 suit tasks that take microseconds; whoever reads a flood of outputs takes a hundred of them.
const TURNS_TO_NEW_WORK: u32 = 2;

/// The sandbox that suits this machine. Values that plugins keep are in memory, and its randomness is its own.
pub fn sandbox(settings: &Settings) -> Result<Sandbox, Error> {
    sandbox_with(settings, |_| {})
}

/// As [`sandbox`], with something else about it changed.
pub fn sandbox_with(settings: &Settings, change: impl FnOnce(&mut floe_sandbox::Config)) -> Result<Sandbox, Error> {
    let mut config = floe_sandbox::Config {
        cache: settings.cache.clone(),
        compiler: settings.compiler.clone(),
        ..floe_sandbox::Config::new(settings.cores.get())
    };
    change(&mut config);
    Sandbox::new(config).map_err(|error| Error::wrong(error.to_string()))
}

/// How the flow runs, as its file says: nodes on the sandbox's threads, timers on the current runtime.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn config(flow: &Flow, sandbox: &Sandbox) -> Config {
    let default = Config::on_current_runtime();
    Config {
        budget: flow.file.budget.over(default.budget),
        compute: sandbox.handle().clone(),
        timers: Handle::current(),
        ..default
    }
}

/// The runtime for timers and I/O; guests have threads of their own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .global_queue_interval(TURNS_TO_NEW_WORK)
        .event_interval(TURNS_TO_NEW_WORK)
        .build();
    runtime.map_err(|error| Error::wrong(format!("cannot start a runtime: {error}")))
}
