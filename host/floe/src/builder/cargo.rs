//! Cargo projects: the target is added where it is missing, and the component is what Cargo says it made.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Outcome, Project, TARGET, say};
use crate::Error;

/// Builds the library of a Cargo project. Cargo's own words go to standard error.
pub(super) fn build(project: &Project) -> Result<Outcome, Error> {
    require_target(&project.dir)?;
    let metadata = metadata(project)?;
    // A directory of its own: an outer Cargo may hold the lock of the project's.
    let target_dir = metadata.target_directory.join("guests");
    let mut child = Command::new("cargo")
        .args(["build", "--lib", "--release", "--target", TARGET, "--message-format=json-render-diagnostics", "--target-dir"])
        .arg(&target_dir)
        .current_dir(&project.dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| no_cargo(&error))?;
    let messages = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
    let manifest = canonical(&project.dir.join("Cargo.toml"));
    let mut component = None;
    for line in messages.into_iter().flatten() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else { continue };
        component = artifact_of(&message, &manifest).or(component);
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(Error::wrong(format!(
            "building plugin `{}` failed: cargo ended with {status}; its message is above",
            project.name
        )));
    }
    let Some(component) = component else {
        let message = format!("building plugin `{}` made no component", project.name);
        return Err(Error::wrong(message).with_help("its Cargo.toml needs:\n[lib]\ncrate-type = [\"cdylib\"]"));
    };
    let mut sources = dep_info(&component)?;
    sources.extend(manifests(&sources, &metadata.workspace_root));
    sources.push(project.dir.join("plugin.toml"));
    sources.retain(|path| path.is_file());
    Ok(Outcome { component, sources })
}

struct Metadata {
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

fn metadata(project: &Project) -> Result<Metadata, Error> {
    let output = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(&project.dir)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| no_cargo(&error))?;
    let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    match (value["target_directory"].as_str(), value["workspace_root"].as_str()) {
        (Some(target), Some(root)) => Ok(Metadata { target_directory: target.into(), workspace_root: root.into() }),
        _ => Err(Error::wrong(format!("cargo cannot read the project of plugin `{}`; its message is above", project.name))),
    }
}

fn no_cargo(error: &std::io::Error) -> Error {
    Error::wrong(format!("cannot start `cargo`: {error}")).with_help("install Rust by https://rustup.rs")
}

/// The component that a message of Cargo tells of, if it is of this package's library.
fn artifact_of(message: &Value, manifest: &Path) -> Option<PathBuf> {
    let kinds = message["target"]["kind"].as_array()?;
    let ours = message["reason"] == "compiler-artifact"
        && kinds.iter().any(|kind| kind == "cdylib")
        && message["manifest_path"].as_str().is_some_and(|path| canonical(Path::new(path)) == *manifest);
    let files = message["filenames"].as_array().filter(|_| ours)?;
    files.iter().filter_map(Value::as_str).map(PathBuf::from).find(|path| path.extension() == Some(OsStr::new("wasm")))
}

fn canonical(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The sources of the component, those of path dependencies included, from the file that Cargo writes beside it: one line of
/// `component: source source …`, with blanks in names escaped.
fn dep_info(component: &Path) -> Result<Vec<PathBuf>, Error> {
    let path = component.with_extension("d");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Error::wrong(format!("cannot read what the plugin was made of, `{}`: {error}", path.display())))?;
    let line = text.lines().next().unwrap_or_default();
    let list = line.split_once(": ").map_or("", |(_, list)| list);
    let mut sources = Vec::new();
    let mut name = String::new();
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => name.extend(characters.next()),
            ' ' => sources.push(PathBuf::from(std::mem::take(&mut name))),
            other => name.push(other),
        }
    }
    sources.push(PathBuf::from(name));
    sources.retain(|path| !path.as_os_str().is_empty());
    Ok(sources)
}

/// The manifests that these sources belong to, and what a workspace fixes for all of its members.
fn manifests(sources: &[PathBuf], workspace: &Path) -> Vec<PathBuf> {
    let of_source =
        |source: &PathBuf| source.ancestors().skip(1).map(|dir| dir.join("Cargo.toml")).find(|manifest| manifest.is_file());
    let mut manifests: Vec<PathBuf> = sources.iter().filter_map(of_source).collect();
    manifests.extend(["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"].map(|file| workspace.join(file)));
    manifests
}

// === the target ===

/// Adds the target to the project's toolchain where it is missing, and says so.
fn require_target(dir: &Path) -> Result<(), Error> {
    let installed = target_installed(dir).ok_or_else(|| {
        Error::wrong("cannot start `rustc`, which compiles plugins").with_help("install Rust by https://rustup.rs")
    })?;
    if installed {
        return Ok(());
    }
    say(&format!("Adding what Rust needs for plugins: rustup target add {TARGET}"))?;
    let help = format!("install the standard library for {TARGET}, or install Rust by https://rustup.rs");
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::wrong(format!("`rustup target add {TARGET}` ended with {status}")).with_help(help)),
        Err(error) => Err(Error::wrong(format!("Rust lacks {TARGET}, and `rustup` does not start: {error}")).with_help(help)),
    }
}

/// Whether the toolchain that is used in this folder can compile plugins; nothing if there is no toolchain.
pub(crate) fn target_installed(dir: &Path) -> Option<bool> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(dir)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let libraries = String::from_utf8_lossy(&output.stdout);
    Some(output.status.success() && Path::new(libraries.trim()).is_dir())
}
