//! Every folder in `examples` does what its README says: the commands that stand there, run by the real binary in a copy of the
//! tree, print what the folder's expected files have.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;

/// What the commands of a README print, and how they end.
#[derive(Clone, Copy)]
enum Prints {
    /// The lines of `expected.jsonl`, in any order: traces end when they end.
    Lines,
    /// `expected.txt`.
    Text,
    /// The payloads of `expected.jsonl`, by the line of the input.
    Payloads,
    /// The drawings, one command each.
    Drawings,
}

/// A test for each folder: `NAME: FOLDER, what it prints, the exit codes of its commands`.
macro_rules! examples {
    ($($test:ident: $folder:literal, $prints:ident, $codes:expr;)+) => {
        /// The folders whose commands are run here.
        const FOLDERS: &[&str] = &[$($folder),+];
        $(
            #[test]
            fn $test() {
                check($folder, Prints::$prints, &$codes);
            }
        )+
    };
}

examples! {
    agent: "agent", Lines, [0];
    cancel: "cancel", Text, [0];
    controller: "controller", Lines, [1];
    fan_out: "fan-out", Lines, [1];
    map: "map", Lines, [1];
    metadata: "metadata", Lines, [0];
    metrics: "metrics", Text, [0];
    policies: "policies", Lines, [0];
    reliability: "reliability", Text, [1, 0, 0, 0];
    routing: "routing", Lines, [0];
    speeches: "speeches", Payloads, [0];
    status: "status", Text, [0, 0];
    streaming: "streaming", Text, [0, 0];
    subflow: "subflow", Lines, [1];
    union: "union", Lines, [0];
    visualizer: "visualizer", Drawings, [0, 0, 0];
}

/// A folder of tests: cargo runs them, so that here is checked only what its README and its expected file say of them.
const TESTS: &str = "testkit";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A tree like the repository's, so that the commands of a README run as they stand there: the examples, and in the place of the
/// folder of each plugin its component. What commands write goes with it.
struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for folder in ["bin", "plugins", "target"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        copy(&examples(), &root.join("examples"));
        for (name, component) in [("cookbook", floe_tests::COOKBOOK), ("text", floe_tests::TEXT)] {
            fs::copy(component, root.join("plugins").join(name)).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_floe"), root.join("bin/floe")).unwrap();
        Self(dir)
    }

    /// Runs a line of a shell; what it prints and how it ends.
    fn run(&self, line: &str) -> Ran {
        let root = self.0.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([root.join("bin")].into_iter().chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(root).env("PATH", path).env("NO_COLOR", "1").env_remove("FLOE_JOURNAL");
        command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), printed: text(output.stdout), errors: text(output.stderr) }
    }
}

struct Ran {
    code: Option<i32>,
    printed: String,
    errors: String,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

/// The text between fences of these languages, in their order.
fn fenced<'a>(text: &'a str, languages: &[&str]) -> Vec<Vec<&'a str>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if languages.contains(&language) {
            blocks.push(block);
        }
    }
    blocks
}

/// The commands of a README: the first block of them is what a reader runs first. A line that ends in `\` goes on.
fn commands(readme: &str) -> Vec<String> {
    let block = fenced(readme, &["sh"]).swap_remove(0).join("\n").replace("\\\n", " ");
    block.lines().map(runnable).collect()
}

/// Cargo has built all that a command runs, and holds its lock meanwhile.
fn runnable(line: &str) -> String {
    if let Some(arguments) = line.strip_prefix("cargo run --release -- ") {
        return format!("floe {arguments}");
    }
    let Some((name, arguments)) = line.strip_prefix("cargo run --example ").and_then(|rest| rest.split_once(" -- ")) else {
        return line.to_owned();
    };
    let program = Path::new(env!("CARGO_BIN_EXE_floe")).with_file_name("examples").join(name);
    // A test that is picked by name does not make Cargo build them.
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sources = ["floe/src", "flow/src", "sandbox/src", "store/src"].map(|folder| newest(&host.join(folder)));
    let built = program.is_file() && newest(&program) >= sources.into_iter().max().unwrap().max(newest(&examples().join(name)));
    assert!(built, "`{name}` is not built of what is here: cargo build --workspace --examples");
    format!("'{}' {arguments}", program.display())
}

/// When a file, or a Rust source below a folder, was last changed.
fn newest(path: &Path) -> SystemTime {
    if path.is_file() {
        return fs::metadata(path).unwrap().modified().unwrap();
    }
    let is_source = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs");
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(is_source).map(|path| newest(&path)).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn check(folder: &str, prints: Prints, codes: &[i32]) {
    let readme = read(examples().join(folder).join("README.md"));
    let tree = Tree::new();
    let ran: Vec<Ran> = commands(&readme).iter().map(|line| tree.run(line)).collect();
    let errors = || ran.iter().map(|ran| ran.errors.as_str()).collect::<String>();
    assert_eq!(ran.iter().map(|ran| ran.code.unwrap()).collect::<Vec<_>>(), codes, "{}", errors());
    let printed: String = ran.iter().map(|ran| ran.printed.as_str()).collect();
    let expected = |file: &str| read(examples().join(folder).join(file));
    let expected = match prints {
        Prints::Lines => {
            let expected = expected("expected.jsonl");
            assert_eq!(sorted(&printed), sorted(&expected), "{}", errors());
            expected
        }
        Prints::Text => {
            let expected = expected("expected.txt");
            assert_eq!(printed, expected, "{}", errors());
            expected
        }
        Prints::Payloads => {
            let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
            let mut outputs = lines(&printed);
            outputs.sort_by_key(|output| output["line"].as_u64());
            let payloads: Vec<Value> = outputs.into_iter().map(|mut output| output["payload"].take()).collect();
            let expected = expected("expected.jsonl");
            assert_eq!(payloads, lines(&expected), "{}", errors());
            expected
        }
        Prints::Drawings => {
            let drawings = ["expected.mmd", "expected.dot", "expected.svg"].map(expected);
            for (ran, drawing) in ran.iter().zip(&drawings) {
                assert_eq!(ran.printed, *drawing);
            }
            drawings.concat()
        }
    };
    shows(folder, &readme, &expected);
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// What a README shows as output is some of it, line by line.
fn shows(folder: &str, readme: &str, expected: &str) {
    let known: BTreeSet<&str> = expected.lines().collect();
    for line in fenced(readme, &["json", "text"]).concat() {
        assert!(known.contains(line), "examples/{folder}/README.md shows what the commands do not print: {line}");
    }
}

#[test]
fn every_folder_is_tested_and_listed() {
    let list = read(examples().join("README.md"));
    let folders = fs::read_dir(examples()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    for folder in folders {
        let (path, name) = (folder.path(), folder.file_name().into_string().unwrap());
        assert!(FOLDERS.contains(&name.as_str()) || name == TESTS, "nothing here runs examples/{name}");
        assert!(list.contains(&format!("\n| [{name}]({name}) |")), "examples/README.md does not list {name}");
        let expects = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("expected.");
        assert!(fs::read_dir(&path).unwrap().map(Result::unwrap).any(expects), "examples/{name} expects nothing");
        let lines = read(path.join("README.md")).lines().count();
        assert!((15..=40).contains(&lines), "examples/{name}/README.md has {lines} lines");
    }
}

#[test]
fn a_table_that_is_not_in_the_environment_is_asked_for() {
    let ran = Tree::new().run("unset ON_CALL; floe run examples/policies");
    let errors = ran.errors.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!((ran.code, ran.printed.as_str()), (Some(2), ""), "{errors}");
    let says = "there is no `ON_CALL` in the environment; set it to a JSON object such as {\"VALUE\": \"NODE\"";
    assert!(errors.contains(says) && errors.contains("flow.yaml:8:"), "{errors}");
}

/// An example is copied, so that it has nothing that is hardly meant.
#[test]
fn every_flow_is_sound_and_warned_of_nothing() {
    let tree = Tree::new();
    for folder in FOLDERS.iter().chain([&TESTS]) {
        let ran = tree.run(&format!("ON_CALL='{{}}' floe validate examples/{folder}"));
        assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""), "examples/{folder}");
    }
}

#[test]
fn the_expected_tests_are_those_that_are_there() {
    let folder = examples().join(TESTS);
    let code = read(folder.join("tests/flow.rs"));
    let names = code.split("#[tokio::test").skip(1).map(|test| {
        let (_, name) = test.split_once("async fn ").unwrap();
        format!("test {} ... ok", name.split('(').next().unwrap())
    });
    let expected = read(folder.join("expected.txt"));
    let (first, tests) = expected.split_once('\n').unwrap();
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    assert_eq!(tests.lines().collect::<Vec<_>>(), names);
    assert_eq!(first, format!("running {} tests", names.len()));
    shows(TESTS, &read(folder.join("README.md")), &expected);
}
