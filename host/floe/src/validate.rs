//! `floe validate`: everything that can be said of a flow and its plugins without running it.

use std::io::Write;

use floe_flow::{Budget, Graph};
use floe_sandbox::{Config, Sandbox};
use serde_json::{Value, json};

use crate::assemble::{Assembled, assemble};
use crate::cli::ValidateArgs;
use crate::file::Flow;
use crate::settings::Settings;
use crate::{Error, Exit};

/// Instances at once: only descriptions are asked for, one plugin after the other.
const INSTANCES: u32 = 8;

/// Prints what is wrong, or that nothing is.
pub fn execute(args: &ValidateArgs, settings: &Settings) -> Result<Exit, Error> {
    let checked = check(args, settings);
    let mut out = std::io::stdout().lock();
    if args.json {
        let exit = checked.as_ref().map_or_else(Error::exit, |_| Exit::Completed);
        writeln!(out, "{:#}", report(&checked))?;
        return Ok(exit);
    }
    let Assembled { graph, plugins, warnings, .. } = checked?;
    for warning in warnings {
        writeln!(std::io::stderr().lock(), "warning: {warning}")?;
    }
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (nodes, edges) = (count(graph.nodes().len(), "node"), count(graph.edges().len(), "edge"));
    let subflows = match subflows(&graph, "").len() {
        0 => String::new(),
        number => format!(", {}", count(number, "subflow")),
    };
    writeln!(out, "flow `{}` is sound: {nodes}, {edges}, {}{subflows}", graph.name, count(plugins.len(), "plugin"))?;
    Ok(Exit::Completed)
}

fn check(args: &ValidateArgs, settings: &Settings) -> Result<Assembled, Error> {
    let flow = Flow::load(&args.flow, &args.set)?;
    // Mistakes of the file alone are told without starting an engine.
    if flow.parts().iter().all(|(_, flow)| flow.file.plugins.is_empty()) {
        flow.outline()?;
    }
    let config = Config {
        cache: settings.cache.clone(),
        instances: INSTANCES,
        compiler: settings.compiler.clone(),
        ..Config::new(settings.cores.get())
    };
    let sandbox = Sandbox::new(config).map_err(|error| Error::wrong(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(assemble(&flow, &sandbox, settings.cores.get()))
}

/// Each flow within this one, however deep, the outer before the inner.
fn subflows(graph: &Graph, within: &str) -> Vec<Value> {
    let one = |(name, graph, _): &(String, Graph, Budget)| {
        let name = format!("{within}{name}");
        let inner = subflows(graph, &format!("{name}/"));
        let own = json!({ "name": name, "nodes": graph.nodes().len(), "edges": graph.edges().len() });
        [vec![own], inner].concat()
    };
    graph.subflows().iter().flat_map(one).collect()
}

fn report(checked: &Result<Assembled, Error>) -> Value {
    let problems = match checked {
        Ok(Assembled { graph, plugins, warnings, .. }) => {
            let plugins: Vec<Value> =
                plugins.iter().map(|plugin| json!({ "name": plugin.name, "digest": plugin.digest })).collect();
            return json!({
                "ok": true,
                "flow": &*graph.name,
                "nodes": graph.nodes().len(),
                "edges": graph.edges().len(),
                "plugins": plugins,
                "subflows": subflows(graph, ""),
                "warnings": warnings,
                "problems": [],
            });
        }
        Err(Error::Flow(problems)) => json!(problems.json()),
        Err(Error::Wrong { message, help }) => json!([{ "message": message, "help": help }]),
        Err(error) => json!([{ "message": error.to_string() }]),
    };
    // The same keys either way.
    json!({ "ok": false, "flow": null, "nodes": null, "edges": null, "plugins": [], "subflows": [], "warnings": [], "problems": problems })
}
