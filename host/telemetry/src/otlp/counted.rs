//! Counts spans on both sides of the SDK, which keeps to itself what it drops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

/// Spans that ended, and those of them that the collector took.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ended: AtomicU64,
    taken: AtomicU64,
}

/// Counts spans that end.
#[derive(Debug)]
pub(super) struct Processor {
    pub(super) inner: BatchSpanProcessor,
    pub(super) counts: Arc<Counts>,
}

/// Counts spans that were taken.
#[derive(Debug)]
pub(super) struct Exporter<E> {
    pub(super) inner: E,
    pub(super) counts: Arc<Counts>,
}

impl Counts {
    /// How many were not taken, and of how many.
    pub(super) fn lost(&self) -> (u64, u64) {
        let (ended, taken) = (self.ended.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed));
        (ended.saturating_sub(taken), ended)
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.counts.ended.fetch_add(1, Ordering::Relaxed);
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let exported = self.inner.export(batch).await;
        if exported.is_ok() {
            self.counts.taken.fetch_add(spans, Ordering::Relaxed);
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
