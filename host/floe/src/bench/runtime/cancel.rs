//! From a cancel to the end of the guest that it stops.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_flow::{End, Event, EventKind, Flow, Graph, Handle, Invoke, Observer, Policy, Submission};
use floe_sandbox::{Grants, Limits, Profile};
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Bench, micros};
use crate::Error;
use crate::bench::report::Figures;

/// A component whose node computes for ever; its text stands beside it.
const SPIN: &[u8] = include_bytes!("../../../../../tests/golden/spin.wasm");
/// Nothing but a cancel ends a call in time.
const ENDLESS: Duration = Duration::from_secs(3600);
/// From an attempt's start: by then its guest computes, for it takes some 20 µs to get there.
const UNDER_WAY: Duration = Duration::from_millis(2);

/// Counts attempts that have begun, and tells when a trace ended.
#[derive(Debug)]
struct Watch {
    begun: Semaphore,
    ended: Mutex<Option<Instant>>,
}

impl Watch {
    /// When the last trace ended that nobody has asked about.
    fn ended(&self) -> Option<Instant> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Observer for Watch {
    fn observe(&self, event: Event) {
        match event.kind {
            EventKind::Started { .. } => self.begun.add_permits(1),
            EventKind::Ended { .. } => *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now()),
            _ => {}
        }
    }
}

impl Bench<'_> {
    /// A node that computes until it is stopped.
    pub(super) async fn spinner(&self) -> Result<Arc<dyn Invoke>, Error> {
        let wrong = |error: floe_sandbox::Error| Error::wrong(error.to_string());
        let limits = Limits { fuel: u64::MAX, wall: ENDLESS, ..Limits::profile(Profile::Rust) };
        let plugin = self.sandbox.load("spin", SPIN, &Grants::default(), &limits).await.map_err(wrong)?;
        plugin.node("spin", &json!({}).into(), 1).map_err(wrong)
    }

    /// Cancels guests one after the other, while so many others go on. A trace ends when nothing of it runs any more: the thread
    /// that has dropped its guest tells its end. What its reader's thread takes to wake up is not counted.
    pub(super) async fn cancel(
        &self,
        spinner: &Arc<dyn Invoke>,
        others: usize,
        name: &'static str,
        figures: &mut Figures,
    ) -> Result<(), Error> {
        let mut graph = Graph::builder("bench");
        graph.run("spin", Arc::clone(spinner), Policy::with_concurrency(others + 1));
        let graph = graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))?;
        let watch = Arc::new(Watch { begun: Semaphore::new(0), ended: Mutex::new(None) });
        let mut config = self.config(others + 1);
        config.observer = Some(Arc::clone(&watch) as _);
        let flow = Flow::start(graph, config);
        let mut running = Vec::with_capacity(others);
        for other in 0..others {
            running.push(self.spin(&flow, &watch, &format!("other-{other}")).await?);
        }
        for n in 0..self.args.cancels {
            let handle = self.spin(&flow, &watch, &format!("bench-{n:04}")).await?;
            let cancelled = Instant::now();
            handle.cancel();
            let (_, terminal) = handle.finish().await;
            match watch.ended() {
                Some(ended) if terminal.end == End::Cancelled => figures.record(name, micros(ended - cancelled)),
                _ => return Err(Error::wrong(format!("a guest of the bench did not end by its cancel: {terminal:?}"))),
            }
        }
        drop(running);
        flow.stop(Duration::ZERO).await;
        Ok(())
    }

    /// The longest that one of the threads on which nodes run was kept from its processor while all of them computed, for about as
    /// long as the cancels take. Whatever is cancelled at such a moment ends later.
    pub(super) async fn stall(&self) -> Duration {
        let time = UNDER_WAY * u32::try_from(self.args.cancels).unwrap_or(u32::MAX);
        let mut threads = JoinSet::new();
        for _ in 0..self.cores {
            threads.spawn_on(async move { longest_gap(time) }, self.sandbox.handle());
        }
        threads.join_all().await.into_iter().max().unwrap_or_default()
    }

    /// Starts a guest and waits until it computes.
    async fn spin(&self, flow: &Flow, watch: &Watch, trace: &str) -> Result<Handle, Error> {
        let handle = flow.submit(Submission::new(trace, "bench", self.payload.clone())).await;
        let handle = handle.map_err(|error| Error::wrong(error.to_string()))?;
        // The bench never closes it.
        let _ = watch.begun.acquire().await.map(SemaphorePermit::forget);
        tokio::time::sleep(UNDER_WAY).await;
        Ok(handle)
    }
}

/// Computes for so long, and returns the longest time in which it could not.
fn longest_gap(time: Duration) -> Duration {
    let started = Instant::now();
    let (mut last, mut longest) = (started, Duration::ZERO);
    while last - started < time {
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}
