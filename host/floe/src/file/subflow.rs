//! Flows within a flow: which files they are, and that none of them contains itself.

use std::path::{Path, PathBuf};

use floe_flow::MAX_DEPTH;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Flow;
use super::policy::PolicyConfig;
use super::problem::{Problem, Problems};
use crate::Error;

/// Flows within one flow, however deep: two that each name two of the next, sixteen deep, would be 65 000.
pub const MAX_SUBFLOWS: usize = 256;

/// Runs another flow to its end, within what this trace has left of its budget, and emits what comes out of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubflowNode {
    /// A name under `subflows`.
    pub subflow: String,
    /// How it is run.
    #[serde(default)]
    pub policy: PolicyConfig,
}

/// Loads what a flow names under `subflows`, and what that names.
#[derive(Debug)]
pub(crate) struct Loader {
    /// The files from the outermost to the one that is being read.
    chain: Vec<PathBuf>,
    loaded: usize,
    problems: Problems,
}

impl Loader {
    /// All subflows of this flow; what is wrong is said with places in the file that it is in.
    pub(crate) fn load(flow: &mut Flow) -> Result<(), Problems> {
        let mut loader = Self { chain: Vec::new(), loaded: 0, problems: flow.problems(Vec::new()) };
        loader.enter(flow);
        if loader.problems.is_empty() { Ok(()) } else { Err(loader.problems) }
    }

    fn enter(&mut self, flow: &mut Flow) {
        self.chain.push(canonical(Path::new(flow.path())));
        for (name, path) in flow.file.subflows.clone().0 {
            if self.loaded > MAX_SUBFLOWS {
                break;
            }
            match self.read(flow, &path) {
                Ok(mut inner) => {
                    self.enter(&mut inner);
                    flow.subflows.0.push((name, inner));
                }
                Err(Error::Flow(problems)) => self.problems.add(*problems),
                Err(error) => {
                    let at = flow.value_span(&["subflows".into(), name.as_str().into()]);
                    let (message, help) = match error {
                        Error::Wrong { message, help } => (message, help),
                        other => (other.to_string(), None),
                    };
                    self.problems.add(flow.problems(vec![Problem { help, ..Problem::new(message, at) }]));
                }
            }
        }
        self.chain.pop();
    }

    fn read(&mut self, flow: &Flow, path: &str) -> Result<Flow, Error> {
        let file = Flow::file_at(&flow.resolve(path));
        if !file.is_file() {
            let message = format!("there is no `{}`", file.display());
            return Err(
                Error::wrong(message).with_help("a subflow is a flow file or a folder with a `flow.yaml`, relative to this file")
            );
        }
        let place = canonical(&file);
        if let Some(first) = self.chain.iter().position(|above| *above == place) {
            let names = self.chain[first..].iter().chain([&place]).map(|file| shown(file)).collect::<Vec<_>>().join(" -> ");
            let message = format!("this flow would run itself: {names}");
            return Err(Error::wrong(message).with_help("a loop is a node that asks for another turn"));
        }
        if self.chain.len() > MAX_DEPTH {
            return Err(Error::wrong(format!(
                "subflows are nested more than {MAX_DEPTH} deep here; a call so deep would be refused"
            )));
        }
        self.loaded += 1;
        if self.loaded > MAX_SUBFLOWS {
            return Err(Error::wrong(format!(
                "these are more than {MAX_SUBFLOWS} flows within one, however deep; run some of them apart"
            )));
        }
        Flow::load_alone(&file, &[])
    }
}

fn canonical(file: &Path) -> PathBuf {
    std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

/// The last two parts of a path: a folder's name tells more than `flow.yaml`.
fn shown(file: &Path) -> String {
    let parts: Vec<_> = file.components().rev().take(2).collect();
    let path: PathBuf = parts.into_iter().rev().collect();
    format!("`{}`", path.display())
}
