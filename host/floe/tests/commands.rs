//! The commands as a shell sees them: what they print, where, and how they end.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::path::Path;
use std::process::{Command, Output};

use expect_test::{Expect, expect};
use serde_json::Value;
use tempfile::TempDir;

/// Runs `floe` in the folder, with its cache there.
fn floe(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command.args(args).current_dir(dir).env("FLOE_CACHE", dir.join("cache")).env("NO_COLOR", "1");
    command.output().unwrap()
}

/// Exit code, standard output and standard error in one text.
fn check(dir: &Path, args: &[&str], expect: &Expect) {
    let output = floe(dir, args);
    let code = output.status.code().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    expect.assert_eq(&format!("exit {code}\n{out}--\n{err}"));
}

fn write(dir: &Path, file: &str, text: &str) {
    let path = dir.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A folder with a flow whose plugin is built by copying a text.
fn flow_with_plugin(source: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let flow = format!("floe: 1\nname: test\nplugins:\n  words: {{ source: {source} }}\nnodes:\n  a: {{ run: words/count }}\n");
    write(dir.path(), "flows/flow.yaml", &flow);
    let plugin = "name = \"words\"\nversion = \"0.1.0\"\n[build]\ncommand = \"cp words.txt out.wasm\"\nartifact = \"out.wasm\"\n";
    write(dir.path(), "words/plugin.toml", plugin);
    write(dir.path(), "words/words.txt", "not a component\n");
    dir
}

#[test]
fn a_build_is_repeated_only_when_something_changed() {
    let dir = flow_with_plugin("../words");
    let dir = dir.path();
    check(
        dir,
        &["validate", "flows"],
        &expect![[r#"
        exit 2
        --
          × plugin `words` is not built yet: flows/../words
           ╭─[flows/flow.yaml:4:20]
         3 │ plugins:
         4 │   words: { source: ../words }
           ·                    ────┬───
           ·                        ╰── here
         5 │ nodes:
           ╰────
          help: add --build to `floe run`, or: floe build flows/../words
    "#]],
    );
    let built = |args: &[&str]| {
        let output = floe(dir, args);
        let list: Value = serde_json::from_slice(&output.stdout).unwrap();
        (list[0]["built"].as_bool().unwrap(), list[0]["bytes"].as_u64().unwrap())
    };
    let build = ["build", "words", "--json"];
    assert_eq!(built(&build), (true, 16));
    assert_eq!(built(&build), (false, 16));
    assert_eq!(built(&["build", "words", "--json", "--force"]), (true, 16));
    write(dir, "words/words.txt", "another text\n");
    assert_eq!(built(&build), (true, 13));
    write(dir, "words/more.txt", "");
    assert_eq!(built(&build), (true, 13));
    write(dir, "words/target/floe/words.wasm", "something else");
    assert_eq!(built(&build), (true, 13));
}

#[test]
fn sources_outside_of_the_repository_need_trust() {
    let dir = flow_with_plugin("../words");
    let dir = dir.path();
    write(dir, "flows/.git/HEAD", "");
    check(
        dir,
        &["build", "flows"],
        &expect![[r#"
        exit 2
        --
        error: the source of plugin `words` is outside of the flow's repository: flows/../words
          help: building it runs this with your rights: cp words.txt out.wasm
                if you trust it, say so with --trust
    "#]],
    );
    let output = floe(dir, &["build", "flows", "--trust"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Trusting flows/../words: cp words.txt out.wasm"), "{said}");
    assert_eq!(output.status.code(), Some(0));

    std::fs::rename(dir.join("flows/.git"), dir.join(".git")).unwrap();
    assert_eq!(floe(dir, &["build", "flows"]).status.code(), Some(0));
}

/// The outer flow's repository counts, wherever a subflow is.
#[test]
fn sources_of_subflows_need_trust_too() {
    let dir = flow_with_plugin("../words");
    let dir = dir.path();
    write(dir, "flows/.git/HEAD", "");
    write(dir, "words/.git/HEAD", "");
    let outer = "floe: 1\nname: outer\nsubflows: { inner: sub }\nnodes:\n  s: { subflow: inner }\n";
    let inner = "floe: 1\nname: inner\nplugins:\n  words: { source: ../../words }\nnodes:\n  a: { run: words/count }\n";
    write(dir, "flows/flow.yaml", outer);
    write(dir, "flows/sub/flow.yaml", inner);
    check(
        dir,
        &["build", "flows"],
        &expect![[r#"
            exit 2
            --
            error: the source of plugin `inner/words` is outside of the flow's repository: flows/sub/../../words
              help: building it runs this with your rights: cp words.txt out.wasm
                    if you trust it, say so with --trust
        "#]],
    );
    assert_eq!(floe(dir, &["build", "flows", "--trust"]).status.code(), Some(0));
    check(
        dir,
        &["validate", "flows"],
        &expect![[r#"
            exit 2
            --
              × plugin `words`: this is text, not a compiled component; give the component (.wasm) that `floe build` makes of the
              │ plugin's source
               ╭─[flows/sub/flow.yaml:4:20]
             3 │ plugins:
             4 │   words: { source: ../../words }
               ·                    ─────┬─────
               ·                         ╰── here
             5 │ nodes:
               ╰────
        "#]],
    );
}

#[test]
fn builds_that_fail_say_why() {
    let dir = flow_with_plugin("../words");
    let dir = dir.path();
    check(
        dir,
        &["build", "flows/nowhere"],
        &expect![[r#"
        exit 2
        --
        error: nothing to build in `flows/nowhere`
          help: a plugin's folder has a Cargo.toml or a plugin.toml, a flow's folder a flow.yaml; `floe new NAME` makes both
    "#]],
    );
    write(dir, "words/plugin.toml", "name = \"words\"\n[build]\ncommand = \"exit 3\"\nartifact = \"x.wasm\"\n");
    check(
        dir,
        &["build", "words"],
        &expect![[r#"
        exit 2
        --
        Building plugin `words` in words
        error: building plugin `words` failed: `exit 3` ended with exit status: 3
    "#]],
    );
    write(dir, "words/plugin.toml", "name = \"words\"\n[build]\ncommand = \"true\"\nartifact = \"x.wasm\"\n");
    check(
        dir,
        &["build", "words"],
        &expect![[r#"
        exit 2
        --
        Building plugin `words` in words
        error: building plugin `words` made no `x.wasm`
          help: `artifact` in plugin.toml names the file that `command` makes
    "#]],
    );
}

/// In whatever language: the command finds the contract, with what the plugin uses and nothing else.
#[test]
fn a_build_command_gets_the_plugins_world() {
    let dir = flow_with_plugin("../words");
    let dir = dir.path();
    let plugin = "name = \"words\"\nuses = [\"state\", \"wasi:http\"]\n[build]\ncommand = \"cp -r $FLOE_WIT wit && cp words.txt out.wasm\"\n\
                  artifact = \"out.wasm\"\n";
    write(dir, "words/plugin.toml", plugin);
    assert_eq!(floe(dir, &["build", "words"]).status.code(), Some(0));
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(dir.join("words/wit")).unwrap();
    for world in ["node-plugin", "tool-plugin", "plugin"] {
        let world = &resolve.worlds[resolve.select_world(&[package], Some(world)).unwrap()];
        let imports: Vec<String> = world.imports.keys().map(|key| resolve.name_world_key(key)).collect();
        let capabilities: Vec<&String> = imports.iter().filter(|name| name.starts_with("floe:capability/")).collect();
        assert_eq!(capabilities, ["floe:capability/state@0.1.0"]);
        assert!(imports.contains(&"floe:plugin/emit@0.1.0".to_owned()), "{imports:?}");
    }
}

#[test]
fn what_a_plugin_imports_stands_under_uses() {
    let dir = flow_with_plugin("../words");
    let dir = dir.path();
    std::fs::copy(floe_tests::WANTS_STATE, dir.join("words/words.txt")).unwrap();
    check(
        dir,
        &["build", "words"],
        &expect![[r#"
        exit 2
        --
        Building plugin `words` in words
        error: plugin `words` imports the capability `state`, which `words/plugin.toml` does not list
          help: add it: uses = ["state"], or build the plugin without it
    "#]],
    );
    let plugin = "name = \"words\"\nuses = [\"state\"]\n[build]\ncommand = \"cp words.txt out.wasm\"\nartifact = \"out.wasm\"\n";
    write(dir, "words/plugin.toml", plugin);
    assert_eq!(floe(dir, &["build", "words"]).status.code(), Some(0));
}

#[test]
fn a_plugin_toml_is_checked() {
    let dir = flow_with_plugin("../words");
    let dir = dir.path();
    write(dir, "words/plugin.toml", "name = \"words\"\nuses = [\"htp\"]\n");
    check(
        dir,
        &["build", "words"],
        &expect![[r#"
        exit 2
        --
        error: `uses` in `words/plugin.toml` names `htp`, which is no capability; did you mean `http`?
          help: there are: state, secrets, http, clock, random, tools, subflow, model, approval, files, sockets, wasi:http
    "#]],
    );
    write(dir, "words/plugin.toml", "name = \"words\"\n");
    check(
        dir,
        &["build", "words"],
        &expect![[r#"
        exit 2
        --
        error: `words` does not say how it is built
          help: it needs a Cargo.toml, or a plugin.toml with [build]; see `floe build --help`
    "#]],
    );
    write(dir, "words/plugin.toml", "nme = \"words\"\n");
    check(
        dir,
        &["build", "words"],
        &expect![[r#"
        exit 2
        --
        error: in `words/plugin.toml`: TOML parse error at line 1, column 1
          |
        1 | nme = "words"
          | ^^^
        unknown field `nme`, expected one of `name`, `version`, `uses`, `build`
    "#]],
    );
}

#[test]
fn a_flow_is_validated_with_its_plugins() {
    let dir = flow_with_plugin("words.wasm");
    let dir = dir.path();
    check(
        dir,
        &["validate", "flows"],
        &expect![[r#"
        exit 2
        --
          × the source of plugin `words` is not there: flows/words.wasm
           ╭─[flows/flow.yaml:4:20]
         3 │ plugins:
         4 │   words: { source: words.wasm }
           ·                    ─────┬────
           ·                         ╰── here
         5 │ nodes:
           ╰────
          help: it is a folder or a `.wasm` file, relative to the flow file, or `store:NAME`
    "#]],
    );
    write(dir, "flows/words.wasm", "not a component");
    check(
        dir,
        &["validate", "flows"],
        &expect![[r#"
        exit 2
        --
          × plugin `words`: this is text, not a compiled component; give the component (.wasm) that `floe build` makes of the
          │ plugin's source
           ╭─[flows/flow.yaml:4:20]
         3 │ plugins:
         4 │   words: { source: words.wasm }
           ·                    ─────┬────
           ·                         ╰── here
         5 │ nodes:
           ╰────
    "#]],
    );
    std::fs::write(dir.join("flows/words.wasm"), b"\0asm\x01\0\0\0").unwrap();
    check(
        dir,
        &["validate", "flows/flow.yaml"],
        &expect![[r#"
        exit 2
        --
          × plugin `words`: this is a core WebAssembly module, not a component; build the plugin for a component target such
          │ as wasm32-wasip2
           ╭─[flows/flow.yaml:4:20]
         3 │ plugins:
         4 │   words: { source: words.wasm }
           ·                    ─────┬────
           ·                         ╰── here
         5 │ nodes:
           ╰────
    "#]],
    );
}

#[test]
fn what_is_not_there_or_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    check(
        dir,
        &["run", "nowhere"],
        &expect![[r#"
        exit 2
        --
        error: there is no `nowhere`
          help: FLOW is a flow file or a folder with a `flow.yaml`; `floe new NAME` makes one
    "#]],
    );
    std::fs::File::create(dir.join("flow.yaml")).unwrap().set_len((1 << 20) + 1).unwrap();
    check(
        dir,
        &["run", "."],
        &expect![[r#"
        exit 2
        --
        error: `./flow.yaml` has 1048577 bytes; a flow file has at most 1048576
    "#]],
    );
}

#[test]
fn budgets_of_nothing_and_edges_without_ends_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let flow = "floe: 1\nname: test\nnodes:\n  a: { route: { by: a..b, to: { x: b } }, policy: { timeout: 1us } }\n  b: { discard: true }\n\
                edges:\n  - a -> b\n  - { from: [], to: b }\nbudget: { hops: 0, deadline: 0s }\n";
    write(dir.path(), "flow.yaml", flow);
    let output = floe(dir.path(), &["validate", ".", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems: Vec<String> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| format!("{}: {}", problem["line"], problem["message"].as_str().unwrap()))
        .collect();
    expect![[r#"
        4: `by` is the name of a field, or names with a `.` between them
        4: times are kept to the millisecond: give it 1ms or more, or leave it out
        8: an edge has a node on each side; `from` or `to` is an empty list
        9: with `hops` at 0 no trace can do anything; give it more, or leave it out
        9: times are kept to the millisecond: give it 1ms or more, or leave it out"#]]
    .assert_eq(&problems.join("\n"));
}

#[test]
fn subflows_are_checked_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/plugin-0.1.0.wasm");
    std::fs::copy(golden, dir.path().join("golden.wasm")).unwrap();
    let outer = "floe: 1\nname: outer\nplugins: { p: { source: golden.wasm } }\nsubflows: { in: in, idle: in/leaf.yaml }\nnodes:\n  a: { run: p/echo }\n  b: { subflow: in }\nedges: [a -> b]\n";
    let inner = "floe: 1\nname: inner\nplugins: { p: { source: ../golden.wasm } }\nsubflows: { leaf: leaf.yaml }\nnodes:\n  a: { run: p/echo }\n  b: { subflow: leaf }\n";
    let leaf = "floe: 1\nname: leaf\nplugins: { p: { source: ../golden.wasm } }\nnodes: { a: { discard: true } }\n";
    write(dir.path(), "flow.yaml", outer);
    write(dir.path(), "in/flow.yaml", inner);
    write(dir.path(), "in/leaf.yaml", leaf);
    check(
        dir.path(),
        &["validate", "."],
        &expect![[r#"
        exit 0
        flow `outer` is sound: 2 nodes, 1 edge, 4 plugins, 3 subflows
        --
        warning: no node runs the subflow `idle`
        warning: subflow `in`: no edge leads to `a` and `b`: each of them gets every input
        warning: subflow `in`: subflow `leaf`: no node runs anything of `p`
        warning: subflow `idle`: no node runs anything of `p`
    "#]],
    );
    let report = floe(dir.path(), &["validate", ".", "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    expect![[
        r#"[{"edges":0,"name":"in","nodes":2},{"edges":0,"name":"in/leaf","nodes":1},{"edges":0,"name":"idle","nodes":1}]"#
    ]]
    .assert_eq(&report["subflows"].to_string());
    let names: Vec<&Value> = report["plugins"].as_array().unwrap().iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(names, ["p", "in/p", "in/leaf/p", "idle/p"]);

    write(dir.path(), "in/leaf.yaml", &leaf.replace("discard: true", "run: p/ehco"));
    check(
        dir.path(),
        &["validate", "."],
        &expect![[r#"
        exit 2
        --
          × plugin `p` has no `ehco`; did you mean `echo`? It has `echo`, `everything`, `shout`
           ╭─[./in/leaf.yaml:4:20]
         3 │ plugins: { p: { source: ../golden.wasm } }
         4 │ nodes: { a: { run: p/ehco } }
           ·                    ───┬──
           ·                       ╰── here
           ╰────
    "#]],
    );
}

#[test]
fn what_is_hardly_meant_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let flow = "floe: 1\nname: test\nplugins:\n  idle: { source: golden.wasm }\nnodes:\n  a: { route: { by: k, to: { x: b }, else: b } }\n  b: { discard: true }\n  c: { discard: true }\n  d: { discard: true }\nedges:\n  - a -> b\n  - a -> c\n";
    write(dir.path(), "flow.yaml", flow);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/plugin-0.1.0.wasm");
    std::fs::copy(golden, dir.path().join("golden.wasm")).unwrap();
    check(
        dir.path(),
        &["validate", "."],
        &expect![[r#"
        exit 0
        flow `test` is sound: 4 nodes, 2 edges, 1 plugin
        --
        warning: no edge leads to `a` and `d`: each of them gets every input
        warning: no node runs anything of `idle`
        warning: `a` never sends to `c`: neither `to` nor `else` names it
    "#]],
    );
}

#[test]
fn mistakes_are_told_to_programs_too() {
    let dir = flow_with_plugin("words.wasm");
    let dir = dir.path();
    let big = std::fs::File::create(dir.join("flows/words.wasm")).unwrap();
    big.set_len(200 << 20).unwrap();
    check(
        dir,
        &["validate", "flows", "--json", "--set", "nodes.a.policy.timeout=1s"],
        &expect![[r#"
            exit 2
            {
              "edges": null,
              "flow": null,
              "nodes": null,
              "ok": false,
              "plugins": [],
              "problems": [
                {
                  "column": 20,
                  "file": "flows/flow.yaml",
                  "line": 4,
                  "message": "plugin `words`: limit `module` reached: the component has 209715200 of 16777216; raise it with plugins.words.limits.module"
                }
              ],
              "subflows": [],
              "warnings": []
            }
            --
        "#]],
    );
}

#[test]
fn a_flow_that_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    check(
        dir,
        &["validate", "nowhere"],
        &expect![[r#"
        exit 2
        --
        error: there is no `nowhere`
          help: FLOW is a flow file or a folder with a `flow.yaml`; `floe new NAME` makes one
    "#]],
    );
    check(
        dir,
        &["validate", "nowhere", "--json"],
        &expect![[r#"
            exit 2
            {
              "edges": null,
              "flow": null,
              "nodes": null,
              "ok": false,
              "plugins": [],
              "problems": [
                {
                  "help": "FLOW is a flow file or a folder with a `flow.yaml`; `floe new NAME` makes one",
                  "message": "there is no `nowhere`"
                }
              ],
              "subflows": [],
              "warnings": []
            }
            --
        "#]],
    );
}

#[test]
fn a_flow_without_plugins_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "flow.yaml", "floe: 1\nname: sink\nnodes:\n  a: { discard: true }\n");
    check(
        dir.path(),
        &["validate", "."],
        &expect![[r#"
        exit 0
        flow `sink` is sound: 1 node, 0 edges, 0 plugins
        --
    "#]],
    );
}

#[test]
fn new_makes_a_plugin_and_a_flow_that_fits() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    check(
        dir,
        &["new", "hello", "--kind", "tool"],
        &expect![[r#"
        exit 0
        hello/Cargo.toml
        hello/src/lib.rs
        hello/flow.yaml
        hello/input.jsonl
        hello/.gitignore
        --

        Next:
          floe run hello --build --input hello/input.jsonl
          cargo test --manifest-path hello/Cargo.toml
    "#]],
    );
    check(
        dir,
        &["viz", "hello"],
        &expect![[r#"
            exit 0
            ---
            title: "hello"
            ---
            flowchart LR
                input(["input"])
                n0["greet<br/>hello/greet"]
                output(["output"])
                input -->|"ingress"| n0
                n0 -->|"egress"| output
                classDef endpoint fill:#e0f2fe,stroke:#0369a1,stroke-width:1px
                class input,output endpoint
            --
        "#]],
    );
    check(
        dir,
        &["new", "hello"],
        &expect![[r#"
        exit 2
        --
        error: `hello` is there already
          help: choose another name, or remove it first
    "#]],
    );
    check(
        dir,
        &["new", "Hello World"],
        &expect![[r#"
        exit 2
        --
        error: `Hello World` cannot name a plugin
          help: names begin with a letter and are made of a-z, 0-9, `_` and `-`, at most 64 of them
    "#]],
    );
}

#[test]
fn the_schema_knows_every_key_of_the_file() {
    let schema = floe::schema::flow();
    let keys: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    expect!["budget edges floe name nodes plugins subflows"].assert_eq(&keys.join(" "));
    assert_eq!(schema["additionalProperties"], false);
    let schema = floe_flow::Schema::compile(&schema).unwrap();
    let good = serde_json::json!({
        "floe": 1, "name": "x", "plugins": { "p": { "source": ".", "limits": { "memory": "1MiB", "fuel": 1e9 } } },
        "nodes": { "a": { "run": "p/a", "policy": { "timeout": "1s", "on_failure": { "to": "b" } } }, "b": { "discard": true } },
        "edges": ["a -> b", { "from": ["a"], "to": "b" }],
    });
    assert_eq!(schema.check(&good), Ok(()));
    for bad in ["/nodes/a/policy/timeout", "/plugins/p/limits/memory", "/edges/0"] {
        let mut flow = good.clone();
        *flow.pointer_mut(bad).unwrap() = serde_json::json!(true);
        assert!(schema.check(&flow).is_err(), "{bad}");
    }
}

#[test]
fn the_doctor_knows_versions_and_limits() {
    let dir = tempfile::tempdir().unwrap();
    let output = floe(dir.path(), &["doctor", "--json"]);
    let health: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(health["floe"], env!("CARGO_PKG_VERSION"));
    assert!(health["wasmtime"].as_str().unwrap().starts_with("48."), "{health}");
    assert_eq!(health["contract"], "0.1.0");
    assert_eq!(health["cache"]["state"], "not made yet");
    // Whatever is known of this version, it is said whether it reaches this host.
    assert!(health["advisories"].as_array().unwrap().iter().all(|advisory| advisory["reaches"] == false), "{health}");
    if cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        assert_eq!(health["compiling"]["possible"], serde_json::json!([]), "{health}");
        assert_eq!(health["compiling"]["state"], "in a process of its own, without files, network, programs or signals");
    }
    assert_eq!(output.status.code(), Some(0), "{health}");
    // What is wrong is an exit code.
    std::fs::write(dir.path().join("cache"), "no folder").unwrap();
    let output = floe(dir.path(), &["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("not a folder") && text.contains("advisor"), "{text}");
    assert_eq!(
        health["limits"][0],
        serde_json::json!({ "limit": "memory", "rust": "64 MiB", "js": "128 MiB", "python": "256 MiB", "go": "256 MiB" })
    );
}

#[test]
fn wrong_calls_end_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for args in
        [&["runn"][..], &["run"], &["viz", "x", "--format", "svg"], &["bench", "hop", "--hops", "0"], &["run", "x", "--trust"]]
    {
        assert_eq!(floe(dir.path(), args).status.code(), Some(2), "{args:?}");
    }
    for args in [&["--help"][..], &["run", "--help"], &["completions", "bash"], &["schema", "flow"]] {
        assert_eq!(floe(dir.path(), args).status.code(), Some(0), "{args:?}");
    }
}
