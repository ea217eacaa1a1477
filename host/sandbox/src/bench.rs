//! The floor under a call of a plugin: the same component, engine, limits, links and arguments on bare Wasmtime, without what
//! this crate adds (checks of what is returned, emissions, logs, receipts, randomness that can be repeated).

use std::time::Duration;

use floe_flow::Payload;
use tokio::time::Instant;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::bindings::exports::floe::plugin::node;
use crate::bindings::floe::plugin::{budget, emit, log, types};
use crate::engine::{FUEL_YIELD, engine_without};
use crate::host::random::{Random, Secret};
use crate::limiter::Limiter;
use crate::limits::Limits;
use crate::link::{bare_world, wasi};
use crate::{Error, Plugin};

/// What protects the host from a call, as far as it can be left out to see what it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Counting fuel, and the yields that follow from it.
    Fuel,
    /// Yields by fuel alone.
    Yields,
    /// Looking at the clock's ticks.
    Ticks,
    /// Slots that were made beforehand, each with its own guard pages; without them, memory is mapped as instances come.
    Pool,
    /// The same bits for every NaN, so that a call can be made again.
    Nans,
    /// Counting memories and tables.
    Memory,
    /// Bounding what one crossing copies.
    Hostcall,
    /// Bounding handles.
    Handles,
    /// Bounding what is behind the handles.
    Resources,
}

impl Guard {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Fuel,
        Self::Yields,
        Self::Ticks,
        Self::Pool,
        Self::Nans,
        Self::Memory,
        Self::Hostcall,
        Self::Handles,
        Self::Resources,
    ];
}

/// Instances that are there and do nothing; they go when it is dropped.
pub struct Idle(Vec<(Store<Bare>, node::Guest)>);

impl Idle {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Idle").field(&self.0.len()).finish()
    }
}

/// A node of a plugin on bare Wasmtime.
pub struct Raw {
    engine: Engine,
    pre: InstancePre<Bare>,
    indices: node::GuestIndices,
    node: String,
    config: Payload,
    limits: Limits,
    without: Option<Guard>,
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Raw {
    /// Prepares the floor for one of the plugin's nodes.
    ///
    /// # Errors
    /// [`Error::Unknown`] where the plugin has no nodes; [`Error::Engine`].
    pub fn new(plugin: &Plugin, node: &str, config: &Payload) -> Result<Self, Error> {
        plugin.node(node, config, 1)?;
        let loaded = &plugin.loaded;
        let engine = loaded.core.engine.clone();
        let linker = linker(&engine).map_err(Error::Engine)?;
        let pre = linker.instantiate_pre(loaded.pre.component()).map_err(Error::Engine)?;
        let indices = node::GuestIndices::new(&pre).map_err(Error::Engine)?;
        let limits = loaded.identity.limits.clone();
        Ok(Self { engine, pre, indices, node: node.to_owned(), config: config.clone(), limits, without: None })
    }

    /// Prepares the same on an engine of its own for so many instances, without one of the guards: for a component that is trusted.
    ///
    /// # Errors
    /// [`Error::Engine`], also where it does not compile or has no nodes.
    pub fn apart(
        component: &[u8],
        node: &str,
        config: &Payload,
        limits: &Limits,
        instances: u32,
        without: Option<Guard>,
    ) -> Result<Self, Error> {
        let engine = engine_without(instances, without)?;
        let linker = linker(&engine).map_err(Error::Engine)?;
        let component = Component::from_binary(&engine, component).map_err(Error::Engine)?;
        let pre = linker.instantiate_pre(&component).map_err(Error::Engine)?;
        let indices = node::GuestIndices::new(&pre).map_err(Error::Engine)?;
        let (node, config, limits) = (node.to_owned(), config.clone(), limits.clone());
        Ok(Self { engine, pre, indices, node, config, limits, without })
    }

    /// Makes instances that have served one call each, until there are so many or the system has no more room for them.
    ///
    /// # Errors
    /// [`Error::Engine`] with the trap of a call.
    pub async fn idle(&self, payload: &Payload, count: usize) -> Result<Idle, Error> {
        let mut idle = Vec::new();
        for _ in 0..count {
            let Ok((mut store, guest)) = self.instance().await else { break };
            self.call(&mut store, &guest, payload).await.map_err(Error::Engine)?;
            idle.push((store, guest));
        }
        Ok(Idle(idle))
    }

    /// Calls the node `calls` times, each on an instance of its own. Returns the time of all.
    ///
    /// # Errors
    /// [`Error::Engine`] with the trap of a call.
    pub async fn fresh(&self, payload: &Payload, calls: u32) -> Result<Duration, Error> {
        let started = Instant::now();
        for _ in 0..calls {
            let (mut store, guest) = self.instance().await.map_err(Error::Engine)?;
            self.call(&mut store, &guest, payload).await.map_err(Error::Engine)?;
        }
        Ok(started.elapsed())
    }

    /// Calls the node `calls` times on one instance. Returns the time of all, without instantiation.
    ///
    /// # Errors
    /// [`Error::Engine`] with the trap of a call.
    pub async fn reused(&self, payload: &Payload, calls: u32) -> Result<Duration, Error> {
        let (mut store, guest) = self.instance().await.map_err(Error::Engine)?;
        let started = Instant::now();
        for _ in 0..calls {
            self.call(&mut store, &guest, payload).await.map_err(Error::Engine)?;
        }
        Ok(started.elapsed())
    }

    async fn instance(&self) -> wasmtime::Result<(Store<Bare>, node::Guest)> {
        let mut table = ResourceTable::new();
        if self.has(Guard::Resources) {
            table.set_max_capacity(usize::try_from(self.limits.resources)?);
        }
        let random = Random::new(&Secret::new([0; 32]), ["", "", "", ""], self.limits.random);
        let mut store =
            Store::new(&self.engine, Bare { limiter: Limiter::new(&self.limits, self.limits.memory), table, wasi: None, random });
        if self.has(Guard::Memory) {
            store.limiter(|bare| &mut bare.limiter);
        }
        if self.has(Guard::Hostcall) {
            store.set_hostcall_fuel(usize::try_from(self.limits.hostcall)?);
        }
        if self.has(Guard::Handles) {
            store.set_max_component_handles(usize::try_from(self.limits.handles)?);
        }
        if self.has(Guard::Fuel) && self.has(Guard::Yields) {
            store.fuel_async_yield_interval(Some(FUEL_YIELD))?;
        }
        self.refill(&mut store)?;
        let instance = self.pre.instantiate_async(&mut store).await?;
        let guest = self.indices.load(&mut store, &instance)?;
        Ok((store, guest))
    }

    fn refill(&self, store: &mut Store<Bare>) -> wasmtime::Result<()> {
        if self.has(Guard::Ticks) {
            store.set_epoch_deadline(1 << 32);
        }
        if self.has(Guard::Fuel) { store.set_fuel(self.limits.fuel) } else { Ok(()) }
    }

    fn has(&self, guard: Guard) -> bool {
        self.without != Some(guard)
    }

    async fn call(&self, store: &mut Store<Bare>, guest: &node::Guest, payload: &Payload) -> wasmtime::Result<()> {
        self.refill(store)?;
        let message = node::Message {
            trace: "bench-0000",
            id: "0123456789abcdef",
            parent: Some("0123456789abcdef"),
            source: Some("hop-0"),
            attempt: 1,
            turn: 0,
            deadline_ms: Some(10_000),
            tenant: "bench",
            user: None,
            session: None,
            topic: None,
            priority: 0,
            payload: payload.text(),
            meta: &[],
        };
        match guest.call_handle(store, &self.node, self.config.text(), message).await? {
            Ok(outcome) => {
                std::hint::black_box(outcome);
                Ok(())
            }
            Err(failure) => Err(wasmtime::Error::msg(failure.message)),
        }
    }
}

/// The least that a store needs.
struct Bare {
    limiter: Limiter,
    table: ResourceTable,
    wasi: Option<Box<WasiCtx>>,
    random: Random,
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<Bare>> {
    let mut linker = Linker::new(engine);
    log::add_to_linker::<_, HasSelf<Bare>>(&mut linker, |bare| bare)?;
    budget::add_to_linker::<_, HasSelf<Bare>>(&mut linker, |bare| bare)?;
    emit::add_to_linker::<_, HasSelf<Bare>>(&mut linker, |bare| bare)?;
    wasi(&mut linker, |bare| &mut bare.table, |bare| &mut bare.random)?;
    bare_world(&mut linker, |bare| &mut bare.table)?;
    Ok(linker)
}

impl WasiView for Bare {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| Box::new(WasiCtx::builder().build()));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

impl log::Host for Bare {
    fn write(&mut self, _: log::Level, _: String, _: Vec<log::Field>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl budget::Host for Bare {
    fn remaining(&mut self) -> wasmtime::Result<Vec<(String, u64)>> {
        Ok(Vec::new())
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(false)
    }
}

impl emit::Host for Bare {
    fn message(&mut self, _: types::Output) -> wasmtime::Result<Result<(), types::Failure>> {
        Ok(Ok(()))
    }

    async fn chunk(
        &mut self,
        _: Option<String>,
        _: String,
        _: bool,
        _: Vec<emit::Field>,
        _: Vec<String>,
    ) -> wasmtime::Result<Result<u64, types::Failure>> {
        Ok(Ok(0))
    }

    async fn progress(&mut self, _: String, _: String) -> wasmtime::Result<Result<(), types::Failure>> {
        Ok(Ok(()))
    }
}
