//! Takes what comes of one trace to the output, and says how it ended.

use std::sync::Arc;

use floe_flow::{End, Handle, Item, TraceError};

use super::output::{Gone, Lines};

/// Bytes of a piece of a stream that the log shows.
const SHOWN: usize = 512;

/// How a line came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// Its trace ended so.
    As(End),
    /// The journal had it already.
    Before,
    /// The output went away.
    Gone,
    /// The journal failed, for this reason.
    Lost(String),
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Takes what comes of one line to the output.
pub(super) struct Reader {
    pub(super) lines: Lines,
    pub(super) line: u64,
    pub(super) durable: bool,
}

impl Reader {
    pub(super) async fn accepted(&self, trace: &Arc<str>, accepted: Result<Handle, floe_flow::Error>) -> Result<Ended, Ended> {
        let line = self.line;
        let (message, end) = match accepted {
            Ok(handle) => return self.read(trace, handle).await,
            Err(floe_flow::Error::Journal(why)) => return Err(Ended::Lost(why)),
            Err(floe_flow::Error::Duplicate(_)) if self.durable => return Ok(Ended::Before),
            // Nothing of it is in the journal: it is read again when the run goes on.
            Err(floe_flow::Error::Stopped) if self.durable => return Ok(Ended::As(End::Stopped)),
            Err(floe_flow::Error::Stopped) => {
                (format!("line {line} was read, but the run was stopped before it was taken on"), End::Stopped)
            }
            Err(error) => (format!("line {line}: {error}"), End::Failed),
        };
        let error = TraceError { code: "invalid-input".to_owned(), message, node: None, attempt: None, detail: None };
        self.lines.refused(trace, line, &error).await?;
        Ok(Ended::As(end))
    }

    pub(super) async fn read(&self, trace: &Arc<str>, mut handle: Handle) -> Result<Ended, Ended> {
        let Self { lines, line, durable } = self;
        while let Some(item) = handle.next().await {
            match item {
                Item::Output { node, message } => lines.output(trace, *line, &node, &message).await?,
                Item::End(terminal) => {
                    if !durable || terminal.end.is_final() {
                        lines.end(trace, *line, &terminal).await?;
                    }
                    let error = terminal.error.filter(|_| *durable && !terminal.end.is_final());
                    match error {
                        Some(error) if error.code == "journal" => return Err(Ended::Lost(error.message)),
                        Some(error) if terminal.end == End::InDoubt => tracing::warn!("{}", error.message),
                        _ => {}
                    }
                    return Ok(Ended::As(terminal.end));
                }
                shown => show(trace, &shown),
            }
        }
        Ok(Ended::As(End::Cancelled))
    }
}

/// What is only to be watched goes to the log.
fn show(trace: &str, item: &Item) {
    match item {
        Item::Progress { node, kind, data } => {
            tracing::debug!(target: "plugin", trace, node = &**node, kind, data = data.text(), "progress");
        }
        Item::Chunk { node, stream, seq, text, .. } => {
            let text = floe_sandbox::plain(text, SHOWN);
            tracing::debug!(target: "plugin", trace, node = &**node, stream = &**stream, seq, text, "chunk");
        }
        Item::Superseded { node, attempt, .. } => {
            tracing::debug!(target: "plugin", trace, node = &**node, attempt, "superseded");
        }
        Item::Output { .. } | Item::End(_) => {}
    }
}
