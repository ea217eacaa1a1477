//! The contract as a plugin's own build needs it: what the plugin says it uses, turned into worlds, with the interfaces beside.

use std::path::PathBuf;

use super::{Project, stamp};
use crate::Error;
use crate::file::CAPABILITIES;

/// The contract with plugins, whole.
const PLUGIN: &str = include_str!("../../../../wit/plugin/plugin.wit");
/// What may be granted beside it and is served: each capability's interface.
pub(crate) const SERVED: [(&str, &str); 7] = [
    ("state", include_str!("../../../../wit/capability/state.wit")),
    ("clock", include_str!("../../../../wit/capability/clock.wit")),
    ("random", include_str!("../../../../wit/capability/random.wit")),
    ("http", include_str!("../../../../wit/capability/http.wit")),
    ("secrets", include_str!("../../../../wit/capability/secrets.wit")),
    ("subflow", include_str!("../../../../wit/capability/subflow.wit")),
    ("tools", include_str!("../../../../wit/capability/tools.wit")),
];
/// What no host serves yet.
const DRAFT: &str = include_str!("../../../../wit/draft/capability.wit");
/// The interfaces of WASI are brought along by the tools of the languages.
const FROM_WASI: [&str; 3] = ["files", "sockets", "wasi:http"];

/// Writes the folder that a build command finds under `FLOE_WIT`: `world.wit` with the worlds `node-plugin`, `tool-plugin` and
/// `plugin`, and what they are made of under `deps`.
pub(super) fn write(project: &Project) -> Result<PathBuf, Error> {
    // Absolute, because the command runs elsewhere.
    let folder = std::path::absolute(project.dir.join("target/floe/wit"))?;
    for (file, text) in
        [("world.wit", worlds(&project.uses).as_str()), ("deps/plugin/plugin.wit", PLUGIN), ("deps/draft/capability.wit", DRAFT)]
    {
        stamp::write_whole(&folder.join(file), text.as_bytes())?;
    }
    for (name, text) in SERVED {
        stamp::write_whole(&folder.join(format!("deps/capability/{name}.wit")), text.as_bytes())?;
    }
    Ok(folder)
}

fn worlds(uses: &[String]) -> String {
    let imports: String = uses
        .iter()
        .filter(|name| CAPABILITIES.contains(&name.as_str()) && !FROM_WASI.contains(&name.as_str()))
        .map(|name| {
            let version = if SERVED.iter().any(|(served, _)| served == name) { "0.1.0" } else { "0.0.1" };
            format!(" import floe:capability/{name}@{version};")
        })
        .collect();
    let world = |name: &str| format!("world {name} {{ include floe:plugin/{name}@0.1.0;{imports} }}\n");
    let worlds: String = ["node-plugin", "tool-plugin", "plugin"].map(world).concat();
    format!("// Written by `floe build`, from `uses` in plugin.toml.\npackage floe:mine;\n\n{worlds}")
}

/// What a component imports and its plugin.toml does not say is hardly meant.
pub(super) fn check_imports(project: &Project, component: &[u8]) -> Result<(), Error> {
    // What is no component is refused where it is loaded, with more to say.
    let Ok(inspection) = floe_sandbox::inspect(component) else { return Ok(()) };
    let imported = inspection.imports.capabilities.iter().filter_map(|import| import.strip_prefix("floe:capability/"));
    let unsaid =
        imported.filter_map(|import| import.split('@').next()).find(|name| !project.uses.iter().any(|uses| uses == name));
    match unsaid {
        Some(name) if project.has_toml => {
            let place = project.dir.join("plugin.toml");
            let message =
                format!("plugin `{}` imports the capability `{name}`, which `{}` does not list", project.name, place.display());
            Err(Error::wrong(message).with_help(format!("add it: uses = [\"{name}\"], or build the plugin without it")))
        }
        _ => Ok(()),
    }
}
