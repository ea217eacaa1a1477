//! Where requests come from: a JSON file, lines of JSON, or lines of whole messages. A thread of its own reads ahead, a little.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Meta, Origin, Payload, Submission};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::Error;
use crate::file::parse_time;

/// Lines read ahead of the flow: enough to hide the disk, little enough to hold.
const AHEAD: usize = 16;
/// What an envelope may have beside its payload.
const ENVELOPE_ROOM: usize = 64 * 1024;

/// One line of the input.
#[derive(Debug)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    /// The id of its trace.
    pub(crate) trace: Arc<str>,
    /// What to submit, or why it cannot be submitted.
    pub(crate) request: Result<Submission, String>,
}

/// How lines are read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The tenant of a line that names none.
    pub(crate) tenant: Arc<str>,
    /// Lines are messages.
    pub(crate) envelope: bool,
    /// Bytes of a payload.
    pub(crate) payload: usize,
}

/// Opens the input and reads it on a thread of its own. An error of reading comes last.
pub(crate) fn open(path: &Path, reading: Reading) -> Result<mpsc::Receiver<std::io::Result<Line>>, Error> {
    let (tx, rx) = mpsc::channel(AHEAD);
    let whole = path.extension().is_some_and(|extension| extension == "json");
    let source: Box<dyn BufRead + Send> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let shown = path.display();
        let wrong = |error: std::io::Error| Error::wrong(format!("cannot read the input `{shown}`: {error}"));
        let file = File::open(path).map_err(wrong)?;
        if file.metadata().map_err(wrong)?.is_dir() {
            return Err(Error::wrong(format!("the input `{shown}` is a folder; give a `.json` or `.jsonl` file")));
        }
        Box::new(BufReader::with_capacity(256 * 1024, file))
    };
    let read = move || {
        let mut source = source;
        let lines = Lines(tx);
        if let Err(error) = skip_mark(&mut source) {
            let _ = lines.send(Err(error));
            return;
        }
        // `Closed` is no failure: the run was stopped.
        let _ = if whole { read_whole(source, &reading, &lines) } else { read_lines(source, &reading, &lines) };
    };
    let spawned = std::thread::Builder::new().name("floe-input".into()).spawn(read);
    spawned.map_err(|error| Error::wrong(format!("cannot start a thread for the input: {error}")))?;
    Ok(rx)
}

/// Nobody wants more lines.
struct Closed;

/// Where lines go.
struct Lines(mpsc::Sender<std::io::Result<Line>>);

impl Lines {
    fn send(&self, line: std::io::Result<Line>) -> Result<(), Closed> {
        self.0.blocking_send(line).map_err(|_| Closed)
    }
}

/// Some editors begin a file with a mark of its encoding, which is not JSON.
fn skip_mark(source: &mut impl BufRead) -> std::io::Result<()> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if source.fill_buf()?.starts_with(MARK) {
        source.consume(MARK.len());
    }
    Ok(())
}

fn read_whole(mut source: impl BufRead, reading: &Reading, lines: &Lines) -> Result<(), Closed> {
    let max = reading.longest();
    let mut bytes = Vec::new();
    match source.by_ref().take(max as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() > max => lines.send(Ok(reading.line(1, Err(too_long(max))))),
        Ok(_) => lines.send(Ok(reading.line(1, Ok(bytes)))),
        Err(error) => lines.send(Err(error)),
    }
}

fn read_lines(mut source: impl BufRead, reading: &Reading, lines: &Lines) -> Result<(), Closed> {
    let max = reading.longest();
    for number in 1.. {
        let mut bytes = Vec::new();
        // One more for the line's end, one more to see that it is too long.
        match source.by_ref().take(max as u64 + 2).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return lines.send(Err(error)),
        }
        let ended = bytes.last() == Some(&b'\n');
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.len() > max {
            if !ended && let Err(error) = skip_line(&mut source) {
                return lines.send(Err(error));
            }
            lines.send(Ok(reading.line(number, Err(too_long(max)))))?;
        } else if !bytes.trim_ascii().is_empty() {
            lines.send(Ok(reading.line(number, Ok(bytes))))?;
        }
    }
    Ok(())
}

/// Reads to the end of the line without keeping it.
fn skip_line(source: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let chunk = source.fill_buf()?;
        let (used, ended) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (chunk.len(), chunk.is_empty()),
        };
        source.consume(used);
        if ended {
            return Ok(());
        }
    }
}

fn too_long(max: usize) -> String {
    format!("it has more than {max} bytes; raise the limit with `budget.payload`")
}

// === impl Reading ===

impl Reading {
    fn longest(&self) -> usize {
        self.payload + if self.envelope { ENVELOPE_ROOM } else { 0 }
    }

    fn line(&self, number: u64, bytes: Result<Vec<u8>, String>) -> Line {
        let trace = trace_id(number, bytes.as_deref().unwrap_or_default());
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned()));
        let request = text.and_then(|text| if self.envelope { self.message(&trace, &text) } else { self.payload(&trace, text) });
        match request {
            Ok(submission) => Line { number, trace: Arc::clone(&submission.origin.trace), request: Ok(submission) },
            Err(why) => Line { number, trace, request: Err(format!("line {number}: {why}")) },
        }
    }

    fn payload(&self, trace: &Arc<str>, text: String) -> Result<Submission, String> {
        let payload = Payload::parse(text).map_err(|error| error.to_string())?;
        Ok(Submission::new(trace, &self.tenant, payload))
    }

    fn message(&self, trace: &Arc<str>, text: &str) -> Result<Submission, String> {
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| format!("not a message: {error}"))?;
        let json = |raw: &RawValue| Payload::parse(raw.get()).map_err(|error| error.to_string());
        let meta: Meta = envelope
            .meta
            .iter()
            .map(|(key, raw)| Ok((key.clone(), json(raw)?)))
            .collect::<Result<Vec<_>, String>>()?
            .into_iter()
            .collect();
        let deadline: Option<Duration> = envelope.deadline.map(|text| parse_time(&text)).transpose()?;
        let trace = match envelope.trace_id {
            Some(id) if id.is_empty() || id.len() > 128 || id.chars().any(char::is_control) => {
                return Err("a `trace_id` has 1 to 128 bytes and no control characters".to_owned());
            }
            Some(id) => id.into(),
            None => Arc::clone(trace),
        };
        let headers = envelope.headers;
        let origin = Origin {
            trace,
            tenant: headers.tenant.map_or_else(|| Arc::clone(&self.tenant), Into::into),
            user: headers.user.map(Into::into),
            session: headers.session.map(Into::into),
        };
        let topic = headers.topic.map(Into::into);
        Ok(Submission {
            origin,
            payload: json(envelope.payload)?,
            meta,
            topic,
            priority: headers.priority,
            deadline,
            cursor: None,
        })
    }
}

/// A line of `--envelope`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: &'a RawValue,
    #[serde(default)]
    headers: Headers,
    #[serde(default, borrow)]
    meta: std::collections::BTreeMap<String, &'a RawValue>,
    #[serde(default)]
    trace_id: Option<String>,
    #[serde(default)]
    deadline: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Headers {
    tenant: Option<String>,
    topic: Option<String>,
    priority: i32,
    user: Option<String>,
    session: Option<String>,
}

/// The number of the line, to find it, and a part of its hash, so that another input has other ids. A second run has the same.
fn trace_id(number: u64, bytes: &[u8]) -> Arc<str> {
    let hash = Sha256::digest(bytes);
    format!("{number}-{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, envelope: bool, payload: usize) -> Vec<(u64, String)> {
        let (tx, mut rx) = mpsc::channel(100);
        let reading = Reading { tenant: "me".into(), envelope, payload };
        assert!(read_lines(text.as_bytes(), &reading, &Lines(tx)).is_ok());
        std::iter::from_fn(move || rx.blocking_recv())
            .map(|line| {
                let line = line.unwrap();
                let shown = match line.request {
                    Ok(submission) => format!("{} {}", submission.origin.tenant, submission.payload.text()),
                    Err(why) => why,
                };
                (line.number, shown)
            })
            .collect()
    }

    #[test]
    fn a_bad_line_is_one_bad_line() {
        let text = "1\n\n{\"a\": 1.50}\r\nnope\n\"last\"";
        let read = lines(text, false, 100);
        assert_eq!(read[0], (1, "me 1".to_owned()));
        assert_eq!(read[1], (3, "me {\"a\": 1.50}".to_owned()));
        assert!(read[2].1.starts_with("line 4: not valid JSON: expected"), "{}", read[2].1);
        assert_eq!(read[3], (5, "me \"last\"".to_owned()));
    }

    #[test]
    fn long_lines_are_skipped_without_being_held() {
        let long = format!("\"{}\"", "x".repeat(10_000_000));
        let exact = format!("\"{}\"", "y".repeat(18));
        let text = format!("{long}\n{exact}\n\"{exact}\n3\n");
        let read = lines(&text, false, 20);
        assert_eq!(read[0].1, "line 1: it has more than 20 bytes; raise the limit with `budget.payload`");
        assert_eq!(read[1].1, format!("me {exact}"));
        assert_eq!(read[2].1, "line 3: it has more than 20 bytes; raise the limit with `budget.payload`");
        assert_eq!(read[3].1, "me 3");
    }

    #[test]
    fn envelopes_carry_headers() {
        let good = r#"{"payload": {"n": 1}, "headers": {"tenant": "acme", "priority": 3}, "trace_id": "t", "deadline": "2s"}"#;
        let text = format!("{good}\n{}\n{}\n", r#"{"payload": 1, "header": {}}"#, r#"{"payload": 1, "deadline": "soon"}"#);
        let read = lines(&text, true, 100);
        assert_eq!(read[0].1, "acme {\"n\": 1}");
        assert!(read[1].1.contains("unknown field `header`"), "{}", read[1].1);
        assert!(read[2].1.starts_with("line 3: "), "{}", read[2].1);
    }

    #[test]
    fn ids_follow_from_the_line() {
        assert_eq!(trace_id(7, b"1"), trace_id(7, b"1"));
        assert_ne!(trace_id(7, b"1"), trace_id(7, b"2"));
    }
}
