//! The house rules that a compiler does not know.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All tracked or new files below the root, without what git ignores.
fn files(extension: &str) -> Vec<PathBuf> {
    let list = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root()).output().unwrap();
    assert!(list.status.success(), "git lists the files");
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines()
        .filter(|file| Path::new(file).extension().is_some_and(|found| found == extension))
        .map(PathBuf::from)
        .filter(|file| root().join(file).is_file())
        .collect()
}

#[test]
fn files_are_short_and_say_what_they_are() {
    for file in files("rs") {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let is_test = file.components().any(|part| part.as_os_str() == "tests");
        let lines = text.lines().count();
        assert!(is_test || lines <= 600, "{} has {lines} lines; split it by what it knows", file.display());
        assert!(text.starts_with("//!") || text.starts_with("#![doc"), "{} opens without `//!`", file.display());
    }
}

#[test]
fn no_file_names_a_machine() {
    for extension in ["rs", "md", "toml", "yaml", "py", "wit", "sh"] {
        for file in files(extension) {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            for prefix in [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")] {
                assert!(!text.contains(prefix), "{} names a path below {prefix}", file.display());
            }
        }
    }
}

/// All packages that a package of this workspace may be built with, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut direct: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let normal = |dependency: &&Value| dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
        let list = node["deps"]
            .as_array()
            .unwrap()
            .iter()
            .filter(normal)
            .map(|dependency| dependency["pkg"].as_str().unwrap())
            .collect();
        direct.insert(node["id"].as_str().unwrap(), list);
    }
    let members = metadata["workspace_members"].as_array().unwrap().iter().map(|id| id.as_str().unwrap());
    members
        .map(|member| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![member]);
            while let Some(id) = next.pop() {
                for dependency in &direct[id] {
                    if seen.insert(*dependency) {
                        next.push(dependency);
                    }
                }
            }
            (names[member].to_owned(), seen.into_iter().map(|id| names[id].to_owned()).collect())
        })
        .collect()
}

#[test]
fn each_crate_stays_ignorant_of_what_it_must_not_know() {
    let forbidden: [(&str, &[&str]); 8] = [
        ("floe-agent", &["wasmtime", "wasmparser", "floe-sandbox", "reqwest", "axum", "clap", "sqlx"]),
        ("floe-egress", &["wasmtime", "wasmparser", "floe-flow", "serde_json", "axum", "reqwest", "clap", "sqlx"]),
        ("floe-flow", &["wasmtime", "wasmtime-wasi", "wasmparser", "reqwest", "axum", "hyper", "clap", "sqlx", "opentelemetry"]),
        ("floe-llm", &["wasmtime", "wasmparser", "floe-flow", "floe-sandbox", "reqwest", "axum", "clap", "sqlx"]),
        ("floe-store", &["wasmtime", "wasmtime-wasi", "axum", "reqwest", "genai", "clap"]),
        ("floe-sandbox", &["axum", "reqwest", "clap", "sqlx", "opentelemetry"]),
        ("floe-telemetry", &["wasmtime", "floe-sandbox", "axum", "reqwest", "clap", "sqlx"]),
        ("floe-guest", &["wasmtime", "tokio", "floe-flow"]),
    ];
    let dependencies = dependencies();
    for (package, forbidden) in forbidden {
        for name in forbidden {
            assert!(!dependencies[package].contains(*name), "{package} must not know {name}");
        }
    }
}

/// Reading the environment and files is for `host/floe`.
#[test]
fn only_the_host_reads_files_and_the_environment() {
    let forbidden: [(&str, &[&str]); 4] = [
        ("host/agent/src", &["std::fs", "std::env", "std::net", "std::process"]),
        ("host/flow/src", &["std::fs", "std::env", "std::net", "std::process"]),
        ("host/egress/src", &["std::fs", "std::env", "std::process"]),
        ("host/llm/src", &["std::fs", "std::env", "std::net", "std::process"]),
    ];
    for (folder, words) in forbidden {
        for file in files("rs").into_iter().filter(|file| file.starts_with(folder)) {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            for word in words {
                assert!(!text.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

/// The path without folders called `tests`.
fn shortened(path: &Path) -> PathBuf {
    path.components().filter(|part| part.as_os_str() != "tests").collect()
}

/// The names of all tests, by the shortened paths of their files.
fn tests() -> Vec<(PathBuf, BTreeSet<String>)> {
    let names = |file: &Path| {
        let mut names = BTreeSet::new();
        let mut is_test = false;
        for line in fs::read_to_string(root().join(file)).unwrap().lines().map(str::trim_start) {
            if line.starts_with("#[") {
                is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
                continue;
            }
            if is_test && let Some((name, _)) = line.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')) {
                names.insert(name.to_owned());
            }
            is_test = false;
        }
        names
    };
    files("rs").into_iter().map(|file| (shortened(&file), names(&file))).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A limit that nobody reaches in a test may not be there.
#[test]
fn each_limit_is_listed_with_a_test_that_exists() {
    let list = fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let code = |file: PathBuf| fs::read_to_string(root().join(file)).unwrap();
    let tests = tests();
    for row in list.lines().filter(|line| line.starts_with('|') && line.ends_with("` |")) {
        let test = row.trim_end_matches("` |").rsplit('`').next().unwrap();
        assert!(tests.iter().any(|(_, names)| names.contains(test)), "docs/limits.md names `{test}`, which is no test");
    }
    let limits = code("host/sandbox/src/limits.rs".into());
    let (_, fields) = limits.split_once("pub struct Limits {").unwrap();
    let (fields, _) = fields.split_once("\n}").unwrap();
    let mut count = 0;
    for field in fields.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':')) {
        count += 1;
        assert!(list.contains(&format!("\n| `{}` |", field.0)), "docs/limits.md does not list `{}`", field.0);
    }
    assert!(count > 20, "the fields of `Limits` are found");
}

/// A promise is as good as its tests.
#[test]
fn each_promise_is_listed_with_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let (_, promises) = page.split_once("## What is promised").unwrap();
    let tests = tests();
    let mut count = 0;
    for row in promises.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")) {
        let last = row.rsplit(" | ").next().unwrap();
        for test in quoted(last) {
            count += 1;
            assert!(tests.iter().any(|(_, names)| names.contains(test)), "docs/security.md names `{test}`, which is no test");
        }
    }
    assert!(count > 30, "the tests of promises are found: {count}");
}

/// What has no test says why. Every number is there once, and every file and test that is named.
#[test]
fn each_behaviour_is_listed_with_a_test_that_exists() {
    let list = fs::read_to_string(root().join("docs/behaviours.md")).unwrap();
    let tests = tests();
    let (mut behaviours, mut weaknesses) = (Vec::new(), Vec::new());
    for row in list.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let (number, last) = (cells[0], cells[cells.len() - 1]);
        if number == "no." {
            continue;
        }
        let parse = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("docs/behaviours.md: `{text}` is no number"));
        if let Some(number) = number.strip_prefix('W') {
            weaknesses.push(parse(number));
        } else {
            let (first, last) = number.split_once('–').unwrap_or((number, number));
            behaviours.extend(parse(first)..=parse(last));
            for place in quoted(cells[2]).filter(|place| place.contains('/')) {
                let is_there = ["", "host"].iter().any(|folder| root().join(folder).join(place).exists());
                assert!(is_there, "docs/behaviours.md, {number}: there is no `{place}`");
            }
        }
        let says_why = ["Not yet", "later", "Does not apply"].iter().any(|why| last.contains(why));
        assert!(last.contains(".rs::") || says_why, "docs/behaviours.md, {number}: no test, and no word of why");
        for named in quoted(last) {
            let Some((file, test)) = named.split_once("::") else { continue };
            let file = shortened(Path::new(file));
            let is_there = tests.iter().any(|(path, names)| path.ends_with(&file) && names.contains(test));
            assert!(is_there, "docs/behaviours.md, {number}: `{named}` is no test");
        }
    }
    assert_eq!(behaviours, (1..=131).collect::<Vec<_>>());
    assert_eq!(weaknesses, (1..=17).collect::<Vec<_>>());
}

#[test]
fn each_event_is_described() {
    let text = fs::read_to_string(root().join("docs/formats.md")).unwrap();
    let code = fs::read_to_string(root().join("host/flow/src/event.rs")).unwrap();
    let (_, variants) = code.split_once("pub enum EventKind {").unwrap();
    let (variants, _) = variants.split_once("\n}").unwrap();
    let names = variants.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"));
    let mut count = 0;
    for name in names.filter(|name| name.starts_with(|first: char| first.is_ascii_uppercase())) {
        let mut snake = String::new();
        for char in name.chars() {
            if char.is_ascii_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(char.to_ascii_lowercase());
        }
        count += 1;
        assert!(text.contains(&format!("\n| `{snake}` |")), "docs/formats.md does not describe `{snake}`");
    }
    assert!(count > 10, "the events are found");
}
