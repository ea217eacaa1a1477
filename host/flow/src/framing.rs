//! What a trace's reader sees, as text for a connection: Server-Sent Events (the WHATWG HTML standard, section 9.2) and frames of
//! a WebSocket. Only text is made here; who sends it, and to whom, is the caller's.
//!
//! An event is named as in `docs/formats.md`: a piece that ends its stream is still a `chunk`, with `done` in its data, and only
//! `ended` is the end of the request. Its data is one line of JSON, whatever the texts in it contain, so nothing that a plugin
//! writes can begin an event of its own. With an event's number in its trace as `id`, a client that comes back says in
//! `Last-Event-ID` what it has; send it what follows.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::event::{Event, is_false};
use crate::graph::valid_name;
use crate::message::{Message, MessageId, Meta, Payload};
use crate::trace::{Item, Terminal};

/// A trace's event as a Server-Sent Event: its number in the trace, its name, and the JSON object that `--events` has.
pub fn sse(event: &Event) -> String {
    frame(event.seq, event.kind.name(), &json(event))
}

/// A trace's event as a WebSocket's text frame: the JSON object that `--events` has.
pub fn web_socket(event: &Event) -> String {
    json(event)
}

/// What came out of a [`Handle`](crate::Handle) as a Server-Sent Event; `id` counts what came before it. Outputs have their
/// payload here, as it was written.
pub fn sse_item(id: u64, item: &Item) -> String {
    let view = View::of(id, item);
    frame(id, view.kind.name(), &json(&view))
}

/// What came out of a [`Handle`](crate::Handle) as a WebSocket's text frame: `{"id", "event", …}` with what the item has.
pub fn web_socket_item(id: u64, item: &Item) -> String {
    json(&View::of(id, item))
}

/// Plain text as a Server-Sent Event: a line of data for each line of text. A client gets each of LF, CR LF and CR as LF, which is
/// all that the format can carry. None: `name` is no name of an event, which is made of a-z, 0-9, `_` and `-`.
pub fn sse_text(id: u64, name: &str, text: &str) -> Option<String> {
    valid_name(name).then(|| frame(id, name, text))
}

/// How long a client waits before it comes back when its connection breaks: a field of its own, for the start of a response.
pub fn sse_retry(pause: Duration) -> String {
    format!("retry: {}\n\n", pause.as_millis())
}

/// `name` is a valid one.
fn frame(id: u64, name: &str, text: &str) -> String {
    let mut frame = format!("id: {id}\nevent: {name}\n");
    for line in lines(text) {
        // Writing to a String cannot fail.
        let _ = writeln!(frame, "data: {line}");
    }
    frame.push('\n');
    frame
}

/// The lines of a text as a client divides it: at LF, CR LF and CR. There is always one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else { return rest.take() };
        let newline = if text[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&text[end + newline..]);
        Some(&text[..end])
    })
}

/// JSON in one line. Payloads stand in it as they were written, perhaps over several lines; between JSON's tokens a space does as
/// well, and in its strings a line break is always escaped.
fn json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("keys are strings, and payloads are JSON");
    if json.contains(['\n', '\r']) { json.replace(['\n', '\r'], " ") } else { json }
}

/// An item as it is written.
#[derive(Serialize)]
struct View<'a> {
    id: u64,
    #[serde(flatten)]
    kind: Kind<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Kind<'a> {
    Chunk {
        #[serde(skip_serializing_if = "Option::is_none")]
        subflow: Option<&'a str>,
        node: &'a str,
        message: MessageId,
        attempt: u32,
        stream: &'a str,
        seq_in_stream: u64,
        text: &'a str,
        done: bool,
        #[serde(skip_serializing_if = "Meta::is_empty")]
        meta: &'a Meta,
    },
    Superseded {
        #[serde(skip_serializing_if = "Option::is_none")]
        subflow: Option<&'a str>,
        node: &'a str,
        message: MessageId,
        attempt: u32,
        streams: &'a [Arc<str>],
        #[serde(skip_serializing_if = "is_false")]
        restarts: bool,
    },
    Progress {
        node: &'a str,
        kind: &'a str,
        data: &'a Payload,
    },
    Output {
        node: &'a str,
        message: MessageId,
        payload: &'a Payload,
        #[serde(skip_serializing_if = "Meta::is_empty")]
        meta: &'a Meta,
    },
    Ended {
        terminal: &'a Terminal,
    },
}

impl Kind<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Chunk { .. } => "chunk",
            Self::Superseded { .. } => "superseded",
            Self::Progress { .. } => "progress",
            Self::Output { .. } => "output",
            Self::Ended { .. } => "ended",
        }
    }
}

impl<'a> View<'a> {
    fn of(id: u64, item: &'a Item) -> Self {
        let kind = match item {
            Item::Chunk { subflow, node, message, attempt, stream, seq, text, done, meta } => {
                let (subflow, message, attempt) = (subflow.as_deref(), *message, *attempt);
                Kind::Chunk { subflow, node, message, attempt, stream, seq_in_stream: *seq, text, done: *done, meta }
            }
            Item::Superseded { subflow, node, message, attempt, streams, restarts } => {
                let (subflow, message, attempt) = (subflow.as_deref(), *message, *attempt);
                Kind::Superseded { subflow, node, message, attempt, streams, restarts: *restarts }
            }
            Item::Progress { node, kind, data } => Kind::Progress { node, kind, data },
            Item::Output { node, message } => {
                let Message { id, payload, meta, .. } = &**message;
                Kind::Output { node, message: *id, payload, meta }
            }
            Item::End(terminal) => Kind::Ended { terminal },
        };
        Self { id, kind }
    }
}
