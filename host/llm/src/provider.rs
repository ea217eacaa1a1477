//! Models that are asked over HTTP: OpenAI and everything that speaks its language, Anthropic, Gemini, Ollama. A module for each
//! language; what they share, from the connection to the time-outs, is `exchange`.

mod anthropic;
mod exchange;
mod gemini;
mod lines;
mod ollama;
mod openai;
mod refusal;
mod reply;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use floe_egress::Client;
use http::HeaderName;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

pub use exchange::{MAX_REFUSAL, Remote};
pub use lines::MAX_EVENT;
pub use refusal::MAX_RETRY_AFTER;

use crate::provider::reply::Reply;
use crate::{Abilities, Error, Message, Prices, Request, Role};

/// A server on the other side of the world takes a second with TLS; name servers and lost packets take some more.
pub const DEFAULT_CONNECT: Duration = Duration::from_secs(10);
/// Models that think before they speak take a minute or two. Without streaming, the head comes when the answer is done.
pub const DEFAULT_HEADER: Duration = Duration::from_secs(120);
/// Models that think while they stream are silent for a minute.
pub const DEFAULT_CHUNK: Duration = Duration::from_secs(90);
/// The longest answers of the slowest models.
pub const DEFAULT_TIME: Duration = Duration::from_secs(300);
/// A million characters, each in an event of its own, is more; a long answer is 100 KiB, and some MiB as a stream of events.
pub const DEFAULT_MAX_ANSWER: u64 = 16 << 20;
/// A million tokens, the most that models read.
pub const DEFAULT_MAX_REQUEST: u64 = 8 << 20;
/// Bytes of a model's name: the longest have some sixty.
pub const MAX_NAME: usize = 200;

/// Whose language is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// OpenAI's chat completions, which many other servers speak too.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
    /// Ollama's own chat.
    Ollama,
}

/// A model, and how to reach it.
#[derive(Debug, Clone)]
pub struct Config {
    /// The language.
    pub provider: Provider,
    /// Where the interface begins, such as `http://localhost:8080/v1`; none: the provider's own.
    pub base_url: Option<String>,
    /// The model's name there.
    pub model: String,
    /// The key, where one is asked for.
    pub key: Option<Secret>,
    /// How long it may take.
    pub time_outs: TimeOuts,
    /// Bytes of an answer, as they come over the wire.
    pub max_answer: u64,
    /// Bytes of a request.
    pub max_request: u64,
    /// The host may have an address of this machine or of its network. Where the base URL has an address or `localhost` it may anyway.
    pub private: bool,
    /// What tokens cost.
    pub prices: Arc<Prices>,
    /// What goes out to the network.
    pub client: Client,
}

/// How long an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOuts {
    /// To look the name up and connect.
    pub connect: Duration,
    /// From the sent request to the head of the answer.
    pub header: Duration,
    /// From one part of the answer to the next.
    pub chunk: Duration,
    /// For everything.
    pub total: Duration,
}

impl TimeOuts {
    /// The defaults.
    pub const DEFAULT: Self =
        Self { connect: DEFAULT_CONNECT, header: DEFAULT_HEADER, chunk: DEFAULT_CHUNK, total: DEFAULT_TIME };
}

/// A key. Nothing shows it; answers that repeat it come without it. It is not wiped from memory when it is dropped, for the
/// request that goes out with it has copies that nobody here could wipe.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// A key as it stands in a file or a variable: white space around it, such as a last line break, is none of it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Provider {
    /// Its name in models' names and tables of prices.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    fn base_url(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com/v1",
            Self::Gemini => "https://generativelanguage.googleapis.com/v1beta",
            Self::Ollama => "http://localhost:11434",
        }
    }

    fn abilities(self) -> Abilities {
        match self {
            Self::OpenAi | Self::Gemini | Self::Ollama => Abilities::ALL,
            Self::Anthropic => Abilities { json: false, ..Abilities::ALL },
        }
    }

    /// What follows the base URL.
    fn path(self, model: &str, streams: bool) -> String {
        match self {
            Self::OpenAi => "/chat/completions".to_owned(),
            Self::Anthropic => "/messages".to_owned(),
            Self::Gemini if streams => format!("/models/{model}:streamGenerateContent?alt=sse"),
            Self::Gemini => format!("/models/{model}:generateContent"),
            Self::Ollama => "/api/chat".to_owned(),
        }
    }

    /// Where the key stands.
    fn key_header(self) -> (HeaderName, &'static str) {
        match self {
            Self::OpenAi | Self::Ollama => (AUTHORIZATION, "Bearer {secret}"),
            Self::Anthropic => (HeaderName::from_static("x-api-key"), "{secret}"),
            Self::Gemini => (HeaderName::from_static("x-goog-api-key"), "{secret}"),
        }
    }

    /// The request's body. `is_custom`: it goes to another server than the provider's.
    fn body(self, model: &str, request: &Request, streams: bool, is_custom: bool) -> Value {
        match self {
            Self::OpenAi => openai::body(model, request, streams, is_custom),
            Self::Anthropic => anthropic::body(model, request, streams),
            Self::Gemini => gemini::body(request),
            Self::Ollama => ollama::body(model, request, streams),
        }
    }

    /// Takes a whole answer or an event of a streamed one in; gives what text came with it.
    fn take(self, name: &str, reply: &mut Reply, value: &Value) -> Result<String, Error> {
        match self {
            Self::OpenAi => openai::take(name, reply, value),
            Self::Anthropic => anthropic::take(name, reply, value),
            Self::Gemini => gemini::take(name, reply, value),
            Self::Ollama => ollama::take(name, reply, value),
        }
    }
}

/// The texts of all system messages, for interfaces that have one place for them.
fn system(messages: &[Message]) -> Option<String> {
    let texts: Vec<&str> =
        messages.iter().filter(|message| message.role == Role::System).map(|message| message.text.as_ref()).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// The messages as most take them, with those of the system or without.
fn said(request: &Request, with_system: bool) -> Vec<Value> {
    let is_said = |message: &&Message| with_system || message.role != Role::System;
    let said = |message: &Message| json!({ "role": message.role, "content": message.text });
    request.messages.iter().filter(is_said).map(said).collect()
}
