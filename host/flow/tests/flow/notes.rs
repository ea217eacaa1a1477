//! Notes of a long call: the same attempt goes on from them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Call, End, Failure, Graph, Invoke, Outcome, Payload, Policy, Record, Report};
use serde_json::json;

use crate::notebook::{Fails, Notebook};
use crate::support::{run, start_with, submit};

/// Notes three numbers, each unless it has been noted, and gives how many it found.
#[derive(Debug)]
struct Notes {
    /// It never ends after so many.
    stops: usize,
}

impl Notes {
    async fn go(&self, call: Call) -> Result<Outcome, Failure> {
        let found = call.ctx.recall();
        assert!(call.ctx.recall().is_empty(), "they are given once");
        for (index, note) in found.iter().enumerate() {
            assert_eq!(note.text(), index.to_string());
        }
        for number in found.len()..3 {
            if number == self.stops {
                std::future::pending::<()>().await;
            }
            call.ctx.note(Payload::from(json!(number))).await?;
        }
        Ok(Outcome::one(json!(found.len()).into()))
    }
}

impl Invoke for Notes {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move { Report::from(self.go(call).await) })
    }
}

fn graph(stops: usize) -> floe_flow::graph::Builder {
    let mut graph = Graph::builder("notes");
    graph.run("notes", Arc::new(Notes { stops }), Policy { retries: 0, ..Policy::with_concurrency(1) });
    graph
}

#[tokio::test(start_paused = true)]
async fn an_attempt_goes_on_from_its_notes() {
    let journal = Notebook::new();
    let flow = start_with(graph(2), |config| config.journal = Some(Arc::clone(&journal) as _));
    let mut handle = submit(&flow, "trace", json!(1)).await;
    assert!(tokio::time::timeout(Duration::from_secs(1), handle.next()).await.is_err());
    drop(handle);
    flow.stop(Duration::ZERO).await;
    let entries: Vec<_> = journal.entries().into_iter().filter(|(_, entry)| !matches!(entry.record, Record::Ended(_))).collect();
    assert_eq!(entries.iter().filter(|(_, entry)| entry.record.name() == "noted").count(), 2);
    let again = Notebook::with(entries);
    let flow = start_with(graph(9), |config| config.journal = Some(Arc::clone(&again) as _));
    let (outputs, terminal) = flow.resume("trace").await.unwrap().finish().await;
    assert_eq!((outputs[0].text(), terminal.end), ("2", End::Completed));
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_there_is_nothing_to_note_and_with_a_broken_one_nothing_goes_on() {
    let (outputs, _) = run(&start_with(graph(9), |_| {}), json!(1)).await;
    assert_eq!(outputs, [json!(0)]);
    let journal = Notebook::slow(Vec::new(), Vec::new(), Some(Fails { at: 2, torn: false }));
    let flow = start_with(graph(9), |config| config.journal = Some(Arc::clone(&journal) as _));
    assert_eq!(run(&flow, json!(1)).await.1.end, End::Stopped);
}
