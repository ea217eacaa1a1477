//! Attempts of the past, made once more: what each handled follows from the trace's records, what it was told stands in its tape.
//! Nothing of it belongs to a trace that lives, nothing is recorded, and nobody is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attempt::caught;
use super::{Error, Flow, Seat};
use crate::context::{Context, Origin};
use crate::graph::Kind;
use crate::journal::{At, Entry, Record};
use crate::message::Message;
use crate::node::{Call, Failure, Outcome, Output, Receipt, Report};
use crate::stream::{Sender, Silence};
use crate::tape::{Tape, Taping};
use crate::trace::Trace;

/// What a trace's records say of its attempts.
#[derive(Debug, Clone)]
pub struct Past {
    /// Whose they were.
    pub origin: Origin,
    /// In the order in which they ended.
    pub attempts: Vec<Attempted>,
}

/// An attempt, as its record has it.
#[derive(Debug, Clone)]
pub struct Attempted {
    /// Which.
    pub at: At,
    /// What it handled; none: the trace had ended before it did.
    pub message: Option<Arc<Message>>,
    /// What it emitted before it returned, and what it decided; or why it failed.
    pub result: Result<(Vec<Output>, Outcome), Failure>,
    /// What it used.
    pub receipt: Receipt,
    /// What its call was given and told; none: that was not recorded.
    pub tape: Option<Arc<Tape>>,
}

/// What came of an attempt that was made once more.
#[derive(Debug, Clone)]
pub struct Repeated {
    /// As [`Attempted::result`].
    pub result: Result<(Vec<Output>, Outcome), Failure>,
    /// What it used.
    pub receipt: Receipt,
}

impl Flow {
    /// The attempts of a trace, each with the message that it handled. The flow is the one that made the records, and `entries`
    /// are all that there are of the trace; its plugins need not be the same.
    ///
    /// # Errors
    /// [`Error::Unfit`] if these are not the records of a trace of this flow.
    pub fn look_back(&self, trace: &str, entries: Vec<Entry>) -> Result<Past, Error> {
        let Some(Record::Accepted(accepted)) = entries.first().map(|entry| &entry.record) else {
            let reason = "its first record is not its acceptance".to_owned();
            return Err(Error::Unfit { trace: trace.into(), reason });
        };
        let origin = Origin {
            trace: trace.into(),
            tenant: Arc::clone(&accepted.tenant),
            user: accepted.user.clone(),
            session: accepted.session.clone(),
        };
        let mut attempts: Vec<Attempted> = entries.iter().filter_map(|entry| attempted(&entry.record)).collect();
        let past = self.outside(origin.clone());
        let handled: BTreeMap<At, Arc<Message>> = self.shared.with(&past, |step| step.look_back(entries))?;
        for attempt in &mut attempts {
            attempt.message = handled.get(&attempt.at).cloned();
        }
        Ok(Past { origin, attempts })
    }

    /// Makes an attempt once more: with the answers of its tape, if it has one. A node without a tape computes as it does in a
    /// trace, but there is nobody to stream to. None: there is no such node here, or it is not known what it handled.
    pub async fn repeat(&self, origin: &Origin, attempt: &Attempted) -> Option<Repeated> {
        let shared = &self.shared;
        let index = shared.graph.find(&attempt.at.node)?;
        let node = &shared.graph.nodes()[index];
        let message = attempt.message.as_ref().filter(|_| matches!(node.kind, Kind::Run { .. }))?;
        let trace = self.outside(origin.clone());
        // As if the message were on its way, or the trace would end.
        shared.with(&trace, |step| step.state.live = 1);
        let sender = Arc::<Sender>::default();
        drop(Silence(&sender));
        let (number, id) = (attempt.at.attempt, message.id);
        let call = Call {
            ctx: Context {
                trace: Arc::clone(&trace),
                node: index,
                message: id,
                attempt: number,
                sender,
                allowance: None,
                calling: None,
            },
            message: Arc::clone(message),
            attempt: number,
            deadline: None,
            taping: attempt.tape.clone().map_or(Taping::Off, Taping::Play),
        };
        let report = caught(async { Some(shared.compute(node, message, call).await) }).await;
        let Report { result, emitted, receipt, .. } = report?;
        let result = shared.with(&trace, |step| {
            let result = result.and_then(|outcome| {
                let known = step.check_targets(index, &outcome, &emitted);
                known.map(|()| (emitted, outcome))
            });
            step.forgo();
            result
        });
        Some(Repeated { result, receipt })
    }

    /// The flow that runs for calls of this subflow.
    pub fn subflow(&self, name: &str) -> Option<&Self> {
        self.shared.subflows.get(name)
    }

    /// A trace that is in no table and in nobody's way.
    fn outside(&self, origin: Origin) -> Arc<Trace> {
        let tenant = self.shared.tenant(&origin.tenant);
        self.shared.open(origin, None, None, Seat { tenant, credit: None, caller: None, release: None })
    }
}

fn attempted(record: &Record) -> Option<Attempted> {
    let (at, result, receipt, tape) = match record {
        Record::Done { at, emitted, outcome, receipt, tape, .. } => (at, Ok((emitted.clone(), outcome.clone())), receipt, tape),
        Record::Failed { at, failure, receipt, tape, .. } => (at, Err(failure.clone()), receipt, tape),
        Record::Accepted(_)
        | Record::Started(_)
        | Record::Noted { .. }
        | Record::Streamed(_)
        | Record::Retry(_)
        | Record::TimeUp { .. }
        | Record::Ended(_)
        | Record::Delivered { .. } => return None,
    };
    let tape = tape.as_deref().cloned().map(Arc::new);
    Some(Attempted { at: at.clone(), message: None, result, receipt: *receipt, tape })
}
