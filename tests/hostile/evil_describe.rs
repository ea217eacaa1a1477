//! A plugin that never ends describing itself is not loaded, and keeps nobody from loading another.

use std::time::Duration;

use floe_sandbox::{Error, Limits};

use crate::support::{limits, load, sandbox};

pub(crate) const GUEST: &str = floe_tests::EVIL_DESCRIBE;

async fn refused(limits: &Limits) -> String {
    // Room for one: an instance left behind would be in the way of the next.
    let sandbox = sandbox(1, 1);
    let mut messages = Vec::new();
    for _ in 0..2 {
        let error = load(&sandbox, (GUEST, "talker"), limits).await.unwrap_err();
        assert!(matches!(error.reason(), Error::Describe(_)), "{error:?}");
        messages.push(error.to_string());
        load(&sandbox, (floe_tests::ECHO, "echo"), limits).await.unwrap();
    }
    assert_eq!(messages[0], messages[1]);
    messages.remove(0)
}

#[tokio::test]
async fn describing_is_bounded_by_fuel() {
    assert_eq!(
        refused(&Limits { fuel: 5_000_000, ..limits() }).await,
        "plugin `talker`: it cannot describe itself: limit `fuel` reached: used 5000000 of 5000000; \
         raise it with `plugins.talker.limits.fuel`"
    );
}

#[tokio::test]
async fn describing_is_bounded_by_time() {
    assert_eq!(
        refused(&Limits { fuel: u64::MAX, wall: Duration::from_millis(100), ..limits() }).await,
        "plugin `talker`: it cannot describe itself: limit `wall` reached: used 100 of 100; \
         raise it with `plugins.talker.limits.wall`"
    );
}

#[tokio::test]
async fn whoever_gives_up_loading_leaves_nothing_behind() {
    let sandbox = sandbox(1, 1);
    let endless = Limits { fuel: u64::MAX, wall: Duration::from_secs(3600), ..limits() };
    // Compiled before, so that what is given up is the describing.
    load(&sandbox, (GUEST, "talker"), &Limits { fuel: 5_000_000, ..limits() }).await.unwrap_err();
    for _ in 0..3 {
        let loading = load(&sandbox, (GUEST, "talker"), &endless);
        tokio::time::timeout(Duration::from_millis(100), loading).await.unwrap_err();
    }
    load(&sandbox, (floe_tests::ECHO, "echo"), &limits()).await.unwrap();
}
