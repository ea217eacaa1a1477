//! `floe plugin learn`: calls a plugin with everything denied, and writes the grants for what it asked for.

mod grants;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use floe_flow::{Cursor, End, Flow, Graph, Item, Policy, Submission, TraceError};
use floe_sandbox::{Asks, Grants, Inspection, Limits, plain};
use serde_json::{Value, json};

use crate::cli::LearnArgs;
use crate::file::GrantsConfig;
use crate::plugin::{invoke, name_of, payload, read};
use crate::run::input::{self, Reading};
use crate::settings::Settings;
use crate::store::Revoked;
use crate::{Error, Exit, start};

use grants::{Learned, learned};

/// Different failures that are shown.
const FAILURES: usize = 8;

/// How the calls ended.
#[derive(Debug, Default)]
struct Calls {
    total: u64,
    completed: u64,
    denied: u64,
    failed: u64,
    /// Why, each once.
    why: Vec<String>,
}

/// Calls a node or tool with each input, and prints what it asked for.
pub fn execute(args: &LearnArgs, settings: &Settings) -> Result<Exit, Error> {
    let (file, bytes) = read(&args.plugin)?;
    let name = name_of(&file);
    let config = payload("--config", &args.config)?;
    let config = if config.value().is_null() { json!({}).into() } else { config };
    let (given, granted) = granted(args.grants.as_deref())?;
    let empty = tempfile::tempdir().map_err(|error| Error::wrong(format!("cannot make an empty directory: {error}")))?;
    let asks = Arc::new(Asks::new(empty.path().to_owned()));
    let sandbox = start::sandbox(settings)?;
    Revoked::load()?.check(&name, &bytes)?;
    let limits = Limits::profile(args.profile.into());
    let (calls, inspection): (Calls, Inspection) = start::runtime()?.block_on(async {
        let plugin = sandbox.load_to_learn(&name, &bytes, &granted, &limits, &asks).await;
        let plugin = plugin.map_err(|error| Error::wrong(error.to_string()))?;
        let mut graph = Graph::builder("learn");
        graph.run("learn", invoke(&plugin, &args.member, &config)?, Policy::with_concurrency(1));
        let graph = graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))?;
        let mut flow = floe_flow::Config::on_current_runtime();
        flow.compute = sandbox.handle().clone();
        let calls = call_all(&Flow::start(graph, flow), &args.input).await?;
        Ok::<_, Error>((calls, plugin.inspection))
    })?;
    let (asked, left_out) = asks.list();
    let learned = learned(&name, given, &asked, left_out, &inspection);
    let mut out = std::io::stdout().lock();
    if args.json {
        let Calls { total, completed, denied, failed, why } = &calls;
        let calls = json!({ "total": total, "completed": completed, "denied": denied, "failed": failed, "failures": why });
        let report = json!({ "file": file, "calls": calls, "grants": learned.grants, "notes": learned.notes });
        writeln!(out, "{report:#}")?;
    } else {
        write!(out, "{}", grants::yaml(&learned.grants))?;
        print_notes(&calls, &learned)?;
    }
    Ok(Exit::Completed)
}

/// The grants to begin with, as they are written and as rights.
fn granted(text: Option<&str>) -> Result<(Value, Grants), Error> {
    let Some(text) = text else { return Ok((json!({}), Grants::default())) };
    let wrong = |why: &str| {
        let help = "give what stands under `grants` in a flow file, such as '{ tools: [shop/search] }'";
        Error::wrong(format!("--grants: {why}")).with_help(help)
    };
    let value: Value = serde_saphyr::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    // What was printed can be given back as it is.
    let value = value.get("grants").cloned().unwrap_or(value);
    if !value.is_object() {
        return Err(wrong("these are no grants"));
    }
    let config: GrantsConfig = serde_json::from_value(value.clone()).map_err(|error| wrong(&error.to_string()))?;
    let resolve = |path: &str| Path::new(path).to_owned();
    let mut rights = config.rights(resolve);
    let added = config.add_secrets(&mut rights, resolve);
    added.map_err(|problems| wrong(problems.first().map_or("a secret is wrong", |(_, why)| why)))?;
    Ok((value, rights))
}

/// One call after the other, so that what is asked for does not depend on chance.
async fn call_all(flow: &Flow, input: &str) -> Result<Calls, Error> {
    let mut calls = Calls::default();
    if input != "-" && !Path::new(input).exists() {
        let given = payload("--input", input).map_err(|error| {
            error.with_help("it is neither a file that is there nor JSON; strings need quotes of their own: '\"text\"'")
        })?;
        calls.add(call(flow, Ok(Submission::new("learn", "local", given))).await);
        return Ok(calls);
    }
    let reading = Reading { tenant: "local".into(), envelope: false, payload: floe_flow::flow::DEFAULT_PAYLOAD };
    let mut lines = input::open(Path::new(input), reading, Cursor { line: 0, offset: 0 })?;
    while let Some(line) = lines.recv().await {
        let line = line.map_err(|error| Error::wrong(format!("cannot read the input: {error}")))?;
        calls.add(call(flow, line.request).await);
    }
    Ok(calls)
}

async fn call(flow: &Flow, request: Result<Submission, String>) -> Result<(), TraceError> {
    let refused = |message: String| TraceError { code: "refused".to_owned(), message, node: None, attempt: None, detail: None };
    let mut handle = flow.submit(request.map_err(refused)?).await.map_err(|error| refused(error.to_string()))?;
    while let Some(item) = handle.next().await {
        if let Item::End(terminal) = item
            && terminal.end != End::Completed
        {
            return Err(terminal.error.unwrap_or_else(|| refused(terminal.end.name().to_owned())));
        }
    }
    Ok(())
}

impl Calls {
    fn add(&mut self, ended: Result<(), TraceError>) {
        self.total += 1;
        let Err(error) = ended else {
            self.completed += 1;
            return;
        };
        if error.code == "denied" {
            self.denied += 1;
        } else {
            self.failed += 1;
        }
        let why = plain(&error.message, 400);
        if self.why.len() < FAILURES && !self.why.contains(&why) {
            self.why.push(why);
        }
    }
}

/// What a person must know before pasting: not part of the grants, so on standard error.
fn print_notes(calls: &Calls, learned: &Learned) -> Result<(), Error> {
    let mut notes = std::io::stderr().lock();
    let Calls { total, completed, denied, failed, why } = calls;
    writeln!(notes, "calls: {total}; {completed} completed, {denied} ended as denied, {failed} failed otherwise")?;
    for why in why {
        writeln!(notes, "  {why}")?;
    }
    for note in &learned.notes {
        writeln!(notes, "note: {note}")?;
    }
    if completed < total {
        let more = "a call that ends at a denial asks for nothing after it: give these grants with --grants and learn once more, or run the flow with them";
        writeln!(notes, "note: {more}")?;
    }
    Ok(())
}
