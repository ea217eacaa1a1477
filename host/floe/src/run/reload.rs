//! New versions of a run's plugins: those that come while it runs (`--reload`), and those that traces of an earlier process began with.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use floe_flow::{Release, Releases};
use floe_sandbox::{Error as Refusal, Plugin, Sandbox, Versions};
use floe_store::RunInfo;

use super::durable::Durable;
use crate::file::Flow;
use crate::{Error, assemble, builder, store};

/// What a file was when it was looked at: another one has other values.
#[derive(Debug, Clone, PartialEq)]
struct Stamp {
    file: PathBuf,
    bytes: u64,
    changed: Option<SystemTime>,
    /// A file that was put in another's place.
    inode: u64,
}

/// A plugin whose component may change.
#[derive(Debug)]
struct Watched {
    /// As the flow was made of it.
    first: Plugin,
    /// Of the newest.
    digest: String,
    seen: Option<Stamp>,
    /// What came of this one is known.
    settled: Option<Stamp>,
    /// It has been said that there are too many.
    is_waiting: bool,
}

/// Which code a run's traces have.
pub(super) struct Code<'a> {
    /// None: nothing is replaced in this run.
    versions: Option<Arc<Versions>>,
    /// What unfinished traces of an earlier process began with; it is there as long as this is held.
    pub(super) earlier: Vec<Release>,
    /// Says what must not run any more.
    pub(super) watch: Arc<store::Watch>,
    /// Takes new versions; none: nobody asked for that.
    pub(super) reload: Option<Reload<'a>>,
}

impl<'a> Code<'a> {
    /// Of a run that begins or goes on with these plugins.
    pub(super) async fn begin(
        flow: &'a Flow,
        sandbox: &'a Sandbox,
        plugins: &[Plugin],
        durable: Option<&Arc<Durable>>,
        reload: bool,
    ) -> Result<Self, Error> {
        let info = durable.and_then(|durable| durable.info());
        let now = info.as_ref().map_or(0, RunInfo::release);
        let watch = Arc::new(store::Watch::new());
        watch.add(now, plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.digest.as_str())));
        let versions = (reload || now > 0).then(|| Versions::new(now));
        let mut earlier = Vec::new();
        if let (Some(durable), Some(info), Some(versions)) = (durable, &info, &versions) {
            for release in releases(durable, now).await? {
                let instead = replaced(flow, sandbox, plugins, durable, info.plugins_of(release)).await?;
                let instead: Vec<(&Plugin, &Plugin)> = instead.iter().map(|(first, plugin)| (*first, plugin)).collect();
                let restored = versions.restore(release, &instead).map_err(|error| Error::wrong(error.to_string()))?;
                let then = info.plugins_of(release).iter();
                watch.add(release, then.map(|plugin| (plugin.name.as_str(), plugin.digest.as_str())));
                earlier.push(restored);
            }
        }
        let reload = versions.clone().filter(|_| reload).map(|versions| Reload {
            flow,
            sandbox,
            versions,
            durable: durable.cloned(),
            watch: Arc::clone(&watch),
            plugins: plugins.iter().map(Watched::new).collect(),
        });
        Ok(Self { versions, earlier, watch, reload })
    }

    /// For the flow that runs.
    pub(super) fn versions(&self) -> Option<Arc<dyn Releases>> {
        self.versions.clone().map(|versions| versions as _)
    }
}

/// The releases, apart from the newest, that unfinished traces began with.
async fn releases(durable: &Durable, newest: u64) -> Result<BTreeSet<u64>, Error> {
    let mut releases = BTreeSet::new();
    if newest > 0 {
        for trace in &durable.unfinished {
            releases.insert(durable.release_of(trace).await?);
        }
        releases.remove(&newest);
    }
    Ok(releases)
}

impl Watched {
    fn new(first: &Plugin) -> Self {
        Self { first: first.clone(), digest: first.digest.clone(), seen: None, settled: None, is_waiting: false }
    }
}

/// Looks after the versions of a run's plugins.
pub(super) struct Reload<'a> {
    flow: &'a Flow,
    sandbox: &'a Sandbox,
    versions: Arc<Versions>,
    durable: Option<Arc<Durable>>,
    watch: Arc<store::Watch>,
    plugins: Vec<Watched>,
}

impl Reload<'_> {
    /// Looks again and again, as long as this is polled.
    pub(super) async fn go_on(mut self) -> Infallible {
        let mut look = tokio::time::interval(store::RECHECK);
        loop {
            look.tick().await;
            for at in 0..self.plugins.len() {
                self.look(at).await;
            }
            self.watch.keep(&self.versions.alive());
        }
    }

    /// Takes the plugin's new component, if there is one that has not changed since the last look: whoever writes it is done.
    async fn look(&mut self, at: usize) {
        let stamp = stamp(self.flow, &self.plugins[at].first.name);
        let plugin = &mut self.plugins[at];
        if std::mem::replace(&mut plugin.seen, stamp.clone()) != stamp || plugin.settled == stamp {
            return;
        }
        // None: it is away for the moment.
        let Some(stamp) = stamp else { return };
        let name = plugin.first.name.clone();
        match self.take(at, &stamp).await {
            Ok(true) => {
                let (digest, older) = (&self.plugins[at].digest, self.versions.alive().len() - 1);
                tracing::info!(older, "plugin `{name}`: traces that begin from now on run {digest}");
            }
            Ok(false) => {}
            Err(Refused::Later(why)) => {
                if !std::mem::replace(&mut self.plugins[at].is_waiting, true) {
                    tracing::warn!("plugin `{name}` has a new version: {why}");
                }
                return;
            }
            Err(Refused::For(error)) => {
                let digest = &self.plugins[at].digest;
                tracing::warn!("plugin `{name}` has a new version that is not taken; {digest} runs on: {error}");
            }
        }
        self.plugins[at].settled = Some(stamp);
        self.plugins[at].is_waiting = false;
    }

    /// True if another version is run from now on: it was checked, then noted, then put in its place.
    async fn take(&mut self, at: usize, stamp: &Stamp) -> Result<bool, Refused> {
        let first = self.plugins[at].first.clone();
        let plugin = assemble::load_again(self.flow, self.sandbox, &first.name, None).await?;
        if plugin.digest == self.plugins[at].digest {
            return Ok(false);
        }
        self.versions.check(&first, &plugin)?;
        if let Some(durable) = &self.durable {
            durable.replace(&plugin, &stamp.file).await?;
        }
        let release = self.versions.replace(&first, &plugin)?;
        self.plugins[at].digest = plugin.digest;
        self.watch.add(release, self.plugins.iter().map(|plugin| (plugin.first.name.as_str(), plugin.digest.as_str())));
        Ok(true)
    }
}

/// Why a new version is not taken.
enum Refused {
    /// It may be, when traces have ended.
    Later(String),
    For(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}

impl From<Refusal> for Refused {
    fn from(error: Refusal) -> Self {
        match error.reason() {
            Refusal::Releases { .. } => Self::Later(error.to_string()),
            reason => Self::For(Error::wrong(reason.to_string())),
        }
    }
}

/// None: there is no such file now.
fn stamp(flow: &Flow, whole: &str) -> Option<Stamp> {
    let parts = flow.parts();
    let file = parts.iter().find_map(|(within, part)| {
        let source = &part.file.plugins.get(whole.strip_prefix(within.as_str())?)?.source;
        builder::place(part, source).ok()
    })?;
    let metadata = std::fs::metadata(&file).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp { file, bytes: metadata.len(), changed: metadata.modified().ok(), inode })
}

/// The plugins that were others in an earlier release, each beside what runs now.
async fn replaced<'p>(
    flow: &Flow,
    sandbox: &Sandbox,
    plugins: &'p [Plugin],
    durable: &Durable,
    then: &[floe_store::Plugin],
) -> Result<Vec<(&'p Plugin, Plugin)>, Error> {
    let mut replaced = Vec::new();
    for first in plugins {
        let then = then.iter().find(|then| then.name == first.name);
        let Some(then) = then.filter(|then| then.digest != first.digest) else { continue };
        let Some(bytes) = durable.journal.reader().component(&then.digest).await? else {
            let message = format!("the journal does not have the component {} of plugin `{}`", then.digest, then.name);
            return Err(Error::wrong(message));
        };
        replaced.push((first, assemble::load_again(flow, sandbox, &first.name, Some(bytes)).await?));
    }
    Ok(replaced)
}
