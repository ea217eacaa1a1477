//! Compiled code on disk, so that a plugin is compiled once per installation. An entry that this installation did not write, or
//! that was altered, is never loaded; a cache that does not work costs time and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::fingerprint;
use crate::trusted::{Compiled, Key};

/// Some hundred plugins' code; the oldest entries go first.
pub const DEFAULT_CACHE_BYTES: u64 = 1 << 30;

const KEY_FILE: &str = "key";
const ENTRY: &str = "compiled";
const UNFINISHED: &str = "new";
/// Nobody writes an entry for so long.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A directory of compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    key: Key,
    fingerprint: String,
}

impl Cache {
    /// Opens or creates the directory and its key. An error means: work without.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // Fails unless the directory is this user's own.
        restrict(directory, 0o700)?;
        let key = Key::new(read_or_make_key(directory)?);
        check_owner(directory)?;
        Ok(Self { directory: directory.to_owned(), key, fingerprint: fingerprint(engine) })
    }

    /// The compiled component, if it is there and genuine.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.entry(digest);
        let sealed = match read(&path, DEFAULT_CACHE_BYTES) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(%error, path = %path.display(), "Cannot read compiled code, will compile again.");
                return None;
            }
        };
        let Some(code) = self.key.open(digest, &self.fingerprint, &sealed) else {
            warn!(path = %path.display(), "Compiled code was not written by this installation or was altered, will compile again.");
            return None;
        };
        match code.load(engine) {
            Ok(component) => Some(component),
            Err(error) => {
                warn!(%error, path = %path.display(), "Compiled code does not load, will compile again.");
                None
            }
        }
    }

    /// Keeps compiled code. Only warns if it cannot.
    pub(crate) fn store(&self, digest: &str, code: &Compiled) {
        let path = self.entry(digest);
        let sealed = self.key.seal(digest, &self.fingerprint, code);
        let written = self.write(&path, &sealed).and_then(|()| self.prune(DEFAULT_CACHE_BYTES));
        match written {
            Ok(()) => debug!(path = %path.display(), "Kept compiled code."),
            Err(error) => warn!(%error, path = %path.display(), "Cannot keep compiled code."),
        }
    }

    fn entry(&self, digest: &str) -> PathBuf {
        let digest = digest.trim_start_matches("sha256:");
        self.directory.join(format!("{digest}-{}.{ENTRY}", &self.fingerprint[..16]))
    }

    /// A reader sees the whole entry or none: it is written beside and renamed.
    fn write(&self, path: &Path, sealed: &[u8]) -> io::Result<()> {
        let temporary = self.directory.join(format!("{}.{UNFINISHED}", nonce()?));
        let result =
            private_file(&temporary).and_then(|mut file| file.write_all(sealed)).and_then(|()| fs::rename(&temporary, path));
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
    }

    /// Removes the oldest entries until the rest fits, and what writers left behind that did not live to rename it. Other
    /// processes may do the same at the same time.
    fn prune(&self, max: u64) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.directory)?.flatten() {
            let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if path.extension().is_some_and(|extension| extension == ENTRY) {
                entries.push((modified, metadata.len(), path));
            } else if path.extension().is_some_and(|extension| extension == UNFINISHED)
                && modified.elapsed().is_ok_and(|age| age > ABANDONED)
            {
                let _ = fs::remove_file(path);
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in entries {
            if total <= max {
                break;
            }
            let _ = fs::remove_file(path);
            total -= size;
        }
        Ok(())
    }
}

/// The key, made at the first time. Two processes that make it at once agree: the first link wins.
fn read_or_make_key(directory: &Path) -> io::Result<[u8; 32]> {
    let path = directory.join(KEY_FILE);
    if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let temporary = directory.join(format!("{}.{UNFINISHED}", nonce()?));
        private_file(&temporary)?.write_all(&key)?;
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    check_private(&path)?;
    read(&path, 1 << 10)?
        .try_into()
        .map_err(|_| io::Error::other("the key of the cache has another length than 32 bytes; remove it"))
}

/// Reads a file of this directory, once and of at most `max` bytes. What is no file, such as a link to one or a pipe that nobody
/// writes, is not opened or not read.
fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    #[cfg(unix)]
    let file = {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        File::from(rustix::fs::open(path, flags, Mode::empty())?)
    };
    #[cfg(not(unix))]
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > max {
        return Err(io::Error::other("it is no file, or too large"));
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn nonce() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// On Unix: for this user alone. Elsewhere the directory's place in the user's profile does that.
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    #[cfg(not(unix))]
    let _ = (path, mode);
    Ok(())
}

/// Root may use anybody's files: a directory or key that somebody else prepared would let them choose what code runs.
fn check_owner(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Whoever we are, this file is ours.
        let probe = directory.join(format!("{}.{UNFINISHED}", nonce()?));
        let us = private_file(&probe)?.metadata()?.uid();
        fs::remove_file(&probe)?;
        for path in [directory, &directory.join(KEY_FILE)] {
            if fs::symlink_metadata(path)?.uid() != us {
                return Err(io::Error::other(format!("`{}` belongs to another user; remove it", path.display())));
            }
        }
    }
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}

/// A key that others could read is no secret any more.
fn check_private(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path)?.permissions()) & 0o077 != 0 {
        return Err(io::Error::other("the key of the cache is readable by others; remove it"));
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Cache;
    use crate::trusted::Compiled;
    use wasmtime::Engine;

    #[test]
    fn old_code_makes_way() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let engine = Engine::default();
        let cache = Cache::open(folder.path(), &engine).expect("the folder is ours");
        let code = Compiled::here(&engine, b"\0asm\x0d\0\x01\0").expect("an empty component compiles");
        let digests = ["a", "b", "c"];
        for digest in digests {
            cache.store(digest, &code);
        }
        let kept = || digests.map(|digest| cache.load(&engine, digest).is_some());
        assert_eq!(kept(), [true; 3]);
        let size = std::fs::metadata(cache.entry("a")).expect("it is there").len();
        cache.prune(2 * size).expect("the folder is ours");
        assert_eq!(kept().iter().filter(|there| **there).count(), 2);
        assert!(kept()[2], "the last one is younger than the first");
    }
}
