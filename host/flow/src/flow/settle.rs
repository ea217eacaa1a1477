//! When messages wait for each other, and how a trace ends.

use std::sync::Arc;

use serde_json::json;

use super::commit::Step;
use crate::event::{EventKind, micros};
use crate::graph::{EdgeIndex, Kind, NodeIndex};
use crate::join::{self, Group, Join, Lineage, Member, OnIncomplete};
use crate::message::{Message, Payload};
use crate::node::{Failure, FailureKind, Output};
use crate::trace::{End, Envelope, Phase, Terminal, TraceError};

impl Step<'_> {
    pub(super) fn gather(&mut self, node: NodeIndex, edge: Option<EdgeIndex>, rule: &Join, envelope: Envelope) {
        let sender = edge.map_or(node, |edge| self.sender(edge));
        let Envelope { message, lineage, .. } = envelope;
        // In a join it is no longer on its way; its groups further out still wait for it.
        self.state.live -= 1;
        match rule {
            Join::Count { count, .. } => {
                let bucket = self.state.joins.buckets.entry(node).or_default();
                bucket.push(Member { message, lineage, path: Vec::new(), sender });
                self.state.joins.members += 1;
                if bucket.len() >= *count {
                    self.release_bucket(node);
                }
            }
            Join::All { of, .. } => {
                let Some(frame) = join::frames(&lineage).find(|frame| frame.join == node) else {
                    let why = format!("a message came to this join by a way that does not pass `{of}`; gather it elsewhere");
                    self.join_error(node, "invalid-input", &why, None);
                    return;
                };
                let (group, outer, path) = (frame.group, frame.outer.clone(), frame.path.clone());
                // Groups inside this one lose the member to it.
                for inner in join::frames(&lineage).take_while(|frame| frame.join != node) {
                    if let Some(group) = self.state.joins.groups.get_mut(&inner.group) {
                        group.absorbed = true;
                    }
                }
                self.state.joins.enter(&outer);
                self.state.joins.leave(&lineage, &mut self.emptied);
                if let Some(group) = self.state.joins.groups.get_mut(&group) {
                    group.arrived.push(Member { message, lineage: outer, path, sender });
                    self.state.joins.members += 1;
                }
            }
        }
    }

    pub(super) fn release_bucket(&mut self, node: NodeIndex) {
        let Some(mut members) = self.state.joins.buckets.remove(&node) else { return };
        members.sort_by_key(|member| member.sender);
        let (parent, lineage) = (Arc::clone(&members[0].message), members[0].lineage.clone());
        self.send_joined(node, &parent, &lineage, None, &members);
    }

    pub(super) fn release_group(&mut self, id: u64) {
        if self.state.joins.groups.get(&id).is_none_or(|group| group.live > 0) {
            return;
        }
        let Some(mut group) = self.state.joins.groups.remove(&id) else { return };
        if group.absorbed && group.arrived.is_empty() {
            return;
        }
        let members = group.take_members();
        let missing = group.missing(&members);
        let Group { join, parent, base, failed, .. } = group;
        if let Kind::Join(Join::All { of, on_incomplete: OnIncomplete::Fail }) = &self.node(join).kind
            && !failed.is_empty()
        {
            let why = format!("members {failed:?} of `{of}` failed on the way; take what there is with `on_incomplete: release`");
            self.join_error(join, "join_incomplete", &why, missing.as_ref());
            return;
        }
        self.send_joined(join, &parent, &base, missing, &members);
    }

    pub(super) fn send_joined(
        &mut self,
        join: NodeIndex,
        parent: &Arc<Message>,
        lineage: &Lineage,
        missing: Option<Payload>,
        members: &[Member],
    ) {
        let node = self.node(join);
        self.state.joins.members -= members.len() as u64;
        let (bytes, max) = (join::gathered_bytes(members), self.flow.config.budget.payload);
        if bytes > max {
            let failure = Failure::limit(FailureKind::Exhausted, "payload", bytes as u64, max as u64, "`budget.payload`");
            self.join_error(join, failure.kind.code(), &failure.message, None);
            return;
        }
        let payload = match Payload::parse(join::gather(members)) {
            Ok(payload) => payload,
            Err(error) => return self.join_error(join, "invalid-input", &error.to_string(), None),
        };
        let mut message = self.message(node, parent, 0, Output::new(payload));
        message.meta = join::note_missing(&parent.meta, missing);
        let name = &node.name;
        self.event(|| EventKind::Joined { node: Arc::clone(name), message: message.id, members: members.len() });
        let message = Arc::new(message);
        if node.successors.is_empty() {
            self.send(self.output_edge(join), &message, lineage);
        }
        for &edge in &node.successors {
            self.send(edge, &message, lineage);
        }
        for member in members {
            self.state.joins.leave(&member.lineage, &mut self.emptied);
        }
    }

    pub(super) fn join_error(&mut self, join: NodeIndex, code: &str, why: &str, missing: Option<&Payload>) {
        let name = Arc::clone(&self.node(join).name);
        let mut error = TraceError::new(code, format!("join `{name}`: {why}"));
        error.node = Some(name);
        error.detail = missing.map(|missing| missing.value().into_owned());
        self.end(Terminal { end: End::Failed, outputs: 0, error: Some(error) });
    }

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
            } else if let Some(node) = self.first_bucket() {
                self.settle_bucket(node);
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

    /// A counting join that is not full and that no other such join can still send to.
    fn first_bucket(&self) -> Option<NodeIndex> {
        let mut partial = self.state.joins.buckets.keys().copied();
        let behind = |node: NodeIndex, other: NodeIndex| other != node && self.node(other).reaches.contains(&node);
        partial.find(|node| !self.state.joins.buckets.keys().any(|other| behind(*node, *other)))
    }

    /// The rest of the trace has ended and a counting join is not full.
    pub(super) fn settle_bucket(&mut self, node: NodeIndex) {
        let Kind::Join(Join::Count { count, on_incomplete }) = &self.node(node).kind else { return };
        match on_incomplete {
            OnIncomplete::Release => self.release_bucket(node),
            OnIncomplete::Fail => {
                let arrived = self.state.joins.buckets.get(&node).map_or(0, Vec::len);
                let why = format!(
                    "{arrived} of {count} messages arrived and no more can; take what there is with `on_incomplete: release`"
                );
                let missing = Payload::from(json!({ "arrived": arrived, "count": count }));
                self.join_error(node, "join_incomplete", &why, Some(&missing));
            }
        }
    }

    /// Decides how the trace ends and stops what runs. False if it is ending already.
    pub(super) fn end(&mut self, terminal: Terminal) -> bool {
        if !matches!(self.state.phase, Phase::Running) {
            return false;
        }
        self.event(|| EventKind::Ending { why: terminal.end.name() });
        self.state.phase = Phase::Ending(Box::new(terminal));
        self.trace.cancelled.cancel();
        for (place, slots) in self.state.nodes.iter_mut().zip(&self.flow.slots) {
            let edges = place.queue.drain(..).filter_map(|envelope| envelope.on);
            self.after.places.extend(edges.map(|edge| (Arc::clone(&self.trace.tenant), edge)));
            place.blocked = 0;
            if place.listed {
                slots.sweep();
            }
        }
        for edge in std::mem::take(&mut self.state.in_line) {
            self.trace.tenant.sweep(edge);
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
        self.event(|| EventKind::Ended { terminal: (*terminal).clone(), latency_us });
        self.state.phase = Phase::Ended(Some(terminal));
        self.trace.cancelled.cancel();
        self.state.credit = None;
        self.after.parts.extend(self.state.part.take());
        self.flow.forget(self.trace);
        self.trace.changed.notify_waiters();
    }
}
