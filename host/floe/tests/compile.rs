//! Compiling apart: what a component can do to the process that compiles it, and what that one can do at all.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use floe::sandbox::{Compiler, Config, DEFAULT_COMPILE_MEMORY, Error, Grants, Limits, Profile, Sandbox};
use tokio::sync::{Mutex, MutexGuard};

/// Tests look at the children of this process: one at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

fn floe() -> Compiler {
    Compiler::Child { program: env!("CARGO_BIN_EXE_floe").into(), args: vec![floe::settings::COMPILE.into()] }
}

/// A shell that has the limits as `$0` and `$1`.
fn shell(script: &str) -> Compiler {
    Compiler::Child { program: "/bin/sh".into(), args: ["-c", script].map(OsString::from).into() }
}

fn sandbox(compiler: Compiler) -> Sandbox {
    Sandbox::new(Config { instances: 4, compiler, ..Config::new(2) }).unwrap()
}

fn limits() -> Limits {
    Limits::profile(Profile::Rust)
}

async fn load(sandbox: &Sandbox, bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    sandbox.load("x", bytes, &Grants::default(), limits).await.map(|_| ())
}

async fn load_echo(sandbox: &Sandbox) {
    load(sandbox, &floe_tests::bytes(floe_tests::ECHO), &limits()).await.unwrap();
}

fn check(loaded: Result<(), Error>, expect: &Expect) {
    expect.assert_eq(&loaded.unwrap_err().to_string());
}

/// Children of this process, and whether each is dead and not waited for.
fn children() -> Vec<(String, bool)> {
    let us = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if fields[1] == us {
            found.push((name.to_owned(), fields[0] == "Z"));
        }
    }
    found
}

/// A small component whose core module is this one.
fn around(module: &[u8]) -> Vec<u8> {
    let text = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $node (export "describe" (func $f)) (export "handle" (func $f)))
        (export "floe:plugin/node@0.1.0" (instance $node)))"#;
    let small = wat::parse_str(text).unwrap();
    // The first section after the header is the module: its number, its size, itself.
    assert_eq!(small[8], 1);
    let (size, at) = (usize::from(small[9]), 10);
    [&small[..8], &section(1, module), &small[at + size..]].concat()
}

fn section(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number], &length(content.len())[..], content].concat()
}

/// LEB128.
fn length(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Nothing that is counted is large in it, and yet it takes a compiler seconds and hundreds of megabytes.
fn heavy() -> Vec<u8> {
    const FUNCTIONS: usize = 8;
    const STEPS: usize = 40_000;
    // Of two parameters: local.get 0, local.get 1, i32.mul, local.tee 1, local.get 0, i32.xor, local.set 0.
    let step = [0x20, 0, 0x20, 1, 0x6c, 0x22, 1, 0x20, 0, 0x73, 0x21, 0];
    // And the first is the result, so that nothing can be left out.
    let body = [&[0], &step.repeat(STEPS)[..], &[0x20, 0, 0x0b]].concat();
    let body = [length(body.len()), body].concat();
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        // The first function has no parameters and does nothing.
        section(1, &[2, 0x60, 0, 0, 0x60, 2, 0x7f, 0x7f, 1, 0x7f]),
        section(3, &[length(FUNCTIONS + 1), vec![0], vec![1; FUNCTIONS]].concat()),
        section(7, &[1, 1, b'f', 0, 0]),
        section(10, &[length(FUNCTIONS + 1), vec![2, 0, 0x0b], body.repeat(FUNCTIONS)].concat()),
    ];
    around(&module.concat())
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// With enough of both, it compiles: what refuses it below are the limits.
#[tokio::test]
async fn a_heavy_component_is_none_that_is_refused_for_another_reason() {
    let _alone = alone().await;
    check(
        load(&sandbox(floe()), &heavy(), &limits()).await,
        &expect!["plugin `x`: it cannot describe itself: the plugin broke the contract: expected 1-tuple, found 0-tuple"],
    );
}

#[tokio::test]
async fn a_component_that_compiles_too_long_is_killed_and_the_next_compiles() {
    let _alone = alone().await;
    let sandbox = sandbox(floe());
    let short = Limits { compile: Duration::from_millis(100), ..limits() };
    check(
        load(&sandbox, &heavy(), &short).await,
        &expect![
            "plugin `x`: compiling took longer than limit `compile` allows, 100ms; raise it with `plugins.x.limits.compile`"
        ],
    );
    load_echo(&sandbox).await;
    assert_eq!(children(), []);
}

#[tokio::test]
async fn a_component_that_takes_too_much_memory_is_stopped_and_the_host_does_not_grow() {
    let _alone = alone().await;
    let sandbox = sandbox(floe());
    load_echo(&sandbox).await;
    let heavy = heavy();
    let before = peak();
    let small = Limits { compile_memory: 160 << 20, ..limits() };
    check(
        load(&sandbox, &heavy, &small).await,
        &expect![
            "plugin `x`: compiling needs more memory than limit `compile_memory` allows, 167772160 bytes, all of which it used; raise it with `plugins.x.limits.compile_memory`"
        ],
    );
    let tiny = Limits { compile_memory: 1 << 20, ..limits() };
    assert!(matches!(load(&sandbox, &heavy, &tiny).await.unwrap_err().reason(), Error::CompileMemory { limit: 0x10_0000, .. }));
    // The host held the component twice, which has four megabytes.
    let grown = peak() - before;
    assert!(grown < 48, "the host's memory grew by {grown} MiB");
    load_echo(&sandbox).await;
    assert_eq!(children(), []);
}

/// A load that nobody waits for any more has its process killed.
#[tokio::test]
async fn a_load_that_is_dropped_leaves_no_process() {
    let _alone = alone().await;
    let sandbox = sandbox(floe());
    let limits = limits();
    let heavy = heavy();
    let dropped = tokio::time::timeout(Duration::from_millis(50), load(&sandbox, &heavy, &limits)).await;
    assert!(dropped.is_err());
    // Its turn comes when the other is gone.
    load_echo(&sandbox).await;
    assert_eq!(children(), []);
}

#[test]
fn a_process_that_compiles_can_do_nothing_else() {
    let found = floe().check(DEFAULT_COMPILE_MEMORY).unwrap().unwrap();
    assert!(found.is_whole() && found.attempts.len() == 10, "{found:?}");
    // What was refused before shows nothing.
    assert!(found.attempts.iter().all(|attempt| !attempt.refused_before), "{found:?}");
    assert_eq!(Compiler::InProcess.check(0).unwrap(), None);
}

#[tokio::test]
async fn a_process_that_compiles_has_no_environment_and_no_folder() {
    let _alone = alone().await;
    let dir = tempfile::tempdir().unwrap();
    let seen = dir.path().join("seen");
    let script = format!("{{ pwd; set; }} > {}", seen.display());
    check(
        load(&sandbox(shell(&script)), &floe_tests::bytes(floe_tests::ECHO), &limits()).await,
        &expect![
            "plugin `x`: the process that compiles it failed: it ended without an answer (exit status: 0); nothing of this component was used; the host is not affected. `floe doctor` checks that process"
        ],
    );
    let seen = std::fs::read_to_string(seen).unwrap();
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[0], "/");
    for variable in ["HOME=", "CARGO", "FLOE", "USER="] {
        assert!(!lines.iter().any(|line| line.starts_with(variable)), "{seen}");
    }
    assert!(lines.iter().any(|line| line.starts_with("RAYON_NUM_THREADS=")), "{seen}");
}

/// Whatever the process does instead of compiling is the component's refusal, and no more than that.
#[tokio::test]
async fn a_process_that_fails_says_how() {
    let _alone = alone().await;
    let zeros = "printf %064d 0";
    let cases = [
        ("kill -SEGV $$".to_owned(), "it was ended by signal 11; nothing of this component was used"),
        ("kill -KILL $$".to_owned(), "it was ended by signal 9; nothing of this component was used"),
        ("exit 101".to_owned(), "it ended without an answer (exit status: 101)"),
        // It says of itself that it has all the answer that memory can hold, and stays.
        (format!("printf '\\000'; {zeros}; printf '\\377\\377\\377\\377\\377\\377\\377\\177'; sleep 60"), "signal 9"),
        (format!("printf '\\011'; {zeros}; printf '\\000\\000\\000\\000\\000\\000\\000\\000'; sleep 60"), "signal 9"),
        // It stops in the middle.
        (
            format!("printf '\\000'; {zeros}; printf '\\012\\000\\000\\000\\000\\000\\000\\000abc'"),
            "without an answer (exit status: 0)",
        ),
        (
            format!("printf '\\000'; {zeros}; printf '\\000\\000\\000\\000\\000\\000\\000\\000'"),
            "it is of another version than this process",
        ),
        // An answer of a process that failed counts for nothing.
        (format!("printf '\\000'; {zeros}; printf '\\000\\000\\000\\000\\000\\000\\000\\000'; exit 3"), "(exit status: 3)"),
        (format!("printf '\\001'; {zeros}; printf '\\006\\000\\000\\000\\000\\000\\000\\000no\\033[2J'"), "does not compile: no"),
        (format!("printf '\\002'; {zeros}; printf '\\000\\000\\000\\000\\000\\000\\000\\000'"), "limit `compile_memory`"),
        ("kill -XCPU $$".to_owned(), "limit `compile`"),
    ];
    let bytes = floe_tests::bytes(floe_tests::ECHO);
    for (script, expected) in &cases {
        let error = load(&sandbox(shell(script)), &bytes, &limits()).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\u{1b}'), "{script}: {error}");
    }
    let missing = Compiler::Child { program: "/nowhere/floe".into(), args: Vec::new() };
    let error = load(&sandbox(missing), &bytes, &limits()).await.unwrap_err().to_string();
    assert!(error.contains("failed: it does not start: No such file"), "{error}");
    // One that talks without end is ended by the time that there is.
    let short = Limits { compile: Duration::from_millis(100), ..limits() };
    let talks = sandbox(shell("while :; do echo noise >&2; done"));
    assert!(matches!(load(&talks, &bytes, &short).await.unwrap_err().reason(), Error::CompileTimeout { .. }));
}

/// Each uses every core, so one compiles at a time; and what one has compiled, others who waited for it do not compile again.
#[tokio::test]
async fn one_compiles_at_a_time() {
    let _alone = alone().await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let floe = env!("CARGO_BIN_EXE_floe");
    let script = format!("echo begin >> {0}; {floe} compile-plugin $0 $1; echo end >> {0}", log.display());
    let sandbox = Arc::new(sandbox(shell(&script)));
    let guests = [floe_tests::ECHO, floe_tests::TEXT, floe_tests::ECHO, floe_tests::TEXT, floe_tests::ECHO];
    let loads = guests.map(|guest| {
        let sandbox = Arc::clone(&sandbox);
        async move { load(&sandbox, &floe_tests::bytes(guest), &limits()).await }
    });
    let mut all = tokio::task::JoinSet::new();
    loads.into_iter().for_each(|load| drop(all.spawn(load)));
    assert!(all.join_all().await.into_iter().all(|loaded| loaded.is_ok()));
    assert_eq!(std::fs::read_to_string(log).unwrap(), "begin\nend\nbegin\nend\n");
}

/// The binary compiles apart by itself, and says where a limit of it is raised.
#[test]
fn the_binary_compiles_apart() {
    let dir = tempfile::tempdir().unwrap();
    let flow = format!(
        "floe: 1\nname: test\nplugins:\n  p: {{ source: {}, limits: {{ compile_memory: 2MiB }} }}\nnodes:\n  a: {{ run: p/echo }}\n",
        floe_tests::ECHO
    );
    std::fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        let output = command.args(args).current_dir(dir.path()).env("FLOE_CACHE", dir.path().join("cache")).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["validate", "."]);
    assert!(code == 2 && said.contains("limit `compile_memory` allows, 2097152 bytes"), "{said}");
    assert!(said.contains("plugins.p.limits.compile_memory"), "{said}");
    assert!(!Path::new(&dir.path().join("cache")).join("compiled").exists());
    let (code, said) = run(&["plugin", "inspect", floe_tests::ECHO]);
    assert_eq!(code, 0, "{said}");
    // Only floe itself starts it.
    assert_eq!(run(&["compile-plugin"]).0, 1);
    assert!(!run(&["--help"]).1.contains("compile-plugin"));
}
