//! Streams, subflows, and messages that fan out and are joined.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::graph::DEFAULT_QUEUE;
use floe_flow::{
    Call, Chunk, End, Flow, Graph, Invoke, Item, Join, Kind, Outcome, Output, Report, SubflowNode, Submission, native,
};
use tokio::time::Instant;

use super::{Bench, drive, each};
use crate::Error;
use crate::bench::chain::{self, inside};

/// Messages into which one fans out.
pub(super) const FAN: usize = 100;

/// Sends pieces to the trace's reader, about as long as a token of a language model, and passes its message on.
#[derive(Debug)]
struct Streamer {
    chunks: usize,
}

impl Invoke for Streamer {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            for n in 1..=self.chunks {
                let chunk = Chunk { stream: None, text: "token".to_owned(), done: n == self.chunks, meta: Vec::new() };
                if let Err(failure) = call.ctx.chunk(chunk).await {
                    return Report::from(Err(failure));
                }
            }
            Report::from(Ok(Outcome::one(call.message.payload.clone())))
        })
    }
}

impl Bench<'_> {
    /// The time of a piece, from the node that sends it to the reader.
    pub(super) async fn chunk(&self) -> Result<Duration, Error> {
        let mut graph = Graph::builder("bench");
        graph.run("stream", Arc::new(Streamer { chunks: self.args.chunks }), self.policy());
        graph.run("next", Arc::clone(&self.identity), self.policy());
        graph.chain(&["stream", "next"]);
        let flow = Flow::start(built(graph)?, self.config(1));
        let started = Instant::now();
        let handle = flow.submit(Submission::new("bench", "bench", self.payload.clone())).await;
        let mut handle = handle.map_err(|error| Error::wrong(error.to_string()))?;
        let mut chunks = 0;
        while let Some(item) = handle.next().await {
            match item {
                Item::Chunk { .. } => chunks += 1,
                Item::End(terminal) if terminal.end != End::Completed => {
                    return Err(Error::wrong(format!("a stream of the bench broke off: {terminal:?}")));
                }
                Item::Output { .. } | Item::End(_) | Item::Superseded { .. } | Item::Progress { .. } => {}
            }
        }
        let took = started.elapsed();
        if chunks != self.args.chunks {
            return Err(Error::wrong(format!("of {} pieces of a stream {chunks} came", self.args.chunks)));
        }
        flow.stop(Duration::ZERO).await;
        Ok(each(took, chunks))
    }

    /// The time of a request whose only node calls a chain as a subflow.
    pub(super) async fn subflow(&self) -> Result<Duration, Error> {
        let inner = chain::graph(self.args.hops, &self.identity, &self.policy())?;
        let mut graph = Graph::builder("bench");
        graph.run("call", Arc::new(SubflowNode::new("inner")), self.policy());
        graph.subflow("inner", inner, self.config(1).budget);
        self.one_at_a_time(built(graph)?, self.args.messages).await
    }

    /// The time of a request through the same chain.
    pub(super) async fn inline(&self) -> Result<Duration, Error> {
        let graph = chain::graph(self.args.hops, &self.identity, &self.policy())?;
        self.one_at_a_time(graph, self.args.messages).await
    }

    /// The time of a request that becomes many messages, which a node handles and a join gathers.
    pub(super) async fn fan(&self) -> Result<Duration, Error> {
        let split = native(|call| Ok(Outcome::Outputs(vec![Output::new(call.message.payload.clone()); FAN])));
        let mut graph = Graph::builder("bench");
        graph.run("split", split, self.policy());
        graph.run("work", Arc::clone(&self.identity), self.policy());
        graph.node("gather", Kind::Join(Join::all_of("split")), self.policy());
        graph.edge("split", "work", DEFAULT_QUEUE).edge("work", "gather", DEFAULT_QUEUE);
        self.one_at_a_time(built(graph)?, self.args.messages.div_ceil(FAN)).await
    }

    /// The time of a request, with one in flight. Requests are made on the nodes' threads: what it costs to wake the caller's is
    /// not to be measured.
    async fn one_at_a_time(&self, graph: Graph, requests: usize) -> Result<Duration, Error> {
        let flow = Flow::start(graph, self.config(1));
        let (driven, payload) = (flow.clone(), self.payload.clone());
        let took = inside(self.sandbox.handle(), async move { drive(&driven, &payload, requests, 1).await }).await?;
        flow.stop(Duration::ZERO).await;
        Ok(each(took, requests))
    }
}

fn built(graph: floe_flow::graph::Builder) -> Result<Graph, Error> {
    graph.build().map_err(|problems| Error::wrong(problems[0].to_string()))
}
