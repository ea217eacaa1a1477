//! Writes down what a model says, as a script that [`Scripted`](crate::Scripted) follows.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::scripted::{Fault, Line, Tokens};
use crate::{Abilities, Answer, Answering, Error, Model, Piece, Pieces, Request, TimeOut};

/// Takes a line of a script, without a line break.
pub type Write = Arc<dyn Fn(&str) + Send + Sync>;

/// Pieces between the model and the reader while they are written down.
const ROOM: usize = 16;

/// A model whose calls are written down, a line for each, when they end. A call that was dropped leaves none.
#[derive(Clone)]
pub struct Recorder {
    model: Arc<dyn Model>,
    write: Write,
    expects: bool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("model", &self.model).field("expects", &self.expects).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Hands a line for each call of the model to `write`. With `expects`, a line says what the last message was, whole, so that the
    /// script fits only a run that asks the very same.
    pub fn new(model: Arc<dyn Model>, expects: bool, write: Write) -> Self {
        Self { model, write, expects }
    }

    async fn record(&self, request: &Request) -> Result<Answer, Error> {
        let (result, pieces) = match &request.pieces {
            None => (self.model.complete(request).await, Vec::new()),
            Some(reader) => self.listen(request, reader).await,
        };
        let mut line = match &result {
            Ok(answer) => Line {
                text: Some(answer.text.clone()),
                usage: Some(Tokens { input: answer.usage.input, output: answer.usage.output, cached: answer.usage.cached }),
                cost: answer.cost,
                finish: Some(answer.finish),
                ..Line::default()
            },
            Err(error) => failed(error),
        };
        if result.is_err() || pieces.concat() == result.as_ref().map_or("", |answer| answer.text.as_str()) {
            line.pieces = pieces;
        }
        if self.expects {
            line.expect = request.messages.last().map(|message| Value::String(message.text.to_string()));
        }
        match serde_json::to_string(&line) {
            Ok(line) => (self.write)(&line),
            Err(error) => tracing::warn!(%error, model = self.model.name(), "A call cannot be written down."),
        }
        result
    }

    /// Asks, and passes each piece on.
    async fn listen(&self, request: &Request, reader: &Pieces) -> (Result<Answer, Error>, Vec<String>) {
        let (pieces, mut rx) = Pieces::channel(ROOM);
        let heard = Request { pieces: Some(pieces), ..request.clone() };
        let mut said = Vec::new();
        let result = {
            let mut answering = self.model.complete(&heard);
            loop {
                tokio::select! {
                    biased;
                    // The channel stays open: `heard` holds its other end.
                    Some(piece) = rx.recv() => {
                        if let Err(gone) = pass(piece, reader, self.model.name(), &mut said).await {
                            break Err(gone);
                        }
                    }
                    result = &mut answering => break result,
                }
            }
        };
        while let Ok(piece) = rx.try_recv() {
            if let Err(gone) = pass(piece, reader, self.model.name(), &mut said).await {
                return (Err(gone), said);
            }
        }
        (result, said)
    }
}

async fn pass(piece: Piece, reader: &Pieces, model: &str, said: &mut Vec<String>) -> Result<(), Error> {
    match piece {
        Piece::Text(text) => {
            reader.text(model, &text).await?;
            said.push(text);
            Ok(())
        }
        Piece::Restarted => {
            said.clear();
            reader.restart(model).await
        }
    }
}

impl Model for Recorder {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn abilities(&self) -> Abilities {
        self.model.abilities()
    }

    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a> {
        Box::pin(self.record(request))
    }
}

/// The line that makes a script fail in the same way.
fn failed(error: &Error) -> Line {
    let line = |fault, message: &String| Line { fault: Some(fault), message: Some(message.clone()), ..Line::default() };
    let later = |line: Line| {
        let retry_after_ms = error.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        Line { retry_after_ms, ..line }
    };
    match error {
        Error::RateLimited { message, .. } => later(line(Fault::RateLimited, message)),
        Error::Unavailable { message, .. } => later(line(Fault::Unavailable, message)),
        Error::TimedOut { limit, .. } => {
            let fault = match limit {
                TimeOut::Connect => Fault::Connect,
                TimeOut::Header => Fault::Header,
                TimeOut::Chunk => Fault::Chunk,
                TimeOut::Total => Fault::Total,
            };
            Line { fault: Some(fault), ..Line::default() }
        }
        Error::ContextTooLong { message, .. } => line(Fault::ContextTooLong, message),
        Error::BadRequest { message, .. } => line(Fault::BadRequest, message),
        Error::UnknownModel { message, .. } => line(Fault::UnknownModel, message),
        Error::Authentication { message, .. } => line(Fault::Authentication, message),
        Error::Refused { message, .. } => line(Fault::Refused, message),
        Error::Malformed { message, received, .. } => Line { text: Some(received.clone()), ..line(Fault::Malformed, message) },
        Error::Limit { .. } | Error::Cancelled { .. } | Error::Invalid(_) => line(Fault::Unavailable, &error.to_string()),
    }
}
