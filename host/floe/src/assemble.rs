//! A flow file and the sandbox become a graph: plugins are found, loaded under their grants and limits, and put into the nodes.

mod oddities;

use std::collections::BTreeMap;
use std::path::Path;

use floe_flow::graph::did_you_mean;
use floe_flow::{Graph, Payload, RoutingTable, Schema};
use floe_sandbox::{Error as Refusal, Limits, Plugin, Sandbox, plain};
use serde_json::{Value, json};

use crate::builder::{Located, locate};
use crate::file::{self, Code, Flow, Made, Problem, Step, Unresolved, Wanted};
use crate::store::{ADD_AGAIN, Revoked, Store, check_digest, is_within, stored};
use crate::{Error, file::Span};

use oddities::oddities;

/// A flow that can run.
#[derive(Debug)]
pub struct Assembled {
    /// What runs.
    pub graph: Graph,
    /// Its plugins by their names in the file, in declaration order; then those of its subflows, called `sub/plugin`.
    pub plugins: Vec<Plugin>,
    /// The tables of routers by a field, by node, or `sub/node`: a host program may change them while the flow runs.
    pub tables: BTreeMap<String, RoutingTable>,
    /// What the caller should know although it is no mistake, one sentence each.
    pub warnings: Vec<String>,
}

/// Loads the flow's plugins and makes its graph; a node runs `cores` invocations at once unless the file says otherwise. Says
/// all that is wrong at once. Builds nothing.
pub async fn assemble(flow: &Flow, sandbox: &Sandbox, cores: usize) -> Result<Assembled, Error> {
    assemble_with(flow, sandbox, cores, None).await
}

/// As [`assemble`], of these components by the names of their plugins, whatever their sources are now.
pub(crate) async fn assemble_from(
    flow: &Flow,
    sandbox: &Sandbox,
    cores: usize,
    components: &BTreeMap<String, Vec<u8>>,
) -> Result<Assembled, Error> {
    assemble_with(flow, sandbox, cores, Some(components)).await
}

async fn assemble_with(
    flow: &Flow,
    sandbox: &Sandbox,
    cores: usize,
    components: Option<&BTreeMap<String, Vec<u8>>>,
) -> Result<Assembled, Error> {
    let (mut plugins, mut warnings, mut problems) = (Vec::new(), Vec::new(), flow.problems(Vec::new()));
    let revoked = Revoked::load()?;
    for (within, part) in flow.parts() {
        let mut loaded = Loaded::of(&within, components, &revoked);
        for (name, config) in part.file.plugins.iter() {
            loaded.load(part, sandbox, name, config).await;
        }
        plugins.extend(loaded.plugins);
        warnings.extend(loaded.warnings);
        problems.add(part.problems(loaded.problems));
    }
    let by_name: BTreeMap<&str, &Plugin> = plugins.iter().map(|plugin| (plugin.name.as_str(), plugin)).collect();
    match flow.graph(cores, &|wanted| resolve(&by_name, wanted)) {
        Ok(Made { graph, tables }) if problems.is_empty() => {
            warnings.extend(oddities(flow, &graph, &tables, ""));
            return Ok(Assembled { graph, plugins, tables, warnings });
        }
        Ok(_) => {}
        Err(found) => problems.add(found),
    }
    Err(problems.into())
}

/// Loads one of the flow's plugins again, by its whole name: its source as it is now, or these bytes.
pub(crate) async fn load_again(flow: &Flow, sandbox: &Sandbox, whole: &str, bytes: Option<Vec<u8>>) -> Result<Plugin, Error> {
    let revoked = Revoked::load()?;
    let components = bytes.map(|bytes| BTreeMap::from([(whole.to_owned(), bytes)]));
    for (within, part) in flow.parts() {
        let Some(name) = whole.strip_prefix(&within) else { continue };
        let Some(config) = part.file.plugins.get(name) else { continue };
        let mut loaded = Loaded::of(&within, components.as_ref(), &revoked);
        loaded.load(part, sandbox, name, config).await;
        let Loaded { mut plugins, problems, .. } = loaded;
        return plugins.pop().ok_or_else(|| part.problems(problems).into());
    }
    Err(Error::wrong(format!("the flow has no plugin `{}`", plain(whole, 64))))
}

struct Loaded<'f> {
    /// What stands before the names of this flow's plugins.
    within: &'f str,
    /// Taken instead of the files, by their whole names.
    components: Option<&'f BTreeMap<String, Vec<u8>>>,
    revoked: &'f Revoked,
    plugins: Vec<Plugin>,
    warnings: Vec<String>,
    problems: Vec<Problem>,
}

impl<'f> Loaded<'f> {
    fn of(within: &'f str, components: Option<&'f BTreeMap<String, Vec<u8>>>, revoked: &'f Revoked) -> Self {
        Self { within, components, revoked, plugins: Vec::new(), warnings: Vec::new(), problems: Vec::new() }
    }

    async fn load(&mut self, flow: &Flow, sandbox: &Sandbox, name: &str, config: &file::Plugin) {
        let limits = config.limits.over(config.profile);
        let resolve = |path: &str| flow.resolve(path);
        let mut grants = config.grants.rights(resolve);
        if let Err(wrong) = config.grants.add_secrets(&mut grants, resolve) {
            let grants = [Step::from("plugins"), name.into(), "grants".into()];
            let place = |at: &[Step]| flow.value_span(&[grants.as_slice(), at].concat());
            return self.problems.extend(wrong.into_iter().map(|(at, message)| Problem::new(message, place(&at))));
        }
        let whole = format!("{}{name}", self.within);
        let read = match self.components.map(|components| components.get(&whole)) {
            Some(Some(bytes)) => Ok(bytes.clone()),
            Some(None) => {
                let message = format!("plugin `{whole}`: its component was not kept");
                return self.problems.push(Problem::new(message, span(flow, name, "source")));
            }
            None => match self.read(flow, name, config, &limits) {
                Some(read) => read,
                None => return,
            },
        };
        let loaded = match read {
            Ok(bytes) => {
                if let Err(revoked) = self.revoked.check(&whole, &bytes) {
                    return self.problems.extend(placed(flow, name, revoked));
                }
                sandbox.load(name, &bytes, &grants, &limits).await
            }
            Err(too_large) => Err(too_large),
        };
        match loaded {
            Ok(mut plugin) => {
                // A limit's line in its own file knows nothing of the flow around it.
                plugin.name = whole;
                self.plugins.push(plugin);
            }
            Err(error) => self.problems.push(refused(flow, name, &error)),
        }
    }

    /// The component's bytes; none: what is wrong with its file has been said.
    fn read(&mut self, flow: &Flow, name: &str, config: &file::Plugin, limits: &Limits) -> Option<Result<Vec<u8>, Refusal>> {
        let located = match locate(flow, name, &config.source) {
            Ok(located) => located,
            Err(error) => {
                self.problems.extend(placed(flow, name, error));
                return None;
            }
        };
        let Located { file, stale, digest } = located;
        if let Some(changed) = stale {
            let source = flow.resolve(&config.source);
            let how = "add --build, or: floe build";
            self.warnings.push(format!(
                "plugin `{}{name}` is older than its source: {changed} has changed; {how} {}",
                self.within,
                source.display()
            ));
        }
        match read(&file, name, limits) {
            Ok(Ok(bytes)) => {
                let kept = digest.map_or(Ok(()), |digest| check_digest(&file, &bytes, &digest));
                let kept = kept.map_err(|error| error.with_help(ADD_AGAIN));
                if let Err(error) = kept.and_then(|()| check_grants(flow, name, &config.source)) {
                    self.problems.extend(placed(flow, name, error));
                    return None;
                }
                Some(Ok(bytes))
            }
            Ok(Err(too_large)) => Some(Err(too_large)),
            Err(error) => {
                let message = format!("plugin `{name}`: cannot read `{}`: {error}", file.display());
                self.problems.push(Problem::new(message, span(flow, name, "source")));
                None
            }
        }
    }
}

/// A plugin of the store is granted no more than was approved there, if anything was.
fn check_grants(flow: &Flow, name: &str, source: &str) -> Result<(), Error> {
    let Some(stored) = stored(source) else { return Ok(()) };
    let Some(approved) = Store::open()?.find(stored)?.grants else { return Ok(()) };
    let path = [Step::from("plugins"), name.into(), "grants".into()];
    let given = flow.value(&path).unwrap_or_else(|| json!({}));
    if is_within(&given, &approved) {
        return Ok(());
    }
    let message =
        format!("plugin `{name}`: it is granted more than was approved in the store: {}", plain(&approved.to_string(), 400));
    let help = format!("grant less, or approve more: floe plugin add FILE --name {stored} --grant CAPABILITY=TERMS --approve");
    let problem = Problem::new(message, flow.value_span(&path)).with_help(help);
    Err(flow.problems(vec![problem]).into())
}

/// Reads a component, unless it is larger than it may be.
fn read(path: &Path, plugin: &str, limits: &Limits) -> std::io::Result<Result<Vec<u8>, Refusal>> {
    let size = std::fs::metadata(path)?.len();
    if size > limits.module {
        let raise = format!("plugins.{plugin}.limits.module");
        return Ok(Err(Refusal::Limit { limit: "module", used: size, max: limits.module, raise }));
    }
    std::fs::read(path).map(Ok)
}

/// What a refused plugin is a problem of, and where: of its source, its limits or its grants.
fn refused(flow: &Flow, name: &str, error: &Refusal) -> Problem {
    let at = |key: &str| span(flow, name, key);
    let message = format!("plugin `{name}`: {}", error.reason());
    match error.reason() {
        Refusal::NotGranted { import, served, lines } => {
            let yet = if *served { "" } else { " and not available in this host yet" };
            let message = format!("plugin `{name}`: it imports `{import}`, which is not granted{yet}");
            Problem::new(message, at("grants")).with_help(format!("the lines that would grant it:\n{lines}"))
        }
        Refusal::NotAvailable { .. } | Refusal::Grant { .. } => Problem::new(message, at("grants")),
        Refusal::LimitTooHigh { line, .. } if line.contains(".grants.") => Problem::new(message, at("grants")),
        Refusal::Limit { .. } | Refusal::LimitTooHigh { .. } | Refusal::CompileTimeout { .. } | Refusal::CompileMemory { .. } => {
            Problem::new(message, at("limits"))
        }
        _ => Problem::new(message, at("source")),
    }
}

fn placed(flow: &Flow, name: &str, error: Error) -> Vec<Problem> {
    match error {
        Error::Flow(problems) => problems.list,
        Error::Wrong { message, help } => vec![Problem { help, ..Problem::new(message, span(flow, name, "source")) }],
        other => vec![Problem::new(other.to_string(), span(flow, name, "source"))],
    }
}

/// Where the plugin's file has this key; where it does not, its source.
fn span(flow: &Flow, plugin: &str, key: &str) -> Option<Span> {
    let at = |path: &[Step]| flow.value_span(path);
    let name = [Step::from("plugins"), plugin.into()];
    let of = |key: &str| at(&[name.as_slice(), &[key.into()]].concat());
    of(key).filter(|span| Some(*span) != at(&name)).or_else(|| of("source"))
}

// === nodes ===

/// The plugin's node with this name, or its tool.
fn resolve(plugins: &BTreeMap<&str, &Plugin>, wanted: Wanted<'_>) -> Result<Code, Unresolved> {
    let name = format!("{}{}", wanted.within, wanted.plugin);
    let plugin = plugins.get(name.as_str()).ok_or(Unresolved::Plugin)?;
    let config = if wanted.config.is_null() { json!({}) } else { wanted.config.clone() };
    let reuse = wanted.reuse.map_or(1, std::num::NonZeroU32::get);
    let member = |error: Refusal| Unresolved::Member(error.to_string());
    if let Some(spec) = plugin.nodes.iter().find(|spec| spec.name == wanted.member) {
        check_config(wanted, spec.config.as_ref(), &config)?;
        let invoke = plugin.node(wanted.member, &config.into(), reuse).map_err(member)?;
        let (input, output) = (spec.input.as_ref(), spec.output.as_ref());
        let (input, output) = (schema(wanted, "input", input)?, schema(wanted, "output", output)?);
        let repeatable = spec.side_effect.is_repeatable(spec.idempotent);
        return Ok(Code { invoke, input, output, repeatable, tool: None });
    }
    if let Some(spec) = plugin.tools.iter().find(|spec| spec.name == wanted.member) {
        check_config(wanted, spec.config.as_ref(), &config)?;
        let context = Payload::from(json!({}));
        let invoke = plugin.tool(wanted.member, &config.into(), &context, reuse).map_err(member)?;
        let (input, output) = (Some(&spec.input), spec.output.as_ref());
        let (input, output) = (schema(wanted, "arguments", input)?, schema(wanted, "result", output)?);
        let repeatable = spec.side_effect.is_repeatable(spec.idempotent);
        return Ok(Code { invoke, input, output, repeatable, tool: Some(spec.clone()) });
    }
    Err(Unresolved::Member(unknown_member(plugin, wanted)))
}

fn unknown_member(plugin: &Plugin, wanted: Wanted<'_>) -> String {
    let nodes = plugin.nodes.iter().map(|spec| spec.name.clone());
    let names: Vec<String> = nodes.chain(plugin.tools.iter().map(|spec| spec.name.clone())).collect();
    let guess = did_you_mean(wanted.member, &names);
    let known: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let stop = if guess.is_empty() { "; it" } else { " It" };
    format!("plugin `{}` has no `{}`{guess}{stop} has {}", wanted.plugin, wanted.member, known.join(", "))
}

fn check_config(wanted: Wanted<'_>, given: Option<&Value>, config: &Value) -> Result<(), Unresolved> {
    let Some(schema) = schema(wanted, "configuration", given)? else { return Ok(()) };
    let whose = format!("{}/{}", wanted.plugin, wanted.member);
    schema.check(config).map_err(|error| Unresolved::Config(format!("`{whose}` does not take this configuration: {error}")))
}

fn schema(wanted: Wanted<'_>, side: &str, text: Option<&Value>) -> Result<Option<Schema>, Unresolved> {
    let compiled = text.map(Schema::compile).transpose();
    compiled.map_err(|error| {
        Unresolved::Member(format!("the plugin's schema of `{}`'s {side} cannot be used: {error}", wanted.member))
    })
}
