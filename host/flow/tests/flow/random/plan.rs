//! Random flows: nodes, edges, room, budgets, and who asks.

use std::collections::BTreeSet;

use floe_flow::Late;
use proptest::collection::vec;
use proptest::prelude::*;

use super::model;

/// Attempts that a flow may take for one request; a plan that takes more is made smaller.
const MOST_HOPS: u64 = 120;

/// A flow, and what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Edges go from lower to higher numbers.
    pub(crate) nodes: Vec<Node>,
    /// From, to, and how many messages may wait there.
    pub(crate) edges: Vec<(usize, usize, usize)>,
    /// Tenant and priority of each request.
    pub(crate) requests: Vec<(usize, i32)>,
    pub(crate) room: Room,
    pub(crate) limits: Limits,
    /// The readers say themselves what they have.
    pub(crate) acknowledge: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) in_flight: usize,
    pub(crate) per_tenant: usize,
    /// No tenant holds all slots of a node.
    pub(crate) spare: bool,
    pub(crate) reader: usize,
    /// Milliseconds that a reader needs for each item.
    pub(crate) reading: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    pub(crate) hops: Option<u64>,
    pub(crate) messages: Option<u64>,
    pub(crate) fuel: Option<u64>,
    pub(crate) tokens: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) fails: Fails,
    pub(crate) retries: u32,
    pub(crate) on_failure: OnFail,
    pub(crate) concurrency: usize,
    pub(crate) ordered: bool,
    /// Milliseconds of an attempt.
    pub(crate) pause: u64,
    pub(crate) fuel: u64,
    pub(crate) repeatable: bool,
    /// Emits before it returns.
    pub(crate) early: bool,
    /// Of a join.
    pub(crate) quorum: Option<usize>,
    /// Of a join, in milliseconds.
    pub(crate) within: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Work {
        copies: usize,
    },
    /// To some successors from a priority on, else to others; with `all`, to the others in any case.
    Route {
        least: i32,
        to: Vec<usize>,
        otherwise: Vec<usize>,
        all: bool,
    },
    /// Turns, then copies for the successors, or none for a final answer. With `each`, every turn but the last emits one.
    Loop {
        turns: u32,
        copies: Option<usize>,
        each: bool,
    },
    All {
        of: usize,
        late: Late,
    },
    Count {
        count: usize,
        by: bool,
    },
    /// One of each of its predecessors.
    Each,
    Discard,
}

/// How many attempts at a message fail, and at which messages: all, or those with this index among their sender's emissions.
#[derive(Debug, Clone)]
pub(crate) struct Fails {
    pub(crate) attempts: u32,
    pub(crate) index: Option<u64>,
    /// Of a kind that is retried.
    pub(crate) passing: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OnFail {
    Fail,
    Drop,
    To(usize),
}

// === impl Plan ===

impl Plan {
    pub(crate) fn name(node: usize) -> String {
        format!("n{node}")
    }

    pub(crate) fn trace(request: usize) -> String {
        format!("t{request}")
    }

    pub(crate) fn successors(&self, node: usize) -> Vec<usize> {
        self.edges.iter().filter(|edge| edge.0 == node).map(|edge| edge.1).collect()
    }

    /// Whoever sends here, failures included, without repetition.
    pub(crate) fn sources(&self, node: usize) -> BTreeSet<usize> {
        let failing = (0..node).filter(|from| self.nodes[*from].on_failure == OnFail::To(node));
        self.edges.iter().filter(|edge| edge.1 == node).map(|edge| edge.0).chain(failing).collect()
    }

    pub(crate) fn inputs(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.sources(*node).is_empty()).collect()
    }

    /// The nodes that a message at this node can still reach, itself included.
    pub(crate) fn reaches(&self, node: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::from([node]);
        for next in node + 1..self.nodes.len() {
            if self.sources(next).iter().any(|from| reached.contains(from)) {
                reached.insert(next);
            }
        }
        reached
    }

    /// Whether every way from an input to `node` leads through `by`.
    fn leads_through(&self, by: usize, node: usize) -> bool {
        let inputs = self.inputs();
        let mut around: BTreeSet<usize> = inputs.into_iter().filter(|input| *input != by).collect();
        for next in 0..=node {
            if next != by && self.sources(next).iter().any(|from| around.contains(from)) {
                around.insert(next);
            }
        }
        !around.contains(&node)
    }

    pub(crate) fn runs(&self, node: usize) -> bool {
        matches!(self.nodes[node].kind, Kind::Work { .. } | Kind::Route { .. } | Kind::Loop { .. })
    }

    /// Makes it smaller until a request takes no more than [`MOST_HOPS`].
    fn shrink(&mut self) {
        let hops = |plan: &Self| plan.requests.iter().map(|request| model::expect(plan, request.1).hops).max().unwrap_or(0);
        for node in (0..self.nodes.len()).rev() {
            if hops(self) <= MOST_HOPS {
                return;
            }
            if let Kind::Work { copies } | Kind::Loop { copies: Some(copies), .. } = &mut self.nodes[node].kind {
                *copies = (*copies).min(1);
            }
        }
        while hops(self) > MOST_HOPS && self.edges.pop().is_some() {
            self.fit();
        }
    }

    /// Turns what does not fit its place into something that does.
    fn fit(&mut self) {
        for node in 0..self.nodes.len() {
            let successors = self.successors(node);
            let kind = &mut self.nodes[node].kind;
            if let Kind::Route { to, otherwise, .. } = kind {
                to.retain(|target| successors.contains(target));
                otherwise.retain(|target| successors.contains(target));
            }
            if *kind == Kind::Discard && !successors.is_empty() {
                *kind = Kind::Work { copies: 1 };
            }
        }
        for node in 0..self.nodes.len() {
            if !matches!(self.nodes[node].kind, Kind::Work { .. } | Kind::Loop { .. }) {
                self.nodes[node].on_failure = OnFail::Fail;
            }
        }
        for node in 0..self.nodes.len() {
            self.fit_join(node);
        }
    }

    fn fit_join(&mut self, node: usize) {
        let sources = self.sources(node).len();
        let (of, wanted) = match self.nodes[node].kind {
            Kind::All { of, .. } => (Some(of), None),
            Kind::Count { count, .. } => (None, Some(count)),
            Kind::Each if sources < 2 => (None, Some(2)),
            Kind::Each => (None, Some(sources)),
            _ => return,
        };
        if self.nodes[node].kind == Kind::Each && sources < 2 {
            self.nodes[node].kind = Kind::Count { count: 2, by: false };
        }
        if let Some(wanted) = wanted {
            let quorum = &mut self.nodes[node].quorum;
            *quorum = quorum.map(|quorum| quorum.min(wanted));
        }
        let Some(wish) = of else { return };
        let ahead: Vec<usize> = (0..node).filter(|from| self.runs(*from) && self.reaches(*from).contains(&node)).collect();
        let through: Vec<usize> = ahead.iter().copied().filter(|from| self.leads_through(*from, node)).collect();
        // Now and then a join that some messages reach by another way.
        let choice = if through.is_empty() || wish % 16 == 15 { &ahead } else { &through };
        let settled = choice.contains(&wish).then_some(wish);
        match (settled.or_else(|| (!choice.is_empty()).then(|| choice[wish % choice.len()])), &mut self.nodes[node].kind) {
            (Some(from), Kind::All { of, .. }) => *of = from,
            (_, kind) => *kind = Kind::Count { count: 2, by: false },
        }
    }
}

// === strategies ===

fn copies() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0), 4 => Just(1), 5 => Just(2), 3 => Just(3)]
}

fn kinds() -> impl Strategy<Value = Kind> {
    let late = prop_oneof![3 => Just(Late::Drop), 1 => Just(Late::Fail), 2 => Just(Late::Pass)];
    let targets = || vec(1usize..9, 0..4);
    prop_oneof![
        6 => copies().prop_map(|copies| Kind::Work { copies }),
        2 => (0i32..3, targets(), targets(), any::<bool>())
            .prop_map(|(least, to, otherwise, all)| Kind::Route { least, to, otherwise, all }),
        2 => (1u32..4, proptest::option::of(0usize..3), any::<bool>())
            .prop_map(|(turns, copies, each)| Kind::Loop { turns, copies, each }),
        4 => (0usize..16, late).prop_map(|(of, late)| Kind::All { of, late }),
        1 => (1usize..4, prop::bool::weighted(0.2)).prop_map(|(count, by)| Kind::Count { count, by }),
        1 => Just(Kind::Each),
        1 => Just(Kind::Discard),
    ]
}

fn nodes() -> impl Strategy<Value = Node> {
    let fails = prop_oneof![
        4 => Just(Fails { attempts: 0, index: None, passing: true }),
        3 => (prop_oneof![3 => Just(1), 2 => Just(2), 1 => Just(3u32)], proptest::option::weighted(0.7, 0u64..3), prop::bool::weighted(0.8))
            .prop_map(|(attempts, index, passing)| Fails { attempts, index, passing }),
    ];
    let on_failure = prop_oneof![1 => Just(OnFail::Fail), 4 => Just(OnFail::Drop), 3 => (1usize..9).prop_map(OnFail::To)];
    let quorum = prop_oneof![1 => Just(None), 4 => Just(Some(0)), 1 => (1usize..3).prop_map(Some)];
    let pauses = prop_oneof![4 => Just(0), 1 => Just(5u64), 1 => Just(70)];
    let how = (1usize..4, prop::bool::weighted(0.3), pauses, 0u64..9, prop::bool::weighted(0.8), any::<bool>());
    let waits = proptest::option::weighted(0.1, 1u64..200);
    (kinds(), fails, prop_oneof![1 => Just(0), 2 => Just(1), 2 => Just(2u32)], on_failure, how, quorum, waits).prop_map(
        |(kind, fails, retries, on_failure, how, quorum, within)| {
            let (concurrency, ordered, pause, fuel, repeatable, early) = how;
            Node { kind, fails, retries, on_failure, concurrency, ordered, pause, fuel, repeatable, early, quorum, within }
        },
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    let limit = |range: std::ops::Range<u64>| proptest::option::weighted(0.08, range);
    (limit(1..40), limit(3..40), limit(1..150), limit(5..50)).prop_map(|(hops, messages, fuel, tokens)| Limits {
        hops,
        messages,
        fuel,
        tokens,
    })
}

/// Each node but the first has most often a predecessor at least, and there are a few edges more.
pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let parents = proptest::option::weighted(0.93, 0usize..8);
    let edges = vec((0usize..10, 0usize..10, 1usize..4), 0..7);
    let reading = prop_oneof![3 => Just(0u64), 1 => Just(3), 1 => Just(100)];
    let room = (1usize..5, 1usize..3, any::<bool>(), 1usize..5, reading)
        .prop_map(|(in_flight, per_tenant, spare, reader, reading)| Room { in_flight, per_tenant, spare, reader, reading });
    let requests = vec((0usize..3, -1i32..3), 1..5);
    (vec((nodes(), parents, 1usize..4), 3..11), edges, requests, room, limits(), any::<bool>()).prop_map(
        |(nodes, more, requests, room, limits, acknowledge)| {
            let mut edges: Vec<(usize, usize, usize)> = Vec::new();
            let parents = nodes.iter().enumerate().skip(1);
            let parents = parents.filter_map(|(node, (_, parent, queue))| Some(((*parent)? % node, node, *queue)));
            let more = more.into_iter().map(|(a, b, queue)| (a.min(b) % nodes.len(), a.max(b) % nodes.len(), queue));
            for (from, to, queue) in parents.chain(more) {
                if from < to && !edges.iter().any(|edge| (edge.0, edge.1) == (from, to)) {
                    edges.push((from, to, queue));
                }
            }
            let mut nodes: Vec<Node> = nodes.into_iter().map(|(node, ..)| node).collect();
            let count = nodes.len();
            if !matches!(nodes[0].kind, Kind::Work { .. } | Kind::Loop { .. }) {
                nodes[0].kind = Kind::Work { copies: 2 };
            }
            for (index, node) in nodes.iter_mut().enumerate() {
                match node.on_failure {
                    OnFail::To(_) if index + 1 == count => node.on_failure = OnFail::Drop,
                    OnFail::To(target) => node.on_failure = OnFail::To(index + 1 + target % (count - index - 1)),
                    OnFail::Fail | OnFail::Drop => {}
                }
            }
            let mut plan = Plan { nodes, edges, requests, room, limits, acknowledge };
            plan.spread();
            plan.fit();
            plan.shrink();
            plan
        },
    )
}

impl Plan {
    /// The targets of routers, which were drawn before there were edges.
    fn spread(&mut self) {
        for node in 0..self.nodes.len() {
            let successors = self.successors(node);
            if let Kind::Route { to, otherwise, .. } = &mut self.nodes[node].kind {
                for targets in [to, otherwise] {
                    let chosen: BTreeSet<usize> =
                        targets.iter().filter(|_| !successors.is_empty()).map(|n| successors[n % successors.len()]).collect();
                    *targets = chosen.into_iter().collect();
                }
            }
        }
    }
}
