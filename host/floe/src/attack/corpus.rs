//! The hostile components that the program carries: a file each, whose head says what it tries, where, and what holds it.
//!
//! `tests/attack/README.md` describes the head. Whatever is wrong with a file is an error that names it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// Every file of `tests/attack`: its name and its text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/attack.rs"));

/// Where a case does what it does: in what of a plugin that runs guest code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    /// The whole component is the attack; nothing around it is ours.
    Load,
    /// A core module's start function.
    Start,
    /// The start of the component, where it can call what it imports.
    Initialize,
    /// `node.describe`.
    Describe,
    /// `node.handle`.
    Handle,
    /// `cabi_realloc`, while the host hands over the arguments of `handle`.
    Realloc,
    /// What clears up after `handle` when the host has its result.
    PostReturn,
    /// `toolset.describe`.
    Tools,
    /// `toolset.call`.
    Call,
}

/// What ends or bounds an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    /// It fails with this limit.
    Limit(&'static str),
    /// It does not load, for this reason.
    Refused(&'static str),
    /// It traps or breaks the contract.
    Fault,
    /// It is told this kind of failure.
    Told(&'static str),
    /// It ends without having got anything.
    Completes,
    /// It completes, and what the operator's log has of it is cut at this limit.
    Cut(&'static str),
}

/// How the file's text becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Parts of a core module, which is completed and made a component.
    Core,
    /// A component, or a module, as it is.
    Whole,
    /// The text itself.
    Text,
    /// Bytes in hexadecimal digits.
    Hex,
}

/// A hostile component.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// What it tries, in a line.
    pub(super) tries: &'static str,
    pub(super) places: Vec<Place>,
    /// By place; without one, at all the others.
    holds: Vec<(Option<Place>, Vec<Hold>)>,
    /// Names of `frame/imports.wat`.
    pub(super) imports: Vec<&'static str>,
    /// As under `grants` of a plugin in a flow file.
    pub(super) grants: Option<&'static str>,
    /// Limits that may be smaller, so that it is over sooner.
    pub(super) with: Vec<&'static str>,
    /// Pitfalls of the sandbox's specification that it covers.
    pub(super) spec: Vec<u32>,
    pub(super) form: Form,
    /// Bytes that are left of the component; none: all.
    pub(super) keep: Option<usize>,
    pub(super) body: &'static str,
}

/// One case at one place: a line of the scoreboard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) case: &'a Case,
    pub(super) place: Place,
}

/// Reads every case.
///
/// # Errors
/// [`Error::Wrong`] where a file's head is not as it should be.
pub(super) fn cases() -> Result<Vec<Case>, Error> {
    FILES.iter().map(|(name, text)| Case::parse(name, text)).collect()
}

impl Place {
    const ALL: [Self; 9] = [
        Self::Load,
        Self::Start,
        Self::Initialize,
        Self::Describe,
        Self::Handle,
        Self::Realloc,
        Self::PostReturn,
        Self::Tools,
        Self::Call,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Start => "start",
            Self::Initialize => "initialize",
            Self::Describe => "describe",
            Self::Handle => "handle",
            Self::Realloc => "realloc",
            Self::PostReturn => "post-return",
            Self::Tools => "tools",
            Self::Call => "call",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }
}

impl Hold {
    fn parse(text: &'static str) -> Option<Self> {
        Some(match text.split_once(' ') {
            Some(("limit", name)) => Self::Limit(name),
            Some(("refused", reason)) => Self::Refused(reason),
            Some(("told", kind)) => Self::Told(kind),
            Some(("cut", name)) => Self::Cut(name),
            None if text == "fault" => Self::Fault,
            None if text == "completes" => Self::Completes,
            _ => return None,
        })
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(name) => write!(f, "limit {name}"),
            Self::Refused(reason) => write!(f, "refused {reason}"),
            Self::Fault => f.write_str("fault"),
            Self::Told(kind) => write!(f, "told {kind}"),
            Self::Completes => f.write_str("completes"),
            Self::Cut(name) => write!(f, "cut {name}"),
        }
    }
}

impl Case {
    fn parse(name: &'static str, text: &'static str) -> Result<Self, Error> {
        let wrong = |what: String| Error::wrong(format!("tests/attack/{name}.wat: {what}"));
        let mut case = Self {
            name,
            tries: "",
            places: Vec::new(),
            holds: Vec::new(),
            imports: Vec::new(),
            grants: None,
            with: Vec::new(),
            spec: Vec::new(),
            form: Form::Core,
            keep: None,
            body: text,
        };
        while let Some(line) = case.body.strip_prefix(";; ") {
            let (line, rest) = line.split_once('\n').unwrap_or((line, ""));
            // A comment without a key is the body's.
            let Some((key, value)) = line.split_once(": ") else { break };
            case.set(key, value.trim()).ok_or_else(|| wrong(format!("`{line}` is no line of a head")))?;
            case.body = rest;
        }
        if case.tries.is_empty() || case.places.is_empty() || case.spec.is_empty() {
            return Err(wrong("`tries`, `places` and `spec` are missing, or one of them".to_owned()));
        }
        match case.places.iter().find(|place| case.holds(**place).is_empty()) {
            Some(place) => Err(wrong(format!("`holds` says nothing of {}", place.name()))),
            None => Ok(case),
        }
    }

    fn set(&mut self, key: &'static str, value: &'static str) -> Option<()> {
        let (key, place) = match key.split_once(' ') {
            Some((key, place)) => (key, Some(Place::parse(place)?)),
            None => (key, None),
        };
        let words = || value.split_whitespace();
        match key {
            "tries" => self.tries = value,
            "places" => self.places = words().map(Place::parse).collect::<Option<_>>()?,
            "holds" => self.holds.push((place, value.split(", ").map(Hold::parse).collect::<Option<_>>()?)),
            "imports" => self.imports = words().collect(),
            "grants" => self.grants = Some(value),
            "with" => self.with = words().collect(),
            "spec" => self.spec = words().map(|number| number.parse().ok()).collect::<Option<_>>()?,
            "keep" => self.keep = Some(value.parse().ok()?),
            "form" => {
                self.form = match value {
                    "whole" => Form::Whole,
                    "text" => Form::Text,
                    "hex" => Form::Hex,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// What may hold it at this place.
    pub(super) fn holds(&self, place: Place) -> &[Hold] {
        let here = self.holds.iter().find(|(at, _)| *at == Some(place));
        here.or_else(|| self.holds.iter().find(|(at, _)| at.is_none())).map_or(&[], |(_, holds)| holds)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.places.iter().map(|place| Run { case: self, place: *place })
    }
}

impl Run<'_> {
    /// As people call it: `CASE/PLACE`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.case.name, self.place.name())
    }
}

/// Whether a pattern means this name: its beginning, or all of it, where `*` is anything.
pub(super) fn means(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return name.starts_with(pattern) };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::means;

    #[test]
    fn a_pattern_is_a_beginning_or_a_glob() {
        for (pattern, name, expected) in [
            ("spin", "spin/handle", true),
            ("spin", "spin-calls/handle", true),
            ("spin/", "spin-calls/handle", false),
            ("in", "spin/handle", false),
            ("*/handle", "spin/handle", true),
            ("*/hand", "spin/handle", false),
            ("s*n*e", "spin/handle", true),
            ("s*x*e", "spin/handle", false),
            ("spin/handle*handle", "spin/handle", false),
            ("*", "spin/handle", true),
        ] {
            assert_eq!(means(pattern, name), expected, "{pattern} {name}");
        }
    }
}
