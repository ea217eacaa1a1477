//! Asking the model for an action, and passing its thought and answer on while they come (B84–B86, W26).

use floe_flow::{Chunk, Context};
use floe_llm::{Answer, Error, Event, Message, Partial, Piece, Pieces, Request};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;
use tokio::time::Instant;

use crate::action::{Action, schema};
use crate::agent::Agent;
use crate::envelope::Reason;
use crate::run::Thought;

/// Pieces that the model may be ahead of the reader.
const ROOM: usize = 64;
/// The strings that are passed on, and what tells an answer from arguments.
const PATHS: [&str; 4] = ["thought", "args.raw_answer", "next_node", "plan"];
const THOUGHT: usize = 0;
const ANSWER: usize = 1;
const NEXT: usize = 2;
const PLAN: usize = 3;

/// Asks, corrects where needed, and returns with the decision every answer that was got on the way.
pub(crate) async fn ask(
    agent: &Agent,
    ctx: &Context,
    messages: Vec<Message>,
    deadline: Option<Instant>,
) -> (Thought, Vec<Answer>) {
    let (pieces, read) = Pieces::channel(ROOM);
    let request = Request { messages, temperature: agent.temperature, pieces: Some(pieces), deadline, ..Request::default() };
    let fits = |value: &Value| Action::read(value).map(|_| ());
    let schema = schema();
    let asking = async move {
        let asked = agent.model.ask(&request, &schema, &fits).await;
        // With the request, the last end of the channel goes.
        drop(request);
        asked
    };
    let (asked, ()) = tokio::join!(asking, pass_on(ctx, read));
    let thought = match asked.result {
        // It has been read before, by what says that it fits. A text that broke off may lack arguments.
        Ok(found) if !found.is_cut => match Action::read(&found.value) {
            Ok(action) => Thought::Acts { action, corrections: asked.corrections },
            Err(error) => Thought::Fails { reason: Reason::ParseFailed, error },
        },
        Ok(_) => Thought::Fails { reason: Reason::ParseFailed, error: "the model's answer broke off".to_owned() },
        Err(error @ Error::Malformed { .. }) => Thought::Fails { reason: Reason::ParseFailed, error: error.to_string() },
        Err(error) => Thought::Fails { reason: Reason::ModelFailed, error: error.to_string() },
    };
    (thought, asked.answers)
}

/// What of an answer has come.
struct Reading {
    partial: Partial,
    /// It finishes: what stands in `args.raw_answer` is the answer. None: not known yet.
    finishes: Option<bool>,
    /// What came of it before that was known.
    held: String,
}

impl Reading {
    fn new() -> Self {
        Self { partial: Partial::new(&PATHS), finishes: None, held: String::new() }
    }

    /// The texts that may go out now, by stream.
    fn push(&mut self, text: &str) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        // What is no JSON comes back from the model another time.
        let events = self.partial.push(text).unwrap_or_default();
        for event in events {
            match event {
                Event::Text { path: THOUGHT, text } => out.push(("thought", text)),
                Event::Text { path: ANSWER, text } if self.finishes == Some(true) => out.push(("answer", text)),
                Event::Text { path: ANSWER, text } if self.finishes.is_none() => self.held.push_str(&text),
                Event::Scalar { path: NEXT, .. } => {
                    self.finishes.get_or_insert(true);
                    if self.finishes == Some(true) && !self.held.is_empty() {
                        out.push(("answer", std::mem::take(&mut self.held)));
                    }
                }
                Event::Text { path: NEXT, .. } | Event::Open { path: PLAN, .. } => {
                    self.finishes = Some(false);
                    self.held.clear();
                }
                _ => {}
            }
        }
        out
    }
}

async fn pass_on(ctx: &Context, mut read: Receiver<Piece>) {
    let mut reading = Reading::new();
    while let Some(piece) = read.recv().await {
        match piece {
            Piece::Restarted => {
                reading = Reading::new();
                // Whoever is gone is noticed elsewhere.
                let _ = ctx.progress("restarted".to_owned(), json!({ "streams": ["thought", "answer"] }).into()).await;
            }
            Piece::Text(text) => {
                for (stream, text) in reading.push(&text) {
                    let _ = ctx.chunk(Chunk { stream: Some(stream.to_owned()), text, done: false, meta: Vec::new() }).await;
                }
            }
        }
    }
}
