//! What strangers hand in as text, whatever it is: payloads and schemas.

use floe_flow::{MAX_SCHEMA_BYTES, Payload, Schema};
use jsonschema::Draft;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// What JSON is made of, and what it is not.
const PARTS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"a\"",
    "\"a\":",
    "\"$serde_json::private::RawValue\":",
    "\\",
    "\\u0000",
    "\\ud83d",
    "\\ude00",
    "\\ud800",
    "\\x",
    "0",
    "-",
    "-0",
    "1e",
    "1e400",
    "1.",
    ".5",
    "+1",
    "01",
    "18446744073709551616",
    "9007199254740993",
    "null",
    "nul",
    "true",
    "NaN",
    " ",
    "\t",
    "\n",
    "\r",
    "\u{b}",
    "\u{a0}",
    "\u{feff}",
    "\0",
    "//",
    "ä",
    "😀",
    "'",
];

/// Text of [`PARTS`] in any order, values that were damaged, and anything.
fn text() -> impl Strategy<Value = String> {
    let nested = (0_usize..200, 0_usize..200).prop_map(|(open, close)| "[".repeat(open) + &"]".repeat(close));
    let even = (100_usize..140, any::<bool>()).prop_map(|(depth, maps)| {
        if maps { "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth) } else { "[".repeat(depth) + &"]".repeat(depth) }
    });
    prop_oneof![
        4 => vec(select(PARTS), 0..12).prop_map(|parts| parts.concat()),
        3 => value().prop_map(|value| value.to_string()),
        3 => (value(), any::<usize>(), select(PARTS)).prop_map(|(value, at, part)| {
            let mut text = value.to_string();
            let at = (0..=at % (text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            text.insert_str(at, part);
            text
        }),
        1 => nested,
        1 => even,
        1 => any::<String>(),
    ]
}

/// Any value, some of them as deep as a payload may be.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_i64..4).prop_map(Value::from),
        "[a-c]{0,3}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let any_value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-c]", inner), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    });
    let deep = (1_usize..127, any::<bool>()).prop_map(|(depth, maps)| {
        (0..depth).fold(json!(1), |value, _| if maps { json!({ "a": value }) } else { json!([value]) })
    });
    prop_oneof![5 => any_value, 1 => deep]
}

const REFERENCES: &[&str] =
    &["#", "#/$defs/a", "#/$defs/b", "#b", "#/nowhere", "http://a.test/", "#/%24defs/a", "#/properties/a"];

const PATTERNS: &[&str] =
    &["a", "^[a-c]*$", "(a|b)+c?", "(", "a{1000}{1000}", "(?=a)", "(a)\\1", "\\p{L}", "[", "^(a+)+$", "\\d{2}", "."];

/// Keywords with a number.
const NUMBERS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
];

/// Keywords with one schema.
const ONE: &[&str] = &[
    "items",
    "not",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "if",
    "then",
    "else",
];

/// Schemas, nearly: known keywords with what belongs there, and with what does not.
fn schema() -> impl Strategy<Value = Value> {
    let number = || prop_oneof![(0_u64..4).prop_map(Value::from), any::<f64>().prop_map(Value::from)];
    let names = || vec("[a-c]", 0..3).prop_map(|names| json!(names));
    let keyword = |keywords: &'static [&'static str], value: BoxedStrategy<Value>| (select(keywords), value);
    let plain = prop_oneof![
        keyword(
            &["type"],
            select(&["string", "number", "integer", "object", "array", "null", "boolean", "b"][..]).prop_map(Value::from).boxed()
        ),
        keyword(&["type"], vec(select(&["string", "number", "array"][..]), 0..3).prop_map(|types| json!(types)).boxed()),
        keyword(NUMBERS, number().boxed(),),
        keyword(&["required"], names().boxed()),
        keyword(&["enum", "const", "default", "examples", "$comment", "x-mine", "type", "items", "$defs"], value().boxed()),
        keyword(&["enum", "examples"], vec(value(), 0..3).prop_map(Value::from).boxed()),
        keyword(&["uniqueItems"], any::<bool>().prop_map(Value::from).boxed()),
        keyword(&["pattern"], select(PATTERNS).prop_map(Value::from).boxed()),
        keyword(&["$ref", "$dynamicRef"], select(REFERENCES).prop_map(Value::from).boxed()),
        keyword(&["$anchor", "$dynamicAnchor"], "[a-c]".prop_map(Value::from).boxed()),
        keyword(
            &["format", "contentEncoding", "contentMediaType"],
            select(&["date", "uri", "email", "regex", "base64"][..]).prop_map(Value::from).boxed()
        ),
        keyword(&["dependentRequired"], names().prop_map(|names| json!({ "a": names })).boxed()),
    ];
    let leaf = prop_oneof![
        1 => any::<bool>().prop_map(Value::from),
        6 => vec(plain.clone(), 0..3).prop_map(object),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let one = (select(ONE), inner.clone());
        let list = (select(&["allOf", "anyOf", "oneOf", "prefixItems"][..]), vec(inner.clone(), 0..3).prop_map(Value::from));
        let named = vec(("[a-c]", inner), 0..3).prop_map(|entries| Value::Object(entries.into_iter().collect()));
        let map = (select(&["properties", "$defs", "patternProperties", "dependentSchemas"][..]), named);
        (vec(plain.clone(), 0..2), vec(prop_oneof![one, list, map], 1..4))
            .prop_map(|(plain, nested)| object([plain, nested].concat()))
    })
}

fn object(keywords: Vec<(&'static str, Value)>) -> Value {
    Value::Object(keywords.into_iter().map(|(keyword, value)| (keyword.to_owned(), value)).collect::<Map<_, _>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// A payload is what serde_json takes for JSON, no more and no less, and stays as it was written.
    #[test]
    fn a_text_is_a_payload_as_it_was_written_or_none(text in text()) {
        let trimmed = text.trim_matches([' ', '\t', '\n', '\r']);
        match (Payload::parse(text.as_str()), serde_json::from_str::<Value>(&text)) {
            (Ok(payload), Ok(value)) => {
                prop_assert_eq!(payload.text(), trimmed);
                prop_assert_eq!(&*payload.value(), &value);
                prop_assert_eq!(serde_json::to_string(&payload).unwrap(), trimmed);
                // Within another text as well.
                let within: Vec<Payload> = serde_json::from_str(&format!("[{text}]")).unwrap();
                prop_assert_eq!(within, [payload]);
            }
            (Err(_), Err(_)) => {}
            // Such a key would mean something else to who reads the text.
            (Err(error), Ok(_)) => prop_assert!(text.contains("$serde_json::private::"), "{}: {}", text, error),
            (Ok(_), Err(error)) => prop_assert!(false, "{}: {}", text, error),
        }
    }

    /// What compiles says of each value what the validator says, unless it would cost too much; the rest has an error to show.
    #[test]
    fn a_schema_means_what_it_says_or_is_refused(schema in schema(), values in vec(value(), 1..4)) {
        let compiled = match Schema::compile(&schema) {
            Ok(compiled) => compiled,
            Err(error) => {
                prop_assert!(!error.is_empty() && error.len() < 4096, "{}", error);
                return Ok(());
            }
        };
        prop_assert!(schema.to_string().len() <= MAX_SCHEMA_BYTES);
        prop_assert_eq!(compiled.text(), &schema);
        let validator = jsonschema::options().with_draft(Draft::Draft202012).build(&schema).unwrap();
        for value in values {
            let checked = compiled.check(&value);
            prop_assert_eq!(checked.is_ok(), validator.is_valid(&value), "{}: {:?}", value, checked);
            prop_assert_eq!(compiled.check(&value), checked, "it says the same again");
        }
    }

    #[test]
    fn what_is_no_schema_is_refused(text in value()) {
        if let Ok(schema) = Schema::compile(&text) {
            prop_assert!(text.is_object() || text.is_boolean(), "{}", text);
            prop_assert_eq!(schema.check(&text).is_ok(), schema.check(&text).is_ok());
        }
    }
}
