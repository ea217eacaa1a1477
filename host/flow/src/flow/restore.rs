//! A trace from its records: what followed from each when it was made follows again, but nothing runs, nobody is told, and no
//! room is taken, until the last record has been applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::commit::Step;
use crate::event::EventKind;
use crate::graph::{EdgeIndex, NodeIndex};
use crate::journal::{Accepted, At, Entry, Pending, Record};
use crate::message::{Message, MessageId};
use crate::node::{Failure, Outcome, Output, Receipt};
use crate::trace::{Attempt, End, Envelope, Fact, Item, Job, Phase, Restoring, Terminal, TraceError};

impl Step<'_> {
    /// The message enters: at once, or when the journal has it.
    pub(super) fn take_on(&mut self, message: Message) -> Option<(u64, Pending<()>)> {
        let message = Arc::new(message);
        if self.flow.config.journal.is_none() {
            self.accept(&message);
            return None;
        }
        let origin = &self.trace.origin;
        let left = self.trace.deadline.map(|deadline| deadline - self.trace.started);
        let accepted = Accepted {
            tenant: Arc::clone(&origin.tenant),
            user: origin.user.clone(),
            session: origin.session.clone(),
            caller: self.trace.caller_id(),
            payload: message.payload.clone(),
            meta: message.meta.clone(),
            topic: message.topic.clone(),
            priority: message.priority,
            deadline_ms: left.map(|left| self.flow.now_ms().saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))),
            cursor: self.trace.cursor.as_deref().copied(),
            release: self.trace.release.as_ref().map_or(0, |release| release.number),
        };
        // It is on its way already, or the trace would end for want of messages.
        self.state.live += 1;
        self.record(Record::Accepted(Box::new(accepted)), Fact::Entered(message))
    }

    pub(super) fn accept(&mut self, message: &Arc<Message>) {
        let trace = self.trace;
        self.event(|| EventKind::Accepted { tenant: Arc::clone(&trace.origin.tenant), caller: trace.caller_id() });
        self.enter(message);
    }

    /// Applies the records of an earlier process, and lets the trace go on from there.
    pub(super) fn restore(&mut self, entries: Vec<Entry>) -> Result<(), Error> {
        let delivered = entries.iter().filter_map(|entry| match &entry.record {
            Record::Delivered { message, .. } => *message,
            _ => None,
        });
        self.restoring(Some(Restoring { delivered: delivered.collect(), ..Restoring::default() }));
        self.apply_all(entries).inspect_err(|_| {
            self.forgo();
            self.flow.forget(self.trace);
        })?;
        self.go_live();
        Ok(())
    }

    /// Applies the records of a trace that does not go on. Returns what each attempt handled that ended before the trace did.
    pub(super) fn look_back(&mut self, entries: Vec<Entry>) -> Result<BTreeMap<At, Arc<Message>>, Error> {
        self.restoring(Some(Restoring { handled: Some(BTreeMap::new()), ..Restoring::default() }));
        let applied = self.apply_all(entries);
        let handled = self.restored().handled.take();
        self.forgo();
        applied.map(|()| handled.unwrap_or_default())
    }

    fn apply_all(&mut self, entries: Vec<Entry>) -> Result<(), Error> {
        for (position, entry) in entries.into_iter().enumerate() {
            let (at_ms, seq) = (entry.at_ms, entry.seq);
            self.restored().at_ms = at_ms;
            self.apply_again(entry).map_err(|why| {
                let trace = Arc::clone(&self.trace.origin.trace);
                Error::Unfit {
                    trace,
                    reason: format!("record {position} does not fit: {why}; run it with the flow that made it"),
                }
            })?;
            self.settle();
            for (Job { node, envelope, .. }, pause) in std::mem::take(&mut self.after.parked) {
                let key = (node, envelope.message.id);
                let due = at_ms.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
                self.restored().parked.insert(key, (envelope, due, pause));
            }
            self.state.next_event = self.state.next_event.max(seq);
        }
        Ok(())
    }

    fn restoring(&mut self, restoring: Option<Restoring>) -> Option<Restoring> {
        let log = self.state.log.get_or_insert_default();
        std::mem::replace(&mut log.restoring, restoring)
    }

    fn restored(&mut self) -> &mut Restoring {
        self.state.log.get_or_insert_default().restoring.get_or_insert_default()
    }

    fn apply_again(&mut self, entry: Entry) -> Result<(), String> {
        match entry.record {
            Record::Accepted(accepted) => {
                let Accepted { payload, meta, topic, priority, .. } = *accepted;
                let id = MessageId::INPUT;
                self.accept(&Arc::new(Message { id, parent: None, source: None, payload, meta, topic, priority, turn: 0 }));
            }
            Record::Started(at) => {
                self.restored().started.insert(at);
            }
            Record::Noted { at, note } => {
                self.restored().started.remove(&at);
                self.state.log.get_or_insert_default().notes.entry(at).or_default().push(note);
            }
            Record::Streamed(at) => {
                let node = self.flow.graph.find(&at.node).ok_or_else(|| format!("there is no node `{}`", at.node))?;
                self.state.counters.get_or_insert_default().sent.entry((node, at.message)).or_default();
                self.restored().streamed.insert(at);
            }
            Record::Retry(at) => {
                self.restored().started.remove(&at);
            }
            Record::Done { at, emitted, outcome, receipt, streams, .. } => {
                self.attempt_again(&at, Ok((emitted, outcome)), receipt)?;
                self.count_streams(streams);
            }
            Record::Failed { at, failure, receipt, streams, .. } => {
                self.attempt_again(&at, Err(failure), receipt)?;
                self.count_streams(streams);
            }
            Record::TimeUp { node, group } => {
                let node = self.flow.graph.find(&node).ok_or_else(|| format!("there is no node `{node}`"))?;
                self.time_up(node, group);
            }
            Record::Ended(terminal) => self.end_as_recorded(terminal),
            Record::Delivered { .. } => {}
        }
        Ok(())
    }

    fn attempt_again(
        &mut self,
        at: &At,
        result: Result<(Vec<Output>, Outcome), Failure>,
        receipt: Receipt,
    ) -> Result<(), String> {
        self.restored().started.remove(at);
        self.restored().streamed.remove(at);
        self.state.log.get_or_insert_default().notes.remove(at);
        if !matches!(self.state.phase, Phase::Running) {
            // It came too late the first time, too.
            return Ok(());
        }
        let At { node: name, message, attempt } = at;
        let node = self.flow.graph.find(name).ok_or_else(|| format!("there is no node `{name}`"))?;
        let envelope = self.take_back(node, *message).filter(|envelope| envelope.attempt == *attempt);
        let envelope = envelope.ok_or_else(|| format!("message {message} does not wait at `{name}` for attempt {attempt}"))?;
        if let Some(handled) = &mut self.restored().handled {
            handled.insert(at.clone(), Arc::clone(&envelope.message));
        }
        if let Ok((emitted, outcome)) = &result {
            self.check_targets(node, outcome, emitted).map_err(|failure| failure.message)?;
        }
        self.trace.use_hops(receipt.hops.saturating_add(1));
        self.trace.book(receipt.amounts());
        self.state.running += 1;
        self.state.nodes[node].busy += 1;
        let job = Job { trace: Arc::clone(self.trace), node, envelope };
        self.apply(Attempt { job, result, receipt, latency: Duration::ZERO, tape: None });
        Ok(())
    }

    /// Takes a message from where it waits.
    fn take_back(&mut self, node: NodeIndex, message: MessageId) -> Option<Envelope> {
        if let Some((envelope, ..)) = self.restored().parked.remove(&(node, message)) {
            self.state.nodes[node].busy -= 1;
            return Some(envelope);
        }
        self.state.nodes[node].queue.take(message)
    }

    fn count_streams(&mut self, streams: BTreeMap<Arc<str>, u64>) {
        if !streams.is_empty() {
            self.state.counters.get_or_insert_default().streams.extend(streams);
        }
    }

    /// An output leaves once more, unless the reader has it.
    pub(super) fn hand_over_again(&mut self, edge: EdgeIndex, envelope: &Envelope) {
        if !self.restored().delivered.contains(&envelope.message.id) {
            let node = Arc::clone(&self.node(self.sender(edge)).name);
            self.state.reader.push_back(Item::Output { node, message: Arc::clone(&envelope.message) });
        }
        self.state.outputs += 1;
        self.consume(&envelope.lineage);
    }

    /// All records are applied: what waits may start.
    fn go_live(&mut self) {
        let Some(restored) = self.restoring(None) else { return };
        let pending = self.state.live;
        self.event(|| EventKind::Resumed { pending });
        if let Some(at) = restored.started.first().filter(|_| self.is_open()) {
            let message = format!(
                "attempt {} of `{}` at message {} had begun when the process ended, and must not be made twice: find out \
                 whether it took effect, then `floe resolve {} --done JSON`, `--retry` or `--fail`",
                at.attempt, at.node, at.message, self.trace.origin.trace
            );
            let mut error = TraceError::new(End::InDoubt.name(), message);
            (error.node, error.attempt) = (Some(Arc::clone(&at.node)), Some(at.attempt));
            self.end(Terminal { end: End::InDoubt, outputs: 0, error: Some(error) });
            return;
        }
        self.restart_pieces(&restored.streamed);
        // A clock that was set back meanwhile makes nothing longer than it was, and changes no order.
        let now = self.flow.now_ms().max(restored.at_ms);
        for ((node, _), (envelope, due, pause)) in restored.parked {
            let left = Duration::from_millis(due.saturating_sub(now)).min(pause);
            self.after.parked.push((Job { trace: Arc::clone(self.trace), node, envelope }, left));
        }
        self.restart_timers(now);
        for node in 0..self.state.nodes.len() {
            self.line_up(node);
        }
    }

    /// The reader is told that what these attempts have sent counts no more: they are made anew.
    fn restart_pieces(&mut self, streamed: &BTreeSet<At>) {
        if !self.is_open() {
            return;
        }
        for At { node, message, attempt } in streamed {
            if let Some(node) = self.flow.graph.find(node) {
                let lost = self.trace.restart_pieces(self.state, node, *message, *attempt);
                self.after.superseded.extend(lost);
            }
        }
    }
}
