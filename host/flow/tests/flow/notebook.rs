//! A journal whose every state can be looked at: how much of it is safe, how slow it is and when it fails, the test decides.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::journal::Pending;
use floe_flow::{Entry, Journal, JournalError, Record};
use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Notebook {
    state: Mutex<State>,
    /// Entries that are safe; `None`: all, as soon as they are written.
    pub(crate) safe: watch::Sender<Option<usize>>,
    pub(crate) broken: watch::Sender<bool>,
    /// How long it takes to write each record, in turn; none: no time. One is answered after the other.
    pace: Vec<Duration>,
    fails: Option<Fails>,
}

/// From one record on, nothing is taken in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fails {
    /// The number of that record, from 0.
    pub(crate) at: usize,
    /// It is there although nobody was told so.
    pub(crate) torn: bool,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<(Arc<str>, Entry)>,
    /// When each entry is written.
    written: Vec<Option<Instant>>,
    appended: usize,
    last: Option<Instant>,
}

pub(crate) const FULL: &str = "the disk is full";

impl Notebook {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(Vec::new())
    }

    /// With the entries of an earlier process.
    pub(crate) fn with(entries: Vec<(Arc<str>, Entry)>) -> Arc<Self> {
        Self::slow(entries, Vec::new(), None)
    }

    pub(crate) fn slow(entries: Vec<(Arc<str>, Entry)>, pace: Vec<Duration>, fails: Option<Fails>) -> Arc<Self> {
        let (safe, broken) = (watch::Sender::new(None), watch::Sender::new(false));
        let written = vec![None; entries.len()];
        Arc::new(Self { state: Mutex::new(State { entries, written, ..State::default() }), safe, broken, pace, fails })
    }

    pub(crate) fn entries(&self) -> Vec<(Arc<str>, Entry)> {
        self.state.lock().unwrap().entries.clone()
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.entries().iter().map(|(_, entry)| entry.record.name()).collect()
    }

    /// When the last one that was appended is or will be answered; none: it was at once.
    pub(crate) fn answered(&self) -> Option<Instant> {
        self.state.lock().unwrap().last
    }

    /// Whether there is such a record of this trace, written by now.
    pub(crate) fn has(&self, trace: &str, is: impl Fn(&Record) -> bool) -> bool {
        let state = self.state.lock().unwrap();
        let now = Instant::now();
        let mut known = state.entries.iter().zip(&state.written);
        known.any(|((of, entry), written)| &**of == trace && written.is_none_or(|at| at <= now) && is(&entry.record))
    }
}

impl State {
    /// Notes that the next record is written so long after the last one.
    fn write(&mut self, takes: Option<Duration>) -> Option<Instant> {
        self.appended += 1;
        let now = Instant::now();
        let written = takes.map(|takes| self.last.map_or(now, |last| last.max(now)) + takes);
        self.last = written.or(self.last);
        written
    }
}

impl Journal for Notebook {
    fn append(&self, trace: &Arc<str>, entry: Entry) -> Pending<()> {
        // As a store would: what is read back is what was written.
        let text = serde_json::to_string(&entry.record).unwrap();
        let entry = Entry { record: serde_json::from_str(&text).unwrap(), ..entry };
        let mut state = self.state.lock().unwrap();
        if matches!(entry.record, Record::Accepted(_)) && state.entries.iter().any(|(known, _)| known == trace) {
            let error = JournalError::Duplicate(Arc::clone(trace));
            return Box::pin(std::future::ready(Err(error)));
        }
        let number = state.appended;
        let takes = (!self.pace.is_empty()).then(|| self.pace[number % self.pace.len()]);
        let written = state.write(takes);
        let fails = self.fails.is_some_and(|fails| number >= fails.at);
        if !fails || self.fails.is_some_and(|fails| fails.torn && number == fails.at) {
            state.entries.push((Arc::clone(trace), entry));
            state.written.push(written);
        }
        let number = state.entries.len();
        let (mut safe, mut broken) = (self.safe.subscribe(), self.broken.subscribe());
        Box::pin(async move {
            if let Some(written) = written {
                tokio::time::sleep_until(written).await;
            }
            if fails {
                return Err(JournalError::Unusable(FULL.to_owned()));
            }
            tokio::select! {
                biased;
                _ = broken.wait_for(|broken| *broken) => Err(JournalError::Unusable(FULL.to_owned())),
                _ = safe.wait_for(|safe| safe.is_none_or(|safe| safe >= number)) => Ok(()),
            }
        })
    }

    fn load(&self, trace: &str) -> Pending<Vec<Entry>> {
        let entries = self.entries().into_iter().filter(|(known, _)| &**known == trace).map(|(_, entry)| entry).collect();
        Box::pin(std::future::ready(Ok(entries)))
    }

    fn unfinished(&self) -> Pending<Vec<Arc<str>>> {
        let entries = self.entries();
        let done: BTreeSet<&Arc<str>> = entries
            .iter()
            .filter(|(_, entry)| matches!(entry.record, Record::Delivered { message: None, .. }))
            .map(|(trace, _)| trace)
            .collect();
        let own = |record: &Record| matches!(record, Record::Accepted(accepted) if accepted.caller.is_none());
        let accepted = entries.iter().filter(|(_, entry)| own(&entry.record));
        let open = accepted.map(|(trace, _)| trace).filter(|trace| !done.contains(trace)).cloned().collect();
        Box::pin(std::future::ready(Ok(open)))
    }
}
