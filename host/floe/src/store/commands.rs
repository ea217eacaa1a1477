//! `floe plugin add`, `list`, `remove`, `revoke` and `diff`: what they do and print.

use std::io::Write;
use std::path::Path;

use floe_flow::graph::valid_name;
use floe_sandbox::{Limits, Plugin, Sandbox, digest, plain};
use serde_json::{Map, Value, json};

use super::diff::{Change as Difference, Surface, compare, compare_grants, compare_to_approval, stripped};
use super::lock::MAX_REPLACED;
use super::{Approval, Entry, Store, is_digest, read};
use crate::cli::{AddArgs, DiffArgs, ListArgs, RemoveArgs, RevokeArgs};
use crate::file::{Bytes, CAPABILITIES};
use crate::plugin::name_of;
use crate::settings::Settings;
use crate::table::table;
use crate::{Error, Exit, plugin, start};

/// Adds a plugin, or another version of one, and prints what it asks for. Wider than what was approved, it needs approval again.
pub fn add(args: &AddArgs, settings: &Settings) -> Result<Exit, Error> {
    let store = Store::open()?;
    let (file, bytes) = plugin::read(&args.plugin)?;
    let name = args.name.clone().unwrap_or_else(|| name_of(&file));
    if !valid_name(&name) {
        let message = format!("`{}` is no name for a plugin", plain(&name, 64));
        return Err(Error::wrong(message).with_help("names are made of a-z, 0-9, `_` and `-`, at most 64 of them: --name NAME"));
    }
    let looker = Looker::new(settings, args.profile.into(), &store)?;
    let new = looker.look(&name, &bytes)?;
    let surface = Surface::of(&new);
    let mut change = store.change()?;
    let known = change.lock.plugins.get(&name).cloned();
    let before = known.as_ref().and_then(|known| known.approval.grants.clone());
    let grants = if args.grants.is_empty() { before.clone() } else { Some(granted(&args.grants)?) };

    let mut changes = known.as_ref().map_or_else(Vec::new, |known| looker.changes(&name, known, &surface));
    if known.is_some() {
        changes.extend(compare_grants(before.as_ref(), grants.as_ref()));
    }
    let approved_another = known.as_ref().is_some_and(|known| known.approval.digest != known.digest);
    let wider = approved_another || changes.iter().any(|change| change.wider);
    let done = !wider || args.approve;
    if done {
        change.put(&bytes)?;
        let entry = entry(&new, &surface, grants, known.as_ref());
        let old = known.iter().flat_map(Entry::digests).cloned().collect::<Vec<_>>();
        change.lock.plugins.insert(name.clone(), entry);
        change.save()?;
        change.drop_unused(&old);
    }
    let state = match (&known, done) {
        (_, false) => State::Refused,
        (None, true) => State::Added,
        (Some(known), true) if known.digest == new.digest && changes.is_empty() && !approved_another => State::Same,
        (Some(_), true) => State::Changed,
    };
    print_added(args, &name, &new, &surface, &changes, state)
}

/// What came of `floe plugin add`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Added,
    Changed,
    Same,
    Refused,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Same => "unchanged",
            Self::Refused => "needs approval",
        }
    }
}

fn print_added(
    args: &AddArgs,
    name: &str,
    plugin: &Plugin,
    surface: &Surface,
    changes: &[Difference],
    state: State,
) -> Result<Exit, Error> {
    let exit = if state == State::Refused { Exit::Wrong } else { Exit::Completed };
    let mut out = std::io::stdout().lock();
    if args.json {
        let changes: Vec<Value> = changes.iter().map(Difference::json).collect();
        let report = json!({
            "name": name, "digest": plugin.digest, "size": plugin.inspection.size, "asks": surface.asks,
            "nodes": stripped(&json!(plugin.nodes)), "tools": stripped(&json!(plugin.tools)),
            "state": state.name(), "changes": changes,
        });
        writeln!(out, "{report:#}")?;
        return Ok(exit);
    }
    let members = plugin::members(plugin);
    let asks: Vec<String> = surface.asks.iter().cloned().collect();
    let asks = if asks.is_empty() { "nothing".to_owned() } else { asks.join("\n") };
    let facts = [
        ["plugin".to_owned(), format!("{name} ({})", state.name())],
        ["digest".to_owned(), plugin.digest.clone()],
        ["size".to_owned(), Bytes(plugin.inspection.size).to_string()],
        ["needs a grant".to_owned(), asks],
        ["in a flow file".to_owned(), format!("plugins: {{ {name}: {{ source: store:{name} }} }}")],
    ];
    write!(out, "{}", table(&[], facts))?;
    for (kind, members) in [("NODE", members.0), ("TOOL", members.1)] {
        if !members.is_empty() {
            write!(out, "\n{}", table(&[kind, "TAKES", "GIVES", "EFFECT", "DESCRIPTION"], members))?;
        }
    }
    if !changes.is_empty() {
        write!(out, "\n{}", changes_table(changes))?;
    }
    if state == State::Refused {
        let message = format!("plugin `{name}` asks for more than was approved; nothing has changed");
        return Err(Error::wrong(message).with_help("look at what needs approval above, and add it again with --approve"));
    }
    Ok(exit)
}

fn changes_table(changes: &[Difference]) -> String {
    table(&["CHANGE", "OLD", "NEW", "NEEDS APPROVAL"], changes.iter().map(Difference::row))
}

fn entry(plugin: &Plugin, surface: &Surface, grants: Option<Value>, known: Option<&Entry>) -> Entry {
    let inspection = &plugin.inspection;
    let imports = &inspection.imports;
    let imports = [&imports.contract, &imports.inert, &imports.capabilities, &imports.wasi, &imports.unknown];
    let mut imports: Vec<String> = imports.into_iter().flatten().cloned().collect();
    imports.sort();
    let replaced = known.into_iter().flat_map(|known| std::iter::once(&known.digest).chain(&known.replaced));
    let replaced = replaced.filter(|digest| **digest != plugin.digest).take(MAX_REPLACED).cloned().collect();
    Entry {
        digest: plugin.digest.clone(),
        size: inspection.size,
        contract: inspection.contract.iter().next().cloned().unwrap_or_default(),
        imports,
        approval: Approval {
            digest: plugin.digest.clone(),
            asks: surface.asks.iter().cloned().collect(),
            says: surface.says(),
            grants,
        },
        replaced,
    }
}

/// What `--grant` says, as a flow file's `grants`.
fn granted(grants: &[String]) -> Result<Value, Error> {
    let mut all = Map::new();
    for grant in grants {
        let wrong = |why: String| Error::wrong(format!("--grant {}: {why}", plain(grant, 200)));
        let parts = grant.split_once('=').map(|(key, terms)| (key.trim(), terms));
        let (key, terms) = parts.ok_or_else(|| wrong("it is CAPABILITY=TERMS, such as random=true".to_owned()))?;
        if !CAPABILITIES.contains(&key) {
            return Err(wrong(format!("there is no such capability; there are {}", CAPABILITIES.join(", "))));
        }
        let terms: Value = serde_saphyr::from_str(terms).map_err(|error| wrong(format!("the terms are not YAML: {error}")))?;
        if all.insert(key.to_owned(), terms).is_some() {
            return Err(wrong("it is there twice".to_owned()));
        }
    }
    Ok(all.into())
}

/// Prints the plugins of the store.
pub fn list(args: &ListArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let (lock, revoked) = (store.lock()?, store.revoked()?);
    let mut rows: Vec<(Option<&String>, Option<&Entry>, &String, &str)> = Vec::new();
    for (name, entry) in &lock.plugins {
        let state = match read(&store.component(&entry.digest), floe_sandbox::DEFAULT_MODULE_LARGE) {
            _ if revoked.has(&entry.digest) => "revoked",
            _ if entry.approval.digest != entry.digest => "not approved",
            Err(_) => "missing",
            Ok(bytes) if digest(&bytes) != entry.digest => "altered",
            Ok(_) => "approved",
        };
        rows.push((Some(name), Some(entry), &entry.digest, state));
        rows.extend(entry.replaced.iter().map(|digest| {
            let state = if revoked.has(digest) { "replaced, revoked" } else { "replaced" };
            (Some(name), None, digest, state)
        }));
    }
    rows.extend(revoked.iter().filter(|digest| !lock.uses(digest)).map(|digest| (None, None, digest, "revoked")));
    let mut out = std::io::stdout().lock();
    if args.json {
        let rows = rows.iter().map(|(name, entry, digest, state)| {
            json!({ "name": name, "digest": digest, "state": state, "entry": entry.map(|entry| stripped(&json!(entry))) })
        });
        writeln!(out, "{:#}", Value::from_iter(rows))?;
        return Ok(Exit::Completed);
    }
    let rows = rows.into_iter().map(|(name, entry, digest, state)| {
        let asks = entry.map_or_else(String::new, |entry| plain(&entry.approval.asks.join(", "), 400));
        let size = entry.map_or_else(String::new, |entry| Bytes(entry.size).to_string());
        [name.cloned().unwrap_or_else(|| "-".to_owned()), digest.clone(), size, state.to_owned(), asks]
    });
    write!(out, "{}", table(&["PLUGIN", "DIGEST", "SIZE", "STATE", "NEEDS A GRANT"], rows))?;
    Ok(Exit::Completed)
}

/// Forgets a name, and its components unless another name has them.
pub fn remove(args: &RemoveArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let mut change = store.change()?;
    let Some(entry) = change.lock.plugins.remove(&args.name) else {
        let message = format!("the store has no plugin `{}`", plain(&args.name, 64));
        return Err(Error::wrong(message).with_help("floe plugin list shows those that it has"));
    };
    change.save()?;
    change.drop_unused(&entry.digests().cloned().collect::<Vec<_>>());
    writeln!(std::io::stdout().lock(), "plugin `{}` ({}) is removed", args.name, entry.digest)?;
    Ok(Exit::Completed)
}

/// Puts a component on the list of those that must not run.
pub fn revoke(args: &RevokeArgs) -> Result<Exit, Error> {
    let store = Store::open()?;
    let change = store.change()?;
    let digest = match reference(&args.component) {
        Reference::Digest(digest) => digest,
        Reference::Name(name) => match change.lock.plugins.get(name) {
            Some(entry) => entry.digest.clone(),
            None => digest(&plugin::read(Path::new(name))?.1),
        },
        Reference::Path(path) => digest(&plugin::read(path)?.1),
    };
    let is_new = change.revoke(&digest)?;
    let has = |entry: &Entry| entry.digest == digest;
    let names = change.lock.plugins.iter().filter(|(_, entry)| has(entry)).map(|(name, _)| format!("`{name}`"));
    let names = names.collect::<Vec<_>>().join(" and ");
    let named = if names.is_empty() { names } else { format!(" ({names})") };
    let said = if is_new {
        "is revoked: it is not loaded any more, runs end its traces within seconds, and `floe resume` ends those that wait"
    } else {
        "is revoked already"
    };
    writeln!(std::io::stdout().lock(), "{digest}{named} {said}")?;
    Ok(Exit::Completed)
}

/// Prints what one version has that another has not.
pub fn diff(args: &DiffArgs, settings: &Settings) -> Result<Exit, Error> {
    let store = Store::open()?;
    let looker = Looker::new(settings, args.profile.into(), &store)?;
    let old = looker.look("old", &component(&store, &args.old)?)?;
    let new = looker.look("new", &component(&store, &args.new)?)?;
    let changes = compare(&Surface::of(&old), &Surface::of(&new));
    let wider = changes.iter().any(|change| change.wider);
    let mut out = std::io::stdout().lock();
    if args.json {
        let changes: Vec<Value> = changes.iter().map(Difference::json).collect();
        writeln!(out, "{:#}", json!({ "old": old.digest, "new": new.digest, "changes": changes, "wider": wider }))?;
    } else if changes.is_empty() {
        let what =
            if old.digest == new.digest { "they are the same component" } else { "other code, which asks and says the same" };
        writeln!(out, "{what}")?;
    } else {
        write!(out, "{}", changes_table(&changes))?;
    }
    Ok(if wider { Exit::Incomplete } else { Exit::Completed })
}

/// What a person means by a component.
enum Reference<'a> {
    Digest(String),
    Name(&'a str),
    Path(&'a Path),
}

/// A digest, with `sha256:` or without; a name of the store; or else a path.
fn reference(text: &str) -> Reference<'_> {
    let with_prefix = if text.starts_with("sha256:") { text.to_owned() } else { format!("sha256:{text}") };
    if is_digest(&with_prefix) {
        Reference::Digest(with_prefix)
    } else if valid_name(text) {
        Reference::Name(text)
    } else {
        Reference::Path(Path::new(text))
    }
}

/// A name that the store does not have may be a folder.
fn component(store: &Store, text: &str) -> Result<Vec<u8>, Error> {
    match reference(text) {
        Reference::Digest(digest) => store.bytes(&digest),
        Reference::Name(name) => match store.lock()?.plugins.get(name) {
            Some(entry) => store.bytes(&entry.digest),
            None if Path::new(name).exists() => Ok(plugin::read(Path::new(name))?.1),
            None => Err(Error::wrong(format!("the store has no plugin `{name}`, and there is no such file"))
                .with_help("floe plugin list shows those that it has")),
        },
        Reference::Path(path) => Ok(plugin::read(path)?.1),
    }
}

/// Looks at components with everything denied.
struct Looker<'s> {
    sandbox: Sandbox,
    limits: Limits,
    store: &'s Store,
    revoked: super::Revoked,
}

impl<'s> Looker<'s> {
    fn new(settings: &Settings, profile: floe_sandbox::Profile, store: &'s Store) -> Result<Self, Error> {
        Ok(Self { sandbox: start::sandbox(settings)?, limits: Limits::profile(profile), store, revoked: store.revoked()? })
    }

    /// What the component says of itself, unless it is revoked.
    fn look(&self, name: &str, bytes: &[u8]) -> Result<Plugin, Error> {
        self.revoked.check(name, bytes)?;
        let loaded = start::runtime()?.block_on(self.sandbox.load_denied(name, bytes, &self.limits));
        loaded.map_err(|error| Error::wrong(error.to_string()))
    }

    /// How it differs from what the name means; from what was approved, where that one cannot be looked at any more.
    fn changes(&self, name: &str, known: &Entry, new: &Surface) -> Vec<Difference> {
        match self.store.bytes(&known.digest).and_then(|bytes| self.look(name, &bytes)) {
            Ok(old) => compare(&Surface::of(&old), new),
            Err(error) => {
                tracing::debug!(%error, "The version before cannot be looked at.");
                compare_to_approval(&known.approval, new)
            }
        }
    }
}
