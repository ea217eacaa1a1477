//! The file: is it a journal, of which format, who has it, and what to say when it fails.

use std::fmt::{self, Display};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, query_scalar, raw_sql};

use crate::{Error, Options};

/// The format that this floe writes: the number of its migrations.
pub const FORMAT: u32 = MIGRATIONS.len() as u32;

/// Each brings the format before it to its own; a released one never changes.
const MIGRATIONS: [&str; 2] =
    [include_str!("../../migrations/0001_journal.sql"), include_str!("../../migrations/0002_state.sql")];

/// "FLOE": what marks a SQLite file as a journal, in its header.
const APPLICATION: u32 = 0x464c_4f45;

/// Bytes of a page: seven records of one kibibyte, where four kibibytes would hold three and waste the fourth.
const PAGE: u32 = 8192;

/// Pages of the write-ahead log before they go into the file, 16 MiB: more are written less often, but a reader looks through
/// them all.
const CHECKPOINT: u32 = 2000;

/// Until a lock of SQLite's own comes free. Writers are kept out by `FILE.lock`, so it is a reader's for a moment; records wait
/// as long when the log is to be emptied.
const PATIENCE: Duration = Duration::from_secs(5);

/// A journal's file.
#[derive(Debug)]
pub(crate) struct JournalFile {
    /// As the user wrote it, for messages.
    pub(crate) path: PathBuf,
    /// Absolute and without links, so that every process means the same file and the same lock.
    real: PathBuf,
    options: Options,
}

/// Held as long as the journal is written.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is there to be dropped")] File);

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// All.
    Write,
    /// Nothing but read, in the process that writes.
    Look,
    /// Nothing but read, also where the file may not be written.
    Read,
}

/// Finds or makes the file, and takes its lock.
pub(super) async fn prepare(path: &Path, options: Options) -> Result<(JournalFile, Lock), Error> {
    let lock = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > 0 || !metadata.is_file() => None,
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot("open", path, &error)),
        _ => Some(make(path, options).await?),
    };
    let mut file = find(path)?;
    file.options = options;
    if fs::metadata(&file.real).map_err(|error| cannot("open", path, &error))?.permissions().readonly() {
        let remedy = "make it writable (chmod u+w), or name another file";
        return Err(Error::Unusable(format!("the journal `{}` is read-only; {remedy}", path.display())));
    }
    let lock = match lock {
        Some(lock) => lock,
        None => file.lock()?,
    };
    Ok((file, lock))
}

/// Makes a journal under another name and gives it its own when it is whole: a process that dies meanwhile leaves nothing that
/// looks like somebody else's file.
async fn make(path: &Path, options: Options) -> Result<Lock, Error> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(|error| cannot("create", path, &error))?;
    let name = path.file_name().ok_or_else(|| Error::Foreign(path.to_owned()))?;
    // An empty file may be a link to where the journal is wanted.
    let real = fs::canonicalize(path).unwrap_or_else(|_| folder.join(name));
    let lock = JournalFile { path: path.to_owned(), real: real.clone(), options }.lock()?;
    if fs::metadata(&real).is_ok_and(|metadata| metadata.len() > 0) {
        // Another process was faster, and has gone again.
        return Ok(lock);
    }
    let mut unfinished = real.clone().into_os_string();
    unfinished.push(".new");
    for left in ["", "-journal", "-wal", "-shm"] {
        let mut name = unfinished.clone();
        name.push(left);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot("create", path, &error)),
            _ => {}
        }
    }
    private().create_new(true).open(&unfinished).map_err(|error| cannot("create", path, &error))?;
    let file = JournalFile { path: path.to_owned(), real: unfinished.clone().into(), options };
    let mut connection = file.connect(Access::Write).await?;
    file.bring_to_format(&mut connection, 0).await?;
    file.switch_log_on(&mut connection).await?;
    connection.close().await.map_err(|error| file.failed(&error))?;
    fs::rename(&unfinished, &real).map_err(|error| cannot("create", path, &error))?;
    // The new name is on the disk as well; not every system can say so.
    let _ = File::open(&folder).and_then(|folder| folder.sync_all());
    Ok(lock)
}

/// Finds the file, and refuses what is no journal before SQLite sees it. An empty file is a journal that is not there yet.
pub(super) fn find(path: &Path) -> Result<JournalFile, Error> {
    let real = fs::canonicalize(path).map_err(|error| cannot("open", path, &error))?;
    let mut header = Vec::new();
    // A directory opens on some systems, and fails to be read.
    let read = File::open(&real).and_then(|file| file.take(100).read_to_end(&mut header));
    read.map_err(|error| cannot("read", path, &error))?;
    let number = |at: usize| header.get(at..at + 4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let ours = header.starts_with(b"SQLite format 3\0") && number(68) == Some(APPLICATION);
    if !header.is_empty() && !ours {
        return Err(Error::Foreign(path.to_owned()));
    }
    match number(60) {
        Some(found) if found > FORMAT => Err(Error::Newer { path: path.to_owned(), found }),
        _ => Ok(JournalFile { path: path.to_owned(), real, options: Options { max_bytes: None } }),
    }
}

// === impl JournalFile ===

impl JournalFile {
    fn lock(&self) -> Result<Lock, Error> {
        let mut name = self.real.clone().into_os_string();
        name.push(".lock");
        let mut file = private().create(true).open(&name).map_err(|error| cannot("lock", &self.path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let read = file.take(20).read_to_string(&mut process).is_ok_and(|length| length > 0);
                let process = if read { process } else { "unknown".to_owned() };
                return Err(Error::Taken { path: self.path.clone(), process });
            }
            Err(TryLockError::Error(error)) => return Err(cannot("lock", &self.path, &error)),
        }
        // For people only: whoever cannot read it is told `unknown`.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Lock(file))
    }

    pub(super) async fn connect(&self, access: Access) -> Result<SqliteConnection, Error> {
        let mut options = SqliteConnectOptions::new()
            .filename(&self.real)
            .read_only(access == Access::Read)
            .busy_timeout(PATIENCE)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        if access == Access::Write {
            options = options
                .page_size(PAGE)
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .pragma("wal_autocheckpoint", CHECKPOINT.to_string())
                .pragma("journal_size_limit", (CHECKPOINT * PAGE).to_string())
                .pragma("cache_size", "-16384")
                .pragma("secure_delete", "ON");
            if let Some(bytes) = self.options.max_bytes {
                options = options.pragma("max_page_count", (bytes / u64::from(PAGE)).max(1).to_string());
            }
        } else {
            options = options.pragma("query_only", "ON");
        }
        options.connect().await.map_err(|error| self.failed(&error))
    }

    /// Brings the file to [`FORMAT`], and into write-ahead mode.
    pub(super) async fn migrate(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let format = self.format(connection).await?;
        if format < FORMAT {
            self.bring_to_format(connection, format).await?;
        }
        self.switch_log_on(connection).await
    }

    async fn switch_log_on(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        let mode: Result<String, _> = query_scalar("PRAGMA journal_mode = WAL").fetch_one(connection).await;
        match mode.map_err(|error| self.failed(&error))? {
            mode if mode == "wal" => Ok(()),
            mode => Err(Error::Unusable(format!(
                "the journal `{}` stays in mode `{mode}`: its file system has no shared memory; put it on a local disk",
                self.path.display()
            ))),
        }
    }

    async fn bring_to_format(&self, connection: &mut SqliteConnection, from: u32) -> Result<(), Error> {
        let migrated = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for migration in &MIGRATIONS[from as usize..] {
                raw_sql(*migration).execute(&mut *transaction).await?;
            }
            let mark = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT}");
            raw_sql(AssertSqlSafe(mark)).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        migrated.await.map_err(|error| self.failed(&error))
    }

    /// Refuses a format that is not this floe's: a reader changes nothing.
    pub(super) async fn check_format(&self, connection: &mut SqliteConnection) -> Result<(), Error> {
        match self.format(connection).await? {
            0 => Err(Error::Foreign(self.path.clone())),
            FORMAT => Ok(()),
            _ => Err(Error::Older { path: self.path.clone() }),
        }
    }

    /// As SQLite sees it, with what is still in the log. 0: an empty file.
    async fn format(&self, connection: &mut SqliteConnection) -> Result<u32, Error> {
        let found: Result<u32, _> = query_scalar("PRAGMA user_version").fetch_one(connection).await;
        match found.map_err(|error| self.failed(&error))? {
            found if found > FORMAT => Err(Error::Newer { path: self.path.clone(), found }),
            found => Ok(found),
        }
    }

    /// What SQLite's error means for whoever runs this journal.
    pub(crate) fn failed(&self, error: &sqlx::Error) -> Error {
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
        // The primary codes of <https://www.sqlite.org/rescode.html>.
        let remedy = match code.map(|code| code & 0xff) {
            Some(13) => self.make_room(),
            Some(3 | 8 | 14) => "let this process write to it and its directory".to_owned(),
            Some(11 | 26) => "it is damaged: bring it back from a copy".to_owned(),
            Some(5 | 6) => "end the program that keeps it locked".to_owned(),
            _ => "see that its disk is in order".to_owned(),
        };
        self.unusable(&error, &remedy)
    }

    /// SQLite does not say whether it is the limit or the disk.
    fn make_room(&self) -> String {
        let limit = self.options.max_bytes.map(|bytes| format!("raise --journal-max beyond {bytes} bytes, or "));
        let purge = format!("remove what is done with by `floe purge --journal {} --keep 1000`", self.path.display());
        format!("{}{purge}, or free space on its disk", limit.unwrap_or_default())
    }

    /// A value was not made into JSON.
    pub(crate) fn not_written(&self, error: &serde_json::Error) -> Error {
        self.unusable(error, "this is a mistake of floe: report it")
    }

    /// What is in the file is not what was put there.
    pub(crate) fn not_read(&self, what: &str, error: &serde_json::Error) -> Error {
        self.unusable(&format_args!("`{what}` cannot be read: {error}"), "it is damaged: bring it back from a copy")
    }

    fn unusable(&self, error: &dyn Display, remedy: &str) -> Error {
        let path = self.path.display();
        Error::Unusable(format!("the journal `{path}` failed: {error}; {remedy}, then: floe resume {path}"))
    }
}

/// Options of a file that its owner alone may read.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn cannot(verb: &str, path: &Path, error: &dyn fmt::Display) -> Error {
    let path = path.display();
    Error::Unusable(format!("cannot {verb} the journal `{path}`: {error}; see that its directory is there and may be written"))
}
