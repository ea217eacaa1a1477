//! A text is a payload exactly if it is JSON, and stays as it was written.

#![no_main]

use floe_flow::Payload;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    match (Payload::parse(text), serde_json::from_str::<Value>(text)) {
        (Ok(payload), Ok(value)) => {
            assert_eq!(payload.text(), text.trim_matches([' ', '\t', '\n', '\r']));
            assert_eq!(*payload.value(), value);
        }
        (Ok(_), Err(error)) => panic!("taken, though it is no JSON: {error}"),
        // The two reasons to refuse JSON: a key with a meaning to parsers, and what would take too much memory.
        (Err(error), Ok(_)) => {
            let error = error.to_string();
            assert!(error.contains("may not begin with") || error.contains("it would take more than"), "{error}");
        }
        (Err(_), Err(_)) => {}
    }
});
