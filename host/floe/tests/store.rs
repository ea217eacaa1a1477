//! The plugin store as a user sees it: the real binary, real plugins, a folder of its own for each test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// A call must be under way, or a process must end: looked for this long.
const PATIENCE: Duration = Duration::from_secs(120);

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_HOME", dir.join("home")).env("FLOE_JOURNAL", "j.db").env("NO_COLOR", "1");
    command.env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("store"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn floe(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

/// The exit code, and standard output and error in one text.
fn said(dir: &Path, args: &[&str]) -> (i32, String) {
    let output = floe(dir, args);
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    // Long lines of problems are wrapped.
    let text = text.replace("\n  │ ", " ");
    (output.status.code().unwrap(), text)
}

/// What a command that does what it is asked says.
fn done(dir: &Path, args: &[&str]) -> String {
    let (code, text) = said(dir, args);
    assert_eq!(code, 0, "{args:?}: {text}");
    text
}

/// A command that ends with this code and says this.
fn ends(dir: &Path, args: &[&str], code: i32, says: &str) {
    let (found, text) = said(dir, args);
    assert!(found == code && text.contains(says), "{args:?} ended with {found} and should say `{says}`: {text}");
}

fn json_of(dir: &Path, args: &[&str]) -> Value {
    let output = floe(dir, args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn lock(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("home/floe.lock")).unwrap()).unwrap()
}

fn digest(path: &str) -> String {
    floe::sandbox::digest(&floe_tests::bytes(path))
}

fn stored(dir: &Path, digest: &str) -> PathBuf {
    dir.join("home/components").join(format!("{}.wasm", &digest["sha256:".len()..]))
}

/// The same component with other bytes: a section of a name and nothing else comes last.
fn another(dir: &Path, guest: &str, name: &str) -> String {
    let section = [&[0, name.len() as u8 + 1, name.len() as u8], name.as_bytes()].concat();
    let path = dir.join(format!("{name}.wasm"));
    fs::write(&path, [floe_tests::bytes(guest), section].concat()).unwrap();
    path.display().to_string()
}

fn flow(dir: &Path, plugin: &str, node: &str) {
    let flow = format!(
        "floe: 1\nname: test\nplugins:\n  p: {{ {plugin} }}\nnodes:\n  n: {{ run: p/{node}, policy: {{ concurrency: 2 }} }}\n"
    );
    fs::write(dir.join("flow.yaml"), flow).unwrap();
}

#[test]
fn a_plugin_is_added_listed_run_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_eq!(done(dir, &["plugin", "list"]).lines().count(), 1);
    let said = done(dir, &["plugin", "add", floe_tests::ECHO]);
    for says in ["echo (added)", &digest(floe_tests::ECHO), "source: store:echo", "greet"] {
        assert!(said.contains(says), "{said}");
    }
    done(dir, &["plugin", "add", floe_tests::WANTS_HTTP, "--name", "web"]);
    let lock = lock(dir);
    let names: Vec<&String> = lock["plugins"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["echo", "web"]);
    let echo = &lock["plugins"]["echo"];
    assert_eq!(
        (&echo["digest"], &echo["approval"]["digest"]),
        (&json!(digest(floe_tests::ECHO)), &json!(digest(floe_tests::ECHO)))
    );
    assert_eq!((&echo["contract"], &echo["approval"]["asks"]), (&json!("0.1.0"), &json!([])));
    let asks = lock["plugins"]["web"]["approval"]["asks"].to_string();
    assert!(asks.contains("wasi:http/types@"), "{asks}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.join("home")), 0o700);
        assert_eq!((mode(&dir.join("home/floe.lock")), mode(&stored(dir, &digest(floe_tests::ECHO)))), (0o600, 0o600));
    }

    flow(dir, "source: store:echo", "greet");
    fs::write(dir.join("in.jsonl"), "{\"name\": \"a\"}\n").unwrap();
    assert!(done(dir, &["run", ".", "--build", "--input", "in.jsonl"]).contains("Hello, a!"));
    let list = json_of(dir, &["plugin", "list", "--json"]);
    assert_eq!((&list[0]["name"], &list[0]["state"], &list[1]["name"]), (&json!("echo"), &json!("approved"), &json!("web")));

    assert!(done(dir, &["plugin", "remove", "echo"]).contains("is removed"));
    assert!(!stored(dir, &digest(floe_tests::ECHO)).exists() && stored(dir, &digest(floe_tests::WANTS_HTTP)).exists());
    ends(dir, &["validate", "."], 2, "the store has no plugin `echo`");
    ends(dir, &["plugin", "remove", "echo"], 2, "the store has no plugin `echo`");
}

/// What is loaded has the digest of the lock, and the lock's digest is what was approved.
#[test]
fn what_a_flow_gets_is_what_was_approved() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for guest in [floe_tests::ECHO, floe_tests::TEXT] {
        done(dir, &["plugin", "add", guest]);
    }
    flow(dir, "source: store:echo", "echo");
    done(dir, &["validate", "."]);
    let path = stored(dir, &digest(floe_tests::ECHO));
    fs::write(&path, floe_tests::bytes(floe_tests::TEXT)).unwrap();
    ends(dir, &["validate", "."], 2, "is not what it was: it should be sha256:");
    assert_eq!(json_of(dir, &["plugin", "list", "--json"])[0]["state"], "altered");
    done(dir, &["plugin", "add", floe_tests::ECHO]);
    done(dir, &["validate", "."]);
    fs::remove_file(&path).unwrap();
    assert_eq!(json_of(dir, &["plugin", "list", "--json"])[0]["state"], "missing");
    done(dir, &["plugin", "add", floe_tests::ECHO]);

    // A hand in the lock.
    let text = fs::read_to_string(dir.join("home/floe.lock")).unwrap();
    let mut edited: Value = serde_json::from_str(&text).unwrap();
    edited["plugins"]["echo"]["digest"] = json!(digest(floe_tests::TEXT));
    fs::write(dir.join("home/floe.lock"), edited.to_string()).unwrap();
    ends(dir, &["validate", "."], 2, "what was approved is another");
    assert_eq!(json_of(dir, &["plugin", "list", "--json"])[0]["state"], "not approved");
    ends(dir, &["plugin", "add", floe_tests::ECHO], 2, "nothing has changed");
    for (broken, says) in [
        ("{", "EOF"),
        ("{\"format\": 2, \"plugins\": {}}", "it is of format 2"),
        (&text.replace("\"echo\"", "\"../echo\""), "`../echo` is no name"),
        (&text.replace("sha256:", "../../"), "is no digest"),
    ] {
        fs::write(dir.join("home/floe.lock"), broken).unwrap();
        ends(dir, &["validate", "."], 2, says);
        ends(dir, &["plugin", "add", floe_tests::ECHO], 2, says);
    }
}

#[test]
fn a_version_that_asks_for_more_needs_approval() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, &["plugin", "add", floe_tests::ECHO, "--name", "words"]);
    assert!(done(dir, &["plugin", "add", floe_tests::ECHO, "--name", "words"]).contains("words (unchanged)"));
    // Other code that asks and says the same.
    let patched = another(dir, floe_tests::ECHO, "patch");
    assert!(done(dir, &["plugin", "add", &patched, "--name", "words"]).contains("words (changed)"));
    let entry = lock(dir)["plugins"]["words"].clone();
    assert_eq!((&entry["digest"], &entry["replaced"]), (&json!(digest(&patched)), &json!([digest(floe_tests::ECHO)])));

    let before = fs::read(dir.join("home/floe.lock")).unwrap();
    let wider = ["plugin", "add", floe_tests::WANTS_HTTP, "--name", "words"];
    let (code, text) = said(dir, &wider);
    assert_eq!(code, 2, "{text}");
    for says in
        ["import `wasi:http/types@", "NEEDS APPROVAL", "asks for more than was approved; nothing has changed", "--approve"]
    {
        assert!(text.contains(says), "`{says}` is missing: {text}");
    }
    assert!(fs::read(dir.join("home/floe.lock")).unwrap() == before && !stored(dir, &digest(floe_tests::WANTS_HTTP)).exists());
    let report = json_of(dir, &[&wider[..], &["--json"]].concat());
    assert_eq!(report["state"], "needs approval");
    assert!(report["changes"].as_array().unwrap().iter().any(|change| change["wider"] == true), "{report}");
    done(dir, &[&wider[..], &["--approve"]].concat());
    assert_eq!(lock(dir)["plugins"]["words"]["digest"], json!(digest(floe_tests::WANTS_HTTP)));

    // With the old version gone, what was approved of it still counts.
    fs::remove_file(stored(dir, &digest(floe_tests::WANTS_HTTP))).unwrap();
    ends(dir, &["plugin", "add", floe_tests::TEXT, "--name", "words"], 2, "what it says of itself (SHA-256)");
    ends(dir, &["plugin", "add", floe_tests::ECHO, "--name", "No name"], 2, "is no name for a plugin");
}

#[test]
fn old_versions_make_way() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let versions: Vec<String> = (0..11).map(|number| another(dir, floe_tests::ECHO, &format!("v{number}"))).collect();
    for version in &versions {
        done(dir, &["plugin", "add", version, "--name", "echo"]);
    }
    let entry = lock(dir)["plugins"]["echo"].clone();
    let kept: Vec<String> = versions[2..10].iter().rev().map(|version| digest(version)).collect();
    assert_eq!((&entry["digest"], &entry["replaced"]), (&json!(digest(&versions[10])), &json!(kept)));
    let there = |version: &String| stored(dir, &digest(version)).exists();
    assert_eq!(versions.iter().map(there).collect::<Vec<_>>(), (0..11).map(|number| number >= 2).collect::<Vec<_>>());
    // Back to an old one, which is no old one any more.
    done(dir, &["plugin", "add", &versions[5], "--name", "echo"]);
    let entry = lock(dir)["plugins"]["echo"].clone();
    assert_eq!(entry["digest"], json!(digest(&versions[5])));
    assert!(!entry["replaced"].as_array().unwrap().contains(&entry["digest"]), "{entry}");
    done(dir, &["plugin", "remove", "echo"]);
    assert!(!versions.iter().any(there));
}

#[test]
fn versions_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, &["plugin", "add", floe_tests::ECHO]);
    let patched = another(dir, floe_tests::ECHO, "patch");
    ends(dir, &["plugin", "diff", "echo", floe_tests::ECHO], 0, "they are the same component");
    ends(dir, &["plugin", "diff", &digest(floe_tests::ECHO), &patched], 0, "other code, which asks and says the same");
    let (code, text) = said(dir, &["plugin", "diff", "echo", floe_tests::WANTS_STATE]);
    assert!(code == 1 && text.contains("import `floe:capability/state@") && text.contains("node `greet`"), "{text}");
    let report = json_of(dir, &["plugin", "diff", floe_tests::WANTS_STATE, "echo", "--json"]);
    let change = |what: &str| {
        report["changes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|change| change["what"].as_str().unwrap().starts_with(what))
            .unwrap()
            .clone()
    };
    let dropped = change("import `floe:capability/state@");
    assert_eq!((&dropped["old"], &dropped["new"], &dropped["wider"]), (&json!("asked for"), &Value::Null, &json!(false)));
    let added = change("node `greet`");
    assert!(added["old"].is_null() && added["new"]["description"].is_string() && added["wider"] == true, "{added}");
    ends(dir, &["plugin", "diff", "ecko", "echo"], 2, "the store has no plugin `ecko`, and there is no such file");
    let unknown = format!("sha256:{}", "0".repeat(64));
    ends(dir, &["plugin", "diff", &unknown, "echo"], 2, "cannot read");
}

#[test]
fn a_flow_grants_no_more_than_was_approved() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let add = ["plugin", "add", floe_tests::ECHO, "--grant"];
    ends(dir, &[&add[..], &["sudo=true"]].concat(), 2, "there is no such capability");
    ends(dir, &[&add[..], &["random"]].concat(), 2, "it is CAPABILITY=TERMS");
    ends(dir, &[&add[..], &["random=true", "--grant", "random=true"]].concat(), 2, "it is there twice");
    done(dir, &[&add[..], &["subflow=[a]"]].concat());
    let validate = |grants: &str| {
        let plugin = format!("source: store:echo, grants: {{ {grants} }}");
        let flow = format!(
            "floe: 1\nname: t\nplugins:\n  p: {{ {plugin} }}\nsubflows: {{ a: a.yaml, b: a.yaml }}\nnodes:\n  n: {{ run: p/echo }}\n"
        );
        fs::write(dir.join("flow.yaml"), flow).unwrap();
        fs::write(dir.join("a.yaml"), "floe: 1\nname: a\nnodes:\n  n: { discard: true }\n").unwrap();
        said(dir, &["validate", "."])
    };
    assert_eq!(validate("subflow: [a]").0, 0);
    assert_eq!(validate("").0, 0);
    let (code, text) = validate("subflow: [a, b]");
    assert!(code == 2 && text.contains("it is granted more than was approved in the store: {\"subflow\":[\"a\"]}"), "{text}");
    // More in the store needs approval too, and less does not.
    ends(dir, &[&add[..], &["subflow=[a, b]"]].concat(), 2, "nothing has changed");
    done(dir, &[&add[..], &["subflow=[a, b]", "--approve"]].concat());
    assert_eq!(validate("subflow: [a, b]").0, 0);
    done(dir, &[&add[..], &["subflow=[b]"]].concat());
    assert_eq!(validate("subflow: [a]").0, 2);
}

#[test]
fn what_is_revoked_is_not_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, &["plugin", "add", floe_tests::ECHO]);
    flow(dir, "source: store:echo", "echo");
    assert!(done(dir, &["plugin", "revoke", "echo"]).contains("(`echo`) is revoked: it is not loaded any more"));
    let says = format!("is revoked: {} must not run", digest(floe_tests::ECHO));
    ends(dir, &["validate", "."], 2, &says);
    ends(dir, &["run", "."], 2, &says);
    flow(dir, &format!("source: {}", floe_tests::ECHO), "echo");
    ends(dir, &["validate", "."], 2, &says);
    ends(dir, &["plugin", "inspect", floe_tests::ECHO], 2, &says);
    ends(dir, &["plugin", "call", floe_tests::ECHO, "echo"], 2, &says);
    ends(dir, &["plugin", "add", floe_tests::ECHO, "--approve"], 2, &says);
    ends(dir, &["plugin", "diff", "echo", floe_tests::TEXT], 2, &says);
    ends(dir, &["plugin", "revoke", &digest(floe_tests::ECHO)[7..]], 0, "is revoked already");
    // A component that nobody has here, and a file.
    let unknown = format!("sha256:{}", "0".repeat(64));
    done(dir, &["plugin", "revoke", &unknown]);
    done(dir, &["plugin", "revoke", floe_tests::TEXT]);
    let list = json_of(dir, &["plugin", "list", "--json"]);
    let states: Vec<(&Value, &Value)> = list.as_array().unwrap().iter().map(|row| (&row["name"], &row["state"])).collect();
    assert_eq!(states[0], (&json!("echo"), &json!("revoked")));
    assert_eq!((states.len(), &list[1]["digest"], states[1]), (3, &json!(unknown), (&Value::Null, &json!("revoked"))));

    // A version after it is another component.
    let patched = another(dir, floe_tests::ECHO, "patch");
    ends(dir, &["plugin", "add", &patched, "--name", "echo"], 0, "echo (changed)");
    // Where the list cannot be read, nothing is known to be allowed.
    fs::write(dir.join("home/revoked"), "something else\n").unwrap();
    ends(dir, &["plugin", "inspect", &patched], 2, "line 1 begins with no digest");
    ends(dir, &["validate", "."], 2, "line 1 begins with no digest");
    fs::write(dir.join("home/revoked"), vec![b'#'; 2 << 20]).unwrap();
    ends(dir, &["validate", "."], 2, "it has more than 1048576 bytes");
    // Or where anybody could have written it.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::remove_file(dir.join("home/revoked")).unwrap();
        fs::set_permissions(dir.join("home"), fs::Permissions::from_mode(0o777)).unwrap();
        ends(dir, &["plugin", "inspect", &patched], 2, "others may write to it");
        ends(dir, &["validate", "."], 2, "others may write to it");
        ends(dir, &["plugin", "list"], 2, "chmod 700");
    }
}

/// Machine code is refused wherever a user can put it.
#[test]
fn compiled_code_is_refused_wherever_it_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, &["plugin", "add", floe_tests::ECHO]);
    let mut load = command(dir, &["plugin", "inspect", floe_tests::ECHO]);
    assert!(load.env("FLOE_CACHE", dir.join("cache")).output().unwrap().status.success());
    let mut entries = fs::read_dir(dir.join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let entry = entries.find(|path| path.extension().is_some_and(|extension| extension == "compiled")).unwrap();
    // Behind the authentication of 32 bytes it is what Wasmtime wrote.
    let code = fs::read(entry).unwrap().split_off(32);
    let says = "this is machine code that Wasmtime compiled, and a host only runs what it compiled itself";
    for name in ["echo.cwasm", "machine.wasm"] {
        fs::write(dir.join(name), &code).unwrap();
        ends(dir, &["plugin", "inspect", name], 2, says);
        ends(dir, &["plugin", "call", name, "echo"], 2, says);
        ends(dir, &["plugin", "add", name, "--name", "echo"], 2, says);
        ends(dir, &["plugin", "diff", "echo", name], 2, says);
        flow(dir, &format!("source: {name}"), "echo");
        ends(dir, &["validate", "."], 2, says);
    }
    // In the store, with a lock that says so.
    let forged = floe::sandbox::digest(&code);
    fs::write(stored(dir, &forged), &code).unwrap();
    let text = fs::read_to_string(dir.join("home/floe.lock")).unwrap();
    fs::write(dir.join("home/floe.lock"), text.replace(&digest(floe_tests::ECHO), &forged)).unwrap();
    flow(dir, "source: store:echo", "echo");
    ends(dir, &["validate", "."], 2, says);
}

// === runs ===

fn slow(input: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["plugin", "add", floe_tests::EVIL]);
    flow(dir.path(), "source: store:evil, limits: { wall: 60s }", "slow-write");
    fs::write(dir.path().join("in.jsonl"), input).unwrap();
    dir
}

const RUN: [&str; 8] = ["run", ".", "--input", "in.jsonl", "--journal", "j.db", "--output", "out.jsonl"];

fn lines(dir: &Path, args: &[&str]) -> Vec<Value> {
    let text = String::from_utf8(floe(dir, args).stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn output(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(dir.join("out.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Starts a run, and returns when two calls are under way.
fn begin(dir: &Path, args: &[&str]) -> std::process::Child {
    let mut child = command(dir, args).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while lines(dir, &["traces", "--json"]).iter().filter(|trace| trace["records"] == json!(2)).count() < 2 {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "two calls begin");
    }
    child
}

fn assert_revoked(dir: &Path, count: usize) {
    let output = output(dir);
    assert_eq!(output.len(), count, "{output:?}");
    for line in &output {
        assert_eq!((&line["terminal"], &line["error"]["code"]), (&json!("failed"), &json!("revoked")), "{line}");
    }
    let traces = lines(dir, &["traces", "--json"]);
    assert!(traces.iter().all(|trace| trace["terminal"] == "failed"), "{traces:?}");
}

#[test]
fn a_run_ends_when_its_plugin_is_revoked() {
    let dir = slow("60000\n60001\n60002\n");
    let dir = dir.path();
    let run = begin(dir, &[&RUN[..], &["--in-flight", "2"]].concat());
    done(dir, &["plugin", "revoke", "evil"]);
    let ended = run.wait_with_output().unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && text.contains("plugin `p` is revoked: sha256:"), "{text}");
    assert!(text.contains("2 failed"), "{text}");
    assert_revoked(dir, 2);
}

#[test]
fn traces_that_wait_in_a_journal_end_when_their_plugin_is_revoked() {
    let dir = slow("60000\n60001\n");
    let dir = dir.path();
    let mut run = begin(dir, &RUN);
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(lines(dir, &["traces", "--running", "--json"]).len(), 2);
    done(dir, &["plugin", "revoke", "evil"]);
    let (code, text) = said(dir, &["resume", "j.db"]);
    assert!(code == 1 && text.contains("2 traces that waited in `j.db` ended as failed"), "{text}");
    assert_revoked(dir, 2);
    // There is nothing left to end, and another version goes on.
    ends(dir, &["resume", "j.db"], 1, "0 traces that waited");
    let patched = another(dir, floe_tests::EVIL, "patch");
    done(dir, &["plugin", "add", &patched, "--name", "evil"]);
    fs::write(dir.join("in.jsonl"), "60000\n60001\n1\n").unwrap();
    let (code, text) = said(dir, &["resume", "j.db", "--migrate"]);
    assert_eq!(code, 0, "{text}");
    let output = output(dir);
    assert_eq!((output.len(), &output[2]["payload"]), (3, &json!(1)), "{output:?}");
    assert!(done(dir, &["resume", "j.db"]).contains("0 traces"));
}

/// The component that a trace ran on is in its journal, whatever becomes of the store.
#[test]
fn a_journal_keeps_what_its_traces_ran_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    done(dir, &["plugin", "add", floe_tests::ECHO]);
    flow(dir, "source: store:echo", "greet");
    fs::write(dir.join("in.jsonl"), "{\"name\": \"a\"}\n").unwrap();
    done(dir, &RUN);
    done(dir, &["plugin", "remove", "echo"]);
    let trace = lines(dir, &["traces", "--json"])[0]["trace_id"].as_str().unwrap().to_owned();
    let replayed = done(dir, &["replay", &trace]);
    assert!(replayed.contains("1 attempt"), "{replayed}");
    // Nothing of what is revoked runs again, from wherever.
    done(dir, &["plugin", "revoke", &digest(floe_tests::ECHO)]);
    ends(dir, &["replay", &trace], 2, "is revoked");
}
