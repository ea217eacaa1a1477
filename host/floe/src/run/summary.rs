//! What a run says at its end, and how its process ends.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use floe_flow::End;

use super::watch::Numbers;
use super::{Fed, Plan};
use crate::file::Bytes;
use crate::settings::Settings;
use crate::{Error, Exit};

/// What is said at the end.
pub(super) struct Summary {
    pub(super) ends: BTreeMap<&'static str, u64>,
    pub(super) numbers: Numbers,
    pub(super) took: Duration,
    /// Traces that wait in the journal.
    pub(super) unfinished: u64,
}

impl Summary {
    pub(super) fn print(&self, settings: &Settings, journal: Option<&Path>) {
        let total: u64 = self.ends.values().sum();
        let numbers = &self.numbers;
        let silent = |end: &str| {
            let silent = if end == End::Completed.name() { numbers.silent } else { 0 };
            if silent > 0 { format!(" ({} without an output)", count(silent)) } else { String::new() }
        };
        let ends: Vec<String> =
            self.ends.iter().map(|(end, number)| format!("{} {end}{}", count(*number), silent(end))).collect();
        let quantile = |q| time(Duration::from_micros(numbers.latency.value_at_quantile(q)));
        let mut text = format!("{} in {}", plural(total, "trace"), time(self.took));
        if total > 0 {
            text += &format!(": {}", ends.join(", "));
        }
        text.push('\n');
        if numbers.hops > 0 {
            let rate =
                numbers.hops as f64 / self.took.saturating_sub(numbers.first_hop.unwrap_or_default()).as_secs_f64().max(1e-6);
            text += &format!(
                "{}, {} hops/s; a hop took {} (p50), {} (p99); the first began after {}\n",
                plural(numbers.hops, "hop"),
                count(rate as u64),
                quantile(0.5),
                quantile(0.99),
                time(numbers.first_hop.unwrap_or_default()),
            );
            text += &format!("fuel {}, peak memory of a guest {}\n", count(numbers.fuel), Bytes(numbers.peak_memory));
        }
        if let (Some(journal), 1..) = (journal, self.unfinished) {
            let shown = journal.display();
            text += &format!(
                "{} in the journal: `floe resume {shown}` goes on with what can go on\n",
                plural(self.unfinished, "trace")
            );
        }
        if settings.color_errors {
            text = format!("\u{1b}[2m{text}\u{1b}[0m");
        }
        // Nobody reads it if standard error is closed.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    pub(super) fn exit(
        &self,
        fed: Fed,
        written: std::io::Result<()>,
        events: std::io::Result<()>,
        plan: &Plan,
    ) -> Result<Exit, Error> {
        let goes_on = plan.journal.as_ref().map(|journal| format!("; then: floe resume {}", journal.display()));
        let goes_on = goes_on.unwrap_or_default();
        if let Err(error) = written {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                return Err(Error::Output(error));
            }
            let place = plan.output.as_ref().map_or_else(|| "standard output".to_owned(), |path| format!("`{}`", path.display()));
            let message = format!("cannot write the output to {place}: {error}; what it has is not complete{goes_on}");
            return Err(Error::Lost(message));
        }
        if let (Err(error), Some(path)) = (events, &plan.process.events) {
            return Err(Error::Lost(format!("cannot write events to `{}`: {error}; the file is not complete", path.display())));
        }
        match fed {
            Fed::Interrupted => Err(Error::Interrupted),
            Fed::Lost(why) => Err(Error::Lost(why)),
            Fed::Revoked(why) => Err(Error::Lost(format!("{why}; its traces have failed, and no more of the input is read"))),
            Fed::Unreadable(error) => Err(Error::Lost(format!("cannot read the input any further: {error}"))),
            Fed::All | Fed::OutputGone if self.ends.keys().all(|end| *end == End::Completed.name()) => Ok(Exit::Completed),
            Fed::All | Fed::OutputGone => Ok(Exit::Incomplete),
        }
    }
}

/// Groups digits: 12 345.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

pub(super) fn plural(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Three digits of a time, in its own unit.
fn time(time: Duration) -> String {
    format!("{time:.2?}")
}
