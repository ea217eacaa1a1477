//! What is taken out of texts does not depend on how they come, and nothing of a secret is left.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use floe_egress::scrub::Scrubber;
use floe_egress::secrets::Secret;
use proptest::prelude::*;

fn scrubber(values: &[String]) -> Arc<Scrubber> {
    let secret = |(index, value): (usize, &String)| Secret::try_new(&format!("s{index}"), value, Vec::new(), b"key").unwrap();
    Arc::new(Scrubber::new(&values.iter().enumerate().map(secret).collect::<Vec<_>>()).unwrap())
}

/// The text, scrubbed as it comes in pieces of these lengths.
fn in_pieces(scrubber: &Arc<Scrubber>, text: &[u8], lengths: &[usize]) -> Vec<u8> {
    let (mut stream, mut out, mut rest) = (scrubber.stream(), Vec::new(), text);
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*length).clamp(1, rest.len()));
        out.extend_from_slice(&stream.push(piece));
        rest = after;
    }
    out.extend_from_slice(&stream.finish());
    out
}

#[test]
fn texts_without_secrets_stay_as_they_are() {
    let scrubber = scrubber(&["token-1234567".to_owned()]);
    for text in ["", "token-123456", "token-123456\n7", "%%%\\\\\\u00", "äöü \u{1F600}", "token%2-1234567"] {
        assert!(matches!(scrubber.text(text), std::borrow::Cow::Borrowed(_)), "{text}");
    }
}

#[test]
fn overlapping_and_neighbouring_values_go_as_a_whole() {
    let scrubber = scrubber(&["abcabcabc".to_owned(), "bcabcabcX".to_owned()]);
    let table = [
        ("abcabcabcabc", "************"),
        ("-abcabcabcX-", "-**********-"),
        ("abcabcab", "abcabcab"),
        ("abcabcab abcabcabc", "abcabcab *********"),
        ("ab%63abc\\u0061bc.", "****************."),
    ];
    for (text, expected) in table {
        assert_eq!(scrubber.text(text), expected);
        for length in 1..8 {
            assert_eq!(String::from_utf8(in_pieces(&scrubber, text.as_bytes(), &[length])).unwrap(), expected);
        }
    }
}

/// A value whose end may begin another one stays covered while that is undecided.
#[test]
fn a_value_stays_covered_while_nothing_is_certain() {
    let scrubber = scrubber(&["ABCDEFGH".to_owned(), "HIJKLMNOP".to_owned()]);
    let mut stream = scrubber.stream();
    assert_eq!(stream.push(b"ABCDEFGH"), "*******");
    assert_eq!(stream.push(b"I"), "");
    assert_eq!(stream.push(b"J."), "*IJ.");
}

/// Nothing is held back that cannot be the beginning of a value: who waits for a line gets it.
#[test]
fn what_is_certain_comes_at_once() {
    let scrubber = scrubber(&["zq-0123456".to_owned()]);
    let mut stream = scrubber.stream();
    assert_eq!(stream.push(b"data: one\n\n"), "data: one\n\n");
    assert_eq!(stream.push(b"data: zq-01"), "data: ");
    assert_eq!(stream.push(b"23456\n"), "**********\n");
    assert_eq!(stream.push(b"zq-"), "");
    assert_eq!(stream.finish(), "zq-");
}

#[derive(Debug, Clone)]
enum Form {
    /// Each byte as it is, with an escape of one kind or the other.
    Mixed(Vec<u8>),
    /// With that many bytes before and after.
    Base64(u8, usize, usize),
    Noise(String),
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        proptest::collection::vec(0..5u8, 1..40).prop_map(Form::Mixed),
        (0..4u8, 0..7usize, 0..7usize).prop_map(|(kind, before, after)| Form::Base64(kind, before, after)),
        "[a-zA-Z0-9%\\\\u+/= \n]{0,12}".prop_map(Form::Noise),
        any::<String>().prop_map(Form::Noise),
    ]
}

/// The text of this form, and which part of it must not be seen.
fn written(value: &str, form: &Form) -> (String, String) {
    match form {
        Form::Noise(text) => (text.clone(), String::new()),
        Form::Mixed(kinds) => {
            let byte = |(byte, kind): (u8, &u8)| match kind {
                0 => format!("%{byte:02x}"),
                1 => format!("%{byte:02X}"),
                2 => format!("\\u{byte:04x}"),
                3 if b"/\"\\".contains(&byte) => format!("\\{}", char::from(byte)),
                _ => char::from(byte).to_string(),
            };
            let text: String = value.bytes().zip(kinds.iter().cycle()).map(byte).collect();
            (text.clone(), text)
        }
        Form::Base64(kind, before, after) => {
            let whole = format!("{}{value}{}", "(".repeat(*before), ")".repeat(*after));
            let text = match kind {
                0 => STANDARD.encode(whole),
                1 => STANDARD_NO_PAD.encode(whole),
                2 => URL_SAFE.encode(whole),
                _ => URL_SAFE_NO_PAD.encode(whole),
            };
            // Every character that has a bit of the value.
            let part = text[before * 8 / 6..((before + value.len()) * 8).div_ceil(6)].to_owned();
            (text, part)
        }
    }
}

proptest! {
    #[test]
    fn no_form_of_a_secret_is_left_however_it_comes(
        // Without the character that is put in the values' places: it could make up a value.
        values in proptest::collection::vec("[!-)+-~]{8,24}", 1..3),
        forms in proptest::collection::vec((any::<prop::sample::Index>(), form()), 0..6),
        lengths in proptest::collection::vec(1..30usize, 1..6),
    ) {
        let scrubber = scrubber(&values);
        let parts: Vec<_> = forms.iter().map(|(index, form)| written(index.get::<String>(&values), form)).collect();
        let text: String = parts.iter().map(|(text, _)| text.as_str()).collect();
        let scrubbed = scrubber.text(&text).into_owned();
        prop_assert_eq!(scrubbed.len(), text.len());
        prop_assert_eq!(&in_pieces(&scrubber, text.as_bytes(), &lengths), scrubbed.as_bytes());
        prop_assert_eq!(&scrubber.text(&scrubbed), &scrubbed, "nothing is found in what is left");
        let mut at = 0;
        for (text, hidden) in &parts {
            let seen = &scrubbed.as_bytes()[at..at + text.len()];
            if !hidden.is_empty() {
                let from = text.find(hidden.as_str()).unwrap();
                prop_assert!(seen[from..from + hidden.len()].iter().all(|byte| *byte == b'*'), "{} in {}", hidden, scrubbed);
            }
            at += text.len();
        }
        for (byte, (before, after)) in text.bytes().zip(scrubbed.bytes()).map(|pair| (pair.1, pair)) {
            prop_assert!(before == after || byte == b'*');
        }
    }
}
