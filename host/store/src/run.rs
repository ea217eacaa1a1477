//! What a run must know to go on in another process: what was started, with which code, and how far its ends are.
//!
//! Plain data: `host/floe` says what the fields mean. The cursors are written with the records that carry them, in the same
//! transaction, so that they never say more or less than the journal.

use floe_flow::journal::Cursor;
use serde::{Deserialize, Serialize};
use sqlx::{query, query_as};

use crate::Error;
use crate::sqlite::{Reader, Sqlite, unsigned};

/// A run, as it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// The flow file's text, as it was read.
    pub flow: String,
    /// Where it was read.
    pub flow_path: String,
    /// Each `--set`, in order.
    #[serde(default)]
    pub set: Vec<String>,
    /// Whose requests these are, unless they say it.
    pub tenant: String,
    /// The input's lines are messages, not payloads.
    pub envelope: bool,
    /// The input's file; none: standard input.
    pub input: Option<String>,
    /// The SHA-256 of the input's bytes, in hexadecimal digits.
    pub input_digest: Option<String>,
    /// The input's bytes.
    pub input_size: Option<u64>,
    /// The output's file; none: standard output.
    pub output: Option<String>,
    /// What compiled the plugins: they compute the same as long as it is the same.
    pub engine: String,
    /// The plugins, in the flow file's order: the newest, if some were replaced while it ran.
    pub plugins: Vec<Plugin>,
    /// The plugins of its earlier releases, by their numbers ([`floe_flow::Accepted::release`]); that of the newest comes next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Vec<Plugin>>,
    /// The files of its subflows, by name: the SHA-256 of each text, in hexadecimal digits.
    #[serde(default)]
    pub subflows: Vec<(String, String)>,
    /// What the randomness of its calls follows from; none: it was begun before there was one.
    #[serde(default)]
    pub secret: Option<[u8; 32]>,
}

/// A plugin of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// Its name in the flow file.
    pub name: String,
    /// The SHA-256 of its component's bytes, in hexadecimal digits.
    pub digest: String,
    /// Where it came from.
    pub source: String,
}

impl RunInfo {
    /// The number of the newest release.
    pub fn release(&self) -> u64 {
        self.earlier.len() as u64
    }

    /// The plugins that traces of this release run.
    pub fn plugins_of(&self, release: u64) -> &[Plugin] {
        usize::try_from(release).ok().and_then(|release| self.earlier.get(release)).unwrap_or(&self.plugins)
    }

    /// A release with these plugins follows.
    pub fn replace(&mut self, plugins: Vec<Plugin>) {
        self.earlier.push(std::mem::replace(&mut self.plugins, plugins));
    }
}

impl Sqlite {
    /// Notes what is run in this journal. A journal holds one run: [`Error::Started`] if there is one.
    pub async fn start(&self, info: &RunInfo) -> Result<(), Error> {
        let info = serde_json::to_string(info).map_err(|error| self.file.not_written(&error))?;
        let mut connection = self.writer.connection().await;
        let insert = query("INSERT INTO run (id, info) VALUES (1, ?) ON CONFLICT DO NOTHING").bind(info);
        let done = insert.execute(&mut *connection).await.map_err(|error| self.file.failed(&error))?;
        if done.rows_affected() == 0 { Err(Error::Started { path: self.file.path.clone() }) } else { Ok(()) }
    }

    /// Notes that the run goes on as something else than it began.
    pub async fn restart(&self, info: &RunInfo) -> Result<(), Error> {
        let info = serde_json::to_string(info).map_err(|error| self.file.not_written(&error))?;
        let mut connection = self.writer.connection().await;
        let update = query("UPDATE run SET info = ?").bind(info);
        update.execute(&mut *connection).await.map_err(|error| self.file.failed(&error))?;
        Ok(())
    }

    /// Keeps a component's bytes under their digest; once, however often it is called.
    pub async fn put_component(&self, digest: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let mut connection = self.writer.connection().await;
        let insert = query("INSERT INTO components (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING");
        let insert = insert.bind(digest.to_owned()).bind(bytes);
        insert.execute(&mut *connection).await.map_err(|error| self.file.failed(&error))?;
        Ok(())
    }
}

impl Reader {
    /// The run that was started in this journal; none: it was written by something else than a run.
    pub async fn info(&self) -> Result<Option<RunInfo>, Error> {
        let select = query_as::<_, (String,)>("SELECT info FROM run");
        let row = select.fetch_optional(&mut *self.connection.lock().await).await;
        let row = row.map_err(|error| self.file.failed(&error))?;
        row.map(|(info,)| serde_json::from_str(&info)).transpose().map_err(|error| self.file.not_read("run", &error))
    }

    /// The bytes of a component, as they were put in.
    pub async fn component(&self, digest: &str) -> Result<Option<Vec<u8>>, Error> {
        let select = query_as::<_, (Vec<u8>,)>("SELECT bytes FROM components WHERE digest = ?").bind(digest.to_owned());
        let row = select.fetch_optional(&mut *self.connection.lock().await).await;
        Ok(row.map_err(|error| self.file.failed(&error))?.map(|(bytes,)| bytes))
    }

    /// Up to where the input has been read: the furthest of all requests accepted.
    pub async fn input_cursor(&self) -> Result<Option<Cursor>, Error> {
        self.cursor("input").await
    }

    /// Up to where the output has been written: the furthest of all deliveries.
    pub async fn output_cursor(&self) -> Result<Option<Cursor>, Error> {
        self.cursor("output").await
    }

    async fn cursor(&self, name: &'static str) -> Result<Option<Cursor>, Error> {
        let select = query_as::<_, (i64, i64)>("SELECT line, offset FROM cursors WHERE name = ?").bind(name);
        let row = select.fetch_optional(&mut *self.connection.lock().await).await;
        let row = row.map_err(|error| self.file.failed(&error))?;
        Ok(row.map(|(line, offset)| Cursor { line: unsigned(line), offset: unsigned(offset) }))
    }
}
