//! `floe run`: a flow over an input.
//!
//! The main thread submits and reads results; nodes and guests run on the sandbox's threads; input, output and events have a
//! thread each. Every stage is bounded by the one behind it.

pub(crate) mod durable;
pub(crate) mod input;
mod interrupt;
mod log;
mod output;
mod reader;
mod reload;
mod revoked;
mod summary;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Config, Cursor, End, Flow, JournalError, Observer, Release, Several, TraceError};
use floe_sandbox::Sandbox;
use indicatif::ProgressBar;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cli::{ProcessArgs, ResumeArgs, RunArgs};
use crate::export::Endpoint;
use crate::file::{self, TenantsFile};
use crate::settings::Settings;
use crate::store::Banned;
use crate::{Error, Exit, assemble, builder, export, start, store};

pub use log::start as start_log;

use durable::{Durable, Opened};
use input::{Line, Reading};
use interrupt::Interrupts;
use output::{Lines, Output};
use reader::{Ended, Reader};
use reload::Code;
pub(crate) use summary::count;
use summary::{Summary, plural};
use watch::Watch;

/// What the summary calls traces whose results nobody took.
const NOT_WRITTEN: &str = "not written";

/// Runs the flow over the input and returns how it went.
pub fn run(args: &RunArgs, settings: &Settings, mut started: Instant) -> Result<Exit, Error> {
    let flow = file::Flow::load(&args.flow, &args.set)?;
    if args.build {
        builder::build_for_flow(&flow, args.trust)?;
        // The summary is about the flow, not about compilers.
        started = Instant::now();
    }
    let plan = Plan {
        flow,
        set: args.set.clone(),
        input: Some(args.input.clone()),
        envelope: args.envelope,
        tenant: args.tenant.clone(),
        output: args.output.clone(),
        journal: args.journal.clone(),
        migrate: args.migrate,
        process: args.process.clone(),
    };
    plan.run(settings, started)
}

/// Goes on with a run from its journal and returns how it went.
pub fn resume(args: &ResumeArgs, settings: &Settings, started: Instant) -> Result<Exit, Error> {
    let Some(info) = start::runtime()?.block_on(durable::info_of(&args.journal))? else {
        let message = format!("`{}` holds no run", args.journal.display());
        return Err(Error::wrong(message).with_help("`floe run FLOW --journal FILE` begins one"));
    };
    let folder = Path::new(&info.flow_path).parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let texts = file::Texts { path: info.flow_path.clone(), text: info.flow.as_str().into(), sets: info.set.clone() };
    let plan = Plan {
        flow: file::Flow::read(texts, folder)?,
        set: info.set,
        input: info.input.map(PathBuf::from),
        envelope: info.envelope,
        tenant: info.tenant,
        output: info.output.map(PathBuf::from),
        journal: Some(args.journal.clone()),
        migrate: args.migrate,
        process: args.process.clone(),
    };
    plan.run(settings, started)
}

/// What is to be run, whoever says so.
#[derive(Debug)]
struct Plan {
    flow: file::Flow,
    set: Vec<String>,
    /// None: nothing but what the journal has.
    input: Option<PathBuf>,
    envelope: bool,
    tenant: String,
    output: Option<PathBuf>,
    journal: Option<PathBuf>,
    migrate: bool,
    process: ProcessArgs,
}

impl Plan {
    fn run(&self, settings: &Settings, started: Instant) -> Result<Exit, Error> {
        self.check_files()?;
        self.check_weights()?;
        self.end_revoked()?;
        let tenants = self.process.tenants.as_deref().map(TenantsFile::load).transpose()?;
        let runtime = start::runtime()?;
        let opened = match &self.journal {
            Some(path) => Some(runtime.block_on(Opened::open(path, self.process.journal_max))?),
            None => None,
        };
        let sandbox = start::sandbox_with(settings, |config| {
            config.tenants = tenants.as_ref().map(TenantsFile::ceilings);
            if let Some(opened) = &opened {
                (config.state, config.secret) = (Some(opened.values()), Some(opened.secret));
            }
        })?;
        runtime.block_on(self.run_on(&sandbox, opened, tenants.as_ref(), settings, started))
    }

    async fn run_on(
        &self,
        sandbox: &Sandbox,
        opened: Option<Opened>,
        tenants: Option<&TenantsFile>,
        settings: &Settings,
        started: Instant,
    ) -> Result<Exit, Error> {
        let endpoint = match self.process.metrics {
            Some(address) => Some(export::endpoint(address).await?),
            None => None,
        };
        let assembled = assemble::assemble(&self.flow, sandbox, settings.cores.get()).await?;
        for warning in &assembled.warnings {
            tracing::warn!("{warning}");
        }
        let durable = match opened {
            Some(opened) => Some(Arc::new(Durable::open(opened, self, &assembled).await?)),
            None => None,
        };
        let (watch, events) = Watch::new(started, self.process.events.as_deref())?;
        let watch = Arc::new(watch);
        let observer: Arc<dyn Observer> = match &endpoint {
            Some(endpoint) => Arc::new(Several::new(vec![Arc::clone(&watch) as _, endpoint.observer()])),
            None => Arc::clone(&watch) as _,
        };
        let mut config = self.config(sandbox, observer, durable.as_deref(), tenants);
        let code = Code::begin(&self.flow, sandbox, &assembled.plugins, durable.as_ref(), self.process.reload).await?;
        config.releases = code.versions();
        let lines = self.lines(durable.as_deref(), config.budget.payload)?;
        let output = Output::open(self.output.as_deref(), durable.as_ref())?;
        let serving = endpoint.map(Endpoint::serve).transpose()?;
        let running = Flow::start(assembled.graph, config);

        let bar = log::progress(settings);
        let mut run = Run {
            flow: running,
            lines: output.lines(),
            tenant: self.tenant.as_str().into(),
            durable,
            in_flight: Arc::new(Semaphore::new(self.process.in_flight)),
            traces: JoinSet::new(),
            ends: BTreeMap::new(),
            lost: None,
            watched: code.watch,
            earlier: code.earlier,
            grace: self.process.grace.0,
            bar,
        };
        let fed = match code.reload {
            Some(reload) => tokio::select! {
                fed = run.feed(lines, &watch) => fed,
                never = reload.go_on() => match never {},
            },
            None => run.feed(lines, &watch).await,
        };
        let (ends, written, unfinished) = run.close(output).await;
        if let Some(serving) = serving {
            serving.stop().await;
        }
        let numbers = watch.numbers();
        drop(watch);
        let events = events.map_or(Ok(()), watch::EventFile::close);
        let summary = Summary { ends, numbers, took: started.elapsed(), unfinished };
        summary.print(settings, self.journal.as_deref());
        summary.exit(fed, written, events, self)
    }

    /// How the flow runs: as its file says, and this process.
    fn config(
        &self,
        sandbox: &Sandbox,
        observer: Arc<dyn Observer>,
        durable: Option<&Durable>,
        tenants: Option<&TenantsFile>,
    ) -> Config {
        let mut config = start::config(&self.flow, sandbox);
        config.quotas = tenants.map(|tenants| Arc::new(tenants.quotas()));
        config.spare_slot = tenants.is_some();
        config.in_flight = self.process.in_flight;
        config.in_flight_per_tenant = self.process.in_flight;
        config.weights = self.process.weight.iter().cloned().collect();
        config.observer = Some(observer);
        config.journal = durable.map(|durable| Arc::clone(&durable.journal) as _);
        config.acknowledge = true;
        config
    }

    fn lines(&self, durable: Option<&Durable>, payload: usize) -> Result<Receiver<std::io::Result<Line>>, Error> {
        let reading = Reading { tenant: self.tenant.as_str().into(), envelope: self.envelope, payload };
        let mut read = durable.map_or(Cursor { line: 0, offset: 0 }, |durable| durable.read);
        match self.input.as_deref() {
            Some(path) => {
                if path == Path::new("-") {
                    // Nobody can say how far it was read; what was accepted is known by its id.
                    read = Cursor { line: 0, offset: 0 };
                }
                input::open(path, reading, read)
            }
            None => {
                tracing::warn!("the input was standard input: what had not been accepted is not known here");
                Ok(tokio::sync::mpsc::channel(1).1)
            }
        }
    }

    fn check_weights(&self) -> Result<(), Error> {
        let mut tenants = BTreeSet::new();
        match self.process.weight.iter().find(|(tenant, _)| !tenants.insert(tenant)) {
            Some((tenant, _)) => Err(Error::wrong(format!("--weight names the tenant `{tenant}` twice"))),
            None => Ok(()),
        }
    }

    /// An output that is the input would destroy it, and two outputs in one file each other.
    fn check_files(&self) -> Result<(), Error> {
        let input = self.input.as_deref().filter(|path| *path != Path::new("-"));
        let files = [
            ("--input", input),
            ("--output", self.output.as_deref()),
            ("--events", self.process.events.as_deref()),
            ("--journal", self.journal.as_deref()),
        ];
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
    /// The journal cannot be written.
    Lost(String),
    /// A plugin must not run any more.
    Revoked(String),
    /// The input cannot be read any further.
    Unreadable(std::io::Error),
}

struct Run {
    flow: Flow,
    lines: Lines,
    tenant: Arc<str>,
    durable: Option<Arc<Durable>>,
    /// Bounds traces whose results are not written yet.
    in_flight: Arc<Semaphore>,
    traces: JoinSet<Ended>,
    ends: BTreeMap<&'static str, u64>,
    /// Why the journal cannot be written any more.
    lost: Option<String>,
    /// Says when a plugin must not run any more.
    watched: Arc<store::Watch>,
    /// What unfinished traces of an earlier process began with, until all of them go on.
    earlier: Vec<Release>,
    /// After the first interrupt.
    grace: Duration,
    bar: ProgressBar,
}

impl Run {
    /// Goes on with what is unfinished, then submits line after line, and waits for all ends.
    async fn feed(&mut self, mut lines: Receiver<std::io::Result<Line>>, watch: &Watch) -> Fed {
        let mut interrupts = Interrupts::listen();
        let mut redraw = tokio::time::interval(Duration::from_millis(100));
        let mut recheck = tokio::time::interval(store::RECHECK);
        let unfinished = self.durable.as_ref().map(|durable| durable.unfinished.clone()).unwrap_or_default();
        let mut unfinished = unfinished.into_iter();
        let mut fed = None;
        while fed.is_none() || !self.traces.is_empty() {
            if let Some(why) = self.lost.take() {
                drop(lines);
                self.wind_down(Duration::ZERO, &mut interrupts).await;
                return Fed::Lost(why);
            }
            tokio::select! {
                biased;
                () = interrupts.next() => {
                    drop(lines);
                    self.wind_down(self.grace, &mut interrupts).await;
                    return Fed::Interrupted;
                }
                () = self.lines.gone() => {
                    drop(lines);
                    self.wind_down(Duration::ZERO, &mut interrupts).await;
                    return Fed::OutputGone;
                }
                _ = recheck.tick() => match self.watched.look() {
                    Some(Banned { is_newest: true, why, .. }) => {
                        drop(lines);
                        self.flow.fail_all(revoked::CODE, &why);
                        self.wind_down(Duration::ZERO, &mut interrupts).await;
                        return Fed::Revoked(why);
                    }
                    Some(Banned { release, why, .. }) => {
                        let ended = self.flow.fail_release(release, revoked::CODE, &why);
                        tracing::warn!(ended, "{why}; traces on another version go on");
                    }
                    None => {}
                },
                Some(ended) = self.traces.join_next() => self.count(ended.ok()),
                _ = redraw.tick() => self.bar.set_message(format!("{} hops", count(watch.hops()))),
                permit = permit(&self.in_flight), if unfinished.len() > 0 => {
                    if let Some(trace) = unfinished.next() {
                        self.go_on(trace, permit);
                    }
                    if unfinished.len() == 0 {
                        self.earlier.clear();
                    }
                }
                (permit, line) = next_line(&self.in_flight, &mut lines), if fed.is_none() && unfinished.len() == 0 => match line {
                    None => fed = Some(Fed::All),
                    Some(Err(error)) => fed = Some(Fed::Unreadable(error)),
                    Some(Ok(line)) => self.submit(line, permit).await,
                },
            }
        }
        self.lost.take().map_or(fed.unwrap_or(Fed::All), Fed::Lost)
    }

    /// Hands a line to the flow, in order; the rest is done beside others. There is credit for it: as much as permits.
    async fn submit(&mut self, line: Line, permit: OwnedSemaphorePermit) {
        let reader = self.reader(line.number);
        let Line { trace, cursor, number, request } = line;
        let submission = match request {
            Ok(submission) => submission,
            Err(message) => return self.refuse(reader, trace, cursor, refusal("invalid-input", message), permit),
        };
        let offered = match self.flow.offer(submission).await {
            Err(error @ floe_flow::Error::RateLimited { retry_after, .. }) => {
                let detail = serde_json::json!({ "retry_after_ms": u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX) });
                let error = TraceError { detail: Some(detail), ..refusal("rate_limited", format!("line {number}: {error}")) };
                return self.refuse(reader, trace, cursor, error, permit);
            }
            Err(error @ floe_flow::Error::UnknownTenant(_)) => {
                return self.refuse(reader, trace, cursor, refusal("denied", format!("line {number}: {error}")), permit);
            }
            offered => offered,
        };
        self.traces.spawn(async move {
            let _permit = permit;
            let accepted = match offered {
                Ok(offered) => offered.accepted().await,
                Err(error) => Err(error),
            };
            reader.accepted(&trace, accepted).await.unwrap_or_else(|ended| ended)
        });
    }

    /// Says that a line is not taken on. With a journal it is known there, so that it is refused once.
    fn refuse(&mut self, reader: Reader, trace: Arc<str>, cursor: Cursor, error: TraceError, permit: OwnedSemaphorePermit) {
        let refused = self.durable.as_ref().map(|durable| durable.refuse(&trace, &self.tenant, cursor, &error));
        self.traces.spawn(async move {
            let _permit = permit;
            if let Some(refused) = refused {
                match refused.await {
                    Ok(()) => {}
                    Err(JournalError::Duplicate(_)) => return Ended::Before,
                    Err(error) => return Ended::Lost(error.to_string()),
                }
            }
            let written = reader.lines.refused(&trace, reader.line, &error).await;
            written.map_or_else(Ended::from, |()| Ended::As(End::Failed))
        });
    }

    /// Takes up a trace that another process began.
    fn go_on(&mut self, trace: Arc<str>, permit: OwnedSemaphorePermit) {
        let (flow, reader, earlier) = (self.flow.clone(), self.reader(0), self.earlier.clone());
        self.traces.spawn(async move {
            let _permit = permit;
            let resumed = flow.resume(&trace).await;
            drop(earlier);
            match resumed {
                Ok(handle) => {
                    let line = handle.cursor().map_or(0, |cursor| cursor.line);
                    let reader = Reader { line, ..reader };
                    reader.read(&trace, handle).await.unwrap_or_else(|ended| ended)
                }
                Err(floe_flow::Error::Journal(why)) => Ended::Lost(why),
                Err(error) => {
                    // It stays in the journal.
                    tracing::error!("{error}");
                    Ended::As(End::Stopped)
                }
            }
        });
    }

    fn reader(&self, line: u64) -> Reader {
        Reader { lines: self.lines.clone(), line, durable: self.durable.is_some() }
    }

    /// Stops what still runs, and closes output and journal: how traces ended, whether all was written, and how many are unfinished.
    async fn close(self, output: Output) -> (BTreeMap<&'static str, u64>, std::io::Result<()>, u64) {
        self.bar.finish_and_clear();
        let Self { ends, flow, lines, durable, .. } = self;
        // Whatever has not ended stays in the journal; nothing holds that one any more.
        flow.stop(Duration::ZERO).await;
        drop((flow, lines));
        let written = output.close().await;
        let unfinished = match durable {
            Some(durable) => durable.close().await as u64,
            None => 0,
        };
        (ends, written, unfinished)
    }

    /// Lets what is in flight come to its end for a while, or until the caller asks again.
    async fn wind_down(&mut self, grace: Duration, interrupts: &mut Interrupts) {
        if !grace.is_zero() {
            self.bar.suspend(|| {
                let traces = plural(self.flow.in_flight() as u64, "trace");
                let text = format!("interrupted: {traces} may come to an end within {grace:?}; Ctrl-C again stops them now");
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
            self.count(end);
        }
    }

    fn count(&mut self, ended: Option<Ended>) {
        let end = match ended {
            Some(Ended::As(end)) => end.name(),
            Some(Ended::Before) => return,
            Some(Ended::Gone) => NOT_WRITTEN,
            Some(Ended::Lost(why)) => {
                self.lost.get_or_insert(why);
                End::Stopped.name()
            }
            None => End::Failed.name(),
        };
        *self.ends.entry(end).or_default() += 1;
        self.bar.inc(1);
    }
}

async fn permit(in_flight: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(in_flight).acquire_owned().await.expect("the semaphore is never closed")
}

/// A permit first, so that no line is read that cannot be submitted.
async fn next_line(
    in_flight: &Arc<Semaphore>,
    lines: &mut Receiver<std::io::Result<Line>>,
) -> (OwnedSemaphorePermit, Option<std::io::Result<Line>>) {
    (permit(in_flight).await, lines.recv().await)
}

fn refusal(code: &str, message: String) -> TraceError {
    TraceError { code: code.to_owned(), message, node: None, attempt: None, detail: None }
}
