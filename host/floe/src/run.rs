//! `floe run`: a flow over an input.
//!
//! The main thread submits and reads results; nodes and guests run on the sandbox's threads; input, output and events have a
//! thread each. Every stage is bounded by the one behind it.

mod input;
mod interrupt;
mod log;
mod output;
mod watch;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{End, Flow, Handle, Item, Submission};
use indicatif::ProgressBar;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::RunArgs;
use crate::file::{self, Bytes};
use crate::settings::Settings;
use crate::{Error, Exit, assemble, builder, start};

pub use log::start as start_log;

use input::{Line, Reading};
use interrupt::Interrupts;
use output::{Gone, Lines, Output};
use watch::Watch;

/// How long the first Ctrl-C waits for what is in flight.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// Bytes of a piece of a stream that the log shows.
const SHOWN: usize = 512;
/// What the summary calls traces whose results nobody took.
const NOT_WRITTEN: &str = "not written";

/// Runs the flow over the input and returns how it went.
pub fn run(args: &RunArgs, settings: &Settings, mut started: Instant) -> Result<Exit, Error> {
    check_files(args)?;
    let flow = file::Flow::load(&args.flow, &args.set)?;
    if args.build {
        builder::build_for_flow(&flow, args.trust)?;
        // The summary is about the flow, not about compilers.
        started = Instant::now();
    }
    let sandbox = start::sandbox(settings)?;
    start::runtime()?.block_on(async {
        let assembled = assemble::assemble(&flow, &sandbox, settings.cores.get()).await?;
        for warning in &assembled.warnings {
            tracing::warn!("{warning}");
        }
        let (watch, events) = Watch::new(started, args.events.as_deref())?;
        let watch = Arc::new(watch);
        let mut config = start::config(&flow, &sandbox);
        config.in_flight = args.in_flight;
        config.in_flight_per_tenant = args.in_flight;
        config.observer = Some(Arc::clone(&watch) as _);
        let reading = Reading { tenant: args.tenant.as_str().into(), envelope: args.envelope, payload: config.budget.payload };
        let lines = input::open(&args.input, reading)?;
        let output = Output::open(args.output.as_deref())?;
        let running = Flow::start(assembled.graph, config);

        let bar = log::progress(settings);
        let mut run = Run {
            flow: running,
            lines: output.lines(),
            in_flight: Arc::new(Semaphore::new(args.in_flight)),
            traces: JoinSet::new(),
            ends: BTreeMap::new(),
            bar,
        };
        let fed = run.feed(lines, &watch).await;
        run.bar.finish_and_clear();
        let Run { ends, flow: running, lines, .. } = run;
        drop((running, lines));
        let written = output.close();
        let numbers = watch.numbers();
        drop(watch);
        let events = events.map_or(Ok(()), watch::EventFile::close);
        let summary = Summary { ends, numbers, took: started.elapsed() };
        summary.print(settings);
        summary.exit(fed, written, events, args.output.as_deref(), args.events.as_deref())
    })
}

/// An output that is the input would destroy it, and two outputs in one file each other.
fn check_files(args: &RunArgs) -> Result<(), Error> {
    let input = Some(args.input.as_path()).filter(|path| *path != Path::new("-"));
    let files = [("--input", input), ("--output", args.output.as_deref()), ("--events", args.events.as_deref())];
    for (position, (one, first)) in files.iter().enumerate() {
        for (other, second) in &files[position + 1..] {
            if let (Some(first), Some(second)) = (first, second)
                && is_same(first, second)
            {
                let shown = first.display();
                return Err(Error::wrong(format!("{one} and {other} are the same file, `{shown}`; give each its own")));
            }
        }
    }
    Ok(())
}

/// Whether two paths lead to one file, or would if it were there. Devices may be named as often as one likes.
fn is_same(first: &Path, second: &Path) -> bool {
    match (first.canonicalize(), second.canonicalize()) {
        (Ok(first), Ok(second)) => first == second && first.is_file(),
        (Err(_), Err(_)) => first == second,
        _ => false,
    }
}

/// Why no more lines are read.
#[derive(Debug)]
enum Fed {
    /// There are no more.
    All,
    /// The caller stopped it.
    Interrupted,
    /// The output is gone.
    OutputGone,
    /// The input cannot be read any further.
    Unreadable(std::io::Error),
}

struct Run {
    flow: Flow,
    lines: Lines,
    /// Bounds traces whose results are not written yet.
    in_flight: Arc<Semaphore>,
    traces: JoinSet<Result<End, Gone>>,
    ends: BTreeMap<&'static str, u64>,
    bar: ProgressBar,
}

impl Run {
    /// Submits line after line and waits for their ends.
    async fn feed(&mut self, mut lines: tokio::sync::mpsc::Receiver<std::io::Result<Line>>, watch: &Watch) -> Fed {
        let mut interrupts = Interrupts::listen();
        let mut redraw = tokio::time::interval(Duration::from_millis(100));
        let mut fed = None;
        while fed.is_none() || !self.traces.is_empty() {
            tokio::select! {
                biased;
                () = interrupts.next() => {
                    drop(lines);
                    self.wind_down(DEFAULT_GRACE, &mut interrupts).await;
                    return Fed::Interrupted;
                }
                () = self.lines.gone() => {
                    drop(lines);
                    self.wind_down(Duration::ZERO, &mut interrupts).await;
                    return Fed::OutputGone;
                }
                Some(ended) = self.traces.join_next() => self.count(ended.ok().as_ref()),
                _ = redraw.tick() => self.bar.set_message(format!("{} hops", count(watch.hops()))),
                (permit, line) = next_line(&self.in_flight, &mut lines), if fed.is_none() => match line {
                    None => fed = Some(Fed::All),
                    Some(Err(error)) => fed = Some(Fed::Unreadable(error)),
                    Some(Ok(line)) => self.submit(line, permit),
                },
            }
        }
        fed.unwrap_or(Fed::All)
    }

    fn submit(&mut self, line: Line, permit: OwnedSemaphorePermit) {
        let (flow, lines) = (self.flow.clone(), self.lines.clone());
        self.traces.spawn(async move {
            let _permit = permit;
            match line.request {
                Ok(submission) => one_trace(&flow, submission, line.number, &lines).await,
                Err(why) => lines.refused(&line.trace, line.number, why).await.map(|()| End::Failed),
            }
        });
    }

    /// Lets what is in flight come to its end for a while, or until the caller asks again.
    async fn wind_down(&mut self, grace: Duration, interrupts: &mut Interrupts) {
        if !grace.is_zero() {
            self.bar.suspend(|| {
                let traces = plural(self.flow.in_flight() as u64, "trace");
                let seconds = grace.as_secs();
                let text = format!("interrupted: {traces} may come to an end within {seconds} s; Ctrl-C again stops them now");
                let _ = writeln!(std::io::stderr(), "{text}");
            });
        }
        let flow = self.flow.clone();
        let stop = async {
            tokio::select! {
                () = flow.stop(grace) => {}
                () = interrupts.next() => flow.stop(Duration::ZERO).await,
            }
        };
        let drain = async {
            let mut ended = Vec::new();
            while let Some(end) = self.traces.join_next().await {
                ended.push(end.ok());
            }
            ended
        };
        let ((), ended) = tokio::join!(stop, drain);
        for end in ended {
            self.count(end.as_ref());
        }
    }

    fn count(&mut self, ended: Option<&Result<End, Gone>>) {
        let end = match ended {
            Some(Ok(end)) => end.name(),
            Some(Err(Gone)) => NOT_WRITTEN,
            None => End::Failed.name(),
        };
        *self.ends.entry(end).or_default() += 1;
        self.bar.inc(1);
    }
}

/// A permit first, so that no line is read that cannot be submitted.
async fn next_line(
    in_flight: &Arc<Semaphore>,
    lines: &mut tokio::sync::mpsc::Receiver<std::io::Result<Line>>,
) -> (OwnedSemaphorePermit, Option<std::io::Result<Line>>) {
    let permit = Arc::clone(in_flight).acquire_owned().await.expect("the semaphore is never closed");
    (permit, lines.recv().await)
}

async fn one_trace(flow: &Flow, submission: Submission, line: u64, lines: &Lines) -> Result<End, Gone> {
    let trace = Arc::clone(&submission.origin.trace);
    let mut handle: Handle = match flow.submit(submission).await {
        Ok(handle) => handle,
        Err(floe_flow::Error::Stopped) => {
            let message = format!("line {line} was read, but the run was stopped before it was taken on");
            return lines.refused(&trace, line, message).await.map(|()| End::Stopped);
        }
        Err(error) => return lines.refused(&trace, line, format!("line {line}: {error}")).await.map(|()| End::Failed),
    };
    while let Some(item) = handle.next().await {
        match item {
            Item::Output { node, message } => lines.output(&trace, line, &node, &message).await?,
            Item::Progress { node, kind, data } => {
                tracing::debug!(target: "plugin", trace = &*trace, node = &*node, kind, data = data.text(), "progress");
            }
            Item::Chunk { node, stream, seq, text, .. } => {
                let text = floe_sandbox::plain(&text, SHOWN);
                tracing::debug!(target: "plugin", trace = &*trace, node = &*node, stream = &*stream, seq, text, "chunk");
            }
            Item::Superseded { node, attempt, .. } => {
                tracing::debug!(target: "plugin", trace = &*trace, node = &*node, attempt, "superseded");
            }
            Item::End(terminal) => {
                if terminal.end != End::Completed {
                    lines.end(&trace, line, &terminal).await?;
                }
                return Ok(terminal.end);
            }
        }
    }
    Ok(End::Cancelled)
}

/// What is said at the end.
struct Summary {
    ends: BTreeMap<&'static str, u64>,
    numbers: watch::Numbers,
    took: Duration,
}

impl Summary {
    fn print(&self, settings: &Settings) {
        let total: u64 = self.ends.values().sum();
        let numbers = &self.numbers;
        let silent = |end: &str| {
            let silent = if end == End::Completed.name() { numbers.silent } else { 0 };
            if silent > 0 { format!(" ({} without an output)", count(silent)) } else { String::new() }
        };
        let ends: Vec<String> =
            self.ends.iter().map(|(end, number)| format!("{} {end}{}", count(*number), silent(end))).collect();
        let quantile = |q| time(Duration::from_micros(numbers.latency.value_at_quantile(q)));
        let mut text = format!("{} in {}", plural(total, "trace"), time(self.took));
        if total > 0 {
            text += &format!(": {}", ends.join(", "));
        }
        text.push('\n');
        if numbers.hops > 0 {
            let rate =
                numbers.hops as f64 / self.took.saturating_sub(numbers.first_hop.unwrap_or_default()).as_secs_f64().max(1e-6);
            text += &format!(
                "{}, {} hops/s; a hop took {} (p50), {} (p99); the first began after {}\n",
                plural(numbers.hops, "hop"),
                count(rate as u64),
                quantile(0.5),
                quantile(0.99),
                time(numbers.first_hop.unwrap_or_default()),
            );
            text += &format!("fuel {}, peak memory of a guest {}\n", count(numbers.fuel), Bytes(numbers.peak_memory));
        }
        if settings.color_errors {
            text = format!("\u{1b}[2m{text}\u{1b}[0m");
        }
        // Nobody reads it if standard error is closed.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn exit(
        &self,
        fed: Fed,
        written: std::io::Result<()>,
        events: std::io::Result<()>,
        output: Option<&Path>,
        events_path: Option<&Path>,
    ) -> Result<Exit, Error> {
        if let Err(error) = written {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                return Err(Error::Output(error));
            }
            let place = output.map_or_else(|| "standard output".to_owned(), |path| format!("`{}`", path.display()));
            return Err(Error::Lost(format!("cannot write the output to {place}: {error}; what it has is not complete")));
        }
        if let (Err(error), Some(path)) = (events, events_path) {
            return Err(Error::Lost(format!("cannot write events to `{}`: {error}; the file is not complete", path.display())));
        }
        match fed {
            Fed::Interrupted => Err(Error::Interrupted),
            Fed::Unreadable(error) => Err(Error::Lost(format!("cannot read the input any further: {error}"))),
            Fed::All | Fed::OutputGone if self.ends.keys().all(|end| *end == End::Completed.name()) => Ok(Exit::Completed),
            Fed::All | Fed::OutputGone => Ok(Exit::Incomplete),
        }
    }
}

/// Groups digits: 12 345.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn plural(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Three digits of a time, in its own unit.
fn time(time: Duration) -> String {
    format!("{time:.2?}")
}
