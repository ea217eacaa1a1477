//! A model that follows a script: one line of JSON for each call, in their order. For tests, and for examples without a network.
//!
//! | key | is |
//! |---|---|
//! | `text` | the answer, a string |
//! | `action` | the answer, an object, sent as its JSON text |
//! | `pieces` | the answer as it is streamed, strings; they add up to `text`, which may be left out |
//! | `delay_ms` | time before the first piece, or before the answer if nobody streams |
//! | `usage` | `{"input": 12, "output": 3, "cached": 0}`; what is left out is not known |
//! | `cost` | micro-dollars; left out: not known |
//! | `finish` | `stop` (the default), `length` or `filter` |
//! | `fault` | the call fails instead, after `pieces`: see [`Fault`] |
//! | `expect` | what the last message must have: a string is a part of it, an object or array a part of its JSON |
//! | `again` | `true`, alone on the last line: begin anew |
//!
//! Empty lines and lines that begin with `#` are skipped. Calls that are made at once take lines as they come. A script that does
//! not fit its run ends it with [`Error::Invalid`], which names the line and the difference.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use crate::error::{MAX_EXPLANATION, plain};
use crate::{Abilities, Answer, Answering, Error, Finish, Model, Output, Request, TimeOut, Usage};

/// Bytes of a script: some thousand answers of a few pages.
pub const MAX_SCRIPT: usize = 16 << 20;

/// A model that follows a script.
#[derive(Debug)]
pub struct Scripted {
    name: String,
    abilities: Abilities,
    lines: Vec<(usize, Line)>,
    begins_anew: bool,
    next: Mutex<usize>,
}

/// What a line of a script says, and what a [`Recorder`](crate::Recorder) writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expect: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pieces: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delay_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish: Option<Finish>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) again: bool,
}

/// [`Usage`] as a script writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokens {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) input: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached: Option<u64>,
}

/// How a call fails. `message` goes with each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// [`Error::RateLimited`], with `retry_after_ms` if it is there.
    RateLimited,
    /// [`Error::Unavailable`], with `retry_after_ms` if it is there.
    Unavailable,
    /// What a provider's answer with this `status` becomes, its explanation being `message`.
    Status,
    /// The stream breaks off after `pieces`: [`Error::Unavailable`].
    Cut,
    /// [`Error::Malformed`]; `text` is what was received.
    Malformed,
    /// [`Error::TimedOut`], to be connected.
    Connect,
    /// [`Error::TimedOut`], until the head of the answer.
    Header,
    /// [`Error::TimedOut`], between parts of the answer.
    Chunk,
    /// [`Error::TimedOut`], over everything.
    Total,
    /// [`Error::ContextTooLong`].
    ContextTooLong,
    /// [`Error::BadRequest`].
    BadRequest,
    /// [`Error::UnknownModel`].
    UnknownModel,
    /// [`Error::Authentication`].
    Authentication,
    /// [`Error::Refused`].
    Refused,
    /// The call never ends; whoever waits gives up or cancels.
    Hang,
}

impl Scripted {
    /// Reads a script. `name` is the model's, and how the script is called in errors.
    pub fn parse(name: &str, script: &str) -> Result<Self, Error> {
        if script.len() > MAX_SCRIPT {
            let size = script.len();
            return Err(Error::Invalid(format!("the script `{name}` has {size} bytes, and a script has at most {MAX_SCRIPT}")));
        }
        let mut lines = Vec::new();
        let mut begins_anew = false;
        for (index, text) in script.lines().enumerate() {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let number = index + 1;
            let bad = |why: &str| Error::Invalid(format!("the script `{name}`, line {number}: {}", plain(why, MAX_EXPLANATION)));
            if begins_anew {
                return Err(bad("nothing follows `again`"));
            }
            let line: Line = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
            begins_anew = line.again;
            if line.again {
                let is_alone = line == Line { again: true, ..Line::default() } && !lines.is_empty();
                is_alone.then_some(()).ok_or_else(|| bad("`again` stands alone, after at least one answer"))?;
            } else {
                lines.push((number, line.check().map_err(|why| bad(&why))?));
            }
        }
        Ok(Self { name: name.to_owned(), abilities: Abilities::ALL, lines, begins_anew, next: Mutex::default() })
    }

    /// With these abilities instead of all.
    #[must_use]
    pub fn with(mut self, abilities: Abilities) -> Self {
        self.abilities = abilities;
        self
    }

    /// How many answers are left; those of a script that begins anew do not end.
    pub fn left(&self) -> usize {
        self.lines.len() - *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next line, if its turn fits the request. One that does not fit stays the next.
    fn take(&self, request: &Request) -> Result<&Line, Error> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if *next == self.lines.len() && self.begins_anew {
            *next = 0;
        }
        let Some((number, line)) = self.lines.get(*next) else {
            let (name, count) = (&self.name, self.lines.len());
            return Err(Error::Invalid(format!(
                "the script `{name}` has {count} answers, and a further one was asked for; add a line, or end it with {{\"again\": true}}"
            )));
        };
        let last = request.messages.last().map(|message| message.text.as_ref()).unwrap_or_default();
        if let Some(difference) = line.expect.as_ref().and_then(|expect| difference(expect, last)) {
            return Err(Error::Invalid(format!("the script `{}`, line {number}, does not fit its run: {difference}", self.name)));
        }
        *next += 1;
        Ok(line)
    }

    async fn answer(&self, request: &Request) -> Result<Answer, Error> {
        let begun = Instant::now();
        let is_able = match request.output {
            Output::Text => true,
            Output::Json => self.abilities.json,
            Output::Schema(_) => self.abilities.schema,
        };
        if !is_able {
            return Err(Error::BadRequest { model: self.name.clone(), message: "it takes no such output".to_owned() });
        }
        let line = self.take(request)?;
        if let Some(delay) = line.delay_ms {
            sleep(Duration::from_millis(delay)).await;
        }
        let text = line.whole();
        if let Some(pieces) = &request.pieces {
            let whole = std::slice::from_ref(&text);
            let parts = if line.pieces.is_empty() && line.fault.is_none() { whole } else { &line.pieces };
            for part in parts {
                pieces.text(&self.name, part).await?;
            }
        }
        if line.fault == Some(Fault::Hang) {
            std::future::pending::<()>().await;
        }
        if let Some(fault) = line.fault {
            return Err(line.fail(fault, &self.name, &text, begun.elapsed()));
        }
        let Tokens { input, output, cached } = line.usage.unwrap_or_default();
        Ok(Answer {
            text,
            usage: Usage { input, output, cached },
            cost: line.cost,
            model: self.name.clone(),
            latency: begun.elapsed(),
            finish: line.finish.unwrap_or(Finish::Stop),
        })
    }
}

impl Model for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a> {
        Box::pin(self.answer(request))
    }
}

impl Line {
    /// The line, if it says one thing.
    fn check(self) -> Result<Self, String> {
        let says = usize::from(self.text.is_some()) + usize::from(self.action.is_some());
        if says > 1 {
            return Err("it has `text` and `action`; an answer is one of them".to_owned());
        }
        let is_answer = says == 1 || !self.pieces.is_empty();
        if self.fault.is_none() && !is_answer {
            return Err("it has none of `text`, `action`, `pieces`, `fault`".to_owned());
        }
        if self.fault.is_none() && (self.status.is_some() || self.retry_after_ms.is_some() || self.message.is_some()) {
            return Err("`status`, `retry_after_ms` and `message` go with `fault`".to_owned());
        }
        if (self.fault == Some(Fault::Status)) != self.status.is_some() {
            return Err("`status` goes with `\"fault\": \"status\"`, and the other way round".to_owned());
        }
        if self.fault.is_none() && says == 1 && !self.pieces.is_empty() && self.pieces.concat() != self.whole() {
            return Err("its `pieces` do not add up to its answer".to_owned());
        }
        Ok(self)
    }

    /// The answer.
    fn whole(&self) -> String {
        match (&self.text, &self.action) {
            (Some(text), _) => text.clone(),
            (None, Some(action)) => Value::Object(action.clone()).to_string(),
            (None, None) => self.pieces.concat(),
        }
    }

    fn fail(&self, fault: Fault, name: &str, received: &str, after: Duration) -> Error {
        let (model, retry_after) = (name.to_owned(), self.retry_after_ms.map(Duration::from_millis));
        let message = self.message.clone().unwrap_or_else(|| "the script says so".to_owned());
        let late = |limit| Error::TimedOut { model: name.to_owned(), limit, after };
        match fault {
            Fault::RateLimited => Error::RateLimited { model, retry_after, message },
            Fault::Unavailable => Error::Unavailable { model, retry_after, message },
            Fault::Status => crate::status::classify(name, self.status.unwrap_or_default(), retry_after, &message),
            Fault::Cut => Error::Unavailable { model, retry_after, message: "the stream broke off".to_owned() },
            Fault::Malformed => Error::Malformed { model, message, received: plain(received, crate::MAX_RECEIVED) },
            Fault::Connect => late(TimeOut::Connect),
            Fault::Header => late(TimeOut::Header),
            Fault::Chunk => late(TimeOut::Chunk),
            Fault::Total => late(TimeOut::Total),
            Fault::ContextTooLong => Error::ContextTooLong { model, message },
            Fault::BadRequest => Error::BadRequest { model, message },
            Fault::UnknownModel => Error::UnknownModel { model, message },
            Fault::Authentication => Error::Authentication { model, message },
            Fault::Refused => Error::Refused { model, message },
            Fault::Hang => Error::Cancelled { model },
        }
    }
}

/// What a message lacks of what was expected.
fn difference(expect: &Value, message: &str) -> Option<String> {
    let shown = |text: &str| plain(text, MAX_EXPLANATION);
    match expect {
        Value::String(part) if message.contains(part.as_str()) => None,
        Value::String(part) => Some(format!("`{}` is not in the last message: `{}`", shown(part), shown(message))),
        _ => match serde_json::from_str::<Value>(message) {
            Ok(found) => missing(expect, &found, "the last message"),
            Err(_) => Some(format!("the last message is no JSON: `{}`", shown(message))),
        },
    }
}

/// Where `found` lacks something of `expect`: members of objects, the first elements of arrays, and everything else as it is. Both
/// have been parsed, and so are no deeper than the parser lets anything be.
fn missing(expect: &Value, found: &Value, place: &str) -> Option<String> {
    match (expect, found) {
        (Value::Object(expect), Value::Object(found)) => expect.iter().find_map(|(key, expect)| {
            let place = format!("{place}, `{}`", plain(key, 80));
            missing(expect, found.get(key).unwrap_or(&Value::Null), &place)
        }),
        (Value::Array(expect), Value::Array(found)) => expect.iter().enumerate().find_map(|(index, expect)| {
            let place = format!("{place}, element {index}");
            missing(expect, found.get(index).unwrap_or(&Value::Null), &place)
        }),
        _ if expect == found => None,
        _ => {
            let shown = |value: &Value| plain(&value.to_string(), MAX_EXPLANATION / 2);
            Some(format!("{place}: expected `{}`, found `{}`", shown(expect), shown(found)))
        }
    }
}
