//! Records to append, and journals to append them to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::journal::{Accepted, At, Cursor, Entry, Journal, Record};
use floe_flow::{End, Failure, FailureKind, MessageId, Meta, Outcome, Output, Payload, Receipt, journal::JournalError};
use floe_store::{Options, Sqlite};
use serde_json::json;

pub(crate) fn entry(at_ms: u64, record: Record) -> Entry {
    Entry { at_ms, seq: at_ms * 10, record }
}

pub(crate) fn name(name: &str) -> Arc<str> {
    name.into()
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload::parse(text).unwrap()
}

pub(crate) fn cursor(line: u64) -> Cursor {
    Cursor { line, offset: line * 100 }
}

pub(crate) fn accepted(tenant: &str) -> Accepted {
    Accepted {
        tenant: tenant.into(),
        user: None,
        session: None,
        caller: None,
        payload: payload("1"),
        meta: Meta::default(),
        topic: None,
        priority: 0,
        deadline_ms: None,
        cursor: None,
        release: 0,
    }
}

pub(crate) fn accept() -> Record {
    Record::Accepted(Box::new(accepted("me")))
}

pub(crate) fn called_by(caller: &str) -> Record {
    Record::Accepted(Box::new(Accepted { caller: Some(caller.into()), ..accepted("me") }))
}

pub(crate) fn at(node: &str, attempt: u32) -> At {
    At { node: node.into(), message: MessageId::INPUT, attempt }
}

pub(crate) fn done(payload_text: &str) -> Record {
    Record::Done {
        at: at("node", 1),
        emitted: Vec::new(),
        outcome: Outcome::one(payload(payload_text)),
        receipt: Receipt::default(),
        streams: [].into(),
        tape: None,
    }
}

pub(crate) fn failed(attempt: u32) -> Record {
    let mut failure = Failure::limit(FailureKind::Exhausted, "fuel", 3, 2, "nothing");
    failure.retry_after = Some(Duration::from_millis(1500));
    let receipt = Receipt { fuel: 7, wall: Duration::from_micros(1234), ..Receipt::default() };
    Record::Failed { at: at("nöde", attempt), failure, receipt, streams: [("s".into(), 3)].into(), tape: None }
}

pub(crate) fn ended(end: End) -> Record {
    let error =
        (end != End::Completed).then(|| json!({ "code": "internal", "message": "it broke", "node": "node", "attempt": 2 }));
    // As a journal has it: the type of the error is the flow's own to make.
    Record::Ended(serde_json::from_value(json!({ "end": end, "outputs": 2, "error": error })).unwrap())
}

pub(crate) fn delivered() -> Record {
    Record::Delivered { message: None, cursor: None }
}

/// An emission with all that an emission may have.
pub(crate) fn output(text: &str) -> Output {
    Output {
        payload: payload(text),
        meta: vec![("k".to_owned(), payload("[ 1 ]"))],
        to: vec!["there".to_owned()],
        topic: Some("news".into()),
        priority: Some(-3),
    }
}

pub(crate) async fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, Options { max_bytes: None }).await.unwrap()
}

/// Appends one record after the other, at the times 1, 2, 3, …
pub(crate) async fn append(journal: &dyn Journal, trace: &str, records: Vec<Record>) {
    for (index, record) in records.into_iter().enumerate() {
        journal.append(&name(trace), entry(index as u64 + 1, record)).await.unwrap();
    }
}

pub(crate) fn message(error: &JournalError) -> String {
    error.to_string()
}
