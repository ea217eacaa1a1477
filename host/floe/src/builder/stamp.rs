//! What was built and of what: `target/floe/build.json` beside the component.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Outcome, Project};
use crate::Error;

/// Files that a plugin's folder may have if its build does not say what its sources are.
const MAX_FILES: usize = 10_000;
/// Folders that hold no sources.
const NO_SOURCES: [&str; 4] = ["target", "node_modules", "__pycache__", "venv"];

/// A plugin's component on disk.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The plugin's own name.
    pub name: String,
    /// The component.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// `sha256:…` of it.
    pub digest: String,
    /// What has changed since it was built, if anything.
    pub stale: Option<String>,
}

/// The stamp. Paths are relative to the plugin's folder.
#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    command: String,
    component: String,
    sources: Vec<(PathBuf, String)>,
}

/// The component that was built of this folder, and whether it is older than its sources. Never builds.
pub fn artifact(dir: &Path) -> Result<Artifact, Error> {
    let project = Project::read(dir)?;
    let file = component_file(&project);
    let stamp = std::fs::read(stamp_file(&project)).ok().and_then(|bytes| serde_json::from_slice::<Stamp>(&bytes).ok());
    let (Some(stamp), true) = (stamp, file.is_file()) else {
        let message = format!("plugin `{}` is not built yet: {}", project.name, dir.display());
        return Err(Error::wrong(message).with_help(format!("add --build to `floe run`, or: floe build {}", dir.display())));
    };
    let found = Artifact::of_file(&project.name, &file)?;
    Ok(Artifact { stale: stale(&project, &stamp, &found.digest), ..found })
}

impl Artifact {
    /// A component that comes without sources.
    pub fn of_file(name: &str, file: &Path) -> Result<Self, Error> {
        let content = std::fs::read(file).map_err(|error| Error::wrong(format!("cannot read `{}`: {error}", file.display())))?;
        let digest = format!("sha256:{}", hash(&content));
        Ok(Self { name: name.to_owned(), file: file.to_owned(), bytes: content.len() as u64, digest, stale: None })
    }
}

/// Where the component of this folder is, whether it is built or not.
pub(super) fn place(dir: &Path) -> Result<PathBuf, Error> {
    Ok(component_file(&Project::read(dir)?))
}

/// Copies the component to its place and stamps it; each file is whole or not there.
pub(super) fn keep(project: &Project, outcome: &Outcome) -> Result<Artifact, Error> {
    let file = component_file(project);
    let content = std::fs::read(&outcome.component)?;
    let mut sources: Vec<(PathBuf, String)> = Vec::new();
    let base = absolute(&project.dir);
    for source in &outcome.sources {
        let content =
            std::fs::read(source).map_err(|error| Error::wrong(format!("cannot read `{}`: {error}", source.display())))?;
        sources.push((relative(&base, &absolute(source)), hash(&content)));
    }
    sources.sort();
    sources.dedup();
    let stamp = Stamp { command: project.shown_command(), component: format!("sha256:{}", hash(&content)), sources };
    write_whole(&file, &content)?;
    write_whole(&stamp_file(project), &serde_json::to_vec_pretty(&stamp).map_err(std::io::Error::from)?)?;
    Artifact::of_file(&project.name, &file)
}

/// Every file of the project's folder that may be a source.
pub(super) fn all_files(project: &Project) -> Result<Vec<PathBuf>, Error> {
    let artifact = project.command.as_ref().map(|build| project.dir.join(&build.artifact));
    let mut files = Vec::new();
    let mut folders = vec![project.dir.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (kind, name, path) = (entry.file_type()?, entry.file_name(), entry.path());
            let skipped = name.to_str().is_none_or(|name| name.starts_with('.') || NO_SOURCES.contains(&name));
            if kind.is_dir() && !skipped {
                folders.push(path);
            } else if kind.is_file() && !skipped && Some(&path) != artifact.as_ref() {
                files.push(path);
            }
        }
        if files.len() > MAX_FILES {
            let message = format!("`{}` has more than {MAX_FILES} files", project.dir.display());
            return Err(Error::wrong(message).with_help("give the plugin a folder of its own"));
        }
    }
    files.sort();
    Ok(files)
}

/// What has changed since the build.
fn stale(project: &Project, stamp: &Stamp, component: &str) -> Option<String> {
    if stamp.component != component {
        return Some("the component itself".to_owned());
    }
    if stamp.command != project.shown_command() {
        return Some("the build command".to_owned());
    }
    let base = absolute(&project.dir);
    let changed = stamp
        .sources
        .iter()
        .find(|(path, expected)| std::fs::read(base.join(path)).map_or(true, |content| hash(&content) != *expected));
    if let Some((path, _)) = changed {
        return Some(path.display().to_string());
    }
    // Of a build by command, a file that came since may be a source; Cargo knows new ones by the file that names them.
    project.command.as_ref()?;
    let files = all_files(project).ok()?;
    let new = files.iter().map(|file| relative(&base, &absolute(file)));
    new.into_iter().find(|file| stamp.sources.iter().all(|(known, _)| known != file)).map(|file| file.display().to_string())
}

fn component_file(project: &Project) -> PathBuf {
    project.dir.join("target/floe").join(format!("{}.wasm", project.name))
}

fn stamp_file(project: &Project) -> PathBuf {
    project.dir.join("target/floe/build.json")
}

fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The way from a folder to a file, both absolute: stamps survive a move of the whole tree.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(left, right)| left == right).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    let fail = |error: std::io::Error| Error::wrong(format!("cannot write `{}`: {error}", path.display()));
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(fail)?;
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    std::fs::write(&draft, content).and_then(|()| std::fs::rename(&draft, path)).map_err(fail)
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
