//! Traces whose plugins are revoked: those that wait in a journal end without anything of theirs being loaded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Config, End, Flow, Journal, Record, Terminal, TraceError};
use floe_store::Sqlite;

use super::Plan;
use super::durable::{Durable, entry};
use super::output::Output;
use super::reader::Reader;
use super::summary::plural;
use crate::store::Revoked;
use crate::{Error, start};

/// The code of a trace's end.
pub(super) const CODE: &str = "revoked";

impl Plan {
    /// Ends the traces that wait in the journal and began with a plugin that is revoked. If the newest ones do, the run is over,
    /// unless it is to go on with something else.
    pub(super) fn end_revoked(&self) -> Result<(), Error> {
        let Some(path) = self.journal.as_deref().filter(|path| path.exists()) else { return Ok(()) };
        let revoked = Revoked::load()?;
        start::runtime()?.block_on(async {
            let Some(info) = Sqlite::read(path).await?.info().await? else { return Ok(()) };
            let why_not = |release| {
                let plugin = info.plugins_of(release).iter().find(|plugin| revoked.has(&plugin.digest))?;
                Some(revoked.why(&plugin.name, &plugin.digest))
            };
            let Some(why) = (0..=info.release()).rev().find_map(why_not) else { return Ok(()) };
            let ended = self.end_waiting(path, why_not).await?;
            let goes_on = if self.migrate { "what is here now" } else { "another version" };
            if self.migrate || why_not(info.release()).is_none() {
                tracing::warn!(ended, "{why}; the run goes on with {goes_on}");
                return Ok(());
            }
            let shown = path.display();
            Err(Error::Lost(format!(
                "{why}; {} that waited in `{shown}` ended as failed. To go on with another version: floe resume {shown} --migrate",
                plural(ended, "trace")
            )))
        })
    }

    /// Ends what waits in the journal and must not go on, by the release that it began with; writes these ends to the output, and
    /// returns how many.
    async fn end_waiting(&self, path: &Path, why_not: impl Fn(u64) -> Option<String>) -> Result<u64, Error> {
        let durable = Arc::new(Durable::reopen(path, self).await?);
        let journal = Arc::clone(&durable.journal);
        let lost = |error: floe_flow::JournalError| Error::wrong(error.to_string());
        let (mut ended, mut over) = (0, Vec::new());
        for trace in &durable.unfinished {
            let Some(why) = why_not(durable.release_of(trace).await?) else { continue };
            over.push(Arc::clone(trace));
            // Some have ended, and nobody has been told yet.
            let has_ended = journal.load(trace).await.map_err(lost)?.iter().any(|entry| matches!(entry.record, Record::Ended(_)));
            if !has_ended {
                let error = TraceError { code: CODE.to_owned(), message: why, node: None, attempt: None, detail: None };
                let terminal = Terminal { end: End::Failed, outputs: 0, error: Some(error) };
                journal.append(trace, entry(Record::Ended(terminal))).await.map_err(lost)?;
                ended += 1;
            }
        }
        // Their records are all that is needed: nothing runs in a trace that has ended, so that the nodes need no plugins.
        let config = Config { journal: Some(journal as _), acknowledge: true, ..Config::on_current_runtime() };
        let flow = Flow::start(self.flow.outline()?, config);
        let output = Output::open(self.output.as_deref(), Some(&durable))?;
        for trace in over {
            let handle = flow.resume(&trace).await.map_err(|error| Error::wrong(error.to_string()))?;
            let line = handle.cursor().map_or(0, |cursor| cursor.line);
            let reader = Reader { lines: output.lines(), line, durable: true };
            if reader.read(&trace, handle).await.is_err() {
                break;
            }
        }
        flow.stop(Duration::ZERO).await;
        drop(flow);
        output.close().await?;
        durable.close().await;
        Ok(ended)
    }
}
