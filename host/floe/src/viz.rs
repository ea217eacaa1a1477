//! `floe viz`: a flow as a drawing, the same at every call: nodes and edges in declaration order, names never used as ids.

mod place;
mod svg;

use std::fmt::Write as _;

use floe_flow::Graph;

use crate::cli::{VizArgs, VizFormat};
use crate::file::{Flow, Node, Route};
use crate::{Error, Exit};

/// What is written at the edges into and out of the flow (spec item 123).
const INGRESS: &str = "ingress";
const EGRESS: &str = "egress";
/// Fill and border of where messages enter and leave, and of nodes that may ask for turns (spec item 121).
const ENDPOINT: [&str; 2] = ["#e0f2fe", "#0369a1"];
const LOOP: [&str; 2] = ["#fef3c7", "#b45309"];

/// Draws a flow on standard output.
pub fn execute(args: &VizArgs) -> Result<Exit, Error> {
    let flow = Flow::load(&args.flow, &args.set)?;
    let drawing = draw(&flow, args.format)?;
    std::io::Write::write_all(&mut std::io::stdout().lock(), drawing.as_bytes())?;
    Ok(Exit::Completed)
}

/// The drawing's text; a flow whose graph is wrong cannot be drawn.
pub fn draw(flow: &Flow, format: VizFormat) -> Result<String, Error> {
    let graph = flow.outline()?;
    let picture = Picture::of(flow, &graph);
    Ok(match format {
        VizFormat::Mermaid => mermaid(&picture),
        VizFormat::Dot => dot(&picture),
        VizFormat::Svg => svg::svg(&picture),
    })
}

/// What is drawn, in whatever language.
struct Picture {
    name: String,
    nodes: Vec<Drawn>,
    arrows: Vec<Arrow>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

struct Drawn {
    lines: Vec<String>,
    shape: Shape,
    /// What is written at the loop of a node whose policy speaks of turns. Whether any node asks for them, only its code knows.
    turns: Option<String>,
}

#[derive(Clone, Copy)]
enum Shape {
    Run,
    Route,
    Join,
    Map,
    Subflow,
    Discard,
}

struct Arrow {
    from: usize,
    to: usize,
    label: Option<String>,
    failure: bool,
}

impl Picture {
    fn of(flow: &Flow, graph: &Graph) -> Self {
        let nodes: Vec<Drawn> = flow.file.nodes.iter().map(|(name, node)| drawn(name, node)).collect();
        let arrows = graph.edges().iter().map(|edge| {
            let to = &graph.nodes()[edge.to].name;
            let label = if edge.failures {
                Some("failure".to_owned())
            } else {
                flow.file.nodes.get(&graph.nodes()[edge.from].name).and_then(|node| condition(node, to))
            };
            Arrow { from: edge.from, to: edge.to, label, failure: edge.failures }
        });
        let is_output =
            |index: &usize| graph.nodes()[*index].successors.is_empty() && !matches!(nodes[*index].shape, Shape::Discard);
        Self {
            name: flow.file.name.clone(),
            arrows: arrows.collect(),
            inputs: graph.inputs().to_vec(),
            outputs: (0..graph.nodes().len()).filter(is_output).collect(),
            nodes,
        }
    }
}

impl Picture {
    /// The nodes that may ask for turns, and what is written at their loops.
    fn loops(&self) -> impl Iterator<Item = (usize, &str)> {
        self.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, node.turns.as_deref()?)))
    }
}

fn drawn(name: &str, node: &Node) -> Drawn {
    let (shape, what) = match node {
        Node::Run(run) => (Shape::Run, run.run.clone()),
        Node::Route(route) => match &route.route {
            Route::Rules(_) if route.all => (Shape::Route, "every match".to_owned()),
            Route::Rules(_) => (Shape::Route, "first match".to_owned()),
            Route::Field(field) => (Shape::Route, format!("by {}", field.by)),
        },
        Node::Join(join) => match (&join.join.all, &join.join.from) {
            (Some(of), _) => (Shape::Join, format!("join all of {of}")),
            (None, Some(nodes)) => (Shape::Join, format!("join one of {}", nodes.join(", "))),
            (None, None) => (Shape::Join, format!("join {}", join.join.count.unwrap_or_default())),
        },
        Node::Map(map) => (Shape::Map, format!("map {}", map.map)),
        Node::Subflow(node) => (Shape::Subflow, format!("flow {}", node.subflow)),
        Node::Agent(node) => (Shape::Run, format!("agent with {}", tools(node.agent.tools.names().count()))),
        Node::Discard(_) => (Shape::Discard, "discard".to_owned()),
    };
    let turns = match node {
        Node::Run(run) => run.policy.turns.map(|turns| format!("loop: up to {turns} turns")),
        _ => None,
    };
    Drawn { lines: vec![name.to_owned(), what], shape, turns }
}

fn tools(count: usize) -> String {
    if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") }
}

/// When a router sends a message to this successor; nothing for other nodes.
fn condition(node: &Node, to: &str) -> Option<String> {
    let Node::Route(router) = node else { return None };
    let mut conditions: Vec<String> = Vec::new();
    match &router.route {
        Route::Rules(rules) => {
            for rule in rules {
                let names = |targets: &Option<crate::file::OneOrMany>| {
                    targets.as_ref().is_some_and(|targets| targets.0.iter().any(|name| name == to))
                };
                if names(&rule.to) {
                    conditions.extend(rule.when.clone());
                }
                if names(&rule.otherwise) {
                    conditions.push("else".to_owned());
                }
            }
        }
        Route::Field(field) => {
            let elsewhere = field.from_file.as_ref().or(field.from_env.as_ref());
            let listed = field.to.iter().filter(|(_, targets)| targets.0.iter().any(|name| name == to));
            conditions.extend(listed.map(|(value, _)| format!("{} = {value}", field.by)));
            match &field.otherwise {
                Some(otherwise) if otherwise.0.iter().any(|name| name == to) => conditions.push("else".to_owned()),
                // What leads where may change.
                _ if elsewhere.is_some() => conditions.extend(elsewhere.cloned()),
                // Without `else`, a value that is not listed names its successor.
                None if field.to.get(to).is_none() => conditions.push(format!("{} = {to}", field.by)),
                Some(_) | None => {}
            }
        }
    }
    (!conditions.is_empty()).then(|| conditions.join(" or "))
}

/// Whether a character may stand in a drawing: no control, none that turns the order of others around, and none that XML cannot
/// carry (XML 1.0, section 2.2).
fn is_shown(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

// === Mermaid ===

fn mermaid(picture: &Picture) -> String {
    let mut text = format!("---\ntitle: \"{}\"\n---\nflowchart LR\n", picture.name);
    // Names are a-z, 0-9, `_` and `-`, so the title needs no escaping. Writing to a String cannot fail.
    if !picture.inputs.is_empty() {
        text.push_str("    input([\"input\"])\n");
    }
    for (index, node) in picture.nodes.iter().enumerate() {
        let lines: Vec<String> = node.lines.iter().map(|line| mermaid_text(line)).collect();
        let label = lines.join("<br/>");
        let (open, close) = match node.shape {
            Shape::Run => ("[", "]"),
            Shape::Route => ("{", "}"),
            Shape::Join => ("[/", "\\]"),
            Shape::Map => ("[[", "]]"),
            Shape::Subflow => ("{{", "}}"),
            Shape::Discard => (">", "]"),
        };
        let _ = writeln!(text, "    n{index}{open}\"{label}\"{close}");
    }
    if !picture.outputs.is_empty() {
        text.push_str("    output([\"output\"])\n");
    }
    for input in &picture.inputs {
        let _ = writeln!(text, "    input -->|\"{INGRESS}\"| n{input}");
    }
    for arrow in &picture.arrows {
        let line = if arrow.failure { "-.->" } else { "-->" };
        let label = arrow.label.as_ref().map(|label| format!("|\"{}\"|", mermaid_text(label))).unwrap_or_default();
        let _ = writeln!(text, "    n{} {line}{label} n{}", arrow.from, arrow.to);
    }
    for (index, turns) in picture.loops() {
        let _ = writeln!(text, "    n{index} -->|\"{}\"| n{index}", mermaid_text(turns));
    }
    for output in &picture.outputs {
        let _ = writeln!(text, "    n{output} -->|\"{EGRESS}\"| output");
    }
    let ends = [("input", &picture.inputs), ("output", &picture.outputs)];
    let ends: Vec<&str> = ends.iter().filter(|(_, nodes)| !nodes.is_empty()).map(|(name, _)| *name).collect();
    let loops: Vec<String> = picture.loops().map(|(index, _)| format!("n{index}")).collect();
    for (class, [fill, stroke], members) in [("endpoint", ENDPOINT, ends.join(",")), ("controller_loop", LOOP, loops.join(","))] {
        if !members.is_empty() {
            let _ = writeln!(text, "    classDef {class} fill:{fill},stroke:{stroke},stroke-width:1px");
            let _ = writeln!(text, "    class {members} {class}");
        }
    }
    text
}

/// Text in a quoted label: whatever Mermaid, its Markdown or HTML would read as their own becomes an entity.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '&' | '<' | '>' | '`' | '*' | '_' | '\\' | ';' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            c if is_shown(c) => escaped.push(c),
            _ => escaped.push(' '),
        }
    }
    escaped
}

// === Graphviz ===

fn dot(picture: &Picture) -> String {
    let mut text = format!("digraph \"{}\" {{\n    rankdir=LR;\n    node [fontname=\"sans-serif\"];\n", picture.name);
    if !picture.inputs.is_empty() {
        let _ = writeln!(text, "    input [label=\"input\", shape=oval, {}];", filled(ENDPOINT));
    }
    for (index, node) in picture.nodes.iter().enumerate() {
        let lines: Vec<String> = node.lines.iter().map(|line| dot_text(line)).collect();
        let shape = match node.shape {
            Shape::Run => "box",
            Shape::Route => "diamond",
            Shape::Join => "trapezium",
            Shape::Map => "box3d",
            Shape::Subflow => "component",
            Shape::Discard => "octagon",
        };
        let colours = if node.turns.is_some() { format!(", {}", filled(LOOP)) } else { String::new() };
        let _ = writeln!(text, "    n{index} [label=\"{}\", shape={shape}{colours}];", lines.join("\\n"));
    }
    if !picture.outputs.is_empty() {
        let _ = writeln!(text, "    output [label=\"output\", shape=oval, {}];", filled(ENDPOINT));
    }
    for input in &picture.inputs {
        let _ = writeln!(text, "    input -> n{input} [label=\"{INGRESS}\"];");
    }
    for arrow in &picture.arrows {
        let mut attributes = Vec::new();
        attributes.extend(arrow.label.as_ref().map(|label| format!("label=\"{}\"", dot_text(label))));
        attributes.extend(arrow.failure.then(|| "style=dashed".to_owned()));
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        let _ = writeln!(text, "    n{} -> n{}{attributes};", arrow.from, arrow.to);
    }
    for (index, turns) in picture.loops() {
        let _ = writeln!(text, "    n{index} -> n{index} [label=\"{}\"];", dot_text(turns));
    }
    for output in &picture.outputs {
        let _ = writeln!(text, "    n{output} -> output [label=\"{EGRESS}\"];");
    }
    text.push_str("}\n");
    text
}

fn filled([fill, stroke]: [&str; 2]) -> String {
    format!("style=filled, fillcolor=\"{fill}\", color=\"{stroke}\"")
}

/// Text in a quoted label: a backslash would begin one of Graphviz's own escapes.
fn dot_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            c if is_shown(c) => escaped.push(c),
            _ => escaped.push(' '),
        }
    }
    escaped
}
