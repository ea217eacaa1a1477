//! From an assembled flow to a running one.

use floe_flow::Config;
use floe_sandbox::Sandbox;
use tokio::runtime::Handle;

use crate::Error;
use crate::file::{Flow, TenantsFile};
use crate::settings::Settings;

/// The sandbox that suits this machine, with the ceilings of its tenants, if there is a file of them.
pub fn sandbox(settings: &Settings, tenants: Option<&TenantsFile>) -> Result<Sandbox, Error> {
    let config = floe_sandbox::Config {
        cache: settings.cache.clone(),
        compiler: settings.compiler.clone(),
        tenants: tenants.map(TenantsFile::ceilings),
        ..floe_sandbox::Config::new(settings.cores.get())
    };
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Error::wrong(format!("cannot start a runtime: {error}")))
}
