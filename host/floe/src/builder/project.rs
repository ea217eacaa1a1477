//! A plugin's source: what it is called and how it is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use floe_flow::graph::{did_you_mean, valid_name};
use serde::Deserialize;

use super::{Outcome, TARGET, world};
use crate::Error;
use crate::file::CAPABILITIES;

/// A plugin's source.
#[derive(Debug, Clone)]
pub struct Project {
    /// The plugin's name.
    pub name: String,
    /// Its folder.
    pub dir: PathBuf,
    /// How it is built; none: by Cargo.
    pub command: Option<BuildCommand>,
    /// The capabilities that it says it uses.
    pub uses: Vec<String>,
    /// It has a plugin.toml to say so.
    pub has_toml: bool,
}

/// `[build]` of `plugin.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildCommand {
    /// Run by `sh -c` in the plugin's folder. `FLOE_WIT` is a folder with the contract and worlds made of `uses`.
    pub command: String,
    /// The component that it makes, relative to the folder.
    pub artifact: PathBuf,
}

/// `plugin.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginToml {
    name: Option<String>,
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(default)]
    uses: Vec<String>,
    build: Option<BuildCommand>,
}

/// What matters here of `Cargo.toml`.
#[derive(Debug, Deserialize)]
struct CargoToml {
    package: Option<CargoPackage>,
}

#[derive(Debug, Deserialize)]
struct CargoPackage {
    name: String,
}

impl Project {
    /// Whether the folder holds a plugin's source.
    pub fn is_in(dir: &Path) -> bool {
        dir.join("plugin.toml").is_file() || dir.join("Cargo.toml").is_file()
    }

    /// Reads `plugin.toml` and `Cargo.toml` of a plugin's folder.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let plugin: Option<PluginToml> = read_toml(&dir.join("plugin.toml"))?;
        if let Some(plugin) = &plugin {
            check_uses(dir, &plugin.uses)?;
        }
        let has_toml = plugin.is_some();
        let PluginToml { name, uses, build: command, .. } = plugin.unwrap_or_default();
        let name = match (name, &command) {
            (Some(name), Some(_)) => name,
            (None, Some(_)) => return Err(Error::wrong(format!("`{}` lacks `name`", dir.join("plugin.toml").display()))),
            (name, None) => {
                let package = cargo_package(dir)?;
                name.unwrap_or(package)
            }
        };
        if !valid_name(&name) {
            let message = format!("the plugin in `{}` is called `{name}`, which is no name", dir.display());
            return Err(Error::wrong(message).with_help("names are made of a-z, 0-9, `_` and `-`, at most 64 of them"));
        }
        Ok(Self { name, dir: dir.to_owned(), command, uses, has_toml })
    }

    /// The build as a person would type it.
    pub(super) fn shown_command(&self) -> String {
        match &self.command {
            Some(build) => build.command.clone(),
            None => format!("cargo build --lib --release --target {TARGET}"),
        }
    }
}

fn cargo_package(dir: &Path) -> Result<String, Error> {
    let manifest = dir.join("Cargo.toml");
    let Some(cargo) = read_toml::<CargoToml>(&manifest)? else {
        let message = format!("`{}` does not say how it is built", dir.display());
        return Err(
            Error::wrong(message).with_help("it needs a Cargo.toml, or a plugin.toml with [build]; see `floe build --help`")
        );
    };
    let help = "name the folder of one plugin";
    let package =
        cargo.package.ok_or_else(|| Error::wrong(format!("`{}` has no [package]", manifest.display())).with_help(help))?;
    Ok(package.name)
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::wrong(format!("cannot read `{}`: {error}", path.display()))),
    };
    toml::from_str(&text)
        .map(Some)
        .map_err(|error| Error::wrong(format!("in `{}`: {}", path.display(), error.to_string().trim_end())))
}

fn check_uses(dir: &Path, uses: &[String]) -> Result<(), Error> {
    let known = CAPABILITIES.iter().chain(&["wasi:http"]);
    let known: Vec<String> = known.map(|name| (*name).to_owned()).collect();
    match uses.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let place = dir.join("plugin.toml");
            let message =
                format!("`uses` in `{}` names `{name}`, which is no capability{}", place.display(), did_you_mean(name, &known));
            Err(Error::wrong(message).with_help(format!("there are: {}", known.join(", "))))
        }
    }
}

/// Builds with the project's own command. What its sources are is unknown, so all files of the folder count.
pub(super) fn run_command(project: &Project, build: &BuildCommand) -> Result<Outcome, Error> {
    let status = Command::new("sh")
        .args(["-c", &build.command])
        .env("FLOE_WIT", world::write(project)?)
        .current_dir(&project.dir)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| Error::wrong(format!("cannot start `sh`: {error}")))?;
    if !status.success() {
        return Err(Error::wrong(format!("building plugin `{}` failed: `{}` ended with {status}", project.name, build.command)));
    }
    let component = project.dir.join(&build.artifact);
    if !component.is_file() {
        let message = format!("building plugin `{}` made no `{}`", project.name, build.artifact.display());
        return Err(Error::wrong(message).with_help("`artifact` in plugin.toml names the file that `command` makes"));
    }
    Ok(Outcome { sources: super::stamp::all_files(project)?, component })
}
