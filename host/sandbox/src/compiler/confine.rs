//! What a process that compiles takes from itself before it reads a byte that somebody else wrote: memory, time, files, network,
//! other processes. What it keeps is what Cranelift and its threads need, found by trying.

use std::io;

/// Open files; the compiler opens none, and a pipe to each side and the log are open already.
#[cfg(unix)]
const FILES: u64 = 8;
/// Address space that the C library reserves for the heaps of so many threads, without using it.
#[cfg(unix)]
const RESERVED: u64 = super::MAX_COMPILE_THREADS as u64 * (128 << 20);

/// Limits this process: `memory` bytes of memory that it can write, beyond what it has, `seconds` of all its threads' computing,
/// no files written, no core dumped. The process goes when the thread goes that started it.
///
/// # Errors
/// The system's, where a limit cannot be set.
#[cfg(unix)]
pub(super) fn limit(memory: u64, seconds: u64) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let set = |resource, current: u64, maximum: u64| {
        setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) }).map_err(io::Error::from)
    };
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, 0, 0)?;
    set(Resource::Nofile, FILES, FILES)?;
    // At the first the system says so with a signal of its own, at the second it kills.
    set(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    let [data, space] = used()?;
    let data = data.saturating_add(memory);
    set(Resource::Data, data, data)?;
    // Where the first is unknown to the system, this holds.
    let space = space.saturating_add(memory).saturating_add(RESERVED);
    set(Resource::As, space, space)
}

/// Where there are no such limits, the caller is told.
#[cfg(not(unix))]
pub(super) fn limit(_: u64, _: u64) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Bytes that this process can write, and of its address space; guesses where the system does not tell.
#[cfg(unix)]
fn used() -> io::Result<[u64; 2]> {
    const USUAL: u64 = 512 << 20;
    let status = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok([USUAL; 2]),
        Err(error) => return Err(error),
    };
    Ok(["VmData:", "VmSize:"].map(|key| {
        let value =
            status.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        value.map_or(USUAL, |kilobytes| kilobytes << 10)
    }))
}

/// Takes from this thread, and from all that it starts, every call of the system but those that computing needs. It cannot be
/// undone.
///
/// # Errors
/// Where the system has no such filter or refuses this one.
#[cfg(target_os = "linux")]
pub(super) fn filter() -> io::Result<()> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    // The first leaves all else to the second: of two answers the system takes the stricter one.
    for (name, rules) in [("threads", linux::threads()), ("calls", linux::calls(std::process::id()))] {
        let json = serde_json::json!({ name: rules }).to_string();
        let filters = seccompiler::compile_from_json(json.as_bytes(), arch).map_err(io::Error::other)?;
        for filter in filters.values() {
            seccompiler::apply_filter(filter).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Where there is no such filter, the caller is told.
#[cfg(not(target_os = "linux"))]
pub(super) fn filter() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no seccomp"))
}

#[cfg(target_os = "linux")]
mod linux {
    use serde_json::{Value, json};

    const EPERM: u32 = 1;
    const ENOSYS: u32 = 38;
    const CLONE_THREAD: u32 = 0x0001_0000;
    const PROT_EXEC: u32 = 4;
    /// The descriptor of memory that is no file's.
    const NO_FILE: u32 = u32::MAX;

    /// Calls that only touch this process's memory, threads, signals and clocks.
    const FREE: [&str; 21] = [
        // Memory.
        "brk",
        "munmap",
        "mremap",
        "madvise",
        // Threads: starting, waiting, ending.
        "futex",
        "set_robust_list",
        "rseq",
        "sched_yield",
        "sched_getaffinity",
        "gettid",
        "getpid",
        "exit",
        "exit_group",
        // The standard library's handling of stack overflows, and a thread's start.
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "sigaltstack",
        // Waiting, which may have been interrupted.
        "restart_syscall",
        "clock_gettime",
        // Seeds of hash tables.
        "getrandom",
        // The pipes' ends.
        "close",
    ];

    /// What starts a thread may start nothing else. The system's newer call hides what it is asked for behind a pointer, so it
    /// is said not to be there, and the C library falls back to the older one.
    pub(super) fn threads() -> Value {
        json!({ "mismatch_action": "allow", "match_action": { "errno": ENOSYS }, "filter": [{ "syscall": "clone3" }] })
    }

    /// Everything that is not here fails as forbidden.
    pub(super) fn calls(pid: u32) -> Value {
        let is = |index: u8, value: u32| json!({ "index": index, "type": "dword", "op": "eq", "val": value });
        let masked = |index: u8, mask: u32, value: u32| json!({ "index": index, "type": "dword", "op": { "masked_eq": mask }, "val": value });
        let rule = |name: &str, args: Vec<Value>| json!({ "syscall": name, "args": args });
        let mut rules: Vec<Value> = FREE.iter().map(|name| json!({ "syscall": name })).collect();
        rules.extend([
            json!({ "syscall": "clone3" }),
            rule("clone", vec![masked(0, CLONE_THREAD, CLONE_THREAD)]),
            // Memory of its own, and none that could run.
            rule("mmap", vec![masked(2, PROT_EXEC, 0), is(4, NO_FILE)]),
            rule("mprotect", vec![masked(2, PROT_EXEC, 0)]),
            // Standard input, output and error, whatever else this process was given by those before it.
            rule("read", vec![is(0, 0)]),
            rule("write", vec![is(0, 1)]),
            rule("write", vec![is(0, 2)]),
            rule("writev", vec![is(0, 2)]),
            // It may end itself, as an abort does, and nobody else.
            rule("tgkill", vec![is(0, pid)]),
        ]);
        json!({ "mismatch_action": { "errno": EPERM }, "match_action": "allow", "filter": rules })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{calls, threads};

    /// Names of calls differ by machine.
    #[test]
    fn the_filter_is_one_on_every_machine_that_has_it() {
        for arch in ["x86_64", "aarch64"] {
            for rules in [threads(), calls(7)] {
                let json = serde_json::json!({ "rules": rules }).to_string();
                let arch = arch.try_into().expect("it is known");
                let compiled = seccompiler::compile_from_json(json.as_bytes(), arch);
                assert!(compiled.is_ok_and(|filters| filters.len() == 1), "{arch:?}");
            }
        }
    }
}
