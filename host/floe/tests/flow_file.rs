//! What the flow file accepts, and what it says of mistakes.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::path::PathBuf;

use expect_test::{Expect, expect};
use floe::file::{Flow, Problems, Texts};
use serde_json::{Value, json};

fn parse(text: &str, sets: &[&str]) -> Result<Flow, Problems> {
    let sets = sets.iter().map(|set| (*set).to_owned()).collect();
    let texts = Texts { path: "flow.yaml".to_owned(), text: text.into(), sets };
    let flow = Flow::parse(texts, PathBuf::from("."))?;
    flow.outline()?;
    Ok(flow)
}

fn check_with(text: &str, sets: &[&str], expect: &Expect) {
    match parse(text, sets) {
        Ok(_) => expect.assert_eq("fits"),
        Err(problems) => expect.assert_eq(&problems.to_string()),
    }
}

/// Checks the nodes and edges of a flow that is right otherwise; line 5 is the first.
fn check(rest: &str, expect: &Expect) {
    check_with(&format!("floe: 1\nname: test\nplugins:\n  text: {{ source: text.wasm }}\n{rest}"), &[], expect);
}

const GOOD: &str = r#"floe: 1
name: speeches
plugins:
  text:
    source: ../../plugins/text
    grants:
      http: [{ host: api.example.com, methods: [GET], path: /v1/* }]
    profile: rust
    limits: { memory: 64MiB, fuel: 1e9, wall: 10s }
nodes:
  split:  { run: text/split, config: { words: 200 } }
  score:  { run: text/score, reuse: 100, policy: { timeout: 2s, retries: 2, backoff: 100ms, concurrency: 2, validate: both, on_failure: fail } }
  each:   { map: text/score, concurrency: 4, policy: { backoff: { base: 1s, cap: 1m }, retry_on: [busy, timed-out] } }
  route:  { route: [ { when: "payload.score >= 0.5", to: keep }, { else: drop } ], policy: { on_failure: "to: drop" } }
  keep:   { run: text/pass, policy: { on_failure: { to: failed } } }
  drop:   { discard: true }
  failed: { run: text/pass }
  gather: { join: { all: split, within: 5s, late: pass }, on_incomplete: release }
  both:   { join: { from: [gather, late], by: order.id, within: 1m, quorum: 1 } }
  late:   { run: text/pass }
edges:
  - split -> score -> each -> route
  - route -> keep -> gather
  - route -> drop
  - { from: [failed], to: gather, queue: 1 }
  - { from: [gather, late], to: both }
budget: { hops: 100000, deadline: 30s, fuel: 1e11 }
"#;

#[test]
fn the_whole_format_fits() {
    check_with(GOOD, &[], &expect!["fits"]);
}

#[test]
fn unknown_keys_have_a_place_and_a_suggestion() {
    check_with(
        "floe: 1\nname: test\nnods:\n  a: { run: text/a }\n",
        &[],
        &expect![[r#"
            flow.yaml:3:1: unknown key `nods`; did you mean `nodes`? (known here: floe, name, plugins, subflows, nodes, edges, budget)
            flow.yaml: `nodes` is missing"#]],
    );
    check(
        "nodes:\n  a: { run: text/a, polcy: { timeout: 1s } }\n",
        &expect!["flow.yaml:6:21: unknown key `polcy`; did you mean `policy`? (known here: run, config, policy, reuse)"],
    );
    check(
        "nodes:\n  a:\n    run: text/a\n    policy: { timout: 1s }\n",
        &expect![
            "flow.yaml:8:15: unknown key `timout`; did you mean `timeout`? (known here: timeout, retries, backoff, retry_on, concurrency, ordered, validate, on_failure, turns)"
        ],
    );
    check(
        "nodes:\n  a: { rum: text/a }\n",
        &expect![
            "flow.yaml:6:8: unknown key `rum`; did you mean `run`? (known here: run, route, join, map, subflow, agent, discard)"
        ],
    );
    let grant =
        "floe: 1\nname: test\nplugins:\n  text:\n    source: x.wasm\n    grants: { htp: [] }\nnodes:\n  a: { run: text/a }\n";
    check_with(
        grant,
        &[],
        &expect![
            "flow.yaml:6:15: unknown key `htp`; did you mean `http`? (known here: state, secrets, http, clock, random, tools, subflow, model, approval, files, sockets)"
        ],
    );
    check(
        "nodes:\n  a: { run: text/a, policy: { validate: inn } }\n",
        &expect!["flow.yaml:6:41: unknown value `inn`; did you mean `in`? (possible: both, in, out, none)"],
    );
    check(
        "nodes:\n  a: { run: text/a, policy: { retry_on: [timeout] } }\n",
        &expect![
            "flow.yaml:6:42: unknown value `timeout`; did you mean `timed-out`? (possible: invalid-input, not-found, conflict, denied, exhausted, timed-out, busy, unavailable, cancelled, internal)"
        ],
    );
}

#[test]
fn all_mistakes_are_found_at_once() {
    check(
        "nodes:\n  a: { run: text/a, reuse: 0 }\n  b: { run: [x] }\n  c: {}\nedges:\n  - [a, b]\nbudget: { fuel: -1 }\nextra: 1\n",
        &expect![[r#"
            flow.yaml:6:28: expected a whole number from 1, found the number 0
            flow.yaml:7:8: expected a text, found a list
            flow.yaml:8:3: a node is one of `run`, `route`, `join`, `map`, `subflow`, `agent` and `discard` (for example `{ run: PLUGIN/NODE }`)
            flow.yaml:10:5: expected an edge such as `a -> b` or `{ from: a, to: b }`, found a list
            flow.yaml:11:17: expected a whole number such as 1000 or 1e9, found the number -1
            flow.yaml:12:1: unknown key `extra` (known here: floe, name, plugins, subflows, nodes, edges, budget)"#]],
    );
}

#[test]
fn values_of_a_wrong_kind() {
    check(
        "nodes:\n  a: { run: text/a, policy: { timeout: 100 } }\n",
        &expect!["flow.yaml:6:40: expected a duration such as 100ms, 2s or 5m, found the number 100"],
    );
    check(
        "nodes:\n  a: { run: text/a, policy: { timeout: 2 sec } }\n",
        &expect!["flow.yaml:6:40: `2 sec` is no duration; write a number and a unit: 100ms, 2s, 5m, 1h"],
    );
    check(
        "nodes:\n  a: { run: text/a, policy: { retries: many } }\n",
        &expect!["flow.yaml:6:40: expected a whole number from 0, found the text `many`"],
    );
    check(
        "nodes:\n  a: { run: text/a, policy: { backoff: { factor: 0.5 } } }\n",
        &expect!["flow.yaml:6:50: `factor: 0.5` would shorten the pauses; use 1 or more"],
    );
    check(
        "nodes:\n  a: { run: text/a, policy: { on_failure: stop } }\n",
        &expect!["flow.yaml:6:43: expected `fail`, `drop` or `{ to: NODE }`, found the text `stop`"],
    );
    check("nodes:\n  a: { run: text/a, policy: [] }\n", &expect!["flow.yaml:6:21: expected a map, found a list"]);
    check("nodes: [a]\n", &expect!["flow.yaml:5:1: `nodes` maps names to values; this is a list"]);
    check(
        "nodes:\n  a: { run: text/a }\nbudget: { fuel: 1.5 }\n",
        &expect!["flow.yaml:7:17: expected a whole number such as 1000 or 1e9, found the number 1.5"],
    );
    check("nodes:\n  a: { discard: false }\n", &expect!["flow.yaml:6:17: `discard` is `true` or not there"]);
}

#[test]
fn a_node_is_one_thing() {
    check(
        "nodes:\n  a: { run: text/a, discard: true }\n",
        &expect!["flow.yaml:6:21: a node is either `run` or `discard`; make two nodes of it"],
    );
    check(
        "nodes:\n  a:\n",
        &expect![
            "flow.yaml:6:3: a node is one of `run`, `route`, `join`, `map`, `subflow`, `agent` and `discard` (for example `{ run: PLUGIN/NODE }`)"
        ],
    );
    check("nodes:\n  a: { run: a }\n", &expect!["flow.yaml:6:13: `a` is no node of a plugin; write PLUGIN/NODE"]);
    check(
        "nodes:\n  a: { run: txt/a }\n",
        &expect!["flow.yaml:6:13: there is no plugin `txt` under `plugins`; did you mean `text`?"],
    );
    check(
        "nodes:\n  A b: { run: text/a }\n",
        &expect!["flow.yaml:6:3: names are made of a-z, 0-9, `_` and `-`, at most 64 of them"],
    );
}

#[test]
fn names_are_unique() {
    check(
        "nodes:\n  a: { run: text/a }\n  b: { run: text/b }\n  a: { run: text/c }\n",
        &expect!["flow.yaml:8:3: `a` is there twice; rename or remove one"],
    );
    check(
        "nodes:\n  a: { run: text/a, run: text/b }\n",
        &expect![[r#"
        flow.yaml:6:3: duplicate field `run`
        flow.yaml:6:21: `run` is there twice; rename or remove one"#]],
    );
}

#[test]
fn edges_lead_somewhere() {
    let nodes = "nodes:\n  split: { run: text/a }\n  count: { run: text/b }\n  drop: { discard: true }\n";
    check(
        &format!("{nodes}edges:\n  - split -> cuont\n"),
        &expect!["flow.yaml:10:5: there is no node `cuont`; did you mean `count`?"],
    );
    check(
        &format!("{nodes}edges:\n  - \"split -> count -> drp\"\n"),
        &expect!["flow.yaml:10:15: there is no node `drp`; did you mean `drop`?"],
    );
    check(&format!("{nodes}edges:\n  - {{ from: [split, x], to: count }}\n"), &expect!["flow.yaml:10:5: there is no node `x`"]);
    check(
        &format!("{nodes}edges:\n  - split -> count\n  - split -> count\n"),
        &expect!["flow.yaml:11:5: this edge is there twice; remove one"],
    );
    check(
        &format!("{nodes}edges:\n  - split ->\n"),
        &expect!["flow.yaml:10:5: `split ->` is no edge; write `a -> b` or `a -> b -> c`"],
    );
    check(
        &format!("{nodes}edges:\n  - split -> count -> split\n"),
        &expect![
            "flow.yaml:10:14: there is a cycle: split -> count -> split; a loop is a node that asks for another turn, not an edge back"
        ],
    );
    check(
        &format!("{nodes}edges:\n  - count -> split\n  - {{ from: [split], to: [drop, count] }}\n"),
        &expect![
            "flow.yaml:11:5: there is a cycle: count -> split -> count; a loop is a node that asks for another turn, not an edge back"
        ],
    );
    check(&format!("{nodes}edges:\n  - drop -> count\n"), &expect!["flow.yaml:10:5: a `discard` node has no successors"]);
    check(
        &format!("{nodes}edges:\n  - {{ from: split, to: count, queue: 0 }}\n"),
        &expect!["flow.yaml:10:5: `queue: 0` lets nothing pass; use 1 or more"],
    );
}

#[test]
fn routers_follow_edges() {
    let rest = "  a: { run: text/a }\n  b: { discard: true }\nedges:\n  - r -> a\n";
    check(
        &format!("nodes:\n  r: {{ route: [{{ when: \"payload.x >\", to: a }}] }}\n{rest}"),
        &expect![[r#"
        flow.yaml:6:24: `payload.x >` is not a CEL expression: ERROR: <input>:1:12: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
        | payload.x >
        | ...........^"#]],
    );
    check(
        &format!("nodes:\n  r: {{ route: [{{ when: \"paylod.x > 1\", to: a }}] }}\n{rest}"),
        &expect!["flow.yaml:6:24: `paylod.x > 1` names `paylod`; there are `payload`, `headers`, `meta` and `trace`"],
    );
    check(
        &format!("nodes:\n  r: {{ route: [{{ when: \"true\", to: b }}] }}\n{rest}"),
        &expect!["flow.yaml:6:36: there is no edge `r -> b`; add it under `edges`"],
    );
    check(
        &format!("nodes:\n  r: {{ route: [{{ when: \"true\", to: [a, c] }}] }}\n{rest}"),
        &expect!["flow.yaml:6:32: there is no node `c`"],
    );
    check(
        &format!("nodes:\n  r: {{ route: [{{ else: a }}, {{ when: \"true\", to: a }}] }}\n{rest}"),
        &expect!["flow.yaml:6:24: `else` takes all that is left, so it comes last"],
    );
    check(
        &format!("nodes:\n  r: {{ route: [{{ when: \"true\" }}] }}\n{rest}"),
        &expect!["flow.yaml:6:16: a rule is `{ when: CEL, to: NODE }` or, as the last one, `{ else: NODE }`"],
    );
    check(
        &format!("nodes:\n  r: {{ route: {{ by: kind, to: {{ x: a, y: z }} }} }}\n{rest}"),
        &expect!["flow.yaml:6:42: there is no node `z`"],
    );
    check(&format!("nodes:\n  r: {{ route: {{ by: kind, to: {{ x: a }}, else: a }} }}\n{rest}"), &expect!["fits"]);
}

#[test]
fn joins_name_what_they_gather() {
    let rest = "  a: { run: text/a }\nedges:\n  - a -> j\n";
    check(
        &format!("nodes:\n  j: {{ join: {{ all: b }} }}\n{rest}"),
        &expect!["flow.yaml:6:3: `all` names `b`, which is no node"],
    );
    check(
        &format!("nodes:\n  j: {{ join: {{ all: a, count: 2 }} }}\n{rest}"),
        &expect!["flow.yaml:6:8: a join is `{ all: NODE }`, `{ count: N }` or `{ from: [NODE, NODE] }`"],
    );
    check(
        &format!("nodes:\n  j: {{ join: {{ count: 0 }} }}\n{rest}"),
        &expect!["flow.yaml:6:3: `count: 0` would never wait; use 1 or more"],
    );
}

#[test]
fn joins_say_what_does_not_go_together() {
    let check_join = |join: &str, expect: &Expect| {
        let rest = "  a: { run: text/a }\n  b: { run: text/b }\nedges:\n  - { from: [a, b], to: j }\n";
        check(&format!("nodes:\n  j: {join}\n{rest}"), expect);
    };
    check_join("{ join: { from: [a, b], by: k, within: 1s, quorum: 1 } }", &expect!["fits"]);
    check_join("{ join: { all: a, within: 1s, quorum: 1, late: fail } }", &expect!["fits"]);
    check_join(
        "{ join: { count: 3, quorum: 1 }, on_incomplete: release }",
        &expect!["flow.yaml:6:54: `on_incomplete` and `quorum` say the same; keep `quorum`"],
    );
    check_join(
        "{ join: { count: 3, quorum: 4 } }",
        &expect!["flow.yaml:6:3: `quorum: 4` is never reached: the join takes 3 messages"],
    );
    check_join(
        "{ join: { from: [a, b], quorum: 3 } }",
        &expect!["flow.yaml:6:3: `quorum: 3` is never reached: the join takes 2 messages"],
    );
    check_join(
        "{ join: { from: [a] } }",
        &expect!["flow.yaml:6:3: `from` names the nodes of which one message each is gathered: two or more"],
    );
    check_join("{ join: { from: a } }", &expect!["flow.yaml:6:22: expected a list, found the text `a`"]);
    check_join(
        "{ join: { all: a, by: k } }",
        &expect!["flow.yaml:6:3: `by` belongs to a join that counts; `all` knows its members"],
    );
    check_join(
        "{ join: { count: 2, by: k. } }",
        &expect!["flow.yaml:6:30: `by` is the name of a field, or names with a `.` between them"],
    );
    check_join(
        "{ join: { count: 2, within: 1s, late: pass } }",
        &expect!["flow.yaml:6:3: `late` belongs to `all`: where messages are counted, a late one begins the next round"],
    );
    check_join(
        "{ join: { all: a, late: pass } }",
        &expect!["flow.yaml:6:30: without `within` the join waits for every message, so that none is late; add it"],
    );
    check_join(
        "{ join: { all: a, within: 0s } }",
        &expect!["flow.yaml:6:32: times are kept to the millisecond: give it 1ms or more, or leave it out"],
    );
    check_join(
        "{ join: { all: a, within: 5 } }",
        &expect!["flow.yaml:6:32: expected a duration such as 100ms, 2s or 5m, found the number 5"],
    );
    check_join(
        "{ join: { all: a, within: 5s, late: keep } }",
        &expect!["flow.yaml:6:42: unknown value `keep` (possible: drop, fail, pass)"],
    );
    check_join(
        "{ join: { all: a, qorum: 1 } }",
        &expect![
            "flow.yaml:6:24: unknown key `qorum`; did you mean `quorum`? (known here: all, count, from, by, within, quorum, late)"
        ],
    );
}

#[test]
fn what_is_no_flow_file() {
    check_with("", &[], &expect!["flow.yaml:1:1: a flow file is a map with `floe: 1`, `name` and `nodes`; this is nothing"]);
    check_with(
        "just text",
        &[],
        &expect!["flow.yaml:1:1: a flow file is a map with `floe: 1`, `name` and `nodes`; this is the text `just text`"],
    );
    check_with(
        "floe: 2\nname: test\nnodes: {}\n",
        &[],
        &expect!["flow.yaml:1:7: this host reads flow files of version 1, not 2"],
    );
    check_with(
        "floe: 1\nname: test\nnodes:\n  a: { run: [ }\n",
        &[],
        &expect!["flow.yaml:4:13: not valid YAML: mismatched bracket '[' closed by '}'"],
    );
    check_with(
        "floe: 1\nname: Test\nnodes:\n  a: { discard: true }\n",
        &[],
        &expect!["flow.yaml:2:7: names are made of a-z, 0-9, `_` and `-`, at most 64 of them"],
    );
    check_with(
        "floe: 1\n---\nfloe: 1\n",
        &[],
        &expect!["flow.yaml:3:1: not valid YAML: a file holds one document; remove `---` and what follows"],
    );
    check_with(
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *c]\n",
        &[],
        &expect!["flow.yaml:3:9: not valid YAML: alias references unknown anchor"],
    );
}

#[test]
fn overrides_take_the_place_of_values() {
    let flow = parse(GOOD, &["nodes.split.config.words=100", "edges.0=split -> score -> route", "nodes.score.policy.retries=5"]);
    let flow = flow.unwrap();
    let floe::file::Node::Run(split) = flow.file.nodes.get("split").unwrap() else { panic!("split runs") };
    assert_eq!(split.config, serde_json::json!({ "words": 100 }));
    let floe::file::Node::Run(score) = flow.file.nodes.get("score").unwrap() else { panic!("score runs") };
    assert_eq!(score.policy.retries, Some(5));
}

#[test]
fn overrides_are_checked_like_the_file() {
    check_with(
        GOOD,
        &["nodes.splt.config.words=1"],
        &expect![
            "--set:1:7: there is no `splt` under `nodes`; did you mean `split`? (there are: split, score, each, route, keep, drop, failed, gather, both, late)"
        ],
    );
    check_with(
        GOOD,
        &["nodes.split.confg.words=1"],
        &expect!["--set:1:13: unknown key `confg`; did you mean `config`? (known here: run, config, policy, reuse)"],
    );
    check_with(GOOD, &["nodes.split.run.x=1"], &expect!["--set:1:17: `run` is the text `text/split`; there is no `x` in it"]);
    check_with(
        GOOD,
        &["edges.9=a -> b"],
        &expect!["--set:1:7: `edges` is a list of 5; there is no position `9` in it (positions count from 0)"],
    );
    check_with(
        GOOD,
        &["budget.deadline=5"],
        &expect!["--set:1:17: expected a duration such as 100ms, 2s or 5m, found the number 5"],
    );
    check_with(
        GOOD,
        &["nodes.split"],
        &expect!["--set:1:1: `--set` takes PATH=VALUE (for example --set nodes.split.config.words=100)"],
    );
    check_with(GOOD, &["edges.0=split -> nowhere"], &expect!["--set:1:9: there is no node `nowhere`"]);
    check_with(
        GOOD,
        &["nodes.route.route.0.when=payload.score >"],
        &expect![[r#"
        --set:1:26: `payload.score >` is not a CEL expression: ERROR: <input>:1:16: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
        | payload.score >
        | ...............^"#]],
    );
    check_with(
        GOOD,
        &["nodes..x=1", "budget.hops=["],
        &expect![[r#"
        --set:1:7: a path is keys and positions with a `.` between them
        --set:1:13: the value is not valid YAML: unclosed bracket '['"#]],
    );
}

#[test]
fn a_problem_is_shown_in_its_lines() {
    let problems =
        parse("floe: 1\nname: test\nnodes:\n  a: { discard: true }\nedges:\n  - a -> bb\n", &["budget.hops=x"]).unwrap_err();
    expect![[r#"
        shown:
          × expected a whole number such as 1000 or 1e9, found the text `x`
           ╭─[--set:1:13]
         1 │ budget.hops=x
           ·             ┬
           ·             ╰── here
           ╰────
    "#]]
    .assert_eq(&format!("shown:\n{}", problems.render(false)));
    let problems = parse("floe: 1\nname: test\nnodes:\n  a: { discard: true }\n  a: { discard: true }\n", &[]).unwrap_err();
    expect![[r#"
        shown:
          × `a` is there twice; rename or remove one
           ╭─[flow.yaml:5:3]
         3 │ nodes:
         4 │   a: { discard: true }
           ·   ┬
           ·   ╰── the first one
         5 │   a: { discard: true }
           ·   ┬
           ·   ╰── here
           ╰────
    "#]]
    .assert_eq(&format!("shown:\n{}", problems.render(false)));
}

/// Loads a flow out of files and shows what is wrong with it, without the folder that they are in.
fn check_files(files: &[(&str, &str)], expect: &Expect) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let checked = Flow::load(&dir.path().join(files[0].0), &[]).and_then(|flow| Ok(flow.outline()?));
    let said = checked.map_or_else(|error| error.to_string(), |_| "fits".to_owned());
    expect.assert_eq(&said.replace(&format!("{}/", dir.path().display()), ""));
}

fn flow_with(subflows: &str, node: &str) -> String {
    format!("floe: 1\nname: test\nsubflows:\n  sub: {subflows}\nnodes:\n  s: {{ subflow: {node} }}\n")
}

const LEAF: &str = "floe: 1\nname: leaf\nnodes:\n  a: { route: [{ else: b }] }\n  b: { discard: true }\nedges: [a -> b]\n";

#[test]
fn subflows_are_files_or_folders() {
    let outer = flow_with("sub/inner.yaml", "sub");
    let inner = flow_with("../leaf", "sub");
    check_files(&[("flow.yaml", &outer), ("sub/inner.yaml", &inner), ("leaf/flow.yaml", LEAF)], &expect!["fits"]);
    check_files(
        &[("flow.yaml", &flow_with("leaf.yaml", "sbu")), ("leaf.yaml", LEAF)],
        &expect!["flow.yaml:6:17: there is no subflow `sbu` under `subflows`; did you mean `sub`?"],
    );
    check_files(
        &[("flow.yaml", &flow_with("laef.yaml", "sub"))],
        &expect![
            "flow.yaml:4:8: there is no `laef.yaml` (a subflow is a flow file or a folder with a `flow.yaml`, relative to this file)"
        ],
    );
    check_files(&[("flow.yaml", &flow_with("[leaf.yaml]", "sub"))], &expect!["flow.yaml:4:3: expected a text, found a list"]);
    check_files(
        &[("flow.yaml", "floe: 1\nname: test\nnodes:\n  s: { subflow: sub }\n")],
        &expect!["flow.yaml:4:17: there is no subflow `sub` under `subflows`"],
    );
    check(
        "nodes:\n  s: { subflow: sub, config: 1 }\n",
        &expect!["flow.yaml:6:22: unknown key `config` (known here: subflow, policy)"],
    );
}

#[test]
fn mistakes_of_a_subflow_have_their_places_in_its_own_file() {
    let outer = "floe: 1\nname: test\nsubflows:\n  one: sub\n  two: sub\n  three: none\nnodes:\n  s: { subflow: one }\n  t: { discard: true }\nedges: [s -> u]\n";
    let bad = "floe: 1\nname: bad\nnodes:\n  a: { rum: text/a }\n";
    check_files(
        &[("flow.yaml", outer), ("sub/flow.yaml", bad)],
        &expect![[r#"
            flow.yaml:6:10: there is no `none` (a subflow is a flow file or a folder with a `flow.yaml`, relative to this file)
            sub/flow.yaml:4:8: unknown key `rum`; did you mean `run`? (known here: run, route, join, map, subflow, agent, discard)"#]],
    );
    let bad = "floe: 1\nname: bad\nnodes:\n  a: { discard: true }\nedges: [a -> b]\nbudget: { hops: 0 }\n";
    let outer = outer.replace("  three: none\n", "");
    check_files(
        &[("flow.yaml", &outer), ("sub/flow.yaml", bad)],
        &expect![[r#"
        flow.yaml:9:9: there is no node `u`
        sub/flow.yaml:5:9: there is no node `b`
        sub/flow.yaml:6:17: with `hops` at 0 no trace can do anything; give it more, or leave it out"#]],
    );
}

#[test]
fn a_flow_does_not_contain_itself() {
    check_files(
        &[("a/flow.yaml", &flow_with("./flow.yaml", "sub"))],
        &expect![
            "a/flow.yaml:4:8: this flow would run itself: `a/flow.yaml` -> `a/flow.yaml` (a loop is a node that asks for another turn)"
        ],
    );
    let (to_b, to_c, to_b_again) = (flow_with("b", "sub"), flow_with("../c", "sub"), flow_with("../b", "sub"));
    check_files(
        &[("a.yaml", &to_b), ("b/flow.yaml", &to_c), ("c/flow.yaml", &to_b_again)],
        &expect![
            "b/../c/flow.yaml:4:8: this flow would run itself: `b/flow.yaml` -> `c/flow.yaml` -> `b/flow.yaml` (a loop is a node that asks for another turn)"
        ],
    );
}

#[test]
fn subflows_nest_only_so_deep_and_are_only_so_many() {
    let files = |deep: usize, times: usize| {
        let name = |n: usize| format!("f{n}.yaml");
        let names = |n: usize| (0..times).map(|k| format!("\n  s{k}: {}", name(n + 1))).collect::<String>();
        let flow = |n| format!("floe: 1\nname: test\nsubflows:{}\nnodes:\n  s: {{ subflow: s0 }}\n", names(n));
        let mut files: Vec<(String, String)> = (0..deep).map(|n| (name(n), flow(n))).collect();
        files.push((name(deep), LEAF.to_owned()));
        files
    };
    let check = |files: &[(String, String)], expect: &Expect| {
        check_files(&files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect::<Vec<_>>(), expect);
    };
    check(&files(floe::flow::MAX_DEPTH, 1), &expect!["fits"]);
    check(
        &files(floe::flow::MAX_DEPTH + 1, 1),
        &expect!["f16.yaml:4:7: subflows are nested more than 16 deep here; a call so deep would be refused"],
    );
    check(&files(7, 2), &expect!["fits"]);
    check(&files(10, 3), &expect!["f9.yaml:5:7: these are more than 256 flows within one, however deep; run some of them apart"]);
}

#[test]
fn plugins_are_granted_subflows_that_the_flow_has() {
    let flow = |grant: &str| {
        format!(
            "floe: 1\nname: test\nplugins:\n  p: {{ source: p.wasm, grants: {{ subflow: {grant} }} }}\nsubflows:\n  sub: leaf.yaml\nnodes:\n  n: {{ run: p/n }}\n"
        )
    };
    check_files(&[("flow.yaml", &flow("[sub]")), ("leaf.yaml", LEAF)], &expect!["fits"]);
    check_files(
        &[("flow.yaml", &flow("[sub, sbu]")), ("leaf.yaml", LEAF)],
        &expect!["flow.yaml:4:49: there is no subflow `sbu` under `subflows`; did you mean `sub`?"],
    );
    check_files(
        &[("flow.yaml", &flow("sub")), ("leaf.yaml", LEAF)],
        &expect!["flow.yaml:4:43: expected a list, found the text `sub`"],
    );
    check_files(
        &[("flow.yaml", &flow("[1]")), ("leaf.yaml", LEAF)],
        &expect!["flow.yaml:4:44: expected a text, found the number 1"],
    );
}

#[test]
fn routes_may_stand_in_a_file() {
    let flow = |route: &str| {
        format!(
            "floe: 1\nname: test\nnodes:\n  r: {{ route: {route} }}\n  a: {{ discard: true }}\n  b: {{ discard: true }}\nedges: [r -> a, r -> b]\n"
        )
    };
    let routed = flow("{ by: kind, from_file: routes.json }");
    let check = |table: &str, expect: &Expect| check_files(&[("flow.yaml", &routed), ("routes.json", table)], expect);
    check("{ \"x\": \"a\", \"y\": [\"a\", \"b\"] }", &expect!["fits"]);
    check("{}", &expect!["fits"]);
    check("{ \"x\": \"c\" }", &expect!["flow.yaml:4:38: `x` goes to `c`, which is no successor of this router"]);
    check(
        "{ \"x\": 1 }",
        &expect![[
            r#"flow.yaml:4:38: `routes.json` is no table of routes: invalid type: integer `1`, expected the name of a node or a list of names at line 1 column 8; it is a JSON object such as {"VALUE": "NODE", "OTHER": ["NODE", "NODE"]}"#
        ]],
    );
    check(
        "[\"a\"]",
        &expect![[
            r#"flow.yaml:4:38: `routes.json` is no table of routes: invalid type: sequence, expected a map at line 1 column 0; it is a JSON object such as {"VALUE": "NODE", "OTHER": ["NODE", "NODE"]}"#
        ]],
    );
    check(
        "{ \"x\": \"a\", \"x\": \"b\" }",
        &expect!["flow.yaml:4:38: `routes.json` is no table of routes: `x` is there twice; remove one"],
    );
    check(&" ".repeat(2 << 20), &expect!["flow.yaml:4:38: `routes.json` has more than 1048576 bytes, which no table needs"]);
    check_files(
        &[("flow.yaml", &routed)],
        &expect!["flow.yaml:4:38: cannot read the routes in `routes.json`: No such file or directory (os error 2)"],
    );
    check_files(
        &[("flow.yaml", &routed), ("routes.json/x", "")],
        &expect!["flow.yaml:4:38: cannot read the routes in `routes.json`: it is no file"],
    );
    let both = flow("{ by: kind, from_file: routes.json, to: { x: a } }");
    check_files(
        &[("flow.yaml", &both), ("routes.json", "{}")],
        &expect!["flow.yaml:4:8: the routes are in `to`, `from_file` or `from_env`; keep one of them"],
    );
    let none = flow("{ by: kind, from_env: FLOE_TEST_NO_SUCH_ROUTES }");
    check_files(
        &[("flow.yaml", &none)],
        &expect![[
            r#"flow.yaml:4:37: there is no `FLOE_TEST_NO_SUCH_ROUTES` in the environment; set it to a JSON object such as {"VALUE": "NODE", "OTHER": ["NODE", "NODE"]}"#
        ]],
    );
    check_files(
        &[("flow.yaml", &flow("{ by: headers.tenat, to: { x: a } }"))],
        &expect![
            "flow.yaml:4:21: `headers.tenat` is no header; there are `headers.tenant`, `headers.topic` and `headers.priority`, and the payload's own is `payload.headers.tenat`"
        ],
    );
    check_files(&[("flow.yaml", &flow("{ by: headers.tenant, to: { x: a } }"))], &expect!["fits"]);
    check_files(&[("flow.yaml", &flow("{ by: trace, to: { x: a }, else: b }"))], &expect!["fits"]);
}

/// The schema that editors check with and the parser take and refuse the same numbers.
#[test]
fn the_schema_refuses_the_numbers_that_the_parser_refuses() {
    let whole = json!({
        "floe": 1, "name": "x", "plugins": { "p": { "source": ".", "limits": {} } }, "budget": {},
        "nodes": {
            "a": { "run": "p/a", "policy": {} }, "m": { "map": "p/a" }, "j": { "join": { "count": 2 } },
        },
        "edges": [{ "from": "a", "to": "j" }],
    });
    let schema = floe_flow::Schema::compile(&floe::schema::flow()).unwrap();
    let times = (
        json!(["1ms", "1.5 ms", "1000us", "0.001s", "00.0010s", "1.m", ".5h", "999999999999999h"]),
        json!(["0s", "0.0h", "0.9ms", ".5ms", "999us", "500.5µs", "0.0005s", "1.2.3s", ".s", "5", "s", "-1s", "1e3s", "1d", 5]),
    );
    let sizes = (
        json!([1, "1B", "1.0B", "64MiB", "1.5MiB", "0.5KiB", "1 GB", "999999GiB"]),
        json!([-1, 1.5, "1.5B", "1.2.3MiB", "64", "64mib", ".MiB", "9999999999GiB", "9999999999999999999B"]),
    );
    let counts = (json!([1, 1000, 1e9, 9e15]), json!([-1, 1.5, 1e18, "1", "many"]));
    let small = |from: u32| (json!([from, 1000]), json!([i64::from(from) - 1, 1.5, "1"]));
    let u32s = (json!([4_294_967_295_u32]), json!([-1, 1.5, 4_294_967_296_u64]));
    let none = |values: &[Value]| (json!([]), json!(values));
    for (place, key, (good, bad)) in [
        ("/budget", "deadline", times.clone()),
        ("/nodes/a/policy", "timeout", times.clone()),
        ("/nodes/j/join", "within", times),
        ("/nodes/a/policy", "backoff", (json!(["0s", "1us", { "factor": 1 }]), json!(["1.2.3s", { "factor": 0.99 }, 5]))),
        ("/budget", "payload", sizes.clone()),
        ("/budget", "payload", none(&[json!(0), json!("0B"), json!("0.0 KiB")])),
        ("/plugins/p/limits", "memory", sizes),
        ("/budget", "hops", counts.clone()),
        ("/budget", "tokens", none(&[json!(0)])),
        ("/budget", "fuel", none(&[json!(0)])),
        ("/budget", "messages", none(&[json!(0)])),
        ("/plugins/p/limits", "fuel", counts),
        ("/plugins/p/limits", "tables", u32s.clone()),
        ("/nodes/a/policy", "retries", u32s.clone()),
        ("/nodes/a/policy", "turns", u32s.clone()),
        ("/nodes/a", "reuse", u32s),
        ("/nodes/a", "reuse", small(1)),
        ("/nodes/a/policy", "concurrency", small(1)),
        ("/nodes/m", "concurrency", small(1)),
        ("/nodes/j/join", "count", small(1)),
        ("/edges/0", "queue", small(1)),
    ] {
        for (values, fits) in [(good, true), (bad, false)] {
            for value in values.as_array().unwrap() {
                let mut flow = whole.clone();
                flow.pointer_mut(place).unwrap()[key] = value.clone();
                let parsed = parse(&flow.to_string(), &[]);
                let said = parsed.as_ref().err().map(ToString::to_string);
                assert_eq!(parsed.is_ok(), fits, "the parser: {place}/{key}: {value}: {said:?}");
                assert_eq!(schema.check(&flow).is_ok(), fits, "the schema: {place}/{key}: {value}");
            }
        }
    }
}

#[test]
fn grants_are_typed() {
    let flow = |grants: &str| {
        format!("floe: 1\nname: test\nplugins:\n  p: {{ source: p.wasm, grants: {{ {grants} }} }}\nnodes:\n  n: {{ run: p/n }}\n")
    };
    let check = |grants: &str, expect: &Expect| check_files(&[("flow.yaml", &flow(grants))], expect);
    for fits in [
        "state: { space: notes, bytes: 64KiB }, random: true, files: [{ dir: ./data, as: /data }]",
        "state: { space: notes }, random: false, files: []",
        "clock: { resolution: 1ns }",
        "clock: { resolution: 1h }",
        "clock: { fixed: 2024-02-29T23:59:59.123456789Z }",
    ] {
        check(fits, &expect!["fits"]);
    }
    check("state: notes", &expect!["flow.yaml:4:41: expected a map, found the text `notes`"]);
    check("state: { bytes: 1MiB }", &expect!["flow.yaml:4:34: `space` is missing"]);
    check("random: 1", &expect!["flow.yaml:4:42: expected `true` or `false`, found the number 1"]);
    check("files: [./data]", &expect!["flow.yaml:4:42: expected a map, found the text `./data`"]);
    check(
        "files: [{ dir: ./data, as: /data, write: true }]",
        &expect!["flow.yaml:4:68: unknown key `write` (known here: dir, as)"],
    );
    check("clock: {}", &expect!["flow.yaml:4:34: a clock has either a `resolution` or a time at which it is `fixed`"]);
    check(
        "clock: { resolution: 1ms, fixed: 2026-01-01T00:00:00Z }",
        &expect!["flow.yaml:4:34: a clock has either a `resolution` or a time at which it is `fixed`"],
    );
    for moment in [
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+01:00",
        "2026-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:60Z",
        "2026-1-1T00:00:00Z",
        "2026-01-01T00:00:00.Z",
        "+026-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
    ] {
        let problems = parse(&flow(&format!("clock: {{ fixed: '{moment}' }}")), &[]).map(|_| ()).unwrap_err().to_string();
        let says = format!("`{moment}` is no moment; write date and time in UTC: 2026-01-01T00:00:00Z");
        assert!(problems.ends_with(&says), "{problems}");
    }
}
