//! What a guest hands over, whatever it is: it comes out as it was given and within bounds, or the call fails and says why.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use floe_flow::{
    Call, Config, Failure, FailureKind, Flow, Graph, Invoke, Item, Meta, Outcome, Output, Payload, Policy, Report, Submission,
    Validate, native,
};
use floe_sandbox::Limits;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::support::{evil, limits, sandbox};

/// Small enough to be met.
fn small() -> Limits {
    Limits { fuel: 10_000_000_000, emits: 3, chunk: 30_000, emit: 60_000, result: 100_000, ..limits() }
}

/// Bytes of a label, of a name, of a failure's message and of its detail; keys of meta and names of successors: see `docs/limits.md`.
const LABEL: usize = 256;
const NAME: usize = 64;
const MESSAGE: usize = 4 << 10;
const DETAIL: usize = 64 << 10;
const META: usize = 64;
const TO: usize = 256;

/// Bytes that a field or a name costs at most beside its text.
const OVERHEAD: usize = 128;

/// A text so many times.
#[derive(Debug, Clone)]
struct Text(String, usize);

impl Text {
    fn made(&self) -> String {
        self.0.repeat(self.1)
    }

    fn told(&self) -> Value {
        json!([self.0, self.1])
    }
}

#[derive(Debug, Clone)]
struct Sent {
    payload: Text,
    meta: Vec<(Text, Text)>,
    to: Vec<Text>,
    topic: Option<Text>,
    priority: Option<i32>,
}

#[derive(Debug, Clone)]
struct Piece {
    stream: Option<Text>,
    text: Text,
    done: bool,
    meta: Vec<(Text, Text)>,
    to: Vec<Text>,
}

#[derive(Debug, Clone)]
struct Failed {
    kind: FailureKind,
    message: Text,
    retry_after_ms: Option<u64>,
    detail: Option<Text>,
}

#[derive(Debug, Clone)]
enum End {
    Outputs(Vec<Sent>),
    Again(Text),
    Final(Text),
    Failure(Failed),
}

#[derive(Debug, Clone)]
struct Plan {
    logs: Vec<(Text, Vec<(Text, Text)>)>,
    chunks: Vec<Piece>,
    progress: Vec<(Text, Text)>,
    messages: Vec<Sent>,
    end: End,
}

// === what is tried ===

/// Colours, titles, deletion, nulls, line ends, overrides of the direction, what has no width, tags, C1, what is no character, a
/// secret's or a limit's look, paths, formats.
const ODD: &[&str] = &[
    "\u{1b}[31m",
    "\u{1b}]0;t\u{7}",
    "\u{1b}",
    "\u{0}",
    "\r\n",
    "\u{7f}",
    "\u{85}",
    "\u{9b}2J",
    "\u{202e}abc\u{202c}",
    "\u{2066}",
    "\u{200b}",
    "\u{feff}",
    "\u{e0041}",
    "\u{fffe}",
    "\u{10ffff}",
    "\u{2028}",
    "../../etc/passwd",
    "{}%s$(id)",
    "limit `x` reached",
    "",
    " ",
];

/// JSON, almost JSON, and JSON that is more than it looks like.
const JSON: &[&str] = &[
    "null",
    "1e400",
    "\"\\ud800\"",
    "\"\\u0000\\u001b\"",
    "{\"a\":1,\"a\":2}",
    "[1,2",
    "{\"$serde_json::private::RawValue\":\"1\"}",
    "1 2",
    "\u{feff}1",
    "12345678901234567890.10",
    "\"\u{202e}\"",
];

fn odd() -> BoxedStrategy<String> {
    prop_oneof![
        2 => vec(select(ODD), 1..4).prop_map(|parts| parts.concat()),
        1 => any::<String>(),
        1 => (any::<String>(), select(ODD), any::<String>()).prop_map(|(a, b, c)| format!("{a}{b}{c}")),
    ]
    .boxed()
}

/// `good` most of the time, so that plans come through, or have one thing wrong with them; else something odd, or too much of it.
fn mostly(good: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = Text> {
    prop_oneof![
        50 => good.prop_map(|text| Text(text, 1)),
        1 => odd().prop_map(|text| Text(text, 1)),
        1 => (select(&["x", "\u{1b}[", "é", "\"", "[", "a-"][..]), select(&[63_usize, 64, 65, 128, 129, 256, 257, 4096, 4097, 300_000][..]))
            .prop_map(|(text, times)| Text(text.to_owned(), times)),
    ]
}

fn label() -> impl Strategy<Value = Text> {
    mostly("[a-zA-Z0-9 äß😀_-]{1,20}")
}

fn name() -> impl Strategy<Value = Text> {
    mostly("[a-z0-9_-]{1,12}")
}

fn payload() -> impl Strategy<Value = Text> {
    // Within the limits of sizes, and one beyond.
    let large = (select(&[30_000_usize, 60_000, DETAIL, 100_000][..]), 0..3_usize);
    let large = large.prop_map(|(size, more)| format!("\"{}\"", "x".repeat(size + more - 3)));
    let depth = (100..150_usize).prop_map(|depth| "[".repeat(depth) + "1" + &"]".repeat(depth));
    let small = mostly(any::<String>().prop_map(|text| json!({ "a": [text, 1.5] }).to_string()));
    let other = prop_oneof![1 => large, 1 => depth, 1 => select(JSON).prop_map(str::to_owned)];
    prop_oneof![15 => small, 1 => other.prop_map(|text| Text(text, 1))]
}

fn meta() -> impl Strategy<Value = Vec<(Text, Text)>> {
    let many = |count| (0..count).map(|number| (Text(format!("key {number}"), 1), Text("1".to_owned(), 1))).collect();
    prop_oneof![20 => vec((label(), payload()), 0..3), 1 => (META - 1..META + 3).prop_map(many)]
}

fn to() -> impl Strategy<Value = Vec<Text>> {
    let many = |count| (0..count).map(|number| Text(format!("n{number}"), 1)).collect();
    let twice = vec(select(&["next", "a", "b"][..]).prop_map(|name| Text(name.to_owned(), 1)), 1..4);
    prop_oneof![20 => vec(name(), 0..3), 2 => twice, 1 => (TO - 1..TO + 3).prop_map(many)]
}

fn sent() -> impl Strategy<Value = Sent> {
    (payload(), meta(), to(), option::of(label()), any::<Option<i32>>()).prop_map(|(payload, meta, to, topic, priority)| Sent {
        payload,
        meta,
        to,
        topic,
        priority,
    })
}

fn piece() -> impl Strategy<Value = Piece> {
    let text = mostly(any::<String>());
    (option::of(label()), text, prop::bool::weighted(0.2), meta(), to()).prop_map(|(stream, text, done, meta, to)| Piece {
        stream,
        text,
        done,
        meta,
        to,
    })
}

fn end() -> impl Strategy<Value = End> {
    let failed = (select(&FailureKind::ALL[..]), mostly(any::<String>()), any::<Option<u64>>(), option::of(payload()))
        .prop_map(|(kind, message, retry_after_ms, detail)| Failed { kind, message, retry_after_ms, detail });
    prop_oneof![
        4 => vec(sent(), 0..5).prop_map(End::Outputs),
        1 => payload().prop_map(End::Again),
        1 => payload().prop_map(End::Final),
        3 => failed.prop_map(End::Failure),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let logs = vec((mostly(any::<String>()), vec((label(), mostly(any::<String>())), 0..3)), 0..2);
    (logs, vec(piece(), 0..3), vec((label(), payload()), 0..2), vec(sent(), 0..3), end())
        .prop_map(|(logs, chunks, progress, messages, end)| Plan { logs, chunks, progress, messages, end })
}

fn told(pairs: &[(Text, Text)]) -> Vec<Value> {
    pairs.iter().map(|(key, value)| json!([key.told(), value.told()])).collect()
}

fn all(texts: &[Text]) -> Vec<Value> {
    texts.iter().map(Text::told).collect()
}

impl Sent {
    fn told(&self) -> Value {
        let Self { payload, meta, to, topic, priority } = self;
        let topic = topic.as_ref().map(Text::told);
        json!({ "payload": payload.told(), "meta": told(meta), "to": all(to), "topic": topic, "priority": priority })
    }
}

impl Plan {
    /// As the guest is told it.
    fn told(&self) -> Value {
        let piece = |piece: &Piece| {
            let Piece { stream, text, done, meta, to } = piece;
            let stream = stream.as_ref().map(Text::told);
            json!({ "stream": stream, "text": text.told(), "done": done, "meta": told(meta), "to": all(to) })
        };
        let end = match &self.end {
            End::Outputs(outputs) => json!({ "outputs": outputs.iter().map(Sent::told).collect::<Vec<_>>() }),
            End::Again(memory) => json!({ "again": memory.told() }),
            End::Final(answer) => json!({ "final": answer.told() }),
            End::Failure(Failed { kind, message, retry_after_ms, detail }) => {
                let detail = detail.as_ref().map(Text::told);
                json!({ "failure": { "kind": kind.code(), "message": message.told(), "retry_after_ms": retry_after_ms, "detail": detail } })
            }
        };
        json!({
            "logs": self.logs.iter().map(|(text, fields)| json!([text.told(), told(fields)])).collect::<Vec<_>>(),
            "chunks": self.chunks.iter().map(piece).collect::<Vec<_>>(),
            "progress": told(&self.progress),
            "messages": self.messages.iter().map(Sent::told).collect::<Vec<_>>(),
            "end": end,
        })
    }
}

// === what it must come to ===

/// Nothing that a terminal obeys or that changes how its neighbours are shown.
fn is_text(text: &str) -> bool {
    let odd = |char: char| {
        char.is_control()
            || "\u{ad}\u{61c}\u{180e}\u{feff}".contains(char)
            || ('\u{200b}'..='\u{200f}').contains(&char)
            || ('\u{202a}'..='\u{202e}').contains(&char)
            || ('\u{2060}'..='\u{206f}').contains(&char)
            || ('\u{fff9}'..='\u{fffb}').contains(&char)
            || ('\u{e0000}'..='\u{e007f}').contains(&char)
    };
    !text.contains(odd)
}

fn is_label(text: &str) -> bool {
    (1..=LABEL).contains(&text.len()) && is_text(text)
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=NAME).contains(&text.len()) && text.bytes().all(plain)
}

fn is_json(text: &str) -> bool {
    Payload::parse(text).is_ok()
}

fn are_meta(meta: &[(String, String)]) -> bool {
    meta.len() <= META && meta.iter().all(|(key, value)| is_label(key) && is_json(value))
}

fn are_successors(to: &[String]) -> bool {
    let is_first = |at: usize| !to[..at].contains(&to[at]);
    to.len() <= TO && (0..to.len()).all(|at| is_name(&to[at]) && is_first(at))
}

fn made(pairs: &[(Text, Text)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.made(), value.made())).collect()
}

fn texts(texts: &[Text]) -> Vec<String> {
    texts.iter().map(Text::made).collect()
}

fn size(meta: &[(String, String)], to: &[String]) -> usize {
    let meta: usize = meta.iter().map(|(key, value)| key.len() + value.len() + OVERHEAD).sum();
    meta + to.iter().map(|name| name.len() + OVERHEAD).sum::<usize>()
}

/// A message in parts: payload, meta, successors, topic, priority.
type Parts = (String, Vec<(String, String)>, Vec<String>, Option<String>, Option<i32>);

fn parts(output: &Output) -> Parts {
    let meta = output.meta.iter().map(|(key, value)| (key.clone(), value.text().to_owned())).collect();
    (output.payload.text().to_owned(), meta, output.to.clone(), output.topic.as_deref().map(str::to_owned), output.priority)
}

impl Sent {
    fn parts(&self) -> Parts {
        let Self { payload, meta, to, topic, priority } = self;
        (payload.made(), made(meta), texts(to), topic.as_ref().map(Text::made), *priority)
    }
}

fn weight((payload, meta, to, topic, _): &Parts) -> usize {
    payload.len() + size(meta, to) + topic.as_ref().map_or(0, String::len)
}

fn is_right((payload, meta, to, topic, _): &Parts) -> bool {
    is_json(payload) && are_meta(meta) && are_successors(to) && topic.as_deref().is_none_or(is_label)
}

impl Plan {
    /// The host has nothing against it.
    fn is_right(&self) -> bool {
        let Limits { emits, emit, result, chunk, .. } = small();
        let [most, result, piece] = [emit, result, chunk].map(|limit| usize::try_from(limit).unwrap());
        let mut emitted: Vec<usize> = Vec::new();
        let mut closed: Vec<Option<String>> = Vec::new();
        for Piece { stream, text, done, meta, to } in &self.chunks {
            let (stream, text, meta, to) = (stream.as_ref().map(Text::made), text.made(), made(meta), texts(to));
            let weight = text.len() + size(&meta, &to);
            let is_named = stream.as_deref().is_none_or(is_label) && !closed.contains(&stream);
            if weight > piece || !is_named || !are_meta(&meta) || !are_successors(&to) {
                return false;
            }
            closed.extend(done.then_some(stream));
            emitted.extend((!to.is_empty()).then_some(weight));
        }
        let is_shown = |(kind, data): &(String, String)| is_label(kind) && is_json(data) && kind.len() + data.len() <= piece;
        let messages: Vec<Parts> = self.messages.iter().map(Sent::parts).collect();
        emitted.extend(messages.iter().map(weight));
        let fits = emitted.len() <= emits as usize && emitted.iter().sum::<usize>() <= most;
        let ends = match &self.end {
            End::Outputs(outputs) => {
                let outputs: Vec<Parts> = outputs.iter().map(Sent::parts).collect();
                let fit = outputs.len() <= emits as usize && outputs.iter().map(weight).sum::<usize>() <= result;
                fit && outputs.iter().all(is_right)
            }
            End::Again(text) | End::Final(text) => is_json(&text.made()) && text.made().len() <= result,
            End::Failure(_) => true,
        };
        made(&self.progress).iter().all(is_shown) && messages.iter().all(is_right) && fits && ends
    }

    /// What came is all that was given, as it was given.
    fn came(&self, outcome: &Outcome, emitted: &[Output]) -> Result<(), TestCaseError> {
        match (&self.end, outcome) {
            (End::Outputs(expected), Outcome::Outputs(outputs)) => {
                let outputs: Vec<Parts> = outputs.iter().map(parts).collect();
                prop_assert_eq!(outputs, expected.iter().map(Sent::parts).collect::<Vec<_>>());
            }
            (End::Again(expected), Outcome::Again { memory: payload, .. }) | (End::Final(expected), Outcome::Final(payload)) => {
                prop_assert_eq!(payload.text(), expected.made());
            }
            (expected, other) => prop_assert!(false, "{:?} became {:?}", expected, other),
        }
        let copies = self.chunks.iter().filter(|piece| !piece.to.is_empty()).count();
        let messages: Vec<Parts> = emitted[copies..].iter().map(parts).collect();
        prop_assert_eq!(messages, self.messages.iter().map(Sent::parts).collect::<Vec<_>>());
        for (copy, piece) in emitted.iter().zip(self.chunks.iter().filter(|piece| !piece.to.is_empty())) {
            let (payload, meta, to, _, _) = parts(copy);
            let payload: Value = serde_json::from_str(&payload).unwrap();
            prop_assert_eq!((&payload["text"], meta, to), (&json!(piece.text.made()), made(&piece.meta), texts(&piece.to)));
        }
        Ok(())
    }

    /// What the reader saw before the end: the pieces as they were given, and nothing beyond what is allowed.
    fn was_seen(&self, items: &[Item]) -> Result<(), TestCaseError> {
        let (mut pieces, mut shown) = (self.chunks.iter(), self.progress.iter());
        for item in items {
            match item {
                Item::Chunk { stream, text, meta, done, .. } => {
                    let piece = pieces.next().expect("no more than were sent");
                    let meta: Vec<_> = meta.entries().iter().map(|(key, value)| (key.clone(), value.text().to_owned())).collect();
                    let named = piece.stream.as_ref().map_or_else(|| TRACE.to_owned(), Text::made);
                    prop_assert_eq!((&**stream, text, done), (&*named, &piece.text.made(), &piece.done));
                    // Of a key that is there twice, the last value counts.
                    let given: Meta =
                        made(&piece.meta).into_iter().map(|(key, value)| (key, Payload::parse(value).unwrap())).collect();
                    let given: Vec<_> =
                        given.entries().iter().map(|(key, value)| (key.clone(), value.text().to_owned())).collect();
                    prop_assert_eq!(&meta, &given);
                    prop_assert!(is_label(stream) && are_meta(&meta) && text.len() as u64 <= small().chunk);
                }
                Item::Progress { kind, data, .. } => {
                    let (expected, given) = shown.next().expect("no more than were shown");
                    prop_assert_eq!((kind, data.text()), (&expected.made(), &*given.made()));
                    prop_assert!(is_label(kind) && (kind.len() + data.text().len()) as u64 <= small().chunk);
                }
                Item::Superseded { .. } | Item::Output { .. } | Item::End(_) => {}
            }
        }
        Ok(())
    }
}

/// A failure of the guest's own, bounded and cleaned.
fn is_its_own(failed: &Failed, failure: &Failure) -> Result<(), TestCaseError> {
    prop_assert_eq!(failure.kind, failed.kind);
    prop_assert_eq!(failure.retry_after.map(|after| after.as_millis()), failed.retry_after_ms.map(u128::from));
    let detail = failed.detail.as_ref().map(Text::made).filter(|text| text.len() <= DETAIL);
    let detail = detail.and_then(|text| Payload::parse(text).ok()).map(|detail| detail.value().into_owned());
    prop_assert_eq!(&failure.detail, &detail);
    let given = failed.message.made();
    let is_plain = !given.trim().is_empty() && given.len() <= MESSAGE && is_text(&given) && !given.contains(char::is_whitespace);
    prop_assert!(!is_plain || failure.message == given, "{:?}", failure.message);
    Ok(())
}

/// A failure of the host's: of a kind that says what to do, and a limit with its figures and the line that raises it.
fn is_typed(failure: &Failure) -> Result<(), TestCaseError> {
    match failure.kind {
        FailureKind::Exhausted => {
            let detail = failure.detail.clone().unwrap_or_default();
            let (limit, used, max) = (detail["limit"].as_str(), detail["used"].as_u64(), detail["max"].as_u64());
            let (Some(limit), Some(used), Some(max)) = (limit, used, max) else { panic!("{failure:?}") };
            prop_assert!(used > max || limit == "fuel", "{:?}", failure);
            let says = format!("limit `{limit}` reached: used {used} of {max}; raise it with `plugins.evil.limits.{limit}`");
            prop_assert_eq!(&failure.message, &says);
        }
        // To the guest, which passes it on; for a stream that is closed; for what it returned.
        FailureKind::InvalidInput | FailureKind::Conflict => {}
        FailureKind::Internal => {
            let says = failure.message.strip_prefix("the plugin returned a").unwrap_or_default();
            prop_assert!(says.contains(" that breaks the contract: "), "{:?}", failure);
        }
        other => prop_assert!(false, "{:?}: {:?}", other, failure),
    }
    Ok(())
}

/// What a call came to, before the flow looks at it.
type Seen = Option<(Result<Outcome, Failure>, Vec<Output>)>;

struct Spy {
    invoke: Arc<dyn Invoke>,
    seen: Arc<Mutex<Seen>>,
}

impl fmt::Debug for Spy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.invoke.fmt(f)
    }
}

impl Invoke for Spy {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            let report = self.invoke.invoke(call).await;
            self.seen.lock().unwrap().get_or_insert_with(|| (report.result.clone(), report.emitted.clone()));
            report
        })
    }
}

const TRACE: &str = "the-trace";

#[test]
fn whatever_a_guest_hands_over_is_as_it_was_given_or_refused() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandbox = sandbox(2);
    let seen = Arc::default();
    let flow = runtime.block_on(async {
        let evil = evil(&sandbox, &small()).await;
        let invoke = evil.node("exact", &json!({}).into(), 1).unwrap();
        let mut policy = Policy { retries: 0, turns: 1, ..Policy::with_concurrency(1) };
        policy.validate = Validate::None;
        let mut graph = Graph::builder("handed");
        graph.run("exact", Arc::new(Spy { invoke, seen: Arc::clone(&seen) }), policy.clone());
        graph.run("next", native(|_| Ok(Outcome::Outputs(Vec::new()))), policy).chain(&["exact", "next"]);
        Flow::start(graph.build().unwrap(), Config { compute: sandbox.handle().clone(), ..Config::on_current_runtime() })
    });
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    let tested = proptest::test_runner::TestRunner::new(config).run(&plan(), |plan| {
        let (items, terminal) = runtime.block_on(async {
            let mut handle = flow.submit(Submission::new(TRACE, "tenant", plan.told().into())).await.unwrap();
            let mut items = Vec::new();
            loop {
                match handle.next().await.expect("a trace has an end") {
                    Item::End(terminal) => return (items, terminal),
                    item => items.push(item),
                }
            }
        });
        let (result, emitted) = seen.lock().unwrap().take().expect("it was called");
        plan.was_seen(&items)?;
        if let Some(error) = &terminal.error {
            prop_assert!(is_text(&error.message) && error.message.len() <= MESSAGE + 200, "{:?}", error);
            prop_assert!(!error.message.contains("panicked"), "{:?}", error);
        }
        match (&result, &plan.end) {
            (Ok(outcome), _) => {
                prop_assert!(plan.is_right(), "it should have been refused");
                plan.came(outcome, &emitted)
            }
            (Err(failure), End::Failure(failed)) if plan.is_right() => is_its_own(failed, failure),
            (Err(failure), _) => {
                prop_assert!(!plan.is_right(), "{:?}", failure);
                prop_assert!(is_text(&failure.message) && failure.message.len() <= 1000, "{:?}", failure);
                is_typed(failure)
            }
        }
    });
    tested.unwrap();
}
