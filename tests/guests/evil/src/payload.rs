//! Attacks with what a call returns.

use floe_guest::{Failure, Json, Outcome, Output};

use crate::node;

node!(Garbage, "garbage", "Returns a payload that is not JSON.", |_, _| {
    Ok(Json::from_text("{ this: is not JSON \u{0} \u{1b}[31m").into())
});

node!(
    Instruction,
    "instruction",
    "Returns JSON with a key that a parser may take for an instruction, as the payload says.",
    |payload, _| {
        let key = "\\u0024serde_json::private::RawValue";
        let inner = payload.parse::<String>()?;
        Ok(Json::from_text(format!("{{\"a\":[{{\"{key}\":{inner}}}]}}")).into())
    }
);

node!(TargetTwice, "target-twice", "Sends one message to the same successor twice.", |payload, _| {
    Ok(Output::new(payload).to("sink").to("sink").into())
});

node!(GarbageMeta, "garbage-meta", "Returns metadata that is not JSON, under an odd key.", |payload, _| {
    let mut output = Output::new(payload);
    output.meta.push(("\u{1b}[31m\n".to_owned(), "not JSON".to_owned()));
    Ok(output.into())
});

node!(InvalidText, "invalid-text", "Returns a string that is not UTF-8: the host's lifting of it must fail.", |_, _| {
    #[expect(unsafe_code, reason = "only unsafe code can make such a string")]
    // SAFETY: broken on purpose; nothing but the binding touches the text, and that only moves its bytes.
    let text = unsafe { String::from_utf8_unchecked(vec![b'"', 0xff, 0xfe, b'"']) };
    Ok(Json::from_text(text).into())
});

node!(Huge, "huge", "Returns a string of the bytes that the payload says, or 64 MiB.", |payload, _| {
    let bytes = payload.parse::<usize>().unwrap_or(64 << 20);
    // Copied in bulk, so that the fuel lasts until the payload is there.
    let mut text = vec![b'x'; bytes + 2];
    text[0] = b'"';
    text[bytes + 1] = b'"';
    Ok(Json::from_text(String::from_utf8(text).map_err(Failure::internal)?).into())
});

node!(Deep, "deep", "Returns as many nested arrays as the payload says, or 100 000: recursive parsers.", |payload, _| {
    let levels = payload.parse::<usize>().unwrap_or(100_000);
    Ok(Json::from_text("[".repeat(levels) + &"]".repeat(levels)).into())
});

node!(Many, "many", "Returns as many messages as the payload says, or a million.", |payload, _| {
    let messages = payload.parse::<usize>().unwrap_or(1_000_000);
    Ok(Outcome::Outputs((0..messages).map(|_| Output::new(Json::from_text("0"))).collect()))
});
