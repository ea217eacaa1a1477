//! Hostile payloads for a plugin that passes them on: what goes in comes out byte for byte, or is refused.

use floe_flow::{End, Payload, Submission};
use serde_json::json;

use crate::support::{Setup, Stage, soon};

pub(crate) const GUEST: &str = floe_tests::ECHO;

fn echo(setup: &mut Setup) {
    setup.guest = (GUEST, "echo");
}

async fn passed_on(stage: &Stage, text: &str) {
    let mut submission = Submission::new("echo-trace", "tenant", Payload::parse(text).unwrap());
    submission.topic = Some("attack".into());
    let handle = soon(stage.flow.submit(submission)).await.unwrap();
    let (outputs, terminal) = soon(handle.finish()).await;
    assert_eq!(terminal.end, End::Completed, "{terminal:?}");
    assert!(outputs.len() == 1 && outputs[0].text() == text, "{} bytes", text.len());
}

#[tokio::test]
async fn no_byte_is_changed() {
    let stage = Stage::new("echo", echo).await;
    for text in [
        r#"{ "z": 1.000, "a": [ ], "z": 2 }"#,
        "123456789012345678901234567890.10",
        r#""\u0000\u001b[31m\ud83d\ude00""#,
        "\"\u{202e}\u{feff}\u{7f}\"",
        r#"{"__proto__":{},"":""}"#,
    ] {
        passed_on(&stage, text).await;
    }
    passed_on(&stage, &("[".repeat(127) + &"]".repeat(127))).await;
    passed_on(&stage, &format!("[{}0]", "0,".repeat(100_000))).await;
    passed_on(&stage, &format!("\"{}\"", "\u{10ffff}".repeat(100_000))).await;
}

#[tokio::test]
async fn a_payload_that_does_not_fit_the_guest_is_its_limit_reached() {
    let stage = Stage::new("echo", echo).await;
    let ended = stage.attack(json!("x".repeat(7 << 20))).await;
    let error = ended.terminal.error.as_ref().unwrap();
    assert_eq!(error.code, "exhausted");
    let used = error.detail.as_ref().unwrap()["used"].as_u64().unwrap();
    assert!(used > 8 << 20);
    let raise = "raise it with `plugins.echo.limits.memory`";
    ended.failed("exhausted", &format!("limit `memory` reached: used {used} of {}; {raise}", 8 << 20));
}
