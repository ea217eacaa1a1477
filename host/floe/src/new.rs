//! `floe new`: a Rust plugin with a test and a flow that runs it. The templates stand in `new/`.

use std::io::Write;
use std::path::{Path, PathBuf};

use floe_flow::graph::valid_name;

use crate::cli::{NewArgs, PluginKind};
use crate::{Error, Exit};

const CARGO: &str = include_str!("new/Cargo.toml.in");
const NODE: &str = include_str!("new/node.rs.in");
const TOOL: &str = include_str!("new/tool.rs.in");
const FLOW: &str = include_str!("new/flow.yaml.in");
const INPUT: &str = "{\"name\": \"Ada\"}\n{\"name\": \"Grace\"}\n";

/// Makes the plugin's folder and says what to do next.
pub fn execute(args: &NewArgs) -> Result<Exit, Error> {
    let files = create(&args.name, args.kind)?;
    let mut out = std::io::stdout().lock();
    for file in files {
        writeln!(out, "{}", file.display())?;
    }
    let shown = args.name.display();
    writeln!(
        std::io::stderr().lock(),
        "\nNext:\n  floe run {shown} --build --input {shown}/input.jsonl\n  cargo test --manifest-path {shown}/Cargo.toml"
    )?;
    Ok(Exit::Completed)
}

/// Makes a plugin in a new folder, whose name is the plugin's name. Returns its files.
pub fn create(dir: &Path, kind: PluginKind) -> Result<Vec<PathBuf>, Error> {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !valid_name(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let message = format!("`{}` cannot name a plugin", dir.display());
        return Err(Error::wrong(message)
            .with_help("names begin with a letter and are made of a-z, 0-9, `_` and `-`, at most 64 of them"));
    }
    if dir.exists() {
        return Err(
            Error::wrong(format!("`{}` is there already", dir.display())).with_help("choose another name, or remove it first")
        );
    }
    let source = match kind {
        PluginKind::Node => NODE,
        PluginKind::Tool => TOOL,
    };
    let fail = |error: std::io::Error| Error::wrong(format!("cannot make `{}`: {error}", dir.display()));
    std::fs::create_dir_all(dir.join("src")).map_err(fail)?;
    let files = [
        ("Cargo.toml", CARGO.replace("{name}", name).replace("{sdk}", &sdk(dir))),
        ("src/lib.rs", source.replace("{name}", name)),
        ("flow.yaml", FLOW.replace("{name}", name)),
        ("input.jsonl", INPUT.to_owned()),
        (".gitignore", "target/\n".to_owned()),
    ];
    for (file, content) in &files {
        std::fs::write(dir.join(file), content).map_err(fail)?;
    }
    Ok(files.iter().map(|(file, _)| dir.join(file)).collect())
}

/// What the new plugin's manifest says of the guest SDK: its folder where this program was built from a checkout that is still
/// there, otherwise its version.
fn sdk(dir: &Path) -> String {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (Ok(checkout), Ok(dir)) = (checkout.canonicalize(), dir.canonicalize()) else { return published() };
    let folder = checkout.join("guest-sdk/rust");
    if !folder.join("Cargo.toml").is_file() {
        return published();
    }
    // Inside the checkout the way stays right when the checkout moves.
    let path = match dir.strip_prefix(&checkout) {
        Ok(below) => below.components().map(|_| "..").collect::<PathBuf>().join("guest-sdk/rust"),
        Err(_) => folder,
    };
    format!("{{ path = {} }}", serde_json::Value::from(path.to_string_lossy()))
}

fn published() -> String {
    "\"0.1\"".to_owned()
}
