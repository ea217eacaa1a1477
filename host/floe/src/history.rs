//! What a journal tells: `floe traces`, `history`, `dead-letters`; and what a person decides: `resolve`, `retry`, `purge`.
//!
//! Reading goes on beside a run; deciding needs the journal for itself.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use floe_flow::{At, Entry, Failure, FailureKind, Journal, Outcome, Output, Payload, Receipt, Record};
use floe_store::{Filter, Options, Reader, Retain, Sqlite, State};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::{DeadLettersArgs, HistoryArgs, JournalArg, PurgeArgs, ResolveArgs, ResumeArgs, RetryArgs, TracesArgs};
use crate::run::durable::entry;
use crate::settings::Settings;
use crate::table::table;
use crate::{Error, Exit, run, start};

/// Bytes of an error that a table shows.
const SHOWN: usize = 200;

/// Prints the traces of a journal, the newest first.
pub fn traces(args: &TracesArgs) -> Result<Exit, Error> {
    let state = match (args.running, args.ended) {
        (true, false) => Some(State::Running),
        (false, true) => Some(State::Ended),
        _ => None,
    };
    let filter = Filter { state, tenant: args.tenant.as_deref().map(Arc::from), limit: args.limit };
    let rows = reading(&args.journal, async |reader| reader.traces(&filter).await.map_err(Error::from))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for row in rows {
            let row = json!({
                "trace_id": row.name, "tenant": row.tenant, "caller": row.caller, "accepted_ms": row.accepted_ms,
                "ended_ms": row.ended_ms, "terminal": row.end, "records": row.records, "hops": row.hops, "delivered": row.delivered,
            });
            writeln!(out, "{row}")?;
        }
        return Ok(Exit::Completed);
    }
    let rows = rows.into_iter().map(|row| {
        let took = row.ended_ms.map_or_else(String::new, |ended| format!("{} ms", ended.saturating_sub(row.accepted_ms)));
        let end = row.end.unwrap_or_else(|| "running".to_owned());
        let delivered = if row.delivered { "" } else { "not delivered" };
        [plain(&row.name), plain(&row.tenant), end, row.hops.to_string(), took, delivered.to_owned()]
    });
    write!(out, "{}", table(&["TRACE", "TENANT", "END", "HOPS", "TOOK", ""], rows))?;
    Ok(Exit::Completed)
}

/// Prints the records of a trace, one JSON object a line.
pub fn history(args: &HistoryArgs) -> Result<Exit, Error> {
    let entries = last(&args.journal, &args.trace, args.tail)?;
    let mut out = std::io::stdout().lock();
    for entry in &entries {
        writeln!(out, "{}", line(&args.trace, entry))?;
    }
    Ok(Exit::Completed)
}

/// A record as it is printed.
pub(crate) fn line(trace: &str, entry: &Entry) -> Value {
    let mut line = json!({ "trace_id": trace, "at_ms": entry.at_ms, "record": entry.record.name() });
    // A record is a map of its name to what it has.
    if let Ok(Value::Object(record)) = serde_json::to_value(&entry.record)
        && let Some((_, fields)) = record.into_iter().next()
        && let (Value::Object(fields), Some(line)) = (fields, line.as_object_mut())
    {
        line.extend(fields);
    }
    line
}

/// Prints the traces that failed for good, the newest first.
pub fn dead_letters(args: &DeadLettersArgs) -> Result<Exit, Error> {
    let letters = reading(&args.journal, async |reader| reader.dead_letters(args.limit).await.map_err(Error::from))?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for letter in letters {
            let letter = json!({
                "trace_id": letter.name, "tenant": letter.tenant, "ended_ms": letter.ended_ms, "terminal": letter.end,
                "error": { "code": letter.code, "message": letter.message, "node": letter.node, "attempt": letter.attempt },
            });
            writeln!(out, "{letter}")?;
        }
        return Ok(Exit::Completed);
    }
    let rows = letters.into_iter().map(|letter| {
        let node = letter.node.map_or_else(String::new, |node| node.to_string());
        [plain(&letter.name), plain(&letter.tenant), letter.end, node, letter.code, plain(&letter.message)]
    });
    write!(out, "{}", table(&["TRACE", "TENANT", "END", "NODE", "CODE", "MESSAGE"], rows))?;
    Ok(Exit::Completed)
}

/// Decides about a call of which nobody knows whether it was made.
pub fn resolve(args: &ResolveArgs) -> Result<Exit, Error> {
    let entries = load(&args.journal, &args.trace)?;
    let Some(at) = in_doubt(&entries) else {
        let message = format!("trace `{}` has no call that is in doubt", plain(&args.trace));
        return Err(Error::wrong(message).with_help("floe history TRACE shows what it has"));
    };
    let (receipt, streams) = (Receipt::default(), std::collections::BTreeMap::new());
    let shown = format!("attempt {} of `{}` in trace `{}`", at.attempt, at.node, plain(&args.trace));
    let (record, said) = if args.decision.retry {
        (Record::Retry(at), format!("{shown} is made again"))
    } else if args.decision.fail {
        // Of a kind that nobody retries unasked.
        let failure = Failure::new(FailureKind::Cancelled, "somebody decided that the call has failed");
        (Record::Failed { at, failure, receipt, streams, tape: None }, format!("{shown} has failed"))
    } else {
        let outputs =
            args.decision.done.iter().map(|text| Payload::parse(text.as_str()).map(Output::new)).collect::<Result<Vec<_>, _>>();
        let outputs = outputs.map_err(|error| Error::wrong(format!("--done takes the output as JSON: {error}")))?;
        let outcome = Outcome::Outputs(outputs);
        (Record::Done { at, emitted: Vec::new(), outcome, receipt, streams, tape: None }, format!("{shown} is done"))
    };
    let trace: Arc<str> = args.trace.as_str().into();
    writing(&args.journal, async |journal| append(journal, &trace, record).await)?;
    writeln!(std::io::stdout().lock(), "{said}; floe resume {} goes on with it", args.journal.journal.display())?;
    Ok(Exit::Completed)
}

/// The call that must not be made twice, and of which the records have the beginning only.
fn in_doubt(entries: &[Entry]) -> Option<At> {
    let mut open = BTreeSet::new();
    for entry in entries {
        match &entry.record {
            Record::Started(at) => _ = open.insert(at.clone()),
            Record::Noted { at, .. } | Record::Done { at, .. } | Record::Failed { at, .. } | Record::Retry(at) => {
                _ = open.remove(at)
            }
            Record::Ended(_) => open.clear(),
            Record::Accepted(_) | Record::Streamed(_) | Record::TimeUp { .. } | Record::Delivered { .. } => {}
        }
    }
    open.into_iter().next()
}

/// Accepts the request of a trace that has ended once more, under another id, and goes on with the run.
pub fn retry(args: &RetryArgs, settings: &Settings, started: Instant) -> Result<Exit, Error> {
    let entries = load(&args.journal, &args.trace)?;
    let Some(Record::Accepted(accepted)) = entries.first().map(|entry| entry.record.clone()) else {
        return Err(Error::wrong(format!("the first record of trace `{}` is not its acceptance", plain(&args.trace))));
    };
    if accepted.caller.is_some() {
        let message = format!("trace `{}` is a subflow of another; retry that one", plain(&args.trace));
        return Err(Error::wrong(message));
    }
    if !entries.iter().any(|entry| matches!(entry.record, Record::Ended(_))) {
        let help = format!("floe resume {} goes on with it", args.journal.journal.display());
        return Err(Error::wrong(format!("trace `{}` has not ended", plain(&args.trace))).with_help(help));
    }
    // Its time was up then; it has the flow's time again. The input was not read any further.
    let accepted = floe_flow::Accepted { deadline_ms: None, cursor: None, ..*accepted };
    let again = writing(&args.journal, async |journal| {
        for number in 2.. {
            let trace: Arc<str> = format!("{}~{number}", args.trace).into();
            if journal.reader().load(&trace).await?.is_empty() {
                append(journal, &trace, Record::Accepted(Box::new(accepted.clone()))).await?;
                return Ok(trace);
            }
        }
        unreachable!("a journal does not hold all numbers")
    })?;
    tracing::info!(trace = &*again, "accepted again");
    let journal = args.journal.journal.clone();
    run::resume(&ResumeArgs { journal, migrate: args.migrate, process: args.process.clone() }, settings, started)
}

/// Removes traces that are done with.
pub fn purge(args: &PurgeArgs) -> Result<Exit, Error> {
    let removed = writing(&args.journal, async |journal| {
        if let Some(tenant) = &args.tenant {
            return journal.purge(tenant).await.map_err(Error::from);
        }
        let since_ms = args.older_than.map(|age| now_ms().saturating_sub(millis(age)));
        journal.retain(Retain { since_ms, count: args.keep }).await.map_err(Error::from)
    })?;
    let number = removed.traces;
    let rest = if removed.wiped {
        ""
    } else {
        "; a reader holds the file open: purge again when it is done, and nothing is left of them"
    };
    writeln!(std::io::stdout().lock(), "{number} trace{} removed{rest}", if number == 1 { "" } else { "s" })?;
    Ok(Exit::Completed)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn now_ms() -> u64 {
    millis(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

async fn append(journal: &Sqlite, trace: &Arc<str>, record: Record) -> Result<(), Error> {
    journal.append(trace, entry(record)).await.map_err(|error| Error::wrong(error.to_string()))
}

fn plain(text: &str) -> String {
    floe_sandbox::plain(text, SHOWN)
}

/// The records of a trace; an error if there are none.
pub(crate) fn load(journal: &JournalArg, trace: &str) -> Result<Vec<Entry>, Error> {
    last(journal, trace, None)
}

/// The last so many of them, or all.
fn last(journal: &JournalArg, trace: &str, count: Option<u32>) -> Result<Vec<Entry>, Error> {
    let entries = reading(journal, async |reader| match count {
        Some(count) => reader.tail(trace, count).await.map_err(Error::from),
        None => reader.load(trace).await.map_err(Error::from),
    })?;
    if entries.is_empty() {
        let message = format!("`{}` has no trace `{}`", journal.journal.display(), plain(trace));
        return Err(Error::wrong(message).with_help("floe traces lists those that it has"));
    }
    Ok(entries)
}

pub(crate) fn reading<T>(journal: &JournalArg, read: impl AsyncFnOnce(&Reader) -> Result<T, Error>) -> Result<T, Error> {
    start::runtime()?.block_on(async { read(&Sqlite::read(&journal.journal).await?).await })
}

fn writing<T>(journal: &JournalArg, write: impl AsyncFnOnce(&Sqlite) -> Result<T, Error>) -> Result<T, Error> {
    let path: &Path = &journal.journal;
    if !path.exists() {
        return Err(Error::wrong(format!("there is no journal `{}`", path.display())));
    }
    start::runtime()?.block_on(async {
        let journal = Sqlite::open(path, Options { max_bytes: None }).await?;
        let written = write(&journal).await;
        journal.close().await;
        written
    })
}
