//! What is no mistake in a flow, but hardly meant.

use std::collections::BTreeSet;

use floe_flow::Graph;

use crate::file::{Flow, MapNode, Node, Route, RouteField, RouteNode, RunNode};

/// One sentence for each, those of subflows after the flow's own.
pub(super) fn oddities(flow: &Flow, graph: &Graph) -> Vec<String> {
    let mut warnings = Vec::new();
    let inputs: Vec<&str> = graph.inputs().iter().map(|input| &*graph.nodes()[*input].name).collect();
    if inputs.len() > 1 {
        warnings.push(format!("no edge leads to {}: each of them gets every input", quoted(&inputs)));
    }
    warnings.extend(unused(flow));
    warnings.extend(never_sent_to(flow));
    for ((name, inner), (_, graph, _)) in flow.subflows.iter().zip(graph.subflows()) {
        warnings.extend(oddities(inner, graph).into_iter().map(|warning| format!("subflow `{name}`: {warning}")));
    }
    warnings
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
}

/// Plugins and subflows that no node names. A plugin with the right to may run subflows, too.
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
            Node::Route(_) | Node::Join(_) | Node::Discard(_) => {}
        }
    }
    let mut warnings = Vec::new();
    let unused: Vec<&str> = flow.file.plugins.iter().map(|(name, _)| name).filter(|name| !plugins.contains(name)).collect();
    if !unused.is_empty() {
        warnings.push(format!("no node runs anything of {}", quoted(&unused)));
    }
    let may_call = flow.file.plugins.iter().any(|(_, plugin)| plugin.grants.get("subflow").is_some());
    let unused: Vec<&str> = flow.file.subflows.iter().map(|(name, _)| name).filter(|name| !subflows.contains(name)).collect();
    if !unused.is_empty() && !may_call {
        warnings.push(format!("no node runs the subflow {}", quoted(&unused)));
    }
    warnings
}

/// Successors of a router by field that nothing leads to.
fn never_sent_to(flow: &Flow) -> Vec<String> {
    let (links, _) = flow.links();
    let mut warnings = Vec::new();
    for (name, node) in flow.file.nodes.iter() {
        if let Node::Route(RouteNode { route: Route::Field(RouteField { to, otherwise: Some(otherwise), .. }), .. }) = node {
            let named: Vec<&String> = to.iter().flat_map(|(_, to)| &to.0).chain(&otherwise.0).collect();
            for link in links.iter().filter(|link| link.from == name && !named.contains(&&link.to)) {
                warnings.push(format!("`{name}` never sends to `{}`: neither `to` nor `else` names it", link.to));
            }
        }
    }
    warnings
}
