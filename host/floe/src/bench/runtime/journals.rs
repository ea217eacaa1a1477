//! Native hops without a journal, with one in memory and one on a disk, and the one on a disk with nobody before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::journal::{Accepted, At, Pending};
use floe_flow::{Flow, Journal, MessageId, Meta, Outcome, Receipt, Record};
use floe_store::{Memory, Options, Sqlite};
use tempfile::TempDir;
use tokio::time::Instant;

use super::{Bench, drive, each};
use crate::Error;
use crate::bench::chain;
use crate::run::durable::entry;

/// Requests in flight, at most, and records that are written at once where there is no flow.
const DEEP: usize = 256;

/// Where records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Nowhere,
    InMemory,
    OnDisk,
}

/// A way to send messages through a chain.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: &'static str,
    kept: Kept,
    in_flight: usize,
    /// It takes one of so many messages, because each of its hops waits for a commit of its own.
    share: usize,
}

/// The last is the one with a goal.
pub(super) const LANES: [Lane; 9] = [
    lane("native hop, no journal, 1 in flight", Kept::Nowhere, 1, 1),
    lane("native hop, no journal, 8 in flight", Kept::Nowhere, 8, 1),
    lane("native hop, no journal, 256 in flight", Kept::Nowhere, DEEP, 1),
    lane("native hop, journal in memory, 1 in flight", Kept::InMemory, 1, 1),
    lane("native hop, journal in memory, 8 in flight", Kept::InMemory, 8, 1),
    lane("native hop, journal in memory, 256 in flight", Kept::InMemory, DEEP, 1),
    lane("native hop, journal in SQLite, 1 in flight", Kept::OnDisk, 1, 200),
    lane("native hop, journal in SQLite, 8 in flight", Kept::OnDisk, 8, 25),
    lane("native hop, journal in SQLite, 256 in flight", Kept::OnDisk, DEEP, 1),
];

const fn lane(name: &'static str, kept: Kept, in_flight: usize, share: usize) -> Lane {
    Lane { name, kept, in_flight, share }
}

impl Bench<'_> {
    /// The time of a hop.
    pub(super) async fn hops(&self, lane: &Lane) -> Result<Duration, Error> {
        let (mut config, mut file) = (self.config(lane.in_flight), None);
        config.journal = match lane.kept {
            Kept::Nowhere => None,
            Kept::InMemory => Some(Arc::new(Memory::new())),
            Kept::OnDisk => Some(Arc::clone(&file.insert(self.file().await?).journal) as _),
        };
        let flow = Flow::start(chain::graph(self.args.hops, &self.identity, &self.policy())?, config);
        let messages = (self.args.messages / lane.share).max(1);
        let took = drive(&flow, &self.payload, messages, lane.in_flight).await?;
        flow.stop(Duration::ZERO).await;
        drop(flow);
        if let Some(file) = file {
            file.close().await;
        }
        Ok(each(took, messages * self.args.hops))
    }

    /// The time of a record where nothing but records is made: those of as many hops as a chain's messages make.
    pub(super) async fn records(&self) -> Result<Duration, Error> {
        let file = self.file().await?;
        let traces: Vec<Arc<str>> = (0..DEEP).map(|n| format!("bench-{n:04}").into()).collect();
        let accepted = Accepted {
            tenant: "bench".into(),
            user: None,
            session: None,
            caller: None,
            payload: self.payload.clone(),
            meta: Meta::default(),
            topic: None,
            priority: 0,
            deadline_ms: None,
            cursor: None,
            release: 0,
        };
        let done = Record::Done {
            at: At { node: "hop-0".into(), message: MessageId::INPUT, attempt: 1 },
            emitted: Vec::new(),
            outcome: Outcome::one(self.payload.clone()),
            receipt: Receipt::default(),
            streams: BTreeMap::new(),
            tape: None,
        };
        let append = |record: &Record| {
            let append = |trace| file.journal.append(trace, entry(record.clone()));
            traces.iter().map(append).collect::<Vec<_>>()
        };
        answered(append(&Record::Accepted(Box::new(accepted)))).await?;
        let commits = (self.args.messages * self.args.hops).div_ceil(DEEP);
        let started = Instant::now();
        for _ in 0..commits {
            answered(append(&done)).await?;
        }
        let took = started.elapsed();
        file.close().await;
        Ok(each(took, commits * DEEP))
    }

    async fn file(&self) -> Result<JournalFile, Error> {
        let cannot = |error| Error::wrong(format!("cannot make a folder for a journal in `{}`: {error}", self.folder.display()));
        std::fs::create_dir_all(&self.folder).map_err(cannot)?;
        let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(&self.folder).map_err(cannot)?;
        let journal = Sqlite::open(&folder.path().join("journal"), Options { max_bytes: None }).await?;
        Ok(JournalFile { journal: Arc::new(journal), _folder: folder })
    }
}

/// A journal on a disk, in a folder that goes with it.
struct JournalFile {
    journal: Arc<Sqlite>,
    _folder: TempDir,
}

impl JournalFile {
    async fn close(self) {
        if let Some(journal) = Arc::into_inner(self.journal) {
            journal.close().await;
        }
    }
}

async fn answered(appended: Vec<Pending<()>>) -> Result<(), Error> {
    for answer in appended {
        answer.await.map_err(|error| Error::wrong(error.to_string()))?;
    }
    Ok(())
}
