//! Where a message goes: to a slot, a queue, the trace's outbox, a join, the reader.

use std::sync::Arc;

use super::commit::Step;
use crate::event::EventKind;
use crate::graph::{EdgeIndex, Kind, Node, NodeIndex};
use crate::join::{self, Frame, Join, Lineage};
use crate::message::{Message, Payload};
use crate::node::Output;
use crate::rooms::Queue;
use crate::trace::{Envelope, Item, Job, Loop, Phase, Trace};

impl Step<'_> {
    /// The trace is not taken on: it never was.
    pub(super) fn forgo(&mut self) {
        self.state.phase = Phase::Ended(None);
    }

    /// Sends the input on to every input of the graph.
    pub(super) fn enter(&mut self, message: &Arc<Message>) {
        // Counted as one while it is handed out, so that the trace does not end between two inputs.
        self.state.live += 1;
        for &node in self.flow.graph.inputs() {
            if self.has_messages(1) {
                self.arrive(node, None, message, &None);
            }
        }
        self.state.live -= 1;
    }

    /// Whether the budget has room for one more message. If not, the trace ends. `over`: those that are counted and on their way no
    /// more.
    fn has_messages(&mut self, over: u64) -> bool {
        let (held, max) = (self.state.live + self.state.joins.members - over, self.flow.config.budget.messages);
        if held >= max {
            self.exhausted("messages", held, max, None, None);
        }
        held < max
    }

    pub(super) fn emit(
        &mut self,
        from: NodeIndex,
        parent: &Arc<Message>,
        lineage: &Lineage,
        outputs: impl Iterator<Item = Output>,
        count: usize,
    ) {
        let node = self.node(from);
        let groups: Vec<(NodeIndex, u64)> =
            node.joined_by.iter().map(|&join| (join, self.state.joins.open(join, parent, lineage, count as u64))).collect();
        for (index, mut output) in outputs.enumerate() {
            let index = index as u64;
            let to = std::mem::take(&mut output.to);
            let message = Arc::new(self.message(node, parent, index, output));
            let mut place = if count > 1 { join::extend(lineage, index) } else { lineage.clone() };
            for &(join, group) in &groups {
                place = Some(Arc::new(Frame { join, group, path: vec![index], outer: place }));
            }
            if node.successors.is_empty() {
                self.send(self.output_edge(from), &message, &place);
            } else if to.is_empty() {
                for &edge in &node.successors {
                    self.send(edge, &message, &place);
                }
            } else {
                for name in &to {
                    if let Some(edge) = self.successor(from, name) {
                        self.send(edge, &message, &place);
                    }
                }
            }
        }
        for (join, group) in groups {
            if let Kind::Join(Join { within: Some(within), .. }) = &self.node(join).kind {
                let due = Some(self.due(join, group, *within));
                if let Some(group) = self.state.joins.groups.get_mut(&group) {
                    group.due = due;
                }
            }
            if self.state.joins.groups.get(&group).is_some_and(|group| group.live == 0) {
                self.emptied.push(group);
            }
        }
    }

    pub(super) fn message(&self, from: &Node, parent: &Message, index: u64, output: Output) -> Message {
        Message {
            id: parent.id.child(from.key, index),
            parent: Some(parent.id),
            source: Some(Arc::clone(&from.name)),
            payload: output.payload,
            meta: parent.meta.with(output.meta),
            topic: output.topic.or_else(|| parent.topic.clone()),
            priority: output.priority.unwrap_or(parent.priority),
            turn: 0,
        }
    }

    pub(super) fn send(&mut self, edge: EdgeIndex, message: &Arc<Message>, lineage: &Lineage) {
        if !matches!(self.state.phase, Phase::Running) {
            return;
        }
        if !self.has_messages(0) {
            return;
        }
        match self.flow.graph.edges().get(edge) {
            Some(to) => self.arrive(to.to, Some(edge), message, lineage),
            None => self.leave_flow(edge, message, lineage),
        }
    }

    pub(super) fn arrive(&mut self, node: NodeIndex, edge: Option<EdgeIndex>, message: &Arc<Message>, lineage: &Lineage) {
        if !matches!(self.state.phase, Phase::Running) {
            return;
        }
        let reaches = &self.flow.graph.nodes()[node].reaches;
        let lineage = join::retain(lineage, &|frame| reaches.contains(&frame.join));
        self.state.joins.enter(&lineage);
        self.state.live += 1;
        let envelope = Envelope { message: Arc::clone(message), lineage, attempt: 1, on: None };
        match &self.node(node).kind {
            Kind::Run { .. } => self.enqueue(node, edge, envelope),
            Kind::Join(rule) => self.gather(node, edge, rule, envelope),
            Kind::Discard => {
                let name = &self.node(node).name;
                self.event(|| EventKind::Discarded { node: Arc::clone(name), message: message.id });
                self.consume(&envelope.lineage);
            }
        }
    }

    /// Starts a message, queues it, or holds it back in the trace until its edge has room.
    pub(super) fn enqueue(&mut self, node: NodeIndex, edge: Option<EdgeIndex>, mut envelope: Envelope) {
        if self.is_restoring() {
            self.queue(node, envelope);
            return;
        }
        let held_back = edge.is_some_and(|edge| self.state.outbox.contains_key(&edge));
        if !held_back
            && self.state.nodes[node].queue.is_empty()
            && self.may_start(node)
            && self.flow.slots[node].take(&self.trace.tenant)
        {
            self.start(node, envelope);
            return;
        }
        let name = &self.node(node).name;
        let id = envelope.message.id;
        if let Some(edge) = edge {
            if held_back || !self.enter_edge(edge, envelope.message.priority) {
                self.hold_back(edge, envelope);
                let sender = self.sender(edge);
                let from = &self.node(sender).name;
                self.event_at(sender, |load| {
                    let (node, from) = (Arc::clone(name), Arc::clone(from));
                    EventKind::Blocked { node, message: id, from, load }
                });
                return;
            }
            envelope.on = Some(edge);
        }
        self.queue(node, envelope);
        self.event_at(node, |load| EventKind::Queued { node: Arc::clone(name), message: id, load });
        self.line_up(node);
    }

    /// Takes a place on an edge, or stands in line for one. A node whose own emissions wait takes nothing more in.
    pub(super) fn enter_edge(&mut self, edge: EdgeIndex, priority: i32) -> bool {
        let to = &self.flow.graph.edges()[edge];
        if self.state.nodes[to.to].blocked > 0 || self.state.in_line.contains_key(&edge) {
            return false;
        }
        let ticket = self.trace.tenant.enter(edge, to.queue, self.trace, priority);
        if let Some(ticket) = ticket {
            self.state.in_line.insert(edge, ticket);
        }
        ticket.is_none()
    }

    /// Keeps a message in the trace. Its sender starts nothing until it is gone, and what is queued at the sender gives its
    /// places back meanwhile: a trace that cannot go on keeps no room from others.
    pub(super) fn hold_back(&mut self, edge: EdgeIndex, envelope: Envelope) {
        let sender = self.sender(edge);
        let from = &mut self.state.nodes[sender];
        from.blocked += 1;
        if from.blocked == 1 {
            let places = from.queue.give_up_places().into_iter();
            self.after.places.extend(places.map(|edge| (Arc::clone(&self.trace.tenant), edge)));
        }
        // Outputs leave the flow in the order in which they come.
        let ordered = self.flow.graph.edges().get(edge).is_none_or(|edge| self.node(edge.to).policy.ordered);
        let waiting = self.state.outbox.entry(edge).or_default();
        waiting.push(envelope, ordered);
        if let (Some(ticket), Some(priority)) = (self.state.in_line.get_mut(&edge), waiting.priority()) {
            self.trace.tenant.raise(edge, ticket, priority);
        }
    }

    /// Takes the message that is next for this edge.
    pub(super) fn let_go(&mut self, edge: EdgeIndex) -> Option<Envelope> {
        let waiting = self.state.outbox.get_mut(&edge)?;
        let envelope = waiting.pop();
        if waiting.is_empty() {
            self.state.outbox.remove(&edge);
        }
        let from = self.sender(edge);
        self.state.nodes[from].blocked -= 1;
        envelope
    }

    /// A place on an edge has become this trace's.
    pub(super) fn take_place(&mut self, edge: EdgeIndex) {
        self.state.in_line.remove(&edge);
        let node = self.flow.graph.edges()[edge].to;
        let envelope = if self.state.nodes[node].blocked == 0 { self.let_go(edge) } else { None };
        match envelope {
            Some(envelope) => {
                self.queue(node, Envelope { on: Some(edge), ..envelope });
                self.advance(edge);
            }
            None => self.free_place(edge),
        }
    }

    /// Moves what waits for this edge to its node, as far as there is room.
    fn advance(&mut self, edge: EdgeIndex) {
        let node = self.flow.graph.edges()[edge].to;
        while let Some(priority) = self.state.outbox.get(&edge).and_then(Queue::priority)
            && self.enter_edge(edge, priority)
        {
            if let Some(envelope) = self.let_go(edge) {
                self.queue(node, Envelope { on: Some(edge), ..envelope });
            }
        }
        self.line_up(node);
        self.reopen(self.sender(edge));
    }

    /// A node whose emissions all have room goes on, and takes in again what waits for it.
    fn reopen(&mut self, node: NodeIndex) {
        if self.state.nodes[node].blocked > 0 {
            return;
        }
        self.line_up(node);
        let edges = self.flow.graph.edges();
        let ahead = self.state.outbox.keys().copied().filter(|edge| edges.get(*edge).is_some_and(|edge| edge.to == node));
        for edge in ahead.collect::<Vec<_>>() {
            self.advance(edge);
        }
    }

    pub(super) fn leave_flow(&mut self, edge: EdgeIndex, message: &Arc<Message>, lineage: &Lineage) {
        self.state.live += 1;
        let lineage = join::retain(lineage, &|_| false);
        let envelope = Envelope { message: Arc::clone(message), lineage, attempt: 1, on: None };
        if self.is_restoring() {
            self.hand_over_again(edge, &envelope);
        } else if self.state.outbox.contains_key(&edge) || self.state.reader.len() >= self.flow.config.reader {
            self.hold_back(edge, envelope);
        } else {
            self.hand_over(edge, &envelope);
        }
    }

    pub(super) fn hand_over(&mut self, edge: EdgeIndex, envelope: &Envelope) {
        let node = Arc::clone(&self.node(self.sender(edge)).name);
        let name = &node;
        self.event(|| EventKind::Output { node: Arc::clone(name), message: envelope.message.id });
        self.state.reader.push_back(Item::Output { node, message: Arc::clone(&envelope.message) });
        self.state.outputs += 1;
        self.trace.changed.notify_waiters();
        self.consume(&envelope.lineage);
    }

    pub(super) fn free_place(&mut self, edge: EdgeIndex) {
        self.after.places.push((Arc::clone(&self.trace.tenant), edge));
    }

    /// The reader took something: outputs that were held back follow.
    pub(crate) fn reader_moved(&mut self) {
        let first_output = self.flow.graph.edges().len();
        while self.state.reader.len() < self.flow.config.reader
            && let Some((&edge, _)) = self.state.outbox.range(first_output..).next()
            && let Some(envelope) = self.let_go(edge)
        {
            self.hand_over(edge, &envelope);
            self.reopen(self.sender(edge));
        }
    }

    /// The trace has ended and its reader knows.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state.phase, Phase::Ended(None))
    }

    /// Takes what the reader may have next.
    pub(crate) fn read(&mut self) -> Option<Item> {
        let item = self.state.reader.pop_front();
        if item.is_some() {
            self.reader_moved();
            self.trace.changed.notify_waiters();
            return item;
        }
        let Phase::Ended(terminal) = &mut self.state.phase else { return None };
        let terminal = *terminal.take()?;
        self.end_is_read(&terminal);
        Some(Item::End(terminal))
    }
}

// === starting ===

impl Step<'_> {
    /// A node starts nothing for a trace whose emissions still wait for room, and an ordered node one message at a time.
    pub(super) fn may_start(&self, node: NodeIndex) -> bool {
        let place = &self.state.nodes[node];
        self.is_open() && place.blocked == 0 && !(self.node(node).policy.ordered && place.busy > 0)
    }

    /// Queues a message at its node, behind its equals; at an ordered node, behind all.
    fn queue(&mut self, node: NodeIndex, envelope: Envelope) {
        let ordered = self.node(node).policy.ordered;
        self.state.nodes[node].queue.push(envelope, ordered);
    }

    /// Starts what can start, or puts the trace in line for a slot: with the priority of the message that is next, also if
    /// that one came when the trace was in line already.
    pub(super) fn line_up(&mut self, node: NodeIndex) {
        let slots = &self.flow.slots[node];
        while let Some(priority) = self.state.nodes[node].queue.priority() {
            if let Some(ticket) = &mut self.state.nodes[node].listed {
                slots.raise(&self.trace.tenant, ticket, priority);
                return;
            }
            if !self.may_start(node) {
                return;
            }
            if let Some(ticket) = slots.take_or_wait(self.trace, priority) {
                self.state.nodes[node].listed = Some(ticket);
                return;
            }
            if let Some(envelope) = self.state.nodes[node].queue.pop() {
                self.start(node, envelope);
            }
        }
    }

    /// A slot has become this trace's.
    pub(super) fn take_slot(&mut self, node: NodeIndex) {
        self.state.nodes[node].listed = None;
        let envelope = if self.may_start(node) { self.state.nodes[node].queue.pop() } else { None };
        match envelope {
            Some(envelope) => {
                self.start(node, envelope);
                self.line_up(node);
            }
            None => self.free_slot(node),
        }
    }

    fn free_slot(&mut self, node: NodeIndex) {
        self.after.slots.push((Arc::clone(self.trace), node));
    }

    /// Makes a job of a message whose slot is taken.
    pub(super) fn start(&mut self, node: NodeIndex, mut envelope: Envelope) {
        if let Some(edge) = envelope.on.take() {
            self.free_place(edge);
        }
        if !self.has_hops(node, 1) {
            self.free_slot(node);
            return;
        }
        self.trace.use_hops(1);
        self.state.running += 1;
        self.state.nodes[node].busy += 1;
        let name = &self.node(node).name;
        self.event_at(node, |load| EventKind::Started {
            node: Arc::clone(name),
            message: envelope.message.id,
            attempt: envelope.attempt,
            load,
        });
        self.after.start(Job { trace: Arc::clone(self.trace), node, envelope });
    }

    /// Whether the budget has this many invocations left. If not, the trace ends, as if all but the last had been made.
    pub(crate) fn has_hops(&mut self, node: NodeIndex, more: u64) -> bool {
        let few = self.trace.callers().map(Trace::hops).find(|(used, max)| more > max.saturating_sub(*used));
        if let Some((used, max)) = few {
            self.exhausted("hops", used + more - 1, max, Some(node), None);
        }
        few.is_none()
    }

    /// A failed message's pause is over: it goes ahead of its equals; at an ordered node, ahead of all.
    pub(super) fn resume(&mut self, node: NodeIndex, envelope: Envelope) {
        if matches!(self.state.phase, Phase::Running) {
            self.state.nodes[node].busy -= 1;
            let ordered = self.node(node).policy.ordered;
            self.state.nodes[node].queue.push_ahead(envelope, ordered);
            self.line_up(node);
        }
    }

    pub(super) fn next_turn(
        &mut self,
        node: NodeIndex,
        message: &Message,
        lineage: &Lineage,
        index: u64,
        memory: Payload,
        tokens: u64,
    ) {
        let turn = message.turn + 1;
        let max = self.node(node).policy.turns;
        if turn >= max {
            self.exhausted("turns", turn.into(), max.into(), Some(node), Some(&memory));
            return;
        }
        // A loop says what it has used so far; the budget is for all loops of the trace.
        let counters = self.state.counters.get_or_insert_default();
        let before = counters.loops.remove(&message.id).map_or(0, |before| before.tokens);
        counters.tokens = counters.tokens.saturating_add(tokens.saturating_sub(before));
        let used = counters.tokens;
        if let Some(max) = self.flow.config.budget.tokens.filter(|max| used >= *max) {
            self.exhausted("tokens", used, max, Some(node), Some(&memory));
            return;
        }
        let next = Message { turn, ..self.message(self.node(node), message, index, Output::new(memory.clone())) };
        let counters = self.state.counters.get_or_insert_default();
        counters.turned += 1;
        counters.loops.insert(next.id, Loop { tokens, turned: counters.turned, memory });
        self.arrive(node, None, &Arc::new(next), lineage);
    }
}
