//! `floe build`: plugins from their sources. Nothing here is called unless the caller asked for a build by name.
//!
//! A build runs with the caller's rights, so sources outside of a flow's own repository need `--trust`. What was built is
//! stamped with the hashes of its sources: that nothing is left to do is found out without starting a compiler.

mod cargo;
mod project;
mod stamp;
mod world;

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::time::Instant;

use crate::cli::BuildArgs;
use crate::file::{Bytes, Flow};
use crate::store::{Store, stored};
use crate::table::table;
use crate::{Error, Exit};

pub(crate) use cargo::target_installed;
pub use project::Project;
pub use stamp::{Artifact, artifact};
pub(crate) use world::SERVED;

/// The target that plugins are compiled for.
pub const TARGET: &str = "wasm32-wasip2";

/// A plugin that is built.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// The plugin's own name.
    pub name: String,
    /// The component.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// `sha256:…` of it.
    pub digest: String,
    /// Whether anything was done; otherwise it was up to date.
    pub built: bool,
}

/// Builds what the folders hold and prints what came of it.
pub fn execute(args: &BuildArgs) -> Result<Exit, Error> {
    let mut built = Vec::new();
    for project in find(&args.dirs, args.trust)? {
        built.push(build(&project, args.force)?);
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&built).map_err(std::io::Error::from)?)?;
        return Ok(Exit::Completed);
    }
    let rows = built.iter().map(|plugin| {
        let state = if plugin.built { "built" } else { "up to date" };
        [
            plugin.name.clone(),
            Bytes(plugin.bytes).to_string(),
            plugin.digest.clone(),
            state.to_owned(),
            plugin.file.display().to_string(),
        ]
    });
    write!(out, "{}", table(&["PLUGIN", "SIZE", "DIGEST", "", "FILE"], rows))?;
    Ok(Exit::Completed)
}

/// Builds the plugins of a flow and its subflows whose sources have changed.
pub fn build_for_flow(flow: &Flow, trust: bool) -> Result<Vec<Built>, Error> {
    projects_of(flow, trust)?.iter().map(|project| build(project, false)).collect()
}

/// Builds one plugin, unless nothing has changed since it was built last.
pub fn build(project: &Project, force: bool) -> Result<Built, Error> {
    if !force
        && let Ok(artifact) = artifact(&project.dir)
        && artifact.stale.is_none()
    {
        let Artifact { name, file, bytes, digest, .. } = artifact;
        return Ok(Built { name, file, bytes, digest, built: false });
    }
    let started = Instant::now();
    say(&format!("Building plugin `{}` in {}", project.name, project.dir.display()))?;
    let outcome = match &project.command {
        None => cargo::build(project)?,
        Some(command) => project::run_command(project, command)?,
    };
    world::check_imports(project, &std::fs::read(&outcome.component)?)?;
    let Artifact { name, file, bytes, digest, .. } = stamp::keep(project, &outcome)?;
    say(&format!("Built plugin `{name}` in {:.1} s", started.elapsed().as_secs_f64()))?;
    Ok(Built { name, file, bytes, digest, built: true })
}

/// The component of a flow's plugin.
#[derive(Debug, Clone)]
pub struct Located {
    /// The component.
    pub file: PathBuf,
    /// What has changed since it was built, if anything.
    pub stale: Option<String>,
    /// Its digest, where it was chosen by it.
    pub digest: Option<String>,
}

/// What a build gave: the component and the files it was made of.
struct Outcome {
    component: PathBuf,
    sources: Vec<PathBuf>,
}

/// The plugins in these folders, each once: a plugin's folder is one, a flow's folder has those of the flow.
fn find(dirs: &[PathBuf], trust: bool) -> Result<Vec<Project>, Error> {
    let mut found: Vec<Project> = Vec::new();
    for dir in dirs {
        let flow_file = if dir.is_dir() { dir.join("flow.yaml") } else { dir.clone() };
        let is_plugin = Project::is_in(dir);
        let is_flow = flow_file.is_file();
        if !is_plugin && !is_flow {
            let message = format!("nothing to build in `{}`", dir.display());
            let help =
                "a plugin's folder has a Cargo.toml or a plugin.toml, a flow's folder a flow.yaml; `floe new NAME` makes both";
            return Err(Error::wrong(message).with_help(help));
        }
        if is_plugin {
            found.push(Project::read(dir)?);
        }
        if is_flow {
            found.extend(projects_of(&Flow::load(&flow_file, &[])?, trust)?);
        }
    }
    let mut seen = Vec::new();
    found.retain(|project| {
        let place = std::fs::canonicalize(&project.dir).unwrap_or_else(|_| project.dir.clone());
        let new = !seen.contains(&place);
        seen.push(place);
        new
    });
    Ok(found)
}

/// The plugins of a flow and its subflows that are built from source, as far as the caller may build them.
fn projects_of(flow: &Flow, trust: bool) -> Result<Vec<Project>, Error> {
    let home = repository(&flow.folder);
    let mut projects = Vec::new();
    for (within, part) in flow.parts() {
        projects.extend(projects_within(&home, &within, part, trust)?);
    }
    Ok(projects)
}

/// Those of one flow file; `home` is the repository of the outermost.
fn projects_within(home: &Path, within: &str, flow: &Flow, trust: bool) -> Result<Vec<Project>, Error> {
    let mut projects: Vec<Project> = Vec::new();
    for (name, plugin) in flow.file.plugins.iter() {
        let dir = flow.resolve(&plugin.source);
        if stored(&plugin.source).is_some() || dir.is_file() || dir.extension().is_some_and(|extension| extension == "wasm") {
            continue;
        }
        if !dir.is_dir() {
            return Err(missing_source(flow, name, &dir));
        }
        let project = Project::read(&dir)?;
        let inside = std::fs::canonicalize(&dir).is_ok_and(|dir| dir.starts_with(home));
        if !inside {
            let command = project.shown_command();
            if !trust {
                let message =
                    format!("the source of plugin `{within}{name}` is outside of the flow's repository: {}", dir.display());
                let help = format!("building it runs this with your rights: {command}\nif you trust it, say so with --trust");
                return Err(Error::wrong(message).with_help(help));
            }
            say(&format!("Trusting {}: {command}", dir.display()))?;
        }
        projects.push(project);
    }
    Ok(projects)
}

/// Where the component of a flow's plugin is, and whether it is older than its sources. Never builds.
pub fn locate(flow: &Flow, name: &str, source: &str) -> Result<Located, Error> {
    if let Some(stored) = stored(source) {
        let found = Store::open()?.find(stored)?;
        return Ok(Located { file: found.file, stale: None, digest: Some(found.digest) });
    }
    let path = flow.resolve(source);
    if path.is_dir() {
        return artifact(&path).map(|artifact| Located { file: artifact.file, stale: artifact.stale, digest: None });
    }
    if !path.is_file() {
        return Err(missing_source(flow, name, &path));
    }
    Ok(Located { file: path, stale: None, digest: None })
}

/// Where the component of a flow's plugin is now, whether it is there or not, without a look at its sources.
pub(crate) fn place(flow: &Flow, source: &str) -> Result<PathBuf, Error> {
    if let Some(stored) = stored(source) {
        return Ok(Store::open()?.find(stored)?.file);
    }
    let path = flow.resolve(source);
    if path.is_dir() { stamp::place(&path) } else { Ok(path) }
}

fn missing_source(flow: &Flow, name: &str, path: &Path) -> Error {
    let at = flow.value_span(&["plugins".into(), name.into(), "source".into()]);
    let message = format!("the source of plugin `{name}` is not there: {}", path.display());
    let problem = crate::file::Problem::new(message, at);
    Error::from(
        flow.problems(vec![problem.with_help("it is a folder or a `.wasm` file, relative to the flow file, or `store:NAME`")]),
    )
}

/// The nearest folder above with a `.git`; without one, the folder itself.
fn repository(folder: &Path) -> PathBuf {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().find(|above| above.join(".git").exists()).unwrap_or(&folder).to_owned()
}

/// Tells the caller what is going on, apart from the result.
fn say(line: &str) -> Result<(), Error> {
    Ok(writeln!(std::io::stderr().lock(), "{line}")?)
}
