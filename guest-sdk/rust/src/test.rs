//! Runs handlers natively and records what they did, for unit tests without WebAssembly.
//!
//! Inputs go through their JSON text, as in the host. What a call emits, streams, shows and logs is in [`Ran`]; nothing is kept
//! between calls or shared between threads, and outside of a call it is dropped.

use std::cell::RefCell;

use serde_json::Value;

use crate::bindings::node::{Message, Outcome as RawOutcome, Output as RawOutput};
use crate::bindings::toolset::Caller;
use crate::failure::Result;
use crate::json::{IntoJson, Json};
use crate::log::Level;
use crate::node::{Context, Node, Outcome, Output};
use crate::tool::Tool;
use crate::{Field, call_tool, handle_node};

/// A call that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran<T> {
    /// What the handler returned.
    pub result: Result<T>,
    /// What it did before it returned.
    pub record: Record,
}

/// What a call did before it returned.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Messages, with `emit::message` and `emit::output`.
    pub emitted: Vec<Output<Json>>,
    /// Pieces of streams.
    pub chunks: Vec<Chunk>,
    /// Kinds and data of `emit::progress`.
    pub progress: Vec<(String, Json)>,
    /// Lines of the log.
    pub logs: Vec<Line>,
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// None: the trace's own.
    pub stream: Option<String>,
    /// Its number in the stream, from 0.
    pub seq: u64,
    /// The piece.
    pub text: String,
    /// The last of its stream.
    pub done: bool,
    /// Metadata.
    pub meta: Vec<Field>,
    /// Successors that get it too.
    pub to: Vec<String>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its message.
    pub message: String,
    /// Its fields.
    pub fields: Vec<Field>,
}

/// Runs a node on a first attempt.
pub fn run<N: Node>(config: impl IntoJson, input: impl IntoJson) -> Ran<Outcome<Json>> {
    run_with::<N>(Context::default(), config, input)
}

/// Runs a node on a message with this context.
pub fn run_with<N: Node>(ctx: Context, config: impl IntoJson, input: impl IntoJson) -> Ran<Outcome<Json>> {
    let message = Message {
        trace: ctx.trace,
        id: ctx.id,
        parent: ctx.parent,
        source: ctx.source,
        attempt: ctx.attempt,
        turn: ctx.turn,
        deadline_ms: ctx.deadline.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        tenant: ctx.tenant,
        user: ctx.user,
        session: ctx.session,
        topic: ctx.topic,
        priority: ctx.priority,
        payload: text(input),
        meta: ctx.meta,
    };
    recorded(|| handle_node::<N>(text(config), message).map(Outcome::from_raw))
}

/// Calls a tool on a first attempt.
pub fn call<T: Tool>(config: impl IntoJson, arguments: impl IntoJson) -> Ran<Value> {
    call_with::<T>(&Caller::default(), config, arguments)
}

/// Calls a tool for this caller.
pub fn call_with<T: Tool>(caller: &Caller, config: impl IntoJson, arguments: impl IntoJson) -> Ran<Value> {
    recorded(|| call_tool::<T>(text(config), text(arguments), caller).map(|result| value(&Json::from_text(result))))
}

// === impl Ran ===

impl Ran<Outcome<Json>> {
    /// The payloads returned for the successors. Panics if the call failed or had another outcome.
    pub fn payloads(&self) -> Vec<Value> {
        match &self.result {
            Ok(Outcome::Outputs(outputs)) => outputs.iter().map(|output| value(&output.payload)).collect(),
            other => panic!("expected outputs, got {other:?}"),
        }
    }
}

impl Outcome<Json> {
    fn from_raw(outcome: RawOutcome) -> Self {
        match outcome {
            RawOutcome::Outputs(outputs) => Self::Outputs(outputs.into_iter().map(Output::from_raw).collect()),
            RawOutcome::Again(turn) => Self::Again { memory: Json::from_text(turn.memory), tokens_used: turn.tokens_used },
            RawOutcome::Final(answer) => Self::Final(Json::from_text(answer)),
        }
    }
}

impl Output<Json> {
    fn from_raw(output: RawOutput) -> Self {
        let RawOutput { payload, meta, to, topic, priority } = output;
        Self { payload: Json::from_text(payload), meta, to, topic, priority }
    }
}

fn text(value: impl IntoJson) -> String {
    match value.into_json() {
        Ok(json) => json.into_text(),
        Err(failure) => panic!("a test's input cannot be written: {failure:?}"),
    }
}

fn value(json: &Json) -> Value {
    match json.parse() {
        Ok(value) => value,
        Err(failure) => panic!("a handler gave what is not JSON: {failure:?}"),
    }
}

// === the recorder ===

thread_local! {
    static RECORD: RefCell<Option<Record>> = const { RefCell::new(None) };
}

fn recorded<T>(call: impl FnOnce() -> Result<T>) -> Ran<T> {
    let outer = RECORD.replace(Some(Record::default()));
    let result = call();
    let record = RECORD.replace(outer).unwrap_or_default();
    Ran { result, record }
}

fn record<T: Default>(write: impl FnOnce(&mut Record) -> T) -> T {
    RECORD.with_borrow_mut(|record| record.as_mut().map(write).unwrap_or_default())
}

/// Stands in for the interface `log`.
pub(crate) mod log {
    use super::{Field, Level, Line, record};

    pub(crate) fn write(level: Level, message: &str, fields: &[Field]) {
        record(|record| record.logs.push(Line { level, message: message.to_owned(), fields: fields.to_vec() }));
    }
}

/// Stands in for the interface `budget`: nothing is limited or cancelled.
pub(crate) mod budget {
    pub(crate) fn remaining() -> Vec<(String, u64)> {
        Vec::new()
    }

    pub(crate) fn cancelled() -> bool {
        false
    }
}

/// Stands in for the interface `emit`.
pub(crate) mod emit {
    use super::{Chunk, Field, Json, Output, RawOutput, Result, record};

    pub(crate) fn message(output: &RawOutput) -> Result<()> {
        record(|record| record.emitted.push(Output::from_raw(output.clone())));
        Ok(())
    }

    pub(crate) fn chunk(stream: Option<&str>, text: &str, done: bool, meta: &[Field], to: &[String]) -> Result<u64> {
        Ok(record(|record| {
            let seq = record.chunks.iter().filter(|chunk| chunk.stream.as_deref() == stream).count() as u64;
            let stream = stream.map(str::to_owned);
            record.chunks.push(Chunk { stream, seq, text: text.to_owned(), done, meta: meta.to_vec(), to: to.to_vec() });
            seq
        }))
    }

    pub(crate) fn progress(kind: &str, data: &str) -> Result<()> {
        record(|record| record.progress.push((kind.to_owned(), Json::from_text(data))));
        Ok(())
    }
}
