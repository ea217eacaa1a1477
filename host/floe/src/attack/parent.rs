//! Runs cases in processes of their own, a few to a process, and survives whatever they do.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use tempfile::TempDir;

use super::child::{Line, Seen};
use super::corpus::Run;
use super::judge::Logged;
use super::neighbour::Fared;
use super::server::SECRET;
use crate::cli::AttackArgs;
use crate::{Error, Exit};

/// Lines of a child that wait to be read.
const LINES: usize = 64;
/// A process that says nothing before its first run has a sandbox and a neighbour to make.
const STARTING: Duration = Duration::from_secs(60);

/// Starts processes.
#[derive(Debug)]
pub(super) struct Parent<'a> {
    args: &'a AttackArgs,
    patience: Duration,
    /// Compiled code and the log of the processes, for as long as this lasts.
    folder: TempDir,
}

/// How a run ended, for whoever watched from outside.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The process lived to tell.
    Seen(Box<Seen>, Logged),
    /// It did not, and this is how it ended.
    Died(String),
    /// The case cannot be made.
    Unfit(String),
}

struct Process {
    child: Child,
    lines: Receiver<Line>,
    log: File,
}

impl<'a> Parent<'a> {
    pub(super) fn new(args: &'a AttackArgs, patience: Duration) -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        Ok(Self { args, patience, folder })
    }

    /// The neighbour without an attack.
    pub(super) fn alone(&self) -> Result<Fared, Error> {
        let mut process = self.start("")?;
        match process.lines.recv_timeout(STARTING) {
            Ok(Line::Alone(fared)) => {
                process.child.wait()?;
                Ok(fared)
            }
            Ok(_) | Err(_) => Err(process.failed().map_or_else(|error| error, Error::wrong)),
        }
    }

    /// Runs these. After a death the rest has another process.
    pub(super) fn run<'r>(&self, runs: &[Run<'r>], mut ended: impl FnMut(Run<'r>, Outcome)) -> Result<(), Error> {
        let mut left = runs;
        while !left.is_empty() {
            let names: Vec<String> = left.iter().map(Run::name).collect();
            let mut process = self.start(&names.join(","))?;
            let mut died = false;
            while let (Some((run, rest)), false) = (left.split_first(), died) {
                let outcome = process.watch(self.patience)?;
                left = rest;
                died = matches!(outcome, Outcome::Died(_));
                ended(*run, outcome);
            }
            let last = runs[runs.len() - left.len() - 1];
            if !died && let Some(how) = process.ends_badly(self.patience)? {
                ended(last, Outcome::Died(how));
            }
        }
        Ok(())
    }

    fn start(&self, names: &str) -> Result<Process, Error> {
        let log = self.folder.path().join("log");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--log", "info", "attack", "--child", names]);
        if let Some(flow) = &self.args.flow {
            command.arg(flow);
        }
        if let Some(plugin) = &self.args.plugin {
            command.args(["--plugin", plugin]);
        }
        command.args(["--profile", floe_sandbox::Profile::from(self.args.profile).name()]);
        command.args(self.args.limits.iter().flat_map(|limit| ["--limit", limit]));
        command.env("FLOE_CACHE", self.folder.path().join("cache")).env("NO_COLOR", "1").env(SECRET.0, SECRET.1);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        Process::start(&mut command, log)
    }
}

impl Process {
    fn start(command: &mut Command, log: PathBuf) -> Result<Self, Error> {
        let mut child = command.spawn()?;
        let out = child.stdout.take().expect("its standard output is a pipe");
        let (tx, lines) = sync_channel(LINES);
        let read = move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { return };
                if tx.send(line).is_err() {
                    return;
                }
            }
        };
        // It ends with the pipe.
        std::thread::Builder::new().name("floe-attack".to_owned()).spawn(read)?;
        Ok(Self { child, lines, log: File::open(log)? })
    }

    /// Waits for the end of the next run.
    fn watch(&mut self, patience: Duration) -> Result<Outcome, Error> {
        match self.lines.recv_timeout(STARTING) {
            Ok(Line::Begun(_)) => {}
            Ok(_) | Err(_) => return self.failed().map(Outcome::Died),
        }
        match self.lines.recv_timeout(patience) {
            Ok(Line::Seen(seen)) => {
                // The process writes its log before it says that the run is over.
                let logged = self.logged()?;
                Ok(Outcome::Seen(seen, logged))
            }
            Ok(Line::Unfit(why)) => Ok(Outcome::Unfit(why)),
            Err(RecvTimeoutError::Timeout) => {
                self.child.kill()?;
                self.child.wait()?;
                Ok(Outcome::Died(format!("it still ran after {patience:?}, and its process was killed")))
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait()?;
                let logged = self.logged()?;
                let said = logged.panicked.map(|said| format!(": {said}")).unwrap_or_default();
                Ok(Outcome::Died(format!("the host died, {}{said}", how(status))))
            }
        }
    }

    /// What has come into the log since the last time.
    fn logged(&mut self) -> Result<Logged, Error> {
        let mut text = Vec::new();
        self.log.read_to_end(&mut text)?;
        Ok(Logged::read(&text))
    }

    /// All that it was to run is over, and it is to end by itself; if it does not, how it ended.
    fn ends_badly(mut self, patience: Duration) -> Result<Option<String>, Error> {
        if !matches!(self.lines.recv_timeout(patience), Err(RecvTimeoutError::Disconnected)) {
            self.child.kill()?;
            self.child.wait()?;
            return Ok(Some(format!("its process did not end within {patience:?}, and was killed")));
        }
        let status = self.child.wait()?;
        Ok((!status.success()).then(|| format!("the host died when all was over, {}", how(status))))
    }

    /// It ended before it began, and not by itself: how. If it did by itself, it has said why.
    fn failed(&mut self) -> Result<String, Error> {
        // Where it has ended there is nothing to kill.
        let _ = self.child.kill();
        let status = self.child.wait()?;
        let mut text = String::new();
        self.log.read_to_string(&mut text)?;
        match status.code() {
            Some(code) if code == i32::from(Exit::Wrong.code()) => Err(Error::wrong(text.trim().trim_start_matches("error: "))),
            _ => Ok(format!("the host died, {}", how(status))),
        }
    }
}

/// How a process ended.
fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"))
}
