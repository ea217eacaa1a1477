//! Whether a run was contained: by what was to hold it, within bounds that no configuration moves, and with all around it well.

use std::time::Duration;

use floe_sandbox::Limits;

use super::child::{Ended, Seen, is_clean};
use super::corpus::{Hold, Run};
use super::neighbour::STANDSTILL;
use super::setting::{LAX, Setting, value};
use crate::file::{Bytes, Time};

/// Beyond what the profile gives to compiling and to a call: for the next caller, and for a machine that is busy with other things.
const BESIDES: Duration = Duration::from_secs(10);
/// Beyond the profile's memory limit: what the host holds for a call, and what compiling a case takes.
const HOST: u64 = 128 << 20;
/// A run calls a plugin up to four times, and a call may log all its lines.
const CALLS: u64 = 4;
/// What the host puts around a guest's text in the log.
const AROUND: u64 = 1 << 10;
/// A refusal names the lines that would grant an import; nothing is longer.
const TEXT: usize = 8 << 10;

/// What reached the operator's log during a run.
#[derive(Debug, Default)]
pub(super) struct Logged {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) longest: u64,
    /// A line that does more than to be read.
    pub(super) unclean: Option<String>,
    /// What a thread of the host said when it panicked.
    pub(super) panicked: Option<String>,
}

/// The most that a run may take, from its component's bytes to its last word.
pub(super) fn patience(setting: &Setting) -> Duration {
    setting.default.compile + setting.default.wall + BESIDES
}

impl Logged {
    pub(super) fn read(text: &[u8]) -> Self {
        let mut logged = Self { bytes: text.len() as u64, ..Self::default() };
        for line in String::from_utf8_lossy(text).lines() {
            logged.lines += 1;
            logged.longest = logged.longest.max(line.len() as u64);
            if !is_clean(line) || line.contains('\t') {
                logged.unclean.get_or_insert_with(|| line.to_owned());
            }
            if line.starts_with("thread '") {
                logged.panicked.get_or_insert_with(|| line.to_owned());
            }
        }
        logged
    }
}

/// Everything that is wrong with a run; nothing if it was contained.
pub(super) fn findings(run: Run<'_>, seen: &Seen, logged: &Logged, setting: &Setting) -> Vec<String> {
    let mut findings = Vec::new();
    let mut found = |wrong: bool, what: &dyn Fn() -> String| {
        if wrong {
            findings.push(what());
        }
    };
    let holds = run.case.holds(run.place);
    found(!holds.iter().any(|hold| is_held(hold, &seen.ended, setting)), &|| {
        let expected: Vec<String> = holds.iter().map(Hold::to_string).collect();
        format!("expected: {}; it ended with: {}", expected.join(" or "), told(&seen.ended, &seen.text))
    });
    if let Ended::Limit { limit, max, .. } = &seen.ended {
        let usual = value(&setting.default, limit);
        found(usual > 0 && *max / LAX > usual, &|| {
            format!("limit {limit} is {max}, more than {LAX} times the profile's {usual}")
        });
    }
    let (took, most) = (Duration::from_micros(seen.took), patience(setting));
    found(took > most, &|| format!("it took {}, more than {}", Time(took), Time(most)));
    let most = setting.default.memory + HOST;
    found(seen.grown.is_some_and(|grown| grown > most), &|| {
        format!("the process grew by {}, more than {}", Bytes(seen.grown.unwrap_or(0)), Bytes(most))
    });
    found(seen.left_open > 0, &|| format!("{} descriptors are left open", seen.left_open));
    found(seen.changed.is_some(), &|| {
        format!("the folder that it may read has changed: {}", seen.changed.as_deref().unwrap_or_default())
    });
    let may_visit = run.case.grants.is_some_and(|grants| grants.contains("private: true"));
    found(seen.visits > 0 && !may_visit, &|| format!("it reached a server on this machine, {} times", seen.visits));
    found(seen.serves_not.is_some(), &|| {
        format!("the plugin does not serve its next caller: {}", seen.serves_not.as_deref().unwrap_or_default())
    });
    let neighbour = &seen.neighbour;
    found(neighbour.failed.is_some(), &|| format!("the neighbour failed: {}", neighbour.failed.as_deref().unwrap_or_default()));
    let slowest = Duration::from_micros(neighbour.slowest);
    found(slowest > STANDSTILL, &|| format!("the neighbour stood still for {}", Time(slowest)));
    found(seen.text.len() > TEXT, &|| format!("its error is {} long", Bytes(seen.text.len() as u64)));
    found(!is_clean(&seen.text), &|| format!("its error is not clean: {:?}", seen.text));
    found(seen.text.contains("backtrace") || seen.text.contains(".rs:"), &|| {
        format!("its error tells of the host: {}", seen.text)
    });
    found(seen.unclean.is_some(), &|| format!("its description is not clean: {:?}", seen.unclean));
    findings.extend(in_log(holds, logged, &setting.default));
    findings
}

fn in_log(holds: &[Hold], logged: &Logged, default: &Limits) -> Vec<String> {
    let mut findings = Vec::new();
    let mut most = |what: &str, used: u64, most: u64| {
        if used > most {
            findings.push(format!("{what} in the log: {used}, more than {most}"));
        }
    };
    let lines = CALLS * (u64::from(default.log_lines) + 1);
    most("lines", logged.lines, lines);
    most("bytes of a line", logged.longest, 2 * default.log_line + AROUND);
    if holds.contains(&Hold::Cut("stdio")) {
        most("bytes", logged.bytes, 2 * default.stdio + lines * 64);
    }
    if let Some(line) = &logged.unclean {
        findings.push(format!("a line of the log is not clean: {line:?}"));
    }
    if let Some(said) = &logged.panicked {
        findings.push(format!("the host panicked: {said}"));
    }
    findings
}

/// Whether this is what was to hold it. Another limit may, if it is stricter than usual and the one that was to hold is within
/// reason.
fn is_held(hold: &Hold, ended: &Ended, setting: &Setting) -> bool {
    match (hold, ended) {
        (Hold::Limit(expected), Ended::Limit { limit, .. }) => {
            limit == expected || (setting.is_lowered(limit) && !setting.is_raised(expected))
        }
        (Hold::Refused(expected), Ended::Refused(reason)) => reason == expected,
        (Hold::Fault, Ended::Failed(code)) => code == "internal",
        (Hold::Told(expected), Ended::Failed(code)) => code == expected,
        (Hold::Completes | Hold::Cut(_), Ended::Completed) => true,
        _ => false,
    }
}

/// How it ended, in a few words.
pub(super) fn told(ended: &Ended, text: &str) -> String {
    match ended {
        Ended::Limit { limit, used, max } => format!("limit {limit}, {used} of {max}"),
        Ended::Refused(reason) => format!("refused, {reason}"),
        Ended::Failed(code) if code == "internal" => floe_sandbox::plain(text, 120),
        Ended::Failed(code) => format!("told {code}"),
        Ended::Completed => "completes".to_owned(),
    }
}

/// What held a run that was contained.
pub(super) fn held(run: Run<'_>, seen: &Seen, logged: &Logged) -> String {
    match run.case.holds(run.place) {
        [Hold::Cut("log_lines")] => format!("cut log_lines, {} lines shown", logged.lines),
        [Hold::Cut("log_line")] => format!("cut log_line, {} bytes shown of a line", logged.longest),
        [Hold::Cut(limit)] => format!("cut {limit}, {} bytes shown", logged.bytes),
        _ => told(&seen.ended, &seen.text),
    }
}
