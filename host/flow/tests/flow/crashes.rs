//! What a reader that comes back after a crash is told of the pieces that it has.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::graph::Builder;
use floe_flow::{
    Backoff, Call, Chunk, Config, Context, End, Failure, FailureKind, Graph, Handle, Invoke, Item, Outcome, Output, Policy,
    Receipt, Report, SubflowRequest,
};
use serde_json::json;

use crate::journal::durable;
use crate::notebook::Notebook;
use crate::support::{policy, submit};

/// Sends two pieces with its name to one stream, and waits after each; so often, the attempt fails then.
#[derive(Debug)]
struct Speaks {
    pause: u64,
    failures: u32,
}

impl Invoke for Speaks {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            for n in 1..=2 {
                if let Err(failure) = say(&call.ctx, n).await {
                    return Report::from(Err(failure));
                }
                tokio::time::sleep(Duration::from_millis(self.pause)).await;
            }
            if call.attempt <= self.failures {
                return Report::from(Err(Failure::new(FailureKind::Busy, "planned")));
            }
            Report::from(Ok(Outcome::one(call.message.payload.clone())))
        })
    }
}

async fn say(ctx: &Context, n: u32) -> Result<(), Failure> {
    let text = format!("{} {n}", ctx.node());
    let chunk = Chunk { stream: Some("story".to_owned()), text, done: false, meta: Vec::new() };
    ctx.chunk(chunk).await.map(drop)
}

/// Sends a piece, runs a subflow, sends another one.
#[derive(Debug)]
struct Asks;

impl Invoke for Asks {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let mut receipt = Receipt::default();
            let work = async {
                say(&call.ctx, 1).await?;
                tokio::time::sleep(Duration::from_millis(89)).await;
                let answers = call
                    .ctx
                    .call("inner", &SubflowRequest { message: &call.message, call: "0", most: usize::MAX }, &mut receipt)
                    .await?;
                say(&call.ctx, 2).await?;
                tokio::time::sleep(Duration::from_millis(97)).await;
                Ok(Outcome::Outputs(answers.into_iter().map(Output::new).collect()))
            };
            let result = work.await;
            Report { receipt, ..Report::from(result) }
        })
    }
}

/// A pause for each, so that no two things happen at the same moment.
fn speaks(graph: &mut Builder, name: &str, pause: u64, failures: u32) {
    let backoff = Backoff { base: Duration::from_millis(7), factor: 1.0, cap: Duration::from_millis(7), jitter: false };
    graph.run(name, Arc::new(Speaks { pause, failures }), Policy { retries: 2, backoff, ..policy() });
}

/// Two branches side by side; in one of them a subflow. Some attempts fail.
fn talk() -> Builder {
    let mut inner = Graph::builder("inner");
    speaks(&mut inner, "deep", 331, 0);
    speaks(&mut inner, "deeper", 547, 1);
    inner.chain(&["deep", "deeper"]);
    let mut graph = Graph::builder("outer");
    graph.subflow("inner", inner.build().unwrap(), Config::on_current_runtime().budget);
    speaks(&mut graph, "first", 199, 1);
    graph.run("sub", Arc::new(Asks), policy());
    speaks(&mut graph, "last", 263, 2);
    speaks(&mut graph, "beside", 1103, 1);
    graph.chain(&["first", "sub", "last"]);
    graph
}

const WANTED: [&str; 12] = [
    "beside 1", "beside 2", "deep 1", "deep 2", "deeper 1", "deeper 2", "first 1", "first 2", "last 1", "last 2", "sub 1",
    "sub 2",
];

/// What a reader makes of what it is told.
fn take(standing: &mut Vec<Item>, item: Item) {
    match &item {
        Item::Chunk { .. } => standing.push(item),
        Item::Superseded { .. } => standing.retain(|piece| !item.supersedes(piece)),
        _ => {}
    }
}

fn texts(standing: &[Item]) -> Vec<&str> {
    let pieces = standing.iter().filter_map(|item| if let Item::Chunk { text, .. } = item { Some(text.as_str()) } else { None });
    let mut texts: Vec<&str> = pieces.collect();
    texts.sort_unstable();
    texts
}

#[tokio::test(start_paused = true)]
async fn whatever_a_crash_cuts_off_stands_once_in_the_end() {
    let whole = Notebook::new();
    let mut handle = submit(&durable(talk(), &whole), "trace", json!(1)).await;
    // What the reader saw, and how many records there were by then.
    let mut seen: Vec<(usize, Item)> = Vec::new();
    while let Some(item) = handle.next().await {
        seen.push((whole.names().len(), item));
    }
    let mut standing = Vec::new();
    seen.iter().for_each(|(_, item)| take(&mut standing, item.clone()));
    assert_eq!(texts(&standing), WANTED);

    let records = whole.entries();
    assert_eq!(whole.names().iter().filter(|name| **name == "streamed").count(), 11, "one for each attempt that streams");
    let mut cut_off = 0;
    for end in 1..records.len() {
        let mut standing = Vec::new();
        seen.iter().filter(|(records, _)| *records <= end).for_each(|(_, item)| take(&mut standing, item.clone()));
        let flow = durable(talk(), &Notebook::with(records[..end].to_vec()));
        let mut handle = flow.resume("trace").await.unwrap();
        let mut last = None;
        while let Some(item) = handle.next().await {
            cut_off += usize::from(matches!(&item, Item::Superseded { restarts: true, .. }));
            last = Some(item.clone());
            take(&mut standing, item);
        }
        assert!(matches!(last, Some(Item::End(terminal)) if terminal.end == End::Completed));
        assert_eq!(texts(&standing), WANTED, "after {end} records");
    }
    assert!(cut_off > 20, "{cut_off}");
}

#[tokio::test(start_paused = true)]
async fn the_first_piece_of_an_attempt_waits_for_its_record_and_no_other_does() {
    let journal = Notebook::new();
    let mut graph = Graph::builder("test");
    speaks(&mut graph, "node", 1000, 0);
    let flow = durable(graph, &journal);
    let waits = async |handle: &mut Handle| tokio::time::timeout(Duration::from_secs(60), handle.next()).await.is_err();
    journal.safe.send_replace(Some(1));
    let mut handle = submit(&flow, "trace", json!(1)).await;
    assert!(waits(&mut handle).await, "the record is on its way");
    assert_eq!(journal.names(), ["accepted", "streamed"]);
    journal.safe.send_replace(Some(2));
    for wanted in ["node 1", "node 2"] {
        assert!(matches!(handle.next().await, Some(Item::Chunk { text, .. }) if text == wanted));
    }
    assert!(waits(&mut handle).await, "the call's end is not recorded yet");
    assert_eq!(journal.names(), ["accepted", "streamed", "done"]);
    journal.safe.send_replace(None);
    assert!(matches!(handle.next().await, Some(Item::Output { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_call_cut_off_before_its_first_piece_takes_nothing_back() {
    let whole = Notebook::new();
    let flow = durable(talk(), &whole);
    drop(submit(&flow, "trace", json!(1)).await);
    let accepted = whole.entries()[..1].to_vec();
    let mut handle = durable(talk(), &Notebook::with(accepted)).resume("trace").await.unwrap();
    while let Some(item) = handle.next().await {
        assert!(!matches!(item, Item::Superseded { restarts: true, .. }), "{item:?}");
    }
}
