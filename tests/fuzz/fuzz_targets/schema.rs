//! A schema and, after the first line, a value: refused, or checked within its limits and with the same answer each time.

#![no_main]

use floe_flow::{Payload, Schema};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (schema, value) = text.split_once('\n').unwrap_or((text, "null"));
    let (Ok(schema), Ok(value)) = (Payload::parse(schema), Payload::parse(value)) else { return };
    match Schema::compile(&schema.value()) {
        Ok(compiled) => {
            assert_eq!(compiled.text(), &*schema.value());
            assert_eq!(compiled.check(&value.value()), compiled.check(&value.value()));
        }
        Err(error) => assert!(!error.is_empty() && error.len() < 4096, "{error}"),
    }
});
