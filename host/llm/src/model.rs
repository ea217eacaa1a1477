//! What a model is to its callers: messages in, one answer out, and the answer's text in pieces while it comes.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::Error;

/// A language model: a provider's, a scripted one, or one that asks others. Shared as `Arc<dyn Model>`.
pub trait Model: Send + Sync + Debug {
    /// What it is called in errors, logs and prices, such as `openai/gpt-4.1`.
    fn name(&self) -> &str;

    /// What may be asked of it.
    fn abilities(&self) -> Abilities;

    /// Asks once. Needs a runtime with timers. Dropping the future ends the exchange.
    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a>;
}

/// What a model will say.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>>;

/// What a model can do beyond text for text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It sends its answer piece by piece; one that does not sends one piece at the end.
    pub streams: bool,
    /// It takes [`Output::Schema`].
    pub schema: bool,
    /// It takes [`Output::Json`].
    pub json: bool,
}

impl Abilities {
    /// Everything.
    pub const ALL: Self = Self { streams: true, schema: true, json: true };
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// The form of the answer. A model without the ability answers with [`Error::BadRequest`]; see [`Ladder`](crate::Ladder).
    pub output: Output,
    /// From 0, the likeliest words, to 2; none: the provider's own.
    pub temperature: Option<f64>,
    /// Tokens of the answer at most; none: the provider's own limit.
    pub max_tokens: Option<u32>,
    /// Where the answer's text goes while it comes.
    pub pieces: Option<Pieces>,
    /// When nobody wants the answer any more.
    pub deadline: Option<Instant>,
}

impl Request {
    /// A question of one message.
    pub fn of_user(text: impl Into<Arc<str>>) -> Self {
        Self { messages: vec![Message::new(Role::User, text)], ..Self::default() }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Whoever set the model to its task.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// Something that was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// By whom.
    pub role: Role,
    /// What. Shared, for a conversation is asked again and again.
    pub text: Arc<str>,
}

impl Message {
    /// What somebody said.
    pub fn new(role: Role, text: impl Into<Arc<str>>) -> Self {
        Self { role, text: text.into() }
    }
}

/// The form of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Output {
    /// Text.
    #[default]
    Text,
    /// A JSON object; which one, the messages say.
    Json,
    /// JSON that fits the schema.
    Schema(Arc<Schema>),
}

/// A JSON Schema with a name, as providers ask for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Of letters, digits, `_` and `-`.
    pub name: String,
    /// The schema.
    pub schema: Value,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the model said, whole.
    pub text: String,
    /// What was used.
    pub usage: Usage,
    /// Micro-dollars; `None` where the price or the usage is not known, which is not the same as nothing.
    pub cost: Option<u64>,
    /// The model that answered, by its own name for itself.
    pub model: String,
    /// From the request to the last byte.
    pub latency: Duration,
    /// Why it ends here.
    pub finish: Finish,
}

/// Tokens; `None` is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of all messages.
    pub input: Option<u64>,
    /// Of the answer, what was thought for it included.
    pub output: Option<u64>,
    /// How many of `input` the provider had read before, and takes less for.
    pub cached: Option<u64>,
}

/// Why an answer ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model was done.
    Stop,
    /// It may not say more: `max_tokens`, or the most that it can.
    Length,
    /// A filter cut it off.
    Filter,
}

/// A part of an answer while it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// More text.
    Text(String),
    /// What has come so far counts no more: the answer begins again.
    Restarted,
}

/// Where pieces go: a bounded channel, so that a slow reader slows the answer. Clones go to the same reader.
#[derive(Debug, Clone)]
pub struct Pieces {
    tx: mpsc::Sender<Piece>,
    /// Text has been sent since the answer began.
    has_text: Arc<AtomicBool>,
}

impl Pieces {
    /// With room for this many pieces that have not been read.
    pub fn channel(room: usize) -> (Self, mpsc::Receiver<Piece>) {
        let (tx, rx) = mpsc::channel(room.max(1));
        (Self { tx, has_text: Arc::default() }, rx)
    }

    /// Hands over more text of `model`. Fails with [`Error::Cancelled`] if the reader has gone.
    pub async fn text(&self, model: &str, text: &str) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        self.has_text.store(true, Ordering::Relaxed);
        self.send(model, Piece::Text(text.to_owned())).await
    }

    /// Says that the answer begins again, unless nothing of it has been sent. For whoever asks again, before it asks.
    pub async fn restart(&self, model: &str) -> Result<(), Error> {
        if !self.has_text.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        self.send(model, Piece::Restarted).await
    }

    async fn send(&self, model: &str, piece: Piece) -> Result<(), Error> {
        self.tx.send(piece).await.map_err(|_| Error::Cancelled { model: model.to_owned() })
    }
}
