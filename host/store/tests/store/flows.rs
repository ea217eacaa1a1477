//! Flows on a real file: the disk is full, breaks or is slow, the file may not be written, the clock jumps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use floe_flow::journal::Pending;
use floe_flow::{
    Backoff, Call, Config, End, Entry, Error, Failure, FailureKind, Flow, Graph, Handle, Invoke, Item, Join, Journal, Kind,
    MessageId, Outcome, Output, Payload, Policy, Record, Report, Submission, Terminal, native,
};
use floe_store::{Memory, Options, Sqlite};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::{name, open};

const TRACES: usize = 24;
const ITEMS: u64 = 5;

/// What the node that must not be called twice did, by trace and message.
type Effects = Arc<Mutex<BTreeMap<(String, MessageId), u32>>>;

/// How a process runs the flow.
#[derive(Debug, Clone)]
struct Run {
    effects: Effects,
    /// How many calls may be made before the flow gets stuck.
    calls: Arc<Semaphore>,
    gets_stuck: bool,
    epoch_ms: u64,
    deadline: Option<Duration>,
}

impl Run {
    fn new(effects: &Effects) -> Self {
        let calls = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { effects: Arc::clone(effects), calls, gets_stuck: false, epoch_ms: 1_000_000, deadline: None }
    }

    fn stuck_after(self, calls: usize) -> Self {
        Self { calls: Arc::new(Semaphore::new(calls)), gets_stuck: true, ..self }
    }

    /// Items of a kilobyte, a node that is busy now and then, one with an effect, an ordered one, and a join.
    fn start(&self, journal: &Arc<dyn Journal>) -> Flow {
        let mut graph = Graph::builder("flow");
        let items = native(|_| {
            let item = |n| Output::new(json!({ "n": n, "text": "x".repeat(1000) }).into());
            Ok(Outcome::Outputs((0..ITEMS).map(item).collect()))
        });
        let busy = native(|call| match call.message.payload.value()["n"].as_u64() {
            Some(n) if n % 2 == 1 && call.attempt == 1 => Err(Failure::new(FailureKind::Busy, "not yet")),
            _ => Ok(Outcome::one(call.message.payload.clone())),
        });
        let effects = Arc::clone(&self.effects);
        let charge = native(move |call| {
            *effects.lock().unwrap().entry((call.ctx.origin().trace.to_string(), call.message.id)).or_default() += 1;
            Ok(Outcome::one(call.message.payload.clone()))
        });
        let echo = native(|call| Ok(Outcome::one(call.message.payload.clone())));
        let backoff = Backoff { base: Duration::from_millis(1), factor: 1.0, cap: Duration::from_millis(1), jitter: false };
        let policy = || Policy { retries: 1, backoff, ..Policy::with_concurrency(4) };
        graph.run("items", items, policy()).run("busy", busy, policy());
        graph.node("charge", Kind::Run { invoke: charge, input: None, output: None, repeatable: false }, policy());
        graph.run("each", echo, Policy { ordered: true, ..policy() });
        graph.node("gather", Kind::Join(Join::all_of("items")), policy());
        graph.run("gate", Arc::new(Gate(Arc::clone(&self.calls))), policy());
        graph.chain(&["items", "busy", "gate", "charge", "each"]).chain(&["charge", "gather"]);
        let mut config = Config::on_current_runtime();
        (config.in_flight, config.acknowledge, config.epoch_ms) = (8, true, self.epoch_ms);
        config.journal = Some(Arc::clone(journal));
        Flow::start(graph.build().unwrap(), config)
    }
}

/// Passes on as long as there are calls left, and then never ends.
#[derive(Debug)]
struct Gate(Arc<Semaphore>);

impl Invoke for Gate {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(async move {
            self.0.acquire().await.unwrap().forget();
            Report::from(Ok(Outcome::one(call.message.payload.clone())))
        })
    }
}

/// Reads a trace to its end and says what it has; what the journal does not take is given again some time.
async fn read(journal: Arc<dyn Journal>, mut handle: Handle) -> Terminal {
    let trace = Arc::clone(&handle.origin().trace);
    loop {
        let (message, terminal) = match handle.next().await.unwrap() {
            Item::Output { message, .. } => (Some(message.id), None),
            Item::End(terminal) if terminal.end.is_final() => (None, Some(terminal)),
            Item::End(terminal) => return terminal,
            other => panic!("nobody sends {other:?}"),
        };
        let _ = journal.append(&trace, Entry { at_ms: 0, seq: 0, record: Record::Delivered { message, cursor: None } }).await;
        if let Some(terminal) = terminal {
            return terminal;
        }
    }
}

/// How each trace ended, or why it was not taken on.
type Ends = BTreeMap<String, Result<Terminal, Error>>;

/// A process: goes on with what the journal has, and takes on what it has not. One that gets stuck is stopped then. Returns also
/// how often somebody had to decide that a call is made again.
async fn process(journal: &Arc<dyn Journal>, run: &Run) -> (Ends, usize) {
    let flow = run.start(journal);
    let mut tasks = JoinSet::new();
    let open: BTreeSet<Arc<str>> = journal.unfinished().await.unwrap().into_iter().collect();
    for number in 0..TRACES {
        let (flow, journal, trace) = (flow.clone(), Arc::clone(journal), name(&format!("t{number:02}")));
        let is_open = open.contains(&trace);
        if !is_open && !journal.load(&trace).await.unwrap().is_empty() {
            continue;
        }
        let deadline = run.deadline;
        tasks.spawn(async move {
            let submission = Submission { deadline, ..Submission::new(&trace, "me", Payload::from(json!(number))) };
            let handle = if is_open { flow.resume(&trace).await } else { flow.submit(submission).await };
            let end = match handle {
                Ok(handle) => Ok(read(journal, handle).await),
                Err(error) => Err(error),
            };
            (trace.to_string(), end)
        });
    }
    if run.gets_stuck {
        while run.calls.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        flow.stop(Duration::ZERO).await;
    }
    let mut ends: Ends = tasks.join_all().await.into_iter().collect();
    let mut decisions = 0;
    for (trace, end) in &mut ends {
        while !run.gets_stuck && end.as_ref().is_ok_and(|terminal| terminal.end == End::InDoubt) {
            decisions += decide(journal, trace).await;
            *end = Ok(read(Arc::clone(journal), flow.resume(trace).await.unwrap()).await);
        }
    }
    flow.stop(Duration::ZERO).await;
    assert_eq!(flow.in_flight(), 0);
    (ends, decisions)
}

/// Has calls made again of which it is not known whether they were made.
async fn decide(journal: &Arc<dyn Journal>, trace: &str) -> usize {
    let mut doubtful = BTreeSet::new();
    for entry in journal.load(trace).await.unwrap() {
        match entry.record {
            Record::Started(at) => _ = doubtful.insert(at),
            Record::Done { at, .. } | Record::Failed { at, .. } | Record::Retry(at) => _ = doubtful.remove(&at),
            _ => {}
        }
    }
    for at in &doubtful {
        journal.append(&name(trace), Entry { at_ms: 0, seq: 0, record: Record::Retry(at.clone()) }).await.unwrap();
    }
    doubtful.len()
}

/// The ids of all outputs of a trace that nothing disturbs, and how many attempts it takes.
async fn undisturbed() -> (BTreeSet<MessageId>, usize) {
    let journal: Arc<dyn Journal> = Arc::new(Memory::new());
    let flow = Run::new(&Effects::default()).start(&journal);
    let mut handle = flow.submit(Submission::new("t", "me", Payload::from(json!(1)))).await.unwrap();
    let mut ids = BTreeSet::new();
    while let Some(item) = handle.next().await {
        if let Item::Output { message, .. } = item {
            ids.insert(message.id);
        }
    }
    let attempts = |entry: &Entry| matches!(entry.record, Record::Done { .. } | Record::Failed { .. });
    let entries = journal.load("t").await.unwrap();
    (ids, entries.iter().filter(|entry| attempts(entry)).count())
}

/// Every trace completed, its reader has each output once, and no attempt was made again that had a record.
async fn check_all(journal: &Arc<dyn Journal>, effects: Option<&Effects>, decisions: usize) {
    let (ids, attempts) = undisturbed().await;
    assert_eq!((ids.len() as u64, attempts as u64), (ITEMS + 1, 1 + ITEMS * 4 + ITEMS / 2));
    for number in 0..TRACES {
        let trace = format!("t{number:02}");
        let (mut delivered, mut ends, mut made) = (Vec::new(), Vec::new(), BTreeSet::new());
        for entry in journal.load(&trace).await.unwrap() {
            match entry.record {
                Record::Delivered { message: Some(message), .. } => delivered.push(message),
                Record::Ended(terminal) => ends.push((terminal.end, terminal.outputs)),
                Record::Done { at, .. } | Record::Failed { at, .. } => assert!(made.insert(at.clone()), "{trace}: {at:?} twice"),
                _ => {}
            }
        }
        assert_eq!(ends, [(End::Completed, ITEMS + 1)], "{trace}");
        assert_eq!((delivered.len(), made.len()), (ids.len(), attempts), "{trace}");
        assert_eq!(delivered.into_iter().collect::<BTreeSet<_>>(), ids, "{trace}");
    }
    assert_eq!(journal.unfinished().await.unwrap(), Vec::<Arc<str>>::new());
    // Where another process had the effects, nobody can count them here.
    if let Some(effects) = effects {
        let effects = effects.lock().unwrap();
        assert_eq!(effects.len() as u64, TRACES as u64 * ITEMS);
        let again: u32 = effects.values().map(|calls| calls - 1).sum();
        assert!(again as usize <= decisions, "{again} calls were made twice, {decisions} because somebody decided so");
    }
}

fn shared(journal: Sqlite) -> Arc<dyn Journal> {
    Arc::new(journal)
}

/// A journal that failed stops whoever has not ended, and says why. Returns how many it stopped or refused.
fn check_stopped(ends: &Ends, why: &str) -> usize {
    let mut stopped = 0;
    for end in ends.values() {
        let text = match end {
            Ok(terminal) if terminal.end == End::Completed => continue,
            Ok(terminal) => {
                let error = terminal.error.as_ref().unwrap();
                assert_eq!((terminal.end, error.code.as_str()), (End::Stopped, "journal"));
                error.message.clone()
            }
            Err(error) => error.to_string(),
        };
        assert!(text.contains(why) && text.contains("then: floe resume"), "{text}");
        stopped += 1;
    }
    stopped
}

#[tokio::test]
async fn a_disk_that_is_full_stops_a_flow_which_goes_on_when_there_is_room() {
    for limit in [150 << 10, 300 << 10, 500 << 10] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let effects = Effects::default();
        let journal = shared(Sqlite::open(&path, Options { max_bytes: Some(limit) }).await.unwrap());
        let (ends, _) = process(&journal, &Run::new(&effects)).await;
        assert!(check_stopped(&ends, "database or disk is full") > 0);
        drop(journal);

        let journal = shared(open(&path).await);
        let (_, decisions) = process(&journal, &Run::new(&effects)).await;
        check_all(&journal, Some(&effects), decisions).await;
    }
}

#[tokio::test]
async fn a_file_that_may_not_be_written_any_more_is_refused_until_it_may() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let effects = Effects::default();
    let read_only = |read_only| {
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(read_only);
        fs::set_permissions(&path, permissions).unwrap();
    };
    let journal = shared(open(&path).await);
    let mut decided = process(&journal, &Run::new(&effects).stuck_after(40)).await.1;
    // Whoever has it open goes on with it.
    read_only(true);
    decided += process(&journal, &Run::new(&effects).stuck_after(20)).await.1;
    assert!(!journal.unfinished().await.unwrap().is_empty());
    drop(journal);

    let error = Sqlite::open(&path, Options { max_bytes: None }).await.unwrap_err().to_string();
    assert!(error.contains("is read-only; make it writable (chmod u+w)"), "{error}");
    read_only(false);
    let journal = shared(open(&path).await);
    decided += process(&journal, &Run::new(&effects)).await.1;
    check_all(&journal, Some(&effects), decided).await;
}

#[tokio::test]
async fn a_flow_may_be_stopped_and_gone_on_with_as_often_as_one_likes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let effects = Effects::default();
    let mut decided = 0;
    for calls in [1, 7, 20, 33, 15] {
        let journal = shared(open(&path).await);
        decided += process(&journal, &Run::new(&effects).stuck_after(calls)).await.1;
    }
    let journal = shared(open(&path).await);
    decided += process(&journal, &Run::new(&effects)).await.1;
    check_all(&journal, Some(&effects), decided).await;
}

// === a disk that breaks ===

const FILE: &str = "FLOE_TEST_FLOWS";

/// No test but the process whose files may not grow: runs the flow, and says how many traces were stopped, and why.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let journal = shared(open(Path::new(&path)).await);
    let (ends, _) = process(&journal, &Run::new(&Effects::default())).await;
    println!("\nstopped {}", check_stopped(&ends, "disk I/O error; see that its disk is in order"));
}

/// The system takes half a page and then nothing: what was answered before is there.
#[cfg(unix)]
#[tokio::test]
async fn a_disk_that_breaks_loses_nothing_that_was_answered() {
    use std::process::Command;

    let mut stopped = 0;
    for blocks in [250, 511, 900] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("journal");
        let child = Command::new("sh")
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""))
            .arg(std::env::current_exe().unwrap())
            .args(["flows::child", "--exact", "--nocapture", "--test-threads=1"])
            .env(FILE, &path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
        let count = said.lines().find_map(|line| line.strip_prefix("stopped ")).unwrap();
        stopped += count.parse::<usize>().unwrap();

        let journal = shared(open(&path).await);
        let (_, decisions) = process(&journal, &Run::new(&Effects::default())).await;
        check_all(&journal, None, decisions).await;
    }
    assert!(stopped > 0, "no limit was reached");
}

// === a disk that is slow ===

/// The trace, node and message of each call whose record was answered.
type Answered = Arc<Mutex<BTreeSet<(Arc<str>, String)>>>;

/// Answers a few milliseconds after the file, and only so many records at once.
#[derive(Debug)]
struct Slow {
    inner: Sqlite,
    at_once: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    most: AtomicUsize,
    answered: Answered,
}

impl Journal for Slow {
    fn append(&self, trace: &Arc<str>, entry: Entry) -> Pending<()> {
        let key = (Arc::clone(trace), format!("{:?}", cause(&entry.record)));
        let written = self.inner.append(trace, entry);
        let (at_once, waiting, answered) = (Arc::clone(&self.at_once), Arc::clone(&self.waiting), Arc::clone(&self.answered));
        let now = waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        Box::pin(async move {
            written.await?;
            let _turn = at_once.acquire().await;
            tokio::time::sleep(Duration::from_millis(2)).await;
            waiting.fetch_sub(1, Ordering::SeqCst);
            answered.lock().unwrap().insert(key);
            Ok(())
        })
    }

    fn load(&self, trace: &str) -> Pending<Vec<Entry>> {
        self.inner.load(trace)
    }

    fn unfinished(&self) -> Pending<Vec<Arc<str>>> {
        self.inner.unfinished()
    }
}

/// The node and the message of a call that succeeded.
fn cause(record: &Record) -> Option<(&str, MessageId)> {
    if let Record::Done { at, .. } = record { Some((&at.node, at.message)) } else { None }
}

#[tokio::test]
async fn traces_wait_for_a_slow_disk_together_and_see_nothing_before_it_has_it() {
    let dir = TempDir::new().unwrap();
    let inner = open(&dir.path().join("journal")).await;
    let slow = Slow {
        inner,
        at_once: Arc::new(Semaphore::new(16)),
        waiting: Arc::default(),
        most: AtomicUsize::new(0),
        answered: Arc::default(),
    };
    let slow = Arc::new(slow);
    let effects = Effects::default();
    let journal: Arc<dyn Journal> = Arc::clone(&slow) as _;
    let flow = Run::new(&effects).start(&journal);
    let mut tasks = JoinSet::new();
    for number in 0..TRACES {
        let (flow, slow, journal) = (flow.clone(), Arc::clone(&slow), Arc::clone(&journal));
        tasks.spawn(async move {
            let submission = Submission::new(&format!("t{number:02}"), "me", Payload::from(json!(number)));
            let mut handle = flow.submit(submission).await.unwrap();
            let trace = Arc::clone(&handle.origin().trace);
            let mut each = Vec::new();
            loop {
                let (message, is_end) = match handle.next().await.unwrap() {
                    Item::Output { node, message } => {
                        if *node == *"each" {
                            let cause = Some((&*node, message.parent.unwrap()));
                            assert!(slow.answered.lock().unwrap().contains(&(Arc::clone(&trace), format!("{cause:?}"))));
                            each.push(message.parent.unwrap());
                        }
                        (Some(message.id), false)
                    }
                    Item::End(terminal) => {
                        assert_eq!(terminal.end, End::Completed);
                        (None, true)
                    }
                    other => panic!("nobody sends {other:?}"),
                };
                let record = Record::Delivered { message, cursor: None };
                journal.append(&trace, Entry { at_ms: 0, seq: 0, record }).await.unwrap();
                if is_end {
                    return (trace, each);
                }
            }
        });
    }
    for (trace, each) in tasks.join_all().await {
        // The ordered node's outputs leave in the order in which what it handled was sent, as the journal has it.
        let entries = journal.load(&trace).await.unwrap();
        let causes = entries.iter().filter_map(|entry| cause(&entry.record));
        let handled: Vec<MessageId> = causes.filter(|(node, _)| *node == "each").map(|(_, message)| message).collect();
        assert_eq!(each, handled);
    }
    flow.stop(Duration::ZERO).await;
    let most = slow.most.load(Ordering::SeqCst);
    assert!(most >= 8, "no more than {most} records of {TRACES} traces waited at once");
    check_all(&journal, Some(&effects), 0).await;
}

// === clocks ===

#[tokio::test]
async fn a_clock_that_jumps_between_processes_changes_no_order_and_loses_no_trace() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let effects = Effects::default();
    let (mut decided, mut kept) = (0, [0; TRACES]);
    let (now, hour) = (2_000_000_000_000, Duration::from_secs(3600));
    for (epoch_ms, calls) in [(now, 30), (1_000, 20), (now + 60_000, 20), (7, 30), (now + 100_000, usize::MAX)] {
        let journal = shared(open(&path).await);
        let mut run = Run { epoch_ms, ..Run::new(&effects) };
        // Of requests that came while the clock was wrong, nobody could say when their time was up.
        run.deadline = (epoch_ms == now).then_some(hour);
        if calls < usize::MAX {
            run = run.stuck_after(calls);
        }
        decided += process(&journal, &run).await.1;
        // What is new has this process's time, and stands behind what was there.
        for (number, kept) in kept.iter_mut().enumerate() {
            let entries = journal.load(&format!("t{number:02}")).await.unwrap();
            let new =
                entries[*kept..].iter().filter(|entry| !matches!(entry.record, Record::Delivered { .. } | Record::Retry(_)));
            assert!(new.map(|entry| entry.at_ms).all(|at_ms| (epoch_ms..epoch_ms + 60_000).contains(&at_ms)));
            *kept = entries.len();
        }
    }
    let journal = shared(open(&path).await);
    check_all(&journal, Some(&effects), decided).await;
}

#[tokio::test]
async fn a_deadline_is_found_again_and_has_passed_when_the_clock_says_so() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let effects = Effects::default();
    let run = |epoch_ms| Run { epoch_ms, deadline: Some(Duration::from_secs(60)), ..Run::new(&effects) };
    let journal = shared(open(&path).await);
    process(&journal, &run(5_000_000).stuck_after(10)).await;
    let open_before = journal.unfinished().await.unwrap();
    assert!(!open_before.is_empty());
    drop(journal);

    let journal = shared(open(&path).await);
    let (ends, _) = process(&journal, &run(5_060_000)).await;
    for trace in open_before {
        assert_eq!(ends[&*trace].as_ref().unwrap().end, End::DeadlineExceeded, "{trace}");
    }
    assert_eq!(journal.unfinished().await.unwrap(), Vec::<Arc<str>>::new());
}
