//! Random graphs with joins, routers, loops and failures, run by random readers within random limits: what must hold of all of them.
//!
//! `plan` draws a flow, `model` says what must come of it, `world` runs it and watches, `story` reads what was seen. Then: flows
//! that nothing disturbs (`undisturbed`), and flows whose process dies or whose journal fails (`crashes`).

mod crashes;
mod model;
mod plan;
mod story;
mod undisturbed;
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Entry, Error, Flow, Handle, Item, Journal, Message, MessageId, Record, Submission, Terminal};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::payload;
use model::stripped;
use plan::Plan;
use world::World;

/// Longer than any flow here takes.
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// Longer than a flow takes to stop.
const A_MINUTE: Duration = Duration::from_secs(60);

/// How a trace comes into a flow.
#[derive(Debug, Clone)]
enum Way {
    Submit(usize),
    Resume(String),
}

/// An output: its node, its id, what it carries.
type Output = (String, MessageId, Value);

/// What the reader of a trace saw.
#[derive(Debug, Clone)]
struct Read {
    outputs: Vec<Output>,
    /// How it ended; or why it was not taken on.
    end: Result<Terminal, Error>,
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Reads all of these at once, each to its end.
async fn read_all(world: &Arc<World>, flow: &Flow, plan: &Plan, ways: Vec<Way>) -> Vec<(String, Read)> {
    let mut tasks = JoinSet::new();
    for way in ways {
        let (world, flow, plan) = (Arc::clone(world), flow.clone(), plan.clone());
        tasks.spawn(async move { read(&world, &flow, &plan, way).await });
    }
    let all = tokio::time::timeout(FOR_EVER, tasks.join_all()).await;
    all.unwrap_or_else(|_| panic!("a trace hangs; its flow has {} in flight", flow.in_flight()))
}

async fn read(world: &World, flow: &Flow, plan: &Plan, way: Way) -> (String, Read) {
    let (name, opened) = match way {
        Way::Resume(name) => {
            let opened = flow.resume(&name).await;
            (name, opened)
        }
        Way::Submit(request) => {
            let (tenant, priority) = plan.requests[request];
            let name = Plan::trace(request);
            let submission = Submission::new(&name, &format!("tenant{tenant}"), payload(model::input()));
            let opened = flow.submit(Submission { priority, ..submission }).await;
            (name, opened)
        }
    };
    let mut outputs = Vec::new();
    let end = match opened {
        Ok(mut handle) => Ok(read_to_the_end(world, plan, &mut handle, &mut outputs).await),
        Err(error) => Err(error),
    };
    (name, Read { outputs, end })
}

async fn read_to_the_end(world: &World, plan: &Plan, handle: &mut Handle, outputs: &mut Vec<Output>) -> Terminal {
    let trace = Arc::clone(&handle.origin().trace);
    loop {
        let item = handle.next().await.expect("a trace has an end");
        check_is_recorded(world, &trace, &item);
        tokio::time::sleep(Duration::from_millis(plan.room.reading)).await;
        match item {
            Item::Output { node, message } => {
                outputs.push((node.to_string(), message.id, stripped(&message.payload.value())));
                acknowledge(world, plan, &trace, Some(message.id)).await;
            }
            Item::End(terminal) => {
                if terminal.end.is_final() {
                    acknowledge(world, plan, &trace, None).await;
                }
                assert!(handle.next().await.is_none(), "something follows the end");
                return terminal;
            }
            other => panic!("nobody sends {other:?}"),
        }
    }
}

/// A reader that says itself what it has. If the journal does not take it, the output comes once more.
async fn acknowledge(world: &World, plan: &Plan, trace: &Arc<str>, message: Option<MessageId>) {
    if let Some(journal) = world.journal.as_ref().filter(|_| plan.acknowledge) {
        let record = Record::Delivered { message, cursor: None };
        let _ = journal.append(trace, Entry { at_ms: 0, seq: 0, record }).await;
    }
}

/// Nothing is visible before what it follows from is in the journal.
fn check_is_recorded(world: &World, trace: &str, item: &Item) {
    let Some(journal) = &world.journal else { return };
    let recorded = match item {
        Item::Output { node, message } => {
            let Message { parent: Some(parent), .. } = **message else { panic!("an input leaves the flow") };
            let is_join = world.is_join(node);
            is_join
                || journal
                    .has(trace, |record| matches!(record, Record::Done { at, .. } if at.node == *node && at.message == parent))
        }
        Item::End(terminal) => {
            !terminal.end.is_final()
                || journal.has(trace, |record| matches!(record, Record::Ended(ended) if ended.end == terminal.end))
        }
        _ => true,
    };
    assert!(recorded, "{trace}: {item:?} is visible before its record is written");
}

/// Nothing is left of a flow whose traces have ended, and it takes no time to stop it.
async fn stop_at_once(world: &World, flow: &Flow) {
    let began = Instant::now();
    stop(world, flow).await;
    // What was appended when the end had been decided by an earlier failure is still being answered.
    let answered = world.journal.as_ref().and_then(|journal| journal.answered()).map_or(began, |last| last.max(began));
    assert!(Instant::now() <= answered, "something went on after all ends");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0, "a task is left");
}

async fn stop(world: &World, flow: &Flow) {
    assert_eq!(flow.in_flight(), 0);
    tokio::time::timeout(A_MINUTE, flow.stop(Duration::ZERO)).await.expect("the flow stops");
    assert_eq!(world.mistakes(), Vec::<String>::new());
}

/// Outputs of one node, as text.
fn of_node<'a>(outputs: &'a [Output], node: &'a str) -> impl Iterator<Item = &'a Value> {
    outputs.iter().filter(move |output| output.0 == node).map(|(_, _, value)| value)
}

/// Compares what came out of a trace that completed with what must come of it.
fn check_outputs(expected: &model::Expected, outputs: &[Output], terminal: &Terminal) {
    assert_eq!(terminal.outputs, outputs.len() as u64);
    let ids: BTreeSet<(&str, MessageId)> = outputs.iter().map(|(node, id, _)| (node.as_str(), *id)).collect();
    assert_eq!(ids.len(), outputs.len(), "an output came twice");
    if expected.loose {
        return;
    }
    assert_eq!(outputs.len(), expected.outputs.values().map(Vec::len).sum::<usize>());
    for (node, wanted) in &expected.outputs {
        let name = Plan::name(*node);
        let found: Vec<&Value> = of_node(outputs, &name).collect();
        let sum = |values: &mut dyn Iterator<Item = &Value>| values.map(weigh).sum::<u64>();
        assert_eq!(found.len(), wanted.len(), "outputs of {name}");
        assert_eq!(sum(&mut found.iter().copied()), sum(&mut wanted.iter()), "weight of the outputs of {name}");
        if expected.exact {
            let texts = |values: Vec<&Value>| {
                let mut texts: Vec<String> = values.into_iter().map(ToString::to_string).collect();
                texts.sort();
                texts
            };
            assert_eq!(texts(found), texts(wanted.iter().collect()), "outputs of {name}");
        }
    }
}

/// The weight of a payload whose words of failures are gone.
fn weigh(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(weigh).sum(),
        _ => value.get("failed").map_or_else(|| model::weight(value), weigh),
    }
}
