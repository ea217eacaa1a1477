//! Why a guest's call ended without an answer: which limit, or which fault, in words for the operator and without a path or a
//! backtrace.

use floe_flow::{Failure, FailureKind, Resource};
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;
use wasmtime_wasi::I32Exit;

use crate::engine::WASM_STACK;
use crate::limiter::Limiter;
use crate::state::{Denied, Identity, OutOfTime, Reached};
use crate::tape::Conflict;
use crate::text::plain;

/// What a call was given, for the failure that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    /// Units of fuel.
    pub(crate) fuel: u64,
    /// Milliseconds until the call's deadline.
    pub(crate) wall_ms: u64,
    /// The deadline is the attempt's, sooner than the plugin's limit.
    pub(crate) wall_of_attempt: bool,
}

/// The time is over: of the call or of the attempt.
pub(crate) fn out_of_time(plugin: &Identity, given: Given) -> Failure {
    if given.wall_of_attempt {
        // The flow's own words, which it uses where its timer is the first to notice.
        return Failure::new(FailureKind::TimedOut, "the attempt took longer than the node's `policy.timeout`");
    }
    plugin.limit(FailureKind::TimedOut, "wall", given.wall_ms, given.wall_ms)
}

/// What the error that ended the call means. `stderr` is what the guest printed last.
pub(crate) fn failure(error: &wasmtime::Error, plugin: &Identity, limiter: &Limiter, given: Given, stderr: &str) -> Failure {
    if let Some(failure) = limit(error, plugin, limiter, given) {
        return failure;
    }
    if let Some(Denied(failure)) = error.downcast_ref() {
        return failure.clone();
    }
    if let Some(conflict) = error.downcast_ref::<Conflict>() {
        return Failure::new(FailureKind::Conflict, conflict.to_string());
    }
    let said = last_words(stderr);
    let message = match (error.downcast_ref::<I32Exit>(), error.downcast_ref::<Trap>()) {
        (Some(I32Exit(status)), _) => format!("the plugin exited with status {status} instead of returning"),
        // How a panic of a compiled language ends.
        (_, Some(Trap::UnreachableCodeReached)) if said.is_some() => "the plugin panicked".to_owned(),
        (_, Some(trap)) => format!("the plugin crashed: {}", trap.to_string().trim_start_matches("wasm trap: ")),
        (None, None) => format!("the plugin broke the contract: {}", plain(&error.root_cause().to_string(), 512)),
    };
    let message = said.map_or_else(|| message.clone(), |said| format!("{message}: {said}"));
    Failure::new(FailureKind::Internal, message)
}

/// The failure, if a limit ended the call.
fn limit(error: &wasmtime::Error, plugin: &Identity, limiter: &Limiter, given: Given) -> Option<Failure> {
    let exhausted = |limit, used, max| Some(plugin.limit(FailureKind::Exhausted, limit, used, max));
    if let Some(Reached { limit, used, max }) = error.downcast_ref() {
        if *limit == Resource::HostCalls.name() {
            return Some(plugin.over(Resource::HostCalls, *used, *max));
        }
        return exhausted(limit, *used, *max);
    }
    if error.is::<OutOfTime>() {
        return Some(out_of_time(plugin, given));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return Some(plugin.over(Resource::Fuel, given.fuel, given.fuel)),
        Some(Trap::Interrupt) => return Some(out_of_time(plugin, given)),
        Some(Trap::StackOverflow) => {
            let message =
                format!("limit `stack` reached: the plugin's calls are nested beyond {WASM_STACK} bytes; this is fixed");
            let mut failure = Failure::new(FailureKind::Exhausted, message);
            failure.detail = Some(serde_json::json!({ "limit": "stack", "used": WASM_STACK, "max": WASM_STACK }));
            return Some(failure);
        }
        _ => {}
    }
    // A program that gets no memory aborts, and so does one that is not instantiated; what was refused before says why.
    let aborted = matches!(error.downcast_ref::<Trap>(), None | Some(Trap::UnreachableCodeReached));
    if let Some(refused) = limiter.refused.filter(|_| aborted && !error.is::<I32Exit>()) {
        if refused.limit == Resource::Memory.name() {
            return Some(plugin.over(Resource::Memory, refused.wanted, refused.max));
        }
        return exhausted(refused.limit, refused.wanted, refused.max);
    }
    let limits = &plugin.limits;
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return exhausted("resources", u64::from(limits.resources) + 1, limits.resources.into());
    }
    // Wasmtime has no types for these errors; a test holds each text.
    let cause = error.root_cause().to_string();
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        return exhausted("hostcall", limits.hostcall.saturating_add(1), limits.hostcall);
    }
    if cause.contains("total size of fields exceeds limit") {
        return exhausted("fields", limits.fields.saturating_add(1), limits.fields);
    }
    if cause.contains("store handle limit exceeded") {
        return exhausted("handles", u64::from(limits.handles) + 1, limits.handles.into());
    }
    let counted = [
        ("instance", "instances", limits.instances),
        ("table", "tables", limits.tables),
        ("memory", "memories", limits.memories),
    ];
    counted.into_iter().find_map(|(what, limit, max)| {
        let used = cause.strip_prefix(&format!("resource limit exceeded: {what} count too high at "))?;
        exhausted(limit, used.parse().unwrap_or(u64::from(max) + 1), max.into())
    })
}

/// What a program said before it died: the message of a Rust panic, else the last line.
fn last_words(stderr: &str) -> Option<String> {
    let lines: Vec<&str> = stderr.lines().collect();
    let said = match lines.iter().rposition(|line| line.contains("panicked at ")) {
        // The line with the place comes first, the hint about backtraces last.
        Some(at) => lines[at + 1..].iter().take_while(|line| !line.starts_with("note: ")).copied().collect::<Vec<_>>().join(" "),
        None => lines.iter().rfind(|line| !line.trim().is_empty())?.to_string(),
    };
    Some(plain(said.trim(), 1024)).filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::last_words;

    #[test]
    fn a_panic_is_told_without_its_place() {
        let rust = "some line\n\nthread '<unnamed>' (1) panicked at /home/someone/src/lib.rs:3:5:\nboom\nagain\nnote: run with `RUST_BACKTRACE=1`\n";
        assert_eq!(last_words(rust).as_deref(), Some("boom again"));
        assert_eq!(last_words("Traceback\n  File\nValueError: \u{1b}[1mx\n\n").as_deref(), Some("ValueError: x"));
        assert_eq!(last_words("\n \n"), None);
    }
}
