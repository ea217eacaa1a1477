//! What is no mistake in a flow, but hardly meant.

use std::collections::{BTreeMap, BTreeSet};

use floe_flow::{Graph, Kind, RouteKey, RoutingTable};
use floe_sandbox::plain;
use serde_json::Value;

use crate::file::{Flow, MapNode, Node, Route, RouteField, RouteNode, RunNode};

/// Bytes of a value that a warning shows; it is a plugin's text.
const SHOWN: usize = 64;
/// Values that a warning names.
const NAMED: usize = 8;

/// One sentence for each, those of subflows after the flow's own; `within` stands before the names of a subflow's tables.
pub(super) fn oddities(flow: &Flow, graph: &Graph, tables: &BTreeMap<String, RoutingTable>, within: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let inputs: Vec<&str> = graph.inputs().iter().map(|input| &*graph.nodes()[*input].name).collect();
    if inputs.len() > 1 {
        warnings.push(format!("no edge leads to {}: each of them gets every input", quoted(&inputs)));
    }
    warnings.extend(unused(flow));
    warnings.extend(never_sent_to(flow));
    warnings.extend(without_a_way(flow, graph, tables, within));
    for ((name, inner), (_, graph, _)) in flow.subflows.iter().zip(graph.subflows()) {
        let inner = oddities(inner, graph, tables, &format!("{within}{name}/"));
        warnings.extend(inner.into_iter().map(|warning| format!("subflow `{name}`: {warning}")));
    }
    warnings
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

/// Plugins that no node names, and subflows that neither a node names nor a plugin may run.
fn unused(flow: &Flow) -> Vec<String> {
    let (mut plugins, mut subflows) = (BTreeSet::new(), BTreeSet::new());
    for (_, node) in flow.file.nodes.iter() {
        match node {
            Node::Run(RunNode { run: code, .. }) | Node::Map(MapNode { map: code, .. }) => {
                plugins.extend(code.split('/').next());
            }
            Node::Subflow(node) => {
                subflows.insert(node.subflow.as_str());
            }
            Node::Agent(node) => plugins.extend(node.agent.tools.names().filter_map(|tool| tool.split('/').next())),
            Node::Route(_) | Node::Join(_) | Node::Discard(_) => {}
        }
    }
    let tools = flow.file.plugins.iter().filter_map(|(_, plugin)| plugin.grants.tools.as_ref()).flatten();
    plugins.extend(tools.filter_map(|tool| Some(tool.split_once('/')?.0)));
    let mut warnings = Vec::new();
    let unused: Vec<&str> = flow.file.plugins.iter().map(|(name, _)| name).filter(|name| !plugins.contains(name)).collect();
    if !unused.is_empty() {
        warnings.push(format!("no node runs anything of {}", quoted(&unused)));
    }
    let granted = flow.file.plugins.iter().filter_map(|(_, plugin)| plugin.grants.subflow.as_ref()).flatten();
    subflows.extend(granted.map(String::as_str));
    let unused: Vec<&str> = flow.file.subflows.iter().map(|(name, _)| name).filter(|name| !subflows.contains(name)).collect();
    if !unused.is_empty() {
        warnings.push(format!("no node runs the subflow {}", quoted(&unused)));
    }
    warnings
}

/// The routers by a field.
fn by_field(flow: &Flow) -> impl Iterator<Item = (&str, &RouteField)> {
    flow.file.nodes.iter().filter_map(|(name, node)| match node {
        Node::Route(RouteNode { route: Route::Field(field), .. }) => Some((name, field)),
        _ => None,
    })
}

/// Successors of a router by field that nothing leads to. Where the routes are elsewhere, they may lead there tomorrow.
fn never_sent_to(flow: &Flow) -> Vec<String> {
    let (links, _) = flow.links();
    let mut warnings = Vec::new();
    for (name, field) in by_field(flow) {
        if let RouteField { to, from_file: None, from_env: None, otherwise: Some(otherwise), .. } = field {
            let named: Vec<&String> = to.iter().flat_map(|(_, to)| &to.0).chain(&otherwise.0).collect();
            for link in links.iter().filter(|link| link.from == name && !named.contains(&&link.to)) {
                warnings.push(format!("`{name}` never sends to `{}`: neither `to` nor `else` names it", link.to));
            }
        }
    }
    warnings
}

/// Values that a plugin's schema lists and that a router neither has in its table nor as a successor.
fn without_a_way(flow: &Flow, graph: &Graph, tables: &BTreeMap<String, RoutingTable>, within: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, field) in by_field(flow) {
        let (Some(table), Ok(RouteKey::Payload(path))) = (tables.get(&format!("{within}{name}")), RouteKey::parse(&field.by))
        else {
            continue;
        };
        let (routes, Some(node)) = (table.get(), graph.find(name)) else { continue };
        if routes.otherwise.is_some() {
            continue;
        }
        let successors: Vec<&str> =
            graph.nodes()[node].successors.iter().map(|edge| &*graph.nodes()[graph.edges()[*edge].to].name).collect();
        for (from, values) in listed(flow, graph, node, &path) {
            let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let mut lost: Vec<String> = values.into_iter().map(text).collect();
            lost.retain(|value| !routes.to.contains_key(value) && !successors.contains(&value.as_str()));
            let more = if lost.len() > NAMED { format!(" and {} more", lost.len() - NAMED) } else { String::new() };
            let shown: Vec<String> = lost.iter().take(NAMED).map(|value| format!("`{}`", plain(value, SHOWN))).collect();
            if !shown.is_empty() {
                let shown = shown.join(", ");
                let by = &field.by;
                warnings.push(format!(
                    "`{name}` has no way for what `{from}` may give as `{by}`: {shown}{more}; add nodes that are called so, `to`, or `else`"
                ));
            }
        }
    }
    warnings
}

/// The nodes whose messages come to this one as they are, directly or through routers, and the values that they list at the path.
fn listed<'g>(flow: &Flow, graph: &'g Graph, node: usize, path: &[String]) -> Vec<(&'g str, Vec<Value>)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([node]);
    let mut next = vec![node];
    while let Some(node) = next.pop() {
        for from in graph.edges().iter().filter(|edge| edge.to == node && !edge.failures).map(|edge| edge.from) {
            if !seen.insert(from) {
                continue;
            }
            let sender = &graph.nodes()[from];
            if matches!(flow.file.nodes.get(&sender.name), Some(Node::Route(_))) {
                next.push(from);
            } else if let Kind::Run { output: Some(output), .. } = &sender.kind
                && let Some(values) = output.values_at(path)
            {
                found.push((&*sender.name, values.into_iter().cloned().collect()));
            }
        }
    }
    found
}
