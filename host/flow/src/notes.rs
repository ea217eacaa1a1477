//! What a long call notes in the journal while it runs, so that the same attempt goes on from there if the process dies: for nodes that
//! decide many things one after the other, each of which costs too much, or does too much, to be done twice.

use std::sync::Arc;

use crate::context::Context;
use crate::journal::At;
use crate::message::Payload;
use crate::node::{Failure, FailureKind};

impl Context {
    /// What this attempt has noted in an earlier process that died during it, in order; empty when it is made for the first time. Given
    /// once.
    pub fn recall(&self) -> Vec<Payload> {
        let at = self.at();
        self.trace.flow.with(&self.trace, |step| {
            let log = step.state.log.as_mut();
            log.and_then(|log| log.notes.remove(&at)).unwrap_or_default()
        })
    }

    /// Notes something of this attempt. When it returns, the journal has it; without one there is nothing to do. A retry, which is
    /// another attempt, begins without the notes of the one before.
    ///
    /// # Errors
    /// `cancelled` where the trace is ending, also because the journal cannot be written.
    pub async fn note(&self, note: Payload) -> Result<(), Failure> {
        let ending = || Failure::new(FailureKind::Cancelled, "the trace is ending");
        let flow = &self.trace.flow;
        if flow.config.journal.is_none() {
            return Ok(());
        }
        let at = self.at();
        let pending = flow.with(&self.trace, |step| step.record_note(at, note)).ok_or_else(ending)?;
        pending.await.map_err(|error| {
            flow.with(&self.trace, |step| step.journal_failed(&error));
            ending()
        })
    }

    /// Says that something begins that must not be done twice. If the process dies before the next note, the trace ends in doubt, and
    /// somebody has to decide. One at a time.
    ///
    /// # Errors
    /// As [`Context::note`].
    pub async fn begin(&self) -> Result<(), Failure> {
        let begun = self.trace.flow.record_start(&self.trace, self.at()).await;
        begun.then_some(()).ok_or_else(|| Failure::new(FailureKind::Cancelled, "the trace is ending"))
    }

    fn at(&self) -> At {
        At { node: Arc::clone(self.node()), message: self.message, attempt: self.attempt }
    }
}
