//! Runs of an agent: what it calls, what it is refused, how it ends, and that a crash changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use floe_agent::{Envelope, Policy, Reason, Tool};
use floe_flow::{End, Failure, FailureKind, Item, Record, SideEffect};
use serde_json::{Value, json};

use crate::support::{Notebook, World, answers, calls, model, open, plans, read, submit, tool};

fn error(envelope: &Envelope, step: usize) -> &str {
    envelope.steps[step].observation.as_ref().unwrap()["error"].as_str().unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_calls_what_the_model_decides_and_gives_its_answer() {
    let world = World::arithmetic();
    let envelope = world.ask(&[calls("double", json!({ "n": 21 })), answers("42")]).await;
    assert_eq!((envelope.reason, envelope.answer.as_deref()), (Reason::AnswerComplete, Some("42")));
    assert_eq!(world.made(), [("double".to_owned(), json!({ "n": 21 }))]);
    assert_eq!(envelope.steps[0].observation, Some(json!({ "n": 42 })));
    let usage = &envelope.usage;
    assert_eq!((usage.model_calls, usage.tool_calls, usage.input_tokens, usage.output_tokens, usage.cost), (2, 1, 20, 10, 14));
}

#[tokio::test(start_paused = true)]
async fn what_the_model_sees_is_what_happened() {
    let world = World::arithmetic();
    let mut last = answers("42");
    last["expect"] = json!({ "observation": { "n": 42 } });
    let mut first = calls("double", json!({ "n": 21 }));
    first["expect"] = json!({ "query": "what is it?" });
    assert_eq!(world.ask(&[first, last]).await.reason, Reason::AnswerComplete);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_up() {
    let world = World::arithmetic();
    let lines = [calls("double", json!({})), calls("dubble", json!({ "n": 1 })), answers("I need a number.")];
    let envelope = world.ask(&lines).await;
    assert!(error(&envelope, 0).starts_with("the arguments do not fit `double`: "), "{}", error(&envelope, 0));
    assert_eq!(error(&envelope, 1), "there is no tool `dubble`; did you mean `double`?; there are: double, sum");
    assert_eq!((world.made(), envelope.usage.tool_calls), (Vec::new(), 0));
}

#[tokio::test(start_paused = true)]
async fn branches_run_at_once_and_are_joined() {
    let world = World::arithmetic();
    let branches = json!([{ "node": "double", "args": { "n": 1 } }, { "node": "double", "args": { "n": 2 } }]);
    let join = json!({ "node": "sum", "args": {}, "inject": { "mapping": { "numbers": "$results" } } });
    let envelope = world.ask(&[plans(branches, join), answers("6")]).await;
    let told = envelope.steps[0].observation.as_ref().unwrap();
    assert_eq!(told["stats"], json!({ "success": 2, "failed": 0 }));
    assert_eq!(told["branches"][1], json!({ "node": "double", "args": { "n": 2 }, "observation": { "n": 4 } }));
    assert_eq!(told["join"], json!({ "node": "sum", "observation": { "sum": 6 } }));
    assert_eq!(envelope.usage.tool_calls, 3);
}

#[tokio::test(start_paused = true)]
async fn a_plan_runs_whole_or_not_at_all() {
    let world = World::arithmetic().limit(|limits| {
        (limits.parallel, limits.tool_calls) = (3, 3);
        limits.disallow = BTreeSet::from(["sum".to_owned()]);
        limits.sequential = BTreeSet::from(["double".to_owned()]);
    });
    let double = |n: Value| json!({ "node": "double", "args": { "n": n } });
    let sum = json!({ "node": "sum", "args": {} });
    let lines = [
        plans(json!([sum.clone(), { "node": "nothing", "args": {} }]), Value::Null),
        plans(json!([double(json!(1)), double(json!(2))]), Value::Null),
        plans(json!([sum.clone(), sum.clone(), sum.clone(), sum]), Value::Null),
        answers("no"),
    ];
    let envelope = world.ask(&lines).await;
    let all = error(&envelope, 0);
    assert!(
        all.starts_with("nothing of the plan was run: `sum` must not be called in this run") && all.contains("no tool `nothing`"),
        "{all}"
    );
    assert_eq!(error(&envelope, 1), "`double` is not called beside others; call it in a step of its own");
    assert_eq!(error(&envelope, 2), "a plan has at most 3 branches, and this has 4; plan less at once");
    assert_eq!(world.made(), []);
    // Branches count against the budget of calls (W12).
    let world = World::arithmetic().limit(|limits| limits.tool_calls = 1);
    let envelope = world.ask(&[plans(json!([double(json!(1)), double(json!(2))]), Value::Null), answers("no")]).await;
    assert!(error(&envelope, 0).contains("limit `tool_calls` reached: 0 of 1 are used"), "{}", error(&envelope, 0));
    assert_eq!(world.made(), []);
}

#[tokio::test(start_paused = true)]
async fn a_branch_that_fails_stops_no_other_and_a_join_says_what_it_needs() {
    let fails = |_: &Value, _: &floe_flow::Call| Err(Failure::new(FailureKind::NotFound, "there is none"));
    let world = World::arithmetic().with(tool("fails"), fails);
    let branches = json!([{ "node": "fails", "args": { "n": 1 } }, { "node": "double", "args": { "n": 2 } }]);
    let join = |quorum: Value| json!({ "node": "sum", "inject": { "numbers": "$results" }, "quorum": quorum });
    let unknown = json!({ "node": "sum", "inject": { "numbers": "$nothing" }, "quorum": 1 });
    let lines = [plans(branches.clone(), join(Value::Null)), plans(branches.clone(), join(json!(1))), answers("4")];
    let envelope = world.ask(&lines).await;
    let told = |step: usize| envelope.steps[step].observation.clone().unwrap();
    assert_eq!(told(0)["branches"][0]["error"], "tool `fails`: there is none");
    assert_eq!(told(0)["join"]["reason"], "1 of the 2 branches that it needs succeeded");
    assert_eq!(told(1)["join"], json!({ "node": "sum", "observation": { "sum": 4 } }));
    let envelope = world.ask(&[plans(branches, unknown), answers("no")]).await;
    let why = envelope.steps[0].observation.clone().unwrap()["join"]["error"].clone();
    assert!(why.as_str().unwrap().starts_with("`inject` has the unknown source \"$nothing\"; there are: $results"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn the_same_call_is_not_made_for_ever() {
    let world = World::arithmetic();
    let again = calls("double", json!({ "n": 1 }));
    let envelope = world.ask(&[again.clone(), again.clone(), again, answers("2")]).await;
    assert_eq!(error(&envelope, 2), "`double` was called 2 times with these arguments; it will not say anything else");
    assert_eq!(world.made().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_takes_the_operators_leave() {
    let writes = || Tool { side_effect: SideEffect::Write, ..tool("write") };
    let world = |effects| World::new().with(writes(), |_, _| Ok(json!("done"))).limit(|limits| limits.effects = effects);
    let lines = [calls("write", json!({ "n": 1 })), answers("no")];
    let (denied, allowed) = (world(false), world(true));
    let envelope = denied.ask(&lines).await;
    assert!(error(&envelope, 0).starts_with("`write` changes something, and this agent may only look"), "{envelope:?}");
    assert_eq!(denied.made(), []);
    assert_eq!(allowed.ask(&lines).await.steps[0].observation, Some(json!("done")));
}

#[tokio::test(start_paused = true)]
async fn each_tenant_has_its_own_tools() {
    let mut world = World::arithmetic();
    let only_sum = Policy { allowed: Some(BTreeSet::from(["sum".to_owned()])), ..Policy::default() };
    world.catalog.tenants.insert("guest".into(), only_sum);
    for (tenant, says) in [("guest", "there is no tool `double`; there are: sum"), ("other", "")] {
        let flow = world.flow(model(&[calls("double", json!({ "n": 1 })), answers("done")]));
        let (outputs, _) = submit(&flow, tenant).await.finish().await;
        let envelope: Envelope = serde_json::from_str(outputs[0].text()).unwrap();
        let told = envelope.steps[0].observation.clone().unwrap();
        assert_eq!(told["error"].as_str().unwrap_or_default(), says, "{tenant}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_has_one_shape() {
    let world = World::arithmetic;
    let call = |n: i64| calls("double", json!({ "n": n }));
    // Told that it is the last step, it finishes or not.
    let mut last = answers("so far");
    last["expect"] = json!("This is your last step");
    let envelope = world().limit(|limits| limits.steps = 2).ask(&[call(1), last]).await;
    assert_eq!((envelope.reason, envelope.answer.as_deref()), (Reason::AnswerComplete, Some("so far")));
    let stubborn = world().limit(|limits| limits.steps = 2);
    let envelope = stubborn.ask(&[call(1), call(2)]).await;
    assert_eq!((envelope.reason, envelope.answer, envelope.steps.len()), (Reason::NoPath, None, 2));
    assert_eq!(stubborn.made().len(), 1, "nothing is called after the last step");

    let envelope = world().limit(|limits| limits.tokens = Some(100)).ask(&[]).await;
    assert_eq!((envelope.reason, envelope.usage.model_calls), (Reason::BudgetExhausted, 0));
    // Seven each: two of them leave room for no third, so the second is the last.
    let envelope = world().limit(|limits| limits.cost = Some(20)).ask(&[call(1), call(2), call(3)]).await;
    assert_eq!((envelope.reason, envelope.usage.cost), (Reason::BudgetExhausted, 14));

    let prose = json!({ "text": "The answer is 42, of course." });
    let envelope = world().ask(&[prose.clone(), prose]).await;
    assert_eq!((envelope.reason, envelope.answer), (Reason::ParseFailed, None));
    assert_eq!(envelope.usage.model_calls, 2, "it was told once what was wrong");
    let envelope = world().ask(&[json!({ "text": "{\"foo\": 1}" }), answers("42")]).await;
    assert_eq!((envelope.reason, envelope.steps[0].corrections), (Reason::AnswerComplete, 1));

    let envelope = world().ask(&[call(1), json!({ "fault": "authentication", "message": "no" })]).await;
    assert_eq!((envelope.reason, envelope.steps.len()), (Reason::ModelFailed, 1), "what was reached is there");
    assert!(envelope.error.unwrap().contains("does not accept the key"));
}

#[tokio::test(start_paused = true)]
async fn what_is_large_is_kept_from_the_model() {
    let picture = || {
        let output = json!({ "properties": { "image": { "artifact": true } } });
        Tool { output: Some(output), ..tool("draw") }
    };
    let draws = |_: &Value, _: &floe_flow::Call| Ok(json!({ "image": "x".repeat(10_000), "title": "a" }));
    let world = World::new().with(picture(), draws).with(open("long"), |_, _| Ok(json!("é".repeat(10_000))));
    let world = world.limit(|limits| limits.observation = 1000);
    let envelope = world.ask(&[calls("draw", json!({ "n": 1 })), calls("long", json!({})), answers("there")]).await;
    let told = |step: usize| envelope.steps[step].observation.clone().unwrap();
    assert_eq!(told(0), json!({ "image": "<artifact 0/image, 10002 bytes>", "title": "a" }));
    assert_eq!(envelope.artifacts["0/image"].as_str().unwrap().len(), 10_000);
    assert!(told(1)["truncated"].as_str().unwrap().len() <= 1003 && told(1)["bytes"] == 20_002);
}

#[tokio::test(start_paused = true)]
async fn a_slow_tool_is_cut_off_and_a_passing_failure_tried_again() {
    #[derive(Debug)]
    struct Slow;
    impl floe_flow::Invoke for Slow {
        fn invoke(&self, _: floe_flow::Call) -> std::pin::Pin<Box<dyn Future<Output = floe_flow::Report> + Send + '_>> {
            Box::pin(std::future::pending())
        }
    }
    let mut world = World::new().with(Tool { retries: 1, ..tool("flaky") }, {
        let failed = std::sync::atomic::AtomicBool::new(false);
        move |_, _| {
            let again = failed.swap(true, std::sync::atomic::Ordering::SeqCst);
            if again { Ok(json!(1)) } else { Err(Failure::new(FailureKind::Busy, "later")) }
        }
    });
    let slow = Tool { timeout: Some(Duration::from_secs(3)), ..tool("slow") };
    world.tools.push((slow, Arc::new(Slow)));
    let n = json!({ "n": 1 });
    let envelope = world.ask(&[calls("flaky", n.clone()), calls("slow", n), answers("done")]).await;
    assert_eq!(envelope.steps[0].observation, Some(json!(1)));
    assert_eq!(error(&envelope, 1), "it took longer than its `timeout`, 3s");
}

#[tokio::test(start_paused = true)]
async fn its_thoughts_and_its_answer_come_while_they_are_written() {
    let world = World::arithmetic();
    let text = json!({ "thought": "add them", "args": { "raw_answer": "forty-two" }, "next_node": null }).to_string();
    let pieces: Vec<&str> = text.as_bytes().chunks(5).map(|piece| std::str::from_utf8(piece).unwrap()).collect();
    let tool = json!({ "thought": "t", "next_node": "sum", "args": { "raw_answer": "no answer" } });
    let flow = world.flow(model(&[json!({ "action": tool }), json!({ "pieces": pieces })]));
    let (items, _) = read(submit(&flow, "tenant").await).await;
    let streamed = |name: &str| -> String {
        let text = |item: &Item| match item {
            Item::Chunk { stream, text, .. } if **stream == *name => Some(text.clone()),
            _ => None,
        };
        items.iter().filter_map(text).collect()
    };
    assert_eq!((streamed("thought"), streamed("answer")), ("tadd them".to_owned(), "forty-two".to_owned()));
    let kinds: Vec<&str> = items
        .iter()
        .filter_map(|item| match item {
            Item::Progress { kind, .. } => Some(kind.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, ["model_call", "tool_start", "tool_end", "model_call", "finish"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_from_any_of_its_records_without_asking_again() {
    let world = || World::arithmetic().limit(|limits| limits.effects = true);
    let branches = json!([{ "node": "double", "args": { "n": 1 } }, { "node": "double", "args": { "n": 2 } }]);
    let join = json!({ "node": "sum", "inject": { "numbers": "$results" } });
    let lines = [calls("double", json!({ "n": 21 })), plans(branches, join), answers("6")];
    let whole = Notebook::with(Vec::new());
    let mut first = world();
    first.journal = Some(Arc::clone(&whole));
    let expected = first.ask(&lines).await;
    let records = whole.entries();
    for end in 1..records.len() {
        let asked = |(_, entry): &&(Arc<str>, floe_flow::Entry)| match &entry.record {
            Record::Noted { note, .. } => note.text().contains("\"asked\""),
            _ => false,
        };
        let called = |(_, entry): &&(Arc<str>, floe_flow::Entry)| match &entry.record {
            Record::Noted { note, .. } => note.text().contains("\"called\""),
            _ => false,
        };
        let (asked, called) = (records[..end].iter().filter(asked).count(), records[..end].iter().filter(called).count());
        if records[..end].iter().any(|(_, entry)| matches!(entry.record, Record::Ended(_))) {
            break;
        }
        let mut later = world();
        later.journal = Some(Notebook::with(records[..end].to_vec()));
        // Only what it had not said yet.
        let flow = later.flow(model(&lines[asked..]));
        let (outputs, terminal) = flow.resume("run").await.unwrap().finish().await;
        assert_eq!(terminal.end, End::Completed, "after {end} records: {terminal:?}");
        let envelope: Envelope = serde_json::from_str(outputs[0].text()).unwrap();
        assert_eq!(envelope, expected, "after {end} records");
        let done = records[..end].iter().any(|(_, entry)| matches!(entry.record, Record::Done { .. }));
        assert_eq!(later.made().len(), if done { 0 } else { 4 - called }, "after {end} records");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_made_twice_is_in_doubt_if_the_process_dies_during_it() {
    let writes = || Tool { side_effect: SideEffect::External, ..tool("pay") };
    let world = || World::new().with(writes(), |_, _| Ok(json!("paid"))).limit(|limits| limits.effects = true);
    let lines = [calls("pay", json!({ "n": 1 })), answers("paid")];
    let whole = Notebook::with(Vec::new());
    let mut first = world();
    first.journal = Some(Arc::clone(&whole));
    first.ask(&lines).await;
    let records = whole.entries();
    let begun = records.iter().position(|(_, entry)| matches!(entry.record, Record::Started(_))).unwrap();
    for (end, expected, made) in [(begun, End::Completed, 1), (begun + 1, End::InDoubt, 0), (begun + 2, End::Completed, 0)] {
        let mut later = world();
        later.journal = Some(Notebook::with(records[..end].to_vec()));
        let flow = later.flow(model(&lines[1..]));
        let (_, terminal) = flow.resume("run").await.unwrap().finish().await;
        assert_eq!((terminal.end, later.made().len()), (expected, made), "after {end} records: {terminal:?}");
    }
}
