//! What is left for this call and everything it starts.

use crate::bindings::plugin::types::Failure;
use crate::failure::Result;
use crate::host;

/// Names and what is left of them; what is unlimited is not listed.
pub fn remaining() -> Vec<(String, u64)> {
    host::budget::remaining()
}

/// What is left of one; none: unlimited.
pub fn left(name: &str) -> Option<u64> {
    remaining().into_iter().find_map(|(key, left)| (key == name).then_some(left))
}

/// True once the trace is cancelled: clean up and return; soon after, the call is ended.
pub fn cancelled() -> bool {
    host::budget::cancelled()
}

/// Fails with `cancelled` once the trace is, for long loops: `budget::check()?`.
pub fn check() -> Result<()> {
    if cancelled() { Err(Failure::cancelled("the trace was cancelled")) } else { Ok(()) }
}
