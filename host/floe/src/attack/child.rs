//! The process in which cases run: a sandbox as the installation has it, a neighbour, one case after the other.
//!
//! It says what it begins and what came of it, a line of JSON each. What it does not live to say is its parent's to conclude.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{
    Config, End, Failure, Flow, Graph, Invoke, Kind, Outcome, Payload, Policy, Schema, Submission, Terminal, Tool, native,
};
use floe_sandbox::{Grants, Limits, Plugin, Sandbox};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::corpus::{Case, Place, Run};
use super::encode::{encode, with_port};
use super::folder::Folder;
use super::neighbour::{Fared, Neighbour};
use super::process::{Held, confine};
use super::server::Server;
use super::setting::Setting;
use crate::file;
use crate::settings::Settings;
use crate::{Error, Exit, start};

/// Calls of the neighbour for its figures where it is alone, and that follow an attack at least.
const ALONE: usize = 1000;
const AFTER: usize = 10;
/// A process that is killed is gone by then.
const BACKGROUND: Duration = Duration::from_secs(2);

/// What the process tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The neighbour on its own.
    Alone(Fared),
    /// A run begins.
    Begun(String),
    /// A run is over.
    Seen(Box<Seen>),
    /// The case cannot be made, for this reason.
    Unfit(String),
}

/// What came of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) ended: Ended,
    /// The host's words, as the operator would read them.
    pub(super) text: String,
    /// What the plugin says of itself, as far as it could do harm where it is shown.
    pub(super) unclean: Option<String>,
    /// Microseconds from the component's bytes to the end of the call.
    pub(super) took: u64,
    /// Bytes.
    pub(super) grown: Option<u64>,
    pub(super) left_open: usize,
    /// Something in the folder that may be read, or beside it, is not as it was.
    pub(super) changed: Option<String>,
    /// Connections to a server on this machine.
    pub(super) visits: usize,
    /// Why the same plugin did not serve its next caller.
    pub(super) serves_not: Option<String>,
    pub(super) neighbour: Fared,
}

/// How an attack ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    /// A limit ended it.
    Limit {
        /// Its name.
        limit: String,
        used: u64,
        max: u64,
    },
    /// It did not load.
    Refused(String),
    /// It failed with a failure of this kind.
    Failed(String),
    /// Nothing stopped it.
    Completed,
}

/// Runs the cases of these names, or measures the neighbour if there are none.
pub(super) fn execute(names: &str, cases: &[Case], setting: &Setting, settings: &Settings) -> Result<Exit, Error> {
    let sandbox = start::sandbox(settings)?;
    start::runtime()?.block_on(async {
        let neighbour = Neighbour::start(&sandbox).await?;
        confine().map_err(Error::wrong)?;
        neighbour.fared(Instant::now(), AFTER).await;
        if names.is_empty() {
            check(&setting.limits, &sandbox).await?;
            tell(&Line::Alone(neighbour.fared(Instant::now(), ALONE).await))?;
            return Ok(Exit::Completed);
        }
        let around = Around { folder: Folder::new()?, server: Server::start()? };
        for name in names.split(',') {
            let run = cases.iter().flat_map(Case::runs).find(|run| run.name() == name);
            let run = run.ok_or_else(|| Error::wrong(format!("there is no case `{name}`")))?;
            let (limits, grants) = (setting.of_case(run.case)?, grants(run.case, &around)?);
            let attack = Attack { run, limits, grants, around: &around, sandbox: &sandbox };
            tell(&Line::Begun(name.to_owned()))?;
            tell(&match encode(run, around.server.port) {
                Ok(bytes) => Line::Seen(Box::new(attack.watch(&bytes, &neighbour).await)),
                Err(why) => Line::Unfit(floe_sandbox::plain(&why, 512)),
            })?;
        }
        Ok(Exit::Completed)
    })
}

/// Limits beyond what a host takes are no limits to attack.
async fn check(limits: &Limits, sandbox: &Sandbox) -> Result<(), Error> {
    match sandbox.load("attack", &[], &Grants::default(), limits).await {
        Err(error) if matches!(error.reason(), floe_sandbox::Error::LimitTooHigh { .. }) => {
            Err(Error::wrong(error.reason().to_string()))
        }
        _ => Ok(()),
    }
}

fn tell(line: &Line) -> Result<(), Error> {
    let line = serde_json::to_string(line).map_err(std::io::Error::from)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// What a case may be granted to reach.
struct Around {
    folder: Folder,
    server: Server,
}

/// What these lines of a flow file would grant, in a folder with this one's content.
fn grants(case: &Case, around: &Around) -> Result<Grants, Error> {
    let Some(grants) = case.grants else { return Ok(Grants::default()) };
    let wrong = |why: String| Error::wrong(format!("tests/attack/{}.wat: grants: {why}", case.name));
    let grants: Result<file::GrantsConfig, _> = serde_saphyr::from_str(&with_port(grants, around.server.port));
    let grants = grants.map_err(|error| wrong(error.to_string()))?;
    let resolve = |path: &str| around.folder.path(path);
    let mut rights = grants.rights(resolve);
    grants.add_secrets(&mut rights, resolve).map_err(|problems| wrong(format!("{problems:?}")))?;
    Ok(rights)
}

struct Attack<'a> {
    run: Run<'a>,
    limits: Limits,
    grants: Grants,
    around: &'a Around,
    sandbox: &'a Sandbox,
}

impl Attack<'_> {
    /// Attacks, and looks at everything around it.
    async fn watch(&self, bytes: &[u8], neighbour: &Neighbour) -> Seen {
        let held = Held::now();
        self.around.server.visits();
        let started = Instant::now();
        let (loaded, ended, text) = self.attack(bytes).await;
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let serves_not = match &loaded {
            Some(plugin) => self.serves_not(plugin).await,
            None => None,
        };
        let unclean = loaded.as_ref().and_then(unclean);
        drop(loaded);
        let fared = neighbour.fared(started, AFTER).await;
        let grown = held.grown();
        let mut left_open = settled(held).await;
        if left_open > 0 {
            // What a host opens once and keeps is no leak; what it opens each time is.
            let held = Held::now();
            drop(self.attack(bytes).await);
            left_open = settled(held).await;
        }
        let (changed, visits) = (self.around.folder.changed(), self.around.server.visits());
        Seen { ended, text, unclean, took, grown, left_open, changed, visits, serves_not, neighbour: fared }
    }

    async fn attack(&self, bytes: &[u8]) -> (Option<Plugin>, Ended, String) {
        match self.sandbox.load("attack", bytes, &self.grants, &self.limits).await {
            Ok(plugin) => {
                let (ended, text) = self.call(&plugin).await;
                (Some(plugin), ended, text)
            }
            Err(error) => (None, ended_at_load(&error), error.to_string()),
        }
    }

    /// Calls the node or the tool under attack, if the plugin has them.
    async fn call(&self, plugin: &Plugin) -> (Ended, String) {
        // Whoever makes a flow of it does this first.
        for spec in &plugin.nodes {
            for schema in [&spec.input, &spec.output, &spec.config].into_iter().flatten() {
                if let Err(error) = Schema::compile(schema) {
                    return (Ended::Refused("schema".to_owned()), error.to_string());
                }
            }
        }
        match self.invoke(plugin, "attack") {
            Some(invoke) => {
                let (_, terminal) = self.submit(plugin, invoke, schema(plugin, "attack"), "attacker").await;
                let text = terminal.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
                (ended(&terminal), text)
            }
            None => (Ended::Completed, String::new()),
        }
    }

    /// Another tenant's call of the same plugin.
    async fn serves_not(&self, plugin: &Plugin) -> Option<String> {
        let invoke = self.invoke(plugin, "good")?;
        let (outputs, terminal) = self.submit(plugin, invoke, None, "other").await;
        let is_good = terminal.end == End::Completed && outputs.len() == 1 && outputs[0].text() == "1";
        (!is_good).then(|| format!("{terminal:?}"))
    }

    fn invoke(&self, plugin: &Plugin, member: &str) -> Option<Arc<dyn Invoke>> {
        let none = Payload::from(json!({}));
        match self.run.place {
            Place::Call | Place::Tools => plugin.tool(member, &none, &none, 1).ok(),
            _ => plugin.node(member, &none, 1).ok(),
        }
    }

    async fn submit(
        &self,
        plugin: &Plugin,
        invoke: Arc<dyn Invoke>,
        input: Option<Schema>,
        tenant: &str,
    ) -> (Vec<Payload>, Terminal) {
        let mut graph = Graph::builder("attack");
        graph.subflow("inner", inner(), Config::on_current_runtime().budget);
        let none = Payload::from(json!({}));
        // Its own tools are those that a case may be granted.
        for spec in &plugin.tools {
            if let Ok(invoke) = plugin.tool(&spec.name, &none, &none, 1) {
                let input = Schema::compile(&spec.input).ok();
                graph.tool(&format!("attack/{}", spec.name), Tool { invoke, input, output: None });
            }
        }
        graph.node("attack", Kind::Run { invoke, input, output: None, repeatable: true }, Policy::with_concurrency(1));
        let graph = graph.build().expect("one node alone is a graph");
        let flow = Flow::start(graph, Config { compute: self.sandbox.handle().clone(), ..Config::on_current_runtime() });
        let handle = flow.submit(Submission::new("attack-trace", tenant, Payload::from(json!(null)))).await;
        handle.expect("a new flow takes a submission").finish().await
    }
}

/// Descriptors that are open when what goes on in the background had time to end, such as a compiler that is killed.
async fn settled(held: Held) -> usize {
    let patience = Instant::now() + BACKGROUND;
    loop {
        match held.left_open() {
            0 => return 0,
            left if Instant::now() > patience => return left,
            _ => tokio::time::sleep(BACKGROUND / 100).await,
        }
    }
}

/// What a node says that it takes.
fn schema(plugin: &Plugin, node: &str) -> Option<Schema> {
    let spec = plugin.nodes.iter().find(|spec| spec.name == node)?;
    Schema::compile(spec.input.as_ref()?).ok()
}

/// A description, a tag or a name with something in it that is no text.
fn unclean(plugin: &Plugin) -> Option<String> {
    let nodes = plugin.nodes.iter().flat_map(|node| [&node.name, &node.description].into_iter().chain(&node.tags));
    let tools = plugin.tools.iter().flat_map(|tool| [&tool.name, &tool.description].into_iter().chain(&tool.tags));
    nodes.chain(tools).find(|text| !is_clean(text)).cloned()
}

/// Whether a text does nothing to a terminal or to its neighbours.
pub(super) fn is_clean(text: &str) -> bool {
    let moves = |char| matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !text.chars().any(|char| moves(char) || (char.is_control() && char != '\n' && char != '\t'))
}

/// The flow that a case may be granted: it gives back what it gets.
fn inner() -> Graph {
    let mut graph = Graph::builder("inner");
    graph.run("same", native(|call| Ok(Outcome::one(call.message.payload.clone()))), Policy::with_concurrency(1));
    graph.build().expect("one node alone is a graph")
}

fn ended(terminal: &Terminal) -> Ended {
    match &terminal.error {
        None => Ended::Completed,
        Some(error) => failed(&error.code, error.detail.as_ref()),
    }
}

fn ended_at_load(error: &floe_sandbox::Error) -> Ended {
    use floe_sandbox::Error as Refusal;

    let reason = match error.reason() {
        Refusal::Limit { limit, used, max, .. } => return Ended::Limit { limit: (*limit).to_owned(), used: *used, max: *max },
        Refusal::CompileTimeout { limit, .. } => {
            let max = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            return Ended::Limit { limit: "compile".to_owned(), used: max, max };
        }
        Refusal::CompileMemory { limit, .. } => {
            return Ended::Limit { limit: "compile_memory".to_owned(), used: *limit, max: *limit };
        }
        Refusal::Compiler(_) => "compiler",
        Refusal::Describe(Failure { kind, detail, .. }) => return failed(kind.code(), detail.as_ref()),
        Refusal::NotAComponent { .. } => "not-a-component",
        Refusal::Damaged { .. } => "damaged",
        Refusal::Contract { .. } => "contract",
        Refusal::NoExport { .. } => "no-export",
        Refusal::NotGranted { .. } => "not-granted",
        Refusal::NotAvailable { .. } => "not-available",
        Refusal::UnknownImport { .. } => "unknown-import",
        Refusal::Compile(_) => "does-not-compile",
        Refusal::Interface { .. } => "interface",
        Refusal::Description(_) => "description",
        _ => "other",
    };
    Ended::Refused(reason.to_owned())
}

fn failed(code: &str, detail: Option<&Value>) -> Ended {
    let of = |name: &str| detail?.get(name);
    let number = |name: &str| of(name).and_then(Value::as_u64);
    match (of("limit").and_then(Value::as_str), number("used"), number("max")) {
        (Some(limit), Some(used), Some(max)) => Ended::Limit { limit: limit.to_owned(), used, max },
        _ => Ended::Failed(code.to_owned()),
    }
}
