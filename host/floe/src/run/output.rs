//! Where results go: one JSON object a line, written on a thread of its own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread::JoinHandle;

use floe_flow::{Message, Terminal, TraceError};
use serde_json::json;
use tokio::sync::mpsc;

use crate::Error;

/// Lines that may wait for the disk.
const BEHIND: usize = 256;

/// Takes lines from any number of traces; a full disk shows in [`Output::close`] and in failed sends.
#[derive(Debug)]
pub(crate) struct Output {
    tx: mpsc::Sender<String>,
    thread: JoinHandle<std::io::Result<()>>,
}

/// The output went away; the reason is with [`Output::close`].
#[derive(Debug)]
pub(crate) struct Gone;

/// A handle for sending lines.
#[derive(Debug, Clone)]
pub(crate) struct Lines(mpsc::Sender<String>);

impl Output {
    /// Opens a file, or standard output.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let writer: Box<dyn Write + Send> = match path {
            Some(path) => {
                let file = File::create(path);
                Box::new(file.map_err(|error| Error::wrong(format!("cannot write to `{}`: {error}", path.display())))?)
            }
            None => Box::new(std::io::stdout()),
        };
        let (tx, rx) = mpsc::channel(BEHIND);
        let spawned = std::thread::Builder::new().name("floe-output".into()).spawn(move || write_all(writer, rx));
        let thread = spawned.map_err(|error| Error::wrong(format!("cannot start a thread for the output: {error}")))?;
        Ok(Self { tx, thread })
    }

    /// Where lines are sent.
    pub(crate) fn lines(&self) -> Lines {
        Lines(self.tx.clone())
    }

    /// Waits until all lines of all handles are written.
    pub(crate) fn close(self) -> std::io::Result<()> {
        drop(self.tx);
        self.thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the output's thread panicked")))
    }
}

impl Lines {
    /// One output of a trace.
    pub(crate) async fn output(&self, trace: &str, line: u64, node: &str, message: &Message) -> Result<(), Gone> {
        // In JSON a line's end is white space between tokens, never part of a string.
        let payload = message.payload.text().trim().replace(['\n', '\r'], " ");
        let (trace, node) = (json!(trace), json!(node));
        self.send(format!("{{\"trace_id\":{trace},\"line\":{line},\"node\":{node},\"payload\":{payload}}}\n")).await
    }

    /// The end of a trace that did not complete.
    pub(crate) async fn end(&self, trace: &str, line: u64, terminal: &Terminal) -> Result<(), Gone> {
        self.failure(trace, line, terminal.end.name(), terminal.error.as_ref()).await
    }

    /// The end of a line that did not become a trace.
    pub(crate) async fn refused(&self, trace: &str, line: u64, message: String) -> Result<(), Gone> {
        let error = TraceError { code: "invalid-input".to_owned(), message, node: None, attempt: None, detail: None };
        self.failure(trace, line, "failed", Some(&error)).await
    }

    async fn failure(&self, trace: &str, line: u64, terminal: &str, error: Option<&TraceError>) -> Result<(), Gone> {
        let (trace, terminal, error) = (json!(trace), json!(terminal), json!(error));
        self.send(format!("{{\"trace_id\":{trace},\"line\":{line},\"terminal\":{terminal},\"error\":{error}}}\n")).await
    }

    async fn send(&self, line: String) -> Result<(), Gone> {
        self.0.send(line).await.map_err(|_| Gone)
    }

    /// Resolves when the output has gone away.
    pub(crate) async fn gone(&self) {
        self.0.closed().await;
    }
}

/// Writes what is there in one go, so that a person sees it at once and a file gets large writes.
fn write_all(writer: impl Write, mut lines: mpsc::Receiver<String>) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    while let Some(line) = lines.blocking_recv() {
        writer.write_all(line.as_bytes())?;
        if lines.is_empty() {
            writer.flush()?;
        }
    }
    writer.flush()
}
