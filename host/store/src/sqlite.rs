//! A journal in one SQLite file: what was answered survives a kill and a power cut.
//!
//! One thread writes. It takes all that was appended since its last transaction, up to [`MAX_BATCH`], writes it in one, and
//! answers when the disk has it: the more traces wait, the more records share the cost of a commit. Readers have a connection of
//! their own, here or in another process, and nobody waits for them (write-ahead log, `synchronous=FULL`).
//!
//! `file` knows what is a journal and who has it, `writer` the queue, `batch` one transaction, `state` the values beside the records,
//! `history` and `prune` what people ask of the file. The schema is in `migrations/`.

use std::path::Path;
use std::sync::Arc;

use floe_flow::journal::{Entry, Journal, JournalError, Pending, Record};
use serde::Deserialize;
use sqlx::{Connection, SqliteConnection, query_as};
use tokio::sync::Mutex;

use crate::Error;

mod batch;
mod file;
mod history;
mod prune;
mod state;
mod writer;

pub use file::FORMAT;
pub use history::{DeadLetter, Filter, State, TraceRow};
pub use prune::{Removed, Retain};
pub use writer::MAX_BATCH;

pub(crate) use file::JournalFile;
use file::{Access, Lock};
use writer::Writer;

/// How a journal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes that the file may have; none: as many as the disk has. At the limit the journal is unusable, as when the disk is
    /// full; it can be opened again, without a limit to go on, or to remove something first. A file that is larger already does
    /// not grow. The write-ahead log beside it takes some 16 MiB more.
    pub max_bytes: Option<u64>,
}

/// A journal that is being written.
///
/// Dropping it writes what is waiting and ends the thread that writes; the caller's thread waits for that.
#[derive(Debug)]
pub struct Sqlite {
    pub(crate) file: Arc<JournalFile>,
    pub(crate) writer: Writer,
    reader: Reader,
    /// Released last.
    _lock: Lock,
}

/// A journal that is being read, beside a writer or after it. It changes nothing, and sees all that the writer has answered.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) file: Arc<JournalFile>,
    pub(crate) connection: Arc<Mutex<SqliteConnection>>,
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens a journal to write it; makes the file if there is none, for its owner alone, but no directory.
    ///
    /// [`Error::Foreign`] and [`Error::Newer`] leave the file as it is; [`Error::Taken`] if another process has it open for
    /// writing, by a lock on `FILE.lock`.
    pub async fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let (file, lock) = file::prepare(path, options).await?;
        let file = Arc::new(file);
        let mut connection = file.connect(Access::Write).await?;
        file.migrate(&mut connection).await?;
        let reader = Reader::connect(&file, Access::Look).await?;
        let writer = Writer::start(Arc::clone(&file), connection).await?;
        Ok(Self { file, writer, reader, _lock: lock })
    }

    /// Writes what is waiting and closes the file: when this returns, nothing of this process touches it any more, unless a clone
    /// of its [`Reader`] is left.
    pub async fn close(self) {
        let Self { writer, reader, _lock: lock, .. } = self;
        drop(writer);
        if let Some(connection) = Arc::into_inner(reader.connection) {
            // What was to be written is written; a reader has nothing to lose.
            let _ = connection.into_inner().close().await;
        }
        drop(lock);
    }

    /// Opens a journal to look into it, which may be beside a process that writes it.
    pub async fn read(path: &Path) -> Result<Reader, Error> {
        let file = Arc::new(file::find(path)?);
        let reader = Reader::connect(&file, Access::Read).await?;
        file.check_format(&mut *reader.connection.lock().await).await?;
        Ok(reader)
    }

    /// This journal, to look into it.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Transactions of records so far: fewer than records, if these came at once.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }
}

impl Journal for Sqlite {
    /// The queue has no bound of its own: a flow waits for the answer of each record of a trace before it goes on with it, so it
    /// holds no more than the flow's limits of traces and messages in flight.
    fn append(&self, trace: &Arc<str>, entry: Entry) -> Pending<()> {
        self.writer.append(trace, &entry)
    }

    fn load(&self, trace: &str) -> Pending<Vec<Entry>> {
        let (reader, trace) = (self.reader.clone(), trace.to_owned());
        Box::pin(async move { reader.load(&trace).await.map_err(JournalError::from) })
    }

    fn unfinished(&self) -> Pending<Vec<Arc<str>>> {
        let reader = self.reader.clone();
        Box::pin(async move { reader.unfinished().await.map_err(JournalError::from) })
    }
}

// === impl Reader ===

impl Reader {
    async fn connect(file: &Arc<JournalFile>, access: Access) -> Result<Self, Error> {
        let connection = file.connect(access).await?;
        Ok(Self { file: Arc::clone(file), connection: Arc::new(Mutex::new(connection)) })
    }

    /// As [`Journal::load`].
    pub async fn load(&self, trace: &str) -> Result<Vec<Entry>, Error> {
        // SQLite takes a negative limit for none.
        self.last(trace, -1).await
    }

    /// The last records of a trace, at most `count`, in order; no others are read.
    pub async fn tail(&self, trace: &str, count: u32) -> Result<Vec<Entry>, Error> {
        self.last(trace, count.into()).await
    }

    async fn last(&self, trace: &str, count: i64) -> Result<Vec<Entry>, Error> {
        let select = "SELECT at_ms, seq, body FROM records WHERE trace = (SELECT id FROM traces WHERE name = ?)
            ORDER BY id DESC LIMIT ?";
        let select = query_as::<_, (i64, i64, String)>(select).bind(trace.to_owned()).bind(count);
        let rows = select.fetch_all(&mut *self.connection.lock().await).await;
        let rows = rows.map_err(|error| self.file.failed(&error))?;
        let entries = rows.into_iter().rev().map(|(at_ms, seq, body)| {
            let record = record(&body).map_err(|error| self.file.not_read(trace, &error))?;
            Ok(Entry { at_ms: unsigned(at_ms), seq: unsigned(seq), record })
        });
        entries.collect()
    }

    /// As [`Journal::unfinished`].
    pub async fn unfinished(&self) -> Result<Vec<Arc<str>>, Error> {
        let select = "SELECT name FROM traces WHERE delivered_ms IS NULL AND caller IS NULL ORDER BY id";
        let rows = query_as::<_, (String,)>(select).fetch_all(&mut *self.connection.lock().await).await;
        let rows = rows.map_err(|error| self.file.failed(&error))?;
        Ok(rows.into_iter().map(|(name,)| name.into()).collect())
    }
}

/// Levels of a record's text: 127 of what came from outside, and what a record puts around that.
const MAX_DEPTH: usize = 160;

/// A record, from its text. serde_json reads 127 levels, as many as a guest may send; one that is in a record is deeper.
fn record(body: &str) -> Result<Record, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(body);
    if depth(body) <= MAX_DEPTH {
        deserializer.disable_recursion_limit();
    }
    let record = Record::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(record)
}

/// Levels of a JSON text.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => now += 1,
            b']' | b'}' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
        most = most.max(now);
    }
    most
}

/// SQLite's integers are signed. No clock, counter or file gets beyond them.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What [`signed`] made of it, back.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
