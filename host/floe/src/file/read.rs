//! From the tree to the types, part by part: each plugin, node and edge on its own, so that all mistakes are found in one go.

use serde::de::DeserializeOwned;

use super::de::{Mismatch, read, unknown_key};
use super::named::Named;
use super::problem::Problem;
use super::tree::{Entry, Shape, Span, Tree};
use super::types::{Edge, FlowFile, Node};

/// The keys of [`FlowFile`].
const KEYS: [&str; 7] = ["floe", "name", "plugins", "subflows", "nodes", "edges", "budget"];
/// The keys that say what a node is.
const KINDS: [&str; 7] = ["run", "route", "join", "map", "subflow", "agent", "discard"];

/// Reads the whole file; nothing if it lacks what every flow has.
pub(crate) fn flow_file(root: &Tree, problems: &mut Vec<Problem>) -> Option<FlowFile> {
    let Shape::Map(entries) = &root.shape else {
        let message = format!("a flow file is a map with `floe: 1`, `name` and `nodes`; this is {}", root.describe());
        problems.push(Problem::new(message, Some(root.span)));
        return None;
    };
    for entry in entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
        problems.push(place(unknown_key(&entry.key, &KEYS), entry.key_span));
    }
    let mut reader = Reader { entries, problems };
    let floe = reader.version();
    let name = reader.name();
    let plugins = reader.named("plugins", read);
    let subflows = reader.named("subflows", read);
    let nodes = reader.named("nodes", node);
    let edges = reader.edges();
    let budget = reader.optional("budget");
    if !entries.iter().any(|entry| entry.key == "nodes") {
        problems.push(Problem::new("`nodes` is missing", None));
    }
    Some(FlowFile { floe: floe?, name: name?, plugins, subflows, nodes, edges, budget })
}

struct Reader<'t, 'p> {
    entries: &'t [Entry],
    problems: &'p mut Vec<Problem>,
}

impl<'t> Reader<'t, '_> {
    fn find(&self, key: &str) -> Option<&'t Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Keeps what was read, or notes what is wrong with it.
    fn keep<T>(&mut self, result: Result<T, Mismatch>, span: Span) -> Option<T> {
        result.map_err(|mismatch| self.problems.push(place(mismatch, span))).ok()
    }

    fn version(&mut self) -> Option<u32> {
        let Some(entry) = self.find("floe") else {
            let problem = Problem::new("`floe` is missing: the version of the file's format", None);
            self.problems.push(problem.with_help("begin the file with `floe: 1`"));
            return None;
        };
        let version = self.keep(read::<u32>(&entry.value), entry.value.shown(Some(entry.key_span)))?;
        if version != 1 {
            let message = format!("this host reads flow files of version 1, not {version}");
            self.problems.push(Problem::new(message, Some(entry.value.span)));
        }
        Some(version)
    }

    fn name(&mut self) -> Option<String> {
        let Some(entry) = self.find("name") else {
            self.problems.push(Problem::new("`name` is missing", None).with_help("for example `name: my-flow`"));
            return None;
        };
        let name: String = self.keep(read(&entry.value), entry.value.shown(Some(entry.key_span)))?;
        if !floe_flow::graph::valid_name(&name) {
            self.problems.push(Problem::new(BAD_NAME, Some(entry.value.span)));
        }
        Some(name)
    }

    fn named<T>(&mut self, section: &str, read_one: impl Fn(&'t Tree) -> Result<T, Mismatch>) -> Named<T> {
        let Some(section) = self.find(section) else { return Named::default() };
        let items = match &section.value.shape {
            Shape::Map(items) => items.as_slice(),
            Shape::Null => &[],
            Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) | Shape::List(_) => {
                let message = format!("`{}` maps names to values; this is {}", section.key, section.value.describe());
                self.problems.push(Problem::new(message, Some(section.value.shown(Some(section.key_span)))));
                return Named::default();
            }
        };
        let mut named = Vec::with_capacity(items.len());
        for item in items {
            if !floe_flow::graph::valid_name(&item.key) {
                self.problems.push(Problem::new(BAD_NAME, Some(item.key_span)));
            }
            let value = self.keep(read_one(&item.value), item.key_span);
            named.extend(value.map(|value| (item.key.clone(), value)));
        }
        Named(named)
    }

    fn edges(&mut self) -> Vec<Edge> {
        let Some(section) = self.find("edges") else { return Vec::new() };
        let items = match &section.value.shape {
            Shape::List(items) => items.as_slice(),
            Shape::Null => &[],
            Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) | Shape::Map(_) => {
                let message = format!("`edges` is a list such as `- a -> b`; this is {}", section.value.describe());
                self.problems.push(Problem::new(message, Some(section.value.shown(Some(section.key_span)))));
                return Vec::new();
            }
        };
        items.iter().filter_map(|item| self.keep(read(item), item.span)).collect()
    }

    fn optional<T: DeserializeOwned + Default>(&mut self, key: &str) -> T {
        let Some(entry) = self.find(key) else { return T::default() };
        self.keep(read(&entry.value), entry.value.shown(Some(entry.key_span))).unwrap_or_default()
    }
}

/// Why a name is refused.
const BAD_NAME: &str = "names are made of a-z, 0-9, `_` and `-`, at most 64 of them";

/// A node is what its key among [`KINDS`] says.
fn node(tree: &Tree) -> Result<Node, Mismatch> {
    let keys: Vec<&Entry> = match &tree.shape {
        Shape::Map(entries) => entries.iter().collect(),
        Shape::Null | Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) | Shape::List(_) => Vec::new(),
    };
    let mut kinds = keys.iter().filter(|entry| KINDS.contains(&entry.key.as_str()));
    let first = kinds.next();
    let second = kinds.find(|entry| first.is_some_and(|first| first.key != entry.key));
    if let (Some(first), Some(second)) = (first, second) {
        let message = format!("a node is either `{}` or `{}`; make two nodes of it", first.key, second.key);
        return Err(Mismatch { message, help: None, span: Some(second.key_span) });
    }
    match first.map(|entry| entry.key.as_str()) {
        Some("run") => read(tree).map(Node::Run),
        Some("route") => read(tree).map(Node::Route),
        Some("join") => read(tree).map(Node::Join),
        Some("map") => read(tree).map(Node::Map),
        Some("subflow") => read(tree).map(Node::Subflow),
        Some("agent") => read(tree).map(Box::new).map(Node::Agent),
        Some(_) => read(tree).map(Node::Discard),
        None => {
            let guess = keys.first().map(|entry| Mismatch { span: Some(entry.key_span), ..unknown_key(&entry.key, &KINDS) });
            match guess {
                Some(guess) if guess.message.contains("did you mean") => Err(guess),
                _ => {
                    let message = "a node is one of `run`, `route`, `join`, `map`, `subflow`, `agent` and `discard`".to_owned();
                    Err(Mismatch { message, help: Some("for example `{ run: PLUGIN/NODE }`".to_owned()), span: None })
                }
            }
        }
    }
}

fn place(mismatch: Mismatch, span: Span) -> Problem {
    Problem { message: mismatch.message, help: mismatch.help, at: Some(mismatch.span.unwrap_or(span)), beside: None }
}
