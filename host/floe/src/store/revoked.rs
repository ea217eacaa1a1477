//! Components that must not run any more: a list of digests, which loading checks and running flows look at.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floe_sandbox::digest;

use super::{Store, is_digest, read};
use crate::Error;

/// Bytes of the list: ten thousand digests.
pub const MAX_REVOKED_BYTES: u64 = 1 << 20;
/// How often a running flow looks at the list.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);
const FILE: &str = "revoked";
const HEADER: &str = "# Components that must not run, one digest a line. `floe plugin revoke` adds to it.\n";

/// The digests on the list.
#[derive(Debug, Clone, Default)]
pub struct Revoked {
    digests: BTreeSet<String>,
    path: PathBuf,
}

impl Revoked {
    /// Reads the installation's list. Without a store nothing is revoked.
    ///
    /// # Errors
    /// If there is a list that cannot be read: then nothing can be known to be allowed.
    pub fn load() -> Result<Self, Error> {
        Store::if_any()?.map_or_else(|| Ok(Self::default()), |store| store.revoked())
    }

    /// Whether the component is on the list.
    pub fn has(&self, digest: &str) -> bool {
        self.digests.contains(digest)
    }

    /// Those on the list, in order.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.digests.iter()
    }

    /// An error if this component is on the list.
    pub(crate) fn check(&self, plugin: &str, bytes: &[u8]) -> Result<(), Error> {
        // Hashing takes a millisecond for each megabyte.
        if self.digests.is_empty() {
            return Ok(());
        }
        let digest = digest(bytes);
        if self.has(&digest) {
            let help = format!("use another version; the list of what is revoked is `{}`", self.path.display());
            return Err(Error::wrong(self.why(plugin, &digest)).with_help(help));
        }
        Ok(())
    }

    /// The sentence about a component on the list.
    pub(crate) fn why(&self, plugin: &str, digest: &str) -> String {
        format!("plugin `{plugin}` is revoked: {digest} must not run")
    }
}

impl Store {
    /// What is revoked here.
    ///
    /// # Errors
    /// As [`Revoked::load`].
    pub fn revoked(&self) -> Result<Revoked, Error> {
        let text = self.revoked_text()?;
        let digests = parse(&text).map_err(|why| self.broken(FILE, &why))?;
        Ok(Revoked { digests, path: self.folder.join(FILE) })
    }

    fn revoked_text(&self) -> Result<String, Error> {
        match read(&self.folder.join(FILE), MAX_REVOKED_BYTES) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| self.broken(FILE, "it is not UTF-8 text")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(self.broken(FILE, &error.to_string())),
        }
    }
}

impl super::Change<'_> {
    /// Puts a digest on the list. False if it is there already.
    pub(super) fn revoke(&self, digest: &str) -> Result<bool, Error> {
        if self.store.revoked()?.has(digest) {
            return Ok(false);
        }
        let mut text = self.store.revoked_text()?;
        if text.is_empty() {
            text.push_str(HEADER);
        } else if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{digest}\n"));
        if text.len() as u64 > MAX_REVOKED_BYTES {
            let message = format!("the list of what is revoked has more than {MAX_REVOKED_BYTES} bytes");
            return Err(Error::wrong(message).with_help(format!("shorten `{}`", self.store.folder.join(FILE).display())));
        }
        self.write(&self.store.folder.join(FILE), text.as_bytes())?;
        Ok(true)
    }
}

fn parse(text: &str) -> Result<BTreeSet<String>, String> {
    let mut digests = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        // A word beside a digest is whoever's who wrote it.
        match line.split_whitespace().next() {
            None => {}
            Some(word) if word.starts_with('#') => {}
            Some(word) if is_digest(word) => _ = digests.insert(word.to_owned()),
            Some(_) => return Err(format!("line {} begins with no digest (sha256: and 64 digits)", number + 1)),
        }
    }
    Ok(digests)
}

/// What a running flow is made of, for a look at the list now and then.
#[derive(Debug)]
pub(crate) struct Watch(Mutex<Watched>);

#[derive(Debug)]
struct Watched {
    /// Names and digests of plugins, by the numbers of the releases that have them.
    releases: BTreeMap<u64, Vec<(String, String)>>,
    /// The list could not be read, which has been said.
    is_warned: bool,
}

/// A release that must not go on.
#[derive(Debug)]
pub(crate) struct Banned {
    pub(crate) release: u64,
    /// Nothing newer could go on instead.
    pub(crate) is_newest: bool,
    pub(crate) why: String,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Watched { releases: BTreeMap::new(), is_warned: false }))
    }

    /// Traces run on this release, too.
    pub(crate) fn add<'p>(&self, release: u64, plugins: impl Iterator<Item = (&'p str, &'p str)>) {
        let plugins = plugins.map(|(name, digest)| (name.to_owned(), digest.to_owned())).collect();
        self.lock().releases.insert(release, plugins);
    }

    /// No trace runs on any other.
    pub(crate) fn keep(&self, releases: &[u64]) {
        self.lock().releases.retain(|release, _| releases.contains(release));
    }

    /// A release that must not go on, if there is one, the newest first; of each it is said once. What is running goes on while the
    /// list cannot be read; nothing new is loaded.
    pub(crate) fn look(&self) -> Option<Banned> {
        let mut watched = self.lock();
        match Revoked::load() {
            Ok(revoked) => {
                watched.is_warned = false;
                let newest = watched.releases.last_key_value().map(|(release, _)| *release);
                let (release, why) = watched.releases.iter().rev().find_map(|(release, plugins)| {
                    let (name, digest) = plugins.iter().find(|(_, digest)| revoked.has(digest))?;
                    Some((*release, revoked.why(name, digest)))
                })?;
                watched.releases.remove(&release);
                Some(Banned { release, is_newest: newest == Some(release), why })
            }
            Err(error) => {
                if !std::mem::replace(&mut watched.is_warned, true) {
                    tracing::warn!(%error, "Cannot see which plugins are revoked.");
                }
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_list_is_read_or_refused() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let list = parse(&format!("# words\n\n  {digest} leaked\n{digest}\n"));
        assert_eq!(list.map(|digests| digests.into_iter().collect::<Vec<_>>()), Ok(vec![digest.clone()]));
        for wrong in ["sha256:00", &digest[7..], &digest.to_uppercase(), "\u{1b}[2J"] {
            assert!(parse(wrong).is_err_and(|why| why.starts_with("line 1 begins with no digest")), "{wrong}");
        }
    }
}
