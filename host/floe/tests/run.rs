//! `floe run` as a user sees it: the real binary, real plugins, real files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/speeches")
}

/// A folder with a flow file and a cache shared by all tests of this file.
fn folder(flow: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("flow.yaml"), flow).unwrap();
    dir
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).env("FLOE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")).env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a flow over an input and returns exit code, lines and standard error.
fn run(dir: &Path, input: &str, args: &[&str]) -> Ran {
    let mut child = command(&[&["run", dir.to_str().unwrap()], args].concat()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // The process may refuse the flow and never read its input.
    let feed = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let ran = Ran::of(child.wait_with_output().unwrap());
    feed.join().unwrap();
    ran
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    lines: Vec<Value>,
    errors: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self { code: output.status.code(), lines, errors: String::from_utf8(output.stderr).unwrap() }
    }

    /// The payload or the error's code of each line of the input.
    fn by_line(&self) -> BTreeMap<u64, Value> {
        let shown = |line: &Value| line.get("payload").cloned().unwrap_or_else(|| line["error"]["code"].clone());
        self.lines.iter().map(|line| (line["line"].as_u64().unwrap(), shown(line))).collect()
    }
}

/// A flow of one node of a plugin.
fn one_node(plugin: &str, node: &str, more: &str) -> TempDir {
    folder(&format!("floe: 1\nname: test\nplugins:\n  p:\n    source: {plugin}\n{more}nodes:\n  n: {{ run: p/{node} }}\n"))
}

fn evil(node: &str) -> TempDir {
    one_node(floe_tests::EVIL, node, "    limits: { wall: 30s, fuel: 1e8, memory: 8MiB }\n")
}

#[test]
fn the_example_gives_what_it_should_and_again_the_same() {
    let expected = fs::read_to_string(example().join("expected.jsonl")).unwrap();
    let expected: Vec<Value> = expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let input = example().join("input.jsonl");
    let source = format!("plugins.text.source={}", floe_tests::TEXT);
    let args = ["--set", &source, "--input", input.to_str().unwrap()];
    let ran = run(&example(), "", &args);
    assert_eq!(ran.code, Some(0), "{}", ran.errors);
    assert_eq!(ran.by_line().into_values().collect::<Vec<_>>(), expected);
    assert!(ran.errors.contains("20 traces in "), "{}", ran.errors);
    let lines = |ran: &Ran| ran.lines.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let again = run(&example(), "", &[&args[..], &["--in-flight", "1"]].concat());
    assert_eq!(lines(&again), lines(&ran));
}

#[test]
fn a_bad_line_fails_its_own_trace_and_no_other() {
    let dir = one_node(floe_tests::ECHO, "greet", "");
    let mut lines: Vec<String> = (1..=10).map(|n| json!({ "name": format!("n{n}") }).to_string()).collect();
    lines[6] = "{\"name\": ".to_owned();
    lines[7] = "{\"nome\": \"x\"}".to_owned();
    lines[8] = format!("{{\"name\": \"{}\"}}", "x".repeat(50_000_000));
    let ran = run(dir.path(), &lines.join("\n"), &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.errors);
    let results = ran.by_line();
    assert_eq!(results.len(), 10);
    assert_eq!(results[&1], json!({ "greeting": "Hello, n1!" }));
    assert_eq!(results[&10], json!({ "greeting": "Hello, n10!" }));
    let message =
        |line: u64| ran.lines.iter().find(|found| found["line"] == json!(line)).unwrap()["error"]["message"].to_string();
    assert!(message(7).contains("line 7: not valid JSON"), "{}", message(7));
    assert!(message(8).contains("does not fit the input of `n`"), "{}", message(8));
    assert!(
        message(9).contains("line 9: it has more than 8388608 bytes; raise the limit with `budget.payload`"),
        "{}",
        message(9)
    );
}

#[test]
fn a_guest_that_loops_ends_its_trace_and_no_other() {
    let flow = format!(
        "floe: 1\nname: test\nplugins:\n  evil: {{ source: {}, limits: {{ fuel: 1e15, wall: 300ms }} }}\n  good: {{ source: {} }}\n\
         nodes:\n  way: {{ route: [{{ when: \"payload.spin\", to: spin }}, {{ else: echo }}] }}\n  spin: {{ run: evil/spin }}\n  \
         echo: {{ run: good/echo }}\nedges:\n  - way -> spin\n  - way -> echo\n",
        floe_tests::EVIL,
        floe_tests::ECHO
    );
    let input: Vec<String> = (0..50).map(|n| json!({ "spin": n % 10 == 0 }).to_string()).collect();
    let ran = run(folder(&flow).path(), &input.join("\n"), &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.errors);
    let results = ran.by_line();
    assert_eq!(results.values().filter(|result| **result == json!("timed-out")).count(), 5);
    assert_eq!(results.values().filter(|result| **result == json!({ "spin": false })).count(), 45);
    let stopped = ran.lines.iter().find(|line| line["terminal"] == "failed").unwrap();
    assert_eq!((&stopped["error"]["node"], &stopped["error"]["attempt"]), (&json!("spin"), &json!(1)));
    let message = stopped["error"]["message"].as_str().unwrap();
    assert!(message.contains("wall") && message.contains("plugins.evil.limits.wall"), "{message}");
}

#[test]
fn hostile_guests_fail_their_attempt_and_the_next_is_served() {
    for (node, code) in [("panic", "internal"), ("recurse", "exhausted"), ("allocate", "exhausted"), ("garbage", "internal")] {
        let dir = evil(node);
        let ran = run(dir.path(), "1\n2\n3\n", &[]);
        assert_eq!(ran.code, Some(1), "{node}: {}", ran.errors);
        let codes: Vec<Value> = ran.by_line().into_values().collect();
        assert!(codes.iter().all(|found| found == code) && codes.len() == 3, "{node}: {codes:?} {:?}", ran.lines);
    }
}

#[test]
fn what_is_no_component_is_refused_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let echo = floe_tests::bytes(floe_tests::ECHO);
    let huge = dir.path().join("huge.wasm");
    fs::File::create(&huge).unwrap().set_len(200 << 20).unwrap();
    let cases = [
        (file("core.wasm", b"\0asm\x01\0\0\0"), "core WebAssembly module"),
        (file("text.wasm", b"(component)"), "text"),
        (file("empty.wasm", b""), "empty"),
        (file("cut.wasm", &echo[..echo.len() / 2]), "cut off"),
        (huge.to_str().unwrap().to_owned(), "limit `module` reached"),
        ("missing.wasm".to_owned(), "missing.wasm"),
    ];
    for (source, says) in cases {
        let ran = run(one_node(&source, "echo", "").path(), "1\n", &[]);
        assert_eq!((ran.code, ran.lines.len()), (Some(2), 0), "{source}: {}", ran.errors);
        let errors = ran.errors.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(errors.contains(says), "{source} should say `{says}`: {errors}");
        assert!(errors.contains("flow.yaml:"), "{source} should say where: {errors}");
    }
}

#[test]
fn imports_without_a_grant_are_refused_with_the_lines_that_would_grant_them() {
    for (plugin, import, lines) in [
        (floe_tests::WANTS_HTTP, "wasi:http/types", "http: [{ host:"),
        (floe_tests::WANTS_STATE, "floe:capability/state@0.1.0", "state: { space: NAME, bytes: 1MiB }"),
        (floe_tests::WANTS_CLOCK, "floe:capability/clock@0.1.0", "clock: { resolution: 1ms }"),
        (floe_tests::WANTS_RANDOM, "floe:capability/random@0.1.0", "random: true"),
    ] {
        let ran = run(one_node(plugin, "any", "").path(), "1\n", &[]);
        assert_eq!(ran.code, Some(2), "{}", ran.errors);
        for says in [import, "is not granted", "grants:", lines] {
            assert!(ran.errors.contains(says), "`{says}` is missing: {}", ran.errors);
        }
    }
}

/// Runs a flow of one node with these grants over one line, and returns the payload that comes out.
fn with_grants(plugin: &str, node: &str, grants: &str, line: &str) -> Value {
    let dir = one_node(plugin, node, &format!("    grants: {{ {grants} }}\n"));
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data/file"), "text").unwrap();
    let ran = run(dir.path(), &format!("{line}\n"), &[]);
    assert_eq!((ran.code, ran.lines.len()), (Some(0), 1), "{}", ran.errors);
    ran.lines[0]["payload"].clone()
}

#[test]
fn a_plugin_has_what_it_is_granted() {
    let fixed = with_grants(floe_tests::WANTS_CLOCK, "times", "clock: { fixed: 2026-01-01T00:00:00.5Z }", "7");
    let at = |monotonic: u64| {
        let now = 1_767_225_600_500_000_000_u64;
        json!({ "now": now, "monotonic": monotonic, "wasi_now": now, "wasi_elapsed": monotonic })
    };
    assert_eq!(fixed, json!([at(0), at(7_000_000)]));
    let coarse = with_grants(floe_tests::WANTS_CLOCK, "times", "clock: { resolution: 1h }", "1");
    assert!(coarse[0]["now"].as_u64().unwrap().is_multiple_of(3_600_000_000_000), "{coarse}");
    assert_eq!(with_grants(floe_tests::READS_FILES, "read", "files: [{ dir: ./data, as: /in }]", "\"/in/file\""), json!("text"));
    assert_eq!(with_grants(floe_tests::WANTS_STATE, "visits", "state: { space: s }", "1"), json!(1));
    // Nobody foresees the numbers of a run.
    let draw = || with_grants(floe_tests::WANTS_RANDOM, "numbers", "random: true", "2");
    assert_ne!(draw(), draw());
}

#[test]
fn what_cannot_be_granted_is_said_with_its_place() {
    let gone = "files: [{ dir: ./gone, as: /in }]";
    for (plugin, grants, says) in [
        (floe_tests::READS_FILES, gone, "`plugins.p.grants.files`: cannot read the directory"),
        (floe_tests::READS_FILES, "files: [{ dir: ., as: in }]", "`in` is no absolute path such as /data"),
        (floe_tests::WANTS_STATE, "state: { space: a b }", "a space's name is 1 to 64 of a-z"),
        (floe_tests::WANTS_STATE, "state: { space: a, bytes: 2GiB }", "`plugins.p.grants.state.bytes` is 2147483648"),
    ] {
        let ran = run(one_node(plugin, "any", &format!("    grants: {{ {grants} }}\n")).path(), "1\n", &[]);
        let errors = ran.errors.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.code == Some(2) && errors.contains(says) && errors.contains("flow.yaml:6:"), "`{says}`: {errors}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_said() {
    let dir = one_node(floe_tests::ECHO, "echo", "");
    let input: String = (0..2000).map(|n| format!("\"{n:0100}\"\n")).collect();
    let ran = run(dir.path(), &input, &["--output", "/dev/full"]);
    assert_eq!(ran.code, Some(1), "{}", ran.errors);
    assert!(ran.errors.contains("cannot write the output to `/dev/full`"), "{}", ran.errors);
    let ran = run(dir.path(), &input, &["--output", "/no/such/folder/out.jsonl"]);
    assert_eq!((ran.code, ran.lines.len()), (Some(2), 0), "{}", ran.errors);
    let ran = run(dir.path(), &input, &["--events", "/dev/full"]);
    assert_eq!((ran.code, ran.lines.len()), (Some(1), 2000), "{}", ran.errors);
    assert!(ran.errors.contains("cannot write events to `/dev/full`"), "{}", ran.errors);
}

#[test]
fn wrong_calls_say_what_is_wrong() {
    let dir = one_node(floe_tests::ECHO, "echo", "");
    for (args, says) in [
        (vec!["--input", "missing.jsonl"], "cannot read the input `missing.jsonl`"),
        (vec!["--set", "nodes.m.config=1"], "nodes.m"),
        (vec!["--set", "budget.hops=many"], "many"),
        (vec!["--in-flight", "0"], "1 or more"),
    ] {
        let ran = run(dir.path(), "1\n", &args);
        assert_eq!((ran.code, ran.lines.len()), (Some(2), 0), "{args:?}: {}", ran.errors);
        assert!(ran.errors.contains(says), "{args:?} should say `{says}`: {}", ran.errors);
    }
}

#[test]
fn messages_carry_headers_ids_and_deadlines() {
    let flow = format!(
        "floe: 1\nname: test\nplugins: {{ p: {{ source: {} }}, evil: {{ source: {} }} }}\n\
         nodes:\n  way: {{ route: [{{ when: \"headers.tenant == 'slow'\", to: sleep }}, {{ else: echo }}] }}\n  \
         sleep: {{ run: evil/sleep }}\n  echo: {{ run: p/echo }}\nedges:\n  - way -> sleep\n  - way -> echo\n",
        floe_tests::ECHO,
        floe_tests::EVIL
    );
    let input = concat!(
        r#"{"payload": {"n": 1.50}, "trace_id": "mine", "headers": {"tenant": "acme"}}"#,
        "\n",
        r#"{"payload": 60000, "headers": {"tenant": "slow"}, "deadline": "50ms"}"#,
        "\n",
        r#"{"paylod": 1}"#,
        "\n"
    );
    let ran = run(folder(&flow).path(), input, &["--envelope"]);
    assert_eq!(ran.code, Some(1), "{}", ran.errors);
    let line = |n: u64| ran.lines.iter().find(|line| line["line"] == json!(n)).unwrap();
    assert_eq!(line(1), &json!({ "trace_id": "mine", "line": 1, "node": "echo", "payload": { "n": 1.50 } }));
    assert_eq!(line(2)["terminal"], "deadline_exceeded");
    assert!(line(3)["error"]["message"].as_str().unwrap().contains("unknown field `paylod`"));
}

#[test]
fn a_json_file_is_one_payload_and_events_tell_the_story() {
    let dir = one_node(floe_tests::ECHO, "echo", "");
    let (input, events) = (dir.path().join("in.json"), dir.path().join("events.jsonl"));
    fs::write(&input, "{\n  \"a\": 1\n}\n").unwrap();
    let ran = run(dir.path(), "", &["--input", input.to_str().unwrap(), "--events", events.to_str().unwrap()]);
    assert_eq!((ran.code, ran.lines.len()), (Some(0), 1), "{}", ran.errors);
    assert_eq!(ran.lines[0]["payload"], json!({ "a": 1 }));
    let events: Vec<Value> =
        fs::read_to_string(events).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["accepted", "started", "succeeded", "output", "ended"]);
    assert!(events[2]["receipt"]["fuel"].as_u64().unwrap() > 0);
}

#[test]
fn files_are_not_written_over_each_other() {
    let dir = one_node(floe_tests::ECHO, "echo", "");
    let (flow, lines) = (dir.path().to_str().unwrap(), dir.path().join("lines.jsonl"));
    fs::write(&lines, "1\n2\n").unwrap();
    let (lines, other) = (lines.to_str().unwrap(), dir.path().join("other.jsonl"));
    let other = other.to_str().unwrap();
    for (options, names) in [
        (["--input", lines, "--output", lines], "--input and --output"),
        (["--input", lines, "--events", lines], "--input and --events"),
        (["--output", other, "--events", other], "--output and --events"),
    ] {
        let ran = Ran::of(command(&[&["run", flow][..], &options].concat()).output().unwrap());
        assert_eq!(ran.code, Some(2));
        assert!(ran.errors.contains(&format!("{names} are the same file")), "{}", ran.errors);
    }
    assert_eq!(fs::read_to_string(lines).unwrap(), "1\n2\n");
}

/// Some editors begin a file with it.
#[test]
fn a_byte_order_mark_is_not_part_of_the_input() {
    let dir = one_node(floe_tests::ECHO, "echo", "");
    let ran = run(dir.path(), "\u{feff}1\r\n2\r\n", &[]);
    assert_eq!((ran.code, ran.lines.len()), (Some(0), 2), "{}", ran.errors);
}

#[test]
fn events_carry_what_was_streamed() {
    let dir = one_node(floe_tests::EVIL, "progress", "");
    let events = dir.path().join("events.jsonl");
    run(dir.path(), "1", &["--events", events.to_str().unwrap()]);
    let dir = one_node(floe_tests::EVIL, "flood-chunk", "");
    let more = dir.path().join("events.jsonl");
    run(dir.path(), "1", &["--events", more.to_str().unwrap()]);
    let text = fs::read_to_string(events).unwrap() + &fs::read_to_string(more).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap_or_else(|| panic!("no {name}: {text}"));
    assert_eq!(of("chunk")["text"], "0123456789abcdef");
    assert!(of("progress").get("data").is_some() && of("progress")["kind"].is_string());
}

/// A flow that greets everybody by a subflow, which has a router, a plugin and a budget of its own.
fn greets(budget: &str) -> TempDir {
    let dir = folder(&format!(
        "floe: 1\nname: outer\nplugins: {{ p: {{ source: {} }} }}\nsubflows: {{ greeting: inner/greeting.yaml }}\nnodes:\n  \
         split: {{ run: p/echo }}\n  sub: {{ subflow: greeting, policy: {{ timeout: 30s }} }}\n  \
         gather: {{ join: {{ all: split }} }}\nedges: [split -> sub -> gather]\n",
        floe_tests::ECHO
    ));
    let inner = format!(
        "floe: 1\nname: inner\nplugins:\n  p: {{ source: {} }}\n  evil: {{ source: {}, limits: {{ wall: 300ms, fuel: 1e15 }} }}\n\
         nodes:\n  way: {{ route: {{ by: name, to: {{ spin: spin }}, else: greet }} }}\n  spin: {{ run: evil/spin }}\n  \
         greet: {{ run: p/greet, config: {{ word: Hi }} }}\nedges:\n  - way -> spin\n  - way -> greet\nbudget: {{ {budget} }}\n",
        floe_tests::ECHO,
        floe_tests::EVIL
    );
    fs::create_dir(dir.path().join("inner")).unwrap();
    fs::write(dir.path().join("inner/greeting.yaml"), inner).unwrap();
    dir
}

#[test]
fn a_subflow_runs_with_its_own_plugins_limits_and_budget() {
    let dir = greets("hops: 10");
    let input = "{\"name\": \"Ada\"}\n{\"name\": \"spin\"}\n{\"nome\": \"Bob\"}\n";
    let ran = run(dir.path(), input, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.errors);
    let expected = [(1, json!([{ "greeting": "Hi, Ada!" }])), (2, json!("timed-out")), (3, json!("invalid-input"))];
    assert_eq!(ran.by_line(), BTreeMap::from(expected));
    let error = |line: u64| ran.lines.iter().find(|found| found["line"] == json!(line)).unwrap()["error"].clone();
    assert_eq!((&error(2)["node"], &error(2)["detail"]["node"]), (&json!("sub"), &json!("spin")));
    let message = error(2)["message"].to_string();
    assert!(message.contains("subflow `greeting`: ") && message.contains("`plugins.evil.limits.wall`"), "{message}");

    let ran = run(greets("hops: 1").path(), input, &[]);
    let codes: Vec<Value> = ran.by_line().into_values().collect();
    assert_eq!(codes, ["exhausted", "exhausted", "exhausted"].map(Value::from), "{}", ran.errors);
}

/// Sends what is called `x` one way and everything else the other, where a table says so.
fn routed(table: &str) -> TempDir {
    let plugin = floe_tests::ECHO;
    folder(&format!(
        "floe: 1\nname: routed\nplugins: {{ p: {{ source: {plugin} }} }}\nnodes:\n  choose: {{ route: {{ by: kind, {table} }} }}\n  \
         left: {{ run: p/echo }}\n  right: {{ run: p/echo }}\nedges: [choose -> left, choose -> right]\n"
    ))
}

#[test]
fn a_table_of_routes_comes_from_a_file_or_the_environment() {
    let input = "{\"kind\": \"x\"}\n{\"kind\": \"y\"}\n";
    let nodes = |ran: &Ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.errors);
        let node = |line: &Value| (line["line"].as_u64().unwrap(), line["node"].as_str().unwrap().to_owned());
        ran.lines.iter().map(node).collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>()
    };
    let dir = routed("from_file: ways.json, else: right");
    fs::write(dir.path().join("ways.json"), "{\"x\": \"left\"}").unwrap();
    assert_eq!(nodes(&run(dir.path(), input, &[])), ["left", "right"]);

    let dir = routed("from_env: FLOE_TEST_WAYS, else: right");
    let mut child = command(&["run", dir.path().to_str().unwrap()]).env("FLOE_TEST_WAYS", "{\"y\": \"left\"}").spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert_eq!(nodes(&Ran::of(child.wait_with_output().unwrap())), ["right", "left"]);

    // What is in it may be a secret: it is not shown.
    let mut child = command(&["run", dir.path().to_str().unwrap()]).env("FLOE_TEST_WAYS", "hush").spawn().unwrap();
    drop(child.stdin.take());
    let refused = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(refused.code, Some(2));
    assert!(refused.errors.contains("FLOE_TEST_WAYS") && !refused.errors.contains("hush"), "{}", refused.errors);
}

#[test]
fn a_table_of_routes_is_changed_while_the_flow_runs() {
    let dir = routed("from_file: ways.json, else: right");
    let table = dir.path().join("ways.json");
    fs::write(&table, "{\"x\": \"left\"}").unwrap();
    let mut child = command(&["run", dir.path().to_str().unwrap()]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut node = || {
        writeln!(stdin, "{{\"kind\": \"x\"}}").unwrap();
        let line: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
        line["node"].as_str().unwrap().to_owned()
    };
    assert_eq!(node(), "left");
    // A name that is none changes nothing; a right table is followed within a second or two.
    fs::write(&table, "{\"x\": \"nowhere\"}").unwrap();
    assert_eq!(node(), "left");
    fs::write(&table, "{\"x\": \"right\"}").unwrap();
    assert!((0..500_000).any(|_| node() == "right"), "the table is never followed");
    drop(stdin);
    let ended = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
}

#[test]
fn what_a_subflow_does_is_counted_once() {
    let dir = greets("hops: 10");
    let events = dir.path().join("events.jsonl");
    let ran = run(dir.path(), "{\"name\": \"Ada\"}", &["--events", events.to_str().unwrap()]);
    let events = fs::read_to_string(events).unwrap();
    let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let callers: Vec<_> = events.iter().filter(|event| event["event"] == "accepted").map(|event| event.get("caller")).collect();
    assert_eq!(callers, [None, Some(&events[0]["trace"])]);
    // What the call of the subflow used, its nodes used.
    let used = events.iter().filter(|event| event["event"] == "succeeded" && event["node"] != "sub");
    let fuel: u64 = used.map(|event| event["receipt"]["fuel"].as_u64().unwrap()).sum();
    assert!(ran.errors.contains(": 1 completed\n"), "{}", ran.errors);
    assert!(ran.errors.contains("\n4 hops, "), "split, sub, way and greet: {}", ran.errors);
    let said = ran.errors.lines().find_map(|line| line.strip_prefix("fuel ")?.split_once(',')).unwrap().0.replace(' ', "");
    assert_eq!(said, fuel.to_string());
}

#[test]
fn a_subflow_without_an_output_is_no_trace_without_one() {
    let dir = folder(&format!(
        "floe: 1\nname: outer\nplugins: {{ p: {{ source: {} }} }}\nsubflows: {{ hole: inner.yaml }}\nnodes:\n  a: {{ run: p/echo }}\n  \
         sub: {{ subflow: hole }}\n  b: {{ run: p/echo }}\nedges:\n  - a -> sub\n  - a -> b\n",
        floe_tests::ECHO
    ));
    fs::write(dir.path().join("inner.yaml"), "floe: 1\nname: inner\nnodes: { n: { discard: true } }\n").unwrap();
    let ran = run(dir.path(), "1\n2\n", &[]);
    assert_eq!((ran.code, ran.lines.len()), (Some(0), 2), "{}", ran.errors);
    assert!(ran.errors.contains("2 completed\n"), "{}", ran.errors);
}

#[test]
fn tenants_take_turns_by_their_weights() {
    let flow = format!(
        "floe: 1\nname: test\nplugins: {{ p: {{ source: {} }} }}\nnodes:\n  n: {{ run: p/sleep, policy: {{ concurrency: 1 }} }}\n",
        floe_tests::EVIL
    );
    let line = |tenant: &str, millis: u32| json!({ "payload": millis, "headers": { "tenant": tenant }}).to_string();
    // All others wait for the first one.
    let lines = |tenant: &str| vec![line(tenant, 0); 8].join("\n");
    let input = [line("first", 3000), lines("a"), lines("b")].join("\n");
    for (weights, expected) in [(&[][..], 4), (&["--weight", "a=3"], 6), (&["--weight", "a=1", "--weight", "b=7"], 1)] {
        let dir = folder(&flow);
        let events = dir.path().join("events.jsonl");
        let ran = run(dir.path(), &input, &[&["--envelope", "--events", events.to_str().unwrap()], weights].concat());
        assert_eq!((ran.code, ran.lines.len()), (Some(0), 17), "{}", ran.errors);
        let events = fs::read_to_string(events).unwrap();
        let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let started = events.filter(|event| event["event"] == "started").skip(1).take(8);
        let lines = started.map(|event| event["trace"].as_str().unwrap().split_once('-').unwrap().0.parse::<u32>().unwrap());
        let of_a = lines.filter(|line| (2..10).contains(line)).count();
        assert_eq!(of_a, expected, "{weights:?}");
    }
}

#[test]
fn weights_and_grace_are_checked() {
    let dir = one_node(floe_tests::ECHO, "echo", "");
    let number = "write TENANT=N, with N from 1 to 1000";
    for (args, says) in [
        (&["--weight", "a"][..], number),
        (&["--weight", "=1"], number),
        (&["--weight", "a=0"], number),
        (&["--weight", "a=1001"], number),
        (&["--weight", "a=1.5"], number),
        (&["--weight", "a=1", "--weight", "b=2", "--weight", "a=3"], "--weight names the tenant `a` twice"),
        (&["--grace", "30"], "`30` is no duration"),
        (&["--grace", "25h"], "it must be 24h or less"),
    ] {
        let ran = run(dir.path(), "1\n", args);
        assert_eq!((ran.code, ran.lines.len()), (Some(2), 0), "{args:?}: {}", ran.errors);
        assert!(ran.errors.contains(says), "{args:?} should say `{says}`: {}", ran.errors);
    }
    let ran = run(dir.path(), "1\n", &["--weight", "a=b=1000", "--grace", "24h"]);
    assert_eq!(ran.code, Some(0), "{}", ran.errors);
}

#[cfg(unix)]
fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[cfg(unix)]
#[test]
fn an_interrupt_drains_and_a_second_one_cancels() {
    let dir = one_node(floe_tests::EVIL, "sleep", "    limits: { wall: 120s }\n");
    let events = dir.path().join("events.jsonl");
    for (millis, signals, terminal) in
        [(1500, &["INT"][..], None), (1500, &["TERM"], None), (100_000, &["INT", "TERM"], Some("stopped"))]
    {
        let mut child = command(&["run", dir.path().to_str().unwrap(), "--events", events.to_str().unwrap()]).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "{millis}").unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        while !fs::read_to_string(&events).is_ok_and(|text| text.contains("\"started\"")) {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before its first attempt");
            std::thread::yield_now();
        }
        send(&child, signals[0]);
        let drains = errors.by_ref().find(|line| line.starts_with("interrupted: 1 trace may come to an end within 30s"));
        assert!(drains.is_some(), "the first interrupt is said");
        if let Some(second) = signals.get(1) {
            send(&child, second);
        }
        fs::remove_file(&events).unwrap();
        for _ in errors {}
        drop(stdin);
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(130));
        assert_eq!(ran.lines.len(), 1);
        assert_eq!(ran.lines[0].get("terminal").and_then(Value::as_str), terminal);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_waits_no_longer_than_its_grace() {
    let dir = one_node(floe_tests::EVIL, "sleep", "    limits: { wall: 120s }\n");
    let events = dir.path().join("events.jsonl");
    for (grace, says) in [("20ms", Some("interrupted: 1 trace may come to an end within 20ms")), ("0s", None)] {
        let args = ["run", dir.path().to_str().unwrap(), "--grace", grace, "--events", events.to_str().unwrap()];
        let mut child = command(&args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "100000").unwrap();
        while !fs::read_to_string(&events).is_ok_and(|text| text.contains("\"started\"")) {
            assert!(child.try_wait().unwrap().is_none(), "the run ended before its first attempt");
            std::thread::yield_now();
        }
        send(&child, "INT");
        let ran = Ran::of(child.wait_with_output().unwrap());
        drop(stdin);
        assert_eq!((ran.code, &ran.lines[0]["terminal"]), (Some(130), &json!("stopped")), "{}", ran.errors);
        assert_eq!(ran.errors.contains("interrupted: "), says.is_some(), "{}", ran.errors);
        assert!(ran.errors.contains(says.unwrap_or_default()), "{}", ran.errors);
        fs::remove_file(&events).unwrap();
    }
}
