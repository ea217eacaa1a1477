//! A flow inside a flow: a call runs it to its end, as a trace of its own that lives within its caller's budget, deadline and life.
//!
//! The trace's id follows from the call, so that a call that is repeated after a crash finds what its subflow has done already.

use std::future::Future;
use std::pin::Pin;

use crate::context::{Context, Part};
use crate::flow::{Error, Flow, Submission};
use crate::journal::Accepted;
use crate::message::{Message, MessageId, Payload};
use crate::node::{Call, Failure, FailureKind, Invoke, Outcome, Output, Receipt, Report};
use crate::trace::{End, Item, Terminal};

/// Subflows within subflows: deeper than people nest by hand; who calls himself ends here.
pub const MAX_DEPTH: usize = 16;

/// A node that runs a subflow of its flow and emits what comes out of it.
#[derive(Debug)]
pub struct SubflowNode {
    name: String,
}

impl SubflowNode {
    /// Runs the subflow that the graph declares under this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    async fn run(&self, call: Call) -> Report {
        let mut receipt = Receipt::default();
        let request = Request { message: &call.message, call: "0", most: usize::MAX };
        let result = call.ctx.call(&self.name, &request, &mut receipt).await;
        let outputs = result.map(|payloads| Outcome::Outputs(payloads.into_iter().map(Output::new).collect()));
        Report { receipt, booked: true, ..Report::from(outputs) }
    }
}

impl Invoke for SubflowNode {
    fn invoke(&self, call: Call) -> Pin<Box<dyn Future<Output = Report> + Send + '_>> {
        Box::pin(self.run(call))
    }
}

/// What a call asks of a subflow.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its payload enters the subflow, with its envelope.
    pub message: &'a Message,
    /// Tells the calls of one attempt apart, and is the same when the attempt is made again. It is a part of the trace's id.
    pub call: &'a str,
    /// Bytes of all outputs together; their number is bounded by the caller's `budget.messages`.
    pub most: usize,
}

/// Who called a trace, and keeps its own from ending before.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) ctx: Context,
    pub(crate) part: Part,
    /// What it called with.
    pub(crate) payload: Payload,
}

impl Caller {
    /// Why what is in the journal under the id of its call is not of this call.
    pub(crate) fn is_not_of(&self, accepted: &Accepted) -> Option<&'static str> {
        let origin = self.ctx.origin();
        if accepted.caller.as_ref() != Some(&origin.trace) || accepted.tenant != origin.tenant {
            return Some("somebody submitted a request under the id that the call of this subflow has");
        }
        let other = "its caller called it with another payload before, and what came of that may have had effects";
        (self.payload != accepted.payload).then_some(other)
    }
}

impl Context {
    /// Runs a subflow of this flow and returns its outputs, in the order in which they left it. What the subflow used is added to
    /// `receipt`; it has been booked, in the accounts of this call's trace or in that of [`Context::within`].
    ///
    /// # Errors
    /// The subflow's own failure, or `not-found`, `exhausted` and `conflict` where it cannot be called so.
    pub async fn call(&self, name: &str, request: &Request<'_>, receipt: &mut Receipt) -> Result<Vec<Payload>, Failure> {
        let Some(flow) = self.trace.flow.subflows.get(name) else {
            let why = format!("the flow has no subflow `{name}`; declare it under `subflows`");
            return Err(Failure::new(FailureKind::NotFound, why));
        };
        let depth = self.trace.callers().count();
        if depth >= MAX_DEPTH {
            let (used, max) = (depth as u64, MAX_DEPTH as u64);
            return Err(Failure::limit(FailureKind::Exhausted, "depth", used, max, "nothing: a subflow calls itself"));
        }
        let part = self.start_guard().ok_or_else(|| Failure::new(FailureKind::Cancelled, "the trace is ending"))?;
        let mut handle = self.open(flow, request, part).await.map_err(|error| refused(name, &error))?;
        let mut outputs = Outputs { kept: Vec::new(), bytes: 0, max: self.max_outputs(), most: request.most };
        let mut too_much = None;
        let terminal = loop {
            match handle.next().await {
                Some(Item::Output { message, .. }) if too_much.is_none() => {
                    too_much = outputs.keep(message.payload.clone()).err();
                    if too_much.is_some() {
                        handle.cancel();
                    }
                }
                Some(Item::End(terminal)) => break terminal,
                // Pieces and progress went to the caller's reader.
                Some(_) => {}
                None => unreachable!("a trace has an end"),
            }
        };
        let (hops, used) = handle.used();
        receipt.add(used, hops);
        match (too_much, terminal.end) {
            (Some(limit), _) => Err(limit),
            (None, End::Completed) => Ok(outputs.kept),
            (None, _) => Err(self.failed(name, terminal)),
        }
    }

    async fn open(&self, flow: &Flow, request: &Request<'_>, part: Part) -> Result<crate::Handle, Error> {
        let Request { message, call, .. } = request;
        let trace = self.called(message.id, call);
        let submission = Submission {
            origin: crate::Origin { trace: trace.as_str().into(), ..self.origin().clone() },
            payload: message.payload.clone(),
            meta: message.meta.clone(),
            topic: message.topic.clone(),
            priority: message.priority,
            deadline: None,
            cursor: None,
        };
        let caller = |part| Caller { ctx: self.clone(), part, payload: message.payload.clone() };
        match flow.submit_for(submission, Some(caller(part))).await {
            Err(Error::Duplicate(_)) if flow.has_journal() => {
                let part = self.start_guard().ok_or(Error::Stopped)?;
                flow.resume_for(&trace, Some(caller(part))).await
            }
            other => other,
        }
    }

    /// The id of a subflow's trace. What comes of this attempt begins alike, whichever of its calls it is.
    fn called(&self, message: MessageId, call: &str) -> String {
        let Self { node, message: handled, attempt, .. } = self;
        let mut id = format!("{}/{}.{handled}.{attempt}.{call}", self.origin().trace, self.trace.node_name(*node));
        if message != *handled {
            // An item of a map.
            id += &format!(".{message}");
        }
        id
    }

    /// What a subflow's end means for the call.
    fn failed(&self, name: &str, terminal: Terminal) -> Failure {
        let error = terminal.error;
        let text = error.as_ref().map_or_else(|| terminal.end.name().to_owned(), |error| error.message.clone());
        let code = error.as_ref().map_or("", |error| error.code.as_str());
        let kind = match terminal.end {
            End::Completed | End::Failed => {
                FailureKind::ALL.into_iter().find(|kind| kind.code() == code).unwrap_or(FailureKind::Internal)
            }
            End::Cancelled | End::Stopped => FailureKind::Cancelled,
            End::DeadlineExceeded => FailureKind::TimedOut,
            End::BudgetExhausted => {
                // If it was the caller's budget, the caller ends as well.
                let limit = error.as_ref().and_then(|error| error.detail.as_ref()?.get("limit")?.as_str());
                self.check_budget(limit.unwrap_or_default());
                FailureKind::Exhausted
            }
            End::InDoubt => {
                self.trace.flow.end(&self.trace, End::InDoubt, &text);
                FailureKind::Cancelled
            }
        };
        let mut failure = Failure::new(kind, format!("subflow `{name}`: {text}"));
        failure.detail = error.and_then(|error| serde_json::to_value(error).ok());
        failure
    }
}

/// What has come out of a subflow, and how much may.
struct Outputs {
    kept: Vec<Payload>,
    bytes: usize,
    max: u64,
    most: usize,
}

impl Outputs {
    fn keep(&mut self, payload: Payload) -> Result<(), Failure> {
        let number = self.kept.len() as u64 + 1;
        if number > self.max {
            return Err(Failure::limit(FailureKind::Exhausted, "messages", number, self.max, "`budget.messages`"));
        }
        self.bytes += payload.text().len();
        if self.bytes > self.most {
            let (used, max) = (self.bytes as u64, self.most as u64);
            return Err(Failure::limit(FailureKind::Exhausted, "payload", used, max, "`budget.payload`"));
        }
        self.kept.push(payload);
        Ok(())
    }
}

/// Why a subflow did not begin.
fn refused(name: &str, error: &Error) -> Failure {
    let kind = match error {
        Error::TooLarge { .. } => FailureKind::Exhausted,
        // A subflow waits for no credit.
        Error::Busy { .. } | Error::RateLimited { .. } => FailureKind::Busy,
        Error::UnknownTenant(_) => FailureKind::Denied,
        Error::Stopped => FailureKind::Cancelled,
        Error::Duplicate(_) | Error::Journal(_) | Error::Unfit { .. } => FailureKind::Conflict,
    };
    Failure::new(kind, format!("subflow `{name}`: {error}"))
}
