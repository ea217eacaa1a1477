//! The reader's end of one trace.

use std::sync::Arc;

use crate::budget::Amounts;
use crate::context::Origin;
use crate::journal::Cursor;
use crate::trace::{End, Item, Terminal, Trace};

/// What comes out of one trace: chunks, progress and outputs, then exactly one end. Dropping it cancels the trace, or
/// stops it where there is a journal to resume it from.
#[derive(Debug)]
pub struct Handle {
    pub(crate) trace: Arc<Trace>,
}

impl Handle {
    pub(crate) fn new(trace: Arc<Trace>) -> Self {
        Self { trace }
    }

    /// The next item; none after [`Item::End`]. May be dropped and called again.
    ///
    /// Gives way to other tasks now and then, also where there is always a next item.
    pub async fn next(&mut self) -> Option<Item> {
        // Taking one makes room for another, so a trace of thousands of outputs would have its thread until all are out.
        tokio::task::coop::consume_budget().await;
        loop {
            let changed = self.trace.changed.notified();
            let (item, ended) = self.trace.flow.with(&self.trace, |step| (step.read(), step.is_over()));
            match item {
                Some(item) => return Some(item),
                None if ended => return None,
                None => changed.await,
            }
        }
    }

    /// The outputs' payloads and the end; chunks and progress are passed over.
    pub async fn finish(mut self) -> (Vec<crate::message::Payload>, Terminal) {
        let mut outputs = Vec::new();
        while let Some(item) = self.next().await {
            match item {
                Item::Output { message, .. } => outputs.push(message.payload.clone()),
                Item::End(terminal) => return (outputs, terminal),
                Item::Chunk { .. } | Item::Superseded { .. } | Item::Progress { .. } => {}
            }
        }
        unreachable!("a trace has an end, and only `next` takes it")
    }

    /// Trace id, tenant, user, session.
    pub fn origin(&self) -> &Origin {
        &self.trace.origin
    }

    /// Up to where its request stands in the input, if its submission said so.
    pub fn cursor(&self) -> Option<Cursor> {
        self.trace.cursor.as_deref().copied()
    }

    /// Hops, and what has been booked so far, of a trace that has an account.
    pub(crate) fn used(&self) -> (u64, Amounts) {
        (self.trace.hops().0, self.trace.account.as_ref().map_or(Amounts::NONE, |account| account.used()))
    }

    /// Ends the trace as cancelled; its end still comes out of [`Handle::next`]. False if it is ending already.
    pub fn cancel(&self) -> bool {
        self.trace.flow.end(&self.trace, End::Cancelled, "its submitter cancelled the trace")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Whoever goes away with the process does not want to lose what can be resumed.
        let end = if self.trace.flow.config.journal.is_some() { End::Stopped } else { End::Cancelled };
        self.trace.flow.end(&self.trace, end, "nobody reads the trace any more");
    }
}
