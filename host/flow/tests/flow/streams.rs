//! Chunks and progress while a node runs.

use std::sync::Arc;

use floe_flow::{Call, Chunk, Graph, Invoke, Item, Outcome, Report};
use serde_json::json;

use crate::support::{policy, start_with, submit};

#[derive(Debug)]
struct Streams(usize);

impl Invoke for Streams {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let piece = |text: String, done| Chunk { stream: None, text, done, meta: Vec::new() };
            for n in 0..self.0 {
                assert_eq!(call.ctx.chunk(piece(n.to_string(), false)).await.unwrap(), n as u64);
            }
            call.ctx.chunk(piece(String::new(), true)).await.unwrap();
            call.ctx.progress("status".to_owned(), json!("done").into()).await.unwrap();
            Report::from(Ok(Outcome::one(json!("end").into())))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_come_in_order_and_wait_for_the_reader() {
    let mut graph = Graph::builder("test");
    graph.run("streams", Arc::new(Streams(500)), policy());
    let flow = start_with(graph, |config| config.reader = 4);
    let mut handle = submit(&flow, "trace", json!(null)).await;
    let mut seen = Vec::new();
    while let Some(item) = handle.next().await {
        seen.push(match item {
            Item::Chunk { stream, seq, text, done, .. } => {
                assert_eq!(&*stream, "trace");
                assert_eq!(text, if done { String::new() } else { seq.to_string() });
                "chunk"
            }
            Item::Progress { kind, .. } => {
                assert_eq!(kind, "status");
                "progress"
            }
            Item::Output { .. } => "output",
            Item::End(_) => "end",
        });
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.len(), 504);
    assert_eq!(&seen[500..], ["chunk", "progress", "output", "end"]);
}

#[derive(Debug)]
struct ManyStreams;

impl Invoke for ManyStreams {
    fn invoke(&self, call: Call) -> std::pin::Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            for n in 0.. {
                let chunk = Chunk { stream: Some(format!("s{n}")), text: String::new(), done: true, meta: Vec::new() };
                if let Err(failure) = call.ctx.chunk(chunk).await {
                    return Report::from(Err(failure));
                }
            }
            unreachable!()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_bounded() {
    let mut graph = Graph::builder("test");
    graph.run("many", Arc::new(ManyStreams), policy());
    let flow = start_with(graph, |_| {});
    let error = submit(&flow, "trace", json!(null)).await.finish().await.1.error.unwrap();
    assert_eq!(error.detail.unwrap(), json!({"limit": "streams", "used": 1000, "max": 1000}));
}
