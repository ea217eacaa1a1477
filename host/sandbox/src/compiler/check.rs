//! Whether a process that compiles is confined on this machine: it confines itself and tries what it must not be able to do.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::child::confine;

/// The argument that asks for it.
pub(super) const CHECK: &str = "check";
/// CPU seconds of a check.
const SECONDS: u64 = 10;

/// What a compiling process could do before it confined itself, and can do after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Each thing that it must not be able to do.
    pub attempts: Vec<Attempt>,
}

/// One thing that a compiling process must not be able to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What was tried.
    pub what: String,
    /// It was refused before too, so that it shows nothing.
    pub refused_before: bool,
    /// It was refused once the process was confined.
    pub refused: bool,
}

impl Confinement {
    /// Whether everything was refused.
    pub fn is_whole(&self) -> bool {
        self.attempts.iter().all(|attempt| attempt.refused)
    }
}

/// Tries everything, confines itself, tries again, and writes what it found to standard output.
pub(super) fn check(memory: u64) -> io::Result<()> {
    let before = attempts(memory);
    confine(memory, SECONDS);
    let after = attempts(memory);
    let attempts = before.into_iter().zip(after);
    let attempts =
        attempts.map(|((what, refused_before), (_, refused))| Attempt { what: what.to_owned(), refused_before, refused });
    let found = Confinement { attempts: attempts.collect() };
    let mut out = io::stdout().lock();
    out.write_all(&serde_json::to_vec(&found)?)?;
    out.flush()
}

fn attempts(memory: u64) -> Vec<(&'static str, bool)> {
    fn forbidden<T>(tried: io::Result<T>) -> bool {
        tried.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }
    let more = usize::try_from(memory).unwrap_or(usize::MAX / 4).saturating_add(64 << 20);
    vec![
        ("read a file", forbidden(File::open("/"))),
        ("write a file", forbidden(OpenOptions::new().write(true).open("/dev/null"))),
        ("list a folder", forbidden(std::fs::read_dir("/"))),
        // Nobody listens there: what is not forbidden is refused or goes nowhere.
        ("connect to an address", forbidden(TcpStream::connect("127.0.0.1:9"))),
        ("open a socket", forbidden(UdpSocket::bind("127.0.0.1:0"))),
        ("write to what is open but not its output", forbidden(write_to_input())),
        ("start a program", forbidden(Command::new("/bin/true").stdin(Stdio::inherit()).status())),
        ("signal another process", forbidden(signal_parent())),
        ("raise its limits", forbidden(raise())),
        ("use more memory than it was given", Vec::<u8>::new().try_reserve_exact(more).is_err()),
    ]
}

/// Its standard input is open for writing too: see [`ask`].
#[cfg(unix)]
fn write_to_input() -> io::Result<()> {
    rustix::io::write(io::stdin(), b"x").map(|_| ()).map_err(io::Error::from)
}

#[cfg(not(unix))]
fn write_to_input() -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn signal_parent() -> io::Result<()> {
    let parent = rustix::process::getppid().ok_or(ErrorKind::NotFound)?;
    rustix::process::test_kill_process(parent).map_err(io::Error::from)
}

#[cfg(not(unix))]
fn signal_parent() -> io::Result<()> {
    Ok(())
}

/// Asks for the limit that there is, which everybody may unless calls are filtered.
#[cfg(unix)]
fn raise() -> io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    setrlimit(Resource::Core, getrlimit(Resource::Core)).map_err(io::Error::from)
}

#[cfg(not(unix))]
fn raise() -> io::Result<()> {
    Ok(())
}

/// Starts the program that compiles and has it check itself.
///
/// # Errors
/// Where it does not start, or says something else.
pub(super) fn ask(program: &PathBuf, args: &[OsString], memory: u64) -> io::Result<Confinement> {
    #[cfg(unix)]
    let input = Stdio::from(OpenOptions::new().read(true).write(true).open("/dev/null")?);
    #[cfg(not(unix))]
    let input = Stdio::null();
    let asked = Command::new(program)
        .args(args)
        .args([CHECK, &memory.to_string()])
        .env_clear()
        .current_dir("/")
        .stdin(input)
        .stderr(Stdio::null())
        .output()?;
    Ok(serde_json::from_slice(&asked.stdout)?)
}
