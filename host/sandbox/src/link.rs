//! What a component can import: the contract, the capabilities, and the part of WASI that does nothing outside the call. Everything
//! else is absent, sockets included, so that it cannot be called even by mistake.

use wasmtime::Engine;
use wasmtime::component::{HasData, HasSelf, Linker, ResourceTable};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, clocks as wasi_clocks, filesystem, random};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::bindings::floe::plugin::{emit, log};
use crate::host::random::{self as randomness, HasRandom, Random};
use crate::host::{budget, clock, clocks, files, http, secrets, state as values, subflow, tools, wasi_http};
use crate::state::State;

/// The linker of every plugin; type checks against it happen once, at load.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    log::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    budget::add_to_linker(&mut linker)?;
    emit::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
    clocks::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    values::add_to_linker(&mut linker)?;
    clock::add_to_linker(&mut linker)?;
    randomness::add_to_linker(&mut linker)?;
    subflow::add_to_linker(&mut linker)?;
    tools::add_to_linker(&mut linker)?;
    http::add_to_linker(&mut linker)?;
    secrets::add_to_linker(&mut linker)?;
    wasi_http::add_to_linker(&mut linker)?;
    wasi(
        &mut linker,
        |state| {
            state.call.host_calls += 1;
            &mut state.table
        },
        |state| {
            state.call.host_calls += 1;
            state.random()
        },
    )?;
    Ok(linker)
}

/// The part of WASI 0.2 whose answers follow from the call: no arguments, no sockets; the environment that is granted.
pub(crate) fn wasi<T: WasiView + 'static>(
    linker: &mut Linker<T>,
    table: fn(&mut T) -> &mut ResourceTable,
    randomness: fn(&mut T) -> &mut Random,
) -> wasmtime::Result<()> {
    io::error::add_to_linker::<T, HasTable>(linker, table)?;
    io::streams::add_to_linker::<T, HasTable>(linker, table)?;
    random::random::add_to_linker::<T, HasRandom>(linker, randomness)?;
    random::insecure::add_to_linker::<T, HasRandom>(linker, randomness)?;
    random::insecure_seed::add_to_linker::<T, HasRandom>(linker, randomness)?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, T::cli)
}

/// WASI's clocks and its file system as they are, for calls that nobody records and that are granted no directory.
pub(crate) fn bare_world<T: WasiView + 'static>(
    linker: &mut Linker<T>,
    table: fn(&mut T) -> &mut ResourceTable,
) -> wasmtime::Result<()> {
    io::poll::add_to_linker::<T, HasTable>(linker, table)?;
    wasi_clocks::wall_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    wasi_clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}
