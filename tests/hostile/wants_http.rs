//! A plugin that imports HTTP is refused unless that is granted, and told which lines would grant it.

use std::collections::BTreeSet;

use floe_sandbox::{Error, Grants};

use crate::support::{limits, load, sandbox, soon};

pub(crate) const GUEST: &str = floe_tests::WANTS_HTTP;

#[tokio::test]
async fn the_refusal_shows_the_lines_that_would_grant_it() {
    let error = load(&sandbox(1, 1), (GUEST, "fetcher"), &limits()).await.unwrap_err();
    assert!(matches!(error.reason(), Error::NotGranted { .. }), "{error:?}");
    let message = error.to_string();
    let lines = "the lines that would grant it:\n  plugins:\n    fetcher:\n      grants:\n        http: [";
    assert!(message.starts_with("plugin `fetcher`: it imports `wasi:http/types@0.2."), "{message}");
    assert!(message.contains("is not granted") && message.contains(lines), "{message}");
}

#[tokio::test]
async fn a_grant_for_something_else_does_not_help() {
    let others: BTreeSet<String> = ["https", "state", "sockets", "wasi:http", "*", ""].map(str::to_owned).into();
    let bytes = floe_tests::bytes(GUEST);
    let error = soon(sandbox(1, 1).load("fetcher", &bytes, &Grants { unserved: others, ..Grants::default() }, &limits()))
        .await
        .unwrap_err();
    assert!(matches!(error.reason(), Error::NotGranted { .. }), "{error:?}");
}

#[tokio::test]
async fn a_grant_is_not_enough_for_what_the_host_does_not_have() {
    let bytes = floe_tests::bytes(GUEST);
    let granted = Grants { unserved: ["http".to_owned()].into(), ..Grants::default() };
    let error = soon(sandbox(1, 1).load("fetcher", &bytes, &granted, &limits())).await.unwrap_err();
    assert!(matches!(error.reason(), Error::NotAvailable { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.ends_with("which is granted but not available in this host yet"), "{message}");
}
