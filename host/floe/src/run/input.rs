//! Where requests come from: a JSON file, lines of JSON, or lines of whole messages. A thread of its own reads ahead, a little.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Cursor, Meta, Origin, Payload, Submission};
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
    /// Up to where the input is read with it.
    pub(crate) cursor: Cursor,
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

/// Opens the input, behind what has been read before, and reads it on a thread of its own. An error of reading comes last.
pub(crate) fn open(path: &Path, reading: Reading, read: Cursor) -> Result<mpsc::Receiver<std::io::Result<Line>>, Error> {
    let (tx, rx) = mpsc::channel(AHEAD);
    let whole = path.extension().is_some_and(|extension| extension == "json");
    let source: Box<dyn BufRead + Send> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let shown = path.display();
        let wrong = |error: std::io::Error| Error::wrong(format!("cannot read the input `{shown}`: {error}"));
        let mut file = File::open(path).map_err(wrong)?;
        if file.metadata().map_err(wrong)?.is_dir() {
            return Err(Error::wrong(format!("the input `{shown}` is a folder; give a `.json` or `.jsonl` file")));
        }
        file.seek(SeekFrom::Start(read.offset)).map_err(wrong)?;
        Box::new(BufReader::with_capacity(256 * 1024, file))
    };
    let read = move || {
        let mut source = Counted { source, cursor: read };
        let lines = Lines(tx);
        if read.offset == 0
            && let Err(error) = skip_mark(&mut source)
        {
            let _ = lines.send(Err(error));
            return;
        }
        // `Closed` is no failure: the run was stopped.
        let _ = match whole {
            true if read.line > 0 => Ok(()),
            true => read_whole(source, &reading, &lines),
            false => read_lines(source, &reading, &lines),
        };
    };
    let spawned = std::thread::Builder::new().name("floe-input".into()).spawn(read);
    spawned.map_err(|error| Error::wrong(format!("cannot start a thread for the input: {error}")))?;
    Ok(rx)
}

/// Nobody wants more lines.
struct Closed;

/// Knows how far it has been read.
struct Counted<R> {
    source: R,
    cursor: Cursor,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.source.read(buffer)?;
        self.cursor.offset += bytes as u64;
        Ok(bytes)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.cursor.offset += bytes as u64;
        self.source.consume(bytes);
    }
}

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

fn read_whole(mut source: Counted<impl BufRead>, reading: &Reading, lines: &Lines) -> Result<(), Closed> {
    let max = reading.longest();
    let mut bytes = Vec::new();
    let read = source.by_ref().take(max as u64 + 1).read_to_end(&mut bytes);
    let cursor = Cursor { line: 1, ..source.cursor };
    match read {
        Ok(_) if bytes.len() > max => lines.send(Ok(reading.line(cursor, Err(too_long(max))))),
        Ok(_) => lines.send(Ok(reading.line(cursor, Ok(bytes)))),
        Err(error) => lines.send(Err(error)),
    }
}

fn read_lines(mut source: Counted<impl BufRead>, reading: &Reading, lines: &Lines) -> Result<(), Closed> {
    let max = reading.longest();
    loop {
        source.cursor.line += 1;
        let mut bytes = Vec::new();
        // One more for the line's end, one more to see that it is too long.
        match source.by_ref().take(max as u64 + 2).read_until(b'\n', &mut bytes) {
            Ok(0) => return Ok(()),
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
            lines.send(Ok(reading.line(source.cursor, Err(too_long(max)))))?;
        } else if !bytes.trim_ascii().is_empty() {
            lines.send(Ok(reading.line(source.cursor, Ok(bytes))))?;
        }
    }
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

    fn line(&self, cursor: Cursor, bytes: Result<Vec<u8>, String>) -> Line {
        let number = cursor.line;
        let trace = trace_id(number, bytes.as_deref().unwrap_or_default());
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned()));
        let request = text.and_then(|text| if self.envelope { self.message(&trace, &text) } else { self.payload(&trace, text) });
        match request {
            Ok(submission) => {
                let submission = Submission { cursor: Some(cursor), ..submission };
                Line { number, trace: Arc::clone(&submission.origin.trace), cursor, request: Ok(submission) }
            }
            Err(why) => Line { number, trace, cursor, request: Err(format!("line {number}: {why}")) },
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
            // A `/` is in the ids of subflows' traces, which nobody is to take beforehand.
            Some(id) if id.is_empty() || id.len() > 128 || id.chars().any(|char| char.is_control() || char == '/') => {
                return Err("a `trace_id` has 1 to 128 bytes, no `/` and no control characters".to_owned());
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
        let source = Counted { source: text.as_bytes(), cursor: Cursor { line: 0, offset: 0 } };
        assert!(read_lines(source, &reading, &Lines(tx)).is_ok());
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
    fn reading_goes_on_behind_any_line() {
        let text = "\u{feff}1\n\n22\r\n\"three\"";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl");
        std::fs::write(&path, text).unwrap();
        let read = |from: Cursor| {
            let reading = Reading { tenant: "me".into(), envelope: false, payload: 100 };
            let mut rx = open(&path, reading, from).unwrap();
            std::iter::from_fn(move || rx.blocking_recv())
                .map(Result::unwrap)
                .map(|line| (line.trace, line.cursor))
                .collect::<Vec<_>>()
        };
        let all = read(Cursor { line: 0, offset: 0 });
        assert_eq!(all.iter().map(|(_, cursor)| (cursor.line, cursor.offset)).collect::<Vec<_>>(), [(1, 5), (3, 10), (4, 17)]);
        for (index, (_, cursor)) in all.iter().enumerate() {
            assert_eq!(read(*cursor), all[index + 1..]);
        }
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
