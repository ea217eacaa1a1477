//! The other side: the process that compiles one component and ends.
//!
//! It reads a component from standard input and writes an [`Answer`](super::answer) to standard output. Before the first byte it
//! limits itself, so that whatever the component does to the compiler is done without files, network or other processes.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use wasmtime::Engine;

use super::answer::{Kind, header};
use super::check::{CHECK, check};
use super::confine;
use crate::engine::{compiler, fingerprint};

/// Compiles one component in this process, which must do nothing else: to be called as the first thing of a program that
/// [`Compiler::Child`](crate::Compiler) starts, with the arguments that follow those named there.
///
/// It takes this process's rights away and does not give them back.
pub fn compile_child(args: &[OsString]) -> ExitCode {
    let numbers: Vec<u64> = args.iter().filter_map(|arg| arg.to_str()?.parse().ok()).collect();
    let done = match (args, numbers.as_slice()) {
        ([_, _], &[memory, seconds]) => compile(memory, seconds),
        ([check_only, _], &[memory]) if check_only == CHECK => check(memory),
        _ => Err(io::Error::other("this is started by floe itself")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note("the process that compiles", &error);
            ExitCode::FAILURE
        }
    }
}

fn compile(memory: u64, seconds: u64) -> io::Result<()> {
    // Before the limits: it looks at the machine.
    let engine = compiler().map_err(io::Error::other)?;
    confine(memory, seconds);

    let (kind, content) = match read_and_compile(&engine) {
        Ok(compiled) => compiled,
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => (Kind::OutOfMemory, Vec::new()),
        Err(error) => return Err(error),
    };
    let mut out = io::stdout().lock();
    out.write_all(&header(kind, &fingerprint(&engine), &content))?;
    out.write_all(&content)?;
    out.flush()
}

fn read_and_compile(engine: &Engine) -> io::Result<(Kind, Vec<u8>)> {
    let mut component = Vec::new();
    // Bounded by whoever writes it, and by this process's limit.
    io::stdin().lock().read_to_end(&mut component)?;
    match engine.precompile_component(&component) {
        Ok(code) => Ok((Kind::Code, code)),
        Err(error) if error.is::<wasmtime::OutOfMemory>() => Err(io::ErrorKind::OutOfMemory.into()),
        Err(error) => Ok((Kind::Refused, crate::sandbox::reason(&error).into_bytes())),
    }
}

/// What cannot be limited on this system is said, and the rest holds.
pub(super) fn confine(memory: u64, seconds: u64) {
    if let Err(error) = confine::limit(memory, seconds) {
        note("not all limits of this process could be set", &error);
    }
    if let Err(error) = confine::filter() {
        note("calls of the system are not filtered", &error);
    }
}

/// For the debug log of who started this process.
fn note(what: &str, error: &dyn Display) {
    let _ = writeln!(io::stderr().lock(), "{what}: {error}");
}
