//! `floe plugin inspect` and `floe plugin call`: a plugin without a flow around it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use floe_flow::{End, Event, EventKind, Graph, Invoke, Item, Observer, Payload, Policy, Receipt, Submission};
use floe_sandbox::{Grants, Inspection, Limits, Plugin, Sandbox, inspect, plain};
use serde_json::{Value, json};

use crate::builder;
use crate::cli::{CallArgs, InspectArgs};
use crate::file::{Bytes, Time};
use crate::settings::Settings;
use crate::store::Revoked;
use crate::table::table;
use crate::{Error, Exit, start};

/// Prints what a component is, and what it says of itself if it can be loaded.
pub fn inspect_file(args: &InspectArgs, settings: &Settings) -> Result<Exit, Error> {
    let (file, bytes) = read(&args.plugin)?;
    let limits = Limits::profile(args.profile.into());
    let inspection = inspect(&bytes).map_err(|error| Error::wrong(format!("`{}`: {}", file.display(), error.reason())))?;
    let name = name_of(&file);
    let loaded = start::sandbox(settings).and_then(|sandbox| load(&sandbox, &name, &bytes, &limits));
    let mut out = std::io::stdout().lock();
    if args.json {
        let (nodes, tools, refused) = match &loaded {
            Ok(plugin) => (json!(plugin.nodes), json!(plugin.tools), Value::Null),
            Err(error) => (Value::Null, Value::Null, json!(error.render(false).trim())),
        };
        let report = json!({ "file": file, "component": inspection, "nodes": nodes, "tools": tools, "refused": refused });
        writeln!(out, "{report:#}")?;
        return Ok(if loaded.is_ok() { Exit::Completed } else { Exit::Wrong });
    }
    write!(out, "{}", describe(&file, &inspection))?;
    let plugin = loaded?;
    for (kind, members) in [("NODE", members(&plugin).0), ("TOOL", members(&plugin).1)] {
        if !members.is_empty() {
            write!(out, "\n{}", table(&[kind, "TAKES", "GIVES", "EFFECT", "DESCRIPTION"], members))?;
        }
    }
    Ok(Exit::Completed)
}

fn describe(file: &Path, inspection: &Inspection) -> String {
    let imports = &inspection.imports;
    let list = |names: &[String]| if names.is_empty() { "nothing".to_owned() } else { names.join("\n") };
    let contract: Vec<&str> = inspection.contract.iter().map(String::as_str).collect();
    let counts = inspection.counts;
    let rows = [
        ["file".to_owned(), file.display().to_string()],
        ["size".to_owned(), Bytes(inspection.size).to_string()],
        ["digest".to_owned(), inspection.digest.clone()],
        ["contract".to_owned(), format!("floe:plugin@{}", contract.join(", "))],
        ["exports".to_owned(), list(&inspection.exports)],
        ["always there".to_owned(), list(&[imports.contract.as_slice(), &imports.inert].concat())],
        ["needs a grant".to_owned(), list(&[imports.capabilities.as_slice(), &imports.wasi].concat())],
        ["unknown".to_owned(), list(&imports.unknown)],
        ["functions".to_owned(), counts.functions.to_string()],
    ];
    table(&[], rows)
}

pub(crate) type Rows = Vec<[String; 5]>;

pub(crate) fn members(plugin: &Plugin) -> (Rows, Rows) {
    let shape = |schema: Option<&Value>| {
        let title = schema.and_then(|schema| schema.get("title").or_else(|| schema.get("type")));
        plain(title.and_then(Value::as_str).unwrap_or("anything"), 64)
    };
    let row = |name: &str, input, output, effect, description: &str| {
        let effect = json!(effect).as_str().unwrap_or_default().to_owned();
        [name.to_owned(), shape(input), shape(output), effect, description.to_owned()]
    };
    let nodes = plugin.nodes.iter();
    let tools = plugin.tools.iter();
    (
        nodes
            .map(|node| row(&node.name, node.input.as_ref(), node.output.as_ref(), node.side_effect, &node.description))
            .collect(),
        tools.map(|tool| row(&tool.name, Some(&tool.input), tool.output.as_ref(), tool.side_effect, &tool.description)).collect(),
    )
}

/// Calls one node or tool and prints what it gave and used.
pub fn call(args: &CallArgs, settings: &Settings) -> Result<Exit, Error> {
    let (file, bytes) = read(&args.plugin)?;
    let name = name_of(&file);
    let input = payload("--input", &argument(&args.input)?)?;
    let config = payload("--config", &args.config)?;
    let config = if config.value().is_null() { json!({}).into() } else { config };
    let sandbox = start::sandbox(settings)?;
    let plugin = load(&sandbox, &name, &bytes, &Limits::profile(args.profile.into()))?;
    let mut graph = Graph::builder("call");
    graph.run("call", invoke(&plugin, &args.member, &config)?, Policy::with_concurrency(1));
    let graph = graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))?;

    start::runtime()?.block_on(async {
        let receipts = Arc::new(LastReceipt::default());
        let mut flow = floe_flow::Config::on_current_runtime();
        flow.compute = sandbox.handle().clone();
        flow.observer = Some(Arc::clone(&receipts) as _);
        let flow = floe_flow::Flow::start(graph, flow);
        let handle = flow.submit(Submission::new("call", "local", input)).await;
        let mut handle = handle.map_err(|error| Error::wrong(error.to_string()))?;
        let mut items = Vec::new();
        while let Some(item) = handle.next().await {
            items.push(item);
        }
        print_call(&items, receipts.take(), args.json)
    })
}

/// A node or tool by its name.
pub(crate) fn invoke(plugin: &Plugin, member: &str, config: &Payload) -> Result<Arc<dyn Invoke>, Error> {
    let invoke = if plugin.tools.iter().any(|tool| tool.name == member) {
        plugin.tool(member, config, &json!({}).into(), 1)
    } else {
        plugin.node(member, config, 1)
    };
    invoke.map_err(|error| Error::wrong(error.to_string()))
}

fn print_call(items: &[Item], receipt: Receipt, as_json: bool) -> Result<Exit, Error> {
    let mut out = std::io::stdout().lock();
    let mut exit = Exit::Incomplete;
    let (mut outputs, mut chunks, mut progress, mut error) = (Vec::new(), Vec::new(), Vec::new(), Value::Null);
    for item in items {
        match item {
            Item::Output { message, .. } => outputs.push(message.payload.text()),
            Item::Chunk { stream, seq, text, done, .. } => {
                chunks.push(json!({ "stream": stream, "seq": seq, "text": text, "done": done }));
            }
            Item::Progress { kind, data, .. } => progress.push(json!({ "kind": kind, "data": data.value() })),
            // The one attempt that there is failed: what it sent is shown beside its error.
            Item::Superseded { .. } => {}
            Item::End(terminal) => {
                error = json!(terminal.error);
                if terminal.end == End::Completed {
                    exit = Exit::Completed;
                }
            }
        }
    }
    if as_json {
        // The outputs are printed as the plugin wrote them.
        let outputs = outputs.join(",");
        let (chunks, progress, receipt) = (json!(chunks), json!(progress), json!(receipt));
        writeln!(
            out,
            "{{\"outputs\":[{outputs}],\"chunks\":{chunks},\"progress\":{progress},\"error\":{error},\"receipt\":{receipt}}}"
        )?;
        return Ok(exit);
    }
    for chunk in &chunks {
        writeln!(out, "chunk {chunk}")?;
    }
    for note in &progress {
        writeln!(out, "progress {note}")?;
    }
    for output in &outputs {
        writeln!(out, "{output}")?;
    }
    let mut notes = std::io::stderr().lock();
    if !error.is_null() {
        writeln!(notes, "error: {}", error["message"].as_str().unwrap_or_default())?;
    }
    let used = [
        ["fuel".to_owned(), receipt.fuel.to_string()],
        ["wall".to_owned(), Time(receipt.wall).to_string()],
        ["cpu".to_owned(), Time(receipt.cpu).to_string()],
        ["peak memory".to_owned(), Bytes(receipt.peak_memory).to_string()],
        ["in".to_owned(), Bytes(receipt.bytes_in).to_string()],
        ["out".to_owned(), Bytes(receipt.bytes_out).to_string()],
        ["host calls".to_owned(), receipt.host_calls.to_string()],
    ];
    write!(notes, "{}", table(&[], used))?;
    Ok(exit)
}

/// Keeps the receipt of the only attempt.
#[derive(Debug, Default)]
struct LastReceipt(Mutex<Receipt>);

impl LastReceipt {
    fn take(&self) -> Receipt {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Observer for LastReceipt {
    fn observe(&self, event: Event) {
        if let EventKind::Succeeded { receipt, .. } | EventKind::Failed { receipt, .. } = event.kind {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = receipt;
        }
    }
}

/// Finds the component of a file or a plugin's folder, and reads it.
pub(crate) fn read(path: &Path) -> Result<(PathBuf, Vec<u8>), Error> {
    let file = if path.is_dir() { builder::artifact(path)?.file } else { path.to_owned() };
    let wrong = |error: std::io::Error| Error::wrong(format!("cannot read `{}`: {error}", file.display()));
    // The largest that any profile takes; a smaller limit is checked when it is loaded.
    let max = floe_sandbox::DEFAULT_MODULE_LARGE;
    let size = std::fs::metadata(&file).map_err(wrong)?.len();
    if size > max {
        let shown = file.display();
        return Err(Error::wrong(format!("`{shown}` has {}; a component has at most {}", Bytes(size), Bytes(max))));
    }
    let bytes = std::fs::read(&file).map_err(wrong)?;
    Ok((file, bytes))
}

fn load(sandbox: &Sandbox, name: &str, bytes: &[u8], limits: &Limits) -> Result<Plugin, Error> {
    Revoked::load()?.check(name, bytes)?;
    start::runtime()?
        .block_on(sandbox.load(name, bytes, &Grants::default(), limits))
        .map_err(|error| Error::wrong(error.to_string()))
}

/// The file's name as a plugin's name.
pub(crate) fn name_of(file: &Path) -> String {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(64).collect();
    if name.is_empty() { "plugin".to_owned() } else { name }
}

fn argument(text: &str) -> Result<String, Error> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut text = String::new();
    let max = floe_flow::flow::DEFAULT_PAYLOAD as u64;
    let read = std::io::stdin().take(max).read_to_string(&mut text);
    read.map_err(|error| Error::wrong(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

pub(crate) fn payload(option: &str, text: &str) -> Result<Payload, Error> {
    Payload::parse(text)
        .map_err(|error| Error::wrong(format!("{option}: {error}")).with_help("strings need quotes of their own: '\"text\"'"))
}
