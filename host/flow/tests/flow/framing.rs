//! Framing, read back by a parser that follows the standard and knows nothing of the writer.

use std::sync::Arc;
use std::time::Duration;

use floe_flow::framing::{sse, sse_item, sse_retry, sse_text, web_socket, web_socket_item};
use floe_flow::{End, Event, EventKind, Item, Message, MessageId, Meta, Payload, Terminal};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A dispatched event: its type, its data, and the last event id at that moment.
#[derive(Debug, PartialEq)]
struct Dispatched {
    name: String,
    data: String,
    id: String,
}

/// Section 9.2.6 of the standard, character by character. Returns the reconnection time too.
fn parse(stream: &str) -> (Vec<Dispatched>, Option<u64>) {
    let stream = stream.strip_prefix('\u{feff}').unwrap_or(stream);
    let mut lines = vec![String::new()];
    let mut chars = stream.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' => {
                chars.next_if_eq(&'\n');
                lines.push(String::new());
            }
            '\n' => lines.push(String::new()),
            char => lines.last_mut().unwrap().push(char),
        }
    }
    let (mut events, mut retry) = (Vec::new(), None);
    let (mut name, mut data, mut id) = (String::new(), String::new(), String::new());
    // What comes after the last line break is no line.
    for line in &lines[..lines.len() - 1] {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                let name = if name.is_empty() { "message".to_owned() } else { name.clone() };
                events.push(Dispatched { name, data: data.clone(), id: id.clone() });
            }
            name.clear();
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut id),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => retry = value.parse().ok(),
            _ => {}
        }
    }
    (events, retry)
}

/// The only event in a text.
fn one(text: &str) -> Dispatched {
    let (mut events, _) = parse(text);
    assert_eq!(events.len(), 1, "{text:?}");
    events.remove(0)
}

fn chunk_event(seq: u64, text: &str, done: bool) -> Event {
    let kind = EventKind::Chunk {
        subflow: None,
        node: "n".into(),
        message: MessageId::INPUT,
        attempt: 1,
        stream: "s".into(),
        seq_in_stream: 7,
        text: text.to_owned(),
        done,
        meta: Meta::default(),
    };
    Event { trace: "trace".into(), tenant: "tenant".into(), caller: None, seq, at_us: 5, kind }
}

fn chunk_item(text: &str, stream: &str) -> Item {
    Item::Chunk {
        subflow: None,
        node: "n".into(),
        message: MessageId::INPUT,
        attempt: 2,
        stream: stream.into(),
        seq: 0,
        text: text.to_owned(),
        done: false,
        meta: Meta::from_iter([("k".to_owned(), Payload::parse("[1,\r\n2.50]").unwrap())]),
    }
}

/// Text that a frame might stumble on, and any other.
fn texts() -> impl Strategy<Value = String> {
    let hostile = proptest::collection::vec(
        prop_oneof![
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("\r\n".to_owned()),
            Just("\n\nevent: ended\ndata: {}\n\n".to_owned()),
            Just("data:".to_owned()),
            Just("id: 9".to_owned()),
            Just(" ".to_owned()),
            Just(":".to_owned()),
            Just("\u{feff}".to_owned()),
            Just("\0".to_owned()),
            Just("\u{2028}\u{85}\u{b}\u{c}".to_owned()),
            "\\PC{0,4}",
        ],
        0..8,
    );
    prop_oneof![hostile.prop_map(|parts| parts.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_event_survives_with_every_character(text in texts(), seq in any::<u64>(), done in any::<bool>()) {
        let event = chunk_event(seq, &text, done);
        let read = one(&sse(&event));
        prop_assert_eq!((&*read.name, &*read.id), ("chunk", &*seq.to_string()));
        let data: Value = serde_json::from_str(&read.data).unwrap();
        prop_assert_eq!(&data["text"], &json!(text));
        prop_assert_eq!(&data["done"], &json!(done));
        prop_assert_eq!(&data, &json!(event));
        prop_assert_eq!(&web_socket(&event), &read.data);
    }

    #[test]
    fn an_item_survives_with_every_character(text in texts(), stream in texts(), id in any::<u64>()) {
        let item = chunk_item(&text, &stream);
        let read = one(&sse_item(id, &item));
        prop_assert_eq!((&*read.name, &*read.id), ("chunk", &*id.to_string()));
        prop_assert!(!read.data.contains(['\n', '\r']));
        prop_assert_eq!(&web_socket_item(id, &item), &read.data);
        let data: Value = serde_json::from_str(&read.data).unwrap();
        prop_assert_eq!((&data["text"], &data["stream"]), (&json!(text), &json!(stream)));
    }

    #[test]
    fn plain_text_survives_but_for_the_form_of_its_newlines(text in texts(), id in any::<u64>()) {
        let stream = [sse_text(id, "text", &text), sse_text(id, "next", "")].map(Option::unwrap).concat();
        let (mut events, _) = parse(&stream);
        prop_assert_eq!(events.pop(), Some(Dispatched { name: "next".to_owned(), data: String::new(), id: id.to_string() }));
        prop_assert_eq!(events.len(), 1);
        let read = events.remove(0);
        let wanted = text.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(read, Dispatched { name: "text".to_owned(), data: wanted, id: id.to_string() });
    }
}

#[test]
fn a_name_that_is_none_makes_no_event() {
    for name in ["", "a b", "chunk\ndata: forged", "a\r", "id:", "Ünicode"] {
        assert_eq!(sse_text(0, name, "text"), None, "{name:?}");
    }
    assert_eq!(sse_text(3, "token", "a\nb").unwrap(), "id: 3\nevent: token\ndata: a\ndata: b\n\n");
}

#[test]
fn a_pause_for_clients_is_a_field_of_its_own() {
    let stream = format!("{}{}", sse_retry(Duration::from_millis(2500)), sse_text(0, "text", "").unwrap());
    let (events, retry) = parse(&stream);
    assert_eq!((events.len(), retry), (1, Some(2500)));
}

#[test]
fn each_item_has_its_form() {
    let payload = Payload::parse("{\"n\":\n 1.50}").unwrap();
    let message = Message {
        id: MessageId::INPUT,
        parent: None,
        source: None,
        payload: payload.clone(),
        meta: Meta::default(),
        topic: None,
        priority: 0,
        turn: 0,
    };
    let node: Arc<str> = "n".into();
    let items = [
        (
            chunk_item("a", "s"),
            r#"{"id":0,"event":"chunk","node":"n","message":"0000000000000000","attempt":2,"stream":"s","seq_in_stream":0,"text":"a","done":false,"meta":[["k",[1,  2.50]]]}"#,
        ),
        (
            Item::Superseded {
                subflow: Some("sub.1".into()),
                node: node.clone(),
                message: MessageId::INPUT,
                attempt: 2,
                streams: vec!["s".into()],
                restarts: true,
            },
            r#"{"id":1,"event":"superseded","subflow":"sub.1","node":"n","message":"0000000000000000","attempt":2,"streams":["s"],"restarts":true}"#,
        ),
        (
            Item::Progress { node: node.clone(), kind: "step".to_owned(), data: payload },
            r#"{"id":2,"event":"progress","node":"n","kind":"step","data":{"n":  1.50}}"#,
        ),
        (
            Item::Output { node, message: Arc::new(message) },
            r#"{"id":3,"event":"output","node":"n","message":"0000000000000000","payload":{"n":  1.50}}"#,
        ),
        (
            Item::End(Terminal { end: End::Completed, outputs: 1, error: None }),
            r#"{"id":4,"event":"ended","terminal":{"end":"completed","outputs":1,"error":null}}"#,
        ),
    ];
    for (id, (item, wanted)) in items.iter().enumerate() {
        assert_eq!(web_socket_item(id as u64, item), *wanted);
        let read = one(&sse_item(id as u64, item));
        let value: Value = serde_json::from_str(wanted).unwrap();
        assert_eq!((read.data.as_str(), json!(read.name), read.id), (*wanted, value["event"].clone(), id.to_string()));
    }
}
