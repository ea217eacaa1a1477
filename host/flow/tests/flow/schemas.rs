//! Schemas are a stranger's text.

use expect_test::{Expect, expect};
use floe_flow::{Payload, Schema};
use serde_json::{Value, json};

#[expect(clippy::needless_pass_by_value, reason = "a table of literals")]
fn refused(schema: Value, expected: Expect) {
    let error = Schema::compile(&schema).unwrap_err();
    expected.assert_eq(error.lines().next().unwrap());
}

/// `a0` refers to `a1` twice, `a1` to `a2` twice, …
fn doubling(steps: usize, wrap: impl Fn(Value) -> Value) -> Value {
    let twice = |n: usize| wrap(json!({"allOf": [{"$ref": format!("#/$defs/a{n}")}, {"$ref": format!("#/$defs/a{n}")}]}));
    let mut definitions: serde_json::Map<String, Value> = (0..steps).map(|n| (format!("a{n}"), twice(n + 1))).collect();
    definitions.insert(format!("a{steps}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/a0", "$defs": definitions})
}

#[test]
fn costly_schemas_are_refused() {
    let multiply =
        || expect!["its references multiply: checking one value could take more than 50000 steps; refer to each definition once"];
    refused(doubling(30, |schema| schema), multiply());
    refused(doubling(30, |schema| json!({"properties": {"x": schema}})), multiply());
    refused(doubling(30, |schema| json!({"items": schema})), multiply());
    // Two references to itself at every child: 2^depth.
    refused(json!({"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}}), multiply());
    refused(json!({"$ref": "#"}), multiply());
    refused(json!({"description": "x".repeat(70_000)}), expect!["the schema has 70018 bytes; the limit is 65536"]);
}

fn chain(links: usize, end: Value) -> Value {
    let mut definitions: serde_json::Map<String, Value> =
        (0..links).map(|n| (format!("a{n}"), json!({"$ref": format!("#/$defs/a{}", n + 1)}))).collect();
    definitions.insert(format!("a{links}"), end);
    json!({"$ref": "#/$defs/a0", "$defs": definitions})
}

#[test]
fn references_within_each_other_are_bounded() {
    let nested = || {
        expect![
            "its references follow upon each other at every level: a value of 127 levels would take more than 2000 calls within \
             each other; shorten the chain of references"
        ]
    };
    refused(chain(200, json!({"items": {"$ref": "#"}})), nested());
    refused(chain(16, json!({"items": {"$ref": "#"}})), nested());
    refused(chain(300, json!(true)), expect!["more than 256 of its references follow upon each other; shorten the chain"]);
    let value = Payload::parse("[".repeat(127) + &"]".repeat(127)).unwrap();
    let mut nested = json!(true);
    for _ in 0..120 {
        nested = json!({ "items": nested });
    }
    let deep = move || {
        Schema::compile(&nested).unwrap().check(&value.value()).unwrap();
        Schema::compile(&chain(12, json!({"items": {"$ref": "#"}}))).unwrap().check(&value.value())
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(deep).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(()));
}

#[test]
fn references_that_cannot_be_counted_are_refused() {
    let multiply =
        || expect!["its references multiply: checking one value could take more than 50000 steps; refer to each definition once"];
    let text = doubling(30, |schema| schema).to_string();
    refused(serde_json::from_str(&text.replace("#/$defs", "#/%24defs")).unwrap(), multiply());
    // A map of schemas, one of which is named like a keyword.
    refused(doubling(30, |schema| json!({"dependentSchemas": {"not": {}, "x": schema}})), multiply());
    for reference in
        ["https://example.com/schema.json", "file:///etc/passwd", "a", "", "#b", "#/title", "#/const", "#/$defs/x%2Fy"]
    {
        let schema = json!({"title": "a", "const": {"$anchor": "b"}, "$defs": {"a": {"$ref": reference}, "x": {"y": true}}});
        let error = format!("the schema at `/$defs/a`: no schema of this text is at `{reference}`; refer with `#/$defs/NAME`");
        assert_eq!(Schema::compile(&schema).unwrap_err(), error);
    }
    for (reference, anchor) in
        [("#b", "$anchor"), ("#b", "$dynamicAnchor"), ("#/$defs/b", "$comment"), ("#/%24defs/%62", "title")]
    {
        let schema = json!({"items": {"$ref": reference}, "$defs": {"b": {anchor: "b", "type": "string"}}});
        let schema = Schema::compile(&schema).unwrap();
        assert_eq!((schema.check(&json!(["a"])).is_ok(), schema.check(&json!([1])).is_ok()), (true, false));
    }
}

#[test]
fn what_other_drafts_mean_is_refused() {
    let draft = "https://json-schema.org/draft/2020-12/schema";
    let within = |keyword: &str, value: Value| json!({"items": {keyword: value}});
    refused(within("$id", json!("a")), expect!["the schema at `/items`: `$id` stands at the root only; leave it out"]);
    refused(within("$schema", json!(draft)), expect!["the schema at `/items`: `$schema` stands at the root only; leave it out"]);
    refused(
        json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
        expect![[
            r"the schema: only draft 2020-12 is known; set `$schema` to `https://json-schema.org/draft/2020-12/schema` or leave it out"
        ]],
    );
    refused(
        within("$recursiveRef", json!("#")),
        expect!["the schema at `/items`: `$recursiveRef` is of another draft; use `$dynamicRef`"],
    );
    refused(
        within("dependencies", json!({"x": ["y"]})),
        expect!["the schema at `/items`: `dependencies` is of another draft; use `dependentSchemas` or `dependentRequired`"],
    );
    refused(
        within("additionalItems", json!(false)),
        expect!["the schema at `/items`: `additionalItems` is of another draft; use `prefixItems` and `items`"],
    );
    refused(
        within("items", json!([true])),
        expect!["the schema at `/items/items`: a list of schemas is of another draft; use `prefixItems`"],
    );
    assert!(Schema::compile(&json!({"$schema": draft, "$id": draft, "type": "string"})).unwrap().check(&json!(1)).is_err());
    // Data, not schemas.
    let data = json!({"const": {"$ref": "nowhere", "$id": 1}, "examples": [{"dependencies": {}}], "x-mine": {"$ref": "#/x"}});
    assert!(Schema::compile(&data).is_ok());
}

#[test]
fn counting_is_bounded_too() {
    let references = |count: usize, to: &str| (0..count).map(|_| json!({"$ref": to})).collect::<Vec<_>>();
    let mut properties: serde_json::Map<String, Value> =
        (0..1200).map(|n| (format!("p{n}"), json!({"$ref": "#/$defs/big"}))).collect();
    properties.insert("self".into(), json!({"$ref": "#"}));
    let middle = json!({"allOf": references(2, "#end")});
    let definitions = json!({"big": {"allOf": references(150, "#/$defs/mid")}, "mid": middle, "leaf": {"$anchor": "end"}});
    refused(
        json!({"properties": properties, "$defs": definitions}),
        expect!["its references make more than 200000 links; use fewer"],
    );
    let wide: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("w{n}"), json!({}))).collect();
    let schema = json!({
        "properties": (0..1000).map(|n| (format!("p{n}"), json!({"$ref": "#/$defs/wide"}))).collect::<serde_json::Map<_, _>>(),
        "$defs": {"wide": {"properties": wide}}
    });
    refused(schema, expect!["its references make more than 200000 links; use fewer"]);
}

#[test]
fn what_is_not_evaluated_is_looked_at_again() {
    // Each level asks all that lie within it once more; each reference is compiled for each way to it.
    let mut schema = json!({"properties": {"x": true}});
    for _ in 0..20 {
        schema = json!({"allOf": [schema], "unevaluatedProperties": false});
    }
    refused(
        schema,
        expect!["its references multiply: checking one value could take more than 50000 steps; refer to each definition once"],
    );
    let closed = json!({"$ref": "#/$defs/a", "unevaluatedProperties": false, "$defs": {"a": {"properties": {"x": true}}}});
    let closed = Schema::compile(&closed).unwrap();
    assert_eq!((closed.check(&json!({"x": 1})).is_ok(), closed.check(&json!({"y": 1})).is_ok()), (true, false));
}

#[test]
fn costly_checks_are_refused_before_they_begin() {
    let too_much = |schema: Value, value: Value, expected: Expect| {
        expected.assert_eq(&Schema::compile(&schema).unwrap().check(&value).unwrap_err());
    };
    let values: Vec<Value> = (0..2_500).map(|n| json!({"const": 10_000 + n})).collect();
    let any_of = json!({"items": {"anyOf": values}});
    too_much(
        any_of.clone(),
        json!(vec![12_499; 1_000]),
        expect![
            "the payload has 1001 values and the schema takes up to 22508 steps for each: more than 20000000; send less at once or use a simpler schema"
        ],
    );
    assert_eq!(Schema::compile(&any_of).unwrap().check(&json!(vec![12_499; 800])), Ok(()));
    too_much(
        any_of,
        json!(vec![1; 800]),
        expect![
            "the value fits none of the schema's alternatives or breaks another of its rules; send less at once to learn the place"
        ],
    );
    too_much(
        json!({"allOf": vec![json!({"minLength": 1}); 100]}),
        json!("x".repeat(1_000_000)),
        expect![
            "the payload has 1000000 bytes of text and the schema reads each up to 100 times: more than 20000000; send less at once or use a simpler schema"
        ],
    );
    let lists = vec![json!([]); 10_000];
    too_much(
        json!({"uniqueItems": true}),
        json!(lists),
        expect![
            "the payload has lists whose items take 100000000 steps to compare and the schema compares them up to 1 times: more than 20000000; send less at once or use a simpler schema"
        ],
    );
    let numbers: Vec<u32> = (0..100_000).collect();
    assert_eq!(Schema::compile(&json!({"uniqueItems": true})).unwrap().check(&json!(numbers)), Ok(()));
    let alternatives: Vec<String> = (0..2_000).map(|n| format!("a{n}")).collect();
    let pattern = format!("^({})$", alternatives.join("|"));
    too_much(
        json!({"items": {"pattern": pattern}}),
        json!(vec!["b"; 20_000]),
        expect![
            "the payload has 20001 values and the schema takes up to 2015 steps for each: more than 20000000; send less at once or use a simpler schema"
        ],
    );
    too_much(
        json!({"items": {"multipleOf": 0.1}}),
        json!(vec![1e308; 20_000]),
        expect![
            "the payload has 20001 values and the schema takes up to 1008 steps for each: more than 20000000; send less at once or use a simpler schema"
        ],
    );
    // Two hundred steps a value, a hundred thousand values.
    let schema = json!({"items": {"allOf": vec![json!({"type": "integer"}); 23]}});
    assert_eq!(Schema::compile(&schema).unwrap().check(&json!(vec![1; 100_000])), Ok(()));
}

#[test]
fn costly_patterns_are_refused_or_harmless() {
    let costly = |pattern: &str| {
        format!(
            "the pattern `{pattern}` is no regular expression, looks around or back, or takes more than 1048576 bytes; use a simpler \
             one, with smaller numbers of repetitions"
        )
    };
    for pattern in ["((a{1000}){1000}){1000}", "(?<=a)b\\1", "(a|b)*a(a|b){20}c", "c(a|b){20}a(a|b)*$", "("] {
        assert_eq!(Schema::compile(&json!({ "pattern": pattern })).unwrap_err(), costly(pattern));
    }
    // Catastrophic for a backtracking engine, linear here.
    let schema = Schema::compile(&json!({"pattern": "^(a+)+$"})).unwrap();
    assert!(schema.check(&json!("a".repeat(100_000) + "b")).is_err());
    for pattern in ["^[a-z0-9-]{1,63}$", "^[^@ ]+@[^@ ]+$", "^\\p{L}+$", "^#[0-9a-fA-F]{6}$", "^\\d{4}-\\d{2}-\\d{2}T"] {
        assert!(Schema::compile(&json!({ "pattern": pattern })).is_ok(), "{pattern}");
    }
}

#[test]
fn the_patterns_of_a_schema_are_bounded_in_sum() {
    let patterns = |count: usize, pattern: &str| json!({"patternProperties": (0..count).map(|n| (format!("{pattern}{n}"), json!(true))).collect::<serde_json::Map<_, _>>()});
    refused(patterns(65, "^a"), expect!["the schema has 65 different patterns; the limit is 64"]);
    refused(patterns(60, "^\\p{L}{2}"), expect!["the schema's patterns take more than 2097152 bytes; use fewer or simpler ones"]);
    assert!(Schema::compile(&patterns(64, "^[a-z]{1,20}-")).is_ok());
}

#[test]
fn ordinary_schemas_work_and_name_the_place() {
    let tree = json!({
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {
            "type": "object",
            "properties": {"left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}, "n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": false
        }}
    });
    let schema = Schema::compile(&tree).unwrap();
    assert_eq!(schema.check(&json!({"n": 1, "left": {"n": 2}})), Ok(()));
    let error = schema.check(&json!({"n": 1, "left": {"n": "two"}})).unwrap_err();
    assert_eq!(error, "at `/left/n`: the value is not of type \"integer\"");
    // Recursion in several ways, of which a value takes one.
    let any = json!({"anyOf": [
        {"type": "array", "prefixItems": [{"$ref": "#"}], "items": {"$ref": "#"}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}},
        {"type": "integer"}
    ]});
    let any = Schema::compile(&any);
    assert!(any.is_ok(), "{any:?}");
    assert!(Schema::compile(&json!({"type": 5})).is_err());
    assert!(Schema::compile(&json!(true)).is_ok());
}

#[test]
fn listed_values_are_found() {
    #[expect(clippy::needless_pass_by_value, reason = "a table of literals")]
    fn check(schema: &Value, path: &[&str], expected: Option<Value>) {
        let path: Vec<String> = path.iter().map(|&name| name.to_owned()).collect();
        let schema = Schema::compile(schema).unwrap();
        let found = schema.values_at(&path).map(|values| values.into_iter().cloned().collect());
        assert_eq!(found, expected, "{}", schema.text());
    }
    let tagged = |kind: &str| json!({"type": "object", "properties": {"kind": {"const": kind}}});
    check(&tagged("a"), &["kind"], Some(json!(["a"])));
    check(&tagged("a"), &["other"], None);
    check(&tagged("a"), &[], None);
    check(&json!({"oneOf": [tagged("a"), tagged("b"), tagged("a")]}), &["kind"], Some(json!(["a", "b"])));
    check(&json!({"anyOf": [tagged("a"), {"type": "object"}]}), &["kind"], None);
    check(&json!({"allOf": [{"type": "object"}, tagged("a")]}), &["kind"], Some(json!(["a"])));
    let optional = json!({"$defs": {"k": {"enum": ["x", 2]}}, "properties": {"a": {"properties": {"b": {
        "anyOf": [{"$ref": "#/$defs/k"}, {"type": "null"}]
    }}}}});
    check(&optional, &["a", "b"], Some(json!(["x", 2])));
    check(&json!({"properties": {"a": {"type": "string"}}}), &["a"], None);
}
