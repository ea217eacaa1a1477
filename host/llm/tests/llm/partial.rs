//! JSON that comes in pieces.

use expect_test::{Expect, expect};
use floe_llm::{Damaged, Event, MAX_NESTING, MAX_WORD, Partial};
use proptest::prelude::*;
use serde_json::{Value, json};

const PATHS: [&str; 4] = ["thought", "next_node", "args.raw_answer", "plan"];

/// All events of these pieces, a line each; growth of a string without its cuts.
fn check(pieces: &[&str], expected: &Expect) {
    let mut partial = Partial::new(&PATHS);
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match partial.push(piece) {
            Ok(events) => lines.extend(events.iter().map(|event| match event {
                Event::Text { path, text } => format!("{} + {text}", PATHS[*path]),
                Event::End { path } => format!("{} ends", PATHS[*path]),
                Event::Scalar { path, value } => format!("{} = {value}", PATHS[*path]),
                Event::Open { path, is_array } => format!("{} {}", PATHS[*path], if *is_array { "[" } else { "{" }),
            })),
            Err(damaged) => lines.push(damaged.to_string()),
        }
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn strings_grow_in_the_order_in_which_they_come() {
    check(
        &[
            "```json\n{\"thou",
            "ght\": \"I kn",
            "ow\", \"next_node\": nu",
            "ll, \"args\": {\"confidence\": 0.5, \"raw_answer\": \"It ",
            "is.\"}}",
            "\n```",
        ],
        &expect![[r#"
            thought + I kn
            thought + ow
            thought ends
            next_node = null
            args.raw_answer + It 
            args.raw_answer + is.
            args.raw_answer ends"#]],
    );
}

#[test]
fn what_stands_in_an_array_or_elsewhere_is_not_on_a_path() {
    check(
        &[
            r#"{"plan": [{"node": "a", "args": {"raw_answer": "leaks"}, "thought": "x"}], "args": {"args": {"raw_answer": "no"}, "thought": "no"}}"#,
        ],
        &expect!["plan ["],
    );
    check(
        &[r#"[{"thought": "the first object counts"}]"#],
        &expect![[r#"
        thought + the first object counts
        thought ends"#]],
    );
}

#[test]
fn escapes_and_surrogates_may_be_cut_anywhere() {
    let text = r#"{"thought": "\u00e9\ud83d\ude00\n\"\\"}"#;
    let cut: Vec<String> = text.chars().map(String::from).collect();
    let pieces: Vec<&str> = cut.iter().map(String::as_str).collect();
    check(
        &pieces,
        &expect![[r#"
        thought + é
        thought + 😀
        thought + 

        thought + "
        thought + \
        thought ends"#]],
    );
}

#[test]
fn keys_are_compared_unescaped_and_whole() {
    check(
        &[r#"{"tho\u0075ght": "yes", "thoughts": "no", "thoughtthoughtthoughtthought": "no", "though": "no"}"#],
        &expect![[r#"
        thought + yes
        thought ends"#]],
    );
}

#[test]
fn damage_is_said_once_and_for_all() {
    check(
        &[r#"{"thought": "a", oh"#, r#", "next_node": null}"#],
        &expect![[r#"
        byte 17 does not belong into a JSON object
        byte 17 does not belong into a JSON object"#]],
    );
    check(&[r#"{"thought": "\ud83d!"}"#], &expect!["byte 19 does not belong into a JSON object"]);
    check(&[r#"{"thought": "\x"}"#], &expect!["byte 14 does not belong into a JSON object"]);
    check(&[r#"{"next_node": nul}"#], &expect!["byte 17 does not belong into a JSON object"]);
}

#[test]
fn nesting_and_words_are_bounded() {
    let push = |text: &str| Partial::new(&["a"]).push(text);
    assert!(push(&"{\"a\":".repeat(MAX_NESTING)).is_ok());
    assert_eq!(push(&"{\"a\":".repeat(MAX_NESTING + 1)), Err(Damaged { at: 5 * MAX_NESTING }));
    assert!(push(&format!("{{\"a\": {}", "1".repeat(MAX_WORD))).is_ok());
    assert!(push(&format!("{{\"a\": {}", "1".repeat(MAX_WORD + 1))).is_err());
}

#[test]
fn after_the_object_nothing_counts() {
    let mut partial = Partial::new(&["a"]);
    assert_eq!(partial.push("{ } trailing {\"a\": 1}"), Ok(Vec::new()));
    assert!(partial.is_done());
}

/// Objects with few keys, so that paths are met, and strings with everything that must be escaped.
fn object() -> impl Strategy<Value = Value> {
    let text = prop_oneof![any::<String>(), "[\\\\\"\u{1F600}é/\u{0}-\u{1f}]{0,12}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| json!(number)),
        text.prop_map(Value::from),
    ];
    let key = || prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("c\"d".to_owned()), any::<String>()];
    let value = leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(key(), value, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// The text with every character of its strings that is no ASCII escaped.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut all, char| {
        if char.is_ascii() {
            all.push(char);
        } else {
            char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| all.push_str(&format!("\\u{unit:04X}")));
        }
        all
    })
}

proptest! {
    #[test]
    fn any_json_cut_anywhere_gives_the_same_strings(
        value in object(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ascii in any::<bool>(),
        pretty in any::<bool>(),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let text = if ascii { escaped(&text) } else { text };
        // The last digit of a number may come back as another one: what is compared has been read once.
        let value: Value = serde_json::from_str(&text).unwrap();
        let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let mut at: Vec<usize> = cuts.iter().map(|cut| *cut.get(&boundaries)).chain([0, text.len()]).collect();
        at.sort_unstable();
        let paths = [vec!["a"], vec!["a", "b"], vec!["b", "a", "c\"d"], vec!["c\"d"]];
        let names: Vec<String> = paths.iter().map(|path| path.join(".")).collect();
        let mut partial = Partial::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let (mut strings, mut scalars, mut opened, mut ended) = (vec![String::new(); 4], vec![None; 4], [None; 4], [false; 4]);
        for pair in at.windows(2) {
            for event in partial.push(&text[pair[0]..pair[1]]).unwrap() {
                match event {
                    Event::Text { path, text } => strings[path] += &text,
                    Event::End { path } => ended[path] = true,
                    Event::Scalar { path, value } => scalars[path] = Some(value),
                    Event::Open { path, is_array } => opened[path] = Some(is_array),
                }
            }
        }
        prop_assert!(partial.is_done());
        for (index, path) in paths.iter().enumerate() {
            let found = path.iter().try_fold(&value, |value, key| value.as_object()?.get(*key));
            let (string, scalar, is_array) = match found {
                Some(Value::String(text)) => (Some(text.as_str()), None, None),
                Some(Value::Array(_)) => (None, None, Some(true)),
                Some(Value::Object(_)) => (None, None, Some(false)),
                other => (None, other.cloned(), None),
            };
            prop_assert_eq!(strings[index].as_str(), string.unwrap_or_default());
            prop_assert_eq!(ended[index], string.is_some());
            prop_assert_eq!(&scalars[index], &scalar);
            prop_assert_eq!(opened[index], is_array);
        }
    }

    #[test]
    fn nothing_that_comes_is_too_much(pieces in prop::collection::vec("[{}\\[\\]\":,a-c0-9 \\\\un\u{1F600}]{0,8}", 0..12)) {
        let mut partial = Partial::new(&["a", "a.b"]);
        for piece in &pieces {
            let _ = partial.push(piece);
        }
    }
}
