//! From the file to a checked graph. What a plugin's node is, the caller says.

mod router;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use floe_flow::graph::{Place, did_you_mean};
use floe_flow::{
    DEFAULT_MAP_CONCURRENCY, Graph, Invoke, Join, Kind, MapNode, Outcome, Policy, RoutingTable, Schema, SideEffect, SubflowNode,
    Tool, native,
};
use floe_sandbox::ToolSpec;
use serde_json::{Value, json};

use super::agent::AgentConfig;
use super::join::JoinNode;
use super::problem::{Problem, Problems};
use super::tree::Step;
use super::types::{DEFAULT_BUDGET, Node};
use super::units::Time;
use super::{Flow, Link};

/// What a node of a plugin computes and takes and gives.
#[derive(Debug, Clone)]
pub struct Code {
    /// The computation.
    pub invoke: Arc<dyn Invoke>,
    /// What it takes; none: anything.
    pub input: Option<Schema>,
    /// What it gives; none: anything.
    pub output: Option<Schema>,
    /// Whether a call that a crash cut off may be made again.
    pub repeatable: bool,
    /// What the plugin says of it, if it is a tool and not a node.
    pub tool: Option<ToolSpec>,
}

/// What a node of the file asks of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'f> {
    /// The plugin's name in the file.
    pub plugin: &'f str,
    /// What stands before it for a plugin of a subflow: `sub/`, `sub/inner/`.
    pub within: &'f str,
    /// The node or tool of it.
    pub member: &'f str,
    /// Its configuration.
    pub config: &'f Value,
    /// Calls that one instance may serve.
    pub reuse: Option<NonZeroU32>,
}

/// A graph, and what a host program may change in it while it runs.
#[derive(Debug)]
pub struct Made {
    /// What runs.
    pub graph: Graph,
    /// The tables of routers by a field, by node; of those in subflows, by `sub/node`. What is put into one whose routes are in a
    /// file stays until the file changes.
    pub tables: BTreeMap<String, RoutingTable>,
}

/// Finds the code of a node. The error stands at `run` (or `map`), or at `config` if it says so.
pub type Resolve<'r> = &'r dyn Fn(Wanted<'_>) -> Result<Code, Unresolved>;

/// Why a plugin has no code for a node.
#[derive(Debug, Clone)]
pub enum Unresolved {
    /// Something is wrong with the plugin, and said there.
    Plugin,
    /// The plugin has no such node.
    Member(String),
    /// The configuration is not what the node takes.
    Config(String),
}

impl Flow {
    /// Checks the file as a graph, whatever its plugins are, and returns it with nodes that compute nothing.
    pub fn outline(&self) -> Result<Graph, Problems> {
        let made = self.graph(1, &|wanted| {
            let invoke = native(|call| Ok(Outcome::one(call.message.payload.clone())));
            Ok(Code { invoke, input: None, output: None, repeatable: true, tool: Some(unknown(wanted.member)) })
        });
        made.map(|made| made.graph)
    }

    /// Makes the graph with its subflows; a node runs `cores` invocations at once unless the file says otherwise. Says all that
    /// is wrong at once.
    pub fn graph(&self, cores: usize, resolve: Resolve<'_>) -> Result<Made, Problems> {
        self.graph_within("", cores, resolve)
    }

    fn graph_within(&self, within: &str, cores: usize, resolve: Resolve<'_>) -> Result<Made, Problems> {
        let (links, problems) = self.links();
        let mut making = Making {
            flow: self,
            within,
            cores,
            resolve,
            links: &links,
            tables: BTreeMap::new(),
            tools: BTreeMap::new(),
            problems,
        };
        making.budget();
        making.grants();
        let mut builder = Graph::builder(&self.file.name);
        let mut wrong = self.problems(Vec::new());
        for (name, inner) in self.subflows.iter() {
            match inner.graph_within(&format!("{within}{name}/"), cores, resolve) {
                Ok(made) => {
                    builder.subflow(name, made.graph, inner.file.budget.over(DEFAULT_BUDGET));
                    making.tables.extend(made.tables);
                }
                Err(problems) => wrong.add(problems),
            }
        }
        for (name, node) in self.file.nodes.iter() {
            let policy = making.policy(name, node);
            // A node that cannot be made still has its place in the graph, so that the edges to it are checked.
            let kind = making.kind(name, node).unwrap_or_else(|| placeholder(node));
            builder.node(name, kind, policy);
        }
        making.granted_tools();
        for (name, tool) in std::mem::take(&mut making.tools) {
            builder.tool(&name, tool);
        }
        for link in &links {
            builder.edge(&link.from, &link.to, link.queue);
        }
        let (mut problems, tables) = (making.problems, making.tables);
        let built =
            builder.build().map_err(|found| problems.extend(found.into_iter().map(|problem| self.placed(problem, &links))));
        wrong.add(self.problems(problems));
        built.ok().filter(|_| wrong.is_empty()).map(|graph| Made { graph, tables }).ok_or(wrong)
    }

    /// A graph's problem with its place in the file.
    fn placed(&self, problem: floe_flow::graph::Problem, links: &[Link]) -> Problem {
        let at = match &problem.place {
            Place::Graph => self.key_span(&["nodes".into()]),
            Place::Node(name) => self.node_span(name),
            // Of an edge that is there twice, the second one is meant.
            Place::Edge(from, to) => {
                links.iter().rev().find(|link| (&link.from, &link.to) == (from, to)).and_then(|link| link.at)
            }
        };
        Problem::new(problem.message, at)
    }
}

/// A tool of which nothing is known but its name.
fn unknown(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: String::new(),
        input: json!({}),
        output: None,
        config: None,
        side_effect: SideEffect::External,
        idempotent: false,
        tags: Vec::new(),
        scopes: Vec::new(),
        hints: None,
    }
}

fn placeholder(node: &Node) -> Kind {
    match node {
        Node::Join(_) => Kind::Join(Join::count(1)),
        Node::Run(_) | Node::Route(_) | Node::Map(_) | Node::Subflow(_) | Node::Agent(_) | Node::Discard(_) => {
            let invoke = native(|_| Ok(Outcome::Outputs(Vec::new())));
            Kind::Run { invoke, input: None, output: None, repeatable: true }
        }
    }
}

struct Making<'m> {
    flow: &'m Flow,
    within: &'m str,
    cores: usize,
    resolve: Resolve<'m>,
    links: &'m [Link],
    tables: BTreeMap<String, RoutingTable>,
    /// What nodes of this flow call by name.
    tools: BTreeMap<String, Tool>,
    problems: Vec<Problem>,
}

impl Making<'_> {
    fn problem(&mut self, message: impl Into<String>, path: &[Step]) {
        let at = self.flow.value_span(path);
        self.problems.push(Problem::new(message, at));
    }

    /// With nothing of something that each trace needs, every trace would fail.
    fn budget(&mut self) {
        let budget = self.flow.file.budget;
        let nothing = [
            ("hops", budget.hops.is_some_and(|count| count.0 == 0)),
            ("messages", budget.messages.is_some_and(|count| count.0 == 0)),
            ("payload", budget.payload.is_some_and(|bytes| bytes.0 == 0)),
            ("fuel", budget.fuel.is_some_and(|count| count.0 == 0)),
            ("memory", budget.memory.is_some_and(|bytes| bytes.0 == 0)),
            ("tokens", budget.tokens.is_some_and(|count| count.0 == 0)),
        ];
        for (key, _) in nothing.iter().filter(|(_, nothing)| *nothing) {
            self.problem(
                format!("with `{key}` at 0 no trace can do anything; give it more, or leave it out"),
                &["budget".into(), (*key).into()],
            );
        }
        self.too_short(budget.deadline, &["budget".into(), "deadline".into()]);
    }

    /// Plugins can only be granted what the flow has, and one clock.
    fn grants(&mut self) {
        let subflows = &self.flow.file.subflows;
        for (plugin, config) in self.flow.file.plugins.iter() {
            if config.grants.clock.as_ref().is_some_and(|clock| clock.clock().is_none()) {
                let at = [Step::from("plugins"), plugin.into(), "grants".into(), "clock".into()];
                self.problem("a clock has either a `resolution` or a time at which it is `fixed`", &at);
            }
            let grants = [Step::from("plugins"), plugin.into(), "grants".into()];
            for (at, message) in config.grants.check() {
                self.problem(message, &[grants.as_slice(), &at].concat());
            }
            let at = [grants.as_slice(), &["subflow".into()]].concat();
            for (position, name) in config.grants.subflow.iter().flatten().enumerate() {
                if subflows.get(name).is_none() {
                    let known = did_you_mean(name, subflows.names());
                    let message = format!("there is no subflow `{name}` under `subflows`{known}");
                    self.problem(message, &[at.as_slice(), &[position.into()]].concat());
                }
            }
        }
    }

    /// Declares the tools that plugins are granted.
    fn granted_tools(&mut self) {
        let plugins = &self.flow.file.plugins;
        for (plugin, config) in plugins.iter() {
            let at = [Step::from("plugins"), plugin.into(), "grants".into(), "tools".into()];
            for (position, wanted) in config.grants.tools.iter().flatten().enumerate() {
                self.tool(wanted, &[at.as_slice(), &[position.into()]].concat());
            }
        }
    }

    /// Declares a tool for whoever calls it by its name, once, and gives what its plugin says of it. None: what is wrong has been said.
    fn tool(&mut self, wanted: &str, place: &[Step]) -> Option<ToolSpec> {
        let Some((of, member)) = wanted.split_once('/') else {
            self.problem(format!("`{wanted}` is no tool; write PLUGIN/TOOL"), place);
            return None;
        };
        let plugins = &self.flow.file.plugins;
        if plugins.get(of).is_none() {
            let known = did_you_mean(of, plugins.names());
            self.problem(format!("there is no plugin `{of}` under `plugins`{known}"), place);
            return None;
        }
        let asked = Wanted { within: self.within, plugin: of, member, config: &Value::Null, reuse: None };
        match (self.resolve)(asked) {
            Ok(Code { invoke, input, output, tool: Some(spec), .. }) => {
                self.tools.entry(wanted.to_owned()).or_insert(Tool { invoke, input, output });
                return Some(spec);
            }
            Ok(_) => self.problem(format!("`{wanted}` is a node; only tools can be granted to be called"), place),
            // Said where the plugin is.
            Err(Unresolved::Plugin) => {}
            Err(Unresolved::Member(why) | Unresolved::Config(why)) => self.problem(why, place),
        }
        None
    }

    /// A run that goes on after a crash knows what of it must not be done twice.
    fn agent(&mut self, name: &str, config: &AgentConfig) -> Option<Kind> {
        let at = [Step::from("nodes"), name.into(), "agent".into()];
        let mut specs = Vec::new();
        for tool in config.tools.names() {
            let place = [at.as_slice(), &["tools".into(), tool.as_str().into()]].concat();
            specs.push((tool.clone(), self.tool(tool, &place)?));
        }
        match config.agent(specs, |path| self.flow.resolve(path)) {
            Ok(agent) => Some(Kind::Run { invoke: Arc::new(agent), input: None, output: None, repeatable: true }),
            Err(wrong) => {
                for (place, message) in wrong {
                    self.problem(message, &[at.as_slice(), &place].concat());
                }
                None
            }
        }
    }

    /// Timers count milliseconds.
    fn too_short(&mut self, time: Option<Time>, at: &[Step]) {
        if time.is_some_and(|time| time.0 < Duration::from_millis(1)) {
            self.problem("times are kept to the millisecond: give it 1ms or more, or leave it out", at);
        }
    }

    fn policy(&mut self, name: &str, node: &Node) -> Policy {
        let config = match node {
            Node::Run(node) => &node.policy,
            Node::Route(node) => &node.policy,
            Node::Map(node) => &node.policy,
            Node::Subflow(node) => &node.policy,
            Node::Agent(node) => &node.policy,
            Node::Join(_) | Node::Discard(_) => return Policy::with_concurrency(self.cores),
        };
        self.too_short(config.timeout, &["nodes".into(), name.into(), "policy".into(), "timeout".into()]);
        config.policy(self.cores).unwrap_or_else(|message| {
            self.problem(message, &["nodes".into(), name.into(), "policy".into(), "backoff".into(), "factor".into()]);
            Policy::with_concurrency(self.cores)
        })
    }

    fn kind(&mut self, name: &str, node: &Node) -> Option<Kind> {
        match node {
            Node::Run(run) => {
                let code = self.code(name, "run", &run.run, &run.config, run.reuse)?;
                let Code { invoke, input, output, repeatable, .. } = code;
                Some(Kind::Run { invoke, input, output, repeatable })
            }
            Node::Map(map) => {
                let code = self.code(name, "map", &map.map, &map.config, map.reuse)?;
                let default = NonZeroUsize::new(DEFAULT_MAP_CONCURRENCY).unwrap_or(NonZeroUsize::MIN);
                let invoke = Arc::new(MapNode::new(code.invoke, map.concurrency.unwrap_or(default)));
                Some(Kind::Run { invoke, input: None, output: None, repeatable: code.repeatable })
            }
            Node::Route(route) => {
                let invoke = self.router(name, route)?;
                Some(Kind::Run { invoke, input: None, output: None, repeatable: true })
            }
            Node::Join(join) => self.join(name, join).map(Kind::Join),
            Node::Subflow(node) => self.subflow(name, &node.subflow),
            Node::Agent(node) => self.agent(name, &node.agent),
            Node::Discard(discard) => {
                if !discard.discard {
                    self.problem("`discard` is `true` or not there", &["nodes".into(), name.into(), "discard".into()]);
                }
                Some(Kind::Discard)
            }
        }
    }

    fn code(&mut self, name: &str, key: &str, wanted: &str, config: &Value, reuse: Option<NonZeroU32>) -> Option<Code> {
        let path = |key: &str| [Step::from("nodes"), name.into(), key.into()];
        let Some((plugin, member)) = wanted.split_once('/') else {
            self.problem(format!("`{wanted}` is no node of a plugin; write PLUGIN/NODE"), &path(key));
            return None;
        };
        let plugins = &self.flow.file.plugins;
        if plugins.get(plugin).is_none() {
            let message = format!("there is no plugin `{plugin}` under `plugins`{}", did_you_mean(plugin, plugins.names()));
            self.problem(message, &path(key));
            return None;
        }
        match (self.resolve)(Wanted { plugin, within: self.within, member, config, reuse }) {
            Ok(code) => return Some(code),
            Err(Unresolved::Plugin) => {}
            Err(Unresolved::Member(message)) => self.problem(message, &path(key)),
            Err(Unresolved::Config(message)) => self.problem(message, &path("config")),
        }
        None
    }

    /// A call that is repeated after a crash finds what its subflow has done already.
    fn subflow(&mut self, name: &str, wanted: &str) -> Option<Kind> {
        let subflows = &self.flow.file.subflows;
        if subflows.get(wanted).is_none() {
            let message = format!("there is no subflow `{wanted}` under `subflows`{}", did_you_mean(wanted, subflows.names()));
            self.problem(message, &["nodes".into(), name.into(), "subflow".into()]);
            return None;
        }
        let invoke = Arc::new(SubflowNode::new(wanted));
        Some(Kind::Run { invoke, input: None, output: None, repeatable: true })
    }

    fn join(&mut self, name: &str, node: &JoinNode) -> Option<Join> {
        let at = |keys: &[&str]| ["nodes", name].iter().chain(keys).map(|key| Step::from(*key)).collect::<Vec<_>>();
        self.too_short(node.join.within, &at(&["join", "within"]));
        let (join, wrong) = node.join();
        for (keys, message) in wrong {
            self.problem(message, &at(keys));
        }
        join
    }
}
