//! What every journal does. A new one gets a line in `journals`.

use std::sync::Arc;

use floe_flow::journal::{Accepted, Entry, Journal, JournalError, Record};
use floe_flow::{End, Failure, FailureKind, MessageId, Outcome, Receipt};
use floe_store::Memory;
use tempfile::TempDir;

use crate::support::{
    accept, accepted, append, at, called_by, cursor, delivered, done, ended, entry, failed, message, name, open, output, payload,
};

/// One of each, empty.
async fn journals() -> Vec<(Arc<dyn Journal>, TempDir)> {
    let (memory, sqlite) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = open(&sqlite.path().join("journal")).await;
    vec![(Arc::new(Memory::new()), memory), (Arc::new(file), sqlite)]
}

/// Every kind of record, and texts that a parser would write in another way.
fn everything() -> Vec<Entry> {
    let odd = "{ \"a\" :\t[ 1.0, 1e2, -0, 12345678901234567890, 0.10 ],\n\"a\": \"\\u00e9 é \\/\" }";
    let begin = Accepted {
        user: Some("ada".into()),
        session: Some("s".into()),
        payload: payload(odd),
        meta: [("k".to_owned(), payload("[1,  2]"))].into_iter().collect(),
        topic: Some("news".into()),
        priority: -5,
        deadline_ms: Some(u64::from(u32::MAX) * 1000),
        cursor: Some(cursor(3)),
        ..accepted("acme")
    };
    let rich = |outcome| Record::Done {
        at: at("node", 3),
        emitted: vec![output(odd), output("null")],
        outcome,
        receipt: Receipt { fuel: u64::MAX, ..Receipt::default() },
        streams: [("a".into(), 1), ("b".into(), u64::MAX)].into(),
        tape: None,
    };
    let records = vec![
        Record::Accepted(Box::new(begin)),
        Record::Started(at("node", 1)),
        Record::Noted { at: at("node", 1), note: payload(odd) },
        Record::Streamed(at("node", 1)),
        failed(1),
        Record::Retry(at("node", 2)),
        Record::TimeUp { node: "join".into(), group: 7 },
        rich(Outcome::Outputs(vec![output(odd)])),
        rich(Outcome::Again { memory: payload(odd), tokens_used: 12 }),
        rich(Outcome::Final(payload("\"\\ud83d\\ude00\""))),
        ended(End::Failed),
        Record::Delivered { message: Some(MessageId::INPUT), cursor: Some(cursor(1)) },
    ];
    records.into_iter().enumerate().map(|(index, record)| entry(index as u64, record)).collect()
}

#[tokio::test]
async fn each_record_comes_back_as_it_was() {
    for (journal, _dir) in journals().await {
        for entry in everything() {
            journal.append(&name("t"), entry).await.unwrap();
        }
        assert_eq!(journal.load("t").await.unwrap(), everything());
        assert_eq!(journal.load("another").await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_payload_keeps_its_bytes() {
    let texts = [
        "{ \"b\" : 1,\"a\":\t2 ,\r\n \"b\":3}",
        "1.50",
        "-0.0",
        "1E+2",
        "\"\\u0041\\/\"",
        "[ ]",
        "123456789012345678901234567890",
    ];
    for (journal, _dir) in journals().await {
        append(&*journal, "t", vec![accept()]).await;
        for text in texts {
            journal.append(&name("t"), entry(0, done(text))).await.unwrap();
        }
        let entries = journal.load("t").await.unwrap();
        let found = entries[1..].iter().map(|entry| match &entry.record {
            Record::Done { outcome: Outcome::Outputs(outputs), .. } => outputs[0].payload.text().to_owned(),
            other => panic!("{other:?}"),
        });
        assert_eq!(found.collect::<Vec<_>>(), texts);
    }
}

/// What a guest sends along may be as deep as it is read, and a record wraps it.
#[tokio::test]
async fn the_deepest_text_of_a_guest_comes_back() {
    let deep = format!("{}\"[[\\\"[\"{}", "[".repeat(127), "]".repeat(127));
    let detail = serde_json::from_str(&deep).unwrap();
    let failure = Failure { detail: Some(detail), ..Failure::new(FailureKind::Internal, "m") };
    let failed = Record::Failed { at: at("node", 1), failure, receipt: Receipt::default(), streams: [].into(), tape: None };
    for (journal, _dir) in journals().await {
        append(&*journal, "t", vec![accept(), done(&deep), failed.clone()]).await;
        assert_eq!(journal.load("t").await.unwrap(), [entry(1, accept()), entry(2, done(&deep)), entry(3, failed.clone())]);
    }
}

#[tokio::test]
async fn records_keep_the_order_of_the_calls_between_traces() {
    for (journal, _dir) in journals().await {
        let traces: Vec<_> = (0..20).map(|trace| name(&format!("t{trace}"))).collect();
        let mut answers = Vec::new();
        for trace in &traces {
            answers.push(journal.append(trace, entry(0, accept())));
        }
        for round in 1..50 {
            for trace in &traces {
                answers.push(journal.append(trace, entry(round, done(&round.to_string()))));
            }
        }
        // In any order.
        for answer in answers.into_iter().rev() {
            answer.await.unwrap();
        }
        for trace in &traces {
            let times: Vec<u64> = journal.load(trace).await.unwrap().iter().map(|entry| entry.at_ms).collect();
            assert_eq!(times, (0..50).collect::<Vec<_>>(), "{trace}");
        }
    }
}

#[tokio::test]
async fn an_id_is_taken_once_and_the_rest_goes_on() {
    for (journal, _dir) in journals().await {
        // Side by side, so that a journal that collects finds them together.
        let first = journal.append(&name("t"), entry(1, accept()));
        let second = journal.append(&name("t"), entry(2, accept()));
        let other = journal.append(&name("u"), entry(3, accept()));
        let more = journal.append(&name("t"), entry(4, done("1")));
        assert_eq!(first.await, Ok(()));
        assert_eq!(second.await, Err(JournalError::Duplicate(name("t"))));
        assert_eq!((other.await, more.await), (Ok(()), Ok(())));
        let third = journal.append(&name("t"), entry(5, accept())).await;
        assert_eq!(third, Err(JournalError::Duplicate(name("t"))));
        assert_eq!(journal.load("t").await.unwrap(), [entry(1, accept()), entry(4, done("1"))]);
        append(&*journal, "v", vec![accept()]).await;
    }
}

#[tokio::test]
async fn a_record_without_a_trace_is_refused_alone() {
    for (journal, _dir) in journals().await {
        let stray = journal.append(&name("nobody"), entry(1, done("1")));
        let good = journal.append(&name("t"), entry(1, accept()));
        let error = stray.await.unwrap_err();
        assert!(message(&error).contains("trace `nobody` is not open"), "{error}");
        assert_eq!(good.await, Ok(()));

        append(&*journal, "t", vec![ended(End::Completed), delivered()]).await;
        let error = journal.append(&name("t"), entry(1, done("1"))).await.unwrap_err();
        assert!(message(&error).contains("trace `t` is not open"), "{error}");
        append(&*journal, "u", vec![accept()]).await;
    }
}

#[tokio::test]
async fn what_comes_after_the_delivered_end_in_one_go_is_refused() {
    for (journal, _dir) in journals().await {
        let go =
            [accept(), ended(End::Completed), delivered(), done("1")].map(|record| journal.append(&name("t"), entry(1, record)));
        let [first, second, third, late] = go;
        assert_eq!((first.await, second.await, third.await), (Ok(()), Ok(()), Ok(())));
        assert!(message(&late.await.unwrap_err()).contains("trace `t` is not open"));
    }
}

#[tokio::test]
async fn unfinished_are_those_whose_end_nobody_has() {
    for (journal, _dir) in journals().await {
        for trace in ["z", "done", "a", "ended", "m"] {
            append(&*journal, trace, vec![accept()]).await;
        }
        append(&*journal, "sub", vec![called_by("z")]).await;
        append(&*journal, "done", vec![ended(End::Completed), delivered()]).await;
        append(&*journal, "ended", vec![ended(End::Failed)]).await;
        let half = Record::Delivered { message: Some(MessageId::INPUT), cursor: None };
        append(&*journal, "a", vec![half]).await;
        let unfinished = journal.unfinished().await.unwrap();
        assert_eq!(unfinished, ["z", "a", "ended", "m"].map(name), "in the order of their acceptance");
    }
}

#[tokio::test]
async fn a_called_trace_is_there_as_long_as_its_caller() {
    for (journal, _dir) in journals().await {
        append(&*journal, "top", vec![accept()]).await;
        append(&*journal, "sub", vec![called_by("top"), done("1"), ended(End::Completed)]).await;
        assert_eq!(journal.load("sub").await.unwrap().len(), 3);
        let again = journal.append(&name("sub"), entry(1, called_by("top"))).await;
        assert_eq!(again, Err(JournalError::Duplicate(name("sub"))));
        append(&*journal, "top", vec![ended(End::Completed), delivered()]).await;
        assert_eq!(journal.unfinished().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_record_counts_though_nobody_waits_for_it() {
    for (journal, _dir) in journals().await {
        drop(journal.append(&name("t"), entry(1, accept())));
        drop(journal.append(&name("t"), entry(2, done("1"))));
        append(&*journal, "later", vec![accept()]).await;
        assert_eq!(journal.load("t").await.unwrap(), [entry(1, accept()), entry(2, done("1"))]);
    }
}

/// The one difference, and it is said in the docs.
#[tokio::test]
async fn memory_forgets_what_was_delivered_with_all_that_it_called() {
    let journal = Memory::new();
    append(&journal, "top", vec![accept()]).await;
    append(&journal, "sub", vec![called_by("top")]).await;
    append(&journal, "subsub", vec![called_by("sub"), ended(End::Completed)]).await;
    append(&journal, "late", vec![called_by("top")]).await;
    append(&journal, "sub", vec![ended(End::Completed)]).await;
    append(&journal, "top", vec![ended(End::Completed), delivered()]).await;
    append(&journal, "late", vec![ended(End::Completed)]).await;
    for trace in ["top", "sub", "subsub", "late"] {
        assert_eq!(journal.load(trace).await.unwrap(), [], "{trace}");
        append(&journal, trace, vec![accept()]).await;
    }
}
