//! The store: restarts, several at one conversation, stores that fail, and what was not written by a memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use floe_agent::{Health, MAX_CONFLICTS, MAX_CONVERSATIONS, MemoryConfig, MemoryError, MemoryKey, MemoryStrategy};
use floe_flow::journal::{JournalError, Pending};
use floe_flow::state::{Entry, Place, Put, Written};
use floe_flow::{StateStore, state};
use serde_json::json;
use tokio::time::sleep;

use super::{add, config, key, listening, memory, place, rolling, scripted, shown, store, turn};

async fn write(store: &Arc<dyn StateStore>, session: &str, value: &str) {
    let put = Put { value: value.into(), expected: None, max_bytes: 1 << 30 };
    store.put(&place(session), "memory", put).await.unwrap();
}

#[tokio::test]
async fn a_conversation_outlives_its_process() {
    let store = store();
    let before = memory(config(MemoryStrategy::Truncation), &store);
    add(&before, &key("s"), &["one", "two", "three"]).await;
    drop(before);
    let after = memory(config(MemoryStrategy::Truncation), &store);
    assert_eq!(shown(&after, &key("s")).await, "[]  | two three (Healthy)");
    // It is where the three parts of its key say, and nowhere else.
    let entry = store.get(&place("s"), "memory").await.unwrap().unwrap();
    assert!(entry.value.starts_with("{\"version\":1,"), "{}", entry.value);
}

/// Other settings than those under which it was kept: they hold from the first look on.
#[tokio::test]
async fn a_conversation_is_shown_under_the_settings_of_today() {
    let store = store();
    let before = memory(rolling(scripted("{\"action\": {\"summary\": \"one\"}}")), &store);
    add(&before, &key("s"), &["one", "two", "three"]).await;
    before.flush(&key("s")).await.unwrap();
    let mut less = config(MemoryStrategy::Truncation);
    less.budget.full_zone_turns = 1;
    let after = memory(less, &store);
    assert_eq!(shown(&after, &key("s")).await, "[]  | three (Healthy)");
}

/// Two processes, and several runs in each, at one conversation.
#[tokio::test]
async fn writers_side_by_side_lose_no_turn() {
    let store: Arc<dyn StateStore> = Arc::new(Hindered::default());
    let mut wide = config(MemoryStrategy::Truncation);
    wide.budget.full_zone_turns = 100;
    let memories = [Arc::new(memory(wide.clone(), &store)), Arc::new(memory(wide, &store))];
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let memory = Arc::clone(&memories[number % 2]);
        writers.spawn(async move { add(&memory, &key("s"), &[&format!("q{number}")]).await });
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }
    for memory in &memories {
        let context = memory.context(&key("s")).await.unwrap();
        let mut users: Vec<String> = context.recent_turns.iter().map(|turn| turn.user.to_string()).collect();
        users.sort_by_key(|user| user[1..].parse::<u32>().unwrap());
        assert_eq!(users, (0..40).map(|number| format!("q{number}")).collect::<Vec<_>>());
    }
}

/// Whoever adds a turn at the very moment at which the last summary is done does not leave it waiting.
#[tokio::test(start_paused = true)]
async fn no_turn_is_left_waiting_between_two_summaries() {
    let store: Arc<dyn StateStore> = Arc::new(Hindered::default());
    let memory = memory(rolling(scripted("{\"action\": {\"summary\": \"so far\"}}\n{\"again\": true}")), &store);
    for moment in 0..30 {
        let session = format!("s{moment}");
        add(&memory, &key(&session), &["one", "two", "three"]).await;
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        add(&memory, &key(&session), &["four"]).await;
        // Nobody uses the conversation any more; whoever summarises goes on until nothing waits.
        sleep(Duration::from_secs(1)).await;
        let kept = store.get(&place(&session), "memory").await.unwrap().unwrap();
        assert!(kept.value.contains("\"pending\":[]"), "{moment}: {}", kept.value);
    }
}

/// Two processes summarise the same turns: the second summary does not follow from what is there, and is left.
#[tokio::test(start_paused = true)]
async fn of_two_summaries_of_the_same_turns_one_counts() {
    let store = store();
    let say = |text: &str, delay: u64| json!({ "action": { "summary": text }, "delay_ms": delay }).to_string();
    let first = memory(rolling(scripted(&say("first", 1_000))), &store);
    let next =
        json!({ "action": { "summary": "to two" }, "expect": { "previous_summary": "first", "turns": [{ "user": "two" }] } });
    let second = memory(rolling(scripted(&format!("{}\n{next}\n", say("second", 3_000)))), &store);
    add(&first, &key("s"), &["one", "two", "three"]).await;
    second.context(&key("s")).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(shown(&second, &key("s")).await, "[first]  | two three (Healthy)");
    add(&second, &key("s"), &["four"]).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(shown(&first, &key("s")).await, "[to two]  | three four (Healthy)");
    // Nor does a failure count, where somebody else has summarised meanwhile.
    let (third, heard) = listening(rolling(scripted("{\"fault\": \"unavailable\", \"delay_ms\": 3000}")), &store);
    let fourth = memory(rolling(scripted(&say("to three", 1_000))), &store);
    add(&third, &key("s"), &["five"]).await;
    fourth.context(&key("s")).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(shown(&third, &key("s")).await, "[to three]  | four five (Healthy)");
    assert_eq!(heard.take(), ["s: five", "asked: [], failed: true"]);
}

/// Somebody removed the value, and the same numbers are given again: a summary of before is not one of them.
#[tokio::test(start_paused = true)]
async fn a_summary_of_a_removed_conversation_is_left() {
    for again in [&["four"][..], &["four", "five", "six"], &["four", "five", "six", "seven"]] {
        let store = store();
        let slow = json!({ "action": { "summary": "the secret" }, "delay_ms": 5_000 });
        let next = json!({ "action": { "summary": "since" } });
        let memory = memory(rolling(scripted(&format!("{slow}\n{next}\n"))), &store);
        add(&memory, &key("s"), &["one", "two", "three"]).await;
        sleep(Duration::from_secs(1)).await;
        store.delete(&place("s"), "memory").await.unwrap();
        add(&memory, &key("s"), again).await;
        memory.flush(&key("s")).await.unwrap();
        let (summary, recent) = if again.len() > 2 { ("since", &again[again.len() - 2..]) } else { ("", again) };
        assert_eq!(shown(&memory, &key("s")).await, format!("[{summary}]  | {} (Healthy)", recent.join(" ")));
    }
}

#[tokio::test]
async fn what_was_written_otherwise_is_not_guessed_at() {
    let state = |change: &dyn Fn(&mut serde_json::Value)| {
        let turn = json!({ "user": "q", "assistant": "a", "at_ms": 1 });
        let mut state = json!({
            "version": 1, "next": 2, "health": "healthy", "failures": 0, "revision": 0, "summary": "", "pending": [],
            "recent": [{ "id": 1, "turn": turn }]
        });
        change(&mut state);
        state.to_string()
    };
    let cases = [
        ("none", "[]".to_owned()),
        ("broken", "{\"version\": 1, ".to_owned()),
        ("of another form", state(&|state| state["version"] = json!(2))),
        ("with more in it", state(&|state| state["more"] = json!(1))),
        ("with more in a turn", state(&|state| state["recent"][0]["turn"]["more"] = json!(1))),
        ("with a health of its own", state(&|state| state["health"] = json!("fine"))),
        ("with a number twice", state(&|state| state["pending"] = state["recent"].clone())),
        ("with a number of the future", state(&|state| state["recent"][0]["id"] = json!(2))),
        ("near the end of numbers", state(&|state| state["next"] = json!(u64::MAX))),
        ("with control characters", state(&|state| state["recent"][0]["turn"]["user"] = json!("\u{1b}[2J"))),
        ("too long", state(&|state| state["summary"] = json!("x".repeat(40_000)))),
    ];
    let store = store();
    let memory = memory(config(MemoryStrategy::Truncation), &store);
    write(&store, "s", &state(&|_| {})).await;
    assert_eq!(shown(&memory, &key("s")).await, "[]  | q (Healthy)");
    for (name, value) in cases {
        write(&store, "s", &value).await;
        for result in [memory.context(&key("s")).await.map(drop), memory.add(&key("s"), turn("one")).await] {
            let error = result.unwrap_err();
            assert!(matches!(error, MemoryError::Unreadable(_)), "{name}: {error}");
            assert!(error.to_string().ends_with("forget the conversation to begin anew"), "{error}");
        }
        let kept = store.get(&place("s"), "memory").await.unwrap().unwrap();
        assert_eq!(kept.value.as_ref(), value, "{name}: it stays as it is");
    }
    memory.forget(&key("s")).await.unwrap();
    add(&memory, &key("s"), &["anew"]).await;
    assert_eq!(shown(&memory, &key("s")).await, "[]  | anew (Healthy)");
}

/// A store that takes its time, so that others come in between, and in whose way somebody is: each time, or from a moment on.
#[derive(Debug, Default)]
struct Hindered {
    store: Arc<state::Memory>,
    is_raced: AtomicBool,
    is_broken: AtomicBool,
}

/// What was asked, after others have had their turn.
fn after_others<T: Send + 'static>(pending: Pending<T>) -> Pending<T> {
    Box::pin(async move {
        tokio::task::yield_now().await;
        pending.await
    })
}

impl StateStore for Hindered {
    fn get(&self, place: &Place, key: &str) -> Pending<Option<Entry>> {
        after_others(self.store.get(place, key))
    }

    fn put(&self, place: &Place, key: &str, put: Put) -> Pending<Written> {
        if self.is_broken.load(Ordering::SeqCst) {
            let full = JournalError::Unusable("the disk is full; make room".to_owned());
            return Box::pin(std::future::ready(Err(full)));
        }
        if self.is_raced.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Ok(Written::Conflict(MAX_CONFLICTS as u64))));
        }
        let (store, place, key) = (Arc::clone(&self.store), place.clone(), key.to_owned());
        Box::pin(async move {
            tokio::task::yield_now().await;
            store.put(&place, &key, put).await
        })
    }

    fn delete(&self, place: &Place, key: &str) -> Pending<bool> {
        self.store.delete(place, key)
    }

    fn keys(&self, place: &Place, prefix: &str, after: Option<&str>, limit: u32) -> Pending<Vec<String>> {
        self.store.keys(place, prefix, after, limit)
    }
}

#[tokio::test]
async fn a_conversation_that_others_always_write_is_given_up() {
    let hindered = Arc::new(Hindered::default());
    let store: Arc<dyn StateStore> = hindered.clone();
    let memory = memory(config(MemoryStrategy::Truncation), &store);
    add(&memory, &key("s"), &["one"]).await;
    hindered.is_raced.store(true, Ordering::SeqCst);
    assert_eq!(memory.add(&key("s"), turn("two")).await, Err(MemoryError::Conflict { tries: MAX_CONFLICTS }));
    hindered.is_raced.store(false, Ordering::SeqCst);
    assert_eq!(shown(&memory, &key("s")).await, "[]  | one (Healthy)");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_fails_no_more_than_it_must() {
    let hindered = Arc::new(Hindered::default());
    let store: Arc<dyn StateStore> = hindered.clone();
    let slow = "{\"action\": {\"summary\": \"lost\"}, \"delay_ms\": 5000}\n{\"action\": {\"summary\": \"one\"}}\n";
    let model = scripted(slow);
    let memory = memory(rolling(model.clone()), &store);
    add(&memory, &key("s"), &["one", "two", "three"]).await;
    sleep(Duration::from_secs(1)).await;
    hindered.is_broken.store(true, Ordering::SeqCst);
    let full = MemoryError::Store("the disk is full; make room".to_owned());
    assert_eq!(memory.add(&key("s"), turn("four")).await, Err(full.clone()));
    // The summary that was under way cannot be kept either; nothing spins, and nothing is lost.
    assert_eq!(memory.flush(&key("s")).await, Err(full));
    assert_eq!(model.left(), 1);
    hindered.is_broken.store(false, Ordering::SeqCst);
    assert_eq!(memory.flush(&key("s")).await, Ok(Health::Healthy));
    assert_eq!(shown(&memory, &key("s")).await, "[one]  | two three (Healthy)");
}

#[tokio::test]
async fn a_tenant_has_so_much_room() {
    let store = store();
    let memory = memory(MemoryConfig { max_bytes: 600, ..config(MemoryStrategy::Truncation) }, &store);
    add(&memory, &key("s"), &["one"]).await;
    let error = memory.add(&key("s"), turn(&"x".repeat(300))).await.unwrap_err();
    assert!(matches!(error, MemoryError::Full { max: 600, .. }), "{error}");
    assert!(error.to_string().contains("`max_bytes` of the memory's settings raises it"));
    // Another tenant has as much of its own.
    let other = MemoryKey::try_new(Some("other".into()), Some("ann".into()), Some("s".into())).unwrap();
    memory.add(&other, turn("two")).await.unwrap();
    assert_eq!(shown(&memory, &key("s")).await, "[]  | one (Healthy)");
}

#[tokio::test]
async fn conversations_make_way_and_are_read_again() {
    let store = store();
    let memory = memory(config(MemoryStrategy::Truncation), &store);
    for number in 0..MAX_CONVERSATIONS + 50 {
        add(&memory, &key(&format!("s{number}")), &[&format!("q{number}")]).await;
        // The first one is used all the time.
        add(&memory, &key("s0"), &["more"]).await;
    }
    assert_eq!(memory.at_hand(), MAX_CONVERSATIONS);
    for number in [1, 2, 500, MAX_CONVERSATIONS + 49] {
        assert_eq!(shown(&memory, &key(&format!("s{number}"))).await, format!("[]  | q{number} (Healthy)"));
    }
    assert_eq!(memory.at_hand(), MAX_CONVERSATIONS);
}

/// A summary that waits for its time makes way, too, and is made when the conversation is used again; one that somebody waits for
/// does not.
#[tokio::test(start_paused = true)]
async fn conversations_that_wait_make_way_unless_somebody_waits_with_them() {
    let store = store();
    let model = scripted("{\"fault\": \"unavailable\"}\n{\"again\": true}");
    let patient = MemoryConfig { retry_base: Duration::from_secs(300), retry_attempts: 10, ..rolling(model) };
    let (memory, heard) = listening(patient, &store);
    let memory = Arc::new(memory);
    for number in 0..=MAX_CONVERSATIONS {
        add(&memory, &key(&format!("s{number}")), &["one", "two", "three"]).await;
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(memory.at_hand(), MAX_CONVERSATIONS);
    let asked = || heard.take().iter().filter(|note| note.starts_with("asked")).count();
    assert_eq!(asked(), MAX_CONVERSATIONS + 1);
    sleep(Duration::from_secs(310)).await;
    assert_eq!(asked(), MAX_CONVERSATIONS, "the first one's time does not come any more");
    let mut waiters = tokio::task::JoinSet::new();
    for number in 1..=MAX_CONVERSATIONS {
        let memory = Arc::clone(&memory);
        waiters.spawn(async move { memory.flush(&key(&format!("s{number}"))).await });
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(memory.context(&key("new")).await, Err(MemoryError::Busy { max: MAX_CONVERSATIONS }));
    waiters.abort_all();
    while waiters.join_next().await.is_some() {}
    assert_eq!(shown(&memory, &key("s0")).await, "[] one | two three (Retry)");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(asked(), 1, "it is used again");
}

/// Whoever is used makes no way, and neither does whoever has a model at work.
#[tokio::test(start_paused = true)]
async fn conversations_that_are_used_stay() {
    let slow = json!({ "action": { "summary": "one" }, "delay_ms": 5_000, "expect": { "turns": [{ "user": "busy" }] } });
    let model = scripted(&format!("{{\"fault\": \"unavailable\"}}\n{slow}\n"));
    let patient = MemoryConfig { retry_base: Duration::from_secs(300), ..rolling(model.clone()) };
    let (memory, heard) = listening(patient, &store());
    add(&memory, &key("used"), &["one", "two", "three"]).await;
    sleep(Duration::from_millis(1)).await;
    add(&memory, &key("busy"), &["busy", "two", "three"]).await;
    sleep(Duration::from_millis(1)).await;
    for number in 0..2 * MAX_CONVERSATIONS {
        add(&memory, &key(&format!("s{number}")), &["one"]).await;
        // Were it not at hand any more, this would begin a try before its time.
        assert_eq!(shown(&memory, &key("used")).await, "[] one | two three (Retry)");
    }
    assert_eq!(model.left(), 0);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(shown(&memory, &key("busy")).await, "[one]  | two three (Healthy)");
    let asked = heard.take().into_iter().filter(|note| note.starts_with("asked")).count();
    assert_eq!(asked, 2, "one failed, the other one did not, and nobody else asked");
}
