//! Many records, few commits.

use std::sync::Arc;

use floe_flow::journal::Journal;
use floe_store::MAX_BATCH;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{accept, append, done, entry, name, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_many_tasks_share_commits_and_all_are_answered() {
    const TASKS: u64 = 200;
    const RECORDS: u64 = 20;
    let dir = TempDir::new().unwrap();
    let journal = Arc::new(open(&dir.path().join("journal")).await);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            let trace = format!("t{task}");
            append(&*journal, &trace, vec![accept()]).await;
            for at in 1..RECORDS {
                journal.append(&name(&trace), entry(at, done("1"))).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let commits = journal.commits();
    assert!((RECORDS..TASKS * RECORDS / 2).contains(&commits), "{commits} commits for {} records", TASKS * RECORDS);
    for task in 0..TASKS {
        assert_eq!(journal.load(&format!("t{task}")).await.unwrap().len() as u64, RECORDS);
    }
}

/// Each size of a statement, and more than one transaction takes.
#[tokio::test]
async fn any_number_of_records_is_written_in_order() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    let mut all = Vec::new();
    for count in [1, 2, 3, 127, 128, 129, 255, 2 * MAX_BATCH as u64 + 77] {
        let answers: Vec<_> = (0..count)
            .map(|at| {
                let record = if at == 0 { accept() } else { done(&at.to_string()) };
                journal.append(&name(&format!("t{count}")), entry(at, record))
            })
            .collect();
        for answer in answers {
            answer.await.unwrap();
        }
        let times: Vec<u64> = journal.load(&format!("t{count}")).await.unwrap().iter().map(|entry| entry.at_ms).collect();
        assert_eq!(times, (0..count).collect::<Vec<_>>());
        all.push(name(&format!("t{count}")));
    }
    let many: Vec<_> = (0..1000).map(|trace| name(&format!("m{trace}"))).collect();
    let answers: Vec<_> = many.iter().map(|trace| journal.append(trace, entry(0, accept()))).collect();
    for answer in answers {
        answer.await.unwrap();
    }
    all.extend(many);
    assert_eq!(journal.unfinished().await.unwrap(), all);
}
