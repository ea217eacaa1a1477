//! A journal for as long as the process lives: what a flow without a file has, and what tests crash and resume on.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_flow::journal::{Entry, Journal, JournalError, Pending, Record};

use crate::not_open;

/// Keeps the records of unfinished traces.
///
/// A trace goes when its end has been delivered, and with it those that it had called; nothing else is remembered. So an id is a
/// duplicate only while its trace is here: a later request of the same id is accepted as a new one.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Traces>);

#[derive(Debug, Default)]
struct Traces {
    accepted: u64,
    open: BTreeMap<Arc<str>, Open>,
}

#[derive(Debug)]
struct Open {
    /// Counts acceptances.
    order: u64,
    caller: Option<Arc<str>>,
    /// Those that it called.
    called: Vec<Arc<str>>,
    ended: bool,
    entries: Vec<Entry>,
}

// === impl Memory ===

impl Memory {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    fn traces(&self) -> MutexGuard<'_, Traces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Memory {
    fn append(&self, trace: &Arc<str>, entry: Entry) -> Pending<()> {
        Box::pin(ready(self.traces().append(trace, entry)))
    }

    fn load(&self, trace: &str) -> Pending<Vec<Entry>> {
        let entries = self.traces().open.get(trace).map(|open| open.entries.clone());
        Box::pin(ready(Ok(entries.unwrap_or_default())))
    }

    fn unfinished(&self) -> Pending<Vec<Arc<str>>> {
        let traces = self.traces();
        let roots = traces.open.iter().filter(|(_, open)| open.caller.is_none());
        let mut roots: Vec<_> = roots.map(|(name, open)| (open.order, Arc::clone(name))).collect();
        roots.sort_unstable();
        Box::pin(ready(Ok(roots.into_iter().map(|(_, name)| name).collect())))
    }
}

// === impl Traces ===

impl Traces {
    fn append(&mut self, name: &Arc<str>, entry: Entry) -> Result<(), JournalError> {
        if let Record::Accepted(accepted) = &entry.record {
            if self.open.contains_key(name) {
                return Err(JournalError::Duplicate(Arc::clone(name)));
            }
            let caller = accepted.caller.clone();
            if let Some(caller) = caller.as_ref().and_then(|caller| self.open.get_mut(caller)) {
                caller.called.push(Arc::clone(name));
            }
            let open = Open { order: self.accepted, caller, called: Vec::new(), ended: false, entries: vec![entry] };
            self.accepted += 1;
            self.open.insert(Arc::clone(name), open);
            return Ok(());
        }
        let open = self.open.get_mut(name).ok_or_else(|| not_open(name))?;
        open.ended |= matches!(entry.record, Record::Ended(_));
        let delivered = matches!(entry.record, Record::Delivered { message: None, .. });
        open.entries.push(entry);
        // A called trace is asked for until its caller is done with it.
        let caller = open.caller.clone().filter(|_| open.ended);
        if delivered || caller.is_some_and(|caller| !self.open.contains_key(&caller)) {
            self.remove(name);
        }
        Ok(())
    }

    /// A trace, and those that it called if they have ended; the others go when they end.
    fn remove(&mut self, name: &Arc<str>) {
        let mut next = vec![Arc::clone(name)];
        while let Some(name) = next.pop() {
            let called = self.open.remove(&name).map(|open| open.called).unwrap_or_default();
            next.extend(called.into_iter().filter(|called| self.open.get(called).is_some_and(|open| open.ended)));
        }
    }
}
