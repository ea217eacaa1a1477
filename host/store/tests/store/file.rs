//! What a journal's file must be, and who may have it.

use std::fs;
use std::io::Write;
use std::path::Path;

use floe_flow::End;
use floe_flow::journal::Journal;
use floe_store::{Error, FORMAT, Options, Sqlite};
use tempfile::TempDir;

use crate::support::{accept, append, delivered, done, ended, entry, name, open};

async fn refused(path: &Path) -> Error {
    Sqlite::open(path, Options { max_bytes: None }).await.unwrap_err()
}

/// Writes an integer into the header of a closed journal.
fn patch(path: &Path, at: usize, number: u32) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn what_was_appended_is_there_when_it_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = open(&path).await;
    append(&journal, "a", vec![accept(), done("1"), ended(End::Completed), delivered()]).await;
    append(&journal, "b", vec![accept(), done("1")]).await;
    // Nobody waits for this one: closing does.
    drop(journal.append(&name("b"), entry(3, done("2"))));
    drop(journal);
    let log = fs::metadata(dir.path().join("journal-wal")).map_or(0, |log| log.len());
    assert_eq!(log, 0, "all of it is in the one file");

    let journal = open(&path).await;
    assert_eq!(journal.unfinished().await.unwrap(), [name("b")]);
    assert_eq!(journal.load("b").await.unwrap(), [entry(1, accept()), entry(2, done("1")), entry(3, done("2"))]);
    journal.append(&name("b"), entry(4, done("3"))).await.unwrap();
    assert_eq!(journal.load("b").await.unwrap().len(), 4);
    assert!(journal.append(&name("a"), entry(1, accept())).await.is_err(), "ids are remembered");
    assert!(journal.append(&name("a"), entry(1, done("1"))).await.is_err(), "and that the end is delivered");
    append(&journal, "c", vec![accept()]).await;
    assert_eq!(journal.unfinished().await.unwrap(), ["b", "c"].map(name));
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;

    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("journal")).await;
    append(&journal, "a", vec![accept()]).await;
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap()).collect();
    files.sort_by_key(fs::DirEntry::file_name);
    let names: Vec<_> = files.iter().map(|file| file.file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["journal", "journal-shm", "journal-wal", "journal.lock"]);
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn a_directory_is_not_made() {
    let dir = TempDir::new().unwrap();
    let error = refused(&dir.path().join("no/journal")).await.to_string();
    assert!(error.contains("cannot create the journal") && error.contains("see that its directory is there"), "{error}");
    let error = refused(dir.path()).await.to_string();
    assert!(error.contains("cannot read the journal"), "{error}");
}

#[tokio::test]
async fn another_files_bytes_are_not_touched() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    // A SQLite file of somebody else's is a journal without its mark.
    drop(open(&dir.path().join("sqlite")).await);
    patch(&dir.path().join("sqlite"), 68, 7);
    let foreign = fs::read(dir.path().join("sqlite")).unwrap();
    for bytes in [b"{\"a\": 1}\n".to_vec(), vec![0; 4096], b"SQLite format 3\0".to_vec(), foreign] {
        fs::write(&path, &bytes).unwrap();
        assert_eq!(refused(&path).await, Error::Foreign(path.clone()));
        assert_eq!(Sqlite::read(&path).await.unwrap_err(), Error::Foreign(path.clone()));
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert!(!dir.path().join("file.lock").exists());
    }
    let error = Error::Foreign("output.jsonl".into()).to_string();
    assert_eq!(error, "`output.jsonl` is no journal of floe and was left as it is; name another file");
}

#[tokio::test]
async fn an_empty_file_becomes_a_journal_but_not_by_reading() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    fs::write(&path, "").unwrap();
    assert_eq!(Sqlite::read(&path).await.unwrap_err(), Error::Foreign(path.clone()));
    drop(open(&path).await);
    assert_eq!(Sqlite::read(&path).await.unwrap().unfinished().await, Ok(vec![]));
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    drop(open(&path).await);
    patch(&path, 60, FORMAT + 1);
    let bytes = fs::read(&path).unwrap();
    let error = refused(&path).await;
    assert_eq!(error, Error::Newer { path: path.clone(), found: FORMAT + 1 });
    let said = format!("was written by a newer floe (format {}, this floe knows up to {FORMAT}); update floe", FORMAT + 1);
    assert!(error.to_string().ends_with(&said), "{error}");
    assert_eq!(Sqlite::read(&path).await.unwrap_err(), error);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_second_writer_is_refused_and_a_reader_is_not() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = open(&path).await;
    let error = refused(&path).await;
    assert_eq!(error, Error::Taken { path: path.clone(), process: std::process::id().to_string() });
    #[cfg(unix)]
    {
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(refused(&link).await, Error::Taken { .. }), "by another name too");
    }
    let reader = Sqlite::read(&path).await.unwrap();
    for count in 1..20 {
        append(&journal, &format!("t{count}"), vec![accept(), done("1")]).await;
        assert_eq!(reader.unfinished().await.unwrap().len(), count, "all that was answered is seen");
        assert_eq!(reader.load(&format!("t{count}")).await.unwrap().len(), 2);
    }
    drop(journal);
    assert_eq!(reader.unfinished().await.unwrap().len(), 19);
    open(&path).await;
}

#[tokio::test]
async fn a_read_only_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    append(&open(&path).await, "a", vec![accept()]).await;
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let error = refused(&path).await.to_string();
    assert!(error.contains("is read-only; make it writable (chmod u+w)"), "{error}");
    assert_eq!(Sqlite::read(&path).await.unwrap().unfinished().await.unwrap(), [name("a")]);
}

#[tokio::test]
async fn a_damaged_file_is_no_panic() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let journal = open(&path).await;
    append(&journal, "a", vec![accept(), done("1")]).await;
    journal.close().await;
    let length = fs::metadata(&path).unwrap().len();
    let mut bytes = fs::read(&path).unwrap();
    bytes[200..].fill(0xff);
    fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), length);
    let error = refused(&path).await.to_string();
    assert!(error.contains("it is damaged: bring it back from a copy"), "{error}");
}
