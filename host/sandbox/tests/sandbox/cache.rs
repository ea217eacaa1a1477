//! Compiled code on disk: used when it is genuine, rebuilt when it is not, never a reason to fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use floe_sandbox::{Compiler, Config, Sandbox};

use crate::support::load;

pub(crate) fn sandbox(cache: &Path) -> Sandbox {
    Sandbox::new(Config { cache: Some(cache.to_owned()), instances: 4, ..Config::new(1) }).unwrap()
}

/// One that cannot compile: what loads comes from the cache.
fn without_compiler(cache: &Path) -> Sandbox {
    let compiler = Compiler::Child { program: "/nowhere/compiler".into(), args: Vec::new() };
    Sandbox::new(Config { cache: Some(cache.to_owned()), instances: 4, compiler, ..Config::new(1) }).unwrap()
}

/// Whether the guest's code in the cache is taken for genuine.
pub(crate) async fn is_taken(cache: &Path, guest: &str) -> bool {
    match load(&without_compiler(cache), &floe_tests::bytes(guest)).await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.to_string().contains("it does not start"), "{error}");
            false
        }
    }
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

pub(crate) async fn load_echo(cache: &Path) {
    let plugin = load(&sandbox(cache), &floe_tests::bytes(floe_tests::ECHO)).await.unwrap();
    assert_eq!(plugin.nodes.len(), 2);
}

pub(crate) fn entries(cache: &Path) -> Vec<PathBuf> {
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
    assert!(is_taken(&cache, floe_tests::ECHO).await);
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
        assert!(!is_taken(cache.path(), floe_tests::ECHO).await);
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
    // Swapped, and under the name of another engine's.
    let genuine = fs::read(&entry).unwrap();
    fs::copy(&other, &entry).unwrap();
    fs::write(&other, &genuine).unwrap();
    for guest in [floe_tests::ECHO, floe_tests::TEXT] {
        assert!(!is_taken(here.path(), guest).await, "{guest}");
    }
    load_echo(here.path()).await;
    assert!(is_taken(here.path(), floe_tests::ECHO).await);
    fs::rename(&entry, here.path().join("0-0.compiled")).unwrap();
    assert!(!is_taken(here.path(), floe_tests::ECHO).await);
}

/// A link could lead to what somebody else may change, and a pipe would never end.
#[tokio::test]
async fn what_is_no_file_in_an_entrys_place_is_not_read() {
    let cache = tempfile::tempdir().unwrap();
    load_echo(cache.path()).await;
    let entry = entries(cache.path()).remove(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("code");
    fs::rename(&entry, &moved).unwrap();
    let pretend: [&dyn Fn(); 2] = [&|| std::os::unix::fs::symlink(&moved, &entry).unwrap(), &|| mkfifo(&entry)];
    for put in pretend {
        put();
        assert!(!is_taken(cache.path(), floe_tests::ECHO).await);
        load_echo(cache.path()).await;
        assert!(fs::symlink_metadata(&entry).unwrap().is_file() && mode(&entry) == 0o600, "it was compiled again");
        assert!(is_taken(cache.path(), floe_tests::ECHO).await);
        fs::remove_file(&entry).unwrap();
    }
    assert!(moved.exists());
    fs::create_dir(&entry).unwrap();
    load_echo(cache.path()).await;
}

#[tokio::test]
async fn a_key_that_is_no_private_file_is_not_used() {
    let cache = tempfile::tempdir().unwrap();
    load_echo(cache.path()).await;
    let key = cache.path().join("key");
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("key");
    fs::rename(&key, &moved).unwrap();
    let pretend: [&dyn Fn(); 4] =
        [&|| std::os::unix::fs::symlink(&moved, &key).unwrap(), &|| mkfifo(&key), &|| fs::write(&key, "short").unwrap(), &|| {
            fs::create_dir(&key).unwrap()
        }];
    for put in pretend {
        put();
        let _ = fs::set_permissions(&key, fs::Permissions::from_mode(0o600));
        assert!(!is_taken(cache.path(), floe_tests::ECHO).await);
        load_echo(cache.path()).await;
        fs::remove_file(&key).or_else(|_| fs::remove_dir(&key)).unwrap();
    }
    fs::rename(&moved, &key).unwrap();
    assert!(is_taken(cache.path(), floe_tests::ECHO).await);
}

/// The bytes that were verified are those that are loaded, and stay loaded: no change on the disk matters any more.
#[tokio::test]
async fn what_was_verified_once_is_not_read_again() {
    let cache = tempfile::tempdir().unwrap();
    load_echo(cache.path()).await;
    let sandbox = without_compiler(cache.path());
    load(&sandbox, &floe_tests::bytes(floe_tests::ECHO)).await.unwrap();
    fs::write(&entries(cache.path())[0], "something else").unwrap();
    load(&sandbox, &floe_tests::bytes(floe_tests::ECHO)).await.unwrap();
    assert!(load(&sandbox, &floe_tests::bytes(floe_tests::TEXT)).await.is_err());
    assert!(!is_taken(cache.path(), floe_tests::ECHO).await);
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
