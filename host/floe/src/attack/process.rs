//! What this process may take, and what it has taken, as far as the system tells.

use std::path::Path;

/// Beyond what the process has mapped when its sandbox stands: compiling, guests and their stacks take a fraction of it.
#[cfg(unix)]
const ADDRESSES: u64 = 4 << 30;
/// Seconds of computation: all places of a case that spends its fuel at each, many times over.
#[cfg(unix)]
const SECONDS: u64 = 300;

/// Confines this process: its addresses and its time to compute. A host that needs more dies, and its parent says so.
#[cfg(unix)]
pub(super) fn confine() -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let set = |resource, most| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|error| format!("this process cannot limit itself: {error}"))
    };
    set(Resource::Cpu, SECONDS)?;
    match status("VmSize") {
        Some(mapped) => set(Resource::As, mapped + ADDRESSES),
        None => Ok(()),
    }
}

/// The parent's patience is the only limit here.
#[cfg(not(unix))]
pub(super) fn confine() -> Result<(), String> {
    Ok(())
}

/// What the process holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    resident: Option<u64>,
    descriptors: Option<usize>,
}

impl Held {
    /// Now; the most that is resident counts from here on.
    pub(super) fn now() -> Self {
        // Where this is not possible the most of the whole process counts, which is more.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        Self { resident: status("VmRSS"), descriptors: descriptors() }
    }

    /// Bytes that were resident at most since then, beyond what was resident then; none where the system does not say.
    pub(super) fn grown(self) -> Option<u64> {
        Some(status("VmHWM")?.saturating_sub(self.resident?))
    }

    /// Descriptors that were opened since then and are still open.
    pub(super) fn left_open(self) -> usize {
        descriptors().zip(self.descriptors).map_or(0, |(now, then)| now.saturating_sub(then))
    }
}

/// Files, sockets and pipes. What Wasmtime keeps of a memory's first pages is a file in memory, and it keeps them for those slots
/// of its pool that are warm.
fn descriptors() -> Option<usize> {
    let entries = Path::new("/proc/self/fd").read_dir().ok()?.filter_map(Result::ok);
    let is_counted = |target: std::path::PathBuf| !target.to_string_lossy().starts_with("/memfd:");
    Some(entries.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(is_counted)).count())
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
