//! `floe:capability/clock`: what WASI's clocks tell, in two functions, for plugins that are granted a clock.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::state::State;

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut clock = linker.instance("floe:capability/clock@0.1.0")?;
    clock.func_wrap("now", |mut store: StoreContextMut<'_, State>, (): ()| {
        let state = store.data_mut();
        Ok((state.capable_of("clock")?.clocks().tell("clock.now", |time| nanoseconds(time.wall()))?,))
    })?;
    clock.func_wrap("monotonic", |mut store: StoreContextMut<'_, State>, (): ()| {
        let state = store.data_mut();
        Ok((state.capable_of("clock")?.clocks().tell("clock.monotonic", |time| time.monotonic())?,))
    })
}

/// They fit until the year 2554.
fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
