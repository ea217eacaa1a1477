//! What a call hands to its trace's reader while it runs: pieces of streams, and progress.
//!
//! A stream belongs to its trace: whoever sends to it, its pieces have one row of numbers. What a piece is worth follows from its
//! attempt: if that fails, the reader is told that the attempt's pieces count no more, and numbers go on. `done` closes a stream
//! for the call that said so; another call, the next attempt among them, may go on with it. The host adds nothing: a stream
//! that nobody closes is over when its trace is.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::context::{Chunk, Context};
use crate::event::EventKind;
use crate::graph::NodeIndex;
use crate::message::{MessageId, Meta, Payload};
use crate::node::{Failure, FailureKind};
use crate::rooms::lock;
use crate::trace::{Item, Phase, State, Trace};

/// Named streams of one trace: each costs a counter until the trace ends.
pub const MAX_STREAMS: usize = 1000;

/// What is known of a call while it may send.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    /// The call is over; what is left of it on another thread sends nothing more.
    over: AtomicBool,
    /// Streams on which it has said `done`.
    closed: Mutex<BTreeSet<Arc<str>>>,
    /// The call that this one is a part of.
    whole: Option<Arc<Sender>>,
}

impl Sender {
    /// The sender of a part of a call.
    pub(crate) fn part(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self { whole: Some(Arc::clone(self)), ..Self::default() })
    }

    /// Makes it the sender of the next call: the same one, unless something of the last call still holds it.
    pub(crate) fn renew(sender: &mut Arc<Self>) {
        match Arc::get_mut(sender) {
            Some(mine) => {
                *mine.over.get_mut() = false;
                mine.closed.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
            }
            None => *sender = Arc::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) || self.whole.as_ref().is_some_and(|whole| whole.is_over())
    }
}

/// Silences a call when it is dropped.
pub(crate) struct Silence<'a>(pub(crate) &'a Sender);

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

impl Context {
    /// Hands a piece to the trace's reader, or to its caller's; waits while the reader is behind. Returns the piece's number in its
    /// stream. After `done` this call sends nothing more on the stream (`conflict`). A wait that is dropped has taken no number.
    pub async fn chunk(&self, chunk: Chunk) -> Result<u64, Failure> {
        let Chunk { stream, text, done, meta } = chunk;
        let Way { top, node, subflow } = self.way();
        let stream: Arc<str> = stream.map_or_else(|| Arc::clone(&top.trace.origin.trace), Into::into);
        self.say_that_it_streams().await?;
        self.mark(&stream);
        let mut state = self.room_at_reader(top).await?;
        let mut closed = lock(&self.sender.closed);
        if closed.contains(&stream) {
            let message = format!("stream `{stream}` is closed: this call has said `done`; say it last, or use another stream");
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let counters = state.counters.get_or_insert_default();
        let used = counters.streams.len();
        if used >= MAX_STREAMS && !counters.streams.contains_key(&stream) {
            let (used, max) = (used as u64, MAX_STREAMS as u64);
            return Err(Failure::limit(FailureKind::Exhausted, "streams", used, max, "nothing: use fewer streams"));
        }
        if done {
            closed.insert(Arc::clone(&stream));
        }
        drop(closed);
        let next = counters.streams.entry(Arc::clone(&stream)).or_default();
        let seq = *next;
        *next += 1;
        counters.sent.entry((top.node, top.message)).or_default().insert(Arc::clone(&stream));
        if top.trace.flow.config.journal.is_some() {
            counters.unrecorded.insert(Arc::clone(&stream));
        }
        let (message, attempt) = (self.message, self.attempt);
        let meta: Meta = meta.into_iter().collect();
        top.trace.event(&mut state, || EventKind::Chunk {
            subflow: subflow.clone(),
            node: Arc::clone(&node),
            message,
            attempt,
            stream: Arc::clone(&stream),
            seq_in_stream: seq,
            text: text.clone(),
            done,
            meta: meta.clone(),
        });
        top.hand_over(&mut state, Item::Chunk { subflow, node, message, attempt, stream, seq, text, done, meta });
        Ok(seq)
    }

    /// Shows something to whoever watches the trace; waits while the reader is behind.
    pub async fn progress(&self, kind: String, data: Payload) -> Result<(), Failure> {
        let Way { top, node, .. } = self.way();
        let mut state = self.room_at_reader(top).await?;
        top.trace.event(&mut state, || EventKind::Progress {
            node: Arc::clone(&node),
            kind: kind.clone(),
            data: data.value().into_owned(),
        });
        top.hand_over(&mut state, Item::Progress { node, kind, data });
        Ok(())
    }

    /// The call whose trace has a reader, and the way from there to this one.
    fn way(&self) -> Way<'_> {
        let mut top = self;
        let Some(_) = &top.trace.caller else { return Way { top, node: Arc::clone(self.node()), subflow: None } };
        let mut node = self.node().to_string();
        while let Some(caller) = &top.trace.caller {
            top = caller;
            node = format!("{}/{node}", top.node());
        }
        // A subflow's id begins with its caller's, up to that of the trace with the reader.
        let subflow = self.origin().trace.get(top.origin().trace.len() + 1..).map(Into::into);
        Way { top, node: node.into(), subflow }
    }

    /// With a journal, an attempt shows nothing before the journal knows that it does: whoever reads after a crash can be told that
    /// its pieces count no more. Parts of a call that begin at once may each say it.
    async fn say_that_it_streams(&self) -> Result<(), Failure> {
        let (trace, key) = (&self.trace, (self.node, self.message));
        if trace.flow.config.journal.is_none() {
            return Ok(());
        }
        if lock(&trace.state).counters.as_ref().is_some_and(|counters| counters.streaming.contains(&key)) {
            return Ok(());
        }
        let appended = trace.flow.with(trace, |step| {
            // Looked at under the lock, so that no record of the call's end comes before this one.
            if self.is_over() { None } else { step.record_pieces(self.node, self.message, self.attempt) }
        });
        let Some(pending) = appended else { return Err(over()) };
        if let Err(error) = pending.await {
            trace.flow.with(trace, |step| step.journal_failed(&error));
            return Err(over());
        }
        let mut state = lock(&trace.state);
        if !self.is_over() {
            state.counters.get_or_insert_default().streaming.insert(key);
        }
        Ok(())
    }

    /// In a subflow, each call on the way to the reader remembers that it has sent something.
    fn mark(&self, stream: &Arc<str>) {
        let mut here = self;
        while let Some(caller) = &here.trace.caller {
            let mut state = lock(&here.trace.state);
            let sent = &mut state.counters.get_or_insert_default().sent;
            let sent = sent.entry((here.node, here.message)).or_default();
            // The reader's trace refuses more streams than these; a name more is not kept before it does.
            if sent.len() < MAX_STREAMS {
                sent.insert(Arc::clone(stream));
            }
            here = caller;
        }
    }

    /// This call, or one that it is a part of, is over.
    fn is_over(&self) -> bool {
        self.sender.is_over() || self.trace.caller.as_deref().is_some_and(Self::is_over)
    }

    /// The state of the trace with the reader, once that has room for one more. A trace that ends drops its calls, and these
    /// waits with them; whoever still asks has kept the context beyond its call.
    async fn room_at_reader<'a>(&self, top: &'a Self) -> Result<MutexGuard<'a, State>, Failure> {
        loop {
            let room = top.trace.changed.notified();
            {
                let state = lock(&top.trace.state);
                if !matches!(state.phase, Phase::Running) {
                    return Err(Failure::new(FailureKind::Cancelled, "the trace is ending; nothing more is sent to its reader"));
                }
                // Looked at under the lock: the commit of the call's failure comes after, or what is sent would come after it.
                if self.is_over() {
                    return Err(over());
                }
                if state.reader.len() < top.trace.flow.config.reader {
                    return Ok(state);
                }
            }
            room.await;
        }
    }

    fn hand_over(&self, state: &mut State, item: Item) {
        state.reader.push_back(item);
        self.trace.changed.notify_waiters();
    }
}

fn over() -> Failure {
    Failure::new(FailureKind::Cancelled, "the call is over; nothing more is sent to its reader")
}

impl State {
    /// An attempt succeeded: its pieces stand.
    pub(crate) fn keep_pieces(&mut self, node: NodeIndex, message: MessageId) {
        if let Some(counters) = &mut self.counters {
            counters.sent.remove(&(node, message));
            counters.streaming.remove(&(node, message));
        }
    }
}

/// Where a call stands below the trace that has a reader.
struct Way<'a> {
    /// The call of that trace.
    top: &'a Context,
    /// The names of the nodes on the way.
    node: Arc<str>,
    /// The subflow's trace, without the id of the one that has the reader.
    subflow: Option<Arc<str>>,
}

/// The pieces of an attempt that count no more.
pub(crate) struct Superseded {
    /// The attempt.
    by: Context,
    streams: Vec<Arc<str>>,
    restarts: bool,
}

impl Superseded {
    /// Of a subflow: tells the reader, who is its caller's.
    pub(crate) fn announce(self) {
        let top = Arc::clone(&self.by.way().top.trace);
        let mut state = lock(&top.state);
        if matches!(state.phase, Phase::Running) {
            self.tell(&mut state);
        }
    }

    /// Tells the reader and the observer of the trace that has one, for there the pieces were shown. This is its state.
    fn tell(self, state: &mut State) {
        let Self { by, streams, restarts } = self;
        let Way { top, node, subflow } = by.way();
        let (message, attempt) = (by.message, by.attempt);
        top.trace.event(state, || {
            let (subflow, node, streams) = (subflow.clone(), Arc::clone(&node), streams.clone());
            EventKind::Superseded { subflow, node, message, attempt, streams, restarts }
        });
        top.hand_over(state, Item::Superseded { subflow, node, message, attempt, streams, restarts });
    }
}

impl Trace {
    /// An attempt failed: its pieces, if it sent any, count no more, and the reader is told. That does not wait for the reader:
    /// there is at most one for each attempt under way, for it has had room for a piece. In a subflow, the reader is told later.
    pub(crate) fn supersede_pieces(
        self: &Arc<Self>,
        state: &mut State,
        node: NodeIndex,
        message: MessageId,
        attempt: u32,
    ) -> Option<Superseded> {
        self.take_back(state, node, message, attempt, false)
    }

    /// A crash cut an attempt off that had sent pieces: they count no more, and the same attempt is made anew.
    pub(crate) fn restart_pieces(
        self: &Arc<Self>,
        state: &mut State,
        node: NodeIndex,
        message: MessageId,
        attempt: u32,
    ) -> Option<Superseded> {
        self.take_back(state, node, message, attempt, true)
    }

    fn take_back(
        self: &Arc<Self>,
        state: &mut State,
        node: NodeIndex,
        message: MessageId,
        attempt: u32,
        restarts: bool,
    ) -> Option<Superseded> {
        let counters = state.counters.as_mut()?;
        counters.streaming.remove(&(node, message));
        let streams = counters.sent.remove(&(node, message))?.into_iter().collect();
        let by =
            Context { trace: Arc::clone(self), node, message, attempt, sender: Arc::default(), allowance: None, calling: None };
        let lost = Superseded { by, streams, restarts };
        if self.caller.is_some() {
            return Some(lost);
        }
        lost.tell(state);
        None
    }
}
