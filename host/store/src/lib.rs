//! The journal of Floe: what of each trace must survive the process, in memory or in one SQLite file.
//!
//! This crate keeps what it is given and gives it back in order. It refuses to know what a record means for a flow, and it knows
//! no WebAssembly, HTTP or language models.
//!
//! Start with [`Sqlite::open`] for a journal on a disk, [`Sqlite::read`] to look into one that another process may be writing,
//! and [`Memory`] where nothing needs to survive. All of them are covered by one test, `tests/store/conformance.rs`.

mod memory;
mod run;
mod sqlite;

use std::path::PathBuf;

use floe_flow::journal::JournalError;

pub use memory::Memory;
pub use run::{Plugin, RunInfo};
pub use sqlite::{DeadLetter, FORMAT, Filter, MAX_BATCH, Options, Reader, Removed, Retain, Sqlite, State, TraceRow};

/// Why a journal file was not opened, or did not do as it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is something else, and it has not been touched.
    #[error("`{}` is no journal of floe and was left as it is; name another file", .0.display())]
    Foreign(PathBuf),
    /// Its format is not known yet here.
    #[error("`{}` was written by a newer floe (format {found}, this floe knows up to {FORMAT}); update floe", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its format is from before, and a reader changes nothing.
    #[error("`{0}` was written by an older floe; `floe resume {0}` brings it up to date", path.display())]
    Older {
        /// The file.
        path: PathBuf,
    },
    /// Another writer has it.
    #[error("another process ({process}) is running this journal: `{}`; wait until it ends, or stop it", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
        /// Who: the id of a process, or `unknown`.
        process: String,
    },
    /// A run has been started in it already.
    #[error("`{0}` holds a run already; go on with it by `floe resume {0}`, or name another file", path.display())]
    Started {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written: what, where, and the remedy.
    #[error("{0}")]
    Unusable(String),
}

impl From<Error> for JournalError {
    fn from(error: Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// A record was appended to a trace that is not open: a mistake of whoever appends.
fn not_open(trace: &str) -> JournalError {
    JournalError::Unusable(format!(
        "trace `{trace}` is not open in the journal: nothing was accepted under this id, or its end has been delivered"
    ))
}
