//! Compiling apart: a process for each component, limited in memory and time, without files and network, which can be killed.
//!
//! The promise is against exhaustion and corruption: a component can make the compiler use all it is given, or crash it, and the
//! host loses nothing but that component. It is not against a component that has a bug of the compiler write wrong code: the code
//! runs here. Start with [`Compiler`]; `child` is the other side, `confine` what that one takes from itself.

mod answer;
mod check;
mod child;
mod confine;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use wasmtime::Engine;

use crate::Error;
use crate::engine::fingerprint;
use crate::trusted::Compiled;

pub use check::{Attempt, Confinement};
pub use child::compile_child;

use answer::{Answer, Kind};

/// Threads of a compilation at most: each has a stack and a heap of its own, which count as memory.
pub const MAX_COMPILE_THREADS: usize = 8;
/// Bytes of what a compiling process says on standard error that are kept for the debug log.
const NOTES: u64 = 8 << 10;
/// For what it said before its end.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// In this process. A component that is too much for the compiler takes the host's memory, and one that takes too long
    /// goes on after its time-out: for tests, and for programs whose components are their own.
    InProcess,
    /// In a process of its own for each, which is limited and can be killed.
    Child {
        /// The program; it calls [`compile_child`] as the first thing it does.
        program: PathBuf,
        /// Its first arguments; those of [`compile_child`] follow.
        args: Vec<OsString>,
    },
}

/// What one compilation may use.
#[derive(Debug, Clone)]
pub(crate) struct Allowance {
    /// Bytes.
    pub(crate) memory: u64,
    pub(crate) time: Duration,
    /// The lines that raise these.
    pub(crate) raise_memory: String,
    pub(crate) raise_time: String,
}

impl Compiler {
    /// Has a compiling process confine itself and try what it must not be able to do. Nothing if components are compiled here.
    ///
    /// # Errors
    /// Where it does not start, or does not answer.
    pub fn check(&self, memory: u64) -> io::Result<Option<Confinement>> {
        match self {
            Self::InProcess => Ok(None),
            Self::Child { program, args } => check::ask(program, args, memory).map(Some),
        }
    }

    /// Compiles. Blocks; a child is killed when `stop` is cancelled, and is gone when this returns.
    pub(crate) fn run(
        &self,
        engine: &Engine,
        bytes: &[u8],
        may: &Allowance,
        stop: &CancellationToken,
    ) -> Result<Compiled, Error> {
        match self {
            Self::InProcess => Compiled::here(engine, bytes).map_err(|error| Error::Compile(crate::sandbox::reason(&error))),
            Self::Child { program, args } => {
                // Of its own, so that it needs nothing of the caller's: some runtimes have no I/O, and the guests' threads do none.
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
                runtime.block_on(apart(program, args, &fingerprint(engine), bytes, may, stop))
            }
        }
    }
}

async fn apart(
    program: &Path,
    args: &[OsString],
    fingerprint: &str,
    bytes: &[u8],
    may: &Allowance,
    stop: &CancellationToken,
) -> Result<Compiled, Error> {
    let mut child = start(program, args, may).map_err(|error| Error::Compiler(format!("it does not start: {error}")))?;
    let talked = tokio::select! {
        talked = talk(&mut child, bytes, may.memory) => talked,
        () = stop.cancelled() => {
            // And waits for its end, so that none is left behind.
            let _ = child.kill().await;
            return Err(Error::CompileTimeout { limit: may.time, raise: may.raise_time.clone() });
        }
    };
    let (answer, notes, status) = talked.map_err(|error| Error::Compiler(error.to_string()))?;
    if !notes.is_empty() {
        debug!(notes, "The process that compiles said something.");
    }
    let Ok(answer) = answer.map_err(|error| debug!(%error, %status, "The process that compiles gave no answer.")) else {
        return Err(died(status, &notes, may));
    };
    match answer.kind {
        Kind::OutOfMemory => Err(Error::CompileMemory { limit: may.memory, raise: may.raise_memory.clone() }),
        Kind::Refused => Err(Error::Compile(crate::text::plain(&String::from_utf8_lossy(&answer.content), 2 << 10))),
        Kind::Code if !status.success() => Err(died(status, &notes, may)),
        Kind::Code => Compiled::by_child(answer.content, &answer.fingerprint, fingerprint)
            .ok_or_else(|| Error::Compiler("it is of another version than this process; start this one again".to_owned())),
    }
}

fn start(program: &Path, args: &[OsString], may: &Allowance) -> io::Result<Child> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_COMPILE_THREADS);
    // Of all threads together; the time on the clock is watched from here.
    let seconds = may.time.as_secs().saturating_add(1).saturating_mul(u64::try_from(threads).unwrap_or(u64::MAX));
    Command::new(program)
        .args(args)
        .args([may.memory.to_string(), seconds.to_string()])
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

type Talked = (io::Result<Answer>, String, ExitStatus);

/// Gives it the component, takes its answer, and sees it end. What gives no proper answer is killed.
async fn talk(child: &mut Child, bytes: &[u8], max: u64) -> io::Result<Talked> {
    let pipes = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
    let ((mut stdin, stdout), mut stderr) = pipes.ok_or_else(|| io::Error::other("it has no pipes"))?;
    let mut said = Vec::new();
    let (answer, status) = {
        let mut listen = pin!(notes(&mut stderr, &mut said));
        let mut ended = pin!(async {
            let feed = async move {
                // If it does not read all, its answer or its end says why.
                let _ = stdin.write_all(bytes).await;
            };
            let mut take = pin!(answer::read(stdout, max));
            let answer = tokio::select! {
                answer = &mut take => answer,
                () = feed => take.await,
            };
            if answer.is_err() {
                let _ = child.start_kill();
            }
            (answer, child.wait().await)
        });
        tokio::select! {
            ended = &mut ended => {
                // What it said before its end is in the pipe.
                let _ = tokio::time::timeout(LAST_WORDS, &mut listen).await;
                ended
            }
            () = &mut listen => ended.await,
        }
    };
    let notes = crate::text::plain(&String::from_utf8_lossy(&said), usize::try_from(NOTES).unwrap_or(usize::MAX));
    Ok((answer, notes, status?))
}

/// The beginning of what it says; the rest is read and dropped, so that it never waits for a reader.
async fn notes(stderr: &mut (impl AsyncRead + Unpin), said: &mut Vec<u8>) {
    let _ = stderr.take(NOTES).read_to_end(said).await;
    let _ = tokio::io::copy(stderr, &mut tokio::io::sink()).await;
}

/// Why a process ended that gave no answer. Where there is no memory Rust says so and aborts; or there is none for a thread.
fn died(status: ExitStatus, notes: &str, may: &Allowance) -> Error {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    #[cfg(unix)]
    if signal == Some(rustix::process::Signal::XCPU.as_raw()) {
        return Error::CompileTimeout { limit: may.time, raise: may.raise_time.clone() };
    }
    if ["memory allocation of ", "ThreadPoolBuildError"].iter().any(|said| notes.contains(said)) {
        return Error::CompileMemory { limit: may.memory, raise: may.raise_memory.clone() };
    }
    match signal {
        Some(signal) => Error::Compiler(format!("it was ended by signal {signal}; nothing of this component was used")),
        None => Error::Compiler(format!("it ended without an answer ({status}); nothing of this component was used")),
    }
}
