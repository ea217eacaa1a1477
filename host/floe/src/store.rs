//! The plugin store: components by digest, which of them a name means, what was approved of each, and which must not run.
//!
//! It is a folder of this installation (see [`crate::settings`]), for its user alone:
//!
//! - `floe.lock`: one entry a name, with the digest that it means and what was approved ([`Lock`]). It is here and not beside a flow
//!   file, because an approval is this operator's: a flow that came with its own would approve itself.
//! - `components/DIGEST.wasm`: the components. Whoever reads one checks that it has that digest.
//! - `revoked`: digests that must not be loaded or go on running ([`Revoked`]).
//!
//! A flow file takes a plugin from here by `source: store:NAME`. Commands are in `commands`; what a new version adds, in `diff`.

mod commands;
mod diff;
mod lock;
mod revoked;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use floe_flow::graph::{did_you_mean, valid_name};
use floe_sandbox::{DEFAULT_MODULE_LARGE, digest};
use serde_json::Value;

use crate::{Error, settings};

pub use commands::{add, diff, list, remove, revoke};
pub use lock::{Approval, Entry, Lock, MAX_LOCK_BYTES};
pub use revoked::{MAX_REVOKED_BYTES, Revoked};

pub(crate) use diff::is_within;
pub(crate) use revoked::{Banned, RECHECK, Watch};

/// What stands before the name of a plugin of the store, as a `source` in a flow file.
const PREFIX: &str = "store:";
const LOCK_FILE: &str = "floe.lock";
const WRITER_FILE: &str = "writer";
const COMPONENTS: &str = "components";
pub(crate) const ADD_AGAIN: &str = "add the plugin again: floe plugin add FILE --name NAME";

/// The name that a flow file's `source` takes from the store, if it does.
pub(crate) fn stored(source: &str) -> Option<&str> {
    source.strip_prefix(PREFIX)
}

/// A plugin of the store, as a flow file names it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) file: PathBuf,
    pub(crate) digest: String,
    /// The most that a flow file may grant it; none: that is the flow file's alone.
    pub(crate) grants: Option<Value>,
}

/// The store's folder; nothing is there until something is added.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The installation's store.
    ///
    /// # Errors
    /// If the environment names no place for it.
    pub fn open() -> Result<Self, Error> {
        Self::if_any()?.ok_or_else(|| {
            Error::wrong("there is no place for the plugin store").with_help("set FLOE_HOME, XDG_DATA_HOME or HOME")
        })
    }

    /// The store, if the environment names a place for one. Whoever can write to that place approves plugins, so that it must be
    /// this user's alone.
    fn if_any() -> Result<Option<Self>, Error> {
        let Some(folder) = settings::home() else { return Ok(None) };
        let store = Self { folder };
        match fs::metadata(&store.folder) {
            Ok(metadata) if settings::open_to_others(&metadata) => {
                Err(store.broken("", "others may write to it").with_help(format!("chmod 700 {}", store.folder.display())))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(store.broken("", &error.to_string())),
            _ => Ok(Some(store)),
        }
    }

    /// What the names mean now.
    pub fn lock(&self) -> Result<Lock, Error> {
        let path = self.folder.join(LOCK_FILE);
        match read(&path, MAX_LOCK_BYTES) {
            Ok(bytes) => Lock::parse(&bytes).map_err(|why| self.broken(LOCK_FILE, &why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(error) => Err(self.broken(LOCK_FILE, &error.to_string())),
        }
    }

    /// The plugin that a flow file means.
    pub(crate) fn find(&self, name: &str) -> Result<Stored, Error> {
        if !valid_name(name) {
            return Err(Error::wrong(format!("`{}` is no name", floe_sandbox::plain(name, 64))));
        }
        let lock = self.lock()?;
        let Some(entry) = lock.plugins.get(name) else {
            let guess = did_you_mean(name, &lock.plugins.keys().cloned().collect::<Vec<_>>());
            let help = format!("floe plugin add FILE --name {name}");
            return Err(Error::wrong(format!("the store has no plugin `{name}`{guess}")).with_help(help));
        };
        if entry.approval.digest != entry.digest {
            let help = format!("floe plugin add {} --name {name} --approve", self.component(&entry.digest).display());
            let message = format!("`{name}` is {} in `{LOCK_FILE}`, and what was approved is another", entry.digest);
            return Err(Error::wrong(message).with_help(help));
        }
        let (file, digest) = (self.component(&entry.digest), entry.digest.clone());
        Ok(Stored { file, digest, grants: entry.approval.grants.clone() })
    }

    /// Where the component of a digest is, if it is there. The digest is a checked one.
    pub(crate) fn component(&self, digest: &str) -> PathBuf {
        let digits = digest.trim_start_matches("sha256:");
        self.folder.join(COMPONENTS).join(format!("{digits}.wasm"))
    }

    /// The bytes of a component, which have this digest.
    pub(crate) fn bytes(&self, wanted: &str) -> Result<Vec<u8>, Error> {
        let path = self.component(wanted);
        let bytes = read(&path, DEFAULT_MODULE_LARGE)
            .map_err(|error| Error::wrong(format!("cannot read `{}`: {error}", path.display())))?;
        check_digest(&path, &bytes, wanted).map_err(|error| error.with_help(ADD_AGAIN))?;
        Ok(bytes)
    }

    /// Lets one process change the store at a time, and makes it if it is not there.
    fn change(&self) -> Result<Change<'_>, Error> {
        let opened = || {
            private_folder(&self.folder)?;
            private_folder(&self.folder.join(COMPONENTS))?;
            let writer = File::options().create(true).append(true).open(self.folder.join(WRITER_FILE))?;
            writer.lock()?;
            Ok(writer)
        };
        let writer = opened().map_err(|error: io::Error| self.broken("", &error.to_string()))?;
        Ok(Change { store: self, _writer: writer, lock: self.lock()? })
    }

    fn broken(&self, file: &str, why: &str) -> Error {
        let path = if file.is_empty() { self.folder.clone() } else { self.folder.join(file) };
        Error::wrong(format!("the plugin store cannot be used: `{}`: {why}", path.display()))
    }
}

/// The store while nobody else changes it.
struct Change<'s> {
    store: &'s Store,
    _writer: File,
    lock: Lock,
}

impl Change<'_> {
    /// Puts a component in, under its digest.
    fn put(&self, bytes: &[u8]) -> Result<(), Error> {
        let path = self.store.component(&digest(bytes));
        self.write(&path, bytes)
    }

    /// Removes what no name means or has meant.
    fn drop_unused(&self, digests: &[String]) {
        for digest in digests.iter().filter(|digest| !self.lock.uses(digest)) {
            // What is not there needs no removing; what cannot be removed is in nobody's way.
            let _ = fs::remove_file(self.store.component(digest));
        }
    }

    fn save(&self) -> Result<(), Error> {
        self.write(&self.store.folder.join(LOCK_FILE), self.lock.text().as_bytes())
    }

    /// Readers see the old file or the new one.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let written = || {
            // Made for this user alone.
            let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(&self.store.folder))?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        written().map_err(|error: io::Error| self.store.broken("", &error.to_string()))
    }
}

/// An error unless the bytes have the digest.
pub(crate) fn check_digest(path: &Path, bytes: &[u8], wanted: &str) -> Result<(), Error> {
    let found = digest(bytes);
    if found == wanted {
        return Ok(());
    }
    Err(Error::wrong(format!("`{}` is not what it was: it should be {wanted} and is {found}", path.display())))
}

/// What a digest looks like: `sha256:` and 64 hexadecimal digits.
fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    })
}

/// Reads a file of the store; what is no file, or larger than such a file can be, is an error.
fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("it has more than {max} bytes")));
    }
    Ok(bytes)
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path)
}
