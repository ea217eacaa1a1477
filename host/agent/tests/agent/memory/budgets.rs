//! Budgets: what gives way, in which order, and that there is an end to it.

use std::sync::Arc;
use std::time::Duration;

use floe_agent::{Memory, MemoryBudget, MemoryConfig, MemoryContext, MemoryError, MemoryStrategy, Overflow, Recalled, Turn};
use floe_flow::state::MAX_STATE_VALUE;
use proptest::prelude::*;
use serde_json::json;

use super::{add, config, key, memory, rolling, scripted, short, shown, store, turn};

fn tokens(text: &str) -> u64 {
    text.len() as u64 / 4 + 1
}

/// As the documentation says that it is counted.
fn counted(context: &MemoryContext) -> u64 {
    let of = |turn: &Recalled| {
        let digest = turn.digest.as_ref().map_or(0, |digest| {
            digest.tools.iter().map(|tool| tokens(tool)).sum::<u64>() + tokens(&digest.observations) + tokens(&digest.reasoning)
        });
        tokens(&turn.user) + tokens(&turn.assistant) + digest
    };
    let turns: u64 = context.pending_turns.iter().chain(&context.recent_turns).map(of).sum();
    turns + if context.summary.is_empty() { 0 } else { tokens(&context.summary) }
}

fn budget(full_zone_turns: usize, summary: u64, total: u64, overflow: Overflow) -> MemoryBudget {
    MemoryBudget { full_zone_turns, summary_max_tokens: summary, total_max_tokens: total, overflow }
}

/// A turn of so many tokens, which begins with its name.
fn sized(name: &str, tokens: usize) -> Turn {
    let assistant = "x".repeat(4 * (tokens - 2));
    Turn { run: None, user: name.into(), assistant: assistant.into(), digest: None, at_ms: 0 }
}

/// A conversation with a summary of twenty tokens, one turn that waits (ten) and two recent ones (ten each), and then one more turn.
async fn overflowing(overflow: Overflow, total: u64, last: usize) -> Result<String, MemoryError> {
    let store = store();
    let summary = json!({ "action": { "summary": format!("{}END", "s".repeat(76)) } });
    let script = format!("{summary}\n{{\"fault\": \"hang\"}}\n");
    let mut roomy = rolling(scripted(&script));
    roomy.budget = budget(2, 25, 0, overflow);
    let before = memory(roomy.clone(), &store);
    for name in ["a", "b", "c"] {
        before.add(&key("s"), sized(name, 10)).await.unwrap();
    }
    before.flush(&key("s")).await.unwrap();
    before.add(&key("s"), sized("d", 10)).await.unwrap();
    let context = before.context(&key("s")).await.unwrap();
    assert_eq!(counted(&context), 50);
    before.close().await;
    let tight = MemoryConfig { budget: budget(2, 25, total, overflow), ..rolling(scripted("{\"fault\": \"hang\"}")) };
    let after = memory(tight, &store);
    after.add(&key("s"), sized("e", last)).await?;
    let context = after.context(&key("s")).await.unwrap();
    assert!(counted(&context) <= total);
    let tail: String = context.summary.chars().rev().take(3).collect();
    let tail: String = tail.chars().rev().collect();
    Ok(format!("{}{tail} {}", context.summary.len(), short(&MemoryContext { summary: "".into(), ..context })))
}

#[tokio::test(start_paused = true)]
async fn the_oldest_turns_give_way_first() {
    let oldest = |total, last| overflowing(Overflow::TruncateOldest, total, last);
    assert_eq!(oldest(60, 10).await.unwrap(), "79END [] b c | d e (Healthy)");
    assert_eq!(oldest(59, 10).await.unwrap(), "79END [] c | d e (Healthy)");
    assert_eq!(oldest(40, 10).await.unwrap(), "79END []  | d e (Healthy)");
    assert_eq!(oldest(30, 10).await.unwrap(), "79END []  | e (Healthy)");
    // With one turn left, the summary's end stays, in the room that is there.
    assert_eq!(oldest(27, 10).await.unwrap(), "67END []  | e (Healthy)");
}

#[tokio::test(start_paused = true)]
async fn the_summary_gives_way_first_where_it_shall() {
    let summary = |total, last| overflowing(Overflow::TruncateSummary, total, last);
    assert_eq!(summary(60, 10).await.unwrap(), "79END [] b c | d e (Healthy)");
    assert_eq!(summary(52, 10).await.unwrap(), "47END [] b c | d e (Healthy)");
    assert_eq!(summary(39, 10).await.unwrap(), "0 [] c | d e (Healthy)");
    assert_eq!(summary(25, 10).await.unwrap(), "0 []  | d e (Healthy)");
}

#[tokio::test(start_paused = true)]
async fn nothing_gives_way_where_nothing_may() {
    assert_eq!(overflowing(Overflow::Error, 60, 10).await.unwrap(), "79END [] b c | d e (Healthy)");
    let error = overflowing(Overflow::Error, 59, 10).await.unwrap_err();
    let expected = "limit `total_max_tokens` of memory reached: used 60 of 59 tokens; `budget.total_max_tokens` raises it, and \
                    another `budget.overflow` leaves something out";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_turn_that_does_not_fit_is_not_kept_where_nothing_may_give_way() {
    let mut strict = config(MemoryStrategy::Truncation);
    strict.budget = budget(2, 10, 30, Overflow::Error);
    let memory = memory(strict, &store());
    memory.add(&key("s"), sized("a", 10)).await.unwrap();
    assert!(matches!(memory.add(&key("s"), sized("b", 30)).await, Err(MemoryError::Budget { used: 40, max: 30, .. })));
    assert_eq!(shown(&memory, &key("s")).await, "[]  | a (Healthy)");
}

/// No budget is worked at for ever: a turn that is too large by itself is cut with a mark, or left out.
#[tokio::test(start_paused = true)]
async fn a_turn_that_is_too_large_by_itself_is_cut_or_left_out() {
    for overflow in [Overflow::TruncateOldest, Overflow::TruncateSummary] {
        assert_eq!(overflowing(overflow, 40, 100).await.unwrap(), "0 []  | e (Healthy)");
        let mut tight = rolling(scripted("{\"fault\": \"hang\"}"));
        tight.budget = budget(2, 5, 20, overflow);
        let tight = memory(tight, &store());
        let digest = floe_agent::Digest { observations: "o".repeat(100), ..Default::default() };
        let (user, assistant) = ("u".repeat(500).into(), "a".repeat(500).into());
        tight.add(&key("s"), Turn { user, assistant, digest: Some(digest), ..turn("q") }).await.unwrap();
        let context = tight.context(&key("s")).await.unwrap();
        let cut = &context.recent_turns[0];
        assert_eq!((cut.user.len(), cut.assistant.len(), &cut.digest), (39, 39, &None));
        assert!(cut.user.ends_with("u … [cut]") && cut.assistant.ends_with("a … [cut]"), "{cut:?}");
        let mut tiny = rolling(scripted("{\"fault\": \"hang\"}"));
        tiny.budget = budget(2, 1, 3, overflow);
        let tiny = memory(tiny, &store());
        add(&tiny, &key("s"), &[&"u".repeat(500), "two"]).await;
        assert!(counted(&tiny.context(&key("s")).await.unwrap()) <= 3);
    }
}

/// What waits for the model to come back is not shown, takes nothing from the budget, and does not give way to what is shown.
#[tokio::test(start_paused = true)]
async fn the_backlog_is_not_counted_while_it_is_not_shown() {
    for (overflow, last, recent) in [(Overflow::Error, 10, "c d"), (Overflow::TruncateOldest, 25, "d")] {
        let whole = json!({ "action": { "summary": "s" }, "expect": { "turns": [{ "user": "a" }, { "user": "b" }] } });
        let mut config = rolling(scripted(&format!("{{\"fault\": \"unavailable\"}}\n{whole}\n")));
        config.budget = budget(2, 5, 30, overflow);
        let memory = memory(MemoryConfig { retry_attempts: 0, ..config }, &store());
        for name in ["a", "b", "c"] {
            memory.add(&key("s"), sized(name, 10)).await.unwrap();
        }
        memory.flush(&key("s")).await.unwrap();
        memory.add(&key("s"), sized("d", last)).await.unwrap();
        assert_eq!(shown(&memory, &key("s")).await, format!("[]  | {recent} (Degraded)"));
        tokio::time::sleep(Duration::from_secs(30)).await;
        memory.flush(&key("s")).await.unwrap();
        assert_eq!(shown(&memory, &key("s")).await, format!("[s]  | {recent} (Healthy)"));
    }
}

/// Without a limit of tokens, what a value of the store holds is the limit.
#[tokio::test(start_paused = true)]
async fn a_conversation_fits_a_value_of_the_store() {
    let of = |overflow| {
        let mut config = config(MemoryStrategy::Truncation);
        config.budget = budget(1_000, 10, 0, overflow);
        memory(config, &store())
    };
    let quoted = "\"".repeat(20_000);
    let long = |number: usize| Turn { user: quoted.as_str().into(), ..turn(&number.to_string()) };
    let cut = of(Overflow::TruncateOldest);
    for number in 0..20 {
        cut.add(&key("s"), long(number)).await.unwrap();
    }
    let context = cut.context(&key("s")).await.unwrap();
    let answers: Vec<&str> = context.recent_turns.iter().map(|turn| turn.assistant.as_ref()).collect();
    // Each takes twice its bytes as JSON, and some.
    assert_eq!(answers, ["14!", "15!", "16!", "17!", "18!", "19!"]);
    assert!(answers.len() * 40_000 < MAX_STATE_VALUE && (answers.len() + 1) * 40_000 > MAX_STATE_VALUE);
    let strict = of(Overflow::Error);
    for number in 0..6 {
        strict.add(&key("s"), long(number)).await.unwrap();
    }
    assert!(matches!(strict.add(&key("s"), long(6)).await, Err(MemoryError::Budget { unit: "bytes", .. })));
}

fn overflows() -> impl Strategy<Value = Overflow> {
    prop_oneof![Just(Overflow::TruncateOldest), Just(Overflow::TruncateSummary), Just(Overflow::Error)]
}

/// Adds all, with summaries in between, and looks after each.
async fn within(memory: &Memory, budget: MemoryBudget, turns: &[(String, String, u8)]) -> Result<(), TestCaseError> {
    let key = key("s");
    for (user, assistant, then) in turns {
        let digest = (then % 2 == 0).then(|| floe_agent::Digest { reasoning: user.clone(), ..Default::default() });
        let turn = Turn { user: user.as_str().into(), assistant: assistant.as_str().into(), digest, run: None, at_ms: 0 };
        match memory.add(&key, turn).await {
            Ok(()) => {}
            Err(MemoryError::Budget { .. }) if budget.overflow == Overflow::Error => {}
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
        if then % 3 == 0 {
            tokio::time::sleep(Duration::from_secs(u64::from(*then))).await;
        }
        let context = memory.context(&key).await.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(budget.total_max_tokens == 0 || counted(&context) <= budget.total_max_tokens);
        prop_assert!(context.recent_turns.len() <= budget.full_zone_turns);
        prop_assert!(context.summary.is_empty() || tokens(&context.summary) <= budget.summary_max_tokens);
    }
    memory.flush(&key).await.map_err(|error| TestCaseError::fail(error.to_string()))?;
    memory.close().await;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any turns, any budget: within the budget or refused, and there is an end.
    #[test]
    fn any_budget_is_kept_to(
        zone in 0_usize..5,
        summary in 1_u64..40,
        more in 0_u64..200,
        is_unlimited in proptest::bool::weighted(0.1),
        overflow in overflows(),
        turns in prop::collection::vec(("\\PC{0,120}", "[a-zä\n\"]{0,400}", any::<u8>()), 1..12),
        answers in prop::collection::vec((any::<bool>(), 1_usize..400), 1..6),
    ) {
        let script: Vec<String> = answers.iter().map(|(is_good, length)| match is_good {
            true => json!({ "action": { "summary": "s".repeat(*length) }, "delay_ms": 1500 }).to_string(),
            false => "{\"fault\": \"unavailable\"}".to_owned(),
        }).collect();
        let script = format!("{}\n{{\"again\": true}}\n", script.join("\n"));
        let total = if is_unlimited { 0 } else { summary + more };
        let budget = budget(zone, summary, total, overflow);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let config = MemoryConfig { budget, ..rolling(scripted(&script)) };
            let memory = Memory::try_new(config, store(), None).unwrap();
            within(&memory, budget, &turns).await
        })?;
    }
}

#[tokio::test]
async fn arcs_of_turns_are_shared() {
    // What is shown is what is kept, not a copy of it.
    let memory = memory(config(MemoryStrategy::Truncation), &store());
    add(&memory, &key("s"), &["one"]).await;
    let (first, second) = (memory.context(&key("s")).await.unwrap(), memory.context(&key("s")).await.unwrap());
    assert!(Arc::ptr_eq(&first.recent_turns[0].user, &second.recent_turns[0].user));
}
