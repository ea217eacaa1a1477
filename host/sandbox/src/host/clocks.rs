//! `wasi:clocks` and `wasi:io/poll`: the host's clocks, and waiting by them. What they say is recorded; a call that is made once more
//! is told the same and waits for nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi_io::bindings::wasi::io::poll;

use crate::state::State;
use crate::tape::{Answers, Conflict};

/// The host's clocks, and what was recorded of them.
pub(crate) struct Clocks<'a> {
    pub(crate) answers: &'a mut Answers,
    pub(crate) wasi: WasiClocksCtxView<'a>,
}

/// What can be waited for, and what was recorded of it.
pub(crate) struct Polling<'a> {
    pub(crate) answers: &'a mut Answers,
    pub(crate) table: &'a mut ResourceTable,
}

struct HasClocks;

impl HasData for HasClocks {
    type Data<'a> = Clocks<'a>;
}

struct HasPolling;

impl HasData for HasPolling {
    type Data<'a> = Polling<'a>;
}

/// Adds the interfaces to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<State, HasClocks>(linker, State::clocks)?;
    monotonic_clock::add_to_linker::<State, HasClocks>(linker, State::clocks)?;
    poll::add_to_linker::<State, HasPolling>(linker, State::polling)
}

// === impl Clocks ===

impl Clocks<'_> {
    fn ask<T: Serialize + DeserializeOwned>(
        &mut self,
        import: &'static str,
        world: impl FnOnce(&mut WasiClocksCtxView<'_>) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        if let Some(answer) = self.answers.recorded(import)? {
            return Ok(answer);
        }
        let answer = world(&mut self.wasi)?;
        self.answers.keep(import, &answer);
        Ok(answer)
    }

    /// A time as seconds and nanoseconds.
    fn ask_wall(
        &mut self,
        import: &'static str,
        world: fn(&mut WasiClocksCtxView<'_>) -> wasmtime::Result<wall_clock::Datetime>,
    ) -> wasmtime::Result<wall_clock::Datetime> {
        let (seconds, nanoseconds) = self.ask(import, |wasi| world(wasi).map(|time| (time.seconds, time.nanoseconds)))?;
        Ok(wall_clock::Datetime { seconds, nanoseconds })
    }
}

impl wall_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.ask_wall("wall-clock.now", |wasi| wall_clock::Host::now(wasi))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.ask_wall("wall-clock.resolution", |wasi| wall_clock::Host::resolution(wasi))
    }
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.ask("monotonic-clock.now", |wasi| monotonic_clock::Host::now(wasi))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.ask("monotonic-clock.resolution", |wasi| monotonic_clock::Host::resolution(wasi))
    }

    /// What it is good for is told by [`poll::Host::poll`].
    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wasi.subscribe_instant(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wasi.subscribe_duration(duration)
    }
}

// === impl Polling ===

impl poll::Host for Polling<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        // An empty list is the guest's mistake, and no answer was recorded.
        if !pollables.is_empty()
            && let Some(ready) = self.answers.recorded::<Vec<u32>>("poll")?
        {
            return known(ready, pollables.len());
        }
        let ready = self.table.poll(pollables).await?;
        self.answers.keep("poll", &ready);
        Ok(ready)
    }
}

impl poll::HostPollable for Polling<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        if self.answers.are_recorded() {
            return Ok(());
        }
        self.table.block(pollable).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        if let Some(ready) = self.answers.recorded("pollable.ready")? {
            return Ok(ready);
        }
        let ready = self.table.ready(pollable).await?;
        self.answers.keep("pollable.ready", &ready);
        Ok(ready)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.table, pollable)
    }
}

/// A guest may rely on places that it asked for.
fn known(ready: Vec<u32>, asked: usize) -> wasmtime::Result<Vec<u32>> {
    if ready.iter().any(|place| usize::try_from(*place).map_or(true, |place| place >= asked)) {
        return Err(Conflict::new(format!("it waits for {asked}, and the record has {ready:?} of them ready")).into());
    }
    Ok(ready)
}
