//! Drawings: the whole text, for every kind of node and edge.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::path::PathBuf;

use expect_test::{Expect, expect};
use floe::cli::VizFormat;
use floe::file::{Flow, Texts};

fn check(text: &str, format: VizFormat, expect: &Expect) {
    let texts = Texts { path: "flow.yaml".to_owned(), text: text.into(), sets: Vec::new() };
    let flow = Flow::parse(texts, PathBuf::from(".")).unwrap();
    expect.assert_eq(&floe::viz::draw(&flow, format).unwrap());
}

const EVERY_KIND: &str = r#"floe: 1
name: every-kind
plugins: { text: { source: text.wasm } }
nodes:
  split:  { run: text/split, policy: { on_failure: { to: failed } } }
  each:   { map: text/count }
  route:  { route: [ { when: 'payload.name == "a|b" && payload.n < 3', to: [keep, drop] }, { else: drop } ] }
  keep:   { run: text/pass }
  drop:   { discard: true }
  gather: { join: { all: split } }
  input:  { route: { by: kind, to: { x: output }, else: n0 }, policy: { on_failure: drop } }
  output: { run: text/pass }
  n0:     { join: { count: 2 } }
  failed: { run: text/pass }
edges:
  - split -> each -> route -> keep -> gather
  - route -> drop
  - input -> output
  - input -> n0
"#;

#[test]
fn every_kind_in_mermaid() {
    check(
        EVERY_KIND,
        VizFormat::Mermaid,
        &expect![[r#"
        ---
        title: "every-kind"
        ---
        flowchart LR
            input(["input"])
            n0["split<br/>text/split"]
            n1[["each<br/>map text/count"]]
            n2{"route<br/>first match"}
            n3["keep<br/>text/pass"]
            n4>"drop<br/>discard"]
            n5[/"gather<br/>join all of split"\]
            n6{"input<br/>by kind"}
            n7["output<br/>text/pass"]
            n8[/"n0<br/>join 2"\]
            n9["failed<br/>text/pass"]
            output(["output"])
            input --> n0
            input --> n6
            n0 --> n1
            n1 --> n2
            n2 -->|"payload.name == #34;a|b#34; #38;#38; payload.n #60; 3"| n3
            n3 --> n5
            n2 -->|"payload.name == #34;a|b#34; #38;#38; payload.n #60; 3 or else"| n4
            n6 -->|"kind = x"| n7
            n6 -->|"else"| n8
            n0 -.->|"failure"| n9
            n5 --> output
            n7 --> output
            n8 --> output
            n9 --> output
    "#]],
    );
}

#[test]
fn every_kind_in_dot() {
    check(
        EVERY_KIND,
        VizFormat::Dot,
        &expect![[r#"
        digraph "every-kind" {
            rankdir=LR;
            node [fontname="sans-serif"];
            input [label="input", shape=oval];
            n0 [label="split\ntext/split", shape=box];
            n1 [label="each\nmap text/count", shape=box3d];
            n2 [label="route\nfirst match", shape=diamond];
            n3 [label="keep\ntext/pass", shape=box];
            n4 [label="drop\ndiscard", shape=octagon];
            n5 [label="gather\njoin all of split", shape=trapezium];
            n6 [label="input\nby kind", shape=diamond];
            n7 [label="output\ntext/pass", shape=box];
            n8 [label="n0\njoin 2", shape=trapezium];
            n9 [label="failed\ntext/pass", shape=box];
            output [label="output", shape=oval];
            input -> n0;
            input -> n6;
            n0 -> n1;
            n1 -> n2;
            n2 -> n3 [label="payload.name == \"a|b\" && payload.n < 3"];
            n3 -> n5;
            n2 -> n4 [label="payload.name == \"a|b\" && payload.n < 3 or else"];
            n6 -> n7 [label="kind = x"];
            n6 -> n8 [label="else"];
            n0 -> n9 [label="failure", style=dashed];
            n5 -> output;
            n7 -> output;
            n8 -> output;
            n9 -> output;
        }
    "#]],
    );
}

#[test]
fn a_field_names_successors_that_are_not_listed() {
    let flow = "floe: 1\nname: field\nnodes:\n  r: { route: { by: a.b, to: { \"1\": x, '\"\\': x } } }\n  x: { discard: true }\n  y: { discard: true }\nedges: [r -> x, r -> y]\n";
    check(
        flow,
        VizFormat::Mermaid,
        &expect![[r#"
        ---
        title: "field"
        ---
        flowchart LR
            input(["input"])
            n0{"r<br/>by a.b"}
            n1>"x<br/>discard"]
            n2>"y<br/>discard"]
            input --> n0
            n0 -->|"a.b = 1 or a.b = #34;#92; or a.b = x"| n1
            n0 -->|"a.b = y"| n2
    "#]],
    );
    check(
        flow,
        VizFormat::Dot,
        &expect![[r#"
        digraph "field" {
            rankdir=LR;
            node [fontname="sans-serif"];
            input [label="input", shape=oval];
            n0 [label="r\nby a.b", shape=diamond];
            n1 [label="x\ndiscard", shape=octagon];
            n2 [label="y\ndiscard", shape=octagon];
            input -> n0;
            n0 -> n1 [label="a.b = 1 or a.b = \"\\ or a.b = x"];
            n0 -> n2 [label="a.b = y"];
        }
    "#]],
    );
}
