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
  keep:   { run: text/pass, policy: { turns: 5 } }
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
                input -->|"ingress"| n0
                input -->|"ingress"| n6
                n0 --> n1
                n1 --> n2
                n2 -->|"payload.name == #34;a|b#34; #38;#38; payload.n #60; 3"| n3
                n3 --> n5
                n2 -->|"payload.name == #34;a|b#34; #38;#38; payload.n #60; 3 or else"| n4
                n6 -->|"kind = x"| n7
                n6 -->|"else"| n8
                n0 -.->|"failure"| n9
                n3 -->|"loop: up to 5 turns"| n3
                n5 -->|"egress"| output
                n7 -->|"egress"| output
                n8 -->|"egress"| output
                n9 -->|"egress"| output
                classDef endpoint fill:#e0f2fe,stroke:#0369a1,stroke-width:1px
                class input,output endpoint
                classDef controller_loop fill:#fef3c7,stroke:#b45309,stroke-width:1px
                class n3 controller_loop
        "#]],
    );
}

#[test]
fn every_kind_in_dot() {
    check(
        EVERY_KIND,
        VizFormat::Dot,
        &expect![[r##"
            digraph "every-kind" {
                rankdir=LR;
                node [fontname="sans-serif"];
                input [label="input", shape=oval, style=filled, fillcolor="#e0f2fe", color="#0369a1"];
                n0 [label="split\ntext/split", shape=box];
                n1 [label="each\nmap text/count", shape=box3d];
                n2 [label="route\nfirst match", shape=diamond];
                n3 [label="keep\ntext/pass", shape=box, style=filled, fillcolor="#fef3c7", color="#b45309"];
                n4 [label="drop\ndiscard", shape=octagon];
                n5 [label="gather\njoin all of split", shape=trapezium];
                n6 [label="input\nby kind", shape=diamond];
                n7 [label="output\ntext/pass", shape=box];
                n8 [label="n0\njoin 2", shape=trapezium];
                n9 [label="failed\ntext/pass", shape=box];
                output [label="output", shape=oval, style=filled, fillcolor="#e0f2fe", color="#0369a1"];
                input -> n0 [label="ingress"];
                input -> n6 [label="ingress"];
                n0 -> n1;
                n1 -> n2;
                n2 -> n3 [label="payload.name == \"a|b\" && payload.n < 3"];
                n3 -> n5;
                n2 -> n4 [label="payload.name == \"a|b\" && payload.n < 3 or else"];
                n6 -> n7 [label="kind = x"];
                n6 -> n8 [label="else"];
                n0 -> n9 [label="failure", style=dashed];
                n3 -> n3 [label="loop: up to 5 turns"];
                n5 -> output [label="egress"];
                n7 -> output [label="egress"];
                n8 -> output [label="egress"];
                n9 -> output [label="egress"];
            }
        "##]],
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
                input -->|"ingress"| n0
                n0 -->|"a.b = 1 or a.b = #34;#92; or a.b = x"| n1
                n0 -->|"a.b = y"| n2
                classDef endpoint fill:#e0f2fe,stroke:#0369a1,stroke-width:1px
                class input endpoint
        "#]],
    );
    check(
        flow,
        VizFormat::Dot,
        &expect![[r##"
            digraph "field" {
                rankdir=LR;
                node [fontname="sans-serif"];
                input [label="input", shape=oval, style=filled, fillcolor="#e0f2fe", color="#0369a1"];
                n0 [label="r\nby a.b", shape=diamond];
                n1 [label="x\ndiscard", shape=octagon];
                n2 [label="y\ndiscard", shape=octagon];
                input -> n0 [label="ingress"];
                n0 -> n1 [label="a.b = 1 or a.b = \"\\ or a.b = x"];
                n0 -> n2 [label="a.b = y"];
            }
        "##]],
    );
}

fn svg(text: &str) -> String {
    let texts = Texts { path: "flow.yaml".to_owned(), text: text.into(), sets: Vec::new() };
    let flow = Flow::parse(texts, PathBuf::from(".")).unwrap();
    let drawing = floe::viz::draw(&flow, VizFormat::Svg).unwrap();
    assert_eq!(floe::viz::draw(&flow, VizFormat::Svg).unwrap(), drawing, "the same at every call");
    assert_is_plain(&drawing);
    drawing
}

/// Every element is closed and one of those that only draw, and every character is one that XML can carry.
fn assert_is_plain(drawing: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut parts = drawing.split('<');
    assert_eq!(parts.next(), Some(""));
    for part in parts {
        let (tag, text) = part.split_once('>').unwrap();
        assert!(!text.contains('>'), "{text}");
        assert!(
            text.split('&').skip(1).all(|rest| ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|name| rest.starts_with(name)))
        );
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        assert!(["svg", "title", "defs", "marker", "path", "rect", "polygon", "line", "text"].contains(&name), "{name}");
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(drawing.chars().all(|char| char == '\n' || !(char.is_control() || "\u{fffe}\u{202e}".contains(char))));
}

fn texts(drawing: &str) -> Vec<&str> {
    drawing.lines().filter_map(|line| line.strip_suffix("</text>")?.rsplit('>').next()).collect()
}

#[test]
fn every_kind_as_a_picture() {
    let drawing = svg(EVERY_KIND);
    let mut texts = texts(&drawing);
    texts.sort_unstable();
    expect![[r#"
        [
            "by kind",
            "discard",
            "drop",
            "each",
            "else",
            "failed",
            "failure",
            "first match",
            "gather",
            "input",
            "input",
            "join 2",
            "join all of split",
            "keep",
            "kind = x",
            "loop: up to 5 turns",
            "map text/count",
            "n0",
            "output",
            "output",
            "payload.n &lt; 3",
            "payload.n &lt; 3 or else",
            "payload.name == &quot;a|b&quot; &amp;&amp;",
            "payload.name == &quot;a|b&quot; &amp;&amp;",
            "route",
            "split",
            "text/pass",
            "text/pass",
            "text/pass",
            "text/split",
        ]
    "#]]
    .assert_debug_eq(&texts);
    let count = |element: &str| drawing.matches(element).count();
    // Two inputs, eight edges, four outputs, the loop, and the head of an arrow.
    assert_eq!(count("<path"), 2 + 8 + 4 + 1 + 1);
    assert_eq!(count("stroke-dasharray"), 1);
}

#[test]
fn a_small_picture_whole() {
    expect![[r##"
        <svg xmlns="http://www.w3.org/2000/svg" width="519" height="72" viewBox="-12 -12 519 72" font-family="sans-serif" font-size="13" text-anchor="middle">
        <title>small</title>
        <defs><marker id="arrow" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto"><path d="M0,0 L9,4 L0,8 z" fill="#334155"/></marker></defs>
        <rect x="-12" y="-12" width="519" height="72" fill="#ffffff"/>
        <path d="M85.5,24 H85.5 C107.5,24 107.5,24 129.5,24 H129.5" fill="none" stroke="#334155" marker-end="url(#arrow)"/>
        <path d="M207.5,24 H207.5 C229.5,24 229.5,24 251.5,24 H350.5 C372.5,24 372.5,24 394.5,24 H406.5" fill="none" stroke="#334155" marker-end="url(#arrow)"/>
        <rect x="251.5" y="15" width="99" height="18" fill="#ffffff"/>
        <text x="301" y="28" font-size="11" fill="#475569">k = x or k = b</text>
        <polygon points="141.5,0 195.5,0 207.5,24 195.5,48 141.5,48 129.5,24" fill="#fef9c3" stroke="#854d0e"/>
        <text x="168.5" y="19" fill="#0f172a">a</text>
        <text x="168.5" y="37" fill="#0f172a">by k</text>
        <polygon points="394.5,0 495,0 495,48 394.5,48 406.5,24" fill="#f1f5f9" stroke="#64748b"/>
        <text x="444.8" y="19" fill="#0f172a">b</text>
        <text x="444.8" y="37" fill="#0f172a">discard</text>
        <rect x="0" y="9" width="85.5" height="30" rx="15" fill="#e0f2fe" stroke="#0369a1"/>
        <text x="42.8" y="28" fill="#0f172a">input</text>
        </svg>
    "##]].assert_eq(&svg(
        "floe: 1\nname: small\nnodes: { a: { route: { by: k, to: { x: b } } }, b: { discard: true } }\nedges: [a -> b]\n",
    ));
}

#[test]
fn hostile_labels_stay_text() {
    let value = r#""</text><script>alert('1')</script>&amp;\u0007\uFFFE\u202e""#;
    let flow = format!(
        "floe: 1\nname: hostile\nnodes:\n  r: {{ route: {{ by: a, to: {{ {value}: x }}, else: x }} }}\n  x: {{ discard: true }}\nedges: [r -> x]\n"
    );
    let drawing = svg(&flow);
    assert!(drawing.contains("&lt;script&gt;") && !drawing.contains("<script"), "{drawing}");
    let long = "x".repeat(800);
    let drawing = svg(&flow.replace(value, &long));
    assert!(texts(&drawing).iter().all(|text| text.chars().count() <= 31));
}

#[test]
fn a_large_flow_is_drawn() {
    let names: Vec<String> = (0..150).map(|n| format!("n{n}")).collect();
    let nodes: Vec<String> = names.iter().map(|name| format!("  {name}: {{ route: {{ by: a, to: {{}} }} }}")).collect();
    let mut edges = Vec::new();
    for (index, name) in names.iter().enumerate() {
        edges.extend(
            [index + 1, index * 2 + 1, index + 40].iter().filter_map(|to| names.get(*to)).map(|to| format!("  - {name} -> {to}")),
        );
    }
    edges.sort_unstable();
    edges.dedup();
    let drawing = svg(&format!("floe: 1\nname: large\nnodes:\n{}\nedges:\n{}\n", nodes.join("\n"), edges.join("\n")));
    assert!(names.iter().all(|name| drawing.contains(&format!(">{name}</text>"))));
}

#[test]
fn a_subflow_has_its_own_mark() {
    let flow = "floe: 1\nname: calls\nsubflows: { inner: inner.yaml }\nnodes:\n  s: { subflow: inner }\n";
    check(
        flow,
        VizFormat::Mermaid,
        &expect![[r#"
            ---
            title: "calls"
            ---
            flowchart LR
                input(["input"])
                n0{{"s<br/>flow inner"}}
                output(["output"])
                input -->|"ingress"| n0
                n0 -->|"egress"| output
                classDef endpoint fill:#e0f2fe,stroke:#0369a1,stroke-width:1px
                class input,output endpoint
        "#]],
    );
    check(
        flow,
        VizFormat::Dot,
        &expect![[r##"
            digraph "calls" {
                rankdir=LR;
                node [fontname="sans-serif"];
                input [label="input", shape=oval, style=filled, fillcolor="#e0f2fe", color="#0369a1"];
                n0 [label="s\nflow inner", shape=component];
                output [label="output", shape=oval, style=filled, fillcolor="#e0f2fe", color="#0369a1"];
                input -> n0 [label="ingress"];
                n0 -> output [label="egress"];
            }
        "##]],
    );
    let drawing = svg(flow);
    assert_eq!((texts(&drawing), drawing.matches("<rect").count()), (vec!["s", "flow inner", "input", "output"], 5));
}
