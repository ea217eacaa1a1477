//! The messages of one trace that wait for the same node or edge.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::graph::EdgeIndex;
use crate::message::MessageId;
use crate::trace::Envelope;

/// Messages by priority, the highest first; among equals in the order of arrival. A heap, because a guest chooses priorities: no
/// choice of them makes a long queue slow.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BinaryHeap<Waiting>,
    arrivals: i64,
}

#[derive(Debug)]
struct Waiting {
    priority: i32,
    /// Counts arrivals; negative for those that go ahead of their equals. No two in a queue have the same.
    rank: i64,
    envelope: Envelope,
}

impl Queue {
    /// Adds a message behind its equals. Where arrival alone counts, all are equals.
    pub(crate) fn push(&mut self, envelope: Envelope, ordered: bool) {
        self.arrivals += 1;
        self.insert(envelope, ordered, self.arrivals);
    }

    /// Adds a message ahead of its equals.
    pub(crate) fn push_ahead(&mut self, envelope: Envelope, ordered: bool) {
        self.arrivals += 1;
        self.insert(envelope, ordered, -self.arrivals);
    }

    fn insert(&mut self, envelope: Envelope, ordered: bool, rank: i64) {
        if self.waiting.is_empty() {
            // Most traces have one message at a node: room for one, not for the four that a first push would take.
            self.waiting.reserve_exact(1);
        }
        let priority = if ordered { 0 } else { envelope.message.priority };
        self.waiting.push(Waiting { priority, rank, envelope });
    }

    pub(crate) fn pop(&mut self) -> Option<Envelope> {
        self.waiting.pop().map(|first| first.envelope)
    }

    /// Takes a message out, wherever it is.
    pub(crate) fn take(&mut self, message: MessageId) -> Option<Envelope> {
        if self.waiting.peek().is_some_and(|first| first.envelope.message.id == message) {
            return self.pop();
        }
        let mut waiting = std::mem::take(&mut self.waiting).into_vec();
        let found = waiting.iter().position(|waiting| waiting.envelope.message.id == message);
        let found = found.map(|position| waiting.swap_remove(position).envelope);
        self.waiting = BinaryHeap::from(waiting);
        found
    }

    /// The priority of the message that is next.
    pub(crate) fn priority(&self) -> Option<i32> {
        self.waiting.peek().map(|first| first.envelope.message.priority)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Removes all messages, in no order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Envelope> {
        self.waiting.drain().map(|waiting| waiting.envelope)
    }

    /// Gives up the places that the messages hold on their edges.
    pub(crate) fn give_up_places(&mut self) -> Vec<EdgeIndex> {
        // What was queued while its node was blocked holds none: most often there is nothing to do.
        if self.waiting.iter().all(|waiting| waiting.envelope.on.is_none()) {
            return Vec::new();
        }
        let mut waiting = std::mem::take(&mut self.waiting).into_vec();
        let places = waiting.iter_mut().filter_map(|waiting| waiting.envelope.on.take()).collect();
        self.waiting = BinaryHeap::from(waiting);
        places
    }
}

// === order: the greatest is next ===

impl Waiting {
    fn key(&self) -> (i32, Reverse<i64>) {
        (self.priority, Reverse(self.rank))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}
