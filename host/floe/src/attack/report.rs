//! The scoreboard, for people and for programs.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::child::Seen;
use super::corpus::{Hold, Run};
use super::neighbour::Fared;
use super::setting::Setting;
use crate::file::Time;
use crate::table::table;
use crate::{Error, Exit};

/// Bytes of what held a run, in the table.
const SHOWN: usize = 64;

/// A line of the scoreboard.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    case: &'static str,
    place: &'static str,
    tries: &'static str,
    /// What ended or bounded it.
    held: String,
    /// The host's words, if it had any.
    said: String,
    contained: bool,
    /// What is wrong where it was not contained.
    findings: Vec<String>,
    /// Microseconds.
    took_us: Option<u64>,
    /// Bytes by which the process grew while it lasted.
    grown: Option<u64>,
    neighbour: Option<Fared>,
}

impl Row {
    pub(super) fn seen(run: Run<'_>, seen: &Seen, held: String, findings: Vec<String>) -> Self {
        Self {
            said: seen.text.clone(),
            took_us: Some(seen.took),
            grown: seen.grown,
            neighbour: Some(seen.neighbour.clone()),
            contained: findings.is_empty(),
            findings,
            ..Self::new(run, held)
        }
    }

    pub(super) fn ended(run: Run<'_>, how: String) -> Self {
        Self { findings: vec![how], ..Self::new(run, String::new()) }
    }

    fn new(run: Run<'_>, held: String) -> Self {
        Self {
            case: run.case.name,
            place: run.place.name(),
            tries: run.case.tries,
            held,
            said: String::new(),
            contained: false,
            findings: Vec::new(),
            took_us: None,
            grown: None,
            neighbour: None,
        }
    }

    fn cells(&self, alone: &Fared) -> [String; 5] {
        let took = self.took_us.map(|time| format!("{:.1} ms", Duration::from_micros(time).as_secs_f64() * 1e3));
        let beside = self.neighbour.as_ref().map(|fared| format!("{:.1} ×", fared.p99 as f64 / alone.p99.max(1) as f64));
        let held = if self.contained { floe_sandbox::plain(&self.held, SHOWN) } else { "NOT CONTAINED".to_owned() };
        let name = format!("{}/{}", self.case, self.place);
        [name, self.tries.to_owned(), held, took.unwrap_or_default(), beside.unwrap_or_default()]
    }
}

/// Prints the runs, without having run anything.
pub(super) fn list(runs: &[Run<'_>], as_json: bool) -> Result<Exit, Error> {
    let mut out = std::io::stdout().lock();
    let holds = |run: &Run<'_>| run.case.holds(run.place).iter().map(Hold::to_string).collect::<Vec<_>>().join(" or ");
    if as_json {
        let row = |run: &Run<'_>| json!({ "case": run.case.name, "place": run.place.name(), "tries": run.case.tries, "holds": holds(run), "spec": run.case.spec });
        writeln!(out, "{:#}", Value::from_iter(runs.iter().map(row)))?;
        return Ok(Exit::Completed);
    }
    let cells = runs.iter().map(|run| [run.name(), run.case.tries.to_owned(), holds(run)]);
    write!(out, "{}", table(&["CASE", "TRIES", "IS TO BE HELD BY"], cells))?;
    writeln!(out, "\n{} runs", runs.len())?;
    Ok(Exit::Completed)
}

/// Prints what came of the runs.
pub(super) fn print(rows: &[Row], alone: &Fared, setting: &Setting, as_json: bool) -> Result<Exit, Error> {
    let contained = rows.iter().filter(|row| row.contained).count();
    let mut out = std::io::stdout().lock();
    if as_json {
        let report = json!({
            "limits_of": setting.of, "neighbour_alone": alone, "runs": rows, "contained": contained, "total": rows.len(),
        });
        writeln!(out, "{report:#}")?;
    } else {
        let time = |micros| Time(Duration::from_micros(micros));
        writeln!(
            out,
            "the limits of {}; a neighbour's call alone: p50 {}, p99 {}\n",
            setting.of,
            time(alone.p50),
            time(alone.p99)
        )?;
        let header = ["CASE", "TRIES", "HELD BY", "TOOK", "NEIGHBOUR'S P99"];
        write!(out, "{}", table(&header, rows.iter().map(|row| row.cells(alone))))?;
        writeln!(out, "\n{contained} of {} contained", rows.len())?;
        for row in rows.iter().filter(|row| !row.contained) {
            writeln!(out, "not contained: {}/{}: {}", row.case, row.place, row.findings.join("; "))?;
        }
    }
    Ok(if contained == rows.len() { Exit::Completed } else { Exit::Incomplete })
}
