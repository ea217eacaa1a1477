//! A service that is down now and then, and what to do without it.

use std::time::Duration;

use floe_guest::{Context, Failure, Node, Outcome, Result, SideEffect, field, log};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Customers and their plans, as the service has them.
const LIVE: [(&str, &str); 5] = [("ada", "gold"), ("bob", "silver"), ("cy", "basic"), ("dee", "gold"), ("eve", "silver")];
/// And as they were some time ago.
const CACHE: [(&str, &str); 3] = [("ada", "silver"), ("bob", "silver"), ("cy", "basic")];

/// Asks the service for a customer.
pub(crate) struct Lookup;

/// Whom to look up. This stands for a service outside, so it also says how that behaves.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Request {
    customer: String,
    /// So many attempts find the service down.
    #[serde(default)]
    down: u32,
    /// The service takes so long to answer.
    #[serde(default)]
    takes_ms: u64,
}

/// A customer, and who says so.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Customer {
    customer: String,
    plan: String,
    source: Source,
    /// The attempt that found it, from 1.
    attempt: u32,
}

/// Where a customer's plan comes from.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    Service,
    Cache,
}

impl Node for Lookup {
    const NAME: &'static str = "lookup";
    const DESCRIPTION: &'static str = "Looks a customer up at a service that may be slow, or down.";
    // What may be done twice: after a crash the host makes the call again.
    const SIDE_EFFECT: SideEffect = SideEffect::Read;
    const TAGS: &'static [&'static str] = &["customers"];
    type Config = ();
    type Input = Request;
    type Output = Customer;

    fn handle((): (), request: Request, ctx: &Context) -> Result<Outcome<Customer>> {
        wait(Duration::from_millis(request.takes_ms));
        if ctx.attempt <= request.down {
            log::debug("The service is down.", [field("customer", &request.customer), field("attempt", ctx.attempt)]);
            // A kind that is retried; `retry_after` would ask for a longer pause than the policy's.
            return Err(Failure::unavailable("the customer service is down"));
        }
        find(&LIVE, request.customer, Source::Service, ctx)
    }
}

/// Takes the failures of a lookup: what `on_failure: { to: … }` sends is the failure and the payload that it was about.
pub(crate) struct Cached;

/// A lookup that failed for good.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct FailedLookup {
    error: Error,
    payload: Request,
}

/// What the host says of a failure; there is more, which this node does not need.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Error {
    code: String,
    message: String,
}

impl Node for Cached {
    const NAME: &'static str = "cached";
    const DESCRIPTION: &'static str = "Takes a failed lookup and answers with what is known from before.";
    const TAGS: &'static [&'static str] = &["customers"];
    type Config = ();
    type Input = FailedLookup;
    type Output = Customer;

    fn handle((): (), failed: FailedLookup, ctx: &Context) -> Result<Outcome<Customer>> {
        let FailedLookup { error, payload } = failed;
        log::debug("Answering from the cache.", [field("code", &error.code), field("message", &error.message)]);
        find(&CACHE, payload.customer, Source::Cache, ctx)
    }
}

fn find(known: &[(&str, &str)], customer: String, source: Source, ctx: &Context) -> Result<Outcome<Customer>> {
    match known.iter().find(|(name, _)| *name == customer) {
        Some((_, plan)) => Ok(Customer { customer, plan: (*plan).to_owned(), source, attempt: ctx.attempt }.into()),
        None => Err(Failure::not_found(format_args!("nobody knows customer `{customer}`"))),
    }
}

#[expect(clippy::disallowed_methods, reason = "it stands for a service's time; the host ends the call when its time is up")]
fn wait(time: Duration) {
    if !time.is_zero() {
        std::thread::sleep(time);
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::{FailureKind, test};
    use serde_json::{Value, json};

    use super::*;

    fn lookup(attempt: u32, request: Value) -> Result<Value> {
        let ctx = Context { attempt, ..Context::default() };
        let ran = test::run_with::<Lookup>(ctx, (), request);
        ran.result.clone().map(|_| ran.payloads().remove(0))
    }

    #[test]
    fn the_attempt_decides_whether_the_service_is_down() {
        let request = json!({ "customer": "ada", "down": 2 });
        for attempt in [1, 2] {
            let failure = lookup(attempt, request.clone()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Unavailable);
        }
        let found = json!({ "customer": "ada", "plan": "gold", "source": "service", "attempt": 3 });
        assert_eq!(lookup(3, request), Ok(found));
    }

    #[test]
    fn strangers_are_not_found() {
        let failure = lookup(1, json!({ "customer": "zoe" })).unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::NotFound, "nobody knows customer `zoe`"));
    }

    #[test]
    fn the_cache_answers_for_a_failure() {
        let failed = |customer: &str| {
            let error = json!({ "code": "unavailable", "message": "down", "node": "lookup", "attempt": 3 });
            json!({ "error": error, "payload": { "customer": customer, "down": 9 } })
        };
        let cached = test::run::<Cached>((), failed("ada"));
        assert_eq!(cached.payloads(), [json!({ "customer": "ada", "plan": "silver", "source": "cache", "attempt": 1 })]);
        assert_eq!(cached.record.logs[0].fields[0], field("code", "unavailable"));
        assert_eq!(test::run::<Cached>((), failed("dee")).result.unwrap_err().kind, FailureKind::NotFound);
    }
}
