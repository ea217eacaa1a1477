//! Schemas that break whoever compiles them or checks payloads by them: each is refused with a reason, or harmless.

use floe_flow::{Config, End, Flow, Graph, Kind, NodeSpec, Payload, Schema, Submission};
use floe_sandbox::{Error, Limits, Sandbox};
use serde_json::json;

use crate::support::{limits, load, policy, sandbox, soon};

pub(crate) const GUEST: &str = floe_tests::EVIL_SCHEMA;

/// What becomes of a schema, in order: the sandbox refuses the plugin, the flow refuses the schema, or it is taken.
enum Fate {
    Plugin(&'static str),
    Schema(&'static str),
    Harmless,
}

const SCHEMAS: [(&str, Fate); 10] = [
    ("not-json", Fate::Plugin("is not valid JSON: key must be a string at line 1 column 3")),
    ("not-a-schema", Fate::Schema("not a usable JSON Schema: ")),
    ("regex", Fate::Harmless),
    ("regex-size", Fate::Schema("the pattern `((a{1,1000}){1,1000}){1,1000}` is no regular expression")),
    ("references", Fate::Schema("its references multiply: ")),
    ("self-reference", Fate::Schema("its references multiply: ")),
    ("remote", Fate::Schema("the schema: no schema of this text is at `http://")),
    ("file", Fate::Schema("the schema: no schema of this text is at `file:///")),
    ("deep", Fate::Plugin("has 80004 bytes, more than 65536")),
    ("huge", Fate::Plugin("has 131085 bytes, more than 65536")),
];

/// The guest describes the one node whose number is how many calls to the host it has left.
async fn describe(sandbox: &Sandbox, number: usize) -> Result<NodeSpec, Error> {
    let limits = Limits { host_calls: number as u64 + 1, ..limits() };
    let mut plugin = load(sandbox, (GUEST, "schemas"), &limits).await?;
    assert_eq!(plugin.nodes.len(), 1);
    Ok(plugin.nodes.remove(0))
}

#[tokio::test]
async fn one_bad_schema_is_enough_to_refuse_a_plugin() {
    let error = load(&sandbox(1, 1), (GUEST, "schemas"), &limits()).await.unwrap_err();
    assert!(error.to_string().contains("the input schema of node `not-json` is not valid JSON"), "{error}");
}

#[tokio::test]
async fn each_schema_is_refused_or_harmless() {
    let sandbox = sandbox(1, 1);
    for (number, (name, fate)) in SCHEMAS.iter().enumerate() {
        match (describe(&sandbox, number).await, fate) {
            (Err(error), Fate::Plugin(reason)) => {
                assert!(matches!(error.reason(), Error::Description(_)), "{error:?}");
                let start = "plugin `schemas`: its description breaks the contract: the input schema of node";
                assert_eq!(error.to_string(), format!("{start} `{name}` {reason}"));
            }
            (Ok(spec), Fate::Schema(reason)) => {
                assert_eq!(spec.name, *name);
                let why = Schema::compile(spec.input.as_ref().unwrap()).unwrap_err();
                assert!(why.starts_with(reason), "{name}: {why}");
                assert!(why.len() < 2000, "{name}: {} bytes", why.len());
            }
            (Ok(spec), Fate::Harmless) => {
                assert_eq!(spec.name, *name);
                Schema::compile(spec.input.as_ref().unwrap()).unwrap();
            }
            (Ok(_), Fate::Plugin(_)) => panic!("{name}: it was loaded"),
            (Err(error), Fate::Schema(_) | Fate::Harmless) => panic!("{name}: {error}"),
        }
    }
}

/// Two million steps would not do for a backtracking matcher; here the text is read once.
#[tokio::test]
async fn a_pattern_takes_time_as_the_text_is_long() {
    let sandbox = sandbox(1, 1);
    let limits = Limits { host_calls: 3, ..limits() };
    let plugin = load(&sandbox, (GUEST, "schemas"), &limits).await.unwrap();
    let schema = Schema::compile(plugin.nodes[0].input.as_ref().unwrap()).unwrap();
    let invoke = plugin.node("regex", &json!({}).into(), 1).unwrap();
    let mut graph = Graph::builder("schema");
    graph.node("regex", Kind::Run { invoke, input: Some(schema), output: None, repeatable: true }, policy());
    let config = Config { compute: sandbox.handle().clone(), ..Config::on_current_runtime() };
    let flow = Flow::start(graph.build().unwrap(), config);
    for (text, end) in [("a".repeat(100_000), End::Failed), ("a".repeat(1000) + ".Za", End::Completed)] {
        let submission = Submission::new("trace", "tenant", Payload::from(json!(text)));
        let (_, terminal) = soon(soon(flow.submit(submission)).await.unwrap().finish()).await;
        assert_eq!(terminal.end, end, "{terminal:?}");
    }
}
