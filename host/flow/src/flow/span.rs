//! Spans of a trace and of its attempts. Where nobody collects them, each costs one look at a flag: no field is formatted.

use std::sync::Arc;

use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

use super::Shared;
use super::attempt::caught;
use crate::context::Origin;
use crate::node::Report;
use crate::stream::Sender;
use crate::trace::Job;

impl Shared {
    /// What all of a trace's attempts belong to; below the span of whoever submits.
    pub(super) fn trace_span(&self, origin: &Origin) -> Option<Box<Span>> {
        let (trace, tenant) = (&*origin.trace, &*origin.tenant);
        let span = debug_span!("trace", flow = &*self.graph.name, trace, tenant, terminal = Empty);
        (!span.is_disabled()).then(|| Box::new(span))
    }

    /// One attempt in its span, which closes with the outcome: `ok`, the failure's code, or `dropped` if its trace ended first.
    pub(super) async fn spanned(self: &Arc<Self>, span: Span, job: &Job, sender: &Arc<Sender>) -> Option<Report> {
        let report = caught(self.attempt(job, sender)).instrument(span.clone()).await;
        let outcome = match report.as_ref().map(|report| &report.result) {
            Some(Ok(_)) => "ok",
            Some(Err(failure)) => failure.kind.code(),
            None => "dropped",
        };
        span.record("outcome", outcome);
        report
    }

    pub(super) fn attempt_span(&self, job: &Job) -> Span {
        let (origin, envelope) = (&job.trace.origin, &job.envelope);
        debug_span!(
            parent: job.trace.span.as_deref().and_then(Span::id),
            "attempt",
            flow = &*self.graph.name,
            node = &*self.graph.nodes()[job.node].name,
            trace = &*origin.trace,
            attempt = envelope.attempt,
            message = %envelope.message.id,
            tenant = &*origin.tenant,
            outcome = Empty,
        )
    }
}
