//! Attacks with how a call ends.

use std::time::Duration;

use floe_guest::{Failure, FailureKind, Outcome, Output};
use serde::Deserialize;

use crate::node;

/// How to fail.
#[derive(Deserialize)]
struct Plan {
    /// As the contract spells it.
    kind: String,
    /// Fails while the attempt is not beyond this.
    #[serde(default = "always")]
    times: u32,
    /// Milliseconds to wait before a retry.
    retry_after_ms: Option<u64>,
}

fn always() -> u32 {
    u32::MAX
}

node!(Fail, "fail", "Fails as the payload says, `{kind, times, retry_after_ms}`, then passes it on.", |payload, ctx| {
    let plan: Plan = payload.parse()?;
    if ctx.attempt > plan.times {
        return Ok(payload.into());
    }
    let failure = Failure::new(kind(&plan.kind)?, format_args!("fails on purpose, attempt {}", ctx.attempt));
    Err(match plan.retry_after_ms {
        Some(wait) => failure.retry_after(Duration::from_millis(wait)),
        None => failure,
    })
});

node!(
    LongFailure,
    "long-failure",
    "Fails with 150 000 lines of the payload's text and control characters, and detail that is not JSON.",
    |payload, _| {
        let word = payload.parse::<String>().unwrap_or_default();
        let mut failure = Failure::internal(format!("\u{1b}[31m{word}\r\n").repeat(150_000));
        failure.detail = Some("not JSON".to_owned());
        Err(failure)
    }
);

node!(UnknownTarget, "unknown-target", "Sends to a successor that does not exist.", |payload, _| {
    Ok(Output::new(payload).to("no-such-node").into())
});

node!(Again, "again", "Asks for another turn, forever, and counts them in its memory.", |_, ctx| {
    Outcome::again(ctx.turn + 1, 0)
});

node!(Final, "final", "Gives the trace's answer past all successors.", |payload, _| Ok(Outcome::Final(payload)));

/// As the contract spells them.
const KINDS: [(&str, FailureKind); 10] = [
    ("invalid-input", FailureKind::InvalidInput),
    ("not-found", FailureKind::NotFound),
    ("conflict", FailureKind::Conflict),
    ("denied", FailureKind::Denied),
    ("exhausted", FailureKind::Exhausted),
    ("timed-out", FailureKind::TimedOut),
    ("busy", FailureKind::Busy),
    ("unavailable", FailureKind::Unavailable),
    ("cancelled", FailureKind::Cancelled),
    ("internal", FailureKind::Internal),
];

pub(crate) fn kind(name: &str) -> floe_guest::Result<FailureKind> {
    let found = KINDS.iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| Failure::invalid_input(format_args!("there is no kind `{name}`")))
}

pub(crate) fn name(kind: FailureKind) -> &'static str {
    KINDS.iter().find_map(|(name, known)| (*known == kind).then_some(*name)).expect("all kinds are listed")
}

#[cfg(test)]
mod tests {
    use floe_guest::{Context, Json, test};
    use serde_json::json;

    use super::*;

    #[test]
    fn fails_as_often_as_told() {
        let plan = json!({ "kind": "busy", "times": 2 });
        let attempt = |attempt| test::run_with::<Fail>(Context { attempt, ..Context::default() }, (), &plan).result;
        assert_eq!(attempt(2).unwrap_err().kind, FailureKind::Busy);
        assert_eq!(attempt(3), Ok(Json::new(&plan).unwrap().into()));
    }
}
