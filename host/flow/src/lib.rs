//! Messages, graph, queues, scheduler, traces and budgets of Floe.
//!
//! This crate decides *what runs when*. It refuses to know what computes a node (an [`Invoke`] may be a sandboxed plugin, a
//! native function, a router, a map), and it knows no WebAssembly, network, files or environment.
//!
//! Start with [`Graph::builder`], run it with [`Flow::start`], and read what [`Flow::submit`] returns:
//!
//! ```
//! use floe_flow::{Config, End, Flow, Graph, Item, Outcome, Payload, Policy, Submission, native};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let mut graph = Graph::builder("greet");
//! graph.run("hello", native(|call| {
//!     let name = call.message.payload.value().as_str().unwrap_or("world").to_owned();
//!     Ok(Outcome::one(Payload::from(serde_json::json!(format!("Hello, {name}!")))))
//! }), Policy::with_concurrency(1));
//! let flow = Flow::start(graph.build().unwrap(), Config::on_current_runtime());
//!
//! let payload = Payload::parse("\"Floe\"").unwrap();
//! let handle = flow.submit(Submission::new("trace-1", "me", payload)).await.unwrap();
//! let (outputs, terminal) = handle.finish().await;
//! assert_eq!(outputs[0].text(), "\"Hello, Floe!\"");
//! assert_eq!(terminal.end, End::Completed);
//! # }
//! ```

mod budget;
mod context;
pub mod event;
pub mod flow;
pub mod framing;
pub mod graph;
mod handle;
mod join;
pub mod journal;
mod map;
mod message;
pub mod metrics;
mod node;
mod notes;
pub mod observe;
mod policy;
mod quota;
mod release;
mod rooms;
mod router;
mod schema;
pub mod state;
mod stream;
mod subflow;
mod tape;
#[cfg(feature = "testkit")]
pub mod testkit;
mod tool;
mod trace;

pub use budget::{Account, Amounts, Budget, Hold, Resource};
pub use context::{Chunk, Context, Origin};
pub use event::{Event, EventKind, Load, Observer};
pub use flow::{Attempted, Config, Error, Flow, Offered, Past, Repeated, Submission};
pub use graph::{Graph, Kind, Problem};
pub use handle::Handle;
pub use join::{Join, Late, Members};
pub use journal::{Accepted, At, Cursor, Entry, Journal, JournalError, Record};
pub use map::{DEFAULT_MAP_CONCURRENCY, MapNode};
pub use message::{MAX_PARSED, Message, MessageId, Meta, NotJson, Payload};
pub use metrics::{Metrics, Sample};
pub use node::{Call, Failure, FailureKind, Invoke, NodeSpec, Outcome, Output, Receipt, Report, SideEffect, native};
pub use observe::{Buffered, DEFAULT_BUFFERED_EVENTS, Losses, Several};
pub use policy::{
    Backoff, DEFAULT_BACKOFF, DEFAULT_BACKOFF_CAP, DEFAULT_BACKOFF_FACTOR, DEFAULT_RETRIES, DEFAULT_RETRY_ON, DEFAULT_TURNS,
    MAX_RETRY_AFTER, OnFailure, Policy, Validate,
};
pub use quota::{Bucket, Quota, Quotas};
pub use release::{Release, Releases};
pub use router::{MAX_EXPRESSION_BYTES, RouteKey, Router, Routes, RoutingTable, Rule};
pub use schema::{
    MAX_CHECK_WORK, MAX_PATTERN_BYTES, MAX_PATTERNS, MAX_PATTERNS_BYTES, MAX_SCHEMA_BYTES, MAX_SCHEMA_FRAMES, MAX_SCHEMA_LINKS,
    MAX_SCHEMA_NESTED, MAX_SCHEMA_WORK, Schema,
};
pub use state::StateStore;
pub use stream::MAX_STREAMS;
pub use subflow::{MAX_DEPTH, Request as SubflowRequest, SubflowNode};
pub use tape::{Answer, MAX_TAPE, Tape, Taping, Unfit};
pub use tool::{Tool, ToolCall};
pub use trace::{End, Item, MAX_ERROR, Terminal, TraceError};
