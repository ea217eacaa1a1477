//! What people ask of a journal: what ran, how it ended, what is to be looked after.

use std::sync::Arc;

use floe_flow::journal::Record;
use sqlx::query_as;

use super::{Reader, record, unsigned};
use crate::Error;

/// Which traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only this tenant's.
    pub tenant: Option<Arc<str>>,
    /// At most so many: the newest.
    pub limit: u32,
}

/// Whether a trace has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not: it is running, or waits to be resumed.
    Running,
    /// It has.
    Ended,
}

/// A trace, at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRow {
    /// Its id.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// The trace that called it.
    pub caller: Option<String>,
    /// When it was accepted, in milliseconds since 1970-01-01T00:00:00Z.
    pub accepted_ms: u64,
    /// Whether it has ended.
    pub state: State,
    /// When it ended, in milliseconds since 1970-01-01T00:00:00Z.
    pub ended_ms: Option<u64>,
    /// How it ended: the terminal's name.
    pub end: Option<String>,
    /// All its records.
    pub records: u64,
    /// Its attempts that succeeded or failed.
    pub hops: u64,
    /// Its reader has its end.
    pub delivered: bool,
}

/// A trace that ended in another way than it should have, and that nobody cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The trace's id.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// When it ended, in milliseconds since 1970-01-01T00:00:00Z.
    pub ended_ms: u64,
    /// How: the terminal's name.
    pub end: String,
    /// For programs: a failure's kind, or the terminal's name.
    pub code: String,
    /// For people: what happened and the remedy.
    pub message: String,
    /// Where.
    pub node: Option<Arc<str>>,
    /// The last attempt, from 1.
    pub attempt: Option<u32>,
}

impl Reader {
    /// The traces that the filter lets through, the newest first.
    pub async fn traces(&self, filter: &Filter) -> Result<Vec<TraceRow>, Error> {
        type Row = (String, String, Option<String>, i64, Option<i64>, Option<String>, Option<i64>, i64, i64);
        let select = "SELECT name, tenant, caller, accepted_ms, ended_ms, \"end\", delivered_ms,
                (SELECT count(*) FROM records WHERE trace = t.id),
                (SELECT count(*) FROM records WHERE trace = t.id AND kind IN ('done', 'failed'))
            FROM traces AS t WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR (ended_ms IS NOT NULL) = ?2)
            ORDER BY id DESC LIMIT ?3";
        let select = query_as::<_, Row>(select)
            .bind(filter.tenant.clone())
            .bind(filter.state.map(|state| state == State::Ended))
            .bind(filter.limit);
        let rows = select.fetch_all(&mut *self.connection.lock().await).await.map_err(|error| self.file.failed(&error))?;
        let row = |(name, tenant, caller, accepted_ms, ended_ms, end, delivered_ms, records, hops): Row| TraceRow {
            name,
            tenant,
            caller,
            accepted_ms: unsigned(accepted_ms),
            state: if ended_ms.is_some() { State::Ended } else { State::Running },
            ended_ms: ended_ms.map(unsigned),
            end,
            records: unsigned(records),
            hops: unsigned(hops),
            delivered: delivered_ms.is_some(),
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// The traces that neither completed nor were cancelled, the newest first, at most `limit`.
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, Error> {
        let select = "SELECT name, tenant, ended_ms, \"end\", body FROM traces AS t JOIN records AS r ON r.trace = t.id
            WHERE \"end\" NOT IN ('completed', 'cancelled') AND r.kind = 'ended' ORDER BY t.id DESC LIMIT ?";
        let select = query_as::<_, (String, String, i64, String, String)>(select).bind(limit);
        let rows = select.fetch_all(&mut *self.connection.lock().await).await.map_err(|error| self.file.failed(&error))?;
        let letters = rows.into_iter().map(|(name, tenant, ended_ms, end, body)| {
            let record = record(&body).map_err(|error| self.file.not_read(&name, &error))?;
            let error = if let Record::Ended(terminal) = record { terminal.error } else { None };
            let (code, message, node, attempt) = match error {
                Some(error) => (error.code, error.message, error.node, error.attempt),
                None => (end.clone(), String::new(), None, None),
            };
            Ok(DeadLetter { name, tenant, ended_ms: unsigned(ended_ms), end, code, message, node, attempt })
        });
        letters.collect()
    }
}
