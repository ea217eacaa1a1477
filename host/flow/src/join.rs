//! Joins: many messages become one.
//!
//! A join over `all: split` knows each call of `split` as a *group*. Every message that descends from one of the call's
//! emissions and can still reach the join carries a [`Frame`] that names the group, and the group counts them; when the last
//! one has arrived or ended, the group is whole. So members may multiply, be filtered or fail on their way, and groups nest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use crate::graph::NodeIndex;
use crate::message::{Message, Meta, Payload};

/// A node that makes one message of many: an array of their payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// Which messages it takes together.
    pub members: Members,
    /// With [`Members::Count`] and [`Members::EachOf`]: only messages with the same value at this path of the payload.
    pub by: Option<Vec<String>>,
    /// How long it waits: for `AllOf` from the call of the node, else from the first member.
    pub within: Option<Duration>,
    /// How many members are enough when the time is up or no more can come; none: all of them.
    pub quorum: Option<usize>,
    /// With `AllOf`: what happens to members that come when the others have gone on.
    pub late: Late,
}

/// Which messages a join takes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// All that came of one call of this node, in emission order.
    AllOf(String),
    /// So many messages of the trace, as they come; by sender in declaration order, then by arrival.
    Count(usize),
    /// One of each of these nodes, in this order. A second one of a node waits for the next round.
    EachOf(Vec<String>),
}

/// What happens to a member that comes too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// Its branch ends.
    Drop,
    /// The trace fails.
    Fail,
    /// It goes on by itself, as an array of one.
    Pass,
}

impl Join {
    /// Waits for all that came of one call of the node, however long.
    pub fn all_of(node: &str) -> Self {
        Self::of(Members::AllOf(node.to_owned()))
    }

    /// Waits for so many messages.
    pub fn count(count: usize) -> Self {
        Self::of(Members::Count(count))
    }

    /// Waits for one message of each of these nodes.
    pub fn each_of(nodes: &[&str]) -> Self {
        Self::of(Members::EachOf(nodes.iter().map(|&node| node.to_owned()).collect()))
    }

    fn of(members: Members) -> Self {
        Self { members, by: None, within: None, quorum: None, late: Late::Drop }
    }

    /// What is enough when no more members come.
    pub fn with_quorum(self, quorum: usize) -> Self {
        Self { quorum: Some(quorum), ..self }
    }
}

/// A message's place in one group.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) join: NodeIndex,
    pub(crate) group: u64,
    /// The index at the split, then the index at each later node that emitted more than one.
    pub(crate) path: Vec<u64>,
    pub(crate) outer: Lineage,
}

/// The groups that a message belongs to, the innermost first.
pub(crate) type Lineage = Option<Arc<Frame>>;

/// Iterates from the innermost frame outwards.
pub(crate) fn frames(lineage: &Lineage) -> impl Iterator<Item = &Frame> {
    std::iter::successors(lineage.as_deref(), |frame| frame.outer.as_deref())
}

/// The lineage without the frames that `keep` refuses.
pub(crate) fn retain(lineage: &Lineage, keep: &impl Fn(&Frame) -> bool) -> Lineage {
    let frame = lineage.as_ref()?;
    let outer = retain(&frame.outer, keep);
    if !keep(frame) {
        return outer;
    }
    let unchanged = match (&outer, &frame.outer) {
        (Some(new), Some(old)) => Arc::ptr_eq(new, old),
        (None, None) => true,
        _ => false,
    };
    if unchanged {
        return Some(Arc::clone(frame));
    }
    Some(Arc::new(Frame { join: frame.join, group: frame.group, path: frame.path.clone(), outer }))
}

/// The lineage of the `index`-th of several emissions: every path grows by the index.
pub(crate) fn extend(lineage: &Lineage, index: u64) -> Lineage {
    let frame = lineage.as_ref()?;
    let mut path = frame.path.clone();
    path.push(index);
    Some(Arc::new(Frame { join: frame.join, group: frame.group, path, outer: extend(&frame.outer, index) }))
}

/// A message that waits in a join.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) message: Arc<Message>,
    pub(crate) lineage: Lineage,
    pub(crate) path: Vec<u64>,
    pub(crate) sender: NodeIndex,
}

/// The emissions of one call of the node that a join is over.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) join: NodeIndex,
    /// The message that the call handled: its envelope and lineage pass to the joined message.
    pub(crate) parent: Arc<Message>,
    pub(crate) base: Lineage,
    /// Emissions of the call.
    pub(crate) total: u64,
    /// Copies of messages on their way that can still reach the join.
    pub(crate) live: u64,
    pub(crate) arrived: Vec<Member>,
    /// Indexes of emissions that failed on the way.
    pub(crate) failed: Vec<u64>,
    /// Members went into an enclosing join instead: nothing is due here.
    pub(crate) absorbed: bool,
    pub(crate) due: Option<Due>,
}

impl Group {
    /// The members in emission order.
    pub(crate) fn take_members(&mut self) -> Vec<Member> {
        let mut members = std::mem::take(&mut self.arrived);
        members.sort_by(|left, right| (&left.path, left.sender).cmp(&(&right.path, right.sender)));
        members
    }

    /// What the joined message says of missing members; nothing if all are there.
    pub(crate) fn missing(&self, members: &[Member]) -> Option<Payload> {
        let mut failed = self.failed.clone();
        failed.sort_unstable();
        failed.dedup();
        let known: BTreeSet<&u64> = members.iter().filter_map(|member| member.path.first()).chain(&failed).collect();
        let discarded: Vec<u64> = (0..self.total).filter(|index| !known.contains(index)).collect();
        if failed.is_empty() && discarded.is_empty() {
            return None;
        }
        Some(json!({ "total": self.total, "failed": failed, "discarded": discarded }).into())
    }
}

/// Members that wait for others at a join that counts.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) id: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) due: Option<Due>,
}

/// When a join's time is up.
#[derive(Debug)]
pub(crate) struct Due {
    /// In milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Waits for it; not while records are being applied.
    pub(crate) timer: Option<AbortOnDropHandle<()>>,
}

/// A join and the value that its members have in common.
pub(crate) type BucketKey = (NodeIndex, Option<String>);

/// The groups and half-filled buckets of one trace.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    pub(crate) groups: BTreeMap<u64, Group>,
    /// The older first; more than one only where a node was faster than the others.
    pub(crate) buckets: BTreeMap<BucketKey, VecDeque<Bucket>>,
    /// Members of all of them: no longer on their way, but still held.
    pub(crate) members: u64,
    next: u64,
}

impl Joins {
    /// Opens a group for one call of a node that `join` is over.
    pub(crate) fn open(&mut self, join: NodeIndex, parent: &Arc<Message>, base: &Lineage, total: u64) -> u64 {
        let id = self.next_id();
        let group = Group {
            join,
            parent: Arc::clone(parent),
            base: base.clone(),
            total,
            live: 0,
            arrived: Vec::new(),
            failed: Vec::new(),
            absorbed: false,
            due: None,
        };
        self.groups.insert(id, group);
        id
    }

    /// Follows from what happened before, so that it is the same when that is applied again.
    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Puts a member into the oldest bucket that has a place for it, or into a new one. Returns the bucket and whether it is new.
    pub(crate) fn fill(&mut self, key: &BucketKey, member: Member, one_of_each: bool) -> (&mut Bucket, bool) {
        let sender = member.sender;
        let has_place = |bucket: &Bucket| !one_of_each || bucket.members.iter().all(|member| member.sender != sender);
        let found = self.buckets.get(key).and_then(|buckets| buckets.iter().position(has_place));
        let id = if found.is_none() { self.next_id() } else { 0 };
        self.members += 1;
        let buckets = self.buckets.entry(key.clone()).or_default();
        let position = found.unwrap_or(buckets.len());
        if found.is_none() {
            buckets.push_back(Bucket { id, members: Vec::new(), due: None });
        }
        let bucket = &mut buckets[position];
        bucket.members.push(member);
        (bucket, found.is_none())
    }

    /// Takes a bucket out.
    pub(crate) fn take_bucket(&mut self, key: &BucketKey, id: u64) -> Option<Bucket> {
        let buckets = self.buckets.get_mut(key)?;
        let position = buckets.iter().position(|bucket| bucket.id == id)?;
        let bucket = buckets.remove(position);
        if buckets.is_empty() {
            self.buckets.remove(key);
        }
        bucket
    }

    /// Each join that has a time, with its node and the number of its group or bucket.
    pub(crate) fn dues(&mut self) -> impl Iterator<Item = (NodeIndex, u64, &mut Due)> {
        let groups = self.groups.iter_mut().filter_map(|(id, group)| Some((group.join, *id, group.due.as_mut()?)));
        let buckets = self.buckets.iter_mut().flat_map(|((node, _), buckets)| {
            buckets.iter_mut().filter_map(|bucket| Some((*node, bucket.id, bucket.due.as_mut()?)))
        });
        groups.chain(buckets)
    }

    /// One more copy is on its way in every group of this lineage.
    pub(crate) fn enter(&mut self, lineage: &Lineage) {
        for frame in frames(lineage) {
            if let Some(group) = self.groups.get_mut(&frame.group) {
                group.live += 1;
            }
        }
    }

    /// One copy is gone from every group of this lineage. Groups that this emptied are added to `emptied`, inner ones first:
    /// an inner group may yet send a message on into an outer one.
    pub(crate) fn leave(&mut self, lineage: &Lineage, emptied: &mut Vec<u64>) {
        for frame in frames(lineage) {
            if let Some(group) = self.groups.get_mut(&frame.group) {
                group.live -= 1;
                if group.live == 0 {
                    emptied.push(frame.group);
                }
            }
        }
    }

    /// A message with this lineage failed for good and its branch ends.
    pub(crate) fn fail(&mut self, lineage: &Lineage) {
        for frame in frames(lineage) {
            if let Some(group) = self.groups.get_mut(&frame.group) {
                group.failed.extend(frame.path.first());
            }
        }
    }

    /// Nothing is waiting here.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.buckets.is_empty()
    }
}

/// Bytes of what [`gather`] makes.
pub(crate) fn gathered_bytes(members: &[Member]) -> usize {
    let texts: usize = members.iter().map(|member| member.message.payload.text().len()).sum();
    texts + members.len().saturating_sub(1) + 2
}

/// One array of the members' payloads, as they were written.
pub(crate) fn gather(members: &[Member]) -> Box<str> {
    let mut text = String::with_capacity(gathered_bytes(members));
    text.push('[');
    for (position, member) in members.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(member.message.payload.text());
    }
    text.push(']');
    text.into_boxed_str()
}

/// Adds what is missing to a joined message's meta, under the key `join`.
pub(crate) fn note_missing(meta: &Meta, missing: Option<Payload>) -> Meta {
    match missing {
        Some(missing) => meta.with(vec![("join".to_owned(), missing)]),
        None => meta.clone(),
    }
}
