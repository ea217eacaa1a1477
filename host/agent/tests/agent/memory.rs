//! What is remembered of conversations: strategies, budgets, summaries that fail, stores that are shared.

mod budgets;
mod stores;
mod summaries;

use std::sync::{Arc, Mutex};

use expect_test::{Expect, expect};
use floe_agent::{
    DEFAULT_DEGRADED_RETRY, DEFAULT_MEMORY_BYTES, DEFAULT_RECOVERY_BACKLOG, DEFAULT_RETRY_ATTEMPTS, DEFAULT_RETRY_BASE,
    DEFAULT_SUMMARY_MAX_TOKENS, DEFAULT_TOTAL_MAX_TOKENS, Digest, Health, MAX_DIGEST_TEXT, MAX_DIGEST_TOOLS, MAX_KEY_PART,
    MAX_TURN_NAME, MAX_TURN_TEXT, Memory, MemoryBudget, MemoryConfig, MemoryContext, MemoryError, MemoryKey, MemoryObserver,
    MemoryStrategy, Overflow, Recalled, Recalling, Strategy, Turn,
};
use floe_flow::StateStore;
use floe_flow::state::{Owner, Place};
use floe_llm::{Answer, Error, Model, Scripted};
use serde_json::json;

fn scripted(script: &str) -> Arc<Scripted> {
    Arc::new(Scripted::parse("script", script).unwrap())
}

fn store() -> Arc<dyn StateStore> {
    Arc::new(floe_flow::state::Memory::default())
}

/// Two turns stay as they are; everything else is as usual.
fn config(strategy: MemoryStrategy) -> MemoryConfig {
    MemoryConfig {
        strategy,
        budget: MemoryBudget {
            full_zone_turns: 2,
            summary_max_tokens: DEFAULT_SUMMARY_MAX_TOKENS,
            total_max_tokens: DEFAULT_TOTAL_MAX_TOKENS,
            overflow: Overflow::TruncateOldest,
        },
        include_digest: true,
        recovery_backlog: DEFAULT_RECOVERY_BACKLOG,
        retry_attempts: DEFAULT_RETRY_ATTEMPTS,
        retry_base: DEFAULT_RETRY_BASE,
        degraded_retry: DEFAULT_DEGRADED_RETRY,
        space: "agent-memory".into(),
        max_bytes: DEFAULT_MEMORY_BYTES,
    }
}

fn rolling(model: Arc<dyn Model>) -> MemoryConfig {
    config(MemoryStrategy::RollingSummary(vec![model]))
}

fn memory(config: MemoryConfig, store: &Arc<dyn StateStore>) -> Memory {
    Memory::try_new(config, Arc::clone(store), None).unwrap()
}

fn key(session: &str) -> MemoryKey {
    MemoryKey::try_new(Some("acme".into()), Some("ann".into()), Some(session.into())).unwrap()
}

fn turn(user: &str) -> Turn {
    Turn { run: None, user: user.into(), assistant: format!("{user}!").into(), digest: None, at_ms: 7 }
}

async fn add(memory: &Memory, key: &MemoryKey, users: &[&str]) {
    for user in users {
        memory.add(key, turn(user)).await.unwrap();
    }
}

/// What is shown, in short: the summary, what is pending, what is recent, and how it stands.
fn short(context: &MemoryContext) -> String {
    let users = |turns: &[Recalled]| turns.iter().map(|turn| turn.user.as_ref()).collect::<Vec<_>>().join(" ");
    let (pending, recent) = (users(&context.pending_turns), users(&context.recent_turns));
    format!("[{}] {pending} | {recent} ({:?})", context.summary, context.health)
}

fn place(session: &str) -> Place {
    let owner = Owner::Session { user: Some("ann".into()), session: session.into() };
    Place { tenant: "acme".into(), space: "agent-memory".into(), owner }
}

async fn shown(memory: &Memory, key: &MemoryKey) -> String {
    short(&memory.context(key).await.unwrap())
}

/// Writes down what it hears.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Heard {
    fn note(&self, note: String) {
        self.0.lock().unwrap().push(note);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl MemoryObserver for Heard {
    fn on_turn_added(&self, key: &MemoryKey, turn: &Turn) {
        self.note(format!("{}: {}", key.session(), turn.user));
    }

    fn on_summary_updated(&self, _key: &MemoryKey, old: &str, new: &str) {
        self.note(format!("summary: {old:?} -> {new:?}"));
    }

    fn on_health_changed(&self, _key: &MemoryKey, old: Health, new: Health) {
        self.note(format!("{old:?} -> {new:?}"));
    }

    fn on_summary_asked(&self, _key: &MemoryKey, answers: &[Answer], error: Option<&Error>) {
        let cost: Vec<_> = answers.iter().map(|answer| (answer.usage.input, answer.usage.output, answer.cost)).collect();
        self.note(format!("asked: {cost:?}, failed: {}", error.is_some()));
    }
}

fn listening(config: MemoryConfig, store: &Arc<dyn StateStore>) -> (Memory, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let observer: Arc<dyn MemoryObserver> = heard.clone();
    (Memory::try_new(config, Arc::clone(store), Some(observer)).unwrap(), heard)
}

#[test]
fn a_key_has_all_its_parts() {
    let part = |text: &str| Some(Arc::from(text));
    let check = |tenant, user, session, expected: Expect| {
        let error = MemoryKey::try_new(tenant, user, session).unwrap_err();
        assert!(matches!(error, MemoryError::NoKey(_)));
        expected.assert_eq(&error.to_string());
    };
    let needs = expect!["memory is off for this run: it has no `tenant`; memory needs a tenant, a user and a session"];
    check(None, part("u"), part("s"), needs);
    let needs = expect!["memory is off for this run: it has no `user`; memory needs a tenant, a user and a session"];
    check(part("t"), part(""), part("s"), needs);
    let needs = expect!["memory is off for this run: it has no `session`; memory needs a tenant, a user and a session"];
    check(part("t"), part("u"), None, needs);
    let long = "x".repeat(MAX_KEY_PART + 1);
    let needs = expect!["memory is off for this run: its `user` has 257 bytes, and at most 256 are taken; shorten it"];
    check(part("t"), part(&long), part("s"), needs);
    assert!(MemoryKey::try_new(part("t"), part(&long[1..]), part("s")).is_ok());
}

/// Names that would be the same if they were joined.
#[tokio::test]
async fn parts_of_keys_are_never_joined() {
    let store = store();
    let memory = memory(config(MemoryStrategy::Truncation), &store);
    let parts = [("a:b", "c", "s"), ("a", "b:c", "s"), ("a", "b", "c:s"), ("a:b:c", "s", "s"), ("s", "c", "a:b")];
    let keys = parts
        .map(|(tenant, user, session)| MemoryKey::try_new(Some(tenant.into()), Some(user.into()), Some(session.into())).unwrap());
    for (index, key) in keys.iter().enumerate() {
        add(&memory, key, &[&format!("q{index}")]).await;
    }
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(shown(&memory, key).await, format!("[]  | q{index} (Healthy)"));
    }
}

#[test]
fn settings_that_cannot_be_are_refused_with_their_remedies() {
    let check = |change: &dyn Fn(&mut MemoryConfig), expected: &str| {
        let mut config = rolling(scripted(""));
        change(&mut config);
        let problems = config.problems();
        assert!(problems.len() == 1 && problems[0].contains(expected), "{expected}: {problems:?}");
        let error = Memory::try_new(config, store(), None).unwrap_err();
        assert_eq!(error, MemoryError::Invalid(problems[0].clone()));
    };
    assert_eq!(rolling(scripted("")).problems(), Vec::<String>::new());
    check(&|config| config.strategy = MemoryStrategy::RollingSummary(Vec::new()), "needs a model; name one");
    check(&|config| config.budget.summary_max_tokens = 0, "`summary_max_tokens` is from 1 to 8192");
    check(&|config| config.budget.summary_max_tokens = 8_193, "`summary_max_tokens` is from 1 to 8192");
    check(&|config| config.budget.total_max_tokens = 999, "is more than `total_max_tokens`");
    check(&|config| config.budget.full_zone_turns = 1_001, "at most 1000");
    check(&|config| config.recovery_backlog = 1_001, "at most 1000");
    check(&|config| config.retry_attempts = 11, "`retry_attempts` is at most 10");
    check(&|config| config.retry_base = std::time::Duration::ZERO, "must be longer than 0");
    check(&|config| config.degraded_retry = std::time::Duration::ZERO, "must be longer than 0");
    check(&|config| config.space = "".into(), "give it one");
    check(&|config| config.max_bytes = 0, "`max_bytes` is from 1");
    check(&|config| config.max_bytes = (1 << 30) + 1, "`max_bytes` is from 1");
    let cut = |config: &mut MemoryConfig| {
        config.strategy = MemoryStrategy::Truncation;
        config.budget.overflow = Overflow::TruncateSummary;
    };
    check(&cut, "needs the strategy `rolling_summary`");
    let nothing = |config: &mut MemoryConfig| {
        config.strategy = MemoryStrategy::Truncation;
        config.budget.full_zone_turns = 0;
    };
    check(&nothing, "remembers nothing; keep at least 1 turn");
}

#[tokio::test]
async fn without_a_strategy_nothing_is_remembered() {
    let store = store();
    let memory = memory(config(MemoryStrategy::None), &store);
    add(&memory, &key("s"), &["one"]).await;
    let context = memory.context(&key("s")).await.unwrap();
    assert!(context.is_empty());
    assert_eq!((memory.flush(&key("s")).await, memory.at_hand()), (Ok(Health::Healthy), 0));
}

#[tokio::test]
async fn truncation_keeps_the_newest_turns() {
    let store = store();
    let (memory, heard) = listening(config(MemoryStrategy::Truncation), &store);
    add(&memory, &key("s"), &["one", "two", "three", "four"]).await;
    assert_eq!(shown(&memory, &key("s")).await, "[]  | three four (Healthy)");
    assert_eq!(heard.take(), ["s: one", "s: two", "s: three", "s: four"]);
    let context = memory.context(&key("s")).await.unwrap();
    let expected = json!({ "recent_turns": [
        { "user": "three", "assistant": "three!" }, { "user": "four", "assistant": "four!" }
    ] });
    assert_eq!(serde_json::to_value(&context).unwrap(), expected);
}

#[tokio::test]
async fn digests_are_kept_where_they_are_wanted() {
    let digest = Digest { tools: vec!["search".into()], observations: "- search: 3 hits".into(), reasoning: "clear".into() };
    for (include_digest, expected) in [(true, Some(digest.clone())), (false, None)] {
        let memory = memory(MemoryConfig { include_digest, ..config(MemoryStrategy::Truncation) }, &store());
        memory.add(&key("s"), Turn { digest: Some(digest.clone()), ..turn("one") }).await.unwrap();
        assert_eq!(memory.context(&key("s")).await.unwrap().recent_turns[0].digest, expected);
    }
}

/// A run that is continued after a crash says its turn twice.
#[tokio::test]
async fn a_runs_turn_is_kept_once() {
    let store = store();
    let (memory, heard) = listening(config(MemoryStrategy::Truncation), &store);
    for (run, user) in [("r1", "one"), ("r1", "again"), ("r2", "two"), ("r1", "again")] {
        memory.add(&key("s"), Turn { run: Some(run.into()), ..turn(user) }).await.unwrap();
    }
    assert_eq!(shown(&memory, &key("s")).await, "[]  | one two (Healthy)");
    assert_eq!(heard.take(), ["s: one", "s: two"]);
    // Names that would be the same if they were cut are not compared.
    for user in ["three", "four"] {
        let run = format!("{}{user}", "r".repeat(MAX_TURN_NAME));
        memory.add(&key("s"), Turn { run: Some(run.into()), ..turn(user) }).await.unwrap();
    }
    assert_eq!(shown(&memory, &key("s")).await, "[]  | three four (Healthy)");
}

#[tokio::test]
async fn text_of_turns_is_bounded_and_without_control() {
    let store = store();
    let roomy = MemoryBudget { total_max_tokens: 0, ..config(MemoryStrategy::None).budget };
    let memory = memory(MemoryConfig { budget: roomy, ..config(MemoryStrategy::Truncation) }, &store);
    let long = "ä".repeat(MAX_TURN_TEXT);
    let digest = Digest { tools: vec![long.clone(); 99], observations: long.clone(), reasoning: "a\u{1b}[31mb\u{0}".into() };
    let said = "line\n\ttab\r\u{202e}turned\u{7}\u{200b}";
    let turn = Turn { run: Some(long.clone().into()), user: said.into(), assistant: long.into(), digest: Some(digest), at_ms: 0 };
    memory.add(&key("s"), turn).await.unwrap();
    let turn = memory.context(&key("s")).await.unwrap().recent_turns.remove(0);
    assert_eq!(turn.user.as_ref(), "line\n\ttabturned");
    assert!(turn.assistant.len() <= MAX_TURN_TEXT && turn.assistant.ends_with("ä … [cut]"), "{}", turn.assistant.len());
    let digest = turn.digest.unwrap();
    assert_eq!((digest.tools.len(), digest.reasoning.as_str()), (MAX_DIGEST_TOOLS, "a[31mb"));
    assert!(digest.tools[0].len() <= MAX_TURN_NAME && digest.observations.len() <= MAX_DIGEST_TEXT);
}

/// Sees all turns, and shows the questions with their number.
#[derive(Debug)]
struct Questions;

impl Strategy for Questions {
    fn context<'a>(&'a self, turns: &'a [Arc<Turn>]) -> Recalling<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let questions: Vec<&str> = turns.iter().map(|turn| turn.user.as_ref()).collect();
            match questions.last() {
                Some(&"fail") => Err("no\u{7} luck".to_owned()),
                Some(&"flood") => Ok(json!("x".repeat(100_000))),
                _ => Ok(json!({ "asked": questions.len(), "questions\u{7}": questions, "said": "\u{1b}[0m\n" })),
            }
        })
    }
}

#[tokio::test]
async fn a_strategy_of_the_callers_makes_the_context() {
    let store = store();
    let memory = memory(config(MemoryStrategy::Custom(Arc::new(Questions))), &store);
    add(&memory, &key("s"), &["one", "two", "three", "four"]).await;
    let context = serde_json::to_value(memory.context(&key("s")).await.unwrap()).unwrap();
    let questions = json!(["one", "two", "three", "four"]);
    assert_eq!(context, json!({ "custom": { "asked": 4, "questions": questions, "said": "[0m\n" } }));
    add(&memory, &key("s"), &["flood"]).await;
    let error = memory.context(&key("s")).await.unwrap_err();
    assert!(error.to_string().contains("used 25001 of 10000 tokens; have the strategy give less"), "{error}");
    add(&memory, &key("s"), &["fail"]).await;
    let failed = MemoryError::Strategy("no luck".to_owned());
    assert_eq!(memory.context(&key("s")).await, Err(failed));
}

#[tokio::test]
async fn a_hundred_sessions_at_once_keep_to_themselves() {
    let store = store();
    let summary = "{\"action\": {\"summary\": \"so far\"}}\n{\"again\": true}";
    let memory = Arc::new(memory(rolling(scripted(summary)), &store));
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..100 {
        let memory = Arc::clone(&memory);
        sessions.spawn(async move {
            let key = key(&format!("s{number}"));
            for step in 0..5 {
                add(&memory, &key, &[&format!("s{number}-{step}")]).await;
                tokio::task::yield_now().await;
            }
            memory.flush(&key).await.unwrap();
            let expected = format!("[so far]  | s{number}-3 s{number}-4 (Healthy)");
            assert_eq!(shown(&memory, &key).await, expected);
        });
    }
    while let Some(ended) = sessions.join_next().await {
        ended.unwrap();
    }
}
