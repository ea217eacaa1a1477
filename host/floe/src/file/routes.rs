//! Routing tables that stand outside of the flow file: in a JSON file, which operators change while the flow runs, or in an
//! environment variable.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use floe_flow::{Call, Invoke, Report, RouteKey, Router, Routes, RoutingTable};
use tokio::time::Instant;

use super::named::Named;
use super::types::OneOrMany;
use crate::settings;

/// Bytes of a table: some ten thousand entries.
pub const MAX_ROUTES_BYTES: u64 = 1024 * 1024;
/// A file is looked at this often at most, and only while messages are routed by it.
pub const RECHECK: Duration = Duration::from_secs(1);
/// A file that was written so recently may be written again without a later time of change.
const UNSETTLED: Duration = Duration::from_secs(2);

/// Successors by value, as a table lists them.
type To = BTreeMap<String, Vec<String>>;

/// Reads a table from a file; the error says what is wrong with it.
pub(crate) fn from_file(path: &Path) -> Result<To, String> {
    let read = || {
        let mut text = String::new();
        // A device or a pipe would never end.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is no file"));
        }
        File::open(path)?.take(MAX_ROUTES_BYTES + 1).read_to_string(&mut text)?;
        Ok(text)
    };
    let shown = path.display();
    let text = read().map_err(|error| format!("cannot read the routes in `{shown}`: {error}"))?;
    if text.len() as u64 > MAX_ROUTES_BYTES {
        return Err(format!("`{shown}` has more than {MAX_ROUTES_BYTES} bytes, which no table needs"));
    }
    parse(&text).map_err(|why| format!("`{shown}` is no table of routes: {why}"))
}

/// Reads a table from an environment variable; the error says what is wrong, and nothing of what is in it.
pub(crate) fn from_env(name: &str) -> Result<To, String> {
    let text = settings::variable(name).map_err(|why| format!("{why}; set it to a {SHAPE}"))?;
    parse(&text).map_err(|_| format!("the environment's `{name}` is no table of routes: it is no {SHAPE}"))
}

const SHAPE: &str = "JSON object such as {\"VALUE\": \"NODE\", \"OTHER\": [\"NODE\", \"NODE\"]}";

fn parse(text: &str) -> Result<To, String> {
    let entries: Named<OneOrMany> = serde_json::from_str(text).map_err(|error| format!("{error}; it is a {SHAPE}"))?;
    let mut to = To::new();
    for (value, targets) in entries.0 {
        if to.contains_key(&value) {
            return Err(format!("`{value}` is there twice; remove one"));
        }
        to.insert(value, targets.0);
    }
    Ok(to)
}

/// A router whose table follows a file.
#[derive(Debug)]
pub(crate) struct FileRouter {
    node: String,
    path: PathBuf,
    router: Router,
    table: RoutingTable,
    seen: Mutex<Seen>,
}

/// What was last seen of the file.
#[derive(Debug)]
struct Seen {
    checked: Instant,
    /// When it was changed and its size; none: it is to be read again in any case.
    stamp: Option<(SystemTime, u64)>,
    to: To,
    problem: Option<String>,
}

impl FileRouter {
    /// Routes by `table`, which has `to` from the file already.
    pub(crate) fn new(node: String, path: PathBuf, key: RouteKey, table: RoutingTable, to: To) -> Self {
        let router = Router::table(key, table.clone());
        let seen = Seen { checked: Instant::now(), stamp: None, to, problem: None };
        Self { node, path, router, table, seen: Mutex::new(seen) }
    }

    /// Reads the file again if it may have changed. What is wrong with it is said once, and the table stays as it is.
    fn look(&self) {
        // Whoever finds another one looking goes on with the table that is there.
        let Ok(mut seen) = self.seen.try_lock() else { return };
        if seen.checked.elapsed() < RECHECK {
            return;
        }
        seen.checked = Instant::now();
        let stamp = stamp(&self.path);
        if stamp.is_some() && stamp == seen.stamp {
            return;
        }
        let (node, file) = (&self.node, self.path.display());
        match from_file(&self.path).and_then(|to| self.follow(to, &mut seen)) {
            Ok(changed) => {
                if changed {
                    tracing::info!(node, %file, entries = seen.to.len(), "Routes have changed.");
                }
                seen.problem = None;
                seen.stamp = stamp.filter(|(changed, _)| changed.elapsed().is_ok_and(|since| since > UNSETTLED));
            }
            Err(problem) => {
                if seen.problem.as_ref() != Some(&problem) {
                    tracing::warn!(node, problem, "Routes cannot be changed; the old ones stay.");
                }
                seen.problem = Some(problem);
                seen.stamp = None;
            }
        }
    }

    /// Only what the file itself changed is put in: a host program may have put something else there meanwhile.
    fn follow(&self, to: To, seen: &mut Seen) -> Result<bool, String> {
        if to == seen.to {
            return Ok(false);
        }
        let routes = Routes { to: to.clone(), otherwise: self.table.get().otherwise.clone() };
        self.table.set(routes).map_err(|why| format!("`{}`: {why}", self.path.display()))?;
        seen.to = to;
        Ok(true)
    }
}

impl Invoke for FileRouter {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        self.look();
        self.router.invoke(call)
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
