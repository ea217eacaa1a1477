//! What guests log, by trace, and what the host says of plugins.

use std::fmt::Debug;
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// A line that a guest wrote, or the host of a plugin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    pub(crate) level: Option<Level>,
    pub(crate) message: String,
    pub(crate) fields: String,
    trace: String,
    plugin: String,
    /// Why something did not work, as the host says it.
    error: String,
}

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// Begins to keep lines.
pub(super) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let plugins = Targets::new().with_target("plugin", LevelFilter::TRACE).with_target("floe_sandbox", LevelFilter::INFO);
        let subscriber = tracing_subscriber::registry().with(Keep.with_filter(plugins));
        tracing::subscriber::set_global_default(subscriber).expect("nobody else sets it");
    });
}

/// The lines of a trace. No line, of whomever, has a character that a terminal obeys.
pub(crate) fn lines(trace: &str) -> Vec<Line> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(lines.iter().all(|line| !line.message.chars().chain(line.fields.chars()).any(char::is_control)));
    lines.iter().filter(|line| line.trace == trace).cloned().collect()
}

/// What the host says of a plugin.
pub(crate) fn operators_lines(plugin: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.plugin == plugin).map(|line| format!("{} {}", line.message, line.error)).collect()
}

struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line { level: Some(*event.metadata().level()), ..Line::default() };
        event.record(&mut line);
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "trace" => value.clone_into(&mut self.trace),
            "fields" => value.clone_into(&mut self.fields),
            "plugin" => value.clone_into(&mut self.plugin),
            "error" => value.clone_into(&mut self.error),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}
