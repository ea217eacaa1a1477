//! A run with a journal: what it was started with, what of it is done, and whether it may go on with what is here now.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use floe_flow::journal::{Accepted, JournalError, Pending};
use floe_flow::state::{self, Place, Put, Written};
use floe_flow::{Cursor, End, Entry, Journal, MessageId, Meta, Payload, Record, StateStore, Terminal, TraceError};
use floe_sandbox::{Plugin, Secret};
use floe_store::{Options, RunInfo, Sqlite};
use sha2::{Digest, Sha256};

use super::Plan;
use crate::builder::locate;
use crate::doctor::locked;
use crate::file::Flow;
use crate::store::check_digest;
use crate::{Error, assemble::Assembled};

/// A run's journal.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) journal: Arc<Sqlite>,
    /// Up to where the input has been accepted.
    pub(crate) read: Cursor,
    /// Up to where the output has been written.
    pub(crate) written: Cursor,
    /// Traces that go on.
    pub(crate) unfinished: Vec<Arc<str>>,
    /// What the journal knows of the run.
    info: Mutex<Option<RunInfo>>,
}

/// A journal that is open, before it is known what is to be run.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    journal: Arc<Sqlite>,
    known: Option<RunInfo>,
    /// What the randomness of the run follows from, now and when it goes on.
    pub(super) secret: Secret,
}

impl Opened {
    /// Opens the file: a new one, or one in which a run was begun.
    pub(super) async fn open(path: &Path, max_bytes: Option<u64>) -> Result<Self, Error> {
        let journal = Sqlite::open(path, Options { max_bytes }).await?;
        let known = journal.reader().info().await?;
        let secret = match known.as_ref().and_then(|known| known.secret) {
            Some(secret) => Secret::new(secret),
            None => Secret::draw().map_err(|error| Error::wrong(error.to_string()))?,
        };
        Ok(Self { path: path.to_owned(), journal: Arc::new(journal), known, secret })
    }

    /// Where plugins keep values that outlive a call.
    pub(super) fn values(&self) -> Arc<dyn StateStore> {
        Arc::new(Values(Arc::downgrade(&self.journal)))
    }
}

/// The values in a journal, as long as it is open: who has them does not keep it from being closed.
#[derive(Debug)]
struct Values(Weak<Sqlite>);

impl Values {
    fn ask<T: Send + 'static>(&self, ask: impl FnOnce(&Sqlite) -> Pending<T>) -> Pending<T> {
        match self.0.upgrade() {
            Some(journal) => ask(&journal),
            None => Box::pin(std::future::ready(Err(JournalError::Unusable("the journal is closed".to_owned())))),
        }
    }
}

impl StateStore for Values {
    fn get(&self, place: &Place, key: &str) -> Pending<Option<state::Entry>> {
        self.ask(|journal| journal.get(place, key))
    }

    fn put(&self, place: &Place, key: &str, put: Put) -> Pending<Written> {
        self.ask(|journal| journal.put(place, key, put))
    }

    fn delete(&self, place: &Place, key: &str) -> Pending<bool> {
        self.ask(|journal| journal.delete(place, key))
    }

    fn keys(&self, place: &Place, prefix: &str, after: Option<&str>, limit: u32) -> Pending<Vec<String>> {
        self.ask(|journal| journal.keys(place, prefix, after, limit))
    }
}

/// The run that was begun in a journal. One of an older format is brought up to date.
pub(super) async fn info_of(path: &Path) -> Result<Option<RunInfo>, Error> {
    let reader = match Sqlite::read(path).await {
        Err(floe_store::Error::Older { .. }) => {
            Sqlite::open(path, Options { max_bytes: None }).await?.close().await;
            Sqlite::read(path).await?
        }
        read => read?,
    };
    Ok(reader.info().await?)
}

impl Durable {
    /// Takes a journal for what is to be run: a new one, or one that was begun with the same.
    pub(super) async fn open(opened: Opened, plan: &Plan, assembled: &Assembled) -> Result<Self, Error> {
        let Opened { path, journal, known, secret } = opened;
        let mut info = RunInfo { secret: Some(*secret.bytes()), ..info(plan, assembled)? };
        match &known {
            None => journal.start(&info).await?,
            Some(known) => {
                let differences = differences(known, &info);
                let is_same =
                    known.plugins.iter().map(|plugin| &plugin.digest).eq(info.plugins.iter().map(|plugin| &plugin.digest));
                // Traces of earlier releases go on with what is here now, too.
                let earlier = |plugins: &Vec<_>| if is_same { plugins.clone() } else { info.plugins.clone() };
                info.earlier = known.earlier.iter().map(earlier).collect();
                if !differences.is_empty() && !plan.migrate {
                    let shown = path.display();
                    let message = format!("`{shown}` was begun with something else: {}", differences.join("; "));
                    let help = format!(
                        "put that back and go on with `floe resume {shown}`; --migrate goes on with what is here now; another --journal begins anew"
                    );
                    return Err(Error::wrong(message).with_help(help));
                }
                if !differences.is_empty() || known.secret.is_none() {
                    journal.restart(&info).await?;
                }
            }
        }
        let durable = Self { info: Mutex::new(Some(info)), ..Self::as_it_is(journal).await? };
        for (plugin, file) in components(&plan.flow, &assembled.plugins) {
            durable.keep(plugin, &file).await?;
        }
        if known.is_some() {
            tracing::info!(unfinished = durable.unfinished.len(), line = durable.read.line + 1, "the run goes on");
        }
        Ok(durable)
    }

    /// Opens a journal that there is, whatever it was begun with.
    pub(super) async fn reopen(path: &Path, plan: &Plan) -> Result<Self, Error> {
        let journal = Sqlite::open(path, Options { max_bytes: plan.process.journal_max }).await?;
        Self::as_it_is(Arc::new(journal)).await
    }

    async fn as_it_is(journal: Arc<Sqlite>) -> Result<Self, Error> {
        let start = Cursor { line: 0, offset: 0 };
        let read = journal.reader().input_cursor().await?.unwrap_or(start);
        let written = journal.reader().output_cursor().await?.unwrap_or(start);
        let unfinished = journal.unfinished().await.map_err(|error| Error::wrong(error.to_string()))?;
        Ok(Self { journal, read, written, unfinished, info: Mutex::default() })
    }

    /// What the journal knows of the run, as it was opened and with what was replaced since; none: it was opened as it is.
    pub(super) fn info(&self) -> Option<RunInfo> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that traces run another version of a plugin from now on, and keeps its component.
    pub(super) async fn replace(&self, plugin: &Plugin, file: &Path) -> Result<(), Error> {
        let Some(mut info) = self.info() else { return Ok(()) };
        self.keep(plugin, file).await?;
        let mut plugins = info.plugins.clone();
        for known in plugins.iter_mut().filter(|known| known.name == plugin.name) {
            known.digest.clone_from(&plugin.digest);
        }
        info.replace(plugins);
        self.journal.restart(&info).await?;
        *self.info.lock().unwrap_or_else(PoisonError::into_inner) = Some(info);
        Ok(())
    }

    async fn keep(&self, plugin: &Plugin, file: &Path) -> Result<(), Error> {
        let bytes = std::fs::read(file).map_err(|error| Error::wrong(format!("cannot read `{}`: {error}", file.display())))?;
        // It may have been built again since it was loaded.
        check_digest(file, &bytes, &plugin.digest)?;
        Ok(self.journal.put_component(&plugin.digest, bytes).await?)
    }

    /// The release that a trace began with.
    pub(super) async fn release_of(&self, trace: &str) -> Result<u64, Error> {
        let entries = self.journal.load(trace).await.map_err(|error| Error::wrong(error.to_string()))?;
        Ok(match entries.first().map(|entry| &entry.record) {
            Some(Record::Accepted(accepted)) => accepted.release,
            _ => 0,
        })
    }

    /// Closes the file, and returns how many traces go on another time.
    pub(super) async fn close(self: Arc<Self>) -> usize {
        let unfinished = self.journal.unfinished().await.map_or(0, |traces| traces.len());
        if let Some(journal) = Arc::into_inner(self).and_then(|durable| Arc::into_inner(durable.journal)) {
            journal.close().await;
        }
        unfinished
    }

    /// The record that a line has been written.
    pub(crate) fn deliver(&self, trace: &Arc<str>, message: Option<MessageId>, cursor: Cursor) -> Pending<()> {
        self.journal.append(trace, entry(Record::Delivered { message, cursor: Some(cursor) }))
    }

    /// The records of a line that is no request: it is accepted, and has failed.
    pub(crate) fn refuse(&self, trace: &Arc<str>, tenant: &Arc<str>, cursor: Cursor, error: &TraceError) -> Pending<()> {
        let accepted = Accepted {
            tenant: Arc::clone(tenant),
            user: None,
            session: None,
            caller: None,
            payload: Payload::from(serde_json::Value::Null),
            meta: Meta::default(),
            topic: None,
            priority: 0,
            deadline_ms: None,
            cursor: Some(cursor),
            release: 0,
        };
        let accepted = self.journal.append(trace, entry(Record::Accepted(Box::new(accepted))));
        let terminal = Terminal { end: End::Failed, outputs: 0, error: Some(error.clone()) };
        let ended = self.journal.append(trace, entry(Record::Ended(terminal)));
        Box::pin(async move {
            // An id that is there already fails here; the second record answers for both otherwise.
            accepted.await?;
            ended.await
        })
    }
}

/// Now, and nothing about events.
pub(crate) fn entry(record: Record) -> Entry {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Entry { at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX), seq: 0, record }
}

impl From<floe_store::Error> for Error {
    fn from(error: floe_store::Error) -> Self {
        Self::wrong(error.to_string())
    }
}

/// The components that run, with their files.
fn components<'p>(flow: &Flow, plugins: &'p [Plugin]) -> Vec<(&'p Plugin, PathBuf)> {
    let parts = flow.parts();
    let located = |plugin: &'p Plugin| {
        parts.iter().find_map(|(within, part)| {
            let name = plugin.name.strip_prefix(within.as_str())?;
            let source = &part.file.plugins.get(name)?.source;
            Some((plugin, locate(part, name, source).ok()?.file))
        })
    };
    plugins.iter().filter_map(located).collect()
}

fn info(plan: &Plan, assembled: &Assembled) -> Result<RunInfo, Error> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let input = plan.input.as_deref().filter(|path| *path != Path::new("-"));
    let digest = input.map(digest).transpose()?;
    let plugins = components(&plan.flow, &assembled.plugins).into_iter().map(|(plugin, file)| floe_store::Plugin {
        name: plugin.name.clone(),
        digest: plugin.digest.clone(),
        source: file.display().to_string(),
    });
    Ok(RunInfo {
        flow: plan.flow.text().to_string(),
        flow_path: absolute(Path::new(plan.flow.path())),
        set: plan.set.clone(),
        tenant: plan.tenant.clone(),
        envelope: plan.envelope,
        input: input.map(absolute),
        input_digest: digest.as_ref().map(|(digest, _)| digest.clone()),
        input_size: digest.map(|(_, size)| size),
        output: plan.output.as_deref().map(absolute),
        engine: engine(),
        plugins: plugins.collect(),
        earlier: Vec::new(),
        subflows: parts(&plan.flow).collect(),
        secret: None,
    })
}

/// The subflows by their names, with the SHA-256 of their texts.
pub(crate) fn parts(flow: &Flow) -> impl Iterator<Item = (String, String)> {
    let parts = flow.parts().into_iter().skip(1);
    parts.map(|(name, part)| (name, format!("{:x}", Sha256::digest(part.text().as_bytes()))))
}

/// What computes here: the same code computes the same on it.
pub(crate) fn engine() -> String {
    format!("floe {}, wasmtime {}", env!("CARGO_PKG_VERSION"), locked("wasmtime").unwrap_or("unknown"))
}

/// The SHA-256 of a file and its size.
fn digest(path: &Path) -> Result<(String, u64), Error> {
    let read = || {
        let mut hash = Sha256::new();
        let size = std::io::copy(&mut std::fs::File::open(path)?, &mut hash)?;
        Ok((format!("{:x}", hash.finalize()), size))
    };
    read().map_err(|error: std::io::Error| Error::wrong(format!("cannot read the input `{}`: {error}", path.display())))
}

/// What is not as it was when the run was begun, one clause each.
fn differences(then: &RunInfo, now: &RunInfo) -> Vec<String> {
    let mut all = Vec::new();
    let path = |path: &Option<String>, none: &str| path.as_ref().map_or_else(|| none.to_owned(), |path| format!("`{path}`"));
    if then.flow_path != now.flow_path {
        all.push(format!("the flow was `{}` and is `{}`", then.flow_path, now.flow_path));
    } else if then.flow != now.flow {
        all.push(format!("`{}` has changed", now.flow_path));
    }
    if then.set != now.set {
        all.push(format!("--set was [{}] and is [{}]", then.set.join(", "), now.set.join(", ")));
    }
    if then.tenant != now.tenant {
        all.push(format!("--tenant was `{}` and is `{}`", then.tenant, now.tenant));
    }
    if then.envelope != now.envelope {
        all.push(format!("--envelope was {} and is {}", then.envelope, now.envelope));
    }
    if then.input != now.input {
        let none = "standard input";
        all.push(format!("the input was {} and is {}", path(&then.input, none), path(&now.input, none)));
    } else if (&then.input_digest, then.input_size) != (&now.input_digest, now.input_size) {
        all.push(format!("the input {} has changed", path(&now.input, "")));
    }
    if then.output != now.output {
        let none = "standard output";
        all.push(format!("the output was {} and is {}", path(&then.output, none), path(&now.output, none)));
    }
    for (name, digest) in &now.subflows {
        if then.subflows.iter().any(|(before, text)| before == name && text != digest) {
            all.push(format!("the file of subflow `{}` has changed", name.trim_end_matches('/')));
        }
    }
    for plugin in &now.plugins {
        let before = then.plugins.iter().find(|before| before.name == plugin.name);
        if let Some(before) = before.filter(|before| before.digest != plugin.digest) {
            all.push(format!("plugin `{}` was {} and is {}", plugin.name, before.digest, plugin.digest));
        }
    }
    all
}
