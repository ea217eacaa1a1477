//! Schemas are a stranger's text.

use expect_test::{Expect, expect};
use floe_flow::Schema;
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

#[test]
fn costly_patterns_are_refused_or_harmless() {
    refused(
        json!({"pattern": "((a{1000}){1000}){1000}"}),
        expect![[r#"not a usable JSON Schema: "((a{1000}){1000}){1000}" is not a "regex""#]],
    );
    refused(json!({"pattern": "(?<=a)b\\1"}), expect![[r#"not a usable JSON Schema: "(?<=a)b\\1" is not a "regex""#]]);
    // Catastrophic for a backtracking engine, linear here.
    let schema = Schema::compile(&json!({"pattern": "^(a+)+$"})).unwrap();
    assert!(schema.check(&json!("a".repeat(100_000) + "b")).is_err());
}

#[test]
fn other_documents_are_not_fetched() {
    let error = Schema::compile(&json!({"$ref": "https://example.com/schema.json"})).unwrap_err();
    assert!(error.starts_with("not a usable JSON Schema"), "{error}");
    let error = Schema::compile(&json!({"$ref": "file:///etc/passwd"})).unwrap_err();
    assert!(error.starts_with("not a usable JSON Schema"), "{error}");
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
    assert!(Schema::compile(&json!({"type": 5})).is_err());
    assert!(Schema::compile(&json!(true)).is_ok());
}
