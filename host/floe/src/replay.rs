//! `floe replay`: makes the attempts of a trace once more, with what its journal has: the flow's text, the components, the messages
//! and the host's answers; and says whether they come out the same. It reads, beside a run if there is one, and changes nothing.

mod compare;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_flow::{Attempted, Config, Entry, FailureKind, Flow, Record, Tape, Unfit};
use floe_sandbox::Secret;
use floe_store::{Plugin, Reader, RunInfo};
use serde_json::json;

use crate::cli::ReplayArgs;
use crate::file::{self, Node, Route, RouteField, RouteNode};
use crate::history::{line, load, reading};
use crate::run::durable;
use crate::settings::Settings;
use crate::{Error, Exit, assemble, start};

use compare::{Difference, differences, sentence};

/// Makes the attempts of a trace once more, or prints its records, and returns whether something differs.
pub fn replay(args: &ReplayArgs, settings: &Settings) -> Result<Exit, Error> {
    let entries = load(&args.journal, &args.trace)?;
    if let Some(node) = &args.node
        && !entries.iter().any(|entry| node_of(&entry.record) == Some(node))
    {
        let message = format!("trace `{}` has no record of a node `{node}`", plain(&args.trace));
        return Err(Error::wrong(message).with_help("floe history TRACE shows what it has"));
    }
    if args.print {
        return print(args, &entries);
    }
    let kept = reading(&args.journal, async |reader| Kept::read(reader, &args.trace, &entries).await)?;
    let Some(kept) = kept else {
        let message = format!("`{}` holds no run, so no flow and no components", args.journal.journal.display());
        return Err(Error::wrong(message).with_help("--print shows the records"));
    };
    start::runtime()?.block_on(kept.replay(args, settings, entries))
}

/// The records, as `floe history` prints them, one after the other.
fn print(args: &ReplayArgs, entries: &[Entry]) -> Result<Exit, Error> {
    let node = args.node.as_deref();
    let shown = entries.iter().filter(|entry| node.is_none() || node_of(&entry.record) == node);
    start::runtime()?.block_on(async {
        for (number, entry) in shown.enumerate() {
            if number > 0 && !args.delay.is_zero() {
                tokio::time::sleep(args.delay).await;
            }
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", line(&args.trace, entry))?;
            out.flush()?;
        }
        Ok(Exit::Completed)
    })
}

fn node_of(record: &Record) -> Option<&str> {
    match record {
        Record::Started(at)
        | Record::Streamed(at)
        | Record::Retry(at)
        | Record::Noted { at, .. }
        | Record::Done { at, .. }
        | Record::Failed { at, .. } => Some(&at.node),
        Record::TimeUp { node, .. } => Some(node),
        Record::Accepted(_) | Record::Ended(_) | Record::Delivered { .. } => None,
    }
}

/// What a journal has of a run, beside a trace's records.
struct Kept {
    info: RunInfo,
    /// Those that the trace began with.
    plugins: Vec<Plugin>,
    /// Components by their plugins' names.
    components: BTreeMap<String, Vec<u8>>,
    /// From the trace that was submitted to the one that is asked for: each called the next.
    chain: Vec<String>,
}

impl Kept {
    async fn read(reader: &Reader, trace: &str, entries: &[Entry]) -> Result<Option<Self>, Error> {
        let Some(info) = reader.info().await? else { return Ok(None) };
        let release = match entries.first().map(|entry| &entry.record) {
            Some(Record::Accepted(accepted)) => accepted.release,
            _ => info.release(),
        };
        let plugins = info.plugins_of(release).to_vec();
        let mut components = BTreeMap::new();
        for plugin in &plugins {
            let Some(bytes) = reader.component(&plugin.digest).await? else {
                let message = format!("the journal does not have the component {} of plugin `{}`", plugin.digest, plugin.name);
                return Err(Error::wrong(message));
            };
            components.insert(plugin.name.clone(), bytes);
        }
        let mut chain = vec![trace.to_owned()];
        let mut caller = caller_of(entries);
        while let Some(trace) = caller {
            // Who was called has its caller's id and more, so this comes to an end whatever the records say.
            if !chain[0].starts_with(&format!("{trace}/")) {
                let message = format!("trace `{}` does not follow from its caller `{}`", plain(&chain[0]), plain(&trace));
                return Err(Error::wrong(message).with_help("the journal is damaged; --print shows the records"));
            }
            caller = caller_of(&reader.load(&trace).await?);
            chain.insert(0, trace);
        }
        Ok(Some(Self { info, plugins, components, chain }))
    }

    async fn replay(self, args: &ReplayArgs, settings: &Settings, entries: Vec<Entry>) -> Result<Exit, Error> {
        let Self { info, plugins, components, chain } = self;
        let file = flow_file(&info)?;
        let sandbox = start::sandbox_with(settings, |config| config.secret = info.secret.map(Secret::new))?;
        let assembled = assemble::assemble_from(&file, &sandbox, settings.cores.get(), &components).await?;
        let outer = Flow::start(assembled.graph, unbounded(start::config(&file, &sandbox)));
        let (flow, part, within) = inner(&outer, &file, &chain)?;
        let past = flow.look_back(&args.trace, entries).map_err(|error| Error::wrong(error.to_string()))?;
        let judge = Judge { info: &info, plugins: &plugins, part, within, engine: durable::engine() };
        let mut tally = Tally { args, identical: 0, differ: 0, left_out: BTreeMap::new() };
        for attempt in past.attempts.iter().filter(|attempt| args.node.as_deref().is_none_or(|node| *node == *attempt.at.node)) {
            if let Some(why) = judge.left_out(attempt) {
                tally.leave_out(attempt, why)?;
                continue;
            }
            let (flow, origin, again) = (flow.clone(), past.origin.clone(), attempt.clone());
            // On the threads for guests.
            let repeated = sandbox.handle().spawn(async move { flow.repeat(&origin, &again).await }).await;
            match repeated.ok().flatten() {
                Some(repeated) => tally.compare(attempt, &differences(attempt, &repeated))?,
                None => tally.leave_out(attempt, "the flow has no such node".to_owned())?,
            }
        }
        tally.conclude()
    }
}

fn caller_of(entries: &[Entry]) -> Option<String> {
    match entries.first().map(|entry| &entry.record) {
        Some(Record::Accepted(accepted)) => accepted.caller.as_ref().map(ToString::to_string),
        _ => None,
    }
}

/// The flow that was run, from the journal; its subflows from their files.
fn flow_file(info: &RunInfo) -> Result<file::Flow, Error> {
    let folder = Path::new(&info.flow_path).parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let texts = file::Texts { path: info.flow_path.clone(), text: info.flow.as_str().into(), sets: info.set.clone() };
    let file = file::Flow::read(texts, folder)?;
    let changed = durable::parts(&file).find(|part| !info.subflows.contains(part));
    if let Some((name, _)) = changed {
        let message = format!("the file of subflow `{}` has changed since the run", name.trim_end_matches('/'));
        return Err(
            Error::wrong(message).with_help("the journal has its digest only: bring the old file back, or --print the records")
        );
    }
    Ok(file)
}

/// What the trace used up is in its records; to make attempts once more, there is enough.
fn unbounded(mut config: Config) -> Config {
    (config.budget.hops, config.budget.fuel, config.budget.deadline) = (u64::MAX, None, None);
    config
}

/// The flow whose trace is the last of the chain, its file, and what stands before the names of its plugins. The id of a trace
/// that was called names the node that called it, and the flow if it was a plugin's own choice.
fn inner<'f>(flow: &'f Flow, file: &'f file::Flow, chain: &[String]) -> Result<(&'f Flow, &'f file::Flow, String), Error> {
    let mut found = (flow, file, String::new());
    for called in chain.windows(2) {
        let call: Vec<&str> =
            called[1].strip_prefix(&format!("{}/", called[0])).map(|call| call.split('.').collect()).unwrap_or_default();
        let name = match (call.first().and_then(|node| found.1.file.nodes.get(node)), call.get(4)) {
            (Some(Node::Subflow(node)), None) => node.subflow.as_str(),
            (Some(Node::Run(_) | Node::Map(_)), Some(name)) => name,
            _ => return Err(Error::wrong(format!("the flow has no subflow that `{}` could be a trace of", plain(&called[1])))),
        };
        let (Some(flow), Some(file)) = (found.0.subflow(name), found.1.subflows.get(name)) else {
            return Err(Error::wrong(format!("the flow has no subflow `{name}`")));
        };
        found = (flow, file, format!("{}{name}/", found.2));
    }
    Ok(found)
}

/// Knows which attempts can be made once more.
struct Judge<'f> {
    info: &'f RunInfo,
    plugins: &'f [Plugin],
    part: &'f file::Flow,
    within: String,
    /// Of this process.
    engine: String,
}

impl Judge<'_> {
    /// Why an attempt is not made once more.
    fn left_out(&self, attempt: &Attempted) -> Option<String> {
        let (code, reuse) = match self.part.file.nodes.get(&attempt.at.node) {
            Some(Node::Run(node)) => (&node.run, node.reuse),
            Some(Node::Map(node)) => (&node.map, node.reuse),
            Some(Node::Route(RouteNode { route: Route::Field(RouteField { from_file, from_env, .. }), .. }))
                if from_file.is_some() || from_env.is_some() =>
            {
                return Some("its table was in a file or the environment, and is not recorded".to_owned());
            }
            // The host's own, and without answers.
            Some(Node::Route(_)) => return self.too_late(attempt),
            Some(Node::Subflow(_)) => {
                return Some("it ran a subflow: replay that as TRACE/NODE.MESSAGE.ATTEMPT.0".to_owned());
            }
            Some(Node::Agent(_)) => return Some("it was an agent: what it was told stands in its notes".to_owned()),
            Some(Node::Join(_) | Node::Discard(_)) | None => return Some("the flow has no such node that computes".to_owned()),
        };
        if reuse.is_some_and(|reuse| reuse.get() > 1) {
            return Some("`reuse`: what an instance has of earlier calls is not recorded".to_owned());
        }
        let late = self.too_late(attempt);
        if late.is_some() {
            return late;
        }
        match attempt.tape.as_deref() {
            None => Some(self.untaped(attempt)),
            Some(Tape { unfit: Some(unfit), .. }) => Some(unfit.reason().to_owned()),
            Some(tape) => self.changed(tape, code.split('/').next().unwrap_or_default()),
        }
    }

    fn too_late(&self, attempt: &Attempted) -> Option<String> {
        attempt.message.is_none().then(|| "it ended when the trace had ended".to_owned())
    }

    fn untaped(&self, attempt: &Attempted) -> String {
        match &attempt.result {
            Err(failure) if failure.kind == FailureKind::TimedOut => Unfit::TimedOut.reason().to_owned(),
            _ => "nothing was recorded of its call".to_owned(),
        }
    }

    /// Another engine or other code computes something else.
    fn changed(&self, tape: &Tape, plugin: &str) -> Option<String> {
        if self.engine != self.info.engine {
            return Some(format!("it ran on {}, and this is {}", self.info.engine, self.engine));
        }
        let name = format!("{}{plugin}", self.within);
        let ran = tape.code.as_deref()?;
        let same = |digest: &str| digest.strip_prefix("sha256:").and_then(|digits| digits.get(..16)) == Some(ran);
        let known = self.plugins.iter().any(|plugin| plugin.name == name && same(&plugin.digest));
        (!known).then(|| format!("it ran other code of plugin `{name}`, sha256:{ran}…, than the journal's run now has"))
    }
}

/// What came of the attempts so far.
struct Tally<'a> {
    args: &'a ReplayArgs,
    identical: u64,
    differ: u64,
    /// How many were not made once more, by the reason.
    left_out: BTreeMap<String, u64>,
}

impl Tally<'_> {
    fn compare(&mut self, attempt: &Attempted, differences: &[Difference]) -> Result<(), Error> {
        if differences.is_empty() {
            self.identical += 1;
            return self.say(attempt, "identical", "identical", json!({}));
        }
        self.differ += 1;
        self.say(attempt, "differs", &sentence(differences), json!({ "differences": differences }))
    }

    fn leave_out(&mut self, attempt: &Attempted, why: String) -> Result<(), Error> {
        self.say(attempt, "not_replayed", &format!("not replayed: {why}"), json!({ "reason": why }))?;
        *self.left_out.entry(why).or_default() += 1;
        Ok(())
    }

    fn say(&self, attempt: &Attempted, result: &str, text: &str, more: serde_json::Value) -> Result<(), Error> {
        let at = &attempt.at;
        let mut out = std::io::stdout().lock();
        if !self.args.json {
            writeln!(out, "{} {} attempt {}: {text}", at.node, at.message, at.attempt)?;
            return Ok(());
        }
        let mut line = json!({
            "trace_id": self.args.trace, "node": at.node, "message": at.message, "attempt": at.attempt, "result": result,
        });
        if let (Some(line), serde_json::Value::Object(more)) = (line.as_object_mut(), more) {
            line.extend(more);
        }
        writeln!(out, "{line}")?;
        Ok(())
    }

    fn conclude(self) -> Result<Exit, Error> {
        let Self { args, identical, differ, left_out } = self;
        let mut out = std::io::stdout().lock();
        if args.json {
            let left_out: u64 = left_out.values().sum();
            let summary = json!({ "identical": identical, "differs": differ, "not_replayed": left_out });
            writeln!(out, "{}", json!({ "trace_id": args.trace, "summary": summary }))?;
        } else {
            let mut text = format!("identical: {identical} of {} attempts", identical + differ);
            if differ > 0 {
                text += &format!("; {differ} differ");
            }
            for (why, number) in &left_out {
                text += &format!("; {number} not replayed: {why}");
            }
            writeln!(out, "{text}")?;
        }
        Ok(if differ == 0 { Exit::Completed } else { Exit::Incomplete })
    }
}

/// An id as a person reads it.
fn plain(text: &str) -> String {
    floe_sandbox::plain(text, 200)
}

/// Seconds, for `--delay`.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|_| "it must be a number of seconds, such as 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "it must be 0 or more seconds".to_owned())
}
