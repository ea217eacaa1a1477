//! Numbers that follow from the call and a secret of the run.

use floe_flow::Origin;
use floe_sandbox::{Config, Error, Grants, Sandbox, Secret};
use serde_json::{Value, json};

use crate::support::{Solo, limits, load, sandbox};

pub(crate) const GUEST: &str = floe_tests::WANTS_RANDOM;

fn granted() -> Grants {
    Grants { random: true, ..Grants::default() }
}

/// The numbers of a trace of this name, where the run's secret is this one.
async fn numbers(secret: Option<u8>, guest: (&str, &str), node: &str, trace: &str) -> Value {
    numbers_of("a", secret, guest, node, trace).await
}

async fn numbers_of(tenant: &str, secret: Option<u8>, guest: (&str, &str), node: &str, trace: &str) -> Value {
    let cache = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("hostile");
    let secret = secret.map(|secret| Secret::new([secret; 32]));
    let sandbox = Sandbox::new(Config { cache: Some(cache), instances: 2, secret, ..Config::new(1) }).unwrap();
    let solo = Solo::new(&sandbox, guest, node, &granted()).await;
    let origin = Origin { trace: trace.into(), tenant: tenant.into(), user: None, session: None };
    solo.ask_as(origin, json!(3)).await
}

#[tokio::test]
async fn without_a_grant_it_does_not_load() {
    let error = load(&sandbox(1, 1), (GUEST, "draws"), &limits()).await.unwrap_err();
    assert!(matches!(error.reason(), Error::NotGranted { served: true, .. }), "{error:?}");
    assert!(error.to_string().ends_with("      grants:\n        random: true"), "{error}");
}

#[tokio::test]
async fn a_second_run_with_the_same_secret_draws_the_same() {
    let draw = |secret, trace| numbers(secret, (GUEST, "draws"), "numbers", trace);
    let first = draw(Some(1), "t").await;
    assert_eq!(first.as_array().map(Vec::len), Some(3));
    assert_eq!(draw(Some(1), "t").await, first);
    assert_ne!(draw(Some(1), "u").await, first, "another trace");
    assert_ne!(draw(Some(2), "t").await, first, "who knows the trace does not know the secret");
    assert_ne!(draw(None, "t").await, draw(None, "t").await, "each run draws its own");
}

/// Whoever uses a trace's id again, as anybody may who chooses ids, foresees nothing of another tenant's trace.
#[tokio::test]
async fn tenants_draw_apart_in_traces_of_the_same_name() {
    for (guest, node) in [((GUEST, "draws"), "numbers"), ((floe_tests::EVIL, "evil"), "hash-order")] {
        let draw = |tenant: &'static str| numbers_of(tenant, Some(1), guest, node, "t");
        assert_eq!(draw("a").await, draw("a").await);
        assert_ne!(draw("a").await, draw("b").await, "{node}");
    }
}

#[tokio::test]
async fn wasis_randomness_is_not_to_be_foreseen_either() {
    let order = |secret| numbers(Some(secret), (floe_tests::EVIL, "evil"), "hash-order", "t");
    assert_eq!(order(1).await, order(1).await);
    assert_ne!(order(1).await, order(2).await);
}
