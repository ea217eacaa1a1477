//! What a graph refuses, and in what order it does what it does.

use expect_test::{Expect, expect};
use floe_flow::graph::Builder;
use floe_flow::{Graph, Join, Kind, OnFailure, Policy, Schema};
use serde_json::json;

use crate::support::{chain, compute, echo, outputs, policy, problems, start};

#[expect(clippy::needless_pass_by_value, reason = "expect![] makes values")]
fn check(build: impl FnOnce(&mut Builder), expected: Expect) {
    let mut graph = Graph::builder("test");
    graph.run("a", echo(), policy()).run("b", echo(), policy()).run("c", echo(), policy());
    build(&mut graph);
    expected.assert_eq(&problems(graph));
}

#[test]
fn wrong_graphs_are_refused_with_place_and_remedy() {
    check(
        |g| {
            g.chain(&["a", "bb"]);
        },
        expect!["edge `a -> bb`: there is no node `bb`; did you mean `b`?"],
    );
    check(
        |g| {
            g.run("a", echo(), policy());
        },
        expect!["node `a`: there are two nodes with this name; rename one"],
    );
    check(
        |g| {
            g.run("A b", echo(), policy());
        },
        expect!["node `A b`: names are made of a-z, 0-9, `_` and `-`, at most 64 of them"],
    );
    check(
        |g| {
            g.chain(&["a", "b", "c", "a"]);
        },
        expect!["flow: there is a cycle: a -> b -> c -> a; a loop is a node that asks for another turn, not an edge back"],
    );
    check(
        |g| {
            g.chain(&["a", "a"]);
        },
        expect!["flow: there is a cycle: a -> a; a loop is a node that asks for another turn, not an edge back"],
    );
    check(
        |g| {
            g.chain(&["a", "b"]).chain(&["a", "b"]);
        },
        expect!["edge `a -> b`: this edge is there twice; remove one"],
    );
    check(
        |g| {
            g.edge("a", "b", 0);
        },
        expect!["edge `a -> b`: `queue: 0` lets nothing pass; use 1 or more"],
    );
}

#[test]
fn wrong_nodes_are_refused_with_place_and_remedy() {
    check(
        |g| {
            g.node("d", Kind::Discard, policy()).chain(&["d", "a"]);
        },
        expect!["edge `d -> a`: a `discard` node has no successors"],
    );
    check(
        |g| {
            g.run("d", echo(), Policy::with_concurrency(0));
        },
        expect!["node `d`: `concurrency: 0` would never run; use 1 or more"],
    );
    check(
        |g| {
            g.run("d", echo(), Policy { on_failure: OnFailure::To("e".into()), ..policy() });
        },
        expect!["node `d`: `on_failure` names `e`, which is no node"],
    );
    check(
        |g| {
            g.run("d", echo(), Policy { on_failure: OnFailure::To("a".into()), ..policy() }).chain(&["a", "d"]);
        },
        expect!["flow: there is a cycle: a -> d -> a; a loop is a node that asks for another turn, not an edge back"],
    );
}

#[test]
fn wrong_joins_are_refused() {
    let all = |of: &str| Kind::Join(Join::all_of(of));
    check(
        |g| {
            g.node("j", all("x"), policy());
        },
        expect!["node `j`: `all` names `x`, which is no node"],
    );
    check(
        |g| {
            g.node("j", all("a"), policy()).chain(&["b", "j"]);
        },
        expect!["node `j`: no message of `a` can get here; it must be a running node ahead of this join"],
    );
    let none = Kind::Join(Join::count(0));
    check(
        |g| {
            g.node("j", none, policy());
        },
        expect!["node `j`: `count: 0` would never wait; use 1 or more"],
    );
    expect!["flow: it has no nodes; add one under `nodes`"].assert_eq(&problems(Graph::builder("empty")));
}

#[test]
fn edges_whose_schemas_cannot_meet_are_refused() {
    let check = |output: serde_json::Value, input: serde_json::Value, expected: Expect| {
        let mut graph = Graph::builder("test");
        let node = |input, output| Kind::Run { invoke: echo(), input, output, repeatable: true };
        graph.node("from", node(None, Some(Schema::compile(&output).unwrap())), policy());
        graph.node("to", node(Some(Schema::compile(&input).unwrap()), None), policy());
        graph.chain(&["from", "to"]);
        expected.assert_eq(&graph.build().map_or_else(|problems| problems[0].to_string(), |_| "fits".to_owned()));
    };
    check(
        json!({"type": "string"}),
        json!({"type": "object"}),
        expect!["edge `from -> to`: nothing that `from` gives can fit what `to` takes: string is never object"],
    );
    check(
        json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}}),
        json!({"type": "object", "properties": {"n": {"type": "string"}}, "required": ["n"]}),
        expect!["edge `from -> to`: nothing that `from` gives can fit what `to` takes: property `n`: integer is never string"],
    );
    check(
        json!({"type": "object", "properties": {}, "additionalProperties": false}),
        json!({"type": "object", "required": ["n"]}),
        expect!["edge `from -> to`: nothing that `from` gives can fit what `to` takes: property `n` is required and never given"],
    );
    check(
        json!({"enum": ["a", "b"]}),
        json!({"const": "c"}),
        expect![
            "edge `from -> to`: nothing that `from` gives can fit what `to` takes: their lists of allowed values have none in common"
        ],
    );
    // An optional property need not be there, an integer is a number, and what is not known may fit.
    check(
        json!({"type": "object", "properties": {"n": {"type": "integer"}}}),
        json!({"type": "object", "properties": {"n": {"type": "string"}}}),
        expect!["fits"],
    );
    check(json!({"type": "integer"}), json!({"type": "number"}), expect!["fits"]);
    check(json!({"const": 1}), json!({"const": 1.0}), expect!["fits"]);
    check(json!({"const": {"a": [1.0]}}), json!({"enum": [{"a": [1]}]}), expect!["fits"]);
    check(json!({"anyOf": [{"type": "string"}]}), json!({"type": "object"}), expect!["fits"]);
}

#[test]
fn comparing_schemas_ends() {
    // Each of thirty properties is of the same kind: 30^8 pairs.
    let properties: serde_json::Map<String, serde_json::Value> =
        (0..30).map(|n| (format!("p{n}"), json!({"$ref": "#"}))).collect();
    let required: Vec<&String> = properties.keys().collect();
    let schema = Schema::compile(&json!({"type": "object", "properties": properties, "required": required}));
    let schema = Some(schema.unwrap());
    let mut graph = Graph::builder("test");
    graph.node("from", Kind::Run { invoke: echo(), input: None, output: schema.clone(), repeatable: true }, policy());
    graph.node("to", Kind::Run { invoke: echo(), input: schema, output: None, repeatable: true }, policy());
    graph.chain(&["from", "to"]);
    assert!(graph.build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_message_passes_through_a_chain() {
    let add = || compute(|value| json!(value.as_i64().unwrap() + 1));
    let flow = start(chain(&[("a", add()), ("b", add()), ("c", add())]));
    assert_eq!(outputs(&flow, json!(1)).await, [json!(4)]);
}

#[tokio::test(start_paused = true)]
async fn several_inputs_and_outputs_each_see_the_message() {
    let mut graph = Graph::builder("test");
    for name in ["a", "b"] {
        graph.run(name, compute(move |_| json!(name)), policy());
    }
    assert_eq!(outputs(&start(graph), json!(null)).await, [json!("a"), json!("b")]);
}
