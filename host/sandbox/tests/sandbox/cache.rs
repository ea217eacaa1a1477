//! Compiled code on disk: used when it is genuine, rebuilt when it is not, never a reason to fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use floe_sandbox::{Config, Sandbox};

use crate::support::load;

fn sandbox(cache: &Path) -> Sandbox {
    Sandbox::new(Config { threads: 1, cache: Some(cache.to_owned()), instances: 4 }).unwrap()
}

async fn load_echo(cache: &Path) {
    let plugin = load(&sandbox(cache), &floe_tests::bytes(floe_tests::ECHO)).await.unwrap();
    assert_eq!(plugin.nodes.len(), 2);
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "compiled")).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn code_is_kept_private_and_used_again() {
    let root = tempfile::tempdir().unwrap();
    let cache = root.path().join("a/b");
    load_echo(&cache).await;
    let [entry] = &entries(&cache)[..] else { panic!("one component, one entry") };
    assert_eq!((mode(&cache), mode(&cache.join("key")), mode(entry)), (0o700, 0o600, 0o600));
    let written = fs::metadata(entry).unwrap().modified().unwrap();
    load_echo(&cache).await;
    assert_eq!(fs::metadata(entry).unwrap().modified().unwrap(), written, "the second load compiles nothing");
}

#[tokio::test]
async fn code_that_was_altered_is_never_loaded() {
    let cache = tempfile::tempdir().unwrap();
    load_echo(cache.path()).await;
    let entry = entries(cache.path()).remove(0);
    let genuine = fs::read(&entry).unwrap();
    let flipped = |at: usize| {
        let mut bytes = genuine.clone();
        bytes[at] ^= 1;
        bytes
    };
    for bad in [flipped(0), flipped(40), flipped(genuine.len() - 1), genuine[..genuine.len() - 1].to_vec(), vec![0; 10], vec![]] {
        fs::write(&entry, &bad).unwrap();
        load_echo(cache.path()).await;
        assert_eq!(fs::read(&entry).unwrap().len(), genuine.len(), "it was compiled again");
    }
}

/// Another installation's entry, or another component's under this one's name, carries another authentication.
#[tokio::test]
async fn code_from_elsewhere_is_never_loaded() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    load_echo(here.path()).await;
    load_echo(there.path()).await;
    let entry = entries(here.path()).remove(0);
    let foreign = fs::read(entries(there.path()).remove(0)).unwrap();
    fs::write(&entry, &foreign).unwrap();
    load_echo(here.path()).await;
    assert_ne!(fs::read(&entry).unwrap(), foreign);

    let text = load(&sandbox(here.path()), &floe_tests::bytes(floe_tests::TEXT)).await.unwrap();
    let other = entries(here.path()).into_iter().find(|path| *path != entry).unwrap();
    assert!(other.to_str().unwrap().contains(&text.digest["sha256:".len()..]));
    fs::copy(&other, &entry).unwrap();
    load_echo(here.path()).await;
}

#[tokio::test]
async fn without_a_cache_everything_works() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    load_echo(&file).await;

    let loose = root.path().join("loose");
    load_echo(&loose).await;
    fs::set_permissions(loose.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    let before = fs::metadata(&entries(&loose)[0]).unwrap().modified().unwrap();
    load_echo(&loose).await;
    assert_eq!(fs::metadata(&entries(&loose)[0]).unwrap().modified().unwrap(), before, "a key that others read is not used");
}
