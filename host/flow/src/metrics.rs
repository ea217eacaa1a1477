//! Folds events into counters, gauges and histograms, by node and tenant (spec item 88). Knows no network: ask it for
//! [`Metrics::samples`], or, with the feature `prometheus`, for that format's text.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};

use crate::event::{Event, EventKind, Load, Observer};
use crate::node::Receipt;
use crate::observe::{Buffered, Losses};
use crate::rooms::lock;

#[cfg(feature = "prometheus")]
mod prometheus;
mod samples;

pub use samples::Sample;

/// Pairs of node and tenant that are counted apart. Each costs about half a kilobyte here and some twenty samples; fifty nodes
/// for twenty tenants are a lot to look at. What comes later is counted under the tenant [`OTHER`], and nodes beyond as many
/// under that name too.
pub const MAX_LABEL_SETS: usize = 1000;

/// Bytes of a node's or tenant's name; a longer one is counted as [`OTHER`].
pub const MAX_LABEL_BYTES: usize = 128;

/// Traces whose load is in the gauges; beyond them only counters count. Far more than are in flight by default.
pub const MAX_GAUGED_TRACES: usize = 10_000;

/// The name of whatever is not counted apart.
pub const OTHER: &str = "other";

/// Upper bounds of the classes of times, in microseconds: from a native node to a model that thinks for a minute.
pub const TIME_BOUNDS_US: [u64; 12] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000, 60_000_000];

/// Counts what happens. Quick enough to observe a flow directly, and then it misses nothing. Behind a [`Buffered`] it misses what
/// that drops, and a trace whose end it missed stays in the gauges.
#[derive(Debug, Default)]
pub struct Metrics {
    state: Mutex<State>,
    buffers: Mutex<Vec<Weak<Buffered>>>,
}

#[derive(Debug, Default)]
struct State {
    numbers: Numbers,
    /// Traces in flight, by id.
    live: HashMap<Arc<str>, Live>,
}

/// All that is counted.
#[derive(Debug, Default, Clone)]
struct Numbers {
    /// By node, then by tenant.
    nodes: BTreeMap<Arc<str>, BTreeMap<Arc<str>, NodeNumbers>>,
    /// Pairs in `nodes`, without those of other tenants.
    sets: usize,
    tenants: BTreeMap<Arc<str>, TenantNumbers>,
    /// Events that buffers dropped, by cause.
    dropped: BTreeMap<&'static str, u64>,
    panics: u64,
}

/// What is counted of a node for a tenant.
#[derive(Debug, Default, Clone)]
struct NodeNumbers {
    /// By outcome: `ok` or a failure's code.
    attempts: BTreeMap<&'static str, u64>,
    time: Times,
    retries: u64,
    given_up: u64,
    fuel: u64,
    outputs: u64,
    chunks: u64,
    queued: u64,
    waiting: u64,
}

/// What is counted of a tenant's traces; those of subflows are parts of their callers', but for messages and attempts.
#[derive(Debug, Default, Clone)]
struct TenantNumbers {
    accepted: u64,
    /// By terminal.
    ended: BTreeMap<&'static str, u64>,
    time: Times,
    in_flight: u64,
    pending: u64,
    running: u64,
}

/// A histogram.
#[derive(Debug, Default, Clone)]
struct Times {
    /// By class of [`TIME_BOUNDS_US`]; longer ones are in `count` alone.
    classes: [u64; TIME_BOUNDS_US.len()],
    count: u64,
    sum_us: u64,
}

/// What a trace in flight has in the gauges.
#[derive(Debug)]
struct Live {
    tenant: Arc<str>,
    /// 1; 0 if it is a subflow of another.
    requests: u64,
    pending: u64,
    running: u64,
    /// Node, messages that wait at it, emissions of it that wait.
    nodes: Vec<(Arc<str>, u64, u64)>,
}

// === impl Metrics ===

impl Metrics {
    /// Counts also what this buffer drops, as long as it is there.
    pub fn follow(&self, buffer: &Arc<Buffered>) {
        lock(&self.buffers).push(Arc::downgrade(buffer));
    }

    /// Every number: the same events give the same samples in the same order. Times are in seconds.
    pub fn samples(&self) -> Vec<Sample> {
        samples::families().flat_map(|family| family.samples(&self.numbers())).collect()
    }

    /// All numbers as they stand: reading them takes longer than a flow should wait.
    fn numbers(&self) -> Numbers {
        let buffers: Vec<_> = lock(&self.buffers).iter().filter_map(Weak::upgrade).collect();
        let losses = buffers.iter().map(|buffer| buffer.losses()).fold(Losses::default(), Losses::and);
        let numbers = lock(&self.state).numbers.clone();
        let dropped = [("full", losses.full), ("bytes", losses.bytes), ("closed", losses.closed)];
        Numbers { dropped: dropped.into(), panics: losses.panics, ..numbers }
    }
}

impl Observer for Metrics {
    fn observe(&self, event: Event) {
        lock(&self.state).count(&event);
    }
}

impl State {
    fn count(&mut self, event: &Event) {
        let tenant = &event.tenant;
        match &event.kind {
            EventKind::Accepted { .. } => {
                self.numbers.tenant(tenant).accepted += u64::from(event.caller.is_none());
                self.enter(event);
            }
            EventKind::Queued { node, load, .. } | EventKind::Started { node, load, .. } => self.load(&event.trace, node, *load),
            EventKind::Blocked { from, load, .. } => self.load(&event.trace, from, *load),
            EventKind::Succeeded { node, latency_us, receipt, load, .. } => {
                self.attempt(event, node, "ok", *latency_us, receipt, *load);
            }
            EventKind::Failed { node, latency_us, code, receipt, load, .. } => {
                self.attempt(event, node, code.code(), *latency_us, receipt, *load);
            }
            EventKind::Retry { node, load, .. } => {
                self.numbers.node(node, tenant).retries += 1;
                self.load(&event.trace, node, *load);
            }
            EventKind::GaveUp { node, load, .. } => {
                self.numbers.node(node, tenant).given_up += 1;
                self.load(&event.trace, node, *load);
            }
            EventKind::Output { node, .. } => self.numbers.node(node, tenant).outputs += 1,
            EventKind::Chunk { node, .. } => self.numbers.node(node, tenant).chunks += 1,
            EventKind::Ended { terminal, latency_us } => {
                if event.caller.is_none() {
                    let numbers = self.numbers.tenant(tenant);
                    *numbers.ended.entry(terminal.end.name()).or_default() += 1;
                    numbers.time.add(*latency_us);
                }
                self.leave(&event.trace);
            }
            EventKind::Ending { .. } => self.stop(&event.trace),
            EventKind::Resumed { .. } => self.enter(event),
            EventKind::Discarded { .. }
            | EventKind::Joined { .. }
            | EventKind::Late { .. }
            | EventKind::Superseded { .. }
            | EventKind::Progress { .. } => {}
        }
    }

    fn attempt(&mut self, event: &Event, node: &Arc<str>, outcome: &'static str, us: u64, receipt: &Receipt, load: Load) {
        let numbers = self.numbers.node(node, &event.tenant);
        *numbers.attempts.entry(outcome).or_default() += 1;
        numbers.time.add(us);
        numbers.fuel = numbers.fuel.saturating_add(receipt.fuel);
        self.load(&event.trace, node, load);
    }
}

// === gauges ===

impl State {
    fn enter(&mut self, event: &Event) {
        let (trace, tenant, requests) = (&event.trace, &event.tenant, u64::from(event.caller.is_none()));
        // There already, if its end was missed.
        self.leave(trace);
        if self.live.len() < MAX_GAUGED_TRACES {
            self.numbers.tenant(tenant).in_flight += requests;
            let live = Live { tenant: Arc::clone(tenant), requests, pending: 0, running: 0, nodes: Vec::new() };
            self.live.insert(Arc::clone(trace), live);
        }
    }

    fn load(&mut self, trace: &str, node: &Arc<str>, load: Load) {
        let Some(live) = self.live.get_mut(trace) else { return };
        let numbers = self.numbers.tenant(&live.tenant);
        replace(&mut numbers.pending, &mut live.pending, load.pending);
        replace(&mut numbers.running, &mut live.running, load.running as u64);
        let numbers = self.numbers.node(node, &live.tenant);
        let (_, queued, waiting) = live.at(node);
        replace(&mut numbers.queued, queued, load.queued as u64);
        replace(&mut numbers.waiting, waiting, load.waiting.into());
    }

    /// All that waits is gone; attempts are being stopped.
    fn stop(&mut self, trace: &Arc<str>) {
        let Some(live) = self.live.get_mut(trace) else { return };
        replace(&mut self.numbers.tenant(&live.tenant).pending, &mut live.pending, 0);
        for (node, mut queued, mut waiting) in live.nodes.drain(..) {
            let numbers = self.numbers.node(&node, &live.tenant);
            replace(&mut numbers.queued, &mut queued, 0);
            replace(&mut numbers.waiting, &mut waiting, 0);
        }
    }

    fn leave(&mut self, trace: &Arc<str>) {
        self.stop(trace);
        let Some(live) = self.live.remove(trace) else { return };
        let numbers = self.numbers.tenant(&live.tenant);
        numbers.running -= live.running;
        numbers.in_flight -= live.requests;
    }
}

impl Live {
    fn at(&mut self, node: &Arc<str>) -> &mut (Arc<str>, u64, u64) {
        let found = self.nodes.iter().position(|(name, ..)| name == node);
        let index = found.unwrap_or_else(|| {
            self.nodes.push((Arc::clone(node), 0, 0));
            self.nodes.len() - 1
        });
        &mut self.nodes[index]
    }
}

/// A trace's part of a gauge changes.
fn replace(gauge: &mut u64, part: &mut u64, now: u64) {
    *gauge = *gauge - *part + now;
    *part = now;
}

// === impl Numbers ===

impl Numbers {
    fn node(&mut self, node: &Arc<str>, tenant: &Arc<str>) -> &mut NodeNumbers {
        let known = self.nodes.contains_key(node);
        let tenants = self.nodes.entry(label(node, known || self.nodes.len() < MAX_LABEL_SETS)).or_default();
        let known = tenants.contains_key(tenant);
        let tenant = label(tenant, known || self.sets < MAX_LABEL_SETS);
        self.sets += usize::from(!known && &*tenant != OTHER);
        tenants.entry(tenant).or_default()
    }

    fn tenant(&mut self, tenant: &Arc<str>) -> &mut TenantNumbers {
        let apart = self.tenants.contains_key(tenant) || self.tenants.len() < MAX_LABEL_SETS;
        self.tenants.entry(label(tenant, apart)).or_default()
    }
}

/// A name, or [`OTHER`]. A name that was counted apart once stays so, and one that was not is never: what a trace added to a
/// gauge is taken from the same one.
fn label(name: &Arc<str>, apart: bool) -> Arc<str> {
    if apart && name.len() <= MAX_LABEL_BYTES { Arc::clone(name) } else { OTHER.into() }
}

impl Times {
    fn add(&mut self, us: u64) {
        if let Some(class) = TIME_BOUNDS_US.iter().position(|bound| us <= *bound) {
            self.classes[class] += 1;
        }
        self.count += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }
}
