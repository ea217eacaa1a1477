//! Measured numbers beside their goals, as a table or as JSON.

use std::io::Write;

use serde_json::{Value, json};

use crate::run::count;
use crate::table::table;
use crate::{Error, Exit};

/// The rounds of each variant.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<(&'static str, Vec<f64>)>);

/// A number, its name, and what it should be.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    value: f64,
    shown: String,
    goal: Option<Goal>,
}

#[derive(Debug)]
struct Goal {
    sign: &'static str,
    bound: f64,
    unit: &'static str,
}

// === impl Figures ===

impl Figures {
    /// Adds a round.
    pub(super) fn record(&mut self, name: &'static str, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(value),
            None => self.0.push((name, vec![value])),
        }
    }

    /// The middle of the rounds; not a number if there are none.
    pub(super) fn median(&self, name: &str) -> f64 {
        let mut rounds = self.rounds(name).to_vec();
        rounds.sort_unstable_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The largest of the rounds; not a number if there are none.
    pub(super) fn largest(&self, name: &str) -> f64 {
        self.rounds(name).iter().copied().fold(f64::NAN, f64::max)
    }

    fn rounds(&self, name: &str) -> &[f64] {
        self.0.iter().find(|(known, _)| *known == name).map_or(&[], |(_, rounds)| rounds)
    }
}

// === impl Row ===

impl Row {
    pub(super) fn new(name: &'static str, value: f64, shown: String) -> Self {
        Self { name, value, shown, goal: None }
    }

    pub(super) fn micros(name: &'static str, value: f64) -> Self {
        Self::new(name, value, format!("{value:.2} µs"))
    }

    pub(super) fn times(name: &'static str, value: f64) -> Self {
        Self::new(name, value, format!("{value:.2} ×"))
    }

    pub(super) fn kibibytes(name: &'static str, bytes: f64) -> Self {
        let value = bytes / 1024.0;
        Self::new(name, value, format!("{value:.2} KiB"))
    }

    pub(super) fn at_most(self, bound: f64, unit: &'static str) -> Self {
        Self { goal: Some(Goal { sign: "≤", bound, unit }), ..self }
    }

    pub(super) fn at_least(self, bound: f64, unit: &'static str) -> Self {
        Self { goal: Some(Goal { sign: "≥", bound, unit }), ..self }
    }

    fn goal(&self) -> String {
        let Some(Goal { sign, bound, unit }) = &self.goal else { return String::new() };
        let gap = if unit.starts_with('/') { "" } else { " " };
        if *bound < 1000.0 { format!("{sign} {bound}{gap}{unit}") } else { format!("{sign} {}{gap}{unit}", count(*bound as u64)) }
    }

    fn verdict(&self) -> &'static str {
        match &self.goal {
            None => "",
            Some(_) if self.value.is_nan() => "not measured here",
            Some(Goal { sign: "≤", bound, .. }) if self.value <= *bound => "met",
            Some(Goal { sign: "≥", bound, .. }) if self.value >= *bound => "met",
            Some(_) => "missed",
        }
    }

    fn json(&self) -> Value {
        json!({ "name": self.name, "value": self.value, "shown": self.shown, "goal": self.goal(), "verdict": self.verdict() })
    }
}

/// Prints the rows: as JSON below the setting, or as a table below a line that says the same.
pub(super) fn print(rows: Vec<Row>, setting: &Value, heading: &str, as_json: bool) -> Result<Exit, Error> {
    let mut out = std::io::stdout().lock();
    if as_json {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        writeln!(out, "{:#}", json!({ "setting": setting, "figures": rows }))?;
    } else {
        let cells = rows.into_iter().map(|row| {
            let (goal, verdict) = (row.goal(), row.verdict().to_owned());
            [row.name.to_owned(), row.shown, goal, verdict]
        });
        write!(out, "{heading}\n\n{}", table(&["WHAT", "FIGURE", "GOAL", ""], cells))?;
    }
    Ok(Exit::Completed)
}
