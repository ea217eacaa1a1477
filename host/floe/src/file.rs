//! The flow file: read, checked, and made into a graph. Knows YAML and places in it; runs nothing.
//!
//! [`Flow::load`] reads the file into [`FlowFile`]. Whatever is wrong is said together, each with its place. What only
//! the graph or a plugin can tell is mapped back to a place by [`Flow::node_span`] and its siblings.

mod agent;
mod de;
mod edges;
mod grants;
mod graph;
mod http;
mod join;
mod limits;
mod named;
mod policy;
mod problem;
mod read;
mod route;
mod routes;
mod set;
mod subflow;
mod tenants;
mod tree;
mod types;
mod units;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Error;

pub use agent::{AgentConfig, AgentLimits, AgentNode, ModelConfig, ProviderConfig, ToolConfig, VisibleConfig};
pub use edges::Link;
pub use grants::{CAPABILITIES, ClockConfig, DirectoryConfig, GrantsConfig, StateConfig};
pub use graph::{Code, Made, Resolve, Unresolved, Wanted};
pub use http::HttpRule;
pub use join::{JoinConfig, JoinNode, LateConfig, OnIncompleteConfig};
pub use limits::{LimitsConfig, Profile};
pub use named::Named;
pub use policy::{BackoffConfig, BackoffParts, OnFailureConfig, PolicyConfig, ValidateConfig};
pub use problem::{MAX_PROBLEMS, Problem, ProblemJson, Problems, Texts};
pub use route::{Route, RouteField, RouteNode, RuleConfig};
pub use routes::{MAX_ROUTES_BYTES, RECHECK};
pub use subflow::{MAX_SUBFLOWS, SubflowNode};
pub use tenants::{NetworkConfig, RateConfig, TenantConfig, TenantsFile};
pub use tree::{Origin, Span, Step};
pub use types::{Budget, DiscardNode, Edge, FlowFile, LongEdge, MapNode, Node, OneOrMany, Plugin, RunNode};
pub use units::{Bytes, Count, Moment, Time, parse_bytes, parse_time};

/// What a flow file may have; a thousand nodes need a tenth of it.
pub const MAX_FLOW_BYTES: u64 = 1024 * 1024;

/// A flow file that was read, and the places of all that stands in it.
#[derive(Debug, Clone)]
pub struct Flow {
    /// What it says.
    pub file: FlowFile,
    /// The folder that everything in it is relative to.
    pub folder: PathBuf,
    /// The flows that it names under `subflows`, read in the same way.
    pub subflows: Named<Self>,
    texts: Texts,
    tree: tree::Tree,
}

impl Flow {
    /// Reads a flow file, or the `flow.yaml` of a folder, and puts the overrides (`PATH=VALUE`) in; then its subflows.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self, Error> {
        let mut flow = Self::load_alone(path, sets)?;
        subflow::Loader::load(&mut flow)?;
        Ok(flow)
    }

    /// Reads a flow from its text, and its subflows from their files; `folder` is what its paths are relative to.
    pub fn read(texts: Texts, folder: PathBuf) -> Result<Self, Error> {
        let mut flow = Self::parse(texts, folder)?;
        subflow::Loader::load(&mut flow)?;
        Ok(flow)
    }

    fn load_alone(path: &Path, sets: &[String]) -> Result<Self, Error> {
        let path = Self::file_at(path);
        let text = read_text(&path)?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let texts = Texts { path: path.display().to_string(), text: text.into(), sets: sets.to_vec() };
        Ok(Self::parse(texts, folder)?)
    }

    /// The flow file that a path leads to.
    fn file_at(path: &Path) -> PathBuf {
        if path.is_dir() { path.join("flow.yaml") } else { path.to_owned() }
    }

    /// Reads a flow from its text; `folder` is what its paths are relative to. Its subflows are not read.
    pub fn parse(texts: Texts, folder: PathBuf) -> Result<Self, Problems> {
        let mut tree = match tree::Tree::parse(&texts.text) {
            Ok(tree) => tree,
            Err(error) => {
                let problem = Problem::new(format!("not valid YAML: {}", error.message), Some(error.span));
                return Err(Problems::new(texts, vec![problem]));
            }
        };
        let mut list = Vec::new();
        for (index, set) in texts.sets.iter().enumerate() {
            list.extend(set::apply(&mut tree, index, set).err().map(|problem| *problem));
        }
        tree.duplicates(&mut |key, first, second| {
            let message = format!("`{key}` is there twice; rename or remove one");
            list.push(Problem { beside: Some((first, "the first one")), ..Problem::new(message, Some(second)) });
        });
        let file = read::flow_file(&tree, &mut list);
        match file {
            Some(file) if list.is_empty() => Ok(Self { file, folder, subflows: Named::default(), texts, tree }),
            _ => Err(Problems::new(texts, list)),
        }
    }

    /// This flow and all that it runs, the outer before the inner, each with what stands before the names of its plugins:
    /// nothing, `sub/`, `sub/inner/`.
    pub fn parts(&self) -> Vec<(String, &Self)> {
        let mut parts = vec![(String::new(), self)];
        for (name, inner) in self.subflows.iter() {
            parts.extend(inner.parts().into_iter().map(|(within, flow)| (format!("{name}/{within}"), flow)));
        }
        parts
    }

    /// A path of the file as seen from here.
    pub fn resolve(&self, path: &str) -> PathBuf {
        // `folder/.` is `folder`.
        self.folder.join(path).components().collect()
    }

    /// Where the name of a node stands.
    pub fn node_span(&self, name: &str) -> Option<Span> {
        self.key_span(&["nodes".into(), name.into()])
    }

    /// Where the key at this path stands; the nearest one above it that is there.
    pub fn key_span(&self, path: &[Step]) -> Option<Span> {
        (1..=path.len()).rev().find_map(|end| {
            let (value, key) = self.tree.find(&path[..end])?;
            Some(key.unwrap_or(value.span))
        })
    }

    /// Where the value at this path stands; the nearest one above it that is there.
    pub fn value_span(&self, path: &[Step]) -> Option<Span> {
        (1..=path.len()).rev().find_map(|end| {
            let (value, key) = self.tree.find(&path[..end])?;
            Some(value.shown(key))
        })
    }

    /// What stands at this path, as JSON.
    pub(crate) fn value(&self, path: &[Step]) -> Option<serde_json::Value> {
        let (value, _) = self.tree.find(path)?;
        de::read(value).ok()
    }

    /// Problems of this flow, for showing.
    pub fn problems(&self, list: Vec<Problem>) -> Problems {
        Problems::new(self.texts.clone(), list)
    }

    /// The file as the caller named it.
    pub fn path(&self) -> &str {
        &self.texts.path
    }

    /// The file's text, as it was read.
    pub fn text(&self) -> &Arc<str> {
        &self.texts.text
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    let shown = path.display();
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let help = "FLOW is a flow file or a folder with a `flow.yaml`; `floe new NAME` makes one";
            return Err(Error::wrong(format!("there is no `{shown}`")).with_help(help));
        }
        Err(error) => return Err(Error::wrong(format!("cannot read `{shown}`: {error}"))),
    };
    if size > MAX_FLOW_BYTES {
        return Err(Error::wrong(format!("`{shown}` has {size} bytes; a flow file has at most {MAX_FLOW_BYTES}")));
    }
    let bytes = std::fs::read(path).map_err(|error| Error::wrong(format!("cannot read `{shown}`: {error}")))?;
    String::from_utf8(bytes).map_err(|_| Error::wrong(format!("`{shown}` is not UTF-8 text")))
}
