//! `floe plugin check`: what a flow's plugins ask for, what they are granted, what a tenant's ceiling lets them have, and what is
//! missing. Compiles and runs nothing.

use std::collections::BTreeSet;
use std::io::Write;

use floe_sandbox::{Ceiling, Grants, Inspection, Limits, inspect};
use serde::Serialize;

use crate::builder::locate;
use crate::cli::CheckArgs;
use crate::file::{Flow, Plugin, TenantsFile};
use crate::table::table;
use crate::{Error, Exit};

/// What one plugin has of one capability, for one tenant.
#[derive(Debug, Serialize)]
struct Row {
    plugin: String,
    /// None: without a file of tenants.
    tenant: Option<String>,
    capability: String,
    asked: bool,
    granted: bool,
    /// None: nothing lowers it.
    ceiling: Option<bool>,
    /// The line to write, if it asks for what it does not get.
    missing: Option<String>,
}

/// A limit that a tenant's ceiling lowers.
#[derive(Debug, Serialize)]
struct Lowered {
    plugin: String,
    tenant: String,
    limits: Vec<&'static str>,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    rights: Vec<Row>,
    lowered: Vec<Lowered>,
    /// Plugins that may not work for a tenant, with the line that would let them.
    refused: Vec<String>,
}

/// Prints it; something that is missing is exit 1.
pub fn execute(args: &CheckArgs) -> Result<Exit, Error> {
    let flow = Flow::load(&args.flow, &args.set)?;
    let tenants = args.tenants.as_deref().map(TenantsFile::load).transpose()?;
    let ceilings = ceilings(tenants.as_ref(), args.tenant.as_deref())?;
    let mut report = Report::default();
    for (within, part) in flow.parts() {
        for (name, config) in part.file.plugins.iter() {
            let limits = config.limits.over(config.profile);
            let inspection = read(part, name, config, &limits)?;
            report.add(
                &format!("{within}{name}"),
                &inspection,
                &config.grants.rights(|dir| part.resolve(dir)),
                &limits,
                &ceilings,
            );
        }
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report).map_err(std::io::Error::from)?)?;
    } else {
        write!(out, "{}", text(&report))?;
    }
    let missing = report.rights.iter().any(|row| row.missing.is_some()) || !report.refused.is_empty();
    Ok(if missing { Exit::Incomplete } else { Exit::Completed })
}

/// Whose ceilings are looked at; one without a name where there is no file.
fn ceilings(tenants: Option<&TenantsFile>, only: Option<&str>) -> Result<Vec<(Option<String>, Ceiling)>, Error> {
    let Some(tenants) = tenants else { return Ok(vec![(None, Ceiling::none())]) };
    if let Some(name) = only {
        let config = tenants.of(name).ok_or_else(|| {
            Error::wrong(format!("there is no tenant `{name}`, and none for others"))
                .with_help("`tenants` in the file names them")
        })?;
        return Ok(vec![(Some(name.to_owned()), tenants.ceiling(config))]);
    }
    let named = tenants.tenants.iter().map(|(name, config)| (Some(name.to_owned()), tenants.ceiling(config)));
    let others = tenants.others.as_ref().map(|config| (Some("(others)".to_owned()), tenants.ceiling(config)));
    Ok(named.chain(others).collect())
}

fn read(flow: &Flow, name: &str, config: &Plugin, limits: &Limits) -> Result<Inspection, Error> {
    let file = locate(flow, name, &config.source)?.file;
    let wrong = |error: &dyn std::fmt::Display| Error::wrong(format!("plugin `{name}`: `{}`: {error}", file.display()));
    let size = std::fs::metadata(&file).map_err(|error| wrong(&error))?.len();
    if size > limits.module {
        return Err(wrong(&format!("it has {size} bytes; `plugins.{name}.limits.module` is {}", limits.module)));
    }
    let bytes = std::fs::read(&file).map_err(|error| wrong(&error))?;
    inspect(&bytes).map_err(|error| wrong(&error.reason()))
}

impl Report {
    fn add(
        &mut self,
        plugin: &str,
        inspection: &Inspection,
        granted: &Grants,
        limits: &Limits,
        ceilings: &[(Option<String>, Ceiling)],
    ) {
        let asks: BTreeSet<String> = inspection.imports.asks().collect();
        let all: BTreeSet<String> = asks.iter().cloned().chain(granted.keys()).collect();
        for (tenant, ceiling) in ceilings {
            let may = ceiling.plugins.as_ref().is_none_or(|digests| digests.contains(&inspection.digest));
            if let (false, Some(tenant)) = (may, tenant) {
                let digest = &inspection.digest;
                self.refused.push(format!("`{plugin}` may not work for `{tenant}`: add {digest} to tenants.{tenant}.plugins"));
            }
            for capability in &all {
                let (asked, has) = (asks.contains(capability), granted.has(capability));
                let below = ceiling.grants.as_ref().map(|most| most.has(capability));
                let missing = match (asked, has, below) {
                    (true, false, _) => Some(format!("plugins.{plugin}.grants.{capability}")),
                    (true, true, Some(false)) => {
                        Some(format!("tenants.{}.grants.{capability}", tenant.as_deref().unwrap_or_default()))
                    }
                    _ => None,
                };
                let (plugin, capability, tenant) = (plugin.to_owned(), capability.clone(), tenant.clone());
                self.rights.push(Row { plugin, tenant, capability, asked, granted: has, ceiling: below, missing });
            }
            let (_, lowered) = limits.at_most(&ceiling.limits);
            if let (false, Some(tenant)) = (lowered.is_empty(), tenant) {
                self.lowered.push(Lowered { plugin: plugin.to_owned(), tenant: tenant.clone(), limits: lowered });
            }
        }
    }
}

fn text(report: &Report) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let rows = report.rights.iter().map(|row| {
        [
            row.plugin.clone(),
            row.tenant.clone().unwrap_or_else(|| "–".to_owned()),
            row.capability.clone(),
            yes(row.asked),
            yes(row.granted),
            row.ceiling.map_or_else(|| "–".to_owned(), yes),
            match (&row.missing, row.asked) {
                (Some(line), _) => format!("missing: {line}"),
                (None, true) => "has it".to_owned(),
                (None, false) => "not needed".to_owned(),
            },
        ]
    });
    let mut text = if report.rights.is_empty() {
        "no plugin asks for anything, and none is granted anything\n".to_owned()
    } else {
        table(&["PLUGIN", "TENANT", "CAPABILITY", "ASKED", "GRANTED", "CEILING", ""], rows)
    };
    for Lowered { plugin, tenant, limits } in &report.lowered {
        text += &format!("`{plugin}` has less for `{tenant}`: {}\n", limits.join(", "));
    }
    for refused in &report.refused {
        text += &format!("{refused}\n");
    }
    text
}
