//! Routers and maps.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_flow::{
    End, Failure, FailureKind, Graph, Kind, MapNode, Outcome, Output, Policy, RouteKey, Router, Routes, RoutingTable, Rule,
    Submission, native,
};
use serde_json::{Value, json};

use crate::support::{Slow, compute, echo, outputs, payload, policy, run, split, start, start_with, submit};

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn routed(router: Router) -> floe_flow::Flow {
    let mut graph = Graph::builder("test");
    graph.run("route", Arc::new(router), policy());
    for name in ["a", "b", "c"] {
        graph.run(name, compute(move |value| json!([name, value])), policy());
        graph.chain(&["route", name]);
    }
    graph.node("off", Kind::Discard, policy()).chain(&["route", "off"]);
    start(graph)
}

fn rules(lines: &[(&str, &[&str])], all: bool) -> Router {
    let rule = |(when, to): &(&str, &[&str])| {
        if *when == "else" { Rule::otherwise(names(to)) } else { Rule::when(when, names(to)).unwrap() }
    };
    Router::rules(lines.iter().map(rule).collect(), all)
}

async fn goes_to(flow: &floe_flow::Flow, value: Value) -> Vec<String> {
    let mut nodes: Vec<String> = outputs(flow, value).await.iter().map(|output| output[0].as_str().unwrap().to_owned()).collect();
    nodes.sort();
    nodes
}

#[tokio::test(start_paused = true)]
async fn the_first_rule_that_matches_decides() {
    let flow = routed(rules(&[("payload.n > 10", &["a"]), ("payload.n > 5", &["b", "c"]), ("else", &["off"])], false));
    assert_eq!(goes_to(&flow, json!({"n": 11})).await, ["a"]);
    assert_eq!(goes_to(&flow, json!({"n": 6})).await, ["b", "c"]);
    assert!(goes_to(&flow, json!({"n": 1})).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_rules_may_match_and_nobody_may_be_chosen() {
    let flow = routed(rules(&[("payload > 10", &["a"]), ("payload > 5", &["a", "b"]), ("else", &["c"])], true));
    assert_eq!(goes_to(&flow, json!(11)).await, ["a", "b"]);
    assert_eq!(goes_to(&flow, json!(1)).await, ["c"]);
    let flow = routed(rules(&[("payload > 10", &["a"])], false));
    assert!(goes_to(&flow, json!(1)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn rules_see_headers_meta_and_lists() {
    let lines: &[(&str, &[&str])] = &[
        ("headers.tenant == 'vip' && headers.priority >= 5", &["a"]),
        ("headers.topic == 'news'", &["b"]),
        ("payload.tags.exists(tag, tag.startsWith('x'))", &["c"]),
    ];
    let flow = routed(rules(lines, false));
    let vip = Submission { priority: 5, ..Submission::new("1", "vip", payload(json!({"tags": []}))) };
    let news = Submission { topic: Some("news".into()), ..Submission::new("2", "t", payload(json!({"tags": []}))) };
    let tagged = Submission::new("3", "t", payload(json!({"tags": ["y", "x1"]})));
    for (submission, node) in [(vip, "a"), (news, "b"), (tagged, "c")] {
        let (outputs, _) = flow.submit(submission).await.unwrap().finish().await;
        assert_eq!(outputs[0].value()[0], json!(node));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_cannot_be_decided_fails_that_trace() {
    let flow = routed(rules(&[("payload.n > 10", &["a"])], false));
    let (_, terminal) = run(&flow, json!({"m": 1})).await;
    let error = terminal.error.unwrap();
    assert_eq!(error.code, "invalid-input");
    assert!(error.message.starts_with("rule 1 of the router cannot be decided"), "{}", error.message);
    assert!(error.message.ends_with("; ask first whether it is there, as in `has(payload.n) && …`"), "{}", error.message);
    let flow = routed(rules(&[("payload.n", &["a"])], false));
    assert!(run(&flow, json!({"n": 1})).await.1.error.unwrap().message.contains("not true or false"));
}

#[test]
fn wrong_expressions_are_refused() {
    #[expect(clippy::needless_pass_by_value, reason = "expect![] makes values")]
    fn check(expression: &str, expected: Expect) {
        let error = Rule::when(expression, Vec::new()).unwrap_err();
        expected.assert_eq(error.lines().next().unwrap());
    }
    check("payloda.n > 1", expect!["`payloda.n > 1` names `payloda`; there are `payload`, `headers`, `meta` and `trace`"]);
    check(
        "payload.all(x, payload.all(y, x == y))",
        expect![
            "`payload.all(x, payload.all(y, x == y))` nests one walk over a list in another, which can take too long; use one"
        ],
    );
    check(
        "payload.all(x, x in payload)",
        expect![
            "`payload.all(x, x in payload)` uses `payload` in a walk over a list, which can take too long; look only at the item there, or decide in a node ahead"
        ],
    );
    check(
        "payload.exists(x, x.matches('a+'))",
        expect![
            "`payload.exists(x, x.matches('a+'))` uses `matches` in a walk over a list, which would compile the pattern for each item; use `startsWith`, `endsWith` or `contains`"
        ],
    );
    assert!(Rule::when("payload.n >", Vec::new()).unwrap_err().starts_with("`payload.n >` is not a CEL expression"));
}

/// Each of these would do as much for each item as there is data.
#[test]
fn a_walk_over_a_list_looks_only_at_its_item() {
    for expression in [
        "payload.l.map(x, payload.s + 'x').size() > 0",
        "payload.l.all(x, x == payload.l)",
        "payload.l.all(x, payload.s.contains(x))",
        "payload.l.filter(x, [payload] != []).size() > 0",
        "payload.l.exists(x, x == meta.key || x == headers.topic)",
        "[1, 2].exists(x, payload.l.size() == x)",
    ] {
        assert!(Rule::when(expression, Vec::new()).unwrap_err().contains("in a walk over a list"), "{expression}");
    }
}

#[tokio::test(start_paused = true)]
async fn items_of_a_list_are_compared() {
    let value = json!({"items": [{"price": 2.5, "tags": ["x"]}, {"price": 3.5, "tags": []}], "tags": ["x"]});
    for expression in [
        "payload.items.exists(i, i.price > 3.0)",
        "payload.items.exists(i, 'x' in i.tags && i.price + 1.0 < 4.0)",
        "payload.items.filter(i, i.tags.size() > 0).size() == 1",
        "payload.items.map(i, i.price).size() < size(payload.tags) + 2",
        "'x' in payload.tags && size(payload.items) > 1",
        "payload.tags[0].matches('^x$')",
    ] {
        let flow = routed(rules(&[(expression, &["a"]), ("else", &["b"])], false));
        assert_eq!(goes_to(&flow, value.clone()).await, ["a"], "{expression}");
    }
}

#[test]
fn long_and_deep_expressions_are_refused() {
    let refused = |expression: String| Rule::when(&expression, Vec::new()).unwrap_err();
    assert!(refused("1".to_owned() + &"+1".repeat(20_000) + " > 0").contains("has 40005 bytes; the limit is 4096"));
    // As deep as the length allows: the stack of an ordinary thread holds it.
    for (start, more) in [("1", "+1"), ("1", "==1"), ("payload", ".a"), ("payload", "[0]"), ("payload", ".f()")] {
        let expression = start.to_owned() + &more.repeat((floe_flow::MAX_EXPRESSION_BYTES - start.len()) / more.len());
        assert!(refused(expression).contains("nests deeper than 128 levels"), "{more}");
    }
    for (open, close) in [("(", ")"), ("[", "]")] {
        assert!(refused(open.repeat(2000) + "1" + &close.repeat(2000)).contains("is not a CEL expression"));
    }
    let names: Vec<String> = (0..200).map(|n| format!("payload == 'name-{n}'")).collect();
    assert!(Rule::when(&names[..100].join(" || "), Vec::new()).is_ok(), "`||` is balanced, not deep");
}

#[tokio::test(start_paused = true)]
async fn a_field_names_the_way() {
    let to = BTreeMap::from([("web".to_owned(), names(&["a"])), ("sql".to_owned(), names(&["b", "c"]))]);
    let flow = routed(Router::field("step.kind", to.clone(), None));
    assert_eq!(goes_to(&flow, json!({"step": {"kind": "web"}})).await, ["a"]);
    assert_eq!(goes_to(&flow, json!({"step": {"kind": "sql"}})).await, ["b", "c"]);
    assert_eq!(goes_to(&flow, json!({"step": {"kind": "c"}})).await, ["c"]);
    let unknown = run(&flow, json!({"step": {"kind": "other"}})).await.1.error.unwrap();
    assert_eq!(unknown.message, "`route` sent to `other`, which is not one of its successors: a, b, c, off");
    assert_eq!(run(&flow, json!({})).await.1.end, End::Failed);
    let flow = routed(Router::field("step.kind", to, Some(names(&["c"]))));
    assert_eq!(goes_to(&flow, json!({"step": {"kind": "other"}})).await, ["c"]);
    assert_eq!(goes_to(&flow, json!({})).await, ["c"]);
}

#[tokio::test(start_paused = true)]
async fn headers_and_the_trace_are_looked_up_too() {
    let to = |value: &str| BTreeMap::from([(value.to_owned(), names(&["a"]))]);
    let vip = Submission { topic: Some("news".into()), priority: 7, ..Submission::new("mine", "vip", payload(json!("word"))) };
    let plain = Submission::new("other", "plain", payload(json!({"headers": {"x": "y"}})));
    for (by, value) in
        [("headers.tenant", "vip"), ("headers.topic", "news"), ("headers.priority", "7"), ("trace", "mine"), ("payload", "word")]
    {
        let routes = Routes { to: to(value), otherwise: Some(names(&["b"])) };
        let table = RoutingTable::new(["a", "b", "c", "off"], routes).unwrap();
        let flow = routed(Router::table(RouteKey::parse(by).unwrap(), table));
        for (submission, node) in [(&vip, "a"), (&plain, "b")] {
            let (outputs, _) = flow.submit(submission.clone()).await.unwrap().finish().await;
            assert_eq!(outputs[0].value()[0], json!(node), "{by}");
        }
    }
    let flow = routed(Router::table(RouteKey::Topic, RoutingTable::new(["a"], Routes::default()).unwrap()));
    let error = run(&flow, json!(1)).await.1.error.unwrap();
    assert_eq!(error.message, "`headers.topic` is not there, so it cannot be routed by; add `else`");
    let flow =
        routed(Router::table(RouteKey::parse("payload.headers.x").unwrap(), RoutingTable::new([], Routes::default()).unwrap()));
    assert_eq!(goes_to(&flow, json!({"headers": {"x": "c"}})).await, ["c"]);
}

#[test]
fn what_can_be_looked_up_is_said() {
    let path = |names: &[&str]| Ok(RouteKey::Payload(names.iter().map(|&name| name.to_owned()).collect()));
    assert_eq!(RouteKey::parse("payload.trace"), path(&["trace"]));
    assert_eq!(RouteKey::parse("a.headers"), path(&["a", "headers"]));
    assert_eq!(RouteKey::parse("trace.id"), path(&["trace", "id"]));
    expect![[r#"
        Err(
            "`headers.user` is no header; there are `headers.tenant`, `headers.topic` and `headers.priority`, and the payload's own is `payload.headers.user`",
        )
    "#]]
    .assert_debug_eq(&RouteKey::parse("headers.user"));
    assert!(RouteKey::parse("a..b").is_err() && RouteKey::parse("").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_table_changes_while_the_flow_runs() {
    let routes = |to: &str| Routes { to: BTreeMap::from([("x".to_owned(), names(&[to]))]), otherwise: Some(Vec::new()) };
    let table = RoutingTable::new(["a", "b", "c", "off"], routes("a")).unwrap();
    let flow = routed(Router::table(RouteKey::parse("kind").unwrap(), table.clone()));
    let kind = |kind: &str| json!({ "kind": kind });
    assert_eq!(goes_to(&flow, kind("x")).await, ["a"]);
    assert!(goes_to(&flow, kind("y")).await.is_empty(), "an empty list ends the branch");
    table.set(routes("b")).unwrap();
    assert_eq!(goes_to(&flow, kind("x")).await, ["b"]);
    let mut wrong = routes("c");
    wrong.to.insert("y".to_owned(), names(&["a", "bb"]));
    assert_eq!(table.set(wrong).unwrap_err(), "`y` goes to `bb`, which is no successor of this router; did you mean `b`?");
    let wrong = Routes { otherwise: Some(names(&["none"])), ..routes("c") };
    assert_eq!(table.set(wrong).unwrap_err(), "`else` goes to `none`, which is no successor of this router");
    assert_eq!((goes_to(&flow, kind("x")).await, &*table.get()), (names(&["b"]), &routes("b")), "a wrong change changes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_node_chooses_its_successors() {
    let mut graph = Graph::builder("test");
    let choose = native(|call| {
        let to = call.message.payload.value().as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        Ok(Outcome::Outputs(vec![Output { to, ..Output::new(json!(1).into()) }]))
    });
    graph.run("choose", choose, policy());
    for name in ["a", "b"] {
        graph.run(name, compute(move |_| json!([name])), policy());
        graph.chain(&["choose", name]);
    }
    let flow = start(graph);
    assert_eq!(goes_to(&flow, json!(["b"])).await, ["b"]);
    assert_eq!(goes_to(&flow, json!([])).await, ["a", "b"], "nobody named: all");
}

#[tokio::test(start_paused = true)]
async fn a_map_keeps_the_order_of_items_and_its_bound() {
    let slow = Slow::new(Duration::from_millis(5));
    let map = MapNode::new(slow.clone(), NonZeroUsize::new(3).unwrap());
    let mut graph = Graph::builder("test");
    graph.run("map", Arc::new(map), policy());
    assert_eq!(outputs(&start(graph), json!([5, 4, 3, 2, 1])).await, [json!([5, 4, 3, 2, 1])]);
    assert_eq!(slow.most.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn the_first_failing_item_ends_the_others() {
    #[derive(Debug)]
    struct Item(Arc<Slow>);
    impl floe_flow::Invoke for Item {
        fn invoke(&self, call: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
            if call.message.payload.text() == "2" {
                return Box::pin(std::future::ready(floe_flow::Report::from(Err(Failure::new(FailureKind::NotFound, "no two")))));
            }
            self.0.invoke(call)
        }
    }
    let slow = Slow::new(Duration::from_secs(1000));
    let map = MapNode::new(Arc::new(Item(slow.clone())), NonZeroUsize::new(8).unwrap());
    let mut graph = Graph::builder("test");
    graph.run("map", Arc::new(map), policy());
    let began = tokio::time::Instant::now();
    let error = run(&start(graph), json!([1, 2, 3])).await.1.error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("not-found", "item 1: no two"));
    assert!(began.elapsed() < Duration::from_secs(1));
    tokio::task::yield_now().await;
    assert_eq!(slow.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_map_flattens_and_needs_an_array() {
    let mut graph = Graph::builder("test");
    graph.run("map", Arc::new(MapNode::new(split(), NonZeroUsize::MIN)), Policy::with_concurrency(1));
    let flow = start(graph);
    assert_eq!(outputs(&flow, json!([[1, 2], [], [3]])).await, [json!([1, 2, 3])]);
    assert_eq!(run(&flow, json!({})).await.1.error.unwrap().message, "a map takes an array");
    let _ = echo();
}

#[tokio::test(start_paused = true)]
async fn a_maps_results_are_bounded_as_they_come() {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let item = native(move |call| {
        seen.fetch_add(1, Ordering::SeqCst);
        let text = "x".repeat(usize::try_from(call.message.payload.value().as_u64().unwrap()).unwrap());
        Ok(Outcome::one(json!(text).into()))
    });
    let mut graph = Graph::builder("test");
    graph.run("map", Arc::new(MapNode::new(item, NonZeroUsize::MIN)), policy());
    let flow = start_with(graph, |config| config.budget.payload = 5000);
    let limit = |used| json!({"limit": "payload", "used": used, "max": 5000});
    // One item alone, then the sum.
    assert_eq!(run(&flow, json!([6000, 1, 1])).await.1.error.unwrap().detail, Some(limit(6004)));
    assert_eq!(calls.swap(0, Ordering::SeqCst), 1);
    let error = run(&flow, json!(vec![1000; 500])).await.1.error.unwrap();
    assert_eq!((error.detail, calls.load(Ordering::SeqCst)), (Some(limit(5016)), 5));
    assert!(error.message.starts_with("item 4: "), "{}", error.message);
    assert_eq!(outputs(&flow, json!([1000, 3000])).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn items_of_two_maps_over_one_message_have_ids_of_their_own() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let mut graph = Graph::builder("test");
    graph.run("start", echo(), policy());
    for name in ["map", "other"] {
        let ids = Arc::clone(&ids);
        let item = native(move |call| {
            ids.lock().unwrap().push(call.message.id.to_string());
            Ok(Outcome::one(call.message.payload.clone()))
        });
        graph.run(name, Arc::new(MapNode::new(item, NonZeroUsize::MIN)), policy()).chain(&["start", name]);
    }
    outputs(&start(graph), json!([1, 2])).await;
    let mut ids = ids.lock().unwrap().clone();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

/// Computes without a pause, so that nothing can stop it, until it may return.
#[derive(Debug, Default)]
struct Computes {
    running: AtomicUsize,
    may_return: AtomicBool,
}

impl floe_flow::Invoke for Computes {
    fn invoke(&self, _: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
        self.running.fetch_add(1, Ordering::SeqCst);
        while !self.may_return.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_does_not_end_before_the_items_of_its_maps() {
    let item = Arc::new(Computes::default());
    let mut graph = Graph::builder("test");
    graph.run("map", Arc::new(MapNode::new(item.clone(), NonZeroUsize::MIN)), policy());
    let flow = start(graph);
    let handle = submit(&flow, "trace", json!([1, 2, 3])).await;
    while item.running.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    handle.cancel();
    let ended = AtomicBool::new(false);
    let end = async {
        let (_, terminal) = handle.finish().await;
        ended.store(true, Ordering::SeqCst);
        assert_eq!((terminal.end, item.running.load(Ordering::SeqCst)), (End::Cancelled, 0));
    };
    let release = async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(!ended.load(Ordering::SeqCst), "an item still computes");
        item.may_return.store(true, Ordering::SeqCst);
    };
    tokio::join!(end, release);
    flow.stop(Duration::ZERO).await;
}
