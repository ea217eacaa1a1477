//! Log lines and progress, both on standard error, without getting into each other's way.

use std::io::Write;
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

use crate::cli::LogLevel;
use crate::settings::Settings;

/// The bar that is on screen; log lines go above it.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Starts the log. Later calls change nothing.
pub fn start(level: LogLevel, settings: &Settings) {
    let level = match level {
        LogLevel::Off => return,
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(settings.color_errors)
        .without_time()
        .with_writer(AboveBar)
        .finish();
    // Somebody who embeds this may have a subscriber already.
    let _ = tracing::subscriber::set_global_default(log);
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
