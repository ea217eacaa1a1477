//! Observers of observers: off the flow's path, and many at once.
//!
//! An observer is called while its trace stands still. What takes longer than a few counters (a file, a socket, a database)
//! belongs behind a [`Buffered`]; what must see every event and is quick may stand beside it in a [`Several`].

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::Value;
use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug_span, warn};

use crate::event::{Event, EventKind, Observer};

/// Events that may wait for their observers: some milliseconds of a busy flow, and with what they usually hold a few megabytes.
pub const DEFAULT_BUFFERED_EVENTS: usize = 8192;

/// Bytes of text and data in events that wait for their observers: chunks, progress and errors are as long as plugins make them,
/// and twice the largest payload is room for any one of them.
pub const MAX_BUFFERED_BYTES: usize = 16 << 20;

/// Hands each event to many observers, in the order given. One that panics is counted, and the others go on.
#[derive(Debug)]
pub struct Several {
    observers: Vec<Arc<dyn Observer>>,
    panics: AtomicU64,
}

/// Hands events on to other observers in a task of its own, in order. A flow never waits for it: what finds no room is dropped
/// and counted, and the gap shows in the `seq` of the trace's next event.
pub struct Buffered {
    tx: mpsc::Sender<Item>,
    shared: Arc<Shared>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// Events that observers did not get, by cause, and what went wrong with observers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Losses {
    /// As many events as there was room for were waiting.
    pub full: u64,
    /// The bytes of those that were waiting left no room for this one.
    pub bytes: u64,
    /// It came after the buffer was closed.
    pub closed: u64,
    /// Panics of observers: that observer did not handle the event, the others did.
    pub panics: u64,
}

#[derive(Debug)]
struct Shared {
    observers: Several,
    /// Of text and data in the buffer.
    bytes: AtomicUsize,
    full: AtomicU64,
    too_many_bytes: AtomicU64,
    closed: AtomicU64,
}

#[expect(clippy::large_enum_variant, reason = "almost every item is an event: a box would cost each of them an allocation")]
enum Item {
    Event(Event),
    /// All that came before it has been delivered when its sender is answered.
    Flush(oneshot::Sender<()>),
}

// === impl Losses ===

impl Losses {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            full: self.full + other.full,
            bytes: self.bytes + other.bytes,
            closed: self.closed + other.closed,
            panics: self.panics + other.panics,
        }
    }
}

// === impl Several ===

impl Several {
    /// Observers that each see every event.
    pub fn new(observers: Vec<Arc<dyn Observer>>) -> Self {
        Self { observers, panics: AtomicU64::new(0) }
    }

    /// How often an observer panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

impl Observer for Several {
    fn observe(&self, event: Event) {
        let tell = |observer: &Arc<dyn Observer>, event| {
            if std::panic::catch_unwind(AssertUnwindSafe(|| observer.observe(event))).is_err() {
                self.panics.fetch_add(1, Ordering::Relaxed);
            }
        };
        let Some((last, others)) = self.observers.split_last() else { return };
        for observer in others {
            tell(observer, event.clone());
        }
        tell(last, event);
    }
}

// === impl Buffered ===

impl Buffered {
    /// Starts the task that delivers, on `runtime`: not the threads for computation, for observers may be slow. Up to `capacity`
    /// events wait (at least one), and [`MAX_BUFFERED_BYTES`].
    pub fn start(observers: Vec<Arc<dyn Observer>>, capacity: usize, runtime: &Runtime) -> Arc<Self> {
        let (tx, rx) = mpsc::channel(capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared {
            observers: Several::new(observers),
            bytes: AtomicUsize::new(0),
            full: AtomicU64::new(0),
            too_many_bytes: AtomicU64::new(0),
            closed: AtomicU64::new(0),
        });
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let deliver = deliver(rx, Arc::clone(&shared), closing.clone());
        tasks.spawn_on(deliver.instrument(debug_span!("observers")), runtime);
        tasks.close();
        Arc::new(Self { tx, shared, closing, tasks })
    }

    /// Events that the observers did not get.
    pub fn dropped(&self) -> u64 {
        let Losses { full, bytes, closed, panics: _ } = self.losses();
        full + bytes + closed
    }

    /// The same by cause, and panics.
    pub fn losses(&self) -> Losses {
        self.shared.losses()
    }

    /// Returns when all that was observed before has been delivered.
    pub async fn flush(&self) {
        let (tx, rx) = oneshot::channel();
        if self.tx.send(Item::Flush(tx)).await.is_err() || rx.await.is_err() {
            // Closed meanwhile: delivered when the task is done.
            self.tasks.wait().await;
        }
    }

    /// Takes nothing more and returns when all that waits has been delivered. Stop the flow first: what comes later is dropped
    /// and counted.
    pub async fn close(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

impl Observer for Buffered {
    fn observe(&self, event: Event) {
        let bytes = bytes(&event.kind);
        let shared = &self.shared;
        let before = shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let lost = if bytes > 0 && before > 0 && before.saturating_add(bytes) > MAX_BUFFERED_BYTES {
            &shared.too_many_bytes
        } else {
            match self.tx.try_send(Item::Event(event)) {
                Ok(()) => return,
                Err(TrySendError::Full(_)) => &shared.full,
                Err(TrySendError::Closed(_)) => &shared.closed,
            }
        };
        shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
        lost.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Buffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffered").field("losses", &self.losses()).finish_non_exhaustive()
    }
}

impl Shared {
    fn losses(&self) -> Losses {
        Losses {
            full: self.full.load(Ordering::Relaxed),
            bytes: self.too_many_bytes.load(Ordering::Relaxed),
            closed: self.closed.load(Ordering::Relaxed),
            panics: self.observers.panics(),
        }
    }
}

/// Delivers until the buffer is closed, or dropped, and empty. Events that come between are delivered one by one, so that the
/// task makes way for others now and then.
async fn deliver(mut rx: mpsc::Receiver<Item>, shared: Arc<Shared>, closing: CancellationToken) {
    loop {
        let item = tokio::select! {
            biased;
            // Nothing is lost: what is in the buffer stays there and comes out of the next `recv`.
            () = closing.cancelled(), if !rx.is_closed() => {
                rx.close();
                continue;
            }
            item = rx.recv() => item,
        };
        match item {
            Some(Item::Event(event)) => {
                shared.bytes.fetch_sub(bytes(&event.kind), Ordering::Relaxed);
                shared.observers.observe(event);
            }
            Some(Item::Flush(done)) => {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            None => break,
        }
    }
    let losses = shared.losses();
    if losses != Losses::default() {
        let Losses { full, bytes, closed, panics } = losses;
        warn!(full, bytes, closed, panics, "Observers missed events.");
    }
}

/// Bytes of text and data: what makes one event larger than another.
fn bytes(kind: &EventKind) -> usize {
    match kind {
        EventKind::Chunk { text, stream, meta, .. } => text.len() + stream.len() + meta.size(),
        EventKind::Progress { kind, data, .. } => kind.len() + value_bytes(data),
        EventKind::Failed { error, .. } | EventKind::Retry { error, .. } => error.len(),
        EventKind::GaveUp { error, .. } => error_bytes(error),
        EventKind::Ended { terminal, .. } => terminal.error.as_ref().map_or(0, error_bytes),
        EventKind::Superseded { streams, .. } => streams.iter().map(|stream| stream.len()).sum(),
        EventKind::Accepted { .. }
        | EventKind::Resumed { .. }
        | EventKind::Late { .. }
        | EventKind::Queued { .. }
        | EventKind::Blocked { .. }
        | EventKind::Started { .. }
        | EventKind::Succeeded { .. }
        | EventKind::Discarded { .. }
        | EventKind::Joined { .. }
        | EventKind::Output { .. }
        | EventKind::Ending { .. } => 0,
    }
}

fn error_bytes(error: &crate::trace::TraceError) -> usize {
    error.message.len() + error.detail.as_ref().map_or(0, value_bytes)
}

/// As a value lies in memory, more or less. A payload's depth is bounded where it was parsed.
fn value_bytes(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_bytes).sum(),
            Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + value_bytes(value)).sum(),
        }
}
