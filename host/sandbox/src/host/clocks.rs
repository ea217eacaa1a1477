//! `wasi:clocks` and `wasi:io/poll`: time as the plugin's grant has it, and waiting by it. What the clocks say is recorded; a call
//! that is made once more is told the same and waits for nothing.
//!
//! Without a grant a clock is coarse: what happens within a thousandth of a second, such as what a processor has in its caches, is not
//! to be measured by it. Waiting is always real, in steps of a millisecond, as the host's timers are.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi_io::bindings::wasi::io::poll;

use crate::state::State;
use crate::tape::{Answers, Conflict};

/// How coarse time is for a plugin without a grant: enough for dates, time-outs and pauses, and a thousand times as long as what one
/// guest could learn of another by the time that memory takes.
pub const DEFAULT_CLOCK_RESOLUTION: Duration = Duration::from_millis(1);

/// What a plugin's clocks tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The time, rounded down to a multiple of this; 1 ns, and no less, is as exact as the host's clock.
    Coarse(Duration),
    /// Always this time since 1970-01-01T00:00:00Z. The monotonic clock begins at 0 and moves by what the guest waits, and by nothing
    /// else.
    Fixed(Duration),
}

impl Clock {
    /// The coarser of the two; one that stands still is the coarsest.
    pub(crate) fn at_most(self, most: Self) -> Self {
        match (self, most) {
            (Self::Coarse(one), Self::Coarse(other)) => Self::Coarse(one.max(other)),
            (fixed @ Self::Fixed(_), _) | (Self::Coarse(_), fixed @ Self::Fixed(_)) => fixed,
        }
    }
}

/// The time of an instance.
#[derive(Debug)]
pub(crate) struct Time {
    clock: Clock,
    since: Instant,
    /// Nanoseconds that the guest has waited by a clock that stands still.
    waited: u64,
    /// By such a clock: when the handles by which the guest may wait are ready. Each is a live resource, and these are limited.
    timers: BTreeMap<u32, u64>,
}

/// The clocks of a call, and what was recorded of them.
pub(crate) struct Clocks<'a> {
    pub(crate) answers: &'a mut Answers,
    pub(crate) time: &'a mut Time,
    pub(crate) wasi: WasiClocksCtxView<'a>,
}

/// What can be waited for, and what was recorded of it.
pub(crate) struct Polling<'a> {
    pub(crate) answers: &'a mut Answers,
    pub(crate) time: &'a mut Time,
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

// === impl Time ===

impl Time {
    pub(crate) fn new(clock: Option<Clock>) -> Self {
        let clock = clock.unwrap_or(Clock::Coarse(DEFAULT_CLOCK_RESOLUTION));
        Self { clock, since: Instant::now(), waited: 0, timers: BTreeMap::new() }
    }

    /// Since 1970-01-01T00:00:00Z.
    pub(crate) fn wall(&self) -> Duration {
        match self.clock {
            Clock::Coarse(step) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Duration::from_nanos(floor(now, step))
            }
            Clock::Fixed(time) => time,
        }
    }

    /// In nanoseconds; never less than before.
    pub(crate) fn monotonic(&self) -> u64 {
        match self.clock {
            Clock::Coarse(step) => floor(self.since.elapsed(), step),
            Clock::Fixed(_) => self.waited,
        }
    }

    fn resolution(&self) -> Duration {
        match self.clock {
            Clock::Coarse(step) => step.max(Duration::from_nanos(1)),
            Clock::Fixed(_) => Duration::from_nanos(1),
        }
    }

    /// Notes a handle that is ready in so many nanoseconds.
    fn begin(&mut self, handle: u32, duration: u64) {
        if matches!(self.clock, Clock::Fixed(_)) {
            self.timers.insert(handle, self.waited.saturating_add(duration));
        }
    }

    /// A handle was waited for, and is ready.
    fn is_ready(&mut self, handle: u32) {
        if let Some(when) = self.timers.get(&handle) {
            self.waited = self.waited.max(*when);
        }
    }
}

/// A time in nanoseconds, rounded down to a multiple of the step. They fit until the year 2554.
fn floor(time: Duration, step: Duration) -> u64 {
    let step = step.as_nanos().max(1);
    u64::try_from(time.as_nanos() / step * step).unwrap_or(u64::MAX)
}

// === impl Clocks ===

impl Clocks<'_> {
    /// What a clock says, or what the record has of it.
    pub(crate) fn tell<T: Serialize + DeserializeOwned>(
        &mut self,
        import: &'static str,
        tell: impl FnOnce(&Time) -> T,
    ) -> wasmtime::Result<T> {
        if let Some(answer) = self.answers.recorded(import)? {
            return Ok(answer);
        }
        let answer = tell(self.time);
        self.answers.keep(import, &answer);
        Ok(answer)
    }

    /// As seconds and nanoseconds.
    fn tell_wall(&mut self, import: &'static str, tell: fn(&Time) -> Duration) -> wasmtime::Result<wall_clock::Datetime> {
        let parts = |time: &Time| {
            let time = tell(time);
            (time.as_secs(), time.subsec_nanos())
        };
        let (seconds, nanoseconds) = self.tell(import, parts)?;
        Ok(wall_clock::Datetime { seconds, nanoseconds })
    }
}

impl wall_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.tell_wall("wall-clock.now", Time::wall)
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.tell_wall("wall-clock.resolution", Time::resolution)
    }
}

impl monotonic_clock::Host for Clocks<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.tell("monotonic-clock.now", Time::monotonic)
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.tell("monotonic-clock.resolution", |time| floor(time.resolution(), Duration::ZERO))
    }

    /// What it is good for is told by [`poll::Host::poll`].
    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_duration(when.saturating_sub(self.time.monotonic()))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let handle = self.wasi.subscribe_duration(duration)?;
        self.time.begin(handle.rep(), duration);
        Ok(handle)
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
        let handles: Vec<u32> = pollables.iter().map(Resource::rep).collect();
        let ready = self.table.poll(pollables).await?;
        for place in &ready {
            if let Some(handle) = usize::try_from(*place).ok().and_then(|place| handles.get(place)) {
                self.time.is_ready(*handle);
            }
        }
        self.answers.keep("poll", &ready);
        Ok(ready)
    }
}

impl poll::HostPollable for Polling<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        if self.answers.are_recorded() {
            return Ok(());
        }
        let handle = pollable.rep();
        self.table.block(pollable).await?;
        self.time.is_ready(handle);
        Ok(())
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        if let Some(ready) = self.answers.recorded("pollable.ready")? {
            return Ok(ready);
        }
        let handle = pollable.rep();
        let ready = self.table.ready(pollable).await?;
        if ready {
            self.time.is_ready(handle);
        }
        self.answers.keep("pollable.ready", &ready);
        Ok(ready)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.time.timers.remove(&pollable.rep());
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
