//! What a graph refuses, and in what order it does what it does.

use expect_test::{Expect, expect};
use floe_flow::graph::Builder;
use floe_flow::{Flow, Graph, Item, Join, Kind, MessageId, OnFailure, Outcome, Output, Policy, Schema, Submission, native};
use serde_json::{Value, json};

use crate::support::{chain, compute, echo, outputs, payload, policy, problems, split, start, submit};

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
        expect![
            "edge `c -> a`: there is a cycle: a -> b -> c -> a; a loop is a node that asks for another turn, not an edge back"
        ],
    );
    check(
        |g| {
            g.chain(&["c", "a"]).chain(&["b", "c"]).chain(&["a", "b"]);
        },
        expect![
            "edge `a -> b`: there is a cycle: b -> c -> a -> b; a loop is a node that asks for another turn, not an edge back"
        ],
    );
    check(
        |g| {
            g.chain(&["a", "a"]);
        },
        expect!["edge `a -> a`: there is a cycle: a -> a; a loop is a node that asks for another turn, not an edge back"],
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
        expect!["node `d`: there is a cycle: a -> d -> a; a loop is a node that asks for another turn, not an edge back"],
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

/// Node, id and parent's id of each output, sorted.
async fn ids(flow: &Flow, value: Value) -> Vec<(String, MessageId, Option<MessageId>)> {
    let mut handle = submit(flow, "trace", value).await;
    let mut ids = Vec::new();
    while let Some(item) = handle.next().await {
        if let Item::Output { node, message } = item {
            ids.push((node.to_string(), message.id, message.parent));
        }
    }
    ids.sort();
    ids
}

#[tokio::test(start_paused = true)]
async fn ids_are_the_same_after_nodes_and_edges_changed_places() {
    let nodes = ["split", "left", "right", "loop", "gather", "last"];
    let edges = [("split", "left"), ("split", "right"), ("left", "gather"), ("right", "loop"), ("gather", "last")];
    let build = |nodes: &mut dyn Iterator<Item = &str>, edges: &mut dyn Iterator<Item = &(&str, &str)>| {
        let mut graph = Graph::builder("test");
        for name in nodes {
            match name {
                "split" => graph.run(name, split(), policy()),
                "gather" => graph.node(name, Kind::Join(Join::all_of("split")), policy()),
                "loop" => {
                    let thrice = native(|call| {
                        let payload = call.message.payload.clone();
                        let again = call.message.turn < 2;
                        Ok(if again { Outcome::Again { memory: payload, tokens_used: 0 } } else { Outcome::one(payload) })
                    });
                    graph.run(name, thrice, policy())
                }
                _ => graph.run(name, echo(), policy()),
            };
        }
        for (from, to) in edges {
            graph.edge(from, to, 8);
        }
        start(graph)
    };
    let first = ids(&build(&mut nodes.into_iter(), &mut edges.iter()), json!([1, 2, 3])).await;
    assert_eq!(first.len(), 4, "one of the join and three of the loop");
    let turned = ids(&build(&mut nodes.into_iter().rev(), &mut edges.iter().rev()), json!([1, 2, 3])).await;
    assert_eq!(first, turned);
    // An id does follow from the node's name.
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy()).run("renamed", echo(), policy()).chain(&["split", "renamed"]);
    let renamed = ids(&start(graph), json!([1, 2, 3])).await;
    assert!(renamed.iter().all(|(_, id, _)| first.iter().all(|(_, known, _)| known != id)));
}

#[tokio::test(start_paused = true)]
async fn what_one_branch_adds_to_the_metadata_no_other_sees() {
    let adds = |key: &'static str| {
        native(move |call| {
            let meta = vec![(key.to_owned(), json!(call.ctx.node().to_string()).into())];
            Ok(Outcome::Outputs(vec![Output { meta, ..Output::new(call.message.payload.clone()) }]))
        })
    };
    let mut graph = Graph::builder("test");
    graph.run("start", adds("start"), policy());
    // Both add a key that the others have, too.
    graph.run("left", adds("start"), policy()).run("right", adds("side"), policy());
    let shows = native(|call| {
        let meta = call.message.meta.entries().iter().map(|(key, value)| json!([key, value.value()])).collect();
        Ok(Outcome::one(Value::Array(meta).into()))
    });
    for (side, show) in [("left", "show-left"), ("right", "show-right")] {
        graph.run(show, shows.clone(), policy()).chain(&["start", side, show]);
    }
    graph.run("show-start", shows, policy()).chain(&["start", "show-start"]);
    let flow = start(graph);
    let meta = [("came".to_owned(), payload(json!(1)))].into_iter().collect();
    let submission = Submission { meta, ..Submission::new("trace", "tenant", payload(json!(null))) };
    let mut handle = flow.submit(submission).await.unwrap();
    let mut seen = std::collections::BTreeMap::new();
    while let Some(item) = handle.next().await {
        if let Item::Output { node, message } = item {
            seen.insert(node.to_string(), message.payload.value().into_owned());
        }
    }
    let (came, started) = (json!(["came", 1]), json!(["start", "start"]));
    assert_eq!(seen["show-start"], json!([came, started]));
    assert_eq!(seen["show-left"], json!([came, ["start", "left"]]));
    assert_eq!(seen["show-right"], json!([came, started, ["side", "right"]]));
}
