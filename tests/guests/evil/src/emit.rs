//! Attacks with what a call sends before it returns.

use floe_guest::{Failure, Json, emit, field, log};
use serde_json::json;

use crate::node;
use crate::outcome::name;

/// Enough for any limit to be met; a host without one gets `null` for the kind of failure.
const FLOOD: u64 = 10_000_000;

node!(FloodEmit, "flood-emit", "Emits until the host refuses; returns how many went and the failure's kind.", |_, _| {
    flood(emit::message)
});

node!(
    FloodProgress,
    "flood-progress",
    "Shows progress until the host refuses, or as often as the payload says.",
    |payload, _| {
        for number in 0..payload.parse::<u64>().unwrap_or(FLOOD) {
            emit::progress("status", number)?;
        }
        Ok(payload.into())
    }
);

node!(FloodChunk, "flood-chunk", "Streams as many chunks as the payload says; returns the number of the last.", |payload, _| {
    for _ in 0..payload.parse::<u64>()? {
        emit::chunk("0123456789abcdef")?;
    }
    Ok(Json::new(&emit::chunk_done()?)?.into())
});

node!(
    ChunkTo,
    "chunk-to",
    "Streams two pieces to the reader and to `sink`; fails then, if the payload is `null`.",
    |payload, _| {
        let stream = emit::Stream::named("both").to("sink");
        stream.chunk("one")?;
        stream.done()?;
        if payload.as_str() == "null" {
            return Err(Failure::not_found("as it was told"));
        }
        Ok(payload.into())
    }
);

node!(
    FloodLog,
    "flood-log",
    "Logs as many lines of 1 KiB, with control characters, as the payload says, or 100 000.",
    |payload, _| {
        let text = "\u{1b}[31m\rline\n".repeat(100);
        for number in 0..payload.parse::<u64>().unwrap_or(100_000) {
            log::info(&text, [field("number", number)]);
        }
        Ok(payload.into())
    }
);

node!(
    FloodHost,
    "flood-host",
    "Streams a piece, then logs 3 MiB as often as the payload says: little fuel here, much work there.",
    |payload, _| {
        let text = "x".repeat(3 << 20);
        emit::chunk("The text is there.")?;
        for _ in 0..payload.parse::<u64>()? {
            log::info(&text, []);
        }
        Ok(payload.into())
    }
);

node!(EmitThenPanic, "emit-then-panic", "Emits a message and panics: the message must not be sent.", |payload, _| {
    emit::message(payload)?;
    panic!("after a message")
});

node!(Progress, "progress", "Shows two steps and passes the payload on.", |payload, ctx| {
    emit::progress("status", json!({ "step": 1, "attempt": ctx.attempt }))?;
    emit::progress("status", json!({ "step": 2, "attempt": ctx.attempt }))?;
    Ok(payload.into())
});

fn flood(send: impl Fn(u64) -> floe_guest::Result<()>) -> floe_guest::Result<floe_guest::Outcome<Json>> {
    let refusal = (0..FLOOD).find_map(|number| send(number).err().map(|failure| (number, failure)));
    let (sent, kind) = match refusal {
        Some((sent, Failure { kind, .. })) => (sent, Some(name(kind))),
        None => (FLOOD, None),
    };
    Ok(Json::new(&json!({ "sent": sent, "kind": kind }))?.into())
}
