//! Fan-out and join.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Call, End, Failure, FailureKind, Graph, Invoke, Item, Join, Kind, Late, OnFailure, Outcome, Output, Policy, Report,
    Submission, native,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{compute, echo, outputs, payload, policy, run, split, start, start_with, submit};

fn all(of: &str, quorum: Option<usize>) -> Kind {
    Kind::Join(Join { quorum, ..Join::all_of(of) })
}

fn count(count: usize, quorum: Option<usize>) -> Kind {
    Kind::Join(Join { quorum, ..Join::count(count) })
}

#[tokio::test(start_paused = true)]
async fn all_gathers_what_came_of_one_split_in_emission_order() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy());
    graph.run("work", compute(|value| json!(value.as_i64().unwrap() * 10)), Policy::with_concurrency(3));
    graph.node("gather", all("split", None), policy());
    graph.chain(&["split", "work", "gather"]);
    let flow = start(graph);
    assert_eq!(outputs(&flow, json!([3, 1, 2])).await, [json!([30, 10, 20])]);
    // A join fires once for each call of its split, also for none.
    assert_eq!(outputs(&flow, json!([])).await, [json!([])]);
    let many: Vec<i64> = (0..2000).collect();
    let tens: Vec<i64> = (0..2000).map(|n| n * 10).collect();
    assert_eq!(outputs(&flow, json!(many)).await, [json!(tens)]);
}

#[tokio::test(start_paused = true)]
async fn joins_nest() {
    let mut graph = Graph::builder("test");
    graph.run("outer", split(), policy()).run("inner", split(), policy()).run("work", echo(), policy());
    graph.node("gather-inner", all("inner", None), policy());
    graph.node("gather-outer", all("outer", None), policy());
    graph.chain(&["outer", "inner", "work", "gather-inner", "gather-outer"]);
    let flow = start(graph);
    let nested = json!([[1, 2], [], [3, 4, 5]]);
    assert_eq!(outputs(&flow, nested.clone()).await, [nested]);
}

#[tokio::test(start_paused = true)]
async fn an_outer_join_keeps_the_order_of_members_that_multiplied() {
    let mut graph = Graph::builder("test");
    graph.run("outer", split(), policy()).run("inner", split(), policy());
    graph.node("gather", all("outer", None), policy());
    graph.chain(&["outer", "inner", "gather"]);
    assert_eq!(outputs(&start(graph), json!([[1, 2], [], [3, 4, 5]])).await, [json!([1, 2, 3, 4, 5])]);
}

#[tokio::test(start_paused = true)]
async fn two_joins_over_one_split_each_get_their_own() {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy());
    for side in ["left", "right"] {
        graph.run(side, compute(move |value| json!([side, value])), policy());
        graph.node(&format!("join-{side}"), all("split", None), policy());
    }
    graph.chain(&["split", "left", "join-left"]).chain(&["split", "right", "join-right"]);
    let mut joined = outputs(&start(graph), json!([1, 2])).await;
    joined.sort_by_key(ToString::to_string);
    assert_eq!(joined, [json!([["left", 1], ["left", 2]]), json!([["right", 1], ["right", 2]])]);
}

#[tokio::test(start_paused = true)]
async fn discarded_members_are_told_and_do_not_hold_the_join_up() {
    let mut graph = Graph::builder("test");
    let odd = native(|call| {
        let keep = call.message.payload.value().as_i64().unwrap() % 2 == 1;
        Ok(if keep { Outcome::one(call.message.payload.clone()) } else { Outcome::Outputs(Vec::new()) })
    });
    let with_meta = native(|call| {
        let meta: Vec<Value> = call.message.meta.entries().iter().map(|(key, value)| json!([key, value.value()])).collect();
        Ok(Outcome::one(json!([call.message.payload.value(), meta]).into()))
    });
    graph.run("split", split(), policy()).run("odd", odd, policy());
    graph.node("gather", all("split", None), policy()).run("show", with_meta, policy());
    graph.chain(&["split", "odd", "gather", "show"]);
    let told = json!([[1, 3], [["join", {"total": 3, "failed": [], "discarded": [1]}]]]);
    assert_eq!(outputs(&start(graph), json!([1, 2, 3])).await, [told]);
}

fn with_a_failing_member(quorum: Option<usize>) -> floe_flow::Flow {
    let mut graph = Graph::builder("test");
    let fails_on_two = native(|call| {
        if call.message.payload.text() == "2" {
            return Err(Failure::new(FailureKind::NotFound, "no two"));
        }
        Ok(Outcome::one(call.message.payload.clone()))
    });
    graph.run("split", split(), policy());
    graph.run("work", fails_on_two, Policy { on_failure: OnFailure::Drop, ..policy() });
    graph.node("gather", all("split", quorum), policy());
    graph.chain(&["split", "work", "gather"]);
    start(graph)
}

#[tokio::test(start_paused = true)]
async fn a_failed_member_makes_the_join_incomplete() {
    let (outputs, terminal) = run(&with_a_failing_member(None), json!([1, 2, 3])).await;
    assert!(outputs.is_empty());
    let error = terminal.error.unwrap();
    assert_eq!((terminal.end, error.code.as_str()), (End::Failed, "join_incomplete"));
    assert_eq!(error.detail.unwrap(), json!({"total": 3, "failed": [1], "discarded": []}));
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_join_may_release_what_it_has() {
    assert_eq!(outputs(&with_a_failing_member(Some(0)), json!([1, 2, 3])).await, [json!([1, 3])]);
}

#[tokio::test(start_paused = true)]
async fn count_joins_by_sender_in_declaration_order() {
    let mut graph = Graph::builder("test");
    graph.run("start", echo(), policy());
    for name in ["x", "y", "z"] {
        graph.run(name, compute(move |_| json!(name)), policy());
    }
    graph.node("join", count(3, None), policy());
    for name in ["z", "y", "x"] {
        graph.chain(&["start", name, "join"]);
    }
    assert_eq!(outputs(&start(graph), json!(null)).await, [json!(["x", "y", "z"])]);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_cannot_fill_fails_or_releases() {
    for (rule, outputs_expected, end) in
        [(None, vec![json!([1, 2])], End::Failed), (Some(0), vec![json!([1, 2]), json!([3])], End::Completed)]
    {
        let mut graph = Graph::builder("test");
        graph.run("split", split(), policy()).node("join", count(2, rule), policy());
        graph.chain(&["split", "join"]);
        let (outputs, terminal) = run(&start(graph), json!([1, 2, 3])).await;
        assert_eq!((outputs, terminal.end), (outputs_expected, end));
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_around_the_split_is_an_error_of_that_trace() {
    let mut graph = Graph::builder("test");
    let choose = native(|call| {
        let to = call.message.payload.value().as_str().unwrap().to_owned();
        Ok(Outcome::Outputs(vec![Output { to: vec![to], ..Output::new(json!([1]).into()) }]))
    });
    graph.run("choose", choose, policy()).run("split", split(), policy());
    graph.node("gather", all("split", None), policy());
    graph.chain(&["choose", "split", "gather"]).chain(&["choose", "gather"]);
    let flow = start(graph);
    assert_eq!(outputs(&flow, json!("split")).await, [json!([1])]);
    let (_, terminal) = run(&flow, json!("gather")).await;
    assert_eq!(terminal.end, End::Failed);
    assert!(terminal.error.unwrap().message.contains("does not pass `split`"));
}

#[tokio::test(start_paused = true)]
async fn another_turn_and_a_final_answer_fire_no_join() {
    let mut graph = Graph::builder("test");
    let turns = native(|call| {
        let value = call.message.payload.value();
        Ok(match value.as_array() {
            None => Outcome::Final(call.message.payload.clone()),
            Some(_) if call.message.turn == 0 => Outcome::Again { memory: call.message.payload.clone(), tokens_used: 0 },
            Some(items) => Outcome::Outputs(items.iter().map(|item| Output::new(item.clone().into())).collect()),
        })
    });
    graph.run("split", turns, policy());
    graph.node("gather", all("split", None), policy()).chain(&["split", "gather"]);
    let flow = start(graph);
    assert_eq!(outputs(&flow, json!([1, 2])).await, [json!([1, 2])]);
    assert_eq!(outputs(&flow, json!([])).await, [json!([])], "no output is an outcome, too");
    assert_eq!(outputs(&flow, json!("answer")).await, [json!("answer")]);
}

#[tokio::test(start_paused = true)]
async fn counts_that_cannot_fill_settle_in_the_order_of_the_flow() {
    let mut graph = Graph::builder("test");
    graph.run("start", echo(), policy());
    graph.node("down", count(2, None), policy()).node("up", count(3, Some(0)), policy());
    graph.run("a", compute(|_| json!("a")), policy()).run("b", compute(|_| json!("b")), policy());
    graph.chain(&["start", "a", "up", "down"]).chain(&["start", "b", "down"]);
    assert_eq!(outputs(&start(graph), json!(1)).await, [json!([["a"], "b"])]);
}

#[tokio::test(start_paused = true)]
async fn members_of_a_join_are_still_messages_of_the_trace() {
    let fan = || native(|_| Ok(Outcome::Outputs((0..50).map(|n| Output::new(json!(n).into())).collect())));
    let nodes = |join| {
        let mut graph = Graph::builder("test");
        graph.run("one", fan(), policy()).run("two", fan(), Policy::with_concurrency(1));
        graph.node("gather", join, policy()).chain(&["one", "two", "gather"]);
        graph
    };
    for join in [count(1_000_000, Some(0)), all("one", None)] {
        let flow = start_with(nodes(join), |config| config.budget.messages = 200);
        let (_, terminal) = run(&flow, json!(1)).await;
        assert_eq!(terminal.error.unwrap().detail, Some(json!({"limit": "messages", "used": 200, "max": 200})));
    }
    // What has been released counts no more.
    let flow = start_with(nodes(count(50, None)), |config| config.budget.messages = 200);
    assert_eq!(outputs(&flow, json!(1)).await.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_join_beyond_the_payload_limit_is_never_built() {
    // Nine gigabytes, if it were.
    let fan = native(|call| Ok(Outcome::Outputs(vec![Output::new(call.message.payload.clone()); 9000])));
    let mut graph = Graph::builder("test");
    graph.run("one", fan, policy()).node("gather", all("one", None), policy()).chain(&["one", "gather"]);
    let (_, terminal) = run(&start(graph), json!("x".repeat(1_000_000))).await;
    let error = terminal.error.unwrap();
    assert_eq!((terminal.end, error.code.as_str()), (End::Failed, "exhausted"));
    assert!(error.message.contains("9000027001"), "{}", error.message);
}

/// Emits each item of an array to a node that takes as many seconds as the item says.
fn slow_members(join: Join) -> Builder {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy());
    graph.run("work", Arc::new(Seconds), Policy::with_concurrency(100));
    graph.node("gather", Kind::Join(join), policy());
    let with_meta = native(|call| {
        let meta = call.message.meta.entries().iter().find(|(key, _)| key == "join").map(|(_, value)| value.value().into_owned());
        Ok(Outcome::one(json!([*call.message.payload.value(), meta]).into()))
    });
    graph.run("show", with_meta, policy());
    graph.chain(&["split", "work", "gather", "show"]);
    graph
}

#[derive(Debug)]
struct Seconds;

impl Invoke for Seconds {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let payload = call.message.payload.clone();
            let seconds = payload.value().as_u64().or_else(|| payload.value()["s"].as_u64()).unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Report::from(Ok(Outcome::one(payload)))
        })
    }
}

const WITHIN: Option<Duration> = Some(Duration::from_secs(5));

#[tokio::test(start_paused = true)]
async fn a_join_waits_only_so_long() {
    let began = Instant::now();
    let join = Join { within: WITHIN, ..Join::all_of("split").with_quorum(2) };
    let flow = start(slow_members(join));
    let mut handle = submit(&flow, "trace", json!([1, 9, 2])).await;
    let Some(Item::Output { message, .. }) = handle.next().await else { panic!() };
    assert_eq!(message.payload.text(), r#"[[1,2],{"discarded":[1],"failed":[],"total":3}]"#);
    assert_eq!(began.elapsed().as_secs(), 5);
    let (rest, terminal) = handle.finish().await;
    assert_eq!((rest.len(), terminal.end, began.elapsed().as_secs()), (0, End::Completed, 9), "a late one is dropped");

    let began = Instant::now();
    let (_, terminal) = run(&flow, json!([1, 9, 9])).await;
    assert_eq!((terminal.end, began.elapsed().as_secs()), (End::Failed, 5), "one is less than two");
    let error = terminal.error.unwrap();
    assert_eq!((error.code.as_str(), error.node.as_deref()), ("join_incomplete", Some("gather")));
    assert_eq!(
        error.message,
        "join `gather`: 1 messages of `split` arrived in time and 2 are on their way; give them more with `within`, or take \
         fewer with `quorum`"
    );
    let began = Instant::now();
    assert_eq!(outputs(&flow, json!([1, 2])).await, [json!([[1, 2], null])]);
    assert_eq!(began.elapsed().as_secs(), 2, "all are there before the time is up");
}

#[tokio::test(start_paused = true)]
async fn a_late_member_fails_the_trace_or_goes_on_alone() {
    let make = |late| start(slow_members(Join { within: WITHIN, late, ..Join::all_of("split").with_quorum(0) }));
    let (_, terminal) = run(&make(Late::Fail), json!([1, 9])).await;
    assert_eq!(terminal.error.unwrap().code, "join_late");
    let all = outputs(&make(Late::Pass), json!([1, 9, 8])).await;
    let late = json!({"late": true});
    assert_eq!(all, [json!([[1], {"discarded": [1, 2], "failed": [], "total": 3}]), json!([[8], late]), json!([[9], late])]);
}

#[tokio::test(start_paused = true)]
async fn counted_messages_wait_only_so_long() {
    let flow = start(slow_members(Join { within: WITHIN, ..Join::count(3).with_quorum(1) }));
    let partial = |arrived| json!({"arrived": arrived, "wanted": 3});
    let all = outputs(&flow, json!([1, 2, 7, 20, 21, 22])).await;
    assert_eq!(all, [json!([[1, 2], partial(2)]), json!([[7], partial(1)]), json!([[20, 21, 22], null])]);
    let flow = start(slow_members(Join { within: WITHIN, ..Join::count(3) }));
    let (_, terminal) = run(&flow, json!([1, 2, 7])).await;
    assert_eq!(
        terminal.error.unwrap().message,
        "join `gather`: 2 of 3 messages arrived and the time is up; take what there is with `on_incomplete: release`"
    );
}

#[tokio::test(start_paused = true)]
async fn messages_are_gathered_by_a_value() {
    let by = Some(vec!["k".to_owned()]);
    let flow = start(slow_members(Join { by, ..Join::count(2) }));
    let item = |s: u64, k: &str| json!({"s": s, "k": k});
    let all = outputs(&flow, json!([item(1, "a"), item(2, "b"), item(3, "a"), item(4, "b")])).await;
    assert_eq!(all, [json!([[item(1, "a"), item(3, "a")], null]), json!([[item(2, "b"), item(4, "b")], null])]);
    let (_, terminal) = run(&flow, json!([1, 2])).await;
    assert_eq!(terminal.error.unwrap().message, "join `gather`: the payload has no `k`, by which messages are gathered");
}

fn three_sources(join: Join) -> Builder {
    let mut graph = Graph::builder("test");
    graph.run("split", split(), policy());
    for (name, times) in [("a", 1), ("b", 10), ("c", 100)] {
        graph.run(name, compute(move |n| json!(n.as_u64().unwrap() * times)), policy()).chain(&["split", name, "gather"]);
    }
    graph.node("gather", Kind::Join(join), policy());
    graph
}

#[tokio::test(start_paused = true)]
async fn one_of_each_source_makes_a_round() {
    let flow = start(three_sources(Join::each_of(&["c", "a", "b"])));
    assert_eq!(outputs(&flow, json!([1, 2])).await, [json!([100, 1, 10]), json!([200, 2, 20])]);
    let problems = crate::support::problems(three_sources(Join::each_of(&["a", "b"])));
    assert_eq!(problems, "node `gather`: `c` sends to this join, but `from` does not name it");
    let problems = crate::support::problems(three_sources(Join::each_of(&["a", "b", "c", "d", "a"])));
    assert_eq!(problems, "node `gather`: `from` names `d`, which is no node\nnode `gather`: `from` names `a` twice; remove one");
}

#[tokio::test(start_paused = true)]
async fn timers_end_with_what_they_wait_for() {
    let hour = Some(Duration::from_secs(3600));
    let flow = start(slow_members(Join { within: hour, ..Join::all_of("split") }));
    let began = Instant::now();
    assert_eq!(outputs(&flow, json!([1])).await.len(), 1);
    flow.stop(Duration::from_secs(9)).await;
    assert_eq!(began.elapsed().as_secs(), 1, "no timer keeps the flow from stopping");
}

/// Topic, priority and metadata of what each join over two emissions with envelopes of their own gives.
async fn envelope(join: Join) -> Value {
    let mut graph = Graph::builder("test");
    let split = native(|_| {
        let output = |name: &str, priority| Output {
            topic: Some(name.into()),
            priority: Some(priority),
            meta: vec![(name.to_owned(), json!(true).into())],
            ..Output::new(json!(name).into())
        };
        Ok(Outcome::Outputs(vec![output("first", 1), output("second", 2)]))
    });
    graph.run("split", split, policy()).node("gather", Kind::Join(join), policy()).chain(&["split", "gather"]);
    let flow = start(graph);
    let meta = [("came".to_owned(), payload(json!(1)))].into_iter().collect();
    let topic = Some("asked".into());
    let submission = Submission { meta, topic, priority: 5, ..Submission::new("trace", "tenant", payload(json!(null))) };
    let mut handle = flow.submit(submission).await.unwrap();
    let Some(Item::Output { message, .. }) = handle.next().await else { panic!("no output") };
    let keys: Vec<&str> = message.meta.entries().iter().map(|(key, _)| key.as_str()).collect();
    json!([message.payload.value(), message.topic, message.priority, keys])
}

#[tokio::test(start_paused = true)]
async fn a_joined_message_has_the_envelope_of_the_splits_input_or_of_its_first_member() {
    let members = ["first", "second"];
    assert_eq!(envelope(Join::all_of("split")).await, json!([members, "asked", 5, ["came"]]));
    assert_eq!(envelope(Join::count(2)).await, json!([members, "first", 1, ["came", "first"]]));
}

#[tokio::test(start_paused = true)]
async fn the_first_member_is_that_of_the_first_sender_whoever_came_first() {
    let mut graph = Graph::builder("test");
    graph.run("start", echo(), policy());
    let named = |name: &'static str, priority| {
        native(move |call| {
            let output = Output::new(call.message.payload.clone());
            Ok(Outcome::Outputs(vec![Output { topic: Some(name.into()), priority: Some(priority), ..output }]))
        })
    };
    graph.run("slow", Arc::new(Seconds), policy()).run("a", named("a", 1), policy()).run("b", named("b", 2), policy());
    graph.node("count", Kind::Join(Join::count(2)), policy()).node("each", Kind::Join(Join::each_of(&["b", "a"])), policy());
    // What comes of `a` comes last.
    graph.chain(&["start", "slow", "a", "count"]).chain(&["start", "b", "count"]).chain(&["a", "each"]).chain(&["b", "each"]);
    let mut handle = submit(&start(graph), "trace", json!(1)).await;
    let mut seen = Vec::new();
    while let Some(item) = handle.next().await {
        if let Item::Output { node, message } = item {
            seen.push(json!([node, message.topic, message.priority]));
        }
    }
    assert_eq!(seen, [json!(["count", "a", 1]), json!(["each", "b", 2])]);
}
