//! One transaction: what was appended becomes rows.
//!
//! A statement costs a change of threads, so each writes many rows: as many as the largest power of two that fits, up to
//! [`ROWS`], which makes eight texts to prepare and few statements for any number of rows.
//!
//! How records are kept was measured with 100 000 bodies of 1000 bytes, 20 a trace, 256 traces interleaved, 256 a commit, through
//! SQLite's C interface on two shared cores (pages of 8 KiB; of 4 KiB in brackets):
//!
//! | table | records/s | file |
//! |---|---|---|
//! | growing integer, index on the trace: as it is here | 153 000 (110 000) | 101 MB (122 MB) |
//! | growing integer, no index | 143 000 (125 000) | 106 MB (126 MB) |
//! | `(trace, n) WITHOUT ROWID` | 36 000 (20 000) | 121 MB (465 MB) |
//! | `trace << 24 \| n` as the integer | 36 000 (42 000) | 125 MB (131 MB) |
//!
//! With all that a journal does beside (JSON, answers, ids, ends, cursors), 256 appends at once come to 41 000 to 92 000 a second
//! while another build runs, 4096 to 63 000 to 95 000, and one at a time, each with its own commit, to 1 000 to 3 000.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::mem;
use std::sync::Arc;

use floe_flow::End;
use floe_flow::journal::{Cursor, Entry, JournalError, Record};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, query, query_as};
use tokio::sync::oneshot;

use super::signed;
use super::state::Write;
use crate::not_open;

/// Rows of one statement. More make it no faster.
const ROWS: usize = 128;

/// A record on its way into the file.
#[derive(Debug)]
pub(super) struct Append {
    trace: Arc<str>,
    at_ms: i64,
    seq: i64,
    kind: &'static str,
    body: String,
    effect: Effect,
    answer: oneshot::Sender<Result<(), JournalError>>,
    /// Why it is not written, though the rest is.
    refused: Option<JournalError>,
}

/// What a record changes beside the records.
#[derive(Debug)]
enum Effect {
    Accept { tenant: Arc<str>, caller: Option<Arc<str>>, cursor: Option<Cursor> },
    End(End),
    Deliver { end: bool, cursor: Option<Cursor> },
    Nothing,
}

/// The traces that are being written, by name. What is not here is looked up in the file.
#[derive(Debug)]
pub(super) struct Ids {
    /// The last that was given away.
    pub(super) last: i64,
    pub(super) open: HashMap<Arc<str>, Known>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    id: i64,
    called: bool,
    delivered: bool,
}

/// The rows of one transaction.
#[derive(Debug, Default)]
struct Rows {
    traces: Vec<NewTrace>,
    records: Vec<NewRecord>,
    ended: Vec<(i64, i64, End)>,
    delivered: Vec<(i64, i64)>,
    input: Option<Cursor>,
    output: Option<Cursor>,
}

#[derive(Debug)]
struct NewTrace {
    id: i64,
    name: Arc<str>,
    tenant: Arc<str>,
    caller: Option<Arc<str>>,
    at_ms: i64,
}

#[derive(Debug)]
struct NewRecord {
    trace: i64,
    at_ms: i64,
    seq: i64,
    kind: &'static str,
    body: String,
}

type Statement = Query<'static, sqlx::Sqlite, SqliteArguments>;

/// Writes all of them, or none. Those that do not fit are marked and left out.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    ids: &mut Ids,
    appends: &mut [Append],
    writes: &mut [Write],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let unknown = appends.iter().map(|append| &append.trace).filter(|trace| !ids.open.contains_key(*trace));
    let unknown = look_up(&mut transaction, unknown.cloned().collect()).await?;
    let rows = sort(ids, &unknown, appends);
    rows.write(&mut transaction).await?;
    for write in writes {
        write.write(&mut transaction).await?;
    }
    transaction.commit().await
}

// === impl Append ===

impl Append {
    pub(super) fn new(
        trace: &Arc<str>,
        entry: &Entry,
        answer: oneshot::Sender<Result<(), JournalError>>,
    ) -> Result<Self, serde_json::Error> {
        let effect = match &entry.record {
            Record::Accepted(accepted) => {
                Effect::Accept { tenant: Arc::clone(&accepted.tenant), caller: accepted.caller.clone(), cursor: accepted.cursor }
            }
            Record::Ended(terminal) => Effect::End(terminal.end),
            Record::Delivered { message, cursor } => Effect::Deliver { end: message.is_none(), cursor: *cursor },
            Record::Started(_)
            | Record::Noted { .. }
            | Record::Streamed(_)
            | Record::Done { .. }
            | Record::Failed { .. }
            | Record::Retry(_)
            | Record::TimeUp { .. } => Effect::Nothing,
        };
        Ok(Self {
            trace: Arc::clone(trace),
            at_ms: signed(entry.at_ms),
            seq: signed(entry.seq),
            kind: entry.record.name(),
            body: serde_json::to_string(&entry.record)?,
            effect,
            answer,
            refused: None,
        })
    }

    /// It is in the file, unless it was refused. Whoever dropped the future does not care.
    pub(super) fn answer(self) {
        let _ = self.answer.send(self.refused.map_or(Ok(()), Err));
    }

    pub(super) fn refuse(self, error: JournalError) {
        let _ = self.answer.send(Err(error));
    }
}

// === impl Rows ===

/// Turns records into rows, in order, and notes whose traces they are.
fn sort(ids: &mut Ids, unknown: &HashMap<Arc<str>, Known>, appends: &mut [Append]) -> Rows {
    let mut rows = Rows::default();
    let mut closed = Vec::new();
    for append in appends {
        let known = ids.open.get(&append.trace).or_else(|| unknown.get(&append.trace)).copied();
        let known = match (&append.effect, known) {
            (Effect::Accept { .. }, Some(_)) => Err(JournalError::Duplicate(Arc::clone(&append.trace))),
            (Effect::Accept { caller, .. }, None) => {
                ids.last += 1;
                Ok(Known { id: ids.last, called: caller.is_some(), delivered: false })
            }
            (_, Some(known)) if !known.delivered => Ok(known),
            _ => Err(not_open(&append.trace)),
        };
        let known = match known {
            Ok(known) => known,
            Err(error) => {
                append.refused = Some(error);
                continue;
            }
        };
        // One that was called and has ended may be pruned at any time, so none that was found in the file is remembered.
        if let Slot::Vacant(slot) = ids.open.entry(Arc::clone(&append.trace))
            && (!known.called || matches!(append.effect, Effect::Accept { .. }))
        {
            slot.insert(known);
        }
        if rows.add(known, append) {
            let delivered = matches!(append.effect, Effect::Deliver { .. });
            ids.open.insert(Arc::clone(&append.trace), Known { delivered, ..known });
            closed.push(Arc::clone(&append.trace));
        }
    }
    for trace in closed {
        ids.open.remove(&trace);
    }
    rows
}

impl Rows {
    /// Adds a record's rows; true if its trace need not be remembered any more.
    fn add(&mut self, trace: Known, append: &mut Append) -> bool {
        let (at_ms, id) = (append.at_ms, trace.id);
        let record = NewRecord { trace: id, at_ms, seq: append.seq, kind: append.kind, body: mem::take(&mut append.body) };
        self.records.push(record);
        match &append.effect {
            Effect::Accept { tenant, caller, cursor } => {
                let (name, tenant) = (Arc::clone(&append.trace), Arc::clone(tenant));
                self.traces.push(NewTrace { id, name, tenant, caller: caller.clone(), at_ms });
                furthest(&mut self.input, *cursor);
                false
            }
            Effect::End(end) => {
                self.ended.push((id, at_ms, *end));
                trace.called
            }
            Effect::Deliver { end, cursor } => {
                furthest(&mut self.output, *cursor);
                if *end {
                    self.delivered.push((id, at_ms));
                }
                *end
            }
            Effect::Nothing => false,
        }
    }

    async fn write(self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO traces (id, name, tenant, caller, accepted_ms) VALUES ";
        in_groups(connection, self.traces, [insert, "(?,?,?,?,?)", ""], |statement, row| {
            statement.bind(row.id).bind(row.name).bind(row.tenant).bind(row.caller).bind(row.at_ms)
        })
        .await?;
        let insert = "INSERT INTO records (trace, at_ms, seq, kind, body) VALUES ";
        in_groups(connection, self.records, [insert, "(?,?,?,?,?)", ""], |statement, row| {
            statement.bind(row.trace).bind(row.at_ms).bind(row.seq).bind(row.kind).bind(row.body)
        })
        .await?;
        let update = "UPDATE traces SET ended_ms = v.column2, \"end\" = v.column3 FROM (VALUES ";
        in_groups(connection, self.ended, [update, "(?,?,?)", ") AS v WHERE id = v.column1"], |statement, (id, at_ms, end)| {
            statement.bind(id).bind(at_ms).bind(end.name())
        })
        .await?;
        let update = "UPDATE traces SET delivered_ms = v.column2 FROM (VALUES ";
        in_groups(connection, self.delivered, [update, "(?,?)", ") AS v WHERE id = v.column1"], |statement, (id, at_ms)| {
            statement.bind(id).bind(at_ms)
        })
        .await?;
        let cursors = [("input", self.input), ("output", self.output)];
        let cursors = cursors.into_iter().filter_map(|(name, cursor)| Some((name, cursor?))).collect();
        let upsert = "INSERT INTO cursors (name, line, offset) VALUES ";
        let newer = " ON CONFLICT DO UPDATE SET line = excluded.line, offset = excluded.offset WHERE excluded.offset > offset";
        in_groups(connection, cursors, [upsert, "(?,?,?)", newer], |statement, (name, cursor): (&str, Cursor)| {
            statement.bind(name).bind(signed(cursor.line)).bind(signed(cursor.offset))
        })
        .await
    }
}

fn furthest(cursor: &mut Option<Cursor>, found: Option<Cursor>) {
    let Some(found) = found else { return };
    if cursor.is_none_or(|cursor| cursor.offset < found.offset) {
        *cursor = Some(found);
    }
}

/// The statement for this many rows, from what stands before, for and after them.
fn statement([before, row, after]: [&str; 3], rows: usize) -> String {
    let mut text = String::with_capacity(before.len() + rows * (row.len() + 1) + after.len());
    text.push_str(before);
    for index in 0..rows {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(row);
    }
    text + after
}

/// How many of these rows the next statement takes.
fn group(rows: usize) -> usize {
    if rows >= ROWS { ROWS } else { 1 << rows.ilog2() }
}

async fn in_groups<T>(
    connection: &mut SqliteConnection,
    rows: Vec<T>,
    text: [&str; 3],
    bind: impl Fn(Statement, T) -> Statement,
) -> Result<(), sqlx::Error> {
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let size = group(rows.len());
        let statement = query(AssertSqlSafe(statement(text, size)));
        rows.by_ref().take(size).fold(statement, &bind).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Those of these traces that are in the file.
async fn look_up(connection: &mut SqliteConnection, names: Vec<Arc<str>>) -> Result<HashMap<Arc<str>, Known>, sqlx::Error> {
    let mut found = HashMap::new();
    let mut names = names.into_iter();
    while names.len() > 0 {
        let size = group(names.len());
        let text = ["SELECT name, id, caller IS NOT NULL, delivered_ms IS NOT NULL FROM traces WHERE name IN (", "?", ")"];
        let select = query_as::<_, (String, i64, bool, bool)>(AssertSqlSafe(statement(text, size)));
        let rows = names.by_ref().take(size).fold(select, |select, name| select.bind(name));
        for (name, id, called, delivered) in rows.fetch_all(&mut *connection).await? {
            found.insert(name.into(), Known { id, called, delivered });
        }
    }
    Ok(found)
}
