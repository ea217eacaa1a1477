//! Every event of a flow, and what a trace's events must have in common.

use std::sync::{Arc, Mutex, PoisonError};

use floe_flow::{Event, EventKind, Item, Observer, Receipt, Terminal};
use serde_json::json;
use tokio::sync::Notify;

use super::soon;

/// Keeps every event.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<Event>>,
    changed: Notify,
}

impl Observer for Recorder {
    fn observe(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        self.changed.notify_waiters();
    }
}

/// A trace after its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) trace: Arc<str>,
    pub(crate) terminal: Terminal,
    /// What its reader saw before the end.
    pub(crate) items: Vec<Item>,
    pub(crate) events: Vec<Event>,
}

// === impl Recorder ===

impl Recorder {
    /// Waits until as many events as this are of this kind.
    pub(crate) async fn until(&self, count: usize, is: impl Fn(&Event) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if self.count(&is) >= count {
                    return;
                }
                changed.await;
            }
        };
        soon(wait).await;
    }

    pub(crate) fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|event| is(event)).count()
    }

    /// The events of a trace that has ended: without a gap, every attempt that began has ended or was dropped, and nothing
    /// follows the end.
    pub(super) fn story(&self, trace: &str) -> Vec<Event> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let events: Vec<Event> = events.iter().filter(|event| &*event.trace == trace).cloned().collect();
        for (seq, event) in events.iter().enumerate() {
            assert_eq!(event.seq, seq as u64);
        }
        let ends = events.iter().filter(|event| matches!(event.kind, EventKind::Ended { .. })).count();
        assert_eq!(ends, 1);
        assert!(matches!(events.last().map(|event| &event.kind), Some(EventKind::Ended { .. })), "nothing follows the end");
        events
    }
}

/// The attempt at the node under attack has begun.
pub(crate) fn attack_started(event: &Event) -> bool {
    matches!(&event.kind, EventKind::Started { node, .. } if &**node == "attack")
}

// === impl Ended ===

impl Ended {
    /// The names of the events, each with its node where there is one.
    pub(crate) fn story(&self) -> Vec<String> {
        let name = |event: &Event| {
            let event = json!(event);
            match (event["event"].as_str(), event["node"].as_str()) {
                (Some(name), Some(node)) => format!("{name} {node}"),
                (name, _) => name.unwrap_or_default().to_owned(),
            }
        };
        self.events.iter().map(name).collect()
    }

    /// The receipts of the attempts at the node under attack that failed.
    pub(crate) fn receipts(&self) -> Vec<Receipt> {
        let receipt = |event: &Event| match &event.kind {
            EventKind::Failed { receipt, node, .. } if &**node == "attack" => Some(*receipt),
            _ => None,
        };
        self.events.iter().filter_map(receipt).collect()
    }

    /// Every attempt that failed has a receipt with what any call uses.
    pub(crate) fn has_receipt(&self) -> &Self {
        let receipts = self.receipts();
        assert!(!receipts.is_empty(), "{:?}", self.story());
        for receipt in receipts {
            let used = [receipt.fuel, receipt.peak_memory, receipt.bytes_in];
            assert!(used.iter().all(|used| *used > 0) && !receipt.cpu.is_zero() && receipt.wall >= receipt.cpu, "{receipt:?}");
        }
        self
    }
}
