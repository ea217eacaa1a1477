//! Between a trace and its journal: what is decided is appended at once, in order, and applied once it is in the journal, in the
//! same order. Without a journal, deciding is applying.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::{Instrument, debug_span};

use super::Shared;
use super::commit::Step;
use crate::graph::NodeIndex;
use crate::journal::{At, Entry, JournalError, Pending, Record};
use crate::message::{MessageId, Payload};
use crate::trace::{Attempt, End, Fact, Log, Phase, Terminal, Trace, TraceError};

impl Shared {
    /// Milliseconds since 1970. Follows the clock that cannot be set, from where it stood when the flow was started.
    pub(crate) fn now_ms(&self) -> u64 {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.config.epoch_ms.saturating_add(elapsed)
    }

    /// Applies a fact as soon as it is in the journal.
    pub(super) fn apply_when_recorded(self: &Arc<Self>, trace: Arc<Trace>, fact: u64, pending: Pending<()>) {
        let shared = Arc::clone(self);
        let wait = async move {
            let result = pending.await;
            shared.with(&trace, |step| step.recorded(fact, result));
        };
        self.tasks.spawn_on(wait.instrument(debug_span!("journal")), &self.config.timers);
    }

    /// The record that a call is about to begin which must not be made twice. False: it must not begin.
    pub(crate) async fn record_start(self: &Arc<Self>, trace: &Arc<Trace>, at: At) -> bool {
        let Some(pending) = self.with(trace, |step| step.append(Record::Started(at))) else { return true };
        match pending.await {
            Ok(()) => true,
            Err(error) => {
                self.with(trace, |step| step.journal_failed(&error));
                false
            }
        }
    }
}

impl Step<'_> {
    /// The record that an attempt is about to send its first piece. None: the trace is ending.
    pub(crate) fn record_pieces(&mut self, node: NodeIndex, message: MessageId, attempt: u32) -> Option<Pending<()>> {
        if !self.is_open() {
            return None;
        }
        self.append(Record::Streamed(At { node: Arc::clone(&self.node(node).name), message, attempt }))
    }

    /// The record of what an attempt notes. None: the trace is ending.
    pub(crate) fn record_note(&mut self, at: At, note: Payload) -> Option<Pending<()>> {
        if !self.is_open() {
            return None;
        }
        self.append(Record::Noted { at, note })
    }

    /// The trace goes on: it runs, and no end has been decided.
    pub(super) fn is_open(&self) -> bool {
        let log = self.state.log.as_ref();
        matches!(self.state.phase, Phase::Running) && log.is_none_or(|log| !log.ending && log.restoring.is_none())
    }

    /// Records of an earlier process are being applied.
    pub(super) fn is_restoring(&self) -> bool {
        self.state.log.as_ref().is_some_and(|log| log.restoring.is_some())
    }

    pub(super) fn append(&mut self, record: Record) -> Option<Pending<()>> {
        let journal = self.flow.config.journal.as_ref()?;
        let entry = Entry { at_ms: self.flow.now_ms(), seq: self.state.next_event, record };
        Some(journal.append(&self.trace.origin.trace, entry))
    }

    /// Appends a record and keeps what follows from it until it is in the journal. Returns the fact's number.
    pub(super) fn record(&mut self, record: Record, fact: Fact) -> Option<(u64, Pending<()>)> {
        let pending = self.append(record)?;
        let log = self.log();
        log.waiting.push_back(fact);
        Some((log.applied + log.waiting.len() as u64, pending))
    }

    fn log(&mut self) -> &mut Log {
        self.state.log.get_or_insert_default()
    }

    pub(super) fn record_attempt(&mut self, mut attempt: Attempt) -> Option<(u64, Pending<()>)> {
        let at = At {
            node: Arc::clone(&self.node(attempt.job.node).name),
            message: attempt.job.envelope.message.id,
            attempt: attempt.job.envelope.attempt,
        };
        let (streams, receipt, tape) = (self.unrecorded_streams(), attempt.receipt, attempt.tape.take());
        let record = match &attempt.result {
            Ok((emitted, outcome)) => {
                let (emitted, outcome) = (emitted.clone(), outcome.clone());
                Record::Done { at, emitted, outcome, receipt, streams, tape }
            }
            Err(failure) => Record::Failed { at, failure: failure.clone(), receipt, streams, tape },
        };
        self.record(record, Fact::Attempt(Box::new(attempt)))
    }

    fn unrecorded_streams(&mut self) -> BTreeMap<Arc<str>, u64> {
        let Some(counters) = &mut self.state.counters else { return BTreeMap::new() };
        let streams = &counters.streams;
        let unrecorded = std::mem::take(&mut counters.unrecorded);
        unrecorded.into_iter().filter_map(|stream| streams.get(&stream).copied().map(|next| (stream, next))).collect()
    }

    /// The fact with this number is in the journal, and so are all before it; or the journal failed.
    pub(super) fn recorded(&mut self, number: u64, result: Result<(), JournalError>) {
        if let Err(error) = result {
            return self.journal_failed(&error);
        }
        while self.log().applied < number
            && let Some(fact) = self.log().waiting.pop_front()
        {
            self.log().applied += 1;
            match fact {
                Fact::Entered(message) => {
                    self.state.live -= 1;
                    // It may have been stopped meanwhile.
                    if matches!(self.state.phase, Phase::Running) {
                        self.accept(&message);
                    }
                }
                Fact::Attempt(attempt) => self.apply(*attempt),
                Fact::Ended(terminal) => self.end_as_recorded(terminal),
                Fact::TimeUp { node, group } => self.time_up(node, group),
                Fact::Closed => self.close(),
            }
            self.settle();
        }
    }

    /// Nothing more of this trace can be kept. What is in the journal stays there; here, the trace stops.
    pub(crate) fn journal_failed(&mut self, error: &JournalError) {
        let log = self.log();
        log.recorded = true;
        let lost = log.waiting.iter().filter(|fact| matches!(fact, Fact::Attempt(_))).count();
        // What was not accepted stays so, see `Log::is_accepted`.
        log.waiting.retain(|fact| matches!(fact, Fact::Entered(_)));
        self.state.running -= lost;
        let error = TraceError::new("journal", error.to_string());
        let stopped = Terminal { end: End::Stopped, outputs: 0, error: Some(error) };
        if let Phase::Ending(terminal) = &mut self.state.phase {
            **terminal = stopped;
        } else {
            self.end(stopped);
        }
        self.settle();
    }

    /// Ends the trace for a reason that does not follow from its records. False if it is ending already.
    pub(super) fn request_end(&mut self, mut terminal: Terminal) -> bool {
        if !self.is_open() {
            return false;
        }
        self.keep_partial(&mut terminal);
        if !terminal.end.is_final() {
            // Not an end for the journal: the trace goes on in another process.
            return self.end(terminal);
        }
        let Some((fact, pending)) = self.record(Record::Ended(terminal.clone()), Fact::Ended(terminal.clone())) else {
            return self.end(terminal);
        };
        self.log().ending = true;
        // What runs need not wait for the disk to be stopped.
        self.trace.cancelled.cancel();
        self.after.appended.push((Arc::clone(self.trace), fact, pending));
        true
    }

    /// The end that is in the journal is the trace's, also where others led to another one meanwhile; or, after a restart, where
    /// what ended it is not in the records: a limit that is checked when a call starts, or that counts what waits for the reader.
    pub(super) fn end_as_recorded(&mut self, terminal: Terminal) {
        if let Phase::Ending(decided) = &mut self.state.phase {
            **decided = terminal;
        } else {
            self.end(terminal);
        }
        self.log().recorded = true;
    }

    /// Nothing runs any more: the end goes into the journal, and then out.
    pub(super) fn conclude(&mut self, terminal: Terminal) {
        let Some(log) = &mut self.state.log else { return self.close() };
        if log.recorded || !terminal.end.is_final() {
            return self.close();
        }
        // An end that was decided from outside is on its way into the journal: a trace has one.
        if log.ending || std::mem::replace(&mut log.closing, true) {
            return;
        }
        if let Some((fact, pending)) = self.record(Record::Ended(terminal), Fact::Closed) {
            self.after.appended.push((Arc::clone(self.trace), fact, pending));
        }
    }

    /// The reader has taken the end: unless it says itself what it has, that is all.
    pub(super) fn end_is_read(&mut self, terminal: &Terminal) {
        if self.state.log.is_some() && terminal.end.is_final() && !self.flow.config.acknowledge {
            // The record counts although nobody waits for it.
            drop(self.append(Record::Delivered { message: None, cursor: None }));
        }
    }
}
