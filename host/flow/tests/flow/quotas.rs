//! What tenants may ask for, and what they are told when it is too much.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{Bucket, End, Error, Flow, Graph, Quota, Quotas, Submission};
use serde_json::json;
use tokio::time::{Instant, advance};

use crate::support::{Slow, echo, payload, policy, start_with};

fn quota(in_flight: Option<usize>, requests: Option<u64>) -> Quota {
    Quota { weight: NonZeroU32::MIN, in_flight, requests: requests.and_then(NonZeroU64::new) }
}

fn flow(invoke: Arc<dyn floe_flow::Invoke>, tenants: &[(&str, Quota)], others: Option<Quota>) -> Flow {
    let tenants: BTreeMap<Arc<str>, Quota> = tenants.iter().map(|(name, quota)| (Arc::from(*name), *quota)).collect();
    let mut graph = Graph::builder("test");
    graph.run("node", invoke, policy());
    start_with(graph, |config| config.quotas = Some(Arc::new(Quotas { tenants, others })))
}

fn request(trace: usize, tenant: &str) -> Submission {
    Submission::new(&format!("{tenant}-{trace}"), tenant, payload(json!(trace)))
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let flow = flow(echo(), &[("a", quota(None, Some(3)))], Some(quota(None, None)));
    for trace in 0..3 {
        assert_eq!(flow.submit(request(trace, "a")).await.unwrap().finish().await.1.end, End::Completed);
    }
    let refused = flow.submit(request(3, "a")).await.unwrap_err();
    let Error::RateLimited { max: 3, retry_after, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(retry_after, Duration::from_secs(20));
    let says = "rate_limited: tenant `a` may make 3 requests a minute; the next one in 20000 ms, or raise its `rate.requests`";
    assert_eq!(refused.to_string(), says);
    assert!(matches!(flow.try_offer(request(3, "a")).unwrap_err(), Error::RateLimited { .. }));
    // Another tenant has nothing to do with it.
    assert!(flow.submit(request(0, "b")).await.is_ok());
    advance(retry_after).await;
    assert!(flow.submit(request(3, "a")).await.is_ok());
    assert!(matches!(flow.submit(request(4, "a")).await.unwrap_err(), Error::RateLimited { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_without_a_quota_is_refused() {
    let flow = flow(echo(), &[("a", quota(None, None))], None);
    assert!(flow.submit(request(0, "a")).await.is_ok());
    let refused = flow.submit(request(0, "b")).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no quota for tenant `b`, and none for others");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_as_many_traces_in_flight_as_its_quota_says() {
    let slow = Slow::new(Duration::from_secs(1));
    let flow = flow(slow, &[("a", quota(Some(2), None))], Some(quota(None, None)));
    let first = flow.try_submit(request(0, "a")).await.unwrap();
    let second = flow.try_submit(request(1, "a")).await.unwrap();
    let refused = flow.try_submit(request(2, "a")).await.unwrap_err();
    assert!(matches!(refused, Error::Busy { limit: "in_flight_per_tenant", max: 2 }), "{refused:?}");
    assert!(flow.try_submit(request(0, "b")).await.is_ok());
    drop((first, second));
}

#[tokio::test(start_paused = true)]
async fn a_bucket_fills_steadily_and_takes_debts() {
    let mut bucket = Bucket::new(NonZeroU64::new(60).unwrap());
    assert_eq!(bucket.wait(), None);
    bucket.take(90);
    assert_eq!(bucket.wait(), Some(Duration::from_secs(31)), "thirty seconds of debt, and one for the next");
    advance(Duration::from_secs(31)).await;
    assert_eq!(bucket.wait(), None);
    bucket.take(1);
    assert_eq!(bucket.wait(), Some(Duration::from_secs(1)));
    // A day later it holds what comes in a minute, and no more.
    advance(Duration::from_secs(86_400)).await;
    bucket.take(60);
    assert_eq!(bucket.wait(), Some(Duration::from_secs(1)));
    let began = Instant::now();
    let mut huge = Bucket::new(NonZeroU64::MAX);
    huge.take(u64::MAX);
    huge.take(u64::MAX);
    assert!(huge.wait().is_some_and(|wait| wait > Duration::from_secs(59)));
    assert_eq!(began, Instant::now());
}
