//! The thread that writes, and the queue before it.

use std::collections::HashMap;
use std::future::ready;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use floe_flow::journal::{Entry, JournalError, Pending};
use sqlx::{Connection, SqliteConnection, query_scalar, raw_sql};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, oneshot};
use tracing::warn;

use super::batch::{self, Append, Ids};
use super::file::JournalFile;
use super::state::Write;
use crate::Error;

/// Records of one transaction: enough that a commit costs each next to nothing, few enough that the first of them does not wait
/// long for the last.
pub const MAX_BATCH: usize = 4096;

/// Values of one transaction: each takes some statements, which is as much work as dozens of records.
const MAX_WRITES: usize = 128;

/// What the journal has of its thread.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Also for what is written apart from records; taken when the journal is dropped.
    connection: Option<Arc<AsyncMutex<SqliteConnection>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    file: Arc<JournalFile>,
    queue: Mutex<Queue>,
    /// Something waits, or nothing will any more.
    changed: Condvar,
    commits: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Append>,
    writes: Vec<Write>,
    closed: bool,
    /// Why nothing is taken in any more.
    broken: Option<JournalError>,
}

/// What the thread owns.
struct Thread {
    shared: Arc<Shared>,
    connection: Arc<AsyncMutex<SqliteConnection>>,
    ids: Ids,
}

// === impl Writer ===

impl Writer {
    pub(super) async fn start(file: Arc<JournalFile>, mut connection: SqliteConnection) -> Result<Self, Error> {
        let last = query_scalar("SELECT coalesce(max(id), 0) FROM traces").fetch_one(&mut connection).await;
        let last: i64 = last.map_err(|error| file.failed(&error))?;
        let no_thread = |error| Error::Unusable(format!("no thread to write the journal: {error}; raise the limit of threads"));
        let shared = Shared { file, queue: Mutex::default(), changed: Condvar::new(), commits: AtomicU64::new(0) };
        let (shared, connection) = (Arc::new(shared), Arc::new(AsyncMutex::new(connection)));
        let ids = Ids { last, open: HashMap::new() };
        let thread = Thread { shared: Arc::clone(&shared), connection: Arc::clone(&connection), ids };
        let thread = thread::Builder::new().name("floe-journal".to_owned()).spawn(|| thread.run()).map_err(no_thread)?;
        Ok(Self { shared, connection: Some(connection), thread: Some(thread) })
    }

    /// The connection that writes, between two batches.
    pub(crate) async fn connection(&self) -> AsyncMutexGuard<'_, SqliteConnection> {
        self.connection.as_ref().expect("it is taken when nobody can ask any more").lock().await
    }

    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    pub(super) fn append(&self, trace: &Arc<str>, entry: &Entry) -> Pending<()> {
        let (answer, answered) = oneshot::channel();
        let append = match Append::new(trace, entry, answer) {
            Ok(append) => append,
            Err(error) => return Box::pin(ready(Err(self.shared.file.not_written(&error).into()))),
        };
        self.enqueue(|queue| queue.waiting.push(append), answered)
    }

    pub(super) fn write<T: Send + 'static>(
        &self,
        write: Write,
        answered: oneshot::Receiver<Result<T, JournalError>>,
    ) -> Pending<T> {
        self.enqueue(|queue| queue.writes.push(write), answered)
    }

    /// Hands something to the thread; the future is its answer.
    fn enqueue<T: Send + 'static>(
        &self,
        push: impl FnOnce(&mut Queue),
        answered: oneshot::Receiver<Result<T, JournalError>>,
    ) -> Pending<T> {
        {
            let mut queue = self.shared.queue();
            if let Some(broken) = &queue.broken {
                return Box::pin(ready(Err(broken.clone())));
            }
            push(&mut queue);
        }
        self.shared.changed.notify_one();
        let file = Arc::clone(&self.shared.file);
        Box::pin(async move {
            let gone = |_| JournalError::Unusable(format!("the thread of the journal `{}` is gone", file.path.display()));
            answered.await.unwrap_or_else(|error| Err(gone(error)))
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Before the thread is told: it closes the file if the connection is its own by then.
        self.connection = None;
        self.shared.queue().closed = true;
        self.shared.changed.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!(journal = %self.shared.file.path.display(), "The thread of the journal has panicked.");
        }
    }
}

// === impl Shared ===

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next that waits, as soon as anything does; none: the journal is dropped and all is written.
    fn next(&self) -> Option<(Vec<Append>, Vec<Write>)> {
        let idle = |queue: &mut Queue| queue.waiting.is_empty() && queue.writes.is_empty() && !queue.closed;
        let queue = self.changed.wait_while(self.queue(), idle);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        let (appends, writes) = (first(&mut queue.waiting, MAX_BATCH), first(&mut queue.writes, MAX_WRITES));
        (!appends.is_empty() || !writes.is_empty()).then_some((appends, writes))
    }
}

/// Takes those that came first.
fn first<T>(waiting: &mut Vec<T>, most: usize) -> Vec<T> {
    if waiting.len() > most {
        let rest = waiting.split_off(most);
        return mem::replace(waiting, rest);
    }
    mem::take(waiting)
}

// === impl Thread ===

impl Thread {
    fn run(mut self) {
        // It only waits for the connection, which computes in a thread of its own.
        let runtime = match Builder::new_current_thread().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.give_up(Vec::new(), Vec::new(), &error.into()),
        };
        // Whoever still waits when this thread panics finds its answer's sender dropped.
        while let Some((mut appends, mut writes)) = self.shared.next() {
            let written = runtime.block_on(async {
                let mut connection = self.connection.lock().await;
                batch::write(&mut connection, &mut self.ids, &mut appends, &mut writes).await
            });
            match written {
                Ok(()) => {
                    self.shared.commits.fetch_add(1, Ordering::Relaxed);
                    appends.into_iter().for_each(Append::answer);
                    writes.into_iter().for_each(Write::answer);
                }
                Err(error) => self.give_up(appends, writes, &error),
            }
        }
        self.close(&runtime);
    }

    /// The batch has been rolled back. Later records may build on what is lost with it, so none is taken in any more.
    fn give_up(&self, mut appends: Vec<Append>, mut writes: Vec<Write>, error: &sqlx::Error) {
        let error = JournalError::from(self.shared.file.failed(error));
        warn!(%error, "The journal takes nothing in any more.");
        {
            let mut queue = self.shared.queue();
            queue.broken = Some(error.clone());
            appends.append(&mut queue.waiting);
            writes.append(&mut queue.writes);
        }
        appends.into_iter().for_each(|append| append.refuse(error.clone()));
        writes.into_iter().for_each(|write| write.refuse(error.clone()));
    }

    /// Moves the log into the file, so that it can be copied alone.
    fn close(self, runtime: &Runtime) {
        let Some(connection) = Arc::into_inner(self.connection) else { return };
        let mut connection = connection.into_inner();
        let closed = runtime.block_on(async {
            raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
            connection.close().await
        });
        if let Err(error) = closed {
            warn!(%error, journal = %self.shared.file.path.display(), "The journal's log stays beside it.");
        }
    }
}
