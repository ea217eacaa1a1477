//! `map`: one node applied to every item of an array, several at once, results in the order of the items (spec item 77).

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument, debug_span};

use crate::context::Context;
use crate::message::{Message, Payload, name_key};
use crate::node::{Call, Failure, FailureKind, Invoke, Outcome, Receipt, Report};
use crate::tape::{MAX_TAPE, Tape, Taping, Unfit};

/// PenguiFlow's number (spec item 77).
pub const DEFAULT_MAP_CONCURRENCY: usize = 8;

/// Applies a node to each item of an array. The outputs of all items make one array; the first failure ends the rest and fails
/// the attempt. Each item is a hop of the trace, and what it used counts when it is done.
#[derive(Debug)]
pub struct MapNode {
    item: Arc<dyn Invoke>,
    concurrency: NonZeroUsize,
}

impl MapNode {
    /// Applies `item`, at most `concurrency` at once for one message.
    pub fn new(item: Arc<dyn Invoke>, concurrency: NonZeroUsize) -> Self {
        Self { item, concurrency }
    }

    async fn run(&self, call: Call) -> Report {
        let mut receipt = Receipt::default();
        let mut running = JoinSet::new();
        let mut tapes = Tapes::new(&call.taping);
        let result = self.collect(&call, &mut running, &mut receipt, &mut tapes).await;
        // After a failure, a retry does not begin beside what is left of this attempt.
        running.shutdown().await;
        let tape = tapes.whole(result.is_ok());
        Report { receipt, tape, booked: true, ..Report::from(result.map(Outcome::one)) }
    }

    async fn collect(
        &self,
        call: &Call,
        running: &mut JoinSet<(usize, Report)>,
        receipt: &mut Receipt,
        tapes: &mut Tapes,
    ) -> Result<Payload, Failure> {
        let items = items(call)?;
        let mut waiting = items.iter().enumerate();
        let max = call.ctx.trace.flow.config.budget.payload;
        let mut bytes = 1;
        // Of each item, the texts of its outputs.
        let mut results = vec![String::new(); items.len()];
        loop {
            while running.len() < self.concurrency.get()
                && let Some((index, item)) = waiting.next()
            {
                self.start(call, index, item.get(), running)?;
            }
            let Some(done) = running.join_next().await else { break };
            let (index, mut report) = done.map_err(|error| internal(&error))?;
            add(receipt, &report.receipt);
            tapes.add(index, &mut report);
            results[index] = texts(report, &mut bytes, max)
                .map_err(|failure| Failure { message: format!("item {index}: {}", failure.message), ..failure })?;
        }
        results.retain(|texts| !texts.is_empty());
        Payload::parse(format!("[{}]", results.join(",")))
            .map_err(|error| Failure::new(FailureKind::InvalidInput, format!("the results do not fit in one array: {error}")))
    }

    /// Runs an item in a task of its own, for guests compute and there are several cores. A task that is aborted, as all are
    /// when this attempt is dropped, may be in the middle of a poll on another thread: its part, which is dropped after all
    /// else in it, keeps the trace from ending before.
    fn start(&self, call: &Call, index: usize, text: &str, running: &mut JoinSet<(usize, Report)>) -> Result<(), Failure> {
        let payload = Payload::parse(text).map_err(|error| Failure::new(FailureKind::InvalidInput, error.to_string()))?;
        let node = &call.ctx.trace.flow.graph.nodes()[call.ctx.node];
        let message = Message {
            // Not the id of an emission of the node.
            id: call.message.id.child(name_key("map") ^ node.key, index as u64),
            parent: Some(call.message.id),
            payload,
            ..(*call.message).clone()
        };
        let part = call.ctx.start_part().ok_or_else(ending)?;
        // Each item closes streams for itself.
        let ctx = Context { sender: call.ctx.sender.part(), ..call.ctx.clone() };
        let taping = match &call.taping {
            Taping::Play(tape) => Taping::Play(Arc::new(tape.items.get(index).cloned().unwrap_or_default())),
            other => other.clone(),
        };
        let call = Call { ctx, message: Arc::new(message), attempt: call.attempt, deadline: call.deadline, taping };
        let item = Arc::clone(&self.item);
        let work = async move {
            let report = item.invoke(call).await;
            if !report.booked {
                part.book(&report.receipt);
            }
            // Given back only now that it is booked.
            let report = Report { hold: None, ..report };
            (index, report)
        };
        running.spawn(work.instrument(debug_span!("item")));
        Ok(())
    }
}

impl Invoke for MapNode {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(self.run(call))
    }
}

/// The records of the items' calls, by the items' places: they end in any order.
#[derive(Default)]
struct Tapes {
    kept: bool,
    items: BTreeMap<usize, Tape>,
    bytes: usize,
}

impl Tapes {
    fn new(taping: &Taping) -> Self {
        Self { kept: matches!(taping, Taping::Record), ..Self::default() }
    }

    fn add(&mut self, index: usize, report: &mut Report) {
        let Some(tape) = report.tape.take() else {
            // What one item leaves no record of cannot be made again as a whole.
            self.kept = false;
            return;
        };
        self.bytes += tape.bytes();
        if self.kept && self.bytes <= MAX_TAPE {
            self.items.insert(index, *tape);
        }
    }

    /// The record of the map's call.
    fn whole(self, succeeded: bool) -> Option<Box<Tape>> {
        let Self { kept, items, bytes } = self;
        if !kept {
            return None;
        }
        if bytes > MAX_TAPE {
            return Some(Box::new(Tape::unfit(Unfit::TooManyAnswers)));
        }
        if !succeeded && !items.is_empty() {
            return Some(Box::new(Tape::unfit(Unfit::ItemFailed)));
        }
        Some(Box::new(Tape::of_items(items.into_values())))
    }
}

fn items(call: &Call) -> Result<Vec<&RawValue>, Failure> {
    let text = call.message.payload.text();
    let no_array = |_| Failure::new(FailureKind::InvalidInput, "a map takes an array");
    // Counted first, which keeps nothing: millions of items would take far more than their text.
    let count = serde_json::from_str::<Vec<IgnoredAny>>(text).map_err(no_array)?.len();
    if !call.ctx.has_hops(count as u64) {
        return Err(ending());
    }
    serde_json::from_str(text).map_err(no_array)
}

/// Nobody sees this: the trace has its terminal already.
fn ending() -> Failure {
    Failure::new(FailureKind::Cancelled, "the trace is ending")
}

fn internal(error: &JoinError) -> Failure {
    Failure::new(FailureKind::Internal, format!("an item's task ended: {error}"))
}

/// What an item adds to an array of at most `max` bytes, of which `bytes` are there already. Only text is kept: many small
/// payloads would take far more.
fn texts(report: Report, bytes: &mut usize, max: usize) -> Result<String, Failure> {
    let Outcome::Outputs(returned) = report.result? else {
        let message = "a node under `map` returns outputs; it cannot ask for another turn or answer for the flow";
        return Err(Failure::new(FailureKind::InvalidInput, message));
    };
    let texts: Vec<&str> = report.emitted.iter().chain(&returned).map(|output| output.payload.text()).collect();
    *bytes += texts.iter().map(|text| text.len() + 1).sum::<usize>();
    if *bytes > max {
        return Err(Failure::limit(FailureKind::Exhausted, "payload", *bytes as u64, max as u64, "`budget.payload`"));
    }
    Ok(texts.join(","))
}

fn add(sum: &mut Receipt, part: &Receipt) {
    sum.add(part.amounts(), 1 + part.hops);
    sum.wall += part.wall;
    sum.cpu += part.cpu;
    sum.peak_memory = sum.peak_memory.max(part.peak_memory);
    sum.bytes_in += part.bytes_in;
    sum.bytes_out += part.bytes_out;
}
