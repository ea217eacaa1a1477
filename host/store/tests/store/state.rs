//! What every store of values does. A new one gets a line in `stores`.

use std::path::Path;
use std::sync::Arc;

use floe_flow::journal::Journal;
use floe_flow::state::{Entry, MAX_STATE_KEYS, Memory, Owner, Place, Put, StateStore, Usage, Written};
use floe_store::Sqlite;
use sqlx::Connection;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{accept, append, delivered, done, ended, open};

/// One of each, empty.
async fn stores() -> Vec<(Arc<dyn StateStore>, TempDir)> {
    let (memory, sqlite) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = open(&sqlite.path().join("journal")).await;
    vec![(Arc::new(Memory::default()), memory), (Arc::new(file), sqlite)]
}

fn place(tenant: &str, space: &str, owner: Owner) -> Place {
    Place { tenant: tenant.into(), space: space.into(), owner }
}

fn user(user: &str) -> Owner {
    Owner::User(user.into())
}

fn session(user: Option<&str>, session: &str) -> Owner {
    Owner::Session { user: user.map(Into::into), session: session.into() }
}

fn put(value: &str, expected: Option<u64>) -> Put {
    Put { value: value.into(), expected, max_bytes: 1 << 20 }
}

async fn set(store: &dyn StateStore, at: &Place, key: &str, value: &str) -> u64 {
    match store.put(at, key, put(value, None)).await.unwrap() {
        Written::Done(version) => version,
        other => panic!("{other:?}"),
    }
}

async fn get(store: &dyn StateStore, at: &Place, key: &str) -> Option<String> {
    store.get(at, key).await.unwrap().map(|entry| entry.value.to_string())
}

/// Places of which none may see another's values: names that would be the same if they were joined, and owners of one name.
fn apart() -> Vec<Place> {
    let mut places = Vec::new();
    for (tenant, space) in [("a", "s"), ("b", "s"), ("a", "t"), ("a:s", ""), ("", "a:s"), ("a\0", "s"), ("A", "s"), ("a", "S")] {
        places.push(place(tenant, space, Owner::Tenant));
    }
    let owners = [
        user("x"),
        user(""),
        session(None, "x"),
        session(Some("x"), "x"),
        session(Some(""), "x"),
        session(Some("y"), "x"),
        session(Some("x"), ""),
        session(None, ""),
        user("x\0"),
        user("X"),
    ];
    places.extend(owners.into_iter().map(|owner| place("a", "s", owner)));
    places
}

#[tokio::test]
async fn values_are_apart_by_tenant_space_and_owner() {
    for (store, _dir) in stores().await {
        for (number, at) in apart().iter().enumerate() {
            assert_eq!(store.get(at, "key").await.unwrap(), None, "{at:?}");
            assert_eq!(store.keys(at, "", None, 1000).await.unwrap(), [""; 0], "{at:?}");
            assert!(!store.delete(at, "key").await.unwrap(), "{at:?}");
            set(&*store, at, "key", &number.to_string()).await;
        }
        for (number, at) in apart().iter().enumerate() {
            assert_eq!(get(&*store, at, "key").await, Some(number.to_string()), "{at:?}");
            assert_eq!(store.keys(at, "", None, 1000).await.unwrap(), ["key"]);
        }
        for at in apart() {
            assert!(store.delete(&at, "key").await.unwrap(), "{at:?}");
            assert!(!store.delete(&at, "key").await.unwrap(), "{at:?}");
            assert_eq!(get(&*store, &at, "key").await, None);
        }
    }
}

#[tokio::test]
async fn a_value_keeps_its_bytes() {
    let at = place("a", "s", Owner::Tenant);
    for (store, _dir) in stores().await {
        for value in ["{ \"b\" : 1,\"a\":\t2 ,\r\n \"b\":3}", "1.50", "\"\\u0000\"", "\"é\"", "[ ]"] {
            let version = set(&*store, &at, "k", value).await;
            assert_eq!(store.get(&at, "k").await.unwrap(), Some(Entry { value: value.into(), version }));
        }
    }
}

#[tokio::test]
async fn a_version_is_compared_and_never_comes_back() {
    let at = place("a", "s", Owner::Tenant);
    for (store, _dir) in stores().await {
        assert_eq!(store.put(&at, "k", put("1", Some(1))).await, Ok(Written::Conflict(0)));
        assert_eq!(store.put(&at, "k", put("1", Some(0))).await, Ok(Written::Done(1)));
        assert_eq!(store.put(&at, "k", put("2", Some(0))).await, Ok(Written::Conflict(1)));
        assert_eq!(store.put(&at, "k", put("2", Some(1))).await, Ok(Written::Done(2)));
        assert!(store.delete(&at, "k").await.unwrap());
        assert_eq!(store.put(&at, "k", put("3", Some(2))).await, Ok(Written::Conflict(0)), "it is not there any more");
        assert_eq!(store.put(&at, "k", put("3", Some(0))).await, Ok(Written::Done(3)), "and not the first once more");
        assert_eq!(get(&*store, &at, "k").await.as_deref(), Some("3"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_compare_at_once_one_wins() {
    const TASKS: u64 = 20;
    const ROUNDS: u64 = 25;
    for (store, _dir) in stores().await {
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                let at = place("a", "s", user("x"));
                let mut lost = 0;
                for _ in 0..ROUNDS {
                    loop {
                        let now = store.get(&at, "count").await.unwrap();
                        let (count, version) = now.map_or((0, 0), |e| (e.value.parse::<u64>().unwrap(), e.version));
                        match store.put(&at, "count", put(&(count + 1).to_string(), Some(version))).await.unwrap() {
                            Written::Done(_) => break,
                            Written::Conflict(_) => lost += 1,
                            other => panic!("{other:?}"),
                        }
                    }
                }
                lost
            });
        }
        let mut lost = 0;
        while let Some(task) = tasks.join_next().await {
            lost += task.unwrap();
        }
        let count = get(&*store, &place("a", "s", user("x")), "count").await;
        assert_eq!(count, Some((TASKS * ROUNDS).to_string()), "{lost} lost");
    }
}

#[tokio::test]
async fn keys_come_in_the_order_of_their_bytes_by_prefix_and_by_page() {
    let at = place("a", "s", Owner::Tenant);
    let mut all = ["a", "a/", "a/1", "a/10", "a/2", "a/é", "a/\u{10ffff}", "a/\0", "a0", "A", "b", "é", "a\u{10ffff}"];
    for (store, _dir) in stores().await {
        for key in all {
            set(&*store, &at, key, "1").await;
        }
        set(&*store, &place("a", "s", user("x")), "a/other", "1").await;
        all.sort_unstable_by_key(|key| key.as_bytes());
        assert_eq!(store.keys(&at, "", None, 1000).await.unwrap(), all);
        let below: Vec<&str> = all.into_iter().filter(|key| key.starts_with("a/")).collect();
        assert_eq!(store.keys(&at, "a/", None, 1000).await.unwrap(), below);
        assert_eq!(store.keys(&at, "a/\u{10ffff}", None, 1000).await.unwrap(), ["a/\u{10ffff}"]);
        assert_eq!(store.keys(&at, "c", None, 1000).await.unwrap(), [""; 0]);
        assert_eq!(store.keys(&at, "a/", Some("A"), 1000).await.unwrap(), below, "after what is before the prefix");
        assert_eq!(store.keys(&at, "a/", Some("b"), 1000).await.unwrap(), [""; 0], "after what is behind it");
        assert_eq!(store.keys(&at, "", None, 0).await.unwrap(), [""; 0]);
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = store.keys(&at, "", after.as_deref(), 3).await.unwrap();
            assert!(page.len() <= 3);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            paged.extend(page);
        }
        assert_eq!(paged, all);
    }
}

/// Keys and values of all owners, of one tenant and one space.
#[tokio::test]
async fn a_space_has_so_many_bytes_for_each_tenant() {
    let small = |value: &str| Put { max_bytes: 20, ..put(value, None) };
    let at = |tenant: &str, owner| place(tenant, "s", owner);
    for (store, _dir) in stores().await {
        assert_eq!(store.put(&at("a", Owner::Tenant), "12345", small("67890")).await, Ok(Written::Done(1)));
        assert_eq!(store.put(&at("a", user("x")), "12345", small("678901")).await, Ok(Written::Full(21)));
        assert_eq!(get(&*store, &at("a", user("x")), "12345").await, None);
        assert_eq!(store.put(&at("a", user("x")), "12345", small("67890")).await, Ok(Written::Done(2)));
        assert_eq!(store.put(&at("a", session(None, "x")), "k", small("1")).await, Ok(Written::Full(22)));
        // Others have room of their own.
        assert_eq!(store.put(&at("b", Owner::Tenant), "12345", small("67890")).await, Ok(Written::Done(1)));
        assert_eq!(store.put(&place("a", "t", Owner::Tenant), "12345", small("67890")).await, Ok(Written::Done(1)));
        // What takes the place of another counts by the difference.
        assert_eq!(store.put(&at("a", user("x")), "12345", small("098765")).await, Ok(Written::Full(21)));
        assert_eq!(store.put(&at("a", user("x")), "12345", small("é4")).await, Ok(Written::Done(3)));
        assert_eq!(store.put(&at("a", session(None, "x")), "k", small("1")).await, Ok(Written::Done(4)));
        // A conflict is told first, and changes nothing.
        let huge = Put { expected: Some(9), ..small(&"x".repeat(100)) };
        assert_eq!(store.put(&at("a", user("x")), "12345", huge).await, Ok(Written::Conflict(3)));
        assert!(store.delete(&at("a", Owner::Tenant), "12345").await.unwrap());
        assert_eq!(store.put(&at("a", session(None, "x")), "k", small("1234567890")).await, Ok(Written::Done(5)));
        // Where less is granted than there is, values may still become smaller.
        let less = |value: &str| Put { max_bytes: 5, ..put(value, None) };
        assert_eq!(store.put(&at("a", session(None, "x")), "k", less("12345678901")).await, Ok(Written::Full(20)));
        assert_eq!(store.put(&at("a", session(None, "x")), "k", less("123456789")).await, Ok(Written::Done(6)));
    }
}

#[test]
fn keys_of_a_space_are_limited_in_number() {
    let full = Usage { keys: MAX_STATE_KEYS, ..Usage::default() };
    assert_eq!(full.put("k", &put("1", None), None), Err(Written::TooManyKeys));
    assert_eq!(full.put("k", &put("1", None), Some((1, 1))).map(|usage| usage.keys), Ok(MAX_STATE_KEYS));
    let almost = full.without("k", 1);
    assert_eq!(almost.put("k", &put("1", None), None).map(|usage| usage.keys), Ok(MAX_STATE_KEYS));
}

#[tokio::test]
async fn what_was_answered_is_there_after_the_file_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let at = place("a", "s", session(Some("u"), "x"));
    let journal = open(&path).await;
    set(&journal, &at, "kept", "1").await;
    set(&journal, &at, "gone", "2").await;
    assert!(journal.delete(&at, "gone").await.unwrap());
    drop(journal);
    let journal = open(&path).await;
    assert_eq!(journal.keys(&at, "", None, 1000).await.unwrap(), ["kept"]);
    assert_eq!(journal.get(&at, "kept").await.unwrap().map(|entry| entry.version), Some(1));
    assert_eq!(set(&journal, &at, "gone", "3").await, 3, "versions go on");
    // It is read beside the one who writes.
    let reader = Sqlite::read(&path).await.unwrap();
    assert_eq!(reader.state(&at, "gone").await.unwrap().map(|entry| entry.version), Some(3));
}

#[tokio::test]
async fn values_outlive_the_traces() {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    let at = place("me", "s", Owner::Tenant);
    append(&journal, "t", vec![accept(), done("1")]).await;
    set(&journal, &at, "k", "1").await;
    append(&journal, "u", vec![accept(), ended(floe_flow::End::Completed), delivered()]).await;
    assert_eq!(journal.purge("me").await.unwrap().traces, 1);
    assert_eq!(journal.load("u").await.unwrap(), []);
    assert_eq!(get(&journal, &at, "k").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_and_records_share_commits() {
    const EACH: u64 = 300;
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    append(&journal, "t", vec![accept()]).await;
    let before = journal.commits();
    let at = place("a", "s", Owner::Tenant);
    let writes: Vec<_> = (0..EACH).map(|number| journal.put(&at, &format!("k{number}"), put("1", None))).collect();
    let name = crate::support::name("t");
    let records: Vec<_> = (0..EACH).map(|at| journal.append(&name, crate::support::entry(at, done("1")))).collect();
    for (number, write) in writes.into_iter().enumerate() {
        assert_eq!(write.await, Ok(Written::Done(number as u64 + 1)), "in the order of the calls");
    }
    for record in records {
        record.await.unwrap();
    }
    let commits = journal.commits() - before;
    assert!((3..EACH / 2).contains(&commits), "{commits} commits for {EACH} values and {EACH} records");
    assert_eq!(journal.keys(&at, "", None, 1000).await.unwrap().len() as u64, EACH);
}

#[tokio::test]
async fn a_full_journal_takes_no_value_in_any_more() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = Sqlite::open(&path, floe_store::Options { max_bytes: Some(512 << 10) }).await.unwrap();
    let at = place("a", "s", Owner::Tenant);
    let value = format!("\"{}\"", "x".repeat(20_000));
    let mut answered = 0;
    let error = loop {
        match journal.put(&at, &format!("k{answered}"), put(&value, None)).await {
            Ok(Written::Done(_)) => answered += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("raise --journal-max"), "{error}");
    assert_eq!(journal.put(&at, "k0", put("1", None)).await, Err(error.clone()));
    assert_eq!(journal.delete(&at, "k0").await, Err(error));
    assert_eq!(journal.keys(&at, "", None, 1000).await.unwrap().len(), answered, "what was answered can be read");
}

/// A file of the first format is brought up to date where it is written, with all that it holds.
#[tokio::test]
async fn an_older_journal_gets_room_for_values() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = open(&path).await;
    append(&journal, "t", vec![accept(), done("1")]).await;
    journal.close().await;
    undo_values(&path).await;
    let refused = Sqlite::read(&path).await.unwrap_err().to_string();
    assert!(refused.contains("was written by an older floe"), "{refused}");
    let journal = open(&path).await;
    assert_eq!(journal.load("t").await.unwrap().len(), 2);
    assert_eq!(set(&journal, &place("a", "s", Owner::Tenant), "k", "1").await, 1);
}

async fn undo_values(path: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let undo = "DROP TABLE state; DROP TABLE spaces; PRAGMA user_version = 1";
    sqlx::raw_sql(undo).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
