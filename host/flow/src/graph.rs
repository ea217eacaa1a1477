//! A checked graph: nodes and edges in declaration order. Nothing here runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::{fmt, iter};

use crate::budget::Budget;
use crate::join::{Join, Late, Members};
use crate::message::name_key;
use crate::node::Invoke;
use crate::policy::{OnFailure, Policy};
use crate::schema::{self, Schema};
use crate::tool::Tool;

/// Messages that wait on one edge for one tenant; PenguiFlow's number (spec item 24), a screenful to look at.
pub const DEFAULT_QUEUE: usize = 64;

/// Position of a node in [`Graph::nodes`].
pub type NodeIndex = usize;
/// Position of an edge in [`Graph::edges`].
pub type EdgeIndex = usize;

/// A flow whose names, edges and joins fit together.
#[derive(Debug)]
pub struct Graph {
    /// The flow's name.
    pub name: Arc<str>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    inputs: Vec<NodeIndex>,
    subflows: Vec<(String, Graph, Budget)>,
    tools: BTreeMap<String, Tool>,
}

/// A node of a checked graph.
#[derive(Debug)]
pub struct Node {
    /// Unique within the graph, `[a-z0-9_-]+`.
    pub name: Arc<str>,
    /// What it does.
    pub kind: Kind,
    /// How it is run.
    pub policy: Policy,
    /// Its edges, in declaration order; none: it is an output of the flow.
    pub successors: Vec<EdgeIndex>,
    /// The edge that failures take, if the policy sends them on.
    pub(crate) on_failure: Option<EdgeIndex>,
    /// The joins over this node's emissions.
    pub(crate) joined_by: Vec<NodeIndex>,
    /// The joins that a message at this node can still reach, itself included.
    pub(crate) reaches: BTreeSet<NodeIndex>,
    pub(crate) key: u64,
}

/// What a node does.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Computes: a plugin, a native function, a router, a map.
    Run {
        /// The computation.
        invoke: Arc<dyn Invoke>,
        /// What it takes; none: anything.
        input: Option<Schema>,
        /// What it gives; none: anything.
        output: Option<Schema>,
        /// Whether a call that a crash cut off may be made again: it has no effect outside, or none the second time.
        repeatable: bool,
    },
    /// Gathers messages into one.
    Join(Join),
    /// Ends what it is sent.
    Discard,
}

/// An edge of a checked graph.
#[derive(Debug)]
pub struct Edge {
    /// The sender.
    pub from: NodeIndex,
    /// The receiver.
    pub to: NodeIndex,
    /// Messages that may wait here for one tenant.
    pub queue: usize,
    /// Carries failures only (`on_failure: to`), so it is no way for outputs.
    pub failures: bool,
}

/// What is wrong with a graph, and where.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, and the remedy.
    pub message: String,
}

/// A part of a graph.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// The graph as a whole.
    Graph,
    /// The node with this name.
    Node(String),
    /// The edge between nodes with these names.
    Edge(String, String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph => f.write_str("flow"),
            Self::Node(name) => write!(f, "node `{name}`"),
            Self::Edge(from, to) => write!(f, "edge `{from} -> {to}`"),
        }
    }
}

// === impl Graph ===

impl Graph {
    /// Starts a graph with this name.
    pub fn builder(name: &str) -> Builder {
        Builder {
            name: name.into(),
            nodes: Vec::new(),
            edges: Vec::new(),
            subflows: Vec::new(),
            tools: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// The nodes, in declaration order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The edges, in declaration order.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The nodes without predecessors: where messages enter.
    pub fn inputs(&self) -> &[NodeIndex] {
        &self.inputs
    }

    /// Each subflow's name, graph and budget, in declaration order.
    pub fn subflows(&self) -> &[(String, Self, Budget)] {
        &self.subflows
    }

    /// The tool of this name that calls of its nodes may call.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name)
    }

    pub(crate) fn take_subflows(&mut self) -> Vec<(String, Self, Budget)> {
        std::mem::take(&mut self.subflows)
    }

    /// The node with this name.
    pub fn find(&self, name: &str) -> Option<NodeIndex> {
        self.nodes.iter().position(|node| &*node.name == name)
    }
}

/// Collects nodes and edges; [`Builder::build`] checks them as a whole.
#[derive(Debug)]
pub struct Builder {
    name: Arc<str>,
    nodes: Vec<(String, Kind, Policy)>,
    edges: Vec<(String, String, usize)>,
    subflows: Vec<(String, Graph, Budget)>,
    tools: BTreeMap<String, Tool>,
    problems: Vec<Problem>,
}

impl Builder {
    /// Adds a node.
    pub fn node(&mut self, name: &str, kind: Kind, policy: Policy) -> &mut Self {
        self.nodes.push((name.to_owned(), kind, policy));
        self
    }

    /// Adds a node that computes, without schemas and without effects that a second call would repeat.
    pub fn run(&mut self, name: &str, invoke: Arc<dyn Invoke>, policy: Policy) -> &mut Self {
        self.node(name, Kind::Run { invoke, input: None, output: None, repeatable: true }, policy)
    }

    /// Adds an edge; `queue` messages of one tenant may wait on it.
    pub fn edge(&mut self, from: &str, to: &str, queue: usize) -> &mut Self {
        self.edges.push((from.to_owned(), to.to_owned(), queue));
        self
    }

    /// Adds a graph that nodes can run by name, each of its traces within this budget and within what its caller has left.
    pub fn subflow(&mut self, name: &str, graph: Graph, budget: Budget) -> &mut Self {
        if self.subflows.iter().any(|(known, ..)| known == name) {
            self.problem(Place::Graph, format!("there are two subflows `{name}`; rename one"));
        }
        self.subflows.push((name.to_owned(), graph, budget));
        self
    }

    /// Adds a tool that calls of nodes may call by name.
    pub fn tool(&mut self, name: &str, tool: Tool) -> &mut Self {
        if self.tools.insert(name.to_owned(), tool).is_some() {
            self.problem(Place::Graph, format!("there are two tools `{name}`; rename one"));
        }
        self
    }

    /// Adds edges along a line of nodes, with the default room.
    pub fn chain(&mut self, names: &[&str]) -> &mut Self {
        for pair in names.windows(2) {
            self.edge(pair[0], pair[1], DEFAULT_QUEUE);
        }
        self
    }

    /// Checks everything and says all that is wrong at once.
    pub fn build(mut self) -> Result<Graph, Vec<Problem>> {
        let index = self.index_names();
        let mut nodes = self.take_nodes();
        let edges = self.take_edges(&index, &mut nodes);
        self.check_joins(&index, &mut nodes);
        if self.problems.is_empty() {
            match topological_order(&nodes, &edges) {
                Ok(order) => mark_reachable_joins(&order, &mut nodes, &edges),
                Err(cycle) => self.cycle(&cycle, &nodes, &edges),
            }
        }
        if self.problems.is_empty() {
            self.check_after_order(&nodes, &edges);
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        let inputs = (0..nodes.len()).filter(|node| edges.iter().all(|edge| edge.to != *node)).collect();
        Ok(Graph { name: self.name, nodes, edges, inputs, subflows: self.subflows, tools: self.tools })
    }

    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem { place, message: message.into() });
    }

    /// The edge that closes it is the place, or the node whose failures do.
    fn cycle(&mut self, cycle: &[EdgeIndex], nodes: &[Node], edges: &[Edge]) {
        let name = |node: NodeIndex| &*nodes[node].name;
        let [.., closing] = cycle else { return };
        let closing = &edges[*closing];
        let names: Vec<&str> = iter::once(closing.to).chain(cycle.iter().map(|edge| edges[*edge].to)).map(name).collect();
        let place = match (name(closing.from).to_owned(), closing.failures) {
            (from, true) => Place::Node(from),
            (from, false) => Place::Edge(from, name(closing.to).to_owned()),
        };
        let names = names.join(" -> ");
        self.problem(place, format!("there is a cycle: {names}; a loop is a node that asks for another turn, not an edge back"));
    }

    fn index_names(&mut self) -> BTreeMap<String, NodeIndex> {
        let mut index = BTreeMap::new();
        if self.nodes.is_empty() {
            self.problem(Place::Graph, "it has no nodes; add one under `nodes`");
        }
        let names: Vec<String> = self.nodes.iter().map(|(name, ..)| name.clone()).collect();
        for (position, name) in names.into_iter().enumerate() {
            if !valid_name(&name) {
                self.problem(Place::Node(name.clone()), "names are made of a-z, 0-9, `_` and `-`, at most 64 of them");
            }
            if index.insert(name.clone(), position).is_some() {
                self.problem(Place::Node(name), "there are two nodes with this name; rename one");
            }
        }
        index
    }

    fn take_nodes(&mut self) -> Vec<Node> {
        let parts = std::mem::take(&mut self.nodes);
        parts
            .into_iter()
            .map(|(name, kind, policy)| {
                if policy.concurrency == 0 {
                    self.problem(Place::Node(name.clone()), "`concurrency: 0` would never run; use 1 or more");
                }
                Node {
                    key: name_key(&name),
                    name: name.into(),
                    kind,
                    policy,
                    successors: Vec::new(),
                    on_failure: None,
                    joined_by: Vec::new(),
                    reaches: BTreeSet::new(),
                }
            })
            .collect()
    }

    fn take_edges(&mut self, index: &BTreeMap<String, NodeIndex>, nodes: &mut [Node]) -> Vec<Edge> {
        let mut edges: Vec<Edge> = Vec::new();
        for (from, to, queue) in std::mem::take(&mut self.edges) {
            let place = Place::Edge(from.clone(), to.clone());
            let (Some(&start), Some(&end)) = (index.get(&from), index.get(&to)) else {
                let missing = if index.contains_key(&from) { &to } else { &from };
                let message = format!("there is no node `{missing}`{}", did_you_mean(missing, index.keys()));
                self.problem(place, message);
                continue;
            };
            if queue == 0 {
                self.problem(place.clone(), "`queue: 0` lets nothing pass; use 1 or more");
            }
            if edges.iter().any(|edge| (edge.from, edge.to) == (start, end)) {
                self.problem(place.clone(), "this edge is there twice; remove one");
            }
            if matches!(nodes[start].kind, Kind::Discard) {
                self.problem(place, "a `discard` node has no successors");
            }
            nodes[start].successors.push(edges.len());
            edges.push(Edge { from: start, to: end, queue, failures: false });
        }
        for (start, node) in nodes.iter_mut().enumerate() {
            let OnFailure::To(target) = &node.policy.on_failure else { continue };
            let Some(&end) = index.get(target) else {
                let message = format!("`on_failure` names `{target}`, which is no node{}", did_you_mean(target, index.keys()));
                self.problem(Place::Node(node.name.to_string()), message);
                continue;
            };
            node.on_failure = Some(edges.len());
            edges.push(Edge { from: start, to: end, queue: DEFAULT_QUEUE, failures: true });
        }
        edges
    }

    fn check_joins(&mut self, index: &BTreeMap<String, NodeIndex>, nodes: &mut [Node]) {
        for join_index in 0..nodes.len() {
            let Kind::Join(join) = &nodes[join_index].kind else { continue };
            let join = join.clone();
            let place = || Place::Node(nodes[join_index].name.to_string());
            match &join.members {
                Members::Count(0) => self.problem(place(), "`count: 0` would never wait; use 1 or more"),
                Members::Count(_) => {}
                Members::EachOf(names) => self.check_sources(&place(), names, index),
                Members::AllOf(of) => match index.get(of) {
                    Some(&split) => nodes[split].joined_by.push(join_index),
                    None => {
                        let message = format!("`all` names `{of}`, which is no node{}", did_you_mean(of, index.keys()));
                        self.problem(place(), message);
                    }
                },
            }
            let place = Place::Node(nodes[join_index].name.to_string());
            let is_group = matches!(join.members, Members::AllOf(_));
            let most = match &join.members {
                Members::Count(count) => Some(*count),
                Members::EachOf(names) => Some(names.len()),
                Members::AllOf(_) => None,
            };
            if let (Some(most), Some(quorum)) = (most, join.quorum)
                && quorum > most
            {
                let message = format!("`quorum: {quorum}` is never reached: the join takes {most} messages");
                self.problem(place.clone(), message);
            }
            if is_group && join.by.is_some() {
                self.problem(place.clone(), "`by` belongs to a join that counts; `all` knows its members");
            }
            if !is_group && join.late != Late::Drop {
                self.problem(place, "`late` belongs to `all`: where messages are counted, a late one begins the next round");
            }
        }
    }

    fn check_sources(&mut self, place: &Place, names: &[String], index: &BTreeMap<String, NodeIndex>) {
        if names.len() < 2 {
            self.problem(place.clone(), "`from` names the nodes of which one message each is gathered: two or more");
        }
        for (position, name) in names.iter().enumerate() {
            if !index.contains_key(name) {
                let message = format!("`from` names `{name}`, which is no node{}", did_you_mean(name, index.keys()));
                self.problem(place.clone(), message);
            } else if names[..position].contains(name) {
                self.problem(place.clone(), format!("`from` names `{name}` twice; remove one"));
            }
        }
    }

    /// What can only be said once the graph is known to have no cycle.
    fn check_after_order(&mut self, nodes: &[Node], edges: &[Edge]) {
        for (index, node) in nodes.iter().enumerate() {
            if let Kind::Join(Join { members: Members::EachOf(names), .. }) = &node.kind {
                let sources: Vec<&str> =
                    edges.iter().filter(|edge| edge.to == index).map(|edge| &*nodes[edge.from].name).collect();
                for name in names.iter().filter(|name| !sources.contains(&name.as_str())) {
                    let message = format!("`from` names `{name}`, but there is no edge `{name} -> {}`", node.name);
                    self.problem(Place::Node(node.name.to_string()), message);
                }
                for source in sources.iter().filter(|source| !names.iter().any(|name| name == *source)) {
                    let message = format!("`{source}` sends to this join, but `from` does not name it");
                    self.problem(Place::Node(node.name.to_string()), message);
                }
            }
            for &join in &node.joined_by {
                if !node.reaches.contains(&join) || matches!(node.kind, Kind::Join(_) | Kind::Discard) {
                    let message =
                        format!("no message of `{}` can get here; it must be a running node ahead of this join", node.name);
                    self.problem(Place::Node(nodes[join].name.to_string()), message);
                }
            }
        }
        for edge in edges.iter().filter(|edge| !edge.failures) {
            let (from, to) = (&nodes[edge.from], &nodes[edge.to]);
            let (Kind::Run { output: Some(output), .. }, Kind::Run { input: Some(input), .. }) = (&from.kind, &to.kind) else {
                continue;
            };
            if from.policy.validate.output()
                && to.policy.validate.input()
                && let Some(why) = schema::disjoint(output, input)
            {
                let place = Place::Edge(from.name.to_string(), to.name.to_string());
                self.problem(place, format!("nothing that `{}` gives can fit what `{}` takes: {why}", from.name, to.name));
            }
        }
    }
}

/// Whether this can name a flow, a node, a tool or a plugin.
pub fn valid_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-')
}

/// `"; did you mean …?"` for the known name nearest to a wrong one, or nothing.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a String>) -> String {
    let nearest = known.into_iter().map(|name| (strsim::levenshtein(wrong, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + wrong.len() / 3 && distance < wrong.len() => {
            format!("; did you mean `{name}`?")
        }
        _ => String::new(),
    }
}

/// Kahn's algorithm in declaration order, or the edges of a cycle, of which the one that was declared last closes it.
fn topological_order(nodes: &[Node], edges: &[Edge]) -> Result<Vec<NodeIndex>, Vec<EdgeIndex>> {
    let mut waiting: Vec<usize> = (0..nodes.len()).map(|node| edges.iter().filter(|edge| edge.to == node).count()).collect();
    let mut order: Vec<NodeIndex> = (0..nodes.len()).filter(|node| waiting[*node] == 0).collect();
    let mut next = 0;
    while let Some(&node) = order.get(next) {
        next += 1;
        for edge in edges.iter().filter(|edge| edge.from == node) {
            waiting[edge.to] -= 1;
            if waiting[edge.to] == 0 {
                order.push(edge.to);
            }
        }
    }
    if order.len() == nodes.len() {
        return Ok(order);
    }
    // Walk backwards among the nodes that are left until one comes again: that is a cycle.
    let mut here = (0..nodes.len()).find(|node| waiting[*node] > 0).unwrap_or_default();
    let mut back: Vec<EdgeIndex> = Vec::new();
    let start = loop {
        let edge = edges.iter().position(|edge| edge.to == here && waiting[edge.from] > 0);
        back.push(edge.expect("a node waits for one that waits"));
        here = edges[back[back.len() - 1]].from;
        if let Some(start) = back.iter().position(|edge| edges[*edge].to == here) {
            break start;
        }
    };
    let mut cycle: Vec<EdgeIndex> = back.drain(start..).rev().collect();
    let last = (0..cycle.len()).max_by_key(|place| cycle[*place]).unwrap_or_default();
    cycle.rotate_left(last + 1);
    Err(cycle)
}

fn mark_reachable_joins(order: &[NodeIndex], nodes: &mut [Node], edges: &[Edge]) {
    for &node in order.iter().rev() {
        let mut reaches: BTreeSet<NodeIndex> =
            edges.iter().filter(|edge| edge.from == node).flat_map(|edge| nodes[edge.to].reaches.iter().copied()).collect();
        if matches!(nodes[node].kind, Kind::Join(_)) {
            reaches.insert(node);
        }
        nodes[node].reaches = reaches;
    }
}
