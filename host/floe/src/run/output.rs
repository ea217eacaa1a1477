//! Where results go: one JSON object a line, written on a thread of its own.
//!
//! With a journal, a line counts once it is on the disk and the journal knows it: the file is cut to what the journal knows
//! when the run goes on, and what the journal does not know is written again.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use floe_flow::journal::Pending;
use floe_flow::{Cursor, End, Message, MessageId, Terminal, TraceError};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::durable::Durable;
use crate::Error;

/// Lines that may wait for the disk.
const BEHIND: usize = 256;

/// Takes lines from any number of traces; a full disk shows in [`Output::close`] and in failed sends.
#[derive(Debug)]
pub(crate) struct Output {
    tx: mpsc::Sender<Written>,
    thread: JoinHandle<std::io::Result<()>>,
}

/// The output went away; the reason is with [`Output::close`].
#[derive(Debug)]
pub(crate) struct Gone;

/// A handle for sending lines.
#[derive(Debug, Clone)]
pub(crate) struct Lines(mpsc::Sender<Written>);

/// A line, and what its trace has given with it.
#[derive(Debug)]
struct Written {
    /// Nothing for the end of a trace that completed.
    text: String,
    trace: Arc<str>,
    /// Which output; none: the end.
    message: Option<MessageId>,
}

impl Output {
    /// Opens a file, or standard output. A file begins anew, or where the journal says that it goes on.
    pub(crate) fn open(path: Option<&Path>, durable: Option<&Arc<Durable>>) -> Result<Self, Error> {
        let at = durable.map_or(Cursor { line: 0, offset: 0 }, |durable| durable.written);
        let file = path.map(|path| open_at(path, at)).transpose()?;
        let (tx, rx) = mpsc::channel(BEHIND);
        let durable = durable.cloned().map(|durable| (durable, Handle::current()));
        let write = move || {
            let writer: Box<dyn Write + Send> = match &file {
                Some(file) => Box::new(file.try_clone()?),
                None => Box::new(std::io::stdout()),
            };
            let mut writer = BufWriter::with_capacity(64 * 1024, writer);
            match durable {
                Some((durable, runtime)) => Ledger { durable, file, at }.write_all(&mut writer, rx, &runtime),
                None => write_all(&mut writer, rx),
            }
        };
        let spawned = std::thread::Builder::new().name("floe-output".into()).spawn(write);
        let thread = spawned.map_err(|error| Error::wrong(format!("cannot start a thread for the output: {error}")))?;
        Ok(Self { tx, thread })
    }

    /// Where lines are sent.
    pub(crate) fn lines(&self) -> Lines {
        Lines(self.tx.clone())
    }

    /// Waits until all lines of all handles are written.
    pub(crate) async fn close(self) -> std::io::Result<()> {
        let Self { tx, thread } = self;
        drop(tx);
        // The thread may wait for the journal, whose answers come on this runtime.
        let joined = tokio::task::spawn_blocking(|| thread.join()).await;
        joined
            .unwrap_or_else(|_| Ok(Err(std::io::Error::other("the runtime has ended"))))
            .unwrap_or_else(|_| Err(std::io::Error::other("the output's thread panicked")))
    }
}

/// A file whose first bytes stand and whose rest is to be written.
fn open_at(path: &Path, at: Cursor) -> Result<File, Error> {
    let shown = path.display();
    let wrong = |error: std::io::Error| Error::wrong(format!("cannot write to `{shown}`: {error}"));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(false).open(path).map_err(wrong)?;
    let metadata = file.metadata().map_err(wrong)?;
    if metadata.is_file() {
        if metadata.len() < at.offset {
            let message = format!("`{shown}` has {} bytes, and the journal knows of {}", metadata.len(), at.offset);
            return Err(
                Error::wrong(message).with_help("put the output back to where it was, or begin anew with another journal")
            );
        }
        file.set_len(at.offset).map_err(wrong)?;
        file.seek(SeekFrom::Start(at.offset)).map_err(wrong)?;
    }
    Ok(file)
}

impl Lines {
    /// One output of a trace.
    pub(crate) async fn output(&self, trace: &Arc<str>, line: u64, node: &str, message: &Message) -> Result<(), Gone> {
        // In JSON a line's end is white space between tokens, never part of a string.
        let payload = message.payload.text().trim().replace(['\n', '\r'], " ");
        let (name, node) = (json!(trace), json!(node));
        let text = format!("{{\"trace_id\":{name},\"line\":{line},\"node\":{node},\"payload\":{payload}}}\n");
        self.send(text, trace, Some(message.id)).await
    }

    /// The end of a trace; there is a line for it if it did not complete.
    pub(crate) async fn end(&self, trace: &Arc<str>, line: u64, terminal: &Terminal) -> Result<(), Gone> {
        if terminal.end == End::Completed {
            return self.send(String::new(), trace, None).await;
        }
        self.failure(trace, line, terminal.end.name(), terminal.error.as_ref()).await
    }

    /// The end of a line that did not become a trace.
    pub(crate) async fn refused(&self, trace: &Arc<str>, line: u64, error: &TraceError) -> Result<(), Gone> {
        self.failure(trace, line, "failed", Some(error)).await
    }

    async fn failure(&self, trace: &Arc<str>, line: u64, terminal: &str, error: Option<&TraceError>) -> Result<(), Gone> {
        let (name, terminal, error) = (json!(trace), json!(terminal), json!(error));
        let text = format!("{{\"trace_id\":{name},\"line\":{line},\"terminal\":{terminal},\"error\":{error}}}\n");
        self.send(text, trace, None).await
    }

    async fn send(&self, text: String, trace: &Arc<str>, message: Option<MessageId>) -> Result<(), Gone> {
        self.0.send(Written { text, trace: Arc::clone(trace), message }).await.map_err(|_| Gone)
    }

    /// Resolves when the output has gone away.
    pub(crate) async fn gone(&self) {
        self.0.closed().await;
    }
}

/// Writes what is there in one go, so that a person sees it at once and a file gets large writes.
fn write_all(writer: &mut impl Write, mut lines: mpsc::Receiver<Written>) -> std::io::Result<()> {
    while let Some(line) = lines.blocking_recv() {
        writer.write_all(line.text.as_bytes())?;
        if lines.is_empty() {
            writer.flush()?;
        }
    }
    writer.flush()
}

/// Tells the journal what has been written.
struct Ledger {
    durable: Arc<Durable>,
    file: Option<File>,
    at: Cursor,
}

impl Ledger {
    fn write_all(mut self, writer: &mut impl Write, mut lines: mpsc::Receiver<Written>, runtime: &Handle) -> std::io::Result<()> {
        let mut batch = Vec::new();
        while let Some(line) = lines.blocking_recv() {
            batch.push(line);
            while batch.len() < BEHIND
                && let Ok(line) = lines.try_recv()
            {
                batch.push(line);
            }
            for line in &batch {
                writer.write_all(line.text.as_bytes())?;
            }
            writer.flush()?;
            if let Some(file) = &self.file {
                // On the disk before the journal says so. Of a pipe or a terminal that cannot be known.
                match file.sync_data() {
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {}
                    synced => synced?,
                }
            }
            let known = batch.iter().map(|line| self.deliver(line)).last();
            batch.clear();
            if let Some(known) = known {
                runtime.block_on(known).map_err(std::io::Error::other)?;
            }
        }
        writer.flush()
    }

    /// The records of one batch are kept in their order: the last one answers for all.
    fn deliver(&mut self, line: &Written) -> Pending<()> {
        self.at.line += u64::from(!line.text.is_empty());
        self.at.offset += line.text.len() as u64;
        self.durable.deliver(&line.trace, line.message, self.at)
    }
}
