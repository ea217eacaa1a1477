//! What must come of a plan: computed node by node, without time, queues or a scheduler.

use std::collections::{BTreeMap, BTreeSet};

use floe_flow::{End, Late};
use serde_json::{Value, json};

use super::plan::{Fails, Kind, Node, OnFail, Plan};

/// Tokens of each turn of a loop.
pub(crate) const TOKENS: u64 = 10;

/// What is certain about a request.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// The ends that it may have.
    pub(crate) ends: Vec<End>,
    /// Which messages a join takes together does not depend on time: payloads are known. If not, their weights are.
    pub(crate) exact: bool,
    /// Time decides what comes out.
    pub(crate) loose: bool,
    /// By node, in no order.
    pub(crate) outputs: BTreeMap<usize, Vec<Value>>,
    /// By node.
    pub(crate) counts: Vec<Counts>,
    /// Attempts, as long as nothing ends it early.
    pub(crate) hops: u64,
    pub(crate) fuel: u64,
    tokens: u64,
    /// Messages that ever were, without turns of loops.
    messages: u64,
    fails: bool,
}

/// Events of a node.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// First attempts.
    pub(crate) taken: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) gave_up: u64,
    pub(crate) discarded: u64,
    pub(crate) joined: u64,
    pub(crate) members: u64,
    pub(crate) outputs: u64,
}

/// How much of the input is in a payload.
pub(crate) fn weight(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(weight).sum(),
        _ if value.get("error").is_some() => weight(&value["payload"]),
        _ => value["w"].as_u64().unwrap_or(0),
    }
}

/// Says from where a payload comes, whatever the words of failures on its way.
fn digest(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().fold(7, |all, item| all * 31 % 1_000_003 + digest(item)),
        _ if value.get("error").is_some() => digest(&value["payload"]) + 1,
        _ => value["h"].as_u64().unwrap_or(0),
    }
}

pub(crate) fn input() -> Value {
    json!({ "w": 1, "i": 0, "k": 0, "h": 0 })
}

/// What a node emits as its `index`-th.
pub(crate) fn emission(node: usize, index: usize, handled: &Value) -> Value {
    let digest = (digest(handled) * 131 + node as u64 * 17 + index as u64 + 1) % 1_000_003;
    json!({ "w": weight(handled), "i": index, "k": index % 2, "h": digest })
}

/// A payload without the words of failures.
pub(crate) fn stripped(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(stripped).collect(),
        _ if value.get("error").is_some() => json!({ "failed": stripped(&value["payload"]) }),
        _ => value.clone(),
    }
}

impl Fails {
    /// Attempts at this payload that fail, at most.
    pub(crate) fn at(&self, value: &Value) -> u32 {
        let fits = self.index.is_none_or(|index| value["i"] == json!(index));
        if fits { self.attempts } else { 0 }
    }
}

#[derive(Debug, Clone)]
struct Message {
    value: Value,
    /// None: it depends on time.
    priority: Option<i32>,
    /// The innermost first.
    frames: Vec<Frame>,
    sender: usize,
}

#[derive(Debug, Clone)]
struct Frame {
    join: usize,
    call: usize,
    path: Vec<usize>,
}

#[derive(Debug)]
struct Group {
    base: Vec<Frame>,
    priority: Option<i32>,
    members: Vec<(Vec<usize>, usize, Value)>,
    failed: bool,
    absorbed: bool,
}

struct Run<'a> {
    plan: &'a Plan,
    arrivals: Vec<Vec<Message>>,
    groups: BTreeMap<(usize, usize), Group>,
    calls: usize,
    found: Expected,
}

/// What must come of a request with this priority.
pub(crate) fn expect(plan: &Plan, priority: i32) -> Expected {
    let count = plan.nodes.len();
    let found = Expected { exact: true, counts: vec![Counts::default(); count], ..Expected::default() };
    let mut run = Run { plan, arrivals: vec![Vec::new(); count], groups: BTreeMap::new(), calls: 0, found };
    for node in plan.inputs() {
        let message = Message { value: input(), priority: Some(priority), frames: Vec::new(), sender: node };
        run.arrivals[node].push(message);
        run.found.messages += 1;
    }
    for node in 0..count {
        let arrivals = std::mem::take(&mut run.arrivals[node]);
        match &plan.nodes[node].kind {
            Kind::All { of, .. } => run.gather(node, *of, arrivals),
            Kind::Count { count, by } => run.count(node, *count, *by, arrivals),
            Kind::Each => run.each(node, &arrivals),
            Kind::Discard => run.found.counts[node].discarded += arrivals.len() as u64,
            Kind::Work { .. } | Kind::Route { .. } | Kind::Loop { .. } => {
                arrivals.iter().for_each(|message| run.handle(node, message));
            }
        }
    }
    run.conclude()
}

impl Run<'_> {
    fn conclude(self) -> Expected {
        let (limits, mut found) = (&self.plan.limits, self.found);
        found.loose |= self.plan.nodes.iter().any(|node| node.within.is_some() && is_join(node));
        let beyond = limits.hops.is_some_and(|max| found.hops > max)
            || limits.fuel.is_some_and(|max| found.fuel >= max && found.hops > 0)
            || limits.tokens.is_some_and(|max| found.tokens >= max && found.tokens > 0);
        // How many messages are there at once depends on time.
        let perhaps = limits.messages.is_some_and(|max| found.messages > max);
        let any = [limits.hops, limits.messages, limits.fuel, limits.tokens].iter().any(Option::is_some);
        found.ends = match (found.loose, found.fails, beyond) {
            (true, ..) => vec![End::Completed, End::Failed],
            (_, true, true) => vec![End::Failed, End::BudgetExhausted],
            (_, true, _) => vec![End::Failed],
            (_, _, true) => vec![End::BudgetExhausted],
            _ => vec![End::Completed],
        };
        if perhaps || (found.loose && any) {
            found.ends.push(End::BudgetExhausted);
        }
        found
    }

    // === running nodes ===

    fn handle(&mut self, node: usize, message: &Message) {
        let Node { kind, fails, retries, on_failure, fuel, .. } = &self.plan.nodes[node];
        let turns = match kind {
            Kind::Loop { turns, .. } => *turns,
            _ => 1,
        };
        let fails_at = if matches!(kind, Kind::Route { .. }) { 0 } else { fails.at(&message.value) };
        let tries = if fails.passing { retries + 1 } else { 1 };
        let counts = &mut self.found.counts[node];
        if fails_at >= tries {
            counts.taken += 1;
            counts.failed += u64::from(tries);
            counts.retried += u64::from(tries - 1);
            counts.gave_up += 1;
            self.found.hops += u64::from(tries);
            self.found.fuel += fuel * u64::from(tries);
            return self.give_up(on_failure, node, message);
        }
        let (turns, failing) = (u64::from(turns), u64::from(fails_at));
        counts.taken += turns;
        counts.succeeded += turns;
        counts.failed += turns * failing;
        counts.retried += turns * failing;
        self.found.hops += turns * (failing + 1);
        if !matches!(kind, Kind::Route { .. }) {
            self.found.fuel += fuel * turns * (failing + 1);
        }
        match kind {
            Kind::Work { copies } => self.emit(node, message, *copies, None),
            Kind::Route { least, to, otherwise, all } => self.route(node, message, *least, to, otherwise, *all),
            Kind::Loop { copies, each, .. } => {
                self.found.tokens += TOKENS * (turns - 1);
                if *each {
                    (1..turns).for_each(|_| self.emit(node, message, 1, None));
                }
                match copies {
                    Some(copies) => self.emit(node, message, *copies, None),
                    None => self.leave(node, &emission(node, 0, &message.value)),
                }
            }
            _ => unreachable!("joins and discarding nodes handle nothing"),
        }
    }

    fn route(&mut self, node: usize, message: &Message, least: i32, to: &[usize], otherwise: &[usize], all: bool) {
        let Some(priority) = message.priority else {
            self.found.loose = true;
            return;
        };
        let mut chosen: BTreeSet<usize> = if priority >= least { to } else { otherwise }.iter().copied().collect();
        if all {
            chosen.extend(otherwise);
        }
        let chosen: Vec<usize> = chosen.into_iter().collect();
        self.emit(node, message, usize::from(!chosen.is_empty()), Some(&chosen));
    }

    fn give_up(&mut self, on_failure: &OnFail, node: usize, message: &Message) {
        match on_failure {
            OnFail::Fail => self.found.fails = true,
            OnFail::Drop => {
                for frame in &message.frames {
                    if let Some(group) = self.groups.get_mut(&(frame.join, frame.call)) {
                        group.failed = true;
                    }
                }
            }
            OnFail::To(target) => {
                let value = json!({ "error": true, "payload": message.value });
                self.arrive(*target, &Message { value, sender: node, ..message.clone() });
            }
        }
    }

    /// Emits copies, or, for a router, passes on to those that it chose.
    fn emit(&mut self, node: usize, handled: &Message, copies: usize, chosen: Option<&[usize]>) {
        let reaches = self.plan.reaches(node);
        let is_over = |join: &usize| matches!(self.plan.nodes[*join].kind, Kind::All { of, .. } if of == node);
        let joins: Vec<usize> = reaches.into_iter().filter(is_over).collect();
        let call = self.calls;
        self.calls += 1;
        for &join in &joins {
            let (base, priority) = (handled.frames.clone(), handled.priority);
            let group = Group { base, priority, members: Vec::new(), failed: false, absorbed: false };
            self.groups.insert((join, call), group);
        }
        for index in 0..copies {
            let mut frames = handled.frames.clone();
            if copies > 1 {
                frames.iter_mut().for_each(|frame| frame.path.push(index));
            }
            for &join in &joins {
                frames.insert(0, Frame { join, call, path: vec![index] });
            }
            let (value, priority) = match chosen {
                Some(_) => (handled.value.clone(), handled.priority),
                None if matches!(self.plan.nodes[node].kind, Kind::Work { .. }) => {
                    (emission(node, index, &handled.value), i32::try_from(index % 3).ok())
                }
                None => (emission(node, index, &handled.value), handled.priority),
            };
            let message = Message { value, priority, frames, sender: node };
            match chosen {
                Some(chosen) => chosen.iter().for_each(|to| self.arrive(*to, &message)),
                None => self.send(node, &message),
            }
        }
    }

    fn send(&mut self, node: usize, message: &Message) {
        let successors = self.plan.successors(node);
        if successors.is_empty() {
            return self.leave(node, &message.value);
        }
        for to in successors {
            self.arrive(to, message);
        }
    }

    fn arrive(&mut self, node: usize, message: &Message) {
        let reaches = self.plan.reaches(node);
        let frames = message.frames.iter().filter(|frame| reaches.contains(&frame.join)).cloned().collect();
        self.arrivals[node].push(Message { frames, ..message.clone() });
        self.found.messages += 1;
    }

    fn leave(&mut self, node: usize, value: &Value) {
        self.found.outputs.entry(node).or_default().push(stripped(value));
        self.found.counts[node].outputs += 1;
        self.found.messages += 1;
    }

    // === joins ===

    fn gather(&mut self, node: usize, of: usize, arrivals: Vec<Message>) {
        for message in arrivals {
            let Some(place) = message.frames.iter().position(|frame| frame.join == node) else {
                // It came by a way around the node that the join is over.
                self.found.fails = true;
                continue;
            };
            for inner in &message.frames[..place] {
                if let Some(group) = self.groups.get_mut(&(inner.join, inner.call)) {
                    group.absorbed = true;
                }
            }
            let frame = &message.frames[place];
            if let Some(group) = self.groups.get_mut(&(node, frame.call)) {
                group.members.push((frame.path.clone(), message.sender, message.value));
            }
        }
        debug_assert!(of < node, "a join is behind what it is over");
        let calls: Vec<usize> = self.groups.keys().filter(|(join, _)| *join == node).map(|(_, call)| *call).collect();
        for call in calls {
            if let Some(group) = self.groups.remove(&(node, call)) {
                self.release(node, group);
            }
        }
    }

    fn release(&mut self, node: usize, mut group: Group) {
        let arrived = group.members.len();
        if group.absorbed && arrived == 0 {
            return;
        }
        if group.failed && self.plan.nodes[node].quorum.is_none_or(|quorum| arrived < quorum) {
            self.found.fails = true;
            return;
        }
        group.members.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        let tied = group.members.windows(2).any(|pair| (&pair[0].0, pair[0].1) == (&pair[1].0, pair[1].1));
        self.found.exact &= !tied;
        let members: Vec<Value> = group.members.into_iter().map(|(_, _, value)| value).collect();
        self.join(node, members, group.priority, group.base);
    }

    fn count(&mut self, node: usize, count: usize, by: bool, arrivals: Vec<Message>) {
        let mut buckets: BTreeMap<String, Vec<Message>> = BTreeMap::new();
        for message in arrivals {
            match message.value.get("k") {
                Some(key) if by => buckets.entry(key.to_string()).or_default().push(message),
                None if by => self.found.fails = true,
                _ => buckets.entry(String::new()).or_default().push(message),
            }
        }
        for bucket in buckets.into_values() {
            self.found.exact &= count == 1 || bucket.len() == 1;
            self.mix(&bucket, count > 1);
            for members in bucket.chunks(count) {
                self.together(node, count, members.to_vec(), false);
            }
        }
    }

    fn each(&mut self, node: usize, arrivals: &[Message]) {
        let sources = self.plan.sources(node);
        let mut rounds: Vec<Vec<Message>> = Vec::new();
        let once = sources.iter().all(|from| arrivals.iter().filter(|message| message.sender == *from).count() <= 1);
        if !once {
            self.found.exact = false;
            self.mix(arrivals, true);
        }
        // In the order in which the join names them.
        for source in &sources {
            for (round, message) in arrivals.iter().filter(|message| message.sender == *source).enumerate() {
                if rounds.len() <= round {
                    rounds.push(Vec::new());
                }
                rounds[round].push(message.clone());
            }
        }
        for members in rounds {
            self.together(node, sources.len(), members, once);
        }
    }

    /// Time decides which of these messages go on together. If they are members of something further out, it decides more.
    fn mix(&mut self, messages: &[Message], mixed: bool) {
        let outer = |message: &Message| -> Vec<(usize, usize)> { message.frames.iter().map(|f| (f.join, f.call)).collect() };
        self.found.loose |= mixed && messages.windows(2).any(|pair| outer(&pair[0]) != outer(&pair[1]));
    }

    /// The envelope is the first one's: it is `known` which that is, or they have one alike.
    fn together(&mut self, node: usize, wanted: usize, members: Vec<Message>, known: bool) {
        if members.len() < wanted && self.plan.nodes[node].quorum.is_none_or(|quorum| members.len() < quorum) {
            self.found.fails = true;
            return;
        }
        let first = members[0].clone();
        let known = known || members.iter().all(|member| member.priority == first.priority);
        let values = members.into_iter().map(|member| member.value).collect();
        self.join(node, values, first.priority.filter(|_| known), first.frames);
    }

    fn join(&mut self, node: usize, members: Vec<Value>, priority: Option<i32>, frames: Vec<Frame>) {
        let counts = &mut self.found.counts[node];
        counts.joined += 1;
        counts.members += members.len() as u64;
        let message = Message { value: Value::Array(members), priority, frames, sender: node };
        self.send(node, &message);
    }
}

pub(crate) fn is_join(node: &Node) -> bool {
    matches!(node.kind, Kind::All { .. } | Kind::Count { .. } | Kind::Each)
}

/// Whether what comes late to this join is dropped.
pub(crate) fn drops_late(node: &Node) -> bool {
    matches!(node.kind, Kind::All { late: Late::Drop, .. })
}
