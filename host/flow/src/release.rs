//! Which code a trace runs: that of the moment when it began, whatever takes its place meanwhile (design invariant 10).

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What nodes compute with at one time. A trace that begins with it keeps it until its terminal, and so do its subflows.
#[derive(Clone)]
pub struct Release {
    /// Counts them; a journal has it for each trace.
    pub number: u64,
    /// What that is, is between whoever configures the flow and what its nodes invoke.
    pub code: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Release").field(&self.number).finish()
    }
}

/// Knows with which release a trace runs.
pub trait Releases: Send + Sync + fmt::Debug {
    /// A trace begins.
    fn current(&self) -> Release;

    /// A trace goes on that an earlier process began with this one. None: it is not here, and the trace cannot go on.
    fn numbered(&self, number: u64) -> Option<Release>;
}
