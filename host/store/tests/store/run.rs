//! What another process needs to go on with a run.

use floe_flow::MessageId;
use floe_flow::journal::{Accepted, Cursor, Journal, Record};
use floe_store::{Error, Plugin, RunInfo, Sqlite};
use tempfile::TempDir;

use crate::support::{accept, accepted, append, cursor, entry, name, open};

fn info() -> RunInfo {
    RunInfo {
        flow: "floe: 1\nname: \"é\"\n".to_owned(),
        flow_path: "flows/a.yaml".to_owned(),
        set: vec!["budget.hops=3".to_owned()],
        tenant: "acme".to_owned(),
        envelope: true,
        input: Some("in.jsonl".to_owned()),
        input_digest: Some("ab".repeat(32)),
        input_size: Some(1 << 40),
        output: None,
        engine: "engine 48".to_owned(),
        plugins: vec![Plugin { name: "text".to_owned(), digest: "cd".repeat(32), source: "plugins/text".to_owned() }],
        earlier: vec![vec![Plugin { name: "text".to_owned(), digest: "ab".repeat(32), source: "plugins/text".to_owned() }]],
        subflows: vec![("inner/".to_owned(), "ef".repeat(32))],
        secret: Some([255; 32]),
    }
}

#[tokio::test]
async fn a_run_is_noted_once_and_can_be_read_beside_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = open(&path).await;
    assert_eq!(journal.reader().info().await, Ok(None));
    journal.start(&info()).await.unwrap();
    let again = journal.start(&RunInfo { tenant: "other".to_owned(), ..info() }).await;
    assert_eq!(again, Err(Error::Started { path: path.clone() }));
    assert_eq!(journal.reader().info().await, Ok(Some(info())));
    assert_eq!(Sqlite::read(&path).await.unwrap().info().await, Ok(Some(info())));

    let other = RunInfo { engine: "engine 49".to_owned(), ..info() };
    journal.restart(&other).await.unwrap();
    assert_eq!(journal.reader().info().await, Ok(Some(other)));
}

#[tokio::test]
async fn a_component_is_kept_once() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
    for _ in 0..2 {
        journal.put_component("aa", bytes.clone()).await.unwrap();
    }
    journal.put_component("bb", Vec::new()).await.unwrap();
    assert_eq!(journal.reader().component("aa").await, Ok(Some(bytes)));
    assert_eq!(journal.reader().component("bb").await, Ok(Some(Vec::new())));
    assert_eq!(journal.reader().component("cc").await, Ok(None));
}

#[tokio::test]
async fn cursors_are_those_of_the_furthest_records() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = open(&path).await;
    let cursors = async |journal: &Sqlite| {
        let reader = journal.reader();
        [reader.input_cursor().await.unwrap(), reader.output_cursor().await.unwrap()]
            .map(|cursor: Option<Cursor>| cursor.map(|c| c.line))
    };
    let begin = |line| Record::Accepted(Box::new(Accepted { cursor: Some(cursor(line)), ..accepted("me") }));
    let give = |line| Record::Delivered { message: Some(MessageId::INPUT), cursor: Some(cursor(line)) };
    assert_eq!(cursors(&journal).await, [None, None]);

    append(&journal, "a", vec![begin(2)]).await;
    append(&journal, "b", vec![begin(1)]).await;
    assert_eq!(cursors(&journal).await, [Some(2), None]);
    append(&journal, "a", vec![give(1), give(2)]).await;
    append(&journal, "c", vec![accept()]).await;
    assert_eq!(cursors(&journal).await, [Some(2), Some(2)]);

    let refused = journal.append(&name("a"), entry(9, begin(9))).await;
    assert!(refused.is_err());
    assert_eq!(cursors(&journal).await, [Some(2), Some(2)], "a record that is not taken moves nothing");
    drop(journal);
    assert_eq!(cursors(&open(&path).await).await, [Some(2), Some(2)]);
}
