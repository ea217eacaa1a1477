//! `floe attack`: hostile components against this installation, a scoreboard, and an exit code.
//!
//! `corpus` has the cases, `encode` makes components of them. `parent` runs them in processes of their own, where `child` has a
//! sandbox and a `neighbour`; `judge` says what was contained, `report` prints it. A host that dies is a finding, not the end.

mod child;
mod corpus;
mod encode;
mod folder;
mod judge;
mod neighbour;
mod parent;
mod process;
mod report;
mod server;
mod setting;

use indicatif::{ProgressBar, ProgressStyle};

use corpus::{Case, Place, Run, means};
use parent::{Outcome, Parent};
use report::Row;
use setting::Setting;

use crate::cli::AttackArgs;
use crate::settings::Settings;
use crate::{Error, Exit};

/// Runs of one process: more would save its start for more of them, and what one leaves behind would be harder to find.
const RUNS: usize = 16;

/// Attacks and prints; completed only if every run was contained.
pub fn execute(args: &AttackArgs, settings: &Settings) -> Result<Exit, Error> {
    let cases = corpus::cases()?;
    let setting = Setting::new(args)?;
    if let Some(names) = &args.child {
        return child::execute(names, &cases, &setting, settings);
    }
    let chosen = chosen(&cases, &args.only)?;
    if args.list {
        return report::list(&chosen, args.json);
    }
    let parent = Parent::new(args, judge::patience(&setting))?;
    let alone = parent.alone()?;
    let bar = bar(settings, chosen.len());
    let mut rows = Vec::new();
    for runs in chosen.chunks(RUNS) {
        parent.run(runs, |run, outcome| {
            bar.inc(1);
            rows.push(match outcome {
                Outcome::Seen(seen, logged) => {
                    let findings = judge::findings(run, &seen, &logged, &setting);
                    Row::seen(run, &seen, judge::held(run, &seen, &logged), findings)
                }
                Outcome::Died(how) => Row::ended(run, how),
                Outcome::Unfit(why) => Row::ended(run, format!("tests/attack/{}.wat: {why}", run.case.name)),
            });
        })?;
    }
    bar.finish_and_clear();
    report::print(&rows, &alone, &setting, args.json)
}

/// The component of a case that does what it does when its node `attack` is called, and needs no server.
pub(crate) fn case(name: &str) -> Result<Vec<u8>, Error> {
    let cases = corpus::cases()?;
    let case = cases.iter().find(|case| case.name == name).ok_or_else(|| Error::wrong(format!("there is no case `{name}`")))?;
    encode::encode(Run { case, place: Place::Handle }, 0).map_err(Error::wrong)
}

/// A component like that of a case, whose node `attack` does what the body says. The imports are lines as in
/// `tests/attack/frame/imports.wat`.
pub(crate) fn plugin(imports: &str, body: &str) -> Result<Vec<u8>, Error> {
    encode::plugin(imports, body).map_err(Error::wrong)
}

/// A bar, where somebody may look at it.
fn bar(settings: &Settings, runs: usize) -> ProgressBar {
    if !settings.draw {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs, {elapsed}");
    ProgressBar::new(runs as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The runs that are meant, a case's runs one after the other.
fn chosen<'a>(cases: &'a [Case], only: &[String]) -> Result<Vec<Run<'a>>, Error> {
    let all: Vec<Run<'_>> = cases.iter().flat_map(Case::runs).collect();
    if let Some(pattern) = only.iter().find(|pattern| !all.iter().any(|run| means(pattern, &run.name()))) {
        let message = format!("there is no case `{pattern}`");
        return Err(
            Error::wrong(message).with_help("`floe attack --list` shows them; a name is CASE or CASE/PLACE, with * as you like")
        );
    }
    let meant = |run: &Run<'_>| only.is_empty() || only.iter().any(|pattern| means(pattern, &run.name()));
    Ok(all.into_iter().filter(meant).collect())
}
