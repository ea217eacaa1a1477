//! Counts and times what a run does, and writes events to a file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use floe_flow::{Event, EventKind, Observer};
use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::Error;

/// Events that may wait for the disk; beyond them the flow waits, so that the file has every event.
const BEHIND: usize = 4096;

/// Sees every event of a run.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    numbers: Mutex<Numbers>,
    events: Option<SyncSender<Event>>,
}

/// What a run did.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    /// Attempts that ended, with the items and nodes within their calls: what the budgets of traces count.
    pub(crate) hops: u64,
    /// Times of attempts, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// Units of guest computation.
    pub(crate) fuel: u64,
    /// The most memory that one guest held, in bytes.
    pub(crate) peak_memory: u64,
    /// From the start of the process's work to the first attempt.
    pub(crate) first_hop: Option<Duration>,
    /// Traces that completed without any output; those of subflows have none of their own.
    pub(crate) silent: u64,
}

/// The file that events go to.
#[derive(Debug)]
pub(crate) struct EventFile(JoinHandle<std::io::Result<()>>);

impl Watch {
    /// Watches a run whose work began at `started`; with a path, events are written there.
    pub(crate) fn new(started: Instant, events: Option<&Path>) -> Result<(Self, Option<EventFile>), Error> {
        // Up to an hour; three digits are more than a run's numbers are worth.
        let latency =
            Histogram::new_with_max(3_600_000_000, 3).map_err(|error| Error::wrong(format!("no histogram: {error}")))?;
        let numbers = Numbers { hops: 0, latency, fuel: 0, peak_memory: 0, first_hop: None, silent: 0 };
        let (events, file) = match events {
            None => (None, None),
            Some(path) => {
                let file = File::create(path);
                let file = file.map_err(|error| Error::wrong(format!("cannot write events to `{}`: {error}", path.display())))?;
                let (tx, rx) = sync_channel(BEHIND);
                let thread = std::thread::Builder::new().name("floe-events".into()).spawn(move || write_events(&file, &rx));
                let thread = thread.map_err(|error| Error::wrong(format!("cannot start a thread for events: {error}")))?;
                (Some(tx), Some(EventFile(thread)))
            }
        };
        Ok((Self { started, numbers: Mutex::new(numbers), events }, file))
    }

    /// What happened so far.
    pub(crate) fn numbers(&self) -> Numbers {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Attempts that ended so far.
    pub(crate) fn hops(&self) -> u64 {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).hops
    }

    fn count(&self, event: &Event) {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        match &event.kind {
            EventKind::Started { .. } => {
                numbers.first_hop.get_or_insert_with(|| self.started.elapsed());
            }
            EventKind::Succeeded { latency_us, receipt, .. } | EventKind::Failed { latency_us, receipt, .. } => {
                numbers.latency.saturating_record(*latency_us);
                numbers.peak_memory = numbers.peak_memory.max(receipt.peak_memory);
                // The receipt of the call has what its subflow used.
                if event.caller.is_none() {
                    numbers.hops += 1 + receipt.hops;
                    numbers.fuel += receipt.fuel;
                }
            }
            EventKind::Ended { terminal, .. } if event.caller.is_none() && terminal.error.is_none() && terminal.outputs == 0 => {
                numbers.silent += 1;
            }
            _ => {}
        }
    }
}

impl Observer for Watch {
    fn observe(&self, event: Event) {
        self.count(&event);
        if let Some(events) = &self.events {
            // A file that cannot be written says so when it is closed.
            let _ = events.send(event);
        }
    }
}

impl EventFile {
    /// Waits until all events are written; the watch must be gone.
    pub(crate) fn close(self) -> std::io::Result<()> {
        self.0.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread for events panicked")))
    }
}

fn write_events(file: &File, events: &Receiver<Event>) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 * 1024, file);
    let mut next = events.recv();
    while let Ok(event) = next {
        serde_json::to_writer(&mut writer, &event)?;
        writer.write_all(b"\n")?;
        // Whoever follows the file sees what happened as soon as nothing else is happening.
        next = match events.try_recv() {
            Ok(event) => Ok(event),
            Err(_) => {
                writer.flush()?;
                events.recv()
            }
        };
    }
    Ok(())
}
