//! What the events of a trace say about it as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_flow::{At, End, Entry, Event, EventKind, MessageId, Record, Terminal};

use super::model::{Counts, Expected, drops_late};
use super::plan::{Kind, OnFail, Plan};
use super::world::Called;

fn number(node: &str) -> usize {
    node[1..].parse().unwrap()
}

/// One end, no gap, and nothing that came in is lost.
pub(super) fn check(plan: &Plan, expected: &Expected, story: &[Event], terminal: &Terminal) {
    for (seq, event) in (0..).zip(story) {
        assert_eq!(event.seq, seq);
    }
    assert!(story.is_sorted_by_key(|event| event.at_us));
    let named = |name: &str| story.iter().filter(|event| event.kind.name() == name).count();
    assert_eq!((named("accepted"), named("ended")), (1, 1));
    assert_eq!(story[0].kind.name(), "accepted");
    let EventKind::Ended { terminal: told, .. } = &story[story.len() - 1].kind else { panic!("something follows the end") };
    assert_eq!(told, terminal);
    assert_eq!(named("ending"), usize::from(terminal.end != End::Completed));
    assert!(named("started") >= named("succeeded") + named("failed"));
    attempts_are_made_once(story);
    if terminal.end != End::Completed {
        return;
    }
    assert_eq!(named("started"), named("succeeded") + named("failed"));
    let counts = count(plan, story);
    if !expected.loose {
        assert_eq!(counts, expected.counts);
        assert_eq!(named("started") as u64, expected.hops);
    }
    balance(plan, story, &counts);
}

fn attempts_are_made_once(story: &[Event]) {
    let mut made = BTreeSet::new();
    for event in story {
        if let EventKind::Started { node, message, attempt, .. } = &event.kind {
            let last = attempt.checked_sub(2).map(|before| (Arc::clone(node), *message, before + 1));
            assert!(last.is_none_or(|last| made.contains(&last)), "attempt {attempt} of {node} comes out of nothing");
            assert!(made.insert((Arc::clone(node), *message, *attempt)), "attempt {attempt} of {node} is made twice");
        }
    }
}

fn count(plan: &Plan, story: &[Event]) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); plan.nodes.len()];
    for event in story {
        match &event.kind {
            EventKind::Started { node, attempt, .. } => counts[number(node)].taken += u64::from(*attempt == 1),
            EventKind::Succeeded { node, .. } => counts[number(node)].succeeded += 1,
            EventKind::Failed { node, .. } => counts[number(node)].failed += 1,
            EventKind::Retry { node, .. } => counts[number(node)].retried += 1,
            EventKind::GaveUp { node, .. } => counts[number(node)].gave_up += 1,
            EventKind::Discarded { node, .. } => counts[number(node)].discarded += 1,
            EventKind::Output { node, .. } => counts[number(node)].outputs += 1,
            EventKind::Joined { node, members, .. } => {
                counts[number(node)].joined += 1;
                counts[number(node)].members += *members as u64;
            }
            _ => {}
        }
    }
    counts
}

/// As many messages as were made were handled, discarded, gathered, dropped for being late, or left.
fn balance(plan: &Plan, story: &[Event], counts: &[Counts]) {
    let mut made = plan.inputs().len() as u64;
    let mut gone = 0;
    let mut emitted: BTreeMap<usize, u64> = BTreeMap::new();
    for event in story {
        match &event.kind {
            EventKind::Succeeded { node, emitted: count, .. } => *emitted.entry(number(node)).or_default() += *count as u64,
            EventKind::Late { node, .. } => gone += u64::from(drops_late(&plan.nodes[number(node)])),
            _ => {}
        }
    }
    for (index, (node, counts)) in plan.nodes.iter().zip(counts).enumerate() {
        let copies = plan.successors(index).len().max(1) as u64;
        let emitted = emitted.get(&index).copied().unwrap_or(0);
        gone += counts.taken + counts.discarded + counts.members + counts.outputs;
        made += counts.joined * copies + if matches!(node.on_failure, OnFail::To(_)) { counts.gave_up } else { 0 };
        made += match &node.kind {
            // Whom it chose, no event says; alike, or not known.
            Kind::Route { to, otherwise, all, .. } if *all || to.len() != otherwise.len() => return,
            Kind::Route { to, .. } => emitted * to.len() as u64,
            Kind::Loop { turns, copies: answer, .. } => {
                let loops = counts.succeeded / u64::from(*turns);
                let answers = if answer.is_none() { loops } else { 0 };
                emitted * copies + counts.succeeded - loops + answers
            }
            _ => emitted * copies,
        };
    }
    assert_eq!(made, gone, "messages that were made, and those that came to an end");
}

/// An ordered node takes one message at a time, and those of each sender in the order in which they came.
pub(super) fn check_order(plan: &Plan, story: &[Event], calls: &[Called]) {
    for node in (0..plan.nodes.len()).filter(|node| is_watched(plan, *node)) {
        let name = Plan::name(node);
        let called = |message: MessageId| calls.iter().find(|called| *called.at.node == *name && called.at.message == message);
        let (mut came, mut begun, mut running) = (Vec::new(), Vec::new(), None);
        for event in story {
            let (at, message) = match &event.kind {
                EventKind::Queued { node, message, .. } | EventKind::Blocked { node, message, .. } => (node, message),
                EventKind::Started { node, message, .. } if **node == *name => {
                    assert!(running.is_none_or(|other| other == *message), "{name} takes two at a time");
                    running = Some(*message);
                    if !begun.contains(message) {
                        begun.push(*message);
                    }
                    (node, message)
                }
                EventKind::Succeeded { node, .. } | EventKind::GaveUp { node, .. } if **node == *name => {
                    running = None;
                    continue;
                }
                _ => continue,
            };
            if **at == *name && !came.contains(message) {
                came.push(*message);
            }
        }
        came.retain(|message| begun.contains(message));
        for sender in begun.iter().filter_map(|message| called(*message)).map(|called| &called.source) {
            let of = |messages: &[MessageId]| -> Vec<MessageId> {
                messages
                    .iter()
                    .copied()
                    .filter(|message| called(*message).is_some_and(|called| called.source == *sender))
                    .collect()
            };
            assert_eq!(of(&begun), of(&came), "{name} takes what {sender:?} sent in another order");
        }
    }
}

/// Ordered, and its calls are known.
fn is_watched(plan: &Plan, node: usize) -> bool {
    plan.nodes[node].ordered && matches!(plan.nodes[node].kind, Kind::Work { .. } | Kind::Loop { .. })
}

/// As [`check_order`], from the records of however many processes: an ordered node takes the messages of each sender in the order
/// in which that sender's calls are in the journal, and of one call in the order of its emissions.
pub(super) fn check_order_of_records(plan: &Plan, entries: &[(Arc<str>, Entry)], calls: &[Called]) {
    let traces: BTreeSet<&Arc<str>> = entries.iter().map(|(trace, _)| trace).collect();
    for trace in traces {
        let attempts: Vec<(&At, bool)> =
            entries.iter().filter(|(of, _)| of == trace).filter_map(|(_, entry)| attempt(entry)).collect();
        let position = |node: &Arc<str>, message: MessageId, failed: bool| {
            attempts.iter().rposition(|(at, fails)| at.node == *node && at.message == message && *fails == failed)
        };
        for node in (0..plan.nodes.len()).filter(|node| is_watched(plan, *node)) {
            let name = Plan::name(node);
            let mut last: BTreeMap<&(Arc<str>, bool), (usize, u64)> = BTreeMap::new();
            for (at, _) in attempts.iter().filter(|(at, _)| *at.node == *name && at.attempt == 1) {
                let Some(called) = calls.iter().find(|called| called.trace == **trace && called.at == **at) else { continue };
                let (Some(source), Some(parent)) = (&called.source, called.parent) else { continue };
                let sender = number(&source.0);
                let Some(place) = position(&source.0, parent, source.1) else { continue };
                let emits =
                    matches!(plan.nodes[sender].kind, Kind::Work { .. } | Kind::Loop { .. }) && sender != node && !source.1;
                let key = (place, if emits { called.index.unwrap_or(0) } else { 0 });
                if let Some(before) = last.insert(source, key) {
                    assert!(before < key, "{name} of {trace} takes what {source:?} sent in another order");
                }
            }
        }
    }
}

fn attempt(entry: &Entry) -> Option<(&At, bool)> {
    match &entry.record {
        Record::Done { at, .. } => Some((at, false)),
        Record::Failed { at, .. } => Some((at, true)),
        _ => None,
    }
}
