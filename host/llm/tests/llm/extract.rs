//! JSON in what models say.

use expect_test::{Expect, expect};
use floe_llm::{MAX_STARTS, candidates};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The likeliest candidate, its repairs, and whether it is cut.
fn check(text: &str, expected: &Expect) {
    let found = candidates(text).next();
    let said = found.map_or("nothing".to_owned(), |found| {
        format!("{} ({} repairs{})", found.value, found.repairs, if found.is_cut { ", cut" } else { "" })
    });
    expected.assert_eq(&said);
}

#[test]
fn json_is_found_wherever_it_stands() {
    check(r#"{"a": 1}"#, &expect![[r#"{"a":1} (0 repairs)"#]]);
    check("Sure!\n```json\n{\"a\": 1}\n```\nDone.", &expect![[r#"{"a":1} (0 repairs)"#]]);
    check("```\n{\"a\": 1}\n```", &expect![[r#"{"a":1} (0 repairs)"#]]);
    check(r#"The answer is {"a": {"b": 2}}, I think."#, &expect![[r#"{"a":{"b":2}} (0 repairs)"#]]);
    check("There is none.", &expect!["nothing"]);
    check("", &expect!["nothing"]);
    check("[1, 2]", &expect!["[1,2] (0 repairs)"]);
}

#[test]
fn stray_braces_do_not_matter() {
    check("I use {braces} here.\n```json\n{\"a\": 1}\n```", &expect![[r#"{"a":1} (0 repairs)"#]]);
    check(r#"For a set {x | x > 0} we get {"a": "}{"} and } more {."#, &expect![[r#"{"a":"}{"} (0 repairs)"#]]);
    check("It is {\" ```\": {\"a\": {}}}.", &expect![[r#"{" ```":{"a":{}}} (0 repairs)"#]]);
    check("Not {\"a\": 1} but\n  ```json\n{\"a\": 2}```", &expect![[r#"{"a":2} (0 repairs)"#]]);
    check("{ {\"a\": 1}", &expect![[r#"{"a":1} (0 repairs)"#]]);
    check(r#"{"code": "```js\nf() {}\n```", "a": 1}"#, &expect![[r#"{"a":1,"code":"```js\nf() {}\n```"} (0 repairs)"#]]);
    check(
        "Say: ```json\n{\"code\": \"```js\\nf() {}\\n```\", \"a\": 1}\n```",
        &expect![[r#"{"a":1,"code":"```js\nf() {}\n```"} (0 repairs)"#]],
    );
}

#[test]
fn common_damage_is_repaired_and_counted() {
    check(r#"{"a": [1, 2,], "b": {"c": 3,},}"#, &expect![[r#"{"a":[1,2],"b":{"c":3}} (3 repairs)"#]]);
    check(r"{'a': 'b', 'c': None, 'd': True}", &expect![[r#"{"a":"b","c":null,"d":true} (6 repairs)"#]]);
    check(r#"{'a': 'say "no" \'now\''}"#, &expect![[r#"{"a":"say \"no\" 'now'"} (2 repairs)"#]]);
    check("{\"a\": \"two\nlines\"}", &expect![[r#"{"a":"two\nlines"} (1 repairs)"#]]);
    check("```json\n{'a': 1}", &expect![[r#"{"a":1} (1 repairs)"#]]);
}

#[test]
fn what_is_ambiguous_is_not_repaired() {
    check("{'a': 'it's mine'}", &expect!["nothing"]);
    check("{a: 1}", &expect!["nothing"]);
    check(r#"{"a": 1, "a": 2,}"#, &expect!["nothing"]);
    check(r#"{"a": 1 "b": 2}"#, &expect!["nothing"]);
    check(r#"{"a": 01,}"#, &expect!["nothing"]);
    check(r#"{"a": "\ud800",}"#, &expect!["nothing"]);
}

#[test]
fn what_breaks_off_is_closed_after_the_last_whole_value() {
    check(r#"{"a": 1, "b": {"c": [1, 2"#, &expect![[r#"{"a":1,"b":{"c":[1]}} (1 repairs, cut)"#]]);
    check(r#"{"a": 1, "b": "half a str"#, &expect![[r#"{"a":1} (1 repairs, cut)"#]]);
    check(r#"{"a": 1, "b": 12"#, &expect![[r#"{"a":1} (1 repairs, cut)"#]]);
    check(r#"{"a": 1, "b": tru"#, &expect![[r#"{"a":1} (1 repairs, cut)"#]]);
    check(r#"{"a": 1, "b""#, &expect![[r#"{"a":1} (1 repairs, cut)"#]]);
    check(r#"{"a": 1, "b":"#, &expect![[r#"{"a":1} (1 repairs, cut)"#]]);
    check(r#"{"a": "whole","#, &expect![[r#"{"a":"whole"} (1 repairs, cut)"#]]);
    check(r#"{"a": "whole"}"#, &expect![[r#"{"a":"whole"} (0 repairs)"#]]);
    check("{", &expect!["{} (1 repairs, cut)"]);
}

#[test]
fn the_first_that_fits_can_be_chosen_among_all() {
    let text = r#"An empty {} first, then {"a": 1}, then {"a": 2}"#;
    let all: Vec<Value> = candidates(text).map(|found| found.value).collect();
    assert_eq!(all, [json!({}), json!({"a": 1}), json!({"a": 2})]);
}

#[test]
fn looking_for_json_is_bounded() {
    let many = "{x} ".repeat(MAX_STARTS - 1);
    assert_eq!(candidates(&format!("{many}{{\"a\": 1}}")).next().unwrap().value, json!({"a": 1}));
    assert_eq!(candidates(&format!("{many}{{x}} {{\"a\": 1}}")).next(), None);
    assert_eq!(candidates(&"[".repeat(1 << 20)).next(), None);
    assert_eq!(candidates(&"{\"a\":".repeat(MAX_STARTS + 200)).next(), None, "too deep");
}

/// Any JSON, without numbers that do not come back as they went.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Whether everything in `part` is in `whole` at the same place.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| is_within(part, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() <= whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole))
        }
        (part, whole) => part == whole,
    }
}

proptest! {
    #[test]
    fn a_cut_never_invents_anything(value in value(), cut in 0.0..1.0) {
        let whole = json!({ "root": value }).to_string();
        let mut at = 1 + (cut * (whole.len() - 1) as f64) as usize;
        while !whole.is_char_boundary(at) {
            at += 1;
        }
        // Objects of the text that are whole may be found, too; the likeliest is the one that was cut.
        let cut = candidates(&whole[..at]).find(|found| found.is_cut || at == whole.len());
        let found = cut.expect("what begins as an object is one");
        prop_assert!(is_within(&found.value, &json!({ "root": value })), "{} of {whole}", found.value);
    }

    #[test]
    fn nothing_that_a_model_says_is_too_much(text in any::<String>(), braces in "[{}\\[\\]\"':,a1 \\\\\n]{0,60}") {
        candidates(&text).count();
        candidates(&braces).count();
    }

    #[test]
    fn what_is_sound_is_found_in_prose(value in value(), before in "[a-z .]{0,20}", after in "[a-z .{}]{0,20}") {
        let value = json!({ "root": value });
        let found = candidates(&format!("{before}{value}{after}")).next().unwrap();
        prop_assert_eq!((found.value, found.repairs), (value, 0));
    }
}
