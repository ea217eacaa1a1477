//! `map`: one node applied to every item of an array, several at once, results in the order of the items (spec item 77).

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::task::JoinSet;

use crate::message::{Message, Payload};
use crate::node::{Call, Failure, FailureKind, Invoke, Outcome, Receipt, Report};

/// PenguiFlow's number (spec item 77).
pub const DEFAULT_MAP_CONCURRENCY: usize = 8;

/// Applies a node to each item of an array. The outputs of all items make one array; the first failure ends the rest and fails
/// the attempt.
#[derive(Debug)]
pub struct MapNode {
    item: Arc<dyn Invoke>,
    concurrency: NonZeroUsize,
    key: u64,
}

impl MapNode {
    /// Applies `item`, at most `concurrency` at once for one message.
    pub fn new(item: Arc<dyn Invoke>, concurrency: NonZeroUsize) -> Self {
        Self { item, concurrency, key: crate::message::name_key("map") }
    }

    async fn run(&self, call: Call) -> Report {
        let items: Vec<&RawValue> = match serde_json::from_str(call.message.payload.text()) {
            Ok(items) => items,
            Err(_) => {
                let failure = Failure::new(FailureKind::InvalidInput, "a map takes an array");
                return Report::from(Err(failure));
            }
        };
        let mut receipt = Receipt::default();
        let mut results: Vec<Vec<Payload>> = vec![Vec::new(); items.len()];
        // Dropping the set aborts what still runs, also when this future is dropped.
        let mut running: JoinSet<(usize, Report)> = JoinSet::new();
        let mut waiting = items.iter().enumerate();
        let result = loop {
            while running.len() < self.concurrency.get()
                && let Some((index, item)) = waiting.next()
            {
                match self.item_call(&call, index, item.get()) {
                    Ok(item_call) => {
                        let item = Arc::clone(&self.item);
                        running.spawn(async move { (index, item.invoke(item_call).await) });
                    }
                    Err(failure) => return Report { result: Err(failure), emitted: Vec::new(), receipt },
                }
            }
            let Some(done) = running.join_next().await else { break Ok(()) };
            let (index, report) = match done {
                Ok(done) => done,
                Err(error) => break Err(Failure::new(FailureKind::Internal, format!("an item's task ended: {error}"))),
            };
            add(&mut receipt, &report.receipt);
            match payloads(report) {
                Ok(payloads) => results[index] = payloads,
                Err(failure) => break Err(Failure { message: format!("item {index}: {}", failure.message), ..failure }),
            }
        };
        let result = result.and_then(|()| array(results.into_iter().flatten())).map(Outcome::one);
        Report { result, emitted: Vec::new(), receipt }
    }

    fn item_call(&self, call: &Call, index: usize, item: &str) -> Result<Call, Failure> {
        let payload = Payload::parse(item).map_err(|error| Failure::new(FailureKind::InvalidInput, error.to_string()))?;
        let message = Message {
            id: call.message.id.child(self.key, index as u64),
            parent: Some(call.message.id),
            payload,
            ..(*call.message).clone()
        };
        Ok(Call { ctx: call.ctx.clone(), message: Arc::new(message), attempt: call.attempt, deadline: call.deadline })
    }
}

impl Invoke for MapNode {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(self.run(call))
    }
}

fn payloads(report: Report) -> Result<Vec<Payload>, Failure> {
    let returned = match report.result? {
        Outcome::Outputs(outputs) => outputs,
        Outcome::Again { .. } | Outcome::Final(_) => {
            let message = "a node under `map` returns outputs; it cannot ask for another turn or answer for the flow";
            return Err(Failure::new(FailureKind::InvalidInput, message));
        }
    };
    Ok(report.emitted.into_iter().chain(returned).map(|output| output.payload).collect())
}

fn array(items: impl Iterator<Item = Payload>) -> Result<Payload, Failure> {
    let mut text = String::from("[");
    for (position, item) in items.enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(item.text());
    }
    text.push(']');
    Payload::parse(text)
        .map_err(|error| Failure::new(FailureKind::InvalidInput, format!("the results do not fit in one array: {error}")))
}

fn add(sum: &mut Receipt, part: &Receipt) {
    sum.fuel += part.fuel;
    sum.wall += part.wall;
    sum.cpu += part.cpu;
    sum.peak_memory = sum.peak_memory.max(part.peak_memory);
    sum.bytes_in += part.bytes_in;
    sum.bytes_out += part.bytes_out;
    sum.host_calls += part.host_calls;
}
