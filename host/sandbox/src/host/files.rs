//! `wasi:filesystem`: directories that the plugin is granted, to read from. Whatever could change something is refused here before it
//! is looked at; below, Wasmtime resolves paths within the directory and refuses the same once more.
//!
//! Only regular files and directories are opened: to open a pipe waits for whoever writes to it, and a device may do anything. What
//! reads runs on threads of the sandbox that may wait, of which there are [`FILE_THREADS`]: a call whose time is up leaves one to the
//! disk for as long as that takes, and never more than all of these. A listing is counted before it is taken into memory.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use floe_flow::Unfit;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};
use wasmtime_wasi::{FsPerms, WasiCtx};

use crate::Error;
use crate::learn::Asked;
use crate::state::State;
use crate::tape::Conflict;

/// Threads of a sandbox that wait for disks, and on which plugins are compiled: enough for disks that are slow now and then; more would
/// only wait for the same ones.
pub const FILE_THREADS: usize = 64;

/// Directory entries that an instance may have listed and not yet let go: some 3 MiB of names at most.
pub const MAX_LISTED: usize = 10_000;

/// What a plugin sees of no directory that is its own while it is learned what it asks for.
const ROOT: &str = "/";

/// Bytes of the path by which a plugin knows a directory.
const MAX_NAME: usize = 256;

/// A directory that a plugin may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Where it is here.
    pub dir: PathBuf,
    /// The absolute path by which the plugin knows it.
    pub name: String,
}

/// Granted directories, open.
#[derive(Clone, Default)]
pub(crate) struct Directories(WasiFilesystemCtx);

/// Adds the interfaces to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    preopens::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

// === impl Directories ===

impl Directories {
    /// Opens what is granted under `line`, once for all calls: what a path means later changes nothing. `root` is what the plugin sees as
    /// `/`, where it is learned what it asks for.
    pub(crate) fn open(granted: &[Directory], line: &str, root: Option<&Path>) -> Result<Self, Error> {
        if granted.is_empty() && root.is_none() {
            return Ok(Self::default());
        }
        let wrong = |reason: String| Error::Grant { line: line.to_owned(), reason };
        let mut builder = WasiCtx::builder();
        if let Some(root) = root {
            let cannot = |error| wrong(format!("cannot read the directory `{}`: {error}", root.display()));
            builder.preopened_dir(root, ROOT, FsPerms::ReadOnly).map_err(cannot)?;
        }
        for (number, Directory { dir, name }) in granted.iter().enumerate() {
            if !is_plain(name) {
                return Err(wrong(format!("`{name}` is no absolute path such as /data")));
            }
            if granted[..number].iter().any(|other| other.name == *name) {
                return Err(wrong(format!("`{name}` is given twice")));
            }
            let cannot = |why: &dyn fmt::Display| wrong(format!("cannot read the directory `{}`: {why}", dir.display()));
            let real = dir.canonicalize().map_err(|error| cannot(&error))?;
            if !real.is_dir() {
                return Err(cannot(&"it is none"));
            }
            builder.preopened_dir(&real, name, FsPerms::ReadOnly).map_err(|error| cannot(&error))?;
        }
        Ok(Self(builder.build().filesystem().clone()))
    }

    fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiFilesystemCtxView<'a> {
        WasiFilesystemCtxView { ctx: &mut self.0, table }
    }
}

impl fmt::Debug for Directories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directories").finish_non_exhaustive()
    }
}

/// An absolute path without detours.
fn is_plain(name: &str) -> bool {
    let step = |step: &str| !step.is_empty() && step != "." && step != "..";
    let plain = name.strip_prefix('/').is_some_and(|steps| steps.split('/').all(step));
    plain && name.len() <= MAX_NAME && !name.contains(char::is_control)
}

// === impl State ===

impl State {
    /// The directories, for one call of the guest's, which is counted. What is in them may change, and is not recorded.
    fn files(&mut self) -> FsResult<WasiFilesystemCtxView<'_>> {
        self.host_call().map_err(FsError::trap)?;
        if self.call.answers.are_recorded() {
            return Err(FsError::trap(Conflict::new("it asks for a file, and no record has any".to_owned())));
        }
        self.call.answers.spoil(Unfit::ReadFiles);
        Ok(self.directories.view(&mut self.table))
    }

    /// Keeps what a plugin looks for outside of all that it is granted.
    fn looked_for(&self, fd: &Resource<Descriptor>, path: &str) {
        if self.root == Some(fd.rep()) {
            self.plugin.denied(Asked::File(format!("{ROOT}{path}")));
        }
    }

    /// What would change something.
    fn refuse<T>(&mut self) -> FsResult<T> {
        self.host_call().map_err(FsError::trap)?;
        Err(types::ErrorCode::ReadOnly.into())
    }

    /// What is nothing to do where nothing is written.
    fn nothing(&mut self) -> FsResult<()> {
        self.host_call().map_err(FsError::trap)
    }

    /// Refuses to list more than an instance may hold.
    async fn count_entries(&mut self, fd: &Resource<Descriptor>) -> FsResult<usize> {
        let Descriptor::Dir(dir) = self.table.get(fd)? else { return Err(types::ErrorCode::NotDirectory.into()) };
        let dir = Arc::clone(&dir.dir);
        let left = MAX_LISTED - self.listed.values().sum::<usize>().min(MAX_LISTED);
        let counted = tokio::task::spawn_blocking(move || entries(&dir, left)).await.map_err(wasmtime::Error::from);
        match counted.map_err(FsError::trap)?? {
            count if count > left => Err(types::ErrorCode::InsufficientMemory.into()),
            count => Ok(count),
        }
    }
}

/// Counts a directory's entries, up to one more than `most`.
#[cfg(unix)]
fn entries(dir: &File, most: usize) -> std::io::Result<usize> {
    use rustix::fs::{Dir, Mode, OFlags, openat};

    // A granted directory is open as a place and not to be read.
    let open = openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut count = 0;
    for entry in Dir::new(open)? {
        let entry = entry?;
        count += usize::from(entry.file_name() != c"." && entry.file_name() != c"..");
        if count > most {
            break;
        }
    }
    Ok(count)
}

/// Without a way to count by the open directory, none is listed.
#[cfg(not(unix))]
fn entries(_: &File, most: usize) -> std::io::Result<usize> {
    Ok(most + 1)
}

/// Files that are read from and directories are opened, and nothing else.
fn readable(found: types::DescriptorType) -> Result<(), types::ErrorCode> {
    match found {
        types::DescriptorType::RegularFile | types::DescriptorType::Directory => Ok(()),
        types::DescriptorType::SymbolicLink => Err(types::ErrorCode::Loop),
        types::DescriptorType::Unknown
        | types::DescriptorType::BlockDevice
        | types::DescriptorType::CharacterDevice
        | types::DescriptorType::Fifo
        | types::DescriptorType::Socket => Err(types::ErrorCode::NotPermitted),
    }
}

impl preopens::Host for State {
    /// The same at every attempt. A plugin that describes itself has none.
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.host_call()?;
        if self.call.ctx.is_none() {
            return Ok(Vec::new());
        }
        let directories = preopens::Host::get_directories(&mut self.directories.view(&mut self.table))?;
        self.root = directories.iter().find(|(_, name)| name == ROOT).map(|(root, _)| root.rep());
        Ok(directories)
    }
}

impl types::Host for State {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<types::ErrorCode> {
        error.downcast()
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<types::ErrorCode>> {
        self.host_call()?;
        types::Host::filesystem_error_code(&mut self.directories.view(&mut self.table), error)
    }
}

type Fd = Resource<Descriptor>;

impl types::HostDescriptor for State {
    async fn open_at(
        &mut self,
        fd: Fd,
        follow: types::PathFlags,
        path: String,
        open: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Fd> {
        self.looked_for(&fd, &path);
        let changes = types::OpenFlags::CREATE | types::OpenFlags::EXCLUSIVE | types::OpenFlags::TRUNCATE;
        let writes = types::DescriptorFlags::WRITE | types::DescriptorFlags::MUTATE_DIRECTORY;
        if open.intersects(changes) || flags.intersects(writes) {
            return self.refuse();
        }
        let mut view = self.files()?;
        let borrowed = || Resource::new_borrow(fd.rep());
        let stat = types::HostDescriptor::stat_at(&mut view, borrowed(), follow, path.clone()).await?;
        readable(stat.type_)?;
        let opened = types::HostDescriptor::open_at(&mut view, borrowed(), follow, path, open, flags).await?;
        // Whoever may write here may have put another thing there meanwhile.
        let found = types::HostDescriptor::get_type(&mut view, Resource::new_borrow(opened.rep())).await;
        match found.and_then(|found| Ok(readable(found)?)) {
            Ok(()) => Ok(opened),
            Err(error) => {
                types::HostDescriptor::drop(&mut view, opened).map_err(FsError::trap)?;
                Err(error)
            }
        }
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<types::DirectoryEntryStream>> {
        self.files()?;
        let count = self.count_entries(&fd).await?;
        let listing = types::HostDescriptor::read_directory(&mut self.directories.view(&mut self.table), fd).await?;
        self.listed.insert(listing.rep(), count);
        Ok(listing)
    }

    async fn read(&mut self, fd: Fd, len: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        types::HostDescriptor::read(&mut self.files()?, fd, len, offset).await
    }

    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<DynInputStream>> {
        types::HostDescriptor::read_via_stream(&mut self.files()?, fd, offset)
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<types::DescriptorStat> {
        types::HostDescriptor::stat(&mut self.files()?, fd).await
    }

    async fn stat_at(&mut self, fd: Fd, follow: types::PathFlags, path: String) -> FsResult<types::DescriptorStat> {
        self.looked_for(&fd, &path);
        types::HostDescriptor::stat_at(&mut self.files()?, fd, follow, path).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<types::DescriptorFlags> {
        types::HostDescriptor::get_flags(&mut self.files()?, fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<types::DescriptorType> {
        types::HostDescriptor::get_type(&mut self.files()?, fd).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.looked_for(&fd, &path);
        types::HostDescriptor::readlink_at(&mut self.files()?, fd, path).await
    }

    async fn is_same_object(&mut self, a: Fd, b: Fd) -> wasmtime::Result<bool> {
        self.host_call()?;
        self.call.answers.spoil(Unfit::ReadFiles);
        types::HostDescriptor::is_same_object(&mut self.directories.view(&mut self.table), a, b).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<types::MetadataHashValue> {
        types::HostDescriptor::metadata_hash(&mut self.files()?, fd).await
    }

    async fn metadata_hash_at(&mut self, fd: Fd, follow: types::PathFlags, path: String) -> FsResult<types::MetadataHashValue> {
        types::HostDescriptor::metadata_hash_at(&mut self.files()?, fd, follow, path).await
    }

    /// Advice is not needed, and would be a way to have the host read a disk for nothing.
    async fn advise(&mut self, _: Fd, _: u64, _: u64, _: types::Advice) -> FsResult<()> {
        self.nothing()
    }

    async fn sync(&mut self, _: Fd) -> FsResult<()> {
        self.nothing()
    }

    async fn sync_data(&mut self, _: Fd) -> FsResult<()> {
        self.nothing()
    }

    async fn set_size(&mut self, _: Fd, _: u64) -> FsResult<()> {
        self.refuse()
    }

    async fn set_times(&mut self, _: Fd, _: types::NewTimestamp, _: types::NewTimestamp) -> FsResult<()> {
        self.refuse()
    }

    async fn set_times_at(
        &mut self,
        _: Fd,
        _: types::PathFlags,
        _: String,
        _: types::NewTimestamp,
        _: types::NewTimestamp,
    ) -> FsResult<()> {
        self.refuse()
    }

    async fn write(&mut self, _: Fd, _: Vec<u8>, _: u64) -> FsResult<u64> {
        self.refuse()
    }

    fn write_via_stream(&mut self, _: Fd, _: u64) -> FsResult<Resource<DynOutputStream>> {
        self.refuse()
    }

    fn append_via_stream(&mut self, _: Fd) -> FsResult<Resource<DynOutputStream>> {
        self.refuse()
    }

    async fn create_directory_at(&mut self, _: Fd, _: String) -> FsResult<()> {
        self.refuse()
    }

    async fn remove_directory_at(&mut self, _: Fd, _: String) -> FsResult<()> {
        self.refuse()
    }

    async fn unlink_file_at(&mut self, _: Fd, _: String) -> FsResult<()> {
        self.refuse()
    }

    async fn link_at(&mut self, _: Fd, _: types::PathFlags, _: String, _: Fd, _: String) -> FsResult<()> {
        self.refuse()
    }

    async fn symlink_at(&mut self, _: Fd, _: String, _: String) -> FsResult<()> {
        self.refuse()
    }

    async fn rename_at(&mut self, _: Fd, _: String, _: Fd, _: String) -> FsResult<()> {
        self.refuse()
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        types::HostDescriptor::drop(&mut self.directories.view(&mut self.table), fd)
    }
}

impl types::HostDirectoryEntryStream for State {
    async fn read_directory_entry(
        &mut self,
        listing: Resource<types::DirectoryEntryStream>,
    ) -> FsResult<Option<types::DirectoryEntry>> {
        types::HostDirectoryEntryStream::read_directory_entry(&mut self.files()?, listing).await
    }

    fn drop(&mut self, listing: Resource<types::DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.listed.remove(&listing.rep());
        types::HostDirectoryEntryStream::drop(&mut self.directories.view(&mut self.table), listing)
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_plugin_knows_a_directory_by_a_plain_path() {
        for plain in ["/data", "/a/b.c/d e", "/é"] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in
            ["", "/", "data", "./data", "/data/", "/a/../b", "/a/./b", "//a", "/a//b", "/a\n", &format!("/{}", "x".repeat(300))]
        {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
