//! When the disk is full.

use floe_flow::journal::{Journal, JournalError};
use floe_store::{Error, Options, Sqlite};
use tempfile::TempDir;

use crate::support::{accept, append, done, entry, message, name, open};

const LIMIT: u64 = 512 << 10;

#[tokio::test]
async fn a_full_journal_says_what_to_do_and_takes_nothing_in_any_more() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = Sqlite::open(&path, Options { max_bytes: Some(LIMIT) }).await.unwrap();
    append(&journal, "t", vec![accept()]).await;
    let body = format!("\"{}\"", "x".repeat(20_000));
    let mut answered = 1;
    let error = loop {
        match journal.append(&name("t"), entry(answered, done(&body))).await {
            Ok(()) => answered += 1,
            Err(error) => break error,
        }
    };
    let text = message(&error);
    let file = path.display();
    assert!(text.starts_with(&format!("the journal `{file}` failed: ")) && text.contains("database or disk is full"), "{text}");
    let remedy = format!(
        "raise --journal-max beyond {LIMIT} bytes, or remove what is done with by `floe purge --journal {file} --keep 1000`, or free \
         space on its disk, then: floe resume {file}"
    );
    assert!(text.ends_with(&remedy), "{text}");

    // A small one would fit again; it must not be taken after those that are lost.
    assert_eq!(journal.append(&name("t"), entry(0, done("1"))).await, Err(error.clone()));
    assert_eq!(journal.append(&name("u"), entry(0, accept())).await, Err(error));
    assert_eq!(journal.load("t").await.unwrap().len() as u64, answered, "what was answered can be read");
    drop(journal);

    let journal = open(&path).await;
    assert_eq!(journal.load("t").await.unwrap().len() as u64, answered);
    append(&journal, "u", vec![accept()]).await;
}

#[tokio::test]
async fn all_that_wait_are_told() {
    let dir = TempDir::new().unwrap();
    let journal = Sqlite::open(&dir.path().join("journal"), Options { max_bytes: Some(LIMIT) }).await.unwrap();
    append(&journal, "t", vec![accept()]).await;
    let body = format!("\"{}\"", "x".repeat(10_000));
    let answers: Vec<_> = (1..200).map(|at| journal.append(&name("t"), entry(at, done(&body)))).collect();
    let mut taken = 0;
    let mut refused = 0;
    for answer in answers {
        match answer.await {
            Ok(()) => {
                assert_eq!(refused, 0, "nothing is taken in after what was lost");
                taken += 1;
            }
            Err(JournalError::Unusable(_)) => refused += 1,
            Err(error @ JournalError::Duplicate(_)) => panic!("{error}"),
        }
    }
    assert!(refused > 0);
    assert_eq!(journal.load("t").await.unwrap().len(), taken + 1);
}

#[tokio::test]
async fn what_does_not_fit_beside_the_records_fails_alone() {
    let dir = TempDir::new().unwrap();
    let journal = Sqlite::open(&dir.path().join("journal"), Options { max_bytes: Some(LIMIT) }).await.unwrap();
    let error = journal.put_component("00", vec![7; 1 << 20]).await.unwrap_err();
    assert!(matches!(&error, Error::Unusable(text) if text.contains("raise --journal-max")), "{error}");
    append(&journal, "t", vec![accept()]).await;
}
