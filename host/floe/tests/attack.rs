//! `floe attack` as a shell sees it: every hostile component is contained, and the suite fails where a limit is not one.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use expect_test::expect;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn attack(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.arg("attack").args(args).current_dir(root()).env("NO_COLOR", "1");
    command.output().unwrap()
}

fn asked(args: &[&str]) -> (Option<i32>, Value) {
    let output = attack(&[args, &["--json"]].concat());
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr))))
}

#[test]
fn every_attack_is_contained() {
    let (code, report) = asked(&[]);
    let runs = report["runs"].as_array().unwrap();
    let not: Vec<&Value> = runs.iter().filter(|run| run["contained"] != true || run["findings"] != json!([])).collect();
    assert!(not.is_empty(), "{not:#?}");
    assert_eq!(
        (code, report["contained"].as_u64(), report["total"].as_u64()),
        (Some(0), Some(runs.len() as u64), Some(runs.len() as u64))
    );
    assert!(runs.len() >= 100, "{}", runs.len());
    for run in runs {
        assert!(run["held"] != "" && run["neighbour"]["calls"].as_u64() >= Some(10), "{run}");
    }
    // Each was started from the list, once.
    let name = |run: &Value| format!("{}/{}", run["case"].as_str().unwrap(), run["place"].as_str().unwrap());
    let listed: Vec<String> = asked(&["--list"]).1.as_array().unwrap().iter().map(name).collect();
    assert_eq!(runs.iter().map(name).collect::<Vec<_>>(), listed);
}

/// One limit raised to absurdity, and the case that needs it says so; the others go on.
#[test]
fn a_limit_that_is_none_is_found() {
    for (limits, case, finding) in [
        (&["fuel=1e18", "wall=2s"][..], "spin/handle", "expected: limit fuel; it ended with: limit wall, 2000 of 2000"),
        (&["memory=1GiB"], "grow-memory/call", "the process grew by "),
        (&["log_lines=1000000"], "log-flood/handle", "lines in the log: 10000, more than 404"),
        (&["stdio=1GiB"], "print-flood/call", "bytes in the log: "),
        (&["resources=1000000"], "pollables/describe", "expected: limit resources; it ended with: limit handles, 1001 of 1000"),
        (&["module=1GiB"], "many-bytes/load", "expected: limit module; "),
    ] {
        let limits = limits.iter().flat_map(|limit| ["--limit", limit]);
        let args: Vec<&str> = limits.chain(["--only", case, "--only", "trap/handle"]).collect();
        let (code, report) = asked(&args);
        assert_eq!((code, &report["contained"], &report["total"]), (Some(1), &Value::from(1), &Value::from(2)), "{report:#}");
        let runs = report["runs"].as_array().unwrap();
        let found = runs.iter().find(|run| run["contained"] == false).unwrap();
        let (name, place) = case.split_once('/').unwrap();
        assert_eq!((&found["case"], &found["place"]), (&Value::from(name), &Value::from(place)));
        let findings = found["findings"].as_array().unwrap();
        assert!(findings.iter().any(|found| found.as_str().unwrap().starts_with(finding)), "{found:#}");
    }
    // As people see it.
    let output = attack(&["--limit", "handles=1000000", "--only", "many-handles"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let last = said.lines().last().unwrap();
    let expected = "not contained: many-handles/load: limit handles is 1000000, more than 10 times the profile's 1000";
    assert_eq!((output.status.code(), last), (Some(1), expected), "{said}");
    assert!(said.contains("\n0 of 1 contained\n"), "{said}");
}

/// The process that runs a case is killed as a fault of the host would end it; the other case has another process.
#[cfg(target_os = "linux")]
#[test]
fn a_host_that_dies_is_a_finding_and_not_the_end() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(["attack", "--json", "--limit", "wall=1h", "--only", "sleep-hour/handle", "--only", "trap/handle"]);
    let attack = command.current_dir(root()).stdout(Stdio::piped()).spawn().unwrap();
    let child = loop {
        if let Some(child) = child_with(attack.id(), "--child\0sleep-hour/handle") {
            break child;
        }
        std::thread::yield_now();
    };
    assert!(Command::new("kill").args(["-9", &child]).status().unwrap().success());
    let output = attack.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!((output.status.code(), runs.len()), (Some(1), 2), "{report:#}");
    assert_eq!((&runs[0]["case"], &runs[0]["findings"]), (&json!("sleep-hour"), &json!(["the host died, signal 9"])));
    assert_eq!((&runs[1]["case"], &runs[1]["contained"]), (&json!("trap"), &json!(true)));
}

/// A child of a process whose arguments, each with a zero behind it, have this.
#[cfg(target_os = "linux")]
fn child_with(parent: u32, argument: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    processes.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())).find(|id| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let is_child =
            read("status").lines().any(|line| line.strip_prefix("PPid:").is_some_and(|of| of.trim() == parent.to_string()));
        is_child && read("cmdline").contains(argument)
    })
}

/// A configuration within reason is no finding: another limit may come first, and some limits may be a few times the usual.
#[test]
fn a_configuration_within_reason_is_contained() {
    let stricter = ["wall=50ms", "fuel=1e9"].map(|limit| ["--limit", limit]).concat();
    let laxer =
        ["memory=256MiB", "module=64MiB", "log_lines=900", "result=8MiB", "fuel=1e10"].map(|limit| ["--limit", limit]).concat();
    for (limits, cases) in [
        (stricter, &["bulk-table/handle", "spin/call"][..]),
        (laxer, &["grow-memory/call", "many-bytes", "log-flood/handle", "return-large/call", "spin/handle"]),
    ] {
        let cases = cases.iter().flat_map(|case| ["--only", case]);
        let (code, report) = asked(&limits.iter().copied().chain(cases).collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{report:#}");
    }
}

#[test]
fn the_limits_of_a_flows_plugin_are_attacked() {
    let dir = tempfile::tempdir().unwrap();
    let flow = "floe: 1\nname: f\nplugins:\n  a: { source: a.wasm, limits: { log_lines: 3 } }\n  b: { source: b.wasm, limits: { log_lines: 5000 } }\nnodes: { n: { run: a/x } }\n";
    let path = dir.path().join("flow.yaml");
    fs::write(&path, flow).unwrap();
    let path = path.to_str().unwrap();
    let (code, report) = asked(&[path, "--plugin", "a", "--only", "log-flood/handle"]);
    assert_eq!((code, report["runs"][0]["held"].as_str()), (Some(0), Some("cut log_lines, 4 lines shown")), "{report:#}");
    let (code, report) = asked(&[path, "--plugin", "b", "--only", "log-flood/handle"]);
    assert_eq!(code, Some(1), "{report:#}");
}

#[test]
fn wrong_calls_are_told_what_is_right() {
    let mut said = String::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flow.yaml");
    fs::write(&path, "floe: 1\nname: f\nplugins: { a: { source: a.wasm }, b: { source: b.wasm } }\nnodes: { n: { run: a/x } }\n")
        .unwrap();
    let path = path.to_str().unwrap();
    for args in [
        &["--only", "no-such-case"][..],
        &["--limit", "fule=1"],
        &["--limit", "fuel"],
        &["--limit", "memory=lots"],
        &["--limit", "memory=2GiB", "--only", "spin"],
        &[path],
        &[path, "--plugin", "c"],
    ] {
        let output = attack(args);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{args:?}");
        // Which limits there are, others say.
        let error = String::from_utf8(output.stderr).unwrap();
        said += error.split(", expected one of").next().unwrap().trim_end();
        said.push('\n');
    }
    expect![[r#"
        error: there is no case `no-such-case`
          help: `floe attack --list` shows them; a name is CASE or CASE/PLACE, with * as you like
        error: --limit fule=1: unknown field `fule`
        error: --limit fuel: write NAME=VALUE, as in fuel=1e12 or memory=1GiB
        error: --limit memory=lots: `lots` is no size; write a number and a unit: 512KiB, 64MiB, 1GiB, 1MB
        error: `plugins.attack.limits.memory` is 2147483648, but this host takes at most 1073741824
        error: the flow has several plugins: `a`, `b`
          help: name one with --plugin
        error: the flow has no plugin `c`; it has `a`, `b`
    "#]]
    .assert_eq(&said);
}

/// What of them is no case is not contained.
#[test]
fn every_file_is_in_the_program() {
    let (_, list) = asked(&["--list"]);
    let listed: BTreeSet<String> = list.as_array().unwrap().iter().map(|run| run["case"].as_str().unwrap().to_owned()).collect();
    let files = fs::read_dir(root().join("tests/attack")).unwrap().map(|entry| entry.unwrap().path());
    let wat = files.filter(|path| path.extension().is_some_and(|extension| extension == "wat"));
    let there: BTreeSet<String> = wat.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(listed, there);
}

/// Whatever function the host offers beside WASI, a case calls it; and whatever cases may call, one does.
#[test]
fn every_function_is_attacked() {
    let imports = fs::read_to_string(root().join("tests/attack/frame/imports.wat")).unwrap();
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("(func $")?.split_once(" (import \"")?;
        let (interface, rest) = rest.split_once("\" \"")?;
        Some((name.to_owned(), format!("{interface} {}", rest.split_once('"')?.0)))
    };
    let lines: Vec<(String, String)> = imports.lines().filter_map(line).collect();
    let mut offered = BTreeSet::new();
    for file in ["wit/plugin", "wit/capability"].iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap()) {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let package = text.lines().find_map(|line| line.strip_prefix("package ")?.strip_suffix(';')).unwrap();
        let (package, version) = package.split_once('@').unwrap();
        let mut interface = "";
        for line in text.lines().map(str::trim) {
            interface = line.strip_prefix("interface ").and_then(|rest| rest.split(' ').next()).unwrap_or(interface);
            let function = line.split_once(": func(").map(|(name, _)| name);
            // What the guest has to offer is a place, and no import.
            if let Some(function) = function.filter(|_| !["node", "toolset"].contains(&interface)) {
                offered.insert(format!("{package}/{interface}@{version} {function}"));
            }
        }
    }
    let listed: BTreeSet<String> = lines.iter().map(|(_, function)| function.clone()).collect();
    let missing: Vec<&String> = offered.difference(&listed).collect();
    assert!(offered.len() > 15 && missing.is_empty(), "no line of imports.wat: {missing:?}");
    let files = fs::read_dir(root().join("tests/attack")).unwrap().map(|entry| entry.unwrap().path());
    let heads = files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
    let called: BTreeSet<String> = heads
        .flat_map(|text| text.lines().filter_map(|line| line.strip_prefix(";; imports: ").map(str::to_owned)).collect::<Vec<_>>())
        .flat_map(|names| names.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let idle: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).filter(|name| !called.contains(*name)).collect();
    assert!(idle.is_empty(), "no case calls {idle:?}");
}

/// Every pitfall has a case, or a test that exists, or says why it has neither.
#[test]
fn every_pitfall_is_shown() {
    let (_, list) = asked(&["--list"]);
    let numbers = list.as_array().unwrap().iter().flat_map(|run| run["spec"].as_array().unwrap());
    let with_cases: BTreeSet<u64> = numbers.map(|number| number.as_u64().unwrap()).collect();
    let tests = ["tests/hostile", "host/sandbox/tests"].map(|folder| sources(&root().join(folder))).concat();
    let table = fs::read_to_string(root().join("tests/attack/README.md")).unwrap();
    let mut next = 1;
    for line in table.lines() {
        let cells: Vec<&str> = line.trim_matches(['|', ' ']).split(" | ").collect();
        let &[number, _, shown] = cells.as_slice() else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        assert_eq!(number, next, "{line}");
        next += 1;
        assert_eq!(shown.starts_with("cases"), with_cases.contains(&number), "{line}");
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        for test in &named {
            assert!(tests.contains(&format!("fn {test}(")), "there is no test `{test}`");
        }
        assert!(shown.starts_with("cases") || !named.is_empty() || shown.starts_with("Does not apply: "), "{line}");
    }
    assert_eq!(next, 47);
}

/// All Rust below a folder, in one text.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap() }).collect()
}
