//! Compiled code in the cache that is not byte for byte what was written is never loaded. The input is what is there instead:
//! as it is, or over the genuine entry from a place on.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use floe_sandbox::{Compiler, Config, Grants, Limits, Plugin, Profile, Sandbox};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Kept {
    runtime: Runtime,
    cache: TempDir,
    component: Vec<u8>,
    entry: PathBuf,
    genuine: Vec<u8>,
}

static KEPT: LazyLock<Kept> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("there are threads");
    let cache = tempfile::tempdir().expect("there is room");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/plugin-0.1.0.wasm");
    let component = fs::read(golden).expect("it is part of the repository");
    let first = Sandbox::new(Config { cache: Some(cache.path().to_owned()), instances: 4, ..Config::new(1) });
    runtime.block_on(load(&first.expect("a sandbox starts"), &component)).expect("it is a plugin");
    let mut paths = fs::read_dir(cache.path()).expect("it was made").map(|entry| entry.expect("it can be listed").path());
    let entry = paths.find(|path| path.extension().is_some_and(|extension| extension == "compiled")).expect("it was kept");
    let genuine = fs::read(&entry).expect("it was kept");
    Kept { runtime, cache, component, entry, genuine }
});

async fn load(sandbox: &Sandbox, component: &[u8]) -> Result<Plugin, floe_sandbox::Error> {
    sandbox.load("x", component, &Grants::default(), &Limits::profile(Profile::Rust)).await
}

fuzz_target!(|input: (Option<usize>, &[u8])| {
    let (at, bytes) = input;
    let Kept { runtime, cache, component, entry, genuine } = &*KEPT;
    let mut changed = Vec::new();
    if let Some(at) = at {
        changed.extend_from_slice(genuine);
        let at = at % genuine.len();
        let end = genuine.len().min(at + bytes.len());
        changed.splice(at..end, bytes.iter().copied());
    } else {
        changed.extend_from_slice(bytes);
    }
    fs::write(entry, &changed).expect("the entry can be written");
    // It cannot compile: what loads comes from the cache.
    let compiler = Compiler::Child { program: "/nowhere/compiler".into(), args: Vec::new() };
    let sandbox = Sandbox::new(Config { cache: Some(cache.path().to_owned()), instances: 4, compiler, ..Config::new(1) });
    let loaded = runtime.block_on(load(&sandbox.expect("a sandbox starts"), component));
    assert_eq!(loaded.is_ok(), changed == *genuine);
});
