//! Output before the call returns.

use serde::Serialize;

use crate::bindings::plugin::types::Field;
use crate::failure::Result;
use crate::host;
use crate::json::{IntoJson, field, text_of};
use crate::node::Output;

/// A message for all successors: kept by the host, sent when the call succeeds and dropped when it fails. Fails with
/// `exhausted` when the host keeps as much as it may.
pub fn message(payload: impl IntoJson) -> Result<()> {
    output(Output::new(payload))
}

/// As [`message`], with what an [`Output`] may say beside its payload: successors by name, metadata, topic, priority.
pub fn output(output: Output<impl IntoJson>) -> Result<()> {
    host::emit::message(&output.into_raw()?)
}

/// The next piece of the trace's own stream, delivered at once to whoever reads the trace. Waits while the reader is behind;
/// returns the piece's number.
pub fn chunk(text: &str) -> Result<u64> {
    Stream::default().chunk(text)
}

/// Ends the trace's own stream.
pub fn chunk_done() -> Result<u64> {
    Stream::default().done()
}

/// Something for a person to watch: a thought, a step of a plan, a status. Other nodes never see it.
pub fn progress(kind: &str, data: impl Serialize) -> Result<()> {
    host::emit::progress(kind, &text_of(&data))
}

/// A stream of text; the default is the trace's own, for its reader only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stream {
    name: Option<String>,
    to: Vec<String>,
    meta: Vec<Field>,
}

// === impl Stream ===

impl Stream {
    /// A stream beside the trace's own.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// Sends the pieces to this successor too, as messages, when the call succeeds.
    #[must_use]
    pub fn to(mut self, successor: impl Into<String>) -> Self {
        self.to.push(successor.into());
        self
    }

    /// Adds metadata to each piece.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        self.meta.push(field(key, value));
        self
    }

    /// The next piece; returns its number.
    pub fn chunk(&self, text: &str) -> Result<u64> {
        host::emit::chunk(self.name.as_deref(), text, false, &self.meta, &self.to)
    }

    /// Ends the stream; returns the number of this last, empty piece.
    pub fn done(&self) -> Result<u64> {
        host::emit::chunk(self.name.as_deref(), "", true, &self.meta, &self.to)
    }
}
