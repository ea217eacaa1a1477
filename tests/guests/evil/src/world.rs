//! Looks for a way out, and for anything that differs between two runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floe_guest::{Json, budget, emit};
use serde_json::json;

use crate::node;

node!(Stdout, "stdout", "Prints a mebibyte with terminal control sequences to both streams.", |payload, _| {
    let line = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[31mred\r";
    for _ in 0..(1 << 20) / line.len() {
        #[expect(clippy::print_stdout, reason = "printing is the attack")]
        {
            println!("{line}");
        }
        #[expect(clippy::print_stderr, reason = "printing is the attack")]
        {
            eprintln!("{line}");
        }
    }
    Ok(payload.into())
});

node!(Exit, "exit", "Ends the process, with success.", |_, _| std::process::exit(0));

node!(Env, "env", "Returns what it can see of the machine: variables, arguments, folders, files, time.", |_, _| {
    let listing = std::fs::read_dir("/").or_else(|_| std::fs::read_dir(".")).map(Iterator::count);
    let seen = json!({
        "variables": std::env::vars().collect::<Vec<_>>(),
        "arguments": std::env::args().collect::<Vec<_>>(),
        "listing": listing.map_err(|error| error.to_string()),
        "read": std::fs::read("/etc/passwd").map(|bytes| bytes.len()).map_err(|error| error.to_string()),
        "write": std::fs::write("evil.txt", "x").map_err(|error| error.to_string()),
        "unix_ms": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
    });
    Ok(Json::new(&seen)?.into())
});

node!(Told, "told", "Returns what the host tells it about the message and the budget.", |payload, ctx| {
    let told = json!({
        "trace": ctx.trace,
        "id": ctx.id,
        "parent": ctx.parent,
        "source": ctx.source,
        "attempt": ctx.attempt,
        "turn": ctx.turn,
        "deadline_ms": ctx.deadline.map(|left| left.as_millis() as u64),
        "tenant": ctx.tenant,
        "user": ctx.user,
        "session": ctx.session,
        "topic": ctx.topic,
        "priority": ctx.priority,
        "meta": ctx.meta,
        "payload": payload.as_str(),
        "remaining": budget::remaining(),
        "cancelled": budget::cancelled(),
    });
    Ok(Json::new(&told)?.into())
});

node!(HashOrder, "hash-order", "Returns the order of a hash map's keys: equal in two runs only if the seed is.", |_, _| {
    let map: HashMap<u32, ()> = (0..16).map(|key| (key, ())).collect();
    Ok(Json::new(&map.into_keys().collect::<Vec<_>>())?.into())
});

node!(StateKept, "state-kept", "Returns how often this instance was called: above 1 only where it is reused.", |_, _| {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    Ok(Json::new(&(CALLS.fetch_add(1, Ordering::Relaxed) + 1))?.into())
});

node!(
    Unpredictable,
    "unpredictable",
    "Asks for whatever may differ between two runs, for the time as often as the payload says.",
    |payload, _| {
        #[expect(clippy::disallowed_types, reason = "a guest has no other clock")]
        let began = std::time::Instant::now();
        #[expect(clippy::disallowed_methods, reason = "waiting differs too")]
        std::thread::sleep(Duration::from_millis(1));
        let times: Vec<u64> = (0..payload.parse::<u64>()?).map(|_| began.elapsed().as_nanos() as u64).collect();
        emit::progress("status", times.len())?;
        let chunks = [emit::chunk("a piece")?, emit::Stream::named("side").done()?];
        let seen = json!({
            "unix_us": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64),
            "longest_ns": times.iter().max(),
            "remaining": budget::remaining(),
            "cancelled": budget::cancelled(),
            "chunks": chunks,
            "order": HashMap::from([(1, ()), (2, ()), (3, ()), (4, ())]).into_keys().collect::<Vec<u32>>(),
        });
        // So that the fuel differs too, if a time does.
        for turn in 0..times.iter().sum::<u64>() % 1000 {
            std::hint::black_box(turn);
        }
        emit::message(chunks)?;
        Ok(Json::new(&seen)?.into())
    }
);
