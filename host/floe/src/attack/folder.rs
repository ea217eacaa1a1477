//! The folder that a case may be granted to read, and what lies beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Error;

/// What a case must not get at: it stands beside the folder.
const SECRET: &str = "a secret";

/// `data` with a file, a folder and links out of it; and a file beside it.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    /// What there was at first, by path.
    first: BTreeMap<PathBuf, String>,
}

impl Folder {
    pub(super) fn new() -> Result<Self, Error> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("folder"))?;
        std::fs::write(folder.path().join("secret"), SECRET)?;
        std::fs::write(data.join("file"), "a text")?;
        #[cfg(unix)]
        for (link, target) in [("out", "../secret"), ("root", "/"), ("round", "round")] {
            std::os::unix::fs::symlink(target, data.join(link))?;
        }
        let mut first = BTreeMap::new();
        look(folder.path(), &mut first)?;
        Ok(Self { folder, first })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What is not as it was.
    pub(super) fn changed(&self) -> Option<String> {
        let mut now = BTreeMap::new();
        if let Err(error) = look(self.folder.path(), &mut now) {
            return Some(error.to_string());
        }
        let paths = now
            .iter()
            .chain(&self.first)
            .find(|(path, what)| now.get(*path) != Some(*what) || self.first.get(*path) != Some(*what));
        paths.map(|(path, _)| path.strip_prefix(self.folder.path()).unwrap_or(path).display().to_string())
    }
}

/// Takes down what is there: of a file the text, of a link where it leads.
fn look(folder: &Path, found: &mut BTreeMap<PathBuf, String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = std::fs::symlink_metadata(&path)?;
        let what = if kind.is_symlink() {
            format!("to {}", std::fs::read_link(&path)?.display())
        } else if kind.is_dir() {
            look(&path, found)?;
            String::new()
        } else {
            std::fs::read_to_string(&path)?
        };
        found.insert(path, what);
    }
    Ok(())
}
