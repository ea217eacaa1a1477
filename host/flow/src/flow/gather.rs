//! When messages wait for each other, and for how long.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, debug_span};

use super::commit::Step;
use crate::event::EventKind;
use crate::graph::{EdgeIndex, Kind, NodeIndex};
use crate::join::{self, Bucket, BucketKey, Due, Group, Join, Late, Lineage, Member, Members};
use crate::journal::Record;
use crate::message::{Message, Payload};
use crate::node::{Failure, FailureKind, Output};
use crate::trace::{End, Envelope, Fact, Phase, Terminal, TraceError};

impl Step<'_> {
    /// A message has come to a join.
    pub(super) fn gather(&mut self, node: NodeIndex, edge: Option<EdgeIndex>, join: &Join, envelope: Envelope) {
        let sender = edge.map_or(node, |edge| self.sender(edge));
        let Envelope { message, lineage, .. } = envelope;
        // In a join it is no longer on its way; its groups further out still wait for it.
        self.state.live -= 1;
        match &join.members {
            Members::AllOf(of) => self.gather_in_group(node, of, join.late, message, &lineage, sender),
            Members::Count(_) | Members::EachOf(_) => {
                let key = match self.bucket_key(node, join, &message) {
                    Ok(key) => key,
                    Err(why) => return self.join_error(node, "invalid-input", &why, None),
                };
                let one_of_each = matches!(join.members, Members::EachOf(_));
                let member = Member { message, lineage, path: Vec::new(), sender };
                let (bucket, is_new) = self.state.joins.fill(&key, member, one_of_each);
                let id = bucket.id;
                let full = match &join.members {
                    Members::Count(count) => bucket.members.len() >= *count,
                    Members::EachOf(nodes) => bucket.members.len() >= nodes.len(),
                    Members::AllOf(_) => false,
                };
                if full {
                    self.release_bucket(&key, id, false);
                } else if is_new && let Some(within) = join.within {
                    let due = Some(self.due(node, id, within));
                    if let Some(bucket) = self.state.joins.buckets.get_mut(&key).and_then(|buckets| buckets.back_mut()) {
                        bucket.due = due;
                    }
                }
            }
        }
    }

    fn bucket_key(&self, node: NodeIndex, join: &Join, message: &Message) -> Result<BucketKey, String> {
        let Some(path) = &join.by else { return Ok((node, None)) };
        let payload = message.payload.value();
        let found = path.iter().try_fold(payload.as_ref(), |value, key| value.get(key));
        match found {
            Some(value) => Ok((node, Some(value.to_string()))),
            None => Err(format!("the payload has no `{}`, by which messages are gathered", path.join("."))),
        }
    }

    fn gather_in_group(
        &mut self,
        node: NodeIndex,
        of: &str,
        late: Late,
        message: Arc<Message>,
        lineage: &Lineage,
        sender: NodeIndex,
    ) {
        let Some(frame) = join::frames(lineage).find(|frame| frame.join == node) else {
            let why = format!("a message came to this join by a way that does not pass `{of}`; gather it elsewhere");
            self.join_error(node, "invalid-input", &why, None);
            return;
        };
        let (group, outer, path) = (frame.group, frame.outer.clone(), frame.path.clone());
        // Groups inside this one lose the member to it.
        for inner in join::frames(lineage).take_while(|frame| frame.join != node) {
            if let Some(group) = self.state.joins.groups.get_mut(&inner.group) {
                group.absorbed = true;
            }
        }
        self.state.joins.enter(&outer);
        self.state.joins.leave(lineage, &mut self.emptied);
        let member = Member { message, lineage: outer, path, sender };
        match self.state.joins.groups.get_mut(&group) {
            Some(group) => {
                group.arrived.push(member);
                self.state.joins.members += 1;
            }
            None => self.come_late(node, of, late, member),
        }
    }

    /// The others have gone on without this member.
    fn come_late(&mut self, node: NodeIndex, of: &str, late: Late, member: Member) {
        let name = &self.node(node).name;
        self.event(|| EventKind::Late { node: Arc::clone(name), message: member.message.id });
        match late {
            Late::Drop => self.state.joins.leave(&member.lineage, &mut self.emptied),
            Late::Fail => {
                let why = format!("a member of `{of}` came when the others had gone on; give it more time with `within`");
                self.join_error(node, "join_late", &why, None);
            }
            Late::Pass => {
                self.state.joins.members += 1;
                let (parent, lineage) = (Arc::clone(&member.message), member.lineage.clone());
                self.send_joined(node, &parent, &lineage, Some(json!({ "late": true }).into()), &[member]);
            }
        }
    }

    fn release_bucket(&mut self, key: &BucketKey, id: u64, partial: bool) {
        let Some(Bucket { mut members, .. }) = self.state.joins.take_bucket(key, id) else { return };
        let Kind::Join(join) = &self.node(key.0).kind else { return };
        let wanted = match &join.members {
            Members::EachOf(nodes) => {
                let place = |member: &Member| nodes.iter().position(|name| **name == *self.node(member.sender).name);
                members.sort_by_key(place);
                nodes.len()
            }
            Members::Count(count) => {
                members.sort_by_key(|member| member.sender);
                *count
            }
            Members::AllOf(_) => return,
        };
        let missing = partial.then(|| json!({ "wanted": wanted, "arrived": members.len() }).into());
        let (parent, lineage) = (Arc::clone(&members[0].message), members[0].lineage.clone());
        self.send_joined(key.0, &parent, &lineage, missing, &members);
    }

    /// The last message that could still come to this group is gone.
    pub(super) fn release_group(&mut self, id: u64) {
        if self.state.joins.groups.get(&id).is_none_or(|group| group.live > 0) {
            return;
        }
        let Some(group) = self.state.joins.groups.remove(&id) else { return };
        if group.absorbed && group.arrived.is_empty() {
            return;
        }
        let enough = self.quorum(group.join).is_some_and(|quorum| group.arrived.len() >= quorum);
        if group.failed.is_empty() || enough {
            return self.send_group(group);
        }
        let of = self.gathered(group.join);
        let why =
            format!("members {:?} of `{of}` failed on the way; take what there is with `on_incomplete: release`", group.failed);
        self.incomplete(group, &why);
    }

    fn send_group(&mut self, mut group: Group) {
        let members = group.take_members();
        let missing = group.missing(&members);
        self.send_joined(group.join, &group.parent, &group.base, missing, &members);
    }

    fn incomplete(&mut self, mut group: Group, why: &str) {
        let members = group.take_members();
        let missing = group.missing(&members);
        self.join_error(group.join, "join_incomplete", why, missing.as_ref());
    }

    fn quorum(&self, node: NodeIndex) -> Option<usize> {
        if let Kind::Join(join) = &self.node(node).kind { join.quorum } else { None }
    }

    /// The node whose emissions a join gathers.
    fn gathered(&self, node: NodeIndex) -> &str {
        match &self.node(node).kind {
            Kind::Join(Join { members: Members::AllOf(of), .. }) => of,
            _ => "",
        }
    }

    fn send_joined(
        &mut self,
        join: NodeIndex,
        parent: &Arc<Message>,
        lineage: &Lineage,
        missing: Option<Payload>,
        members: &[Member],
    ) {
        let node = self.node(join);
        self.state.joins.members -= members.len() as u64;
        let (bytes, max) = (join::gathered_bytes(members), self.flow.config.budget.payload);
        if bytes > max {
            let failure = Failure::limit(FailureKind::Exhausted, "payload", bytes as u64, max as u64, "`budget.payload`");
            self.join_error(join, failure.kind.code(), &failure.message, None);
            return;
        }
        let payload = match Payload::parse(join::gather(members)) {
            Ok(payload) => payload,
            Err(error) => return self.join_error(join, "invalid-input", &error.to_string(), None),
        };
        let mut message = self.message(node, parent, 0, Output::new(payload));
        message.meta = join::note_missing(&parent.meta, missing);
        let name = &node.name;
        self.event(|| EventKind::Joined { node: Arc::clone(name), message: message.id, members: members.len() });
        let message = Arc::new(message);
        if node.successors.is_empty() {
            self.send(self.output_edge(join), &message, lineage);
        }
        for &edge in &node.successors {
            self.send(edge, &message, lineage);
        }
        for member in members {
            self.state.joins.leave(&member.lineage, &mut self.emptied);
        }
    }

    fn join_error(&mut self, join: NodeIndex, code: &str, why: &str, missing: Option<&Payload>) {
        let name = Arc::clone(&self.node(join).name);
        let mut error = TraceError::new(code, format!("join `{name}`: {why}"));
        error.node = Some(name);
        error.detail = missing.map(|missing| missing.value().into_owned());
        self.end(Terminal { end: End::Failed, outputs: 0, error: Some(error) });
    }

    /// A bucket that is not full and to which no other can still send.
    pub(super) fn first_bucket(&self) -> Option<(BucketKey, u64)> {
        let nodes = || self.state.joins.buckets.keys().map(|(node, _)| *node);
        let behind = |node: NodeIndex, other: NodeIndex| other != node && self.node(other).reaches.contains(&node);
        let node = nodes().find(|node| !nodes().any(|other| behind(*node, other)))?;
        let (key, buckets) = self.state.joins.buckets.iter().find(|((at, _), _)| *at == node)?;
        Some((key.clone(), buckets.front()?.id))
    }

    /// The rest of the trace has ended and a bucket is not full.
    pub(super) fn no_more_for_bucket(&mut self, (key, id): &(BucketKey, u64)) {
        self.settle_bucket(key, *id, "no more can");
    }

    fn settle_bucket(&mut self, key: &BucketKey, id: u64, why: &str) {
        let Kind::Join(join) = &self.node(key.0).kind else { return };
        let found = self.state.joins.buckets.get(key).and_then(|buckets| buckets.iter().find(|bucket| bucket.id == id));
        let Some(bucket) = found else { return };
        let arrived = bucket.members.len();
        if join.quorum.is_some_and(|quorum| arrived >= quorum) {
            return self.release_bucket(key, id, true);
        }
        let wanted = match &join.members {
            Members::Count(count) => *count,
            Members::EachOf(nodes) => nodes.len(),
            Members::AllOf(_) => 0,
        };
        let why = format!("{arrived} of {wanted} messages arrived and {why}; take what there is with `on_incomplete: release`");
        let missing = Payload::from(json!({ "arrived": arrived, "count": wanted }));
        self.join_error(key.0, "join_incomplete", &why, Some(&missing));
    }
}

// === time ===

impl Step<'_> {
    /// Milliseconds since 1970; while a record is being applied, when it was made.
    fn clock(&self) -> u64 {
        let restoring = self.state.log.as_ref().and_then(|log| log.restoring.as_ref());
        restoring.map_or_else(|| self.flow.now_ms(), |restoring| restoring.at_ms)
    }

    pub(super) fn due(&self, node: NodeIndex, id: u64, within: Duration) -> Due {
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let timer = if self.is_restoring() { None } else { self.timer(node, id, within) };
        Due { at_ms: self.clock().saturating_add(millis), timer }
    }

    fn timer(&self, node: NodeIndex, id: u64, left: Duration) -> Option<AbortOnDropHandle<()>> {
        let at = Instant::now().checked_add(left)?;
        let (shared, trace) = (Arc::clone(self.flow), Arc::clone(self.trace));
        let wait = async move {
            tokio::time::sleep_until(at).await;
            shared.with(&trace, |step| step.request_time_up(node, id));
        };
        let task = self.flow.tasks.spawn_on(wait.instrument(debug_span!("join")), &self.flow.config.timers);
        Some(AbortOnDropHandle::new(task))
    }

    /// All records are applied: times go on. None is longer than it was, whatever the clock says.
    pub(super) fn restart_timers(&mut self, now: u64) {
        let mut joins = std::mem::take(&mut self.state.joins);
        for (node, id, due) in joins.dues() {
            let Kind::Join(Join { within: Some(within), .. }) = &self.node(node).kind else { continue };
            let left = Duration::from_millis(due.at_ms.saturating_sub(now)).min(*within);
            due.timer = self.timer(node, id, left);
        }
        self.state.joins = joins;
    }

    /// A join's time is up: that is decided here, and applied once it is in the journal.
    fn request_time_up(&mut self, node: NodeIndex, id: u64) {
        if !self.is_open() {
            return;
        }
        let record = Record::TimeUp { node: Arc::clone(&self.node(node).name), group: id };
        match self.record(record, Fact::TimeUp { node, group: id }) {
            Some((fact, pending)) => self.after.appended.push((Arc::clone(self.trace), fact, pending)),
            None => self.time_up(node, id),
        }
    }

    /// What has come to the join by now must do.
    pub(super) fn time_up(&mut self, node: NodeIndex, id: u64) {
        if !matches!(self.state.phase, Phase::Running) {
            return;
        }
        if let Some(group) = self.state.joins.groups.remove(&id) {
            if group.absorbed && group.arrived.is_empty() {
                return;
            }
            if self.quorum(node).is_some_and(|quorum| group.arrived.len() >= quorum) {
                return self.send_group(group);
            }
            let (arrived, of) = (group.arrived.len(), self.gathered(node));
            let why = format!(
                "{arrived} messages of `{of}` arrived in time and {} are on their way; give them more with `within`, or take \
                 fewer with `quorum`",
                group.live
            );
            return self.incomplete(group, &why);
        }
        let mut buckets = self.state.joins.buckets.iter();
        let found = buckets.find(|(key, buckets)| key.0 == node && buckets.iter().any(|bucket| bucket.id == id));
        if let Some(key) = found.map(|(key, _)| key.clone()) {
            self.settle_bucket(&key, id, "the time is up");
        }
    }
}
