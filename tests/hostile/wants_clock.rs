//! Time as the grant has it, the same by the capability and by WASI.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use floe_sandbox::{Clock, Error, Grants};
use serde_json::{Value, json};

use crate::support::{Solo, limits, load, sandbox};

pub(crate) const GUEST: &str = floe_tests::WANTS_CLOCK;

/// What all clocks say before and after some milliseconds.
async fn times(clock: Clock, wait: u64) -> (Value, Value) {
    let sandbox = sandbox(1, 2);
    let grants = Grants { clock: Some(clock), ..Grants::default() };
    let told = Solo::new(&sandbox, (GUEST, "times"), "times", &grants).await.ask("a", json!(wait)).await;
    (told[0].clone(), told[1].clone())
}

fn number(times: &Value, clock: &str) -> u64 {
    times[clock].as_u64().unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

#[tokio::test]
async fn without_a_grant_it_does_not_load() {
    let error = load(&sandbox(1, 1), (GUEST, "times"), &limits()).await.unwrap_err();
    assert!(matches!(error.reason(), Error::NotGranted { served: true, .. }), "{error:?}");
    assert!(error.to_string().ends_with("      grants:\n        clock: { resolution: 1ms }"), "{error}");
}

#[tokio::test]
async fn time_is_as_coarse_as_it_was_granted() {
    for step in [Duration::from_nanos(1), Duration::from_micros(10), Duration::from_millis(1), Duration::from_secs(3600)] {
        let began = now();
        let (before, after) = times(Clock::Coarse(step), 20).await;
        let step = step.as_nanos() as u64;
        for clock in ["now", "monotonic", "wasi_now"] {
            for times in [&before, &after] {
                assert_eq!(number(times, clock) % step, 0, "{clock} by {step}: {times}");
            }
            // It waited, and no clock runs ahead by more than a step or backwards.
            let waited = number(&after, clock) - number(&before, clock);
            assert!(waited + step > 20_000_000, "{clock} by {step}: {waited}");
        }
        let times = number(&before, "now");
        assert!(times >= began - began % step && number(&after, "now") <= now(), "{before} {after}");
        assert!(number(&before, "wasi_now").abs_diff(times) <= step.max(10_000_000_000));
    }
}

#[tokio::test]
async fn exact_time_is_more_than_a_multiple_of_a_millisecond() {
    let mut odd = 0;
    for _ in 0..3 {
        let (before, _) = times(Clock::Coarse(Duration::from_nanos(1)), 0).await;
        odd += u64::from(!number(&before, "now").is_multiple_of(1_000_000));
    }
    assert!(odd > 0);
}

#[tokio::test]
async fn a_fixed_time_stands_still_but_for_what_is_waited() {
    let fixed = Duration::new(1_767_225_600, 5);
    let (before, after) = times(Clock::Fixed(fixed), 30).await;
    let time = fixed.as_nanos() as u64;
    let at = |monotonic: u64| json!({ "now": time, "monotonic": monotonic, "wasi_now": time, "wasi_elapsed": monotonic });
    assert_eq!((before, after), (at(0), at(30_000_000)));
}

#[tokio::test]
async fn a_fixed_time_waits_as_long_as_any() {
    let began = now();
    times(Clock::Fixed(Duration::ZERO), 50).await;
    assert!(now() - began >= 50_000_000);
}

/// A clock that nobody granted tells milliseconds; `unpredictable` looks at it as often as it is told.
#[tokio::test]
async fn wasis_clocks_are_coarse_without_a_grant() {
    let sandbox = sandbox(1, 2);
    let evil = Solo::new(&sandbox, (floe_tests::EVIL, "evil"), "unpredictable", &Grants::default()).await;
    let (outputs, terminal) = evil.call(crate::support::origin("a", None, None), json!(50)).await;
    let seen = outputs.iter().find(|output| output.is_object()).unwrap_or_else(|| panic!("{terminal:?}"));
    for time in ["longest_ns", "unix_us"] {
        let unit = if time == "unix_us" { 1000 } else { 1_000_000 };
        assert_eq!(seen[time].as_u64().unwrap() % unit, 0, "{time}: {seen}");
    }
    assert!(seen["longest_ns"].as_u64().unwrap() >= 1_000_000, "it slept: {seen}");
}
