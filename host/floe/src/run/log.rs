//! Log lines and progress, both on standard error, without getting into each other's way.

use std::io::Write;
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::cli::LogLevel;
use crate::export::SpanLayer;
use crate::settings::Settings;

/// The bar that is on screen; log lines go above it.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Starts the log, beside the layer that exports spans, if there is one. Later calls change nothing.
pub fn start(level: LogLevel, settings: &Settings, spans: Option<SpanLayer>) {
    let level = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Somebody who embeds this may have a subscriber already.
    let _ = match spans {
        None if level == LevelFilter::OFF => return,
        // A filter of all costs a span that nobody wants less than one of a layer.
        None => {
            let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(settings.color_errors);
            tracing::subscriber::set_global_default(log.without_time().with_writer(AboveBar).finish())
        }
        Some(spans) => {
            let log = tracing_subscriber::fmt::layer().with_ansi(settings.color_errors).without_time().with_writer(AboveBar);
            let both = tracing_subscriber::registry().with(spans).with(log.with_filter(level));
            tracing::subscriber::set_global_default(both)
        }
    };
}

/// A bar for a run whose length nobody knows; invisible where standard error is no terminal.
pub(crate) fn progress(settings: &Settings) -> ProgressBar {
    if !settings.draw {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} traces, {msg}, {elapsed}");
    let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    BAR.get_or_init(|| bar).clone()
}

struct AboveBar;

impl<'a> MakeWriter<'a> for AboveBar {
    type Writer = LineAboveBar;

    fn make_writer(&'a self) -> Self::Writer {
        LineAboveBar
    }
}

struct LineAboveBar;

impl Write for LineAboveBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let write = || std::io::stderr().write_all(bytes);
        match BAR.get() {
            Some(bar) => bar.suspend(write)?,
            None => write()?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
