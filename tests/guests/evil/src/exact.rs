//! Hands over what it is told to, whatever that is: the host's tests say what becomes of it.

use floe_guest::bindings::plugin::{emit, log, types};
use floe_guest::{Context, Failure, Json, Node, Outcome, Output};
use serde::Deserialize;

use crate::outcome::kind;

/// A text, as it is or so many times.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Once(String),
    Often(String, usize),
}

#[derive(Deserialize)]
struct Sent {
    payload: Text,
    #[serde(default)]
    meta: Vec<(Text, Text)>,
    #[serde(default)]
    to: Vec<Text>,
    topic: Option<Text>,
    priority: Option<i32>,
}

#[derive(Deserialize)]
struct Piece {
    stream: Option<Text>,
    text: Text,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    meta: Vec<(Text, Text)>,
    #[serde(default)]
    to: Vec<Text>,
}

#[derive(Deserialize)]
struct Failed {
    kind: String,
    message: Text,
    retry_after_ms: Option<u64>,
    detail: Option<Text>,
}

/// How it ends.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Outputs(Vec<Sent>),
    Again(Text),
    Final(Text),
    Failure(Failed),
    /// Not at all: it computes.
    Never,
}

/// What it does before, one after the other, and how it ends; earlier, with the first failure that the host tells it.
#[derive(Deserialize)]
struct Plan {
    #[serde(default)]
    logs: Vec<(Text, Vec<(Text, Text)>)>,
    #[serde(default)]
    chunks: Vec<Piece>,
    #[serde(default)]
    progress: Vec<(Text, Text)>,
    #[serde(default)]
    messages: Vec<Sent>,
    end: End,
}

impl Text {
    fn made(self) -> String {
        match self {
            Self::Once(text) => text,
            Self::Often(text, times) => text.repeat(times),
        }
    }
}

fn fields(fields: Vec<(Text, Text)>) -> Vec<types::Field> {
    fields.into_iter().map(|(key, value)| (key.made(), value.made())).collect()
}

fn texts(texts: Vec<Text>) -> Vec<String> {
    texts.into_iter().map(Text::made).collect()
}

impl Sent {
    fn output(self) -> Output<Json> {
        Output {
            payload: Json::from_text(self.payload.made()),
            meta: fields(self.meta),
            to: texts(self.to),
            topic: self.topic.map(Text::made),
            priority: self.priority,
        }
    }
}

impl Plan {
    fn run(self) -> floe_guest::Result<Outcome<Json>> {
        for (message, more) in self.logs {
            log::write(log::Level::Info, &message.made(), &fields(more));
        }
        for Piece { stream, text, done, meta, to } in self.chunks {
            emit::chunk(stream.map(Text::made).as_deref(), &text.made(), done, &fields(meta), &texts(to))?;
        }
        for (kind, data) in self.progress {
            emit::progress(&kind.made(), &data.made())?;
        }
        for message in self.messages {
            floe_guest::emit::output(message.output())?;
        }
        Ok(match self.end {
            End::Outputs(outputs) => Outcome::Outputs(outputs.into_iter().map(Sent::output).collect()),
            End::Again(memory) => Outcome::Again { memory: Json::from_text(memory.made()), tokens_used: 0 },
            End::Final(answer) => Outcome::Final(Json::from_text(answer.made())),
            End::Never => loop {
                std::hint::black_box(0);
            },
            End::Failure(Failed { kind: of, message, retry_after_ms, detail }) => {
                return Err(Failure {
                    kind: kind(&of)?,
                    message: message.made(),
                    retry_after_ms,
                    detail: detail.map(Text::made),
                });
            }
        })
    }
}

pub(crate) struct Exact;

impl Node for Exact {
    const NAME: &'static str = "exact";
    const DESCRIPTION: &'static str =
        "Logs, streams, shows, sends, gives and fails with exactly the texts that the payload says.";
    type Config = ();
    type Input = Json;
    type Output = Json;

    fn handle((): (), payload: Json, _: &Context) -> floe_guest::Result<Outcome<Json>> {
        payload.parse::<Plan>()?.run()
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::FailureKind;

    use super::*;

    #[test]
    fn texts_are_as_the_payload_says() {
        let plan = r#"{"end":{"outputs":[{"payload":["[",3],"meta":[["a","b"]],"topic":"t"}]}}"#;
        let Ok(Outcome::Outputs(outputs)) = serde_json::from_str::<Plan>(plan).unwrap().run() else { panic!("outputs") };
        assert_eq!((outputs[0].payload.as_str(), outputs[0].topic.as_deref()), ("[[[", Some("t")));
        let plan = r#"{"end":{"failure":{"kind":"busy","message":["a",2],"retry_after_ms":7}}}"#;
        let failure = serde_json::from_str::<Plan>(plan).unwrap().run().unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str(), failure.retry_after_ms), (FailureKind::Busy, "aa", Some(7)));
    }
}
