//! The contract is frozen: its text never changes, and a component that was built for it runs on every later host.

use std::fmt::Write;
use std::path::Path;

use expect_test::expect;
use floe_flow::SideEffect;
use floe_sandbox::Grants;
use sha2::{Digest, Sha256};

use crate::support::{Caller, call, limits, sandbox};

/// Built once from `tests/guests/contract`, never again.
pub(crate) const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/plugin-0.1.0.wasm");

#[test]
fn a_frozen_contract_does_not_change() {
    let digest = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
        Sha256::digest(std::fs::read(path).unwrap()).iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    };
    // Whatever is missing goes into the next version, in a file beside this one.
    expect!["4ba65523b3cf07af37addea9d39100f1eebc644768e083547ea86b0161f6d34a"].assert_eq(&digest("wit/plugin/plugin.wit"));
    expect!["6dd2bd72173e7806c9ac958ce10376dd80b85ab1b81f321239a004b91a129bf2"]
        .assert_eq(&digest("tests/golden/plugin-0.1.0.wasm"));
}

#[tokio::test]
async fn a_component_of_this_contract_runs_on_every_host() {
    let sandbox = sandbox(4);
    let bytes = std::fs::read(GOLDEN).unwrap();
    let plugin = sandbox.load("golden", &bytes, &Grants::default(), &limits()).await.unwrap();

    let [echo, everything] = &plugin.nodes[..] else { panic!("{:?}", plugin.nodes) };
    assert_eq!((echo.name.as_str(), echo.side_effect, echo.idempotent), ("echo", SideEffect::Pure, false));
    assert_eq!((everything.name.as_str(), everything.side_effect, everything.idempotent), ("everything", SideEffect::Read, true));
    assert_eq!(everything.input.as_ref().unwrap()["type"], "string");
    assert_eq!(everything.hints.as_ref().unwrap()["cost"], "low");
    assert_eq!((&plugin.tools[0].name[..], &plugin.tools[0].scopes[..]), ("shout", &["noise".to_owned()][..]));

    assert_eq!(call(&sandbox, &plugin, "echo", r#"{"z":1.0}"#).await.result.unwrap(), [r#"{"z":1.0}"#]);
    for (end, result) in [
        ("outputs", Ok(r#""outputs""#)),
        ("again", Ok(r#"again "again""#)),
        ("final", Ok(r#"final "final""#)),
        ("fail", Err("conflict: as the payload says")),
    ] {
        let did = call(&sandbox, &plugin, "everything", &format!("{end:?}")).await;
        assert_eq!(did.result.as_deref().map(|outputs| outputs[0].as_str()).map_err(String::as_str), result);
        // What a failure emitted is dropped by whoever asked for it, not here.
        assert_eq!(did.emitted, ["{}"]);
        // Each of the six functions once, and a second chunk.
        assert_eq!(did.receipt.host_calls, 7, "{end}");
    }
    let did = Caller::tool(&plugin, "shout").call(&sandbox, r#"{"a":"b"}"#).await.unwrap();
    assert_eq!(did.result.unwrap(), [r#""{\"A\":\"B\"}""#]);
}
