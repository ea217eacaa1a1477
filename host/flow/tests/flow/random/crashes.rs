//! Flows whose process dies at any record, and flows whose journal fails at any: they go on from what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use floe_flow::{At, End, Entry, Error, Flow, Journal, MessageId, Record, Terminal};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use tokio::time::Instant;

use super::plan::{Plan, plans};
use super::world::{Called, Past, World};
use super::{Output, Read, Way, check_outputs, model, paused, read_all, stop_at_once, story};
use crate::notebook::{FULL, Fails, Notebook};

pub(super) type Entries = Vec<(Arc<str>, Entry)>;

/// How a process runs.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pace: Vec<Duration>,
    trouble: Trouble,
    /// The clock at its start, in milliseconds from the last record.
    clock: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Trouble {
    None,
    /// The journal fails.
    Fails(Fails),
    /// The flow is stopped after so many milliseconds, and nobody waits for what is in flight.
    Stops(u64),
    /// A request is cancelled after so many milliseconds.
    Cancels(usize, u64),
}

impl Run {
    pub(super) fn new(pace: Vec<Duration>) -> Self {
        Self { pace, trouble: Trouble::None, clock: 0 }
    }

    fn with(&self, trouble: Trouble) -> Self {
        Self { trouble, ..self.clone() }
    }

    /// Disturbs the flow while it runs. Returns the request that it cancelled.
    async fn disturb(&self, flow: &Flow) -> Option<usize> {
        match self.trouble {
            Trouble::None | Trouble::Fails(_) => None,
            Trouble::Stops(after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                flow.stop(Duration::ZERO).await;
                None
            }
            Trouble::Cancels(request, after) => {
                tokio::time::sleep(Duration::from_millis(after)).await;
                flow.cancel(&Plan::trace(request)).then_some(request)
            }
        }
    }
}

/// The processes of one flow, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Life {
    plan: Plan,
    /// Outputs that a reader was ever given.
    given: BTreeMap<(String, String, MessageId), Value>,
    /// What the reader of each trace saw last.
    last: BTreeMap<String, Read>,
    calls: Vec<Called>,
    /// A request that was cancelled, as whoever did it was told.
    cancelled: Option<usize>,
    /// What has happened: events, records and ends by name.
    pub(super) seen: BTreeSet<String>,
}

impl Life {
    pub(super) fn new(plan: &Plan) -> Self {
        let (given, last, calls, cancelled, seen) = Default::default();
        Self { plan: plan.clone(), given, last, calls, cancelled, seen }
    }

    /// Runs a process on what the journal has, until everything in it has ended or cannot go on. Returns what the journal has then.
    pub(super) async fn run(&mut self, entries: Entries, run: &Run) -> Entries {
        let last = entries.iter().map(|(_, entry)| entry.at_ms).max().unwrap_or(1_000_000);
        let epoch_ms = last.saturating_add_signed(run.clock);
        let delivered = delivered(&entries);
        let fails = if let Trouble::Fails(fails) = run.trouble { Some(fails) } else { None };
        let journal = Notebook::slow(entries, run.pace.clone(), fails);
        let world = World::new(&self.plan, Some(Arc::clone(&journal)));
        let mut doubtful = doubtful(&journal);
        let flow = world.start(epoch_ms);
        let mut ways = self.ways(&journal).await;
        while !ways.is_empty() {
            let mut undecided = Vec::new();
            let (all, cancelled) = tokio::join!(read_all(&world, &flow, &self.plan, ways), run.disturb(&flow));
            self.cancelled = self.cancelled.or(cancelled);
            for (trace, read) in all {
                for (node, id, value) in &read.outputs {
                    assert!(!delivered.contains(&(trace.clone(), *id)), "{trace} gives {id} of {node} again");
                    self.given.insert((trace.clone(), node.clone(), *id), value.clone());
                }
                let calls = doubtful.remove(&trace);
                if read.end.as_ref().is_ok_and(|terminal| terminal.end == End::InDoubt) {
                    for at in calls.unwrap_or_else(|| panic!("{trace} is in doubt about nothing")) {
                        world.decide(&trace, &at);
                        let entry = Entry { at_ms: epoch_ms, seq: 0, record: Record::Retry(at) };
                        let _ = journal.append(&trace.as_str().into(), entry).await;
                    }
                    undecided.push(Way::Resume(trace.clone()));
                } else if let Some(calls) = calls.filter(|_| run.trouble == Trouble::None) {
                    // What is written decided the end already, whatever became of these.
                    assert_ne!(read.end.as_ref().unwrap().end, End::Completed, "{trace} forgets {calls:?}");
                    assert_eq!(world.calls_of(&trace).len(), 0, "{trace} goes on although it is in doubt about {calls:?}");
                }
                let end = read.end.as_ref().map_or("refused", |terminal| terminal.end.name());
                self.seen.insert(format!("end {end}"));
                self.last.insert(trace, read);
            }
            ways = undecided;
        }
        stop_at_once(&world, &flow).await;
        self.calls.extend(world.calls.lock().unwrap().iter().cloned());
        self.seen.extend(world.events.lock().unwrap().iter().map(|event| format!("event {}", event.kind.name())));
        self.seen.extend(journal.names().iter().map(|name| format!("record {name}")));
        journal.entries()
    }

    async fn ways(&self, journal: &Notebook) -> Vec<Way> {
        let open = journal.unfinished().await.unwrap();
        let way = |request: usize| {
            let name = Plan::trace(request);
            let accepted = journal.has(&name, |record| matches!(record, Record::Accepted(_)));
            match open.iter().any(|trace| **trace == *name) {
                true => Some(Way::Resume(name)),
                false => (!accepted).then_some(Way::Submit(request)),
            }
        };
        (0..self.plan.requests.len()).filter_map(way).collect()
    }

    /// All is done: each request came to the end that it must come to, with what must come of it, and nothing was done twice.
    pub(super) fn check(&self, entries: &Entries) {
        let journal = Notebook::with(entries.clone());
        let past = Past::of(&journal);
        assert_eq!(past.doubtful_and_open(entries), BTreeSet::new());
        story::check_order_of_records(&self.plan, entries, &self.calls);
        for (request, (_, priority)) in self.plan.requests.iter().enumerate() {
            let trace = Plan::trace(request);
            let mut expected = model::expect(&self.plan, *priority);
            if self.cancelled == Some(request) {
                expected.ends = vec![End::Cancelled];
            }
            let terminal = ended(entries, &trace);
            assert!(expected.ends.contains(&terminal.end), "{trace}: {terminal:?} instead of {:?}", expected.ends);
            let read = &self.last[&trace];
            assert_eq!(read.end.as_ref().map(|terminal| terminal.end), Ok(terminal.end));
            if terminal.end == End::Completed {
                check_outputs(&expected, &self.outputs(entries, &trace), read.end.as_ref().unwrap());
            }
        }
    }

    /// What the reader has in the end: what it said it has, or what it was given when the end came.
    fn outputs(&self, entries: &Entries, trace: &str) -> Vec<Output> {
        if !self.plan.acknowledge {
            return self.last[trace].outputs.clone();
        }
        let mut outputs = Vec::new();
        for (_, entry) in entries.iter().filter(|(of, _)| **of == *trace) {
            if let Record::Delivered { message: Some(id), .. } = entry.record {
                let given = self.given.iter().filter(|((of, _, message), _)| of == trace && *message == id);
                outputs.extend(given.map(|((_, node, _), value)| (node.clone(), id, value.clone())));
            }
        }
        outputs
    }
}

fn delivered(entries: &Entries) -> BTreeSet<(String, MessageId)> {
    let delivered = entries.iter().filter_map(|(trace, entry)| match entry.record {
        Record::Delivered { message: Some(message), .. } => Some((trace.to_string(), message)),
        _ => None,
    });
    delivered.collect()
}

fn ended(entries: &Entries, trace: &str) -> Terminal {
    let mut ends = entries.iter().filter(|(of, _)| **of == *trace).filter_map(|(_, entry)| match &entry.record {
        Record::Ended(terminal) => Some(terminal.clone()),
        _ => None,
    });
    let end = ends.next().unwrap_or_else(|| panic!("{trace} has no end in the journal"));
    assert!(ends.next().is_none(), "{trace} has two ends in the journal");
    end
}

/// Calls that began and of which it is not known whether they took effect, of traces that go on.
fn doubtful(journal: &Notebook) -> BTreeMap<String, Vec<At>> {
    let mut doubtful = BTreeMap::<String, Vec<At>>::new();
    for (trace, at) in Past::of(journal).doubtful_and_open(&journal.entries()) {
        doubtful.entry(trace).or_default().push(at);
    }
    doubtful
}

/// Times and numbers of events that were counted before a record never go back.
fn check_entries(entries: &Entries) {
    let mut last: BTreeMap<&Arc<str>, (u64, u64)> = BTreeMap::new();
    for (trace, entry) in entries.iter().filter(|(_, entry)| entry.seq > 0) {
        let before = last.insert(trace, (entry.at_ms, entry.seq)).unwrap_or_default();
        assert!(before <= (entry.at_ms, entry.seq) && before.1 <= entry.seq, "{trace}: {entry:?} after {before:?}");
    }
}

fn paces() -> impl Strategy<Value = Vec<Duration>> {
    vec(prop_oneof![2 => Just(0), 2 => Just(1), 1 => Just(40)].prop_map(Duration::from_millis), 0..4)
}

fn part(of: usize, fraction: f64) -> usize {
    (of as f64 * fraction) as usize
}

/// Dies at two records, one after the other, and then goes on to the end. `life` is one that did not.
async fn die_twice(mut life: Life, whole: &Entries, cuts: (f64, f64), run: &Run) {
    let mut entries = whole.clone();
    let mut kept = 0;
    for cut in [cuts.0, cuts.1] {
        kept += part(entries.len() - kept, cut);
        entries.truncate(kept);
        entries = life.run(entries, run).await;
        check_entries(&entries);
    }
    life.check(&entries);
    life.check_attempts(whole, &entries);
}

impl Life {
    /// Where time decides nothing, the same attempts were made as if nobody had died.
    fn check_attempts(&self, whole: &Entries, entries: &Entries) {
        let all = [whole, entries].map(|entries| Past::of(&Notebook::with(entries.clone())).ended);
        for (request, (_, priority)) in self.plan.requests.iter().enumerate() {
            let expected = model::expect(&self.plan, *priority);
            if expected.exact && !expected.loose && expected.ends == [End::Completed] {
                let [whole, found] = all.each_ref().map(|ended| {
                    let of = ended.iter().filter(|(trace, _)| *trace == Plan::trace(request));
                    of.map(|(_, at)| at.clone()).collect::<BTreeSet<At>>()
                });
                assert_eq!(found, whole);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_process_may_die_at_any_record(
        plan in plans(),
        cuts in vec((0.0f64..1.0, 0.0f64..1.0), 1..5),
        pace in paces(),
        clock in prop_oneof![Just(0i64), Just(30), Just(100_000)],
    ) {
        paused().block_on(async {
            let run = Run::new(pace);
            let mut undisturbed = Life::new(&plan);
            let whole = undisturbed.run(Vec::new(), &run).await;
            undisturbed.check(&whole);
            check_entries(&whole);
            for cuts in cuts {
                die_twice(undisturbed.clone(), &whole, cuts, &Run { clock, ..run.clone() }).await;
            }
        });
    }

    #[test]
    fn a_clock_may_be_set_back_between_processes(
        plan in plans(),
        cuts in vec(0.0f64..1.0, 1..5),
        clock in prop_oneof![Just(-20i64), Just(-100_000), Just(-2_000_000)],
    ) {
        paused().block_on(async {
            let mut life = Life::new(&plan);
            let whole = life.run(Vec::new(), &Run::new(Vec::new())).await;
            for cut in cuts {
                let mut life = life.clone();
                let began = Instant::now();
                let kept = whole[..part(whole.len(), cut)].to_vec();
                let entries = life.run(kept, &Run { clock, ..Run::new(Vec::new()) }).await;
                life.check(&entries);
                life.check_attempts(&whole, &entries);
                // Pauses and times of joins are as long as they were: together they take less than this.
                assert!(began.elapsed() < LONGEST, "it took {:?}", began.elapsed());
            }
        });
    }

    #[test]
    fn a_journal_may_fail_at_any_record(
        plan in plans(),
        fails in vec((0.0f64..1.0, any::<bool>()), 1..5),
        pace in paces(),
    ) {
        paused().block_on(async {
            let run = Run::new(pace);
            let whole = Life::new(&plan).run(Vec::new(), &run).await;
            for (at, torn) in fails {
                let mut life = Life::new(&plan);
                let fails = Fails { at: part(whole.len(), at), torn };
                let entries = life.run(Vec::new(), &run.with(Trouble::Fails(fails))).await;
                life.check_stopped(&entries);
                let entries = life.run(entries, &run).await;
                check_entries(&entries);
                life.check(&entries);
                life.check_attempts(&whole, &entries);
            }
        });
    }

    #[test]
    fn a_flow_may_stop_at_any_moment(plan in plans(), stops in vec(0u64..150, 1..5), pace in paces()) {
        paused().block_on(async {
            let run = Run::new(pace);
            let (mut life, mut entries) = (Life::new(&plan), Vec::new());
            for after in stops {
                entries = life.run(entries, &run.with(Trouble::Stops(after))).await;
            }
            let entries = life.run(entries, &run).await;
            check_entries(&entries);
            life.check(&entries);
        });
    }

    #[test]
    fn a_cancel_is_kept_whenever_the_process_dies(
        plan in plans(),
        request in 0usize..4,
        after in 0u64..100,
        cuts in vec(0.0f64..1.0, 1..5),
        pace in paces(),
    ) {
        paused().block_on(async {
            let run = Run::new(pace);
            let mut life = Life::new(&plan);
            let whole = life.run(Vec::new(), &run.with(Trouble::Cancels(request, after))).await;
            life.check(&whole);
            for cut in cuts {
                let mut life = life.clone();
                let kept = whole[..part(whole.len(), cut)].to_vec();
                // Whoever cancels is not told whether the journal has it.
                let is_kept = kept.iter().any(|(trace, entry)| is_end(entry, End::Cancelled) && **trace == *Plan::trace(request));
                life.cancelled = life.cancelled.filter(|_| is_kept);
                let entries = life.run(kept, &run).await;
                life.check(&entries);
            }
        });
    }
}

/// Longer than any pause, time of a join, call and reader together.
const LONGEST: Duration = Duration::from_secs(60);

fn is_end(entry: &Entry, end: End) -> bool {
    matches!(&entry.record, Record::Ended(terminal) if terminal.end == end)
}

impl Life {
    /// The journal failed: whoever had not ended was stopped and told why, and who came later was refused.
    fn check_stopped(&self, entries: &Entries) {
        for (trace, read) in &self.last {
            match &read.end {
                Err(error) => assert_eq!(*error, Error::Journal(FULL.to_owned())),
                Ok(terminal) if terminal.end.is_final() => assert_eq!(ended(entries, trace).end, terminal.end),
                Ok(terminal) => {
                    let error = terminal.error.as_ref().unwrap();
                    assert_eq!((terminal.end, error.code.as_str(), error.message.as_str()), (End::Stopped, "journal", FULL));
                }
            }
        }
    }
}
