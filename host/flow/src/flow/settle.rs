//! How a trace ends.

use std::sync::Arc;

use serde_json::{Value, json};

use super::commit::Step;
use crate::event::{EventKind, micros};
use crate::graph::NodeIndex;
use crate::join::{self, Lineage};
use crate::trace::{End, Phase, Terminal};

impl Step<'_> {
    /// One message less is on its way.
    pub(super) fn consume(&mut self, lineage: &Lineage) {
        if matches!(self.state.phase, Phase::Running) {
            self.state.live -= 1;
            self.state.joins.leave(lineage, &mut self.emptied);
        }
    }

    /// Releases joins that are whole, and ends the trace when nothing is on its way any more.
    pub(super) fn settle(&mut self) {
        loop {
            if !matches!(self.state.phase, Phase::Running) {
                break;
            }
            if !self.emptied.is_empty() {
                let group = self.emptied.remove(0);
                self.release_group(group);
            } else if self.state.live > 0 {
                break;
            } else if let Some(bucket) = self.first_bucket() {
                self.no_more_for_bucket(&bucket);
            } else {
                debug_assert!(self.state.joins.is_empty(), "a group outlived its messages");
                self.state.phase = Phase::Ending(Box::new(Terminal { end: End::Completed, outputs: 0, error: None }));
            }
        }
        if self.state.running == 0
            && !self.is_restoring()
            && let Phase::Ending(terminal) = &self.state.phase
        {
            let terminal = Terminal { outputs: self.state.outputs, ..(**terminal).clone() };
            self.conclude(terminal);
        }
    }

    /// What a loop in progress has remembered is not lost with the time or the budget of its trace (spec item 54): the terminal
    /// has it. Of several loops, it is the memory of the one that turned last. Asked where the end is decided, so that its record
    /// says the same.
    pub(super) fn keep_partial(&self, terminal: &mut Terminal) {
        let loops = self.state.counters.iter().flat_map(|counters| counters.loops.values());
        if let End::DeadlineExceeded | End::BudgetExhausted = terminal.end
            && let Some(last) = loops.max_by_key(|one| one.turned)
            && let Some(error) = &mut terminal.error
            && let Value::Object(detail) = error.detail.get_or_insert_with(|| json!({}))
        {
            detail.entry("partial").or_insert_with(|| last.memory.value().into_owned());
        }
    }

    /// Decides how the trace ends and stops what runs. False if it is ending already.
    pub(super) fn end(&mut self, terminal: Terminal) -> bool {
        if !matches!(self.state.phase, Phase::Running) {
            return false;
        }
        let (pending, running) = (self.state.live, self.state.running);
        self.event(|| EventKind::Ending { why: terminal.end.name(), pending, running });
        self.state.phase = Phase::Ending(Box::new(terminal));
        self.trace.cancelled.cancel();
        for (place, slots) in self.state.nodes.iter_mut().zip(&self.flow.slots) {
            let edges = place.queue.drain().filter_map(|envelope| envelope.on);
            self.after.places.extend(edges.map(|edge| (Arc::clone(&self.trace.tenant), edge)));
            place.blocked = 0;
            if let Some(ticket) = place.listed.take() {
                slots.withdraw(&self.trace.tenant, ticket);
            }
        }
        for (edge, ticket) in std::mem::take(&mut self.state.in_line) {
            self.trace.tenant.withdraw(edge, ticket);
        }
        self.state.outbox.clear();
        self.state.joins = join::Joins::default();
        self.emptied.clear();
        true
    }

    /// An attempt under way starts a part of itself in a task of its own: a hop like any other, and the trace does not end
    /// before it. False if the trace is ending, for want of hops or otherwise.
    pub(crate) fn start_part(&mut self, node: NodeIndex) -> bool {
        let starts = self.is_open() && self.has_hops(node, 1);
        if starts {
            self.trace.use_hops(1);
            self.state.running += 1;
        }
        starts
    }

    /// Something that belongs to an attempt under way is not to be outlived. False if the trace is ending.
    pub(crate) fn start_guard(&mut self) -> bool {
        let starts = self.is_open();
        self.state.running += usize::from(starts);
        starts
    }

    /// A part is done or dropped.
    pub(crate) fn end_part(&mut self) {
        self.state.running -= 1;
        self.check_fuel();
    }

    /// Nothing runs any more, and the end is in the journal if there is one: the terminal is out.
    pub(super) fn close(&mut self) {
        let phase = std::mem::replace(&mut self.state.phase, Phase::Ended(None));
        let Phase::Ending(mut terminal) = phase else { return };
        terminal.outputs = self.state.outputs;
        let latency_us = micros(self.trace.started.elapsed());
        if let Some(span) = &self.trace.span {
            span.record("terminal", terminal.end.name());
        }
        self.event(|| EventKind::Ended { terminal: (*terminal).clone(), latency_us });
        self.state.phase = Phase::Ended(Some(terminal));
        self.trace.cancelled.cancel();
        self.state.credit = None;
        self.after.parts.extend(self.state.part.take());
        self.flow.forget(self.trace);
        self.trace.changed.notify_waiters();
    }
}
