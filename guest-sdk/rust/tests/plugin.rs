//! A plugin as its author sees it, and what the host makes of it: describes, failures, outcomes, and the native recorder.

use std::collections::BTreeMap;
use std::time::Duration;

use expect_test::{Expect, expect};
use floe_guest::{
    Caller, Context, Failure, FailureKind, Json, Node, Outcome, Output, Result, SideEffect, Tool, budget, emit, field, log, test,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

floe_guest::export!(nodes: [Everything, Raw], tools: [Add]);

/// How to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    factor: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Input {
    Emit { text: String },
    Multiply { number: u32 },
    Loop,
    Finish,
    Nothing,
    Route { to: String },
    Break,
}

#[derive(Serialize, JsonSchema)]
struct Number {
    number: u32,
}

/// Does everything a node can do.
struct Everything;

impl Node for Everything {
    const NAME: &'static str = "everything";
    const DESCRIPTION: &'static str = "Does everything.";
    const SIDE_EFFECT: SideEffect = SideEffect::Read;
    const IDEMPOTENT: bool = true;
    const TAGS: &'static [&'static str] = &["one", "two"];
    type Config = Config;
    type Input = Input;
    type Output = Number;

    fn hints() -> Option<Json> {
        Some(Json::from_text(r#"{"cost":"low"}"#))
    }

    fn handle(config: Config, input: Input, ctx: &Context) -> Result<Outcome<Number>> {
        budget::check()?;
        match input {
            Input::Emit { text } => {
                log::info("Emits.", [field("bytes", text.len())]);
                emit::progress("status", json!({ "step": 1 }))?;
                emit::message(json!({ "text": text }))?;
                emit::output(Output::new(Json::from_text("1.0")).to("next").meta("key", "value"))?;
                emit::chunk(&text)?;
                let side = emit::Stream::named("side").to("next").meta("part", 1);
                assert_eq!(side.chunk("first")?, 0);
                assert_eq!(side.done()?, 1);
                emit::chunk_done()?;
                Ok(Outcome::nothing())
            }
            Input::Multiply { number } => Ok(Number { number: number * config.factor }.into()),
            Input::Loop => Outcome::again(json!({ "turn": ctx.turn }), 7),
            Input::Finish => Outcome::final_answer("done"),
            Input::Nothing => Ok(Outcome::nothing()),
            Input::Route { to } => {
                Ok(Output::new(Number { number: 1 }).to(to).topic("news").priority(-1).meta("from", &ctx.tenant).into())
            }
            Input::Break => Err(Failure::busy("no seat").retry_after(Duration::from_millis(1500)).detail(json!({ "seats": 0 }))),
        }
    }
}

/// Looks at nothing.
struct Raw;

impl Node for Raw {
    const NAME: &'static str = "raw";
    const DESCRIPTION: &'static str = "Passes on.";
    type Config = ();
    type Input = Json;
    type Output = Json;

    fn handle((): (), payload: Json, _: &Context) -> Result<Outcome<Json>> {
        Ok(vec![payload.clone(), payload].into())
    }
}

#[derive(Deserialize, JsonSchema)]
struct Terms {
    left: i64,
    right: i64,
}

/// Adds.
struct Add;

impl Tool for Add {
    const NAME: &'static str = "add";
    const DESCRIPTION: &'static str = "Adds two numbers.";
    const SCOPES: &'static [&'static str] = &["math"];
    type Config = BTreeMap<String, bool>;
    type Input = Terms;
    type Output = i64;

    fn call(_: Self::Config, terms: Terms, _: &Caller) -> Result<i64> {
        terms.left.checked_add(terms.right).ok_or_else(|| Failure::invalid_input("the sum is too big"))
    }
}

fn check(config: &serde_json::Value, input: &serde_json::Value, expected: &Expect) {
    let ctx = Context { turn: 3, ..Context::default() };
    let line = match test::run_with::<Everything>(ctx, config, input).result {
        Ok(outcome) => format!("{outcome:?}"),
        Err(failure) => format!("{failure:?}"),
    };
    expected.assert_eq(&line);
}

#[test]
fn outcomes() {
    let config = json!({ "factor": 3 });
    check(
        &config,
        &json!({ "do": "multiply", "number": 2 }),
        &expect![[r#"Outputs([Output { payload: Json("{\"number\":6}"), meta: [], to: [], topic: None, priority: None }])"#]],
    );
    check(&config, &json!({ "do": "loop" }), &expect![[r#"Again { memory: Json("{\"turn\":3}"), tokens_used: 7 }"#]]);
    check(&config, &json!({ "do": "finish" }), &expect![[r#"Final(Json("\"done\""))"#]]);
    check(&config, &json!({ "do": "nothing" }), &expect!["Outputs([])"]);
    check(
        &config,
        &json!({ "do": "route", "to": "left" }),
        &expect![[
            r#"Outputs([Output { payload: Json("{\"number\":1}"), meta: [("from", "\"tenant\"")], to: ["left"], topic: Some("news"), priority: Some(-1) }])"#
        ]],
    );
    check(
        &config,
        &json!({ "do": "break" }),
        &expect![[
            r#"Failure { kind: FailureKind::Busy, message: "no seat", retry-after-ms: Some(1500), detail: Some("{\"seats\":0}") }"#
        ]],
    );
}

#[test]
fn wrong_input_and_config_name_the_place() {
    let multiply = json!({ "do": "multiply", "number": 2 });
    check(
        &json!({ "factor": "much" }),
        &multiply,
        &expect![[
            r#"Failure { kind: FailureKind::InvalidInput, message: "config: invalid type: string \"much\", expected u32 at line 1 column 16, after `{\"factor\":\"much\"`", retry-after-ms: None, detail: None }"#
        ]],
    );
    check(
        &json!({ "fcator": 3 }),
        &multiply,
        &expect![[
            r#"Failure { kind: FailureKind::InvalidInput, message: "config: unknown field `fcator`, expected `factor` at line 1 column 9, after `{\"fcator\"`", retry-after-ms: None, detail: None }"#
        ]],
    );
    check(
        &json!({}),
        &json!({ "do": "multiply" }),
        &expect![[
            r#"Failure { kind: FailureKind::InvalidInput, message: "payload: missing field `number`", retry-after-ms: None, detail: None }"#
        ]],
    );
    check(
        &json!({}),
        &json!({ "do": "rest" }),
        &expect![[
            r#"Failure { kind: FailureKind::InvalidInput, message: "payload: unknown variant `rest`, expected one of `emit`, `multiply`, `loop`, `finish`, `nothing`, `route`, `break` at line 1 column 12, after `{\"do\":\"rest\"`", retry-after-ms: None, detail: None }"#
        ]],
    );
    let ran = test::run::<Everything>((), Json::from_text("{\n \"do\": \"multiply\u{e9}\","));
    expect![[r#"payload: unknown variant `multiplyé`, expected one of `emit`, `multiply`, `loop`, `finish`, `nothing`, `route`, `break` at line 2 column 19, after `{  "do": "multiplyé"`"#]].assert_eq(&ran.result.unwrap_err().message);
}

#[test]
fn a_missing_config_may_be_null_or_empty() {
    for config in ["null", "{}"] {
        assert!(test::run::<Everything>(Json::from_text(config), json!({ "do": "nothing" })).result.is_ok(), "{config}");
        assert_eq!(test::run::<Raw>(Json::from_text(config), 1).payloads(), [json!(1), json!(1)], "{config}");
    }
    let failure = test::run::<Raw>(json!({ "factor": 3 }), 1).result.expect_err("it takes no config");
    assert_eq!(failure.kind, FailureKind::InvalidInput);
}

/// Multiplies by what it must be told.
struct Scale;

#[derive(Deserialize, JsonSchema)]
struct Factor {
    factor: u32,
}

impl Node for Scale {
    const NAME: &'static str = "scale";
    const DESCRIPTION: &'static str = "Multiplies.";
    type Config = Factor;
    type Input = u32;
    type Output = u32;

    fn handle(config: Factor, number: u32, _: &Context) -> Result<Outcome<u32>> {
        Ok((config.factor * number).into())
    }
}

#[test]
fn a_missing_config_names_what_is_missing() {
    assert_eq!(test::run::<Scale>(json!({ "factor": 3 }), 2).payloads(), [json!(6)]);
    for config in ["null", "{}"] {
        let failure = test::run::<Scale>(Json::from_text(config), 2).result.expect_err("there is no factor");
        assert!(failure.message.starts_with("config: missing field `factor`"), "{}", failure.message);
    }
}

#[test]
fn what_a_call_does_is_recorded_for_it_alone() {
    let ran = test::run::<Everything>((), json!({ "do": "emit", "text": "hello" }));
    let test::Record { emitted, chunks, progress, logs } = &ran.record;
    let mut lines: Vec<String> = emitted.iter().map(|message| format!("{message:?}")).collect();
    lines.extend(chunks.iter().map(|chunk| format!("{chunk:?}")));
    lines.extend(progress.iter().map(|progress| format!("{progress:?}")));
    lines.extend(logs.iter().map(|line| format!("{line:?}")));
    expect![[r#"
        Output { payload: Json("{\"text\":\"hello\"}"), meta: [], to: [], topic: None, priority: None }
        Output { payload: Json("1.0"), meta: [("key", "\"value\"")], to: ["next"], topic: None, priority: None }
        Chunk { stream: None, seq: 0, text: "hello", done: false, meta: [], to: [] }
        Chunk { stream: Some("side"), seq: 0, text: "first", done: false, meta: [("part", "1")], to: ["next"] }
        Chunk { stream: Some("side"), seq: 1, text: "", done: true, meta: [("part", "1")], to: ["next"] }
        Chunk { stream: None, seq: 1, text: "", done: true, meta: [], to: [] }
        ("status", Json("{\"step\":1}"))
        Line { level: Level::Info, message: "Emits.", fields: [("bytes", "5")] }"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(test::run::<Raw>((), 1).record, test::Record::default());
}

#[test]
fn tools() {
    assert_eq!(test::call::<Add>((), json!({ "left": 1, "right": 2 })).result, Ok(json!(3)));
    let ran = test::call::<Add>((), json!({ "left": i64::MAX, "right": 2 }));
    assert_eq!(ran.result, Err(Failure::invalid_input("the sum is too big")));
}

#[test]
fn descriptions_come_from_the_types() {
    let everything = floe_guest::describe_node::<Everything>();
    assert_eq!(
        (everything.name.as_str(), everything.tags.as_slice()),
        ("everything", ["one".to_owned(), "two".to_owned()].as_slice())
    );
    assert_eq!((everything.side_effect, everything.idempotent), (SideEffect::Read, true));
    expect![[r#"{"cost":"low"}"#]].assert_eq(everything.hints.as_deref().unwrap());
    expect![[r#"{"title":"Config","description":"How to.","type":"object","properties":{"factor":{"type":"integer","format":"uint32","default":0,"minimum":0}},"additionalProperties":false}"#]].assert_eq(everything.config.as_deref().unwrap());
    expect![[r#"{"title":"Input","oneOf":[{"type":"object","properties":{"do":{"type":"string","const":"emit"},"text":{"type":"string"}},"required":["do","text"]},{"type":"object","properties":{"do":{"type":"string","const":"multiply"},"number":{"type":"integer","format":"uint32","minimum":0}},"required":["do","number"]},{"type":"object","properties":{"do":{"type":"string","const":"loop"}},"required":["do"]},{"type":"object","properties":{"do":{"type":"string","const":"finish"}},"required":["do"]},{"type":"object","properties":{"do":{"type":"string","const":"nothing"}},"required":["do"]},{"type":"object","properties":{"do":{"type":"string","const":"route"},"to":{"type":"string"}},"required":["do","to"]},{"type":"object","properties":{"do":{"type":"string","const":"break"}},"required":["do"]}]}"#]].assert_eq(everything.input.as_deref().unwrap());
    expect![[r#"{"title":"Number","type":"object","properties":{"number":{"type":"integer","format":"uint32","minimum":0}},"required":["number"]}"#]].assert_eq(everything.output.as_deref().unwrap());

    expect![[r#"
        Spec {
            name: "raw",
            description: "Passes on.",
            input: None,
            output: None,
            config: Some(
                "{\"type\":[\"object\",\"null\"],\"maxProperties\":0}",
            ),
            side-effect: SideEffect::Pure,
            idempotent: false,
            tags: [],
            hints: None,
        }
    "#]]
    .assert_debug_eq(&floe_guest::describe_node::<Raw>());
    expect![[r#"
        Spec {
            name: "add",
            description: "Adds two numbers.",
            input: "{\"title\":\"Terms\",\"type\":\"object\",\"properties\":{\"left\":{\"type\":\"integer\",\"format\":\"int64\"},\"right\":{\"type\":\"integer\",\"format\":\"int64\"}},\"required\":[\"left\",\"right\"]}",
            output: Some(
                "{\"title\":\"int64\",\"type\":\"integer\",\"format\":\"int64\"}",
            ),
            config: Some(
                "{\"title\":\"Map_of_boolean\",\"type\":\"object\",\"additionalProperties\":{\"type\":\"boolean\"}}",
            ),
            side-effect: SideEffect::Pure,
            idempotent: false,
            tags: [],
            scopes: [
                "math",
            ],
            hints: None,
        }
    "#]].assert_debug_eq(&floe_guest::describe_tool::<Add>());
}

#[test]
fn names_are_told_apart() {
    assert!(floe_guest::distinct(&["a", "b", "ab"]));
    assert!(!floe_guest::distinct(&["a", "b", "a"]));
}
