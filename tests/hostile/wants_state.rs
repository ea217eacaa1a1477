//! Values that outlive a call: nothing without a grant, and with one no more than it says, of the caller's tenant alone.

use std::sync::Arc;
use std::time::Duration;

use floe_egress::secrets::{Secret, Secrets};
use floe_flow::state::{MAX_STATE_KEY, MAX_STATE_LISTED, MAX_STATE_VALUE};
use floe_sandbox::{Ceiling, Config, Error, Grants, Limits, Sandbox, Space, Tenants};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::asking::VALUE;
use crate::support::{Solo, limits, load, origin, sandbox, soon};

pub(crate) const GUEST: &str = floe_tests::WANTS_STATE;

fn granted(space: &str, bytes: u64) -> Grants {
    Grants { state: Some(Space { name: space.to_owned(), bytes }), ..Grants::default() }
}

/// A flow of the node that does what it is told to.
async fn doer(sandbox: &Sandbox, bytes: u64) -> Solo {
    let limits = Limits { fuel: 2_000_000_000, memory: 32 << 20, state_writes: 10_000, ..limits() };
    Solo::within(sandbox, (GUEST, "doer"), "do", &granted("notes", bytes), &limits).await
}

#[tokio::test]
async fn the_refusal_shows_the_lines_that_would_grant_it() {
    let error = load(&sandbox(1, 1), (GUEST, "visits"), &limits()).await.unwrap_err();
    assert!(matches!(error.reason(), Error::NotGranted { served: true, .. }), "{error:?}");
    let message = error.to_string();
    let lines = "which is not granted; the lines that would grant it:\n  plugins:\n    visits:\n      grants:\n        state: {";
    assert!(message.starts_with("plugin `visits`: it imports `floe:capability/state@0.1.0`"), "{message}");
    assert!(message.contains(lines), "{message}");
}

#[tokio::test]
async fn a_space_has_a_name_and_a_size_that_a_host_can_hold() {
    let sandbox = sandbox(1, 1);
    for (space, bytes, says) in [
        ("", 1, "plugin `x`: `plugins.x.grants.state.space`: a space's name is 1 to 64 of a-z, 0-9, `_` and `-`"),
        ("a b", 1, "plugin `x`: `plugins.x.grants.state.space`: a space's name is 1 to 64 of a-z, 0-9, `_` and `-`"),
        ("a", 1 << 31, "plugin `x`: `plugins.x.grants.state.bytes` is 2147483648, but this host takes at most 1073741824"),
    ] {
        let refused = sandbox.load("x", &floe_tests::bytes(GUEST), &granted(space, bytes), &limits()).await.unwrap_err();
        assert_eq!(refused.to_string(), says);
    }
}

#[tokio::test]
async fn values_outlive_calls_and_are_shared_by_those_who_are_granted_the_space() {
    let sandbox = sandbox(2, 8);
    let visits = |name: &'static str, space: &'static str| {
        let sandbox = &sandbox;
        async move { Solo::new(sandbox, (GUEST, name), "visits", &granted(space, 1000)).await }
    };
    let (one, other, apart) = (visits("one", "shared").await, visits("other", "shared").await, visits("apart", "own").await);
    assert_eq!(one.ask("a", json!(0)).await, json!(1));
    assert_eq!(one.ask("a", json!(0)).await, json!(2));
    assert_eq!(other.ask("a", json!(0)).await, json!(3), "of the same space");
    assert_eq!(apart.ask("a", json!(0)).await, json!(1), "of another");
    assert_eq!(one.ask("b", json!(0)).await, json!(1), "of another tenant");
    // Another sandbox, without a store of its own, knows nothing of it.
    let another = crate::support::sandbox(1, 2);
    let later = Solo::new(&another, (GUEST, "one"), "visits", &granted("shared", 1000)).await;
    assert_eq!(later.ask("a", json!(0)).await, json!(1));
}

#[tokio::test]
async fn who_may_describe_itself_may_not_keep_values() {
    let sandbox = sandbox(1, 1);
    let plugin = sandbox.load("x", &floe_tests::bytes(GUEST), &granted("s", 1000), &limits()).await.unwrap();
    let hints = plugin.nodes[0].hints.clone().unwrap();
    let why = "Denied: a plugin that describes itself has no tenant whose values these could be";
    assert_eq!(hints["described"], json!({ "Err": why.replace("Denied", "FailureKind::Denied") }));
}

#[tokio::test]
async fn values_are_the_tenants_the_users_or_the_sessions() {
    let sandbox = sandbox(1, 4);
    let doer = doer(&sandbox, 1000).await;
    let set = |whose: &str, value: &str| json!({ "set": [whose, "k", value] });
    let all = json!([{ "get": ["tenant", "k"] }, { "get": ["user", "k"] }, { "get": ["session", "k"] }]);
    let who = |tenant, user: Option<&str>, session: Option<&str>| origin(tenant, user, session);
    let sets = json!([set("tenant", "t"), set("user", "u"), set("session", "s")]);
    assert_eq!(doer.ask_as(who("a", Some("ada"), Some("x")), sets).await, json!([1, 2, 3]));
    let seen = |values: Value| values.as_array().unwrap().iter().map(|found| found[0].clone()).collect::<Vec<_>>();
    let ask = async |origin| seen(doer.ask_as(origin, all.clone()).await);
    assert_eq!(ask(who("a", Some("ada"), Some("x"))).await, [json!("\"t\""), json!("\"u\""), json!("\"s\"")]);
    assert_eq!(ask(who("a", Some("ada"), Some("y"))).await, [json!("\"t\""), json!("\"u\""), Value::Null]);
    assert_eq!(ask(who("a", Some("eve"), Some("x"))).await, [json!("\"t\""), Value::Null, Value::Null], "another in it");
    assert_eq!(ask(who("b", Some("ada"), Some("x"))).await, [Value::Null, Value::Null, Value::Null]);

    let ops = json!([set("user", "u"), { "get": ["session", "k"] }, { "delete": ["session", "k"] }, { "keys": ["user", ""] }]);
    let told = doer.ask("a", ops).await;
    let (user, session) = (
        "FailureKind::InvalidInput: the request came without a user",
        "FailureKind::InvalidInput: the request came without a session",
    );
    assert_eq!(told, json!([user, session, session, user]));
}

#[tokio::test]
async fn versions_are_compared_and_keys_are_listed() {
    let sandbox = sandbox(1, 4);
    let doer = doer(&sandbox, 1000).await;
    let ops = json!([
        { "compare_and_set": ["tenant", "k", 0, [1.5]] },
        { "compare_and_set": ["tenant", "k", 0, 2] },
        { "compare_and_set": ["tenant", "k", 1, 2] },
        { "get": ["tenant", "k"] },
        { "set": ["tenant", "k/b", null] },
        { "set": ["tenant", "k/a", {}] },
        { "keys": ["tenant", "k/"] },
        { "keys_after": ["tenant", "", "k/a", 7] },
        { "delete": ["tenant", "k"] },
        { "delete": ["tenant", "k"] },
        { "get": ["tenant", "k"] },
        { "compare_and_set": ["tenant", "k", 2, 3] },
        { "set": ["tenant", "k", 4] },
    ]);
    let told = json!([
        1,
        "FailureKind::Conflict: the value's version is 1",
        2,
        ["2", 2],
        3,
        4,
        ["k/a", "k/b"],
        1,
        true,
        false,
        null,
        "FailureKind::Conflict: the value's version is 0",
        5,
    ]);
    assert_eq!(doer.ask("a", ops).await, told);
}

#[tokio::test]
async fn setting_is_bounded() {
    let sandbox = sandbox(1, 4);
    let within = async |state_writes| {
        let limits = Limits { state_writes, ..limits() };
        Solo::within(&sandbox, (GUEST, "doer"), "do", &granted("s", 1000), &limits).await
    };
    let ops = json!([
        { "set": ["tenant", "k", 1] },
        { "compare_and_set": ["tenant", "k", 7, 2] },
        { "delete": ["tenant", "k"] },
        { "set": ["tenant", "k", 3] },
        { "delete": ["tenant", "k"] },
        { "compare_and_set": ["tenant", "k", 0, 4] },
        { "get": ["tenant", "k"] },
    ]);
    let over =
        "FailureKind::Exhausted: limit `state_writes` reached: used 4 of 3; raise it with `plugins.doer.limits.state_writes`";
    let told = json!([1, "FailureKind::Conflict: the value's version is 1", true, over, over, over, null]);
    assert_eq!(within(3).await.ask("a", ops.clone()).await, told);
    // Each call has as many.
    assert_eq!(within(6).await.ask("b", ops).await[3], json!(2));
}

#[tokio::test]
async fn keys_values_and_spaces_are_bounded() {
    let sandbox = sandbox(1, 4);
    let doer = doer(&sandbox, 600_000).await;
    let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let text = |key: usize, value: &str| json!({ "set_text": ["tenant", key, value] });
    let ops = json!([
        text(MAX_STATE_KEY, "1"),
        text(MAX_STATE_KEY + 1, "1"),
        text(0, "1"),
        text(1, &long(MAX_STATE_VALUE)),
        text(1, &long(MAX_STATE_VALUE + 1)),
        text(2, "{\"a\":"),
        text(2, &long(MAX_STATE_VALUE)),
        text(3, &long(MAX_STATE_VALUE)),
        { "get": ["tenant", "kkk"] },
        { "get": ["tenant", "x".repeat(513)] },
        { "keys_after": ["tenant", "x".repeat(600), null, 1] },
        { "keys_after": ["tenant", "", "x".repeat(700), 1] },
    ]);
    let told = doer.ask("a", ops).await;
    let fixed = |limit: &str, used: usize, max: usize| {
        json!(format!("FailureKind::Exhausted: limit `{limit}` reached: used {used} of {max}; this is fixed"))
    };
    assert_eq!(told[1], fixed("state.key", 513, 512));
    assert_eq!(told[2], json!("FailureKind::InvalidInput: a key has at least one byte"));
    assert_eq!(told[4], fixed("state.value", MAX_STATE_VALUE + 1, MAX_STATE_VALUE));
    assert!(told[5].as_str().is_some_and(|told| told.starts_with("FailureKind::InvalidInput: ")), "{told}");
    let used = (MAX_STATE_KEY + 1) + (1 + MAX_STATE_VALUE) + (2 + MAX_STATE_VALUE) + (3 + MAX_STATE_VALUE);
    let full = format!(
        "FailureKind::Exhausted: limit `state.bytes` reached: used {used} of 600000; raise it with `plugins.doer.grants.state.bytes`"
    );
    assert_eq!(told[7], json!(full));
    assert_eq!((&told[0], &told[3], &told[6], &told[8]), (&json!(1), &json!(2), &json!(3), &Value::Null));
    assert_eq!(told[9], fixed("state.key", 513, 512));
    assert_eq!((&told[10], &told[11]), (&fixed("state.key", 600, 512), &fixed("state.key", 700, 512)));
    // What one tenant has used up is no other's loss.
    assert_eq!(doer.ask("b", json!([text(3, &long(MAX_STATE_VALUE))])).await, json!([1]));
}

#[tokio::test]
async fn no_answer_has_more_keys_than_a_thousand() {
    let sandbox = sandbox(1, 4);
    let doer = doer(&sandbox, 1 << 20).await;
    let ops =
        json!([{ "fill": ["tenant", 1500, 1] }, { "keys_after": ["tenant", "", null, u32::MAX] }, { "keys": ["tenant", ""] }]);
    let told = doer.ask("a", ops).await;
    assert_eq!((&told[0], &told[1]), (&json!(1500), &json!(MAX_STATE_LISTED)));
    assert_eq!(told[2].as_array().map(Vec::len), Some(1500), "by pages all of them");
}

#[tokio::test]
async fn calls_at_once_lose_no_update() {
    let sandbox = sandbox(2, 8);
    let visits = Arc::new(Solo::new(&sandbox, (GUEST, "visits"), "visits", &granted("s", 1000)).await);
    let mut tasks = JoinSet::new();
    for _ in 0..40 {
        let visits = Arc::clone(&visits);
        tasks.spawn(async move { visits.ask("a", json!(0)).await.as_u64().unwrap() });
    }
    let mut counted = soon(tasks.join_all()).await;
    counted.sort_unstable();
    assert_eq!(counted, (1..=40).collect::<Vec<_>>());
    soon(visits.flow.stop(Duration::ZERO)).await;
}

/// Whatever a plugin knows of a secret's value, what it keeps does not have it: neither what is under a key, nor the key.
#[tokio::test]
async fn what_is_kept_has_no_value_of_a_secret() {
    let sandbox = sandbox(1, 4);
    let secret = Secret::try_new("api", VALUE, Vec::new(), b"key").unwrap();
    let secrets = Secrets::try_new(vec![secret]).unwrap();
    let knows = Solo::new(&sandbox, (GUEST, "knows"), "do", &Grants { secrets, ..granted("notes", 1000) }).await;
    let other = doer(&sandbox, 1000).await;
    let told = knows
        .ask(
            "a",
            json!([
                { "set": ["tenant", "k", { "a": [VALUE] }] },
                { "compare_and_set": ["tenant", "l", 0, format!("<{VALUE}>")] },
                { "set": ["tenant", format!("of {VALUE}"), 1] },
                { "compare_and_set": ["tenant", VALUE, 0, 1] },
                { "get": ["tenant", VALUE] },
                { "delete": ["tenant", VALUE] },
            ]),
        )
        .await;
    let denied = json!("FailureKind::Denied: a key may not have a secret's value in it");
    assert_eq!(told, json!([1, 2, denied, denied, denied, denied]));
    let kept = other.ask("a", json!([{ "get": ["tenant", "k"] }, { "get": ["tenant", "l"] }, { "keys": ["tenant", ""] }])).await;
    let kept = kept.to_string();
    assert!(!kept.contains("s3cret") && kept.matches("***************").count() == 2 && kept.contains(r#"["k","l"]"#), "{kept}");
}

/// What was set stays, as the contract says: a call that fails afterwards takes nothing back.
#[tokio::test]
async fn what_was_set_outlives_the_calls_failure() {
    let sandbox = sandbox(1, 4);
    let doer = doer(&sandbox, 1000).await;
    let failed = doer.fails(json!([{ "set": ["tenant", "k", 1] }, "fail"])).await;
    assert_eq!(failed, ("invalid-input".to_owned(), "it was told to fail".to_owned()));
    assert_eq!(doer.ask("a", json!([{ "get": ["tenant", "k"] }])).await, json!([["1", 1]]));
}

#[tokio::test]
async fn each_is_a_call_to_the_host() {
    let sandbox = sandbox(1, 4);
    let limits = Limits { host_calls: 50, ..limits() };
    let doer = Solo::within(&sandbox, (GUEST, "doer"), "do", &granted("s", 1 << 20), &limits).await;
    let get = json!({ "get": ["tenant", "k"] });
    assert_eq!(doer.ask("a", json!([get, get])).await, json!([null, null]));
    let (code, message) = doer.fails(vec![get; 100].into()).await;
    assert_eq!(code, "exhausted");
    let says = "limit `host_calls` reached: used 51 of 50; raise it with `plugins.doer.limits.host_calls`";
    assert_eq!(message, says);
}

/// What a tenant may have at most: less, another space, or nothing.
#[tokio::test]
async fn a_ceiling_keeps_values_and_bytes_back() {
    let ceiling = |grants| Ceiling { grants: Some(grants), ..Ceiling::none() };
    let tenants = [
        ("less".into(), ceiling(granted("notes", 20))),
        ("other".into(), ceiling(granted("others", 1000))),
        ("nothing".into(), ceiling(Grants::default())),
        ("more".into(), ceiling(granted("notes", 1 << 20))),
    ];
    let tenants = Some(Tenants { tenants: tenants.into(), others: None });
    let sandbox = Sandbox::new(Config { instances: 2, tenants, ..Config::new(1) }).unwrap();
    let doer = doer(&sandbox, 100).await;
    let set = |bytes: usize| json!([{ "set": ["tenant", "k", "x".repeat(bytes)] }]);
    let full = |used: u32, max: u32, line: &str| {
        json!([format!("FailureKind::Exhausted: limit `state.bytes` reached: used {used} of {max}; raise it with `{line}`")])
    };
    assert_eq!(doer.ask("less", set(17)).await, json!([1]));
    assert_eq!(doer.ask("less", set(18)).await, full(21, 20, "tenants.less.grants.state.bytes"));
    assert_eq!(doer.ask("more", set(98)).await, full(101, 100, "plugins.doer.grants.state.bytes"));
    for tenant in ["other", "nothing"] {
        let denied = format!("FailureKind::Denied: no state is granted; add `tenants.{tenant}.grants.state`");
        assert_eq!(doer.ask(tenant, set(1)).await, json!([denied]));
    }
}
