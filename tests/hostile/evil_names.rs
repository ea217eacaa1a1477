//! Names that break listings, paths and terminals: a plugin that has one is not loaded, and the refusal is safe to print.

use floe_sandbox::{Error, Grants, Sandbox};

use crate::support::{limits, load, sandbox, soon};

pub(crate) const GUEST: &str = floe_tests::EVIL_NAMES;

#[tokio::test]
async fn a_plugin_with_bad_names_is_not_loaded() {
    let error = load(&sandbox(1, 1), (GUEST, "names"), &limits()).await.unwrap_err();
    assert!(matches!(error.reason(), Error::Description(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "plugin `names`: its description breaks the contract: `` is no name of a node; a name is [a-z0-9_-]+, at most 64 bytes"
    );
}

/// The plugin `evil` with other bytes, as many, wherever these are: it would work, but for its names.
fn renamed(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = floe_tests::bytes(floe_tests::EVIL);
    let mut found = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "`{from}` is nowhere in the component");
    bytes
}

async fn refused(sandbox: &Sandbox, from: &str, to: &str, reason: &str) {
    let loaded = soon(sandbox.load("names", &renamed(from, to), &Grants::default(), &limits())).await;
    let Err(error) = loaded else { panic!("`{to}` was loaded") };
    assert!(matches!(error.reason(), Error::Description(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.ends_with(reason), "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[tokio::test]
async fn each_bad_name_is_refused() {
    let sandbox = sandbox(1, 1);
    let rule = "is no name of a node; a name is [a-z0-9_-]+, at most 64 bytes";
    for (bad, shown) in [
        ("Recurse Frames", "Recurse Frames"),
        ("../../etc/host", "../../etc/host"),
        ("\u{1b}[2J\u{1b}[31mred--", "red--"),
        ("recurs\r\nframes", "recurs frames"),
        ("recurs\u{202e}memar", "recursmemar"),
        ("recurse\0frames", "recurseframes"),
    ] {
        refused(&sandbox, "recurse-frames", bad, &format!("`{shown}` {rule}")).await;
    }
    refused(&sandbox, "hash-order", "state-kept", "there are two nodes of the name `state-kept`").await;
}
