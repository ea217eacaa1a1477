//! `floe:plugin/log`: lines for the operator, as events of `tracing` with the target `plugin`.

use std::borrow::Cow;

use floe_flow::Resource;

use crate::bindings::floe::plugin::log::{Field, Host, Level};
use crate::state::State;
use crate::text::plain;

impl Host for State {
    fn write(&mut self, level: Level, message: String, fields: Vec<Field>) -> wasmtime::Result<()> {
        self.host_call()?;
        self.log(level, &message, fields.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        Ok(())
    }
}

impl State {
    /// Shows a line, as long as the call has not used up its lines. Every text here is the guest's: little of it is looked at.
    fn log<'a>(&mut self, level: Level, message: &str, fields: impl Iterator<Item = (&'a str, &'a str)>) {
        let max_bytes = usize::try_from(self.plugin.limits.log_line).unwrap_or(usize::MAX);
        let scrubber = self.plugin.grants.secrets.scrubber().cloned();
        // Before anything is cut or taken out, which could leave half a value.
        let hide = |text| scrubber.as_ref().map_or(Cow::Borrowed(text), |scrubber| scrubber.text(text));
        if self.spend(Resource::LogLines).is_err() {
            self.call.log_dropped = self.call.log_dropped.saturating_add(1);
            return;
        }
        let mut shown = String::new();
        for (key, value) in fields {
            let (key, value) = (hide(key), hide(value));
            let left = max_bytes.saturating_sub(shown.len());
            if left == 0 {
                break;
            }
            let space = if shown.is_empty() { "" } else { " " };
            shown = format!("{shown}{space}{}={}", head(&key, left), head(&value, left));
        }
        let message = hide(message);
        let (message, fields) = (plain(head(&message, max_bytes), max_bytes), plain(&shown, max_bytes));
        self.call.bytes_out += (message.len() + fields.len()) as u64;
        self.show(level, &message, Some(fields.as_str()).filter(|fields| !fields.is_empty()));
        if self.left(Resource::LogLines) == 0 {
            let raise = self.raise(Resource::LogLines);
            self.show(
                Level::Warn,
                &format!("Log limit reached, further lines of this call are dropped; raise it with {raise}."),
                None,
            );
        }
    }

    /// Shows what the guest printed, a line each.
    pub(crate) fn log_lines(&mut self, level: Level, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.log(level, line, std::iter::empty());
        }
    }

    fn show(&self, level: Level, message: &str, fields: Option<&str>) {
        // Made once more, it is of no concern to anybody but whoever looks for faults.
        let level = if self.call.answers.are_recorded() { Level::Debug } else { level };
        let plugin = self.plugin.name.as_str();
        let (trace, node) = self.place();
        // The level of an event is a constant.
        macro_rules! show {
            ($level:ident) => {
                tracing::event!(target: "plugin", tracing::Level::$level, plugin, node, trace, fields, "{message}")
            };
        }
        match level {
            Level::Trace => show!(TRACE),
            Level::Debug => show!(DEBUG),
            Level::Info => show!(INFO),
            Level::Warn => show!(WARN),
            Level::Error => show!(ERROR),
        }
    }
}

/// As much of a text as may still be shown once it is cleaned: more only if it is mostly what cleaning takes away.
fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max.saturating_mul(4))]
}
