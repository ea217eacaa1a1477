//! Why there is no memory, or none of this. A run goes on without; what it says of that is the caller's.

use floe_flow::JournalError;
use floe_flow::state::MAX_STATE_KEYS;

/// What a caller can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// A run without a full key has no memory: it would be somebody else's. Give the run the part, or do without.
    #[error("memory is off for this run: {0}")]
    NoKey(String),
    /// Settings that cannot be followed, with their remedies.
    #[error("{0}")]
    Invalid(String),
    /// It does not fit, and the settings say that nothing may be left out.
    #[error("limit `{limit}` of memory reached: used {used} of {max} {unit}; {remedy}")]
    Budget {
        /// The limit's name.
        limit: &'static str,
        /// What it would have come to.
        used: u64,
        /// What is allowed.
        max: u64,
        /// What is counted.
        unit: &'static str,
        /// What helps.
        remedy: &'static str,
    },
    /// The tenant's conversations take all the room that the space has.
    #[error("limit `max_bytes` of memory reached: used {used} of {max} bytes; `max_bytes` of the memory's settings raises it")]
    Full {
        /// What it would have come to.
        used: u64,
        /// What is allowed.
        max: u64,
    },
    /// The tenant has as many conversations as the store takes.
    #[error("the store has {MAX_STATE_KEYS} values of this tenant's memory, and takes no more; forget some conversations")]
    TooManyKeys,
    /// So many conversations are being written or waited for that none can make way. Ask again.
    #[error("{max} conversations are in use at once, and no more are kept at hand; ask again, or let fewer runs go side by side")]
    Busy {
        /// How many are kept at hand.
        max: usize,
    },
    /// Others wrote the same conversation each time that this one tried. Ask again.
    #[error("{tries} times somebody else wrote the conversation meanwhile; ask again, or let one process serve it")]
    Conflict {
        /// How often it was tried.
        tries: usize,
    },
    /// What is stored is not what this host would have written. It stays as it is until somebody forgets it.
    #[error("the stored memory of this conversation cannot be read: {0}; forget the conversation to begin anew")]
    Unreadable(String),
    /// The store cannot be read or written.
    #[error("{0}")]
    Store(String),
    /// A strategy of the caller's failed.
    #[error("the memory's own strategy failed: {0}")]
    Strategy(String),
}

impl From<JournalError> for MemoryError {
    fn from(error: JournalError) -> Self {
        Self::Store(error.to_string())
    }
}
