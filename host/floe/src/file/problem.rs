//! What is wrong with a flow, each with its place, and how it is shown.

use std::fmt::{self, Write};
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;

use super::tree::{Origin, Span};

/// Problems of one file that are said; nobody reads on. Each is shown with the lines around it, which takes as long as the file
/// is.
pub const MAX_PROBLEMS: usize = 100;

/// One thing that is wrong, and where.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What to do about it, where the message does not say it.
    pub help: Option<String>,
    /// The place; none: the flow as a whole.
    pub at: Option<Span>,
    /// A second place and what it has to do with the first.
    pub beside: Option<(Span, &'static str)>,
}

/// The texts that a flow is made of.
#[derive(Debug, Clone)]
pub struct Texts {
    /// The flow file as the caller named it.
    pub path: String,
    /// The flow file's text.
    pub text: Arc<str>,
    /// The overrides, as given.
    pub sets: Vec<String>,
}

/// All that is wrong with one flow.
#[derive(Debug, Clone)]
pub struct Problems {
    /// Where the places are.
    pub texts: Texts,
    /// In the order of the file, as far as there is one.
    pub list: Vec<Problem>,
    /// Problems of other files, of the flow's subflows, each with its own places.
    pub others: Vec<Self>,
}

/// A problem as a program reads it.
#[derive(Debug, Serialize)]
pub struct ProblemJson {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The file, or `--set`.
    pub file: String,
    /// From 1; none: the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// From 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

// === impl Problem ===

impl Problem {
    /// A problem at a place.
    pub fn new(message: impl Into<String>, at: Option<Span>) -> Self {
        Self { message: message.into(), help: None, at, beside: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

// === impl Problems ===

impl Problems {
    /// Problems in the order of their places; the ones without a place come last. Of more than [`MAX_PROBLEMS`], the first.
    pub fn new(texts: Texts, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.at.map_or((usize::MAX, usize::MAX), |at| (origin_rank(at.origin), at.start)));
        list.dedup_by(|left, right| left.at == right.at && left.message == right.message);
        if list.len() > MAX_PROBLEMS {
            list.truncate(MAX_PROBLEMS);
            list.push(Problem::new(format!("there are more problems; these are the first {MAX_PROBLEMS}"), None));
        }
        Self { texts, list, others: Vec::new() }
    }

    /// Adds problems of this file or of another. A file that is read twice says each of its problems once.
    pub fn add(&mut self, more: Self) {
        let Self { texts, list, others } = more;
        if !list.is_empty() {
            let known = if self.texts.path == texts.path {
                Some(&mut *self)
            } else {
                self.others.iter_mut().find(|known| known.texts.path == texts.path)
            };
            match known {
                Some(known) => {
                    let all = [std::mem::take(&mut known.list), list].concat();
                    known.list = Self::new(texts, all).list;
                }
                None => self.others.push(Self { texts, list, others: Vec::new() }),
            }
        }
        others.into_iter().for_each(|other| self.add(other));
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.others.iter().all(Self::is_empty)
    }

    /// Each problem with the lines around its place.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(120).without_cause_chain();
        let mut text = String::new();
        for problem in &self.list {
            let shown = Shown::new(&self.texts, problem);
            if handler.render_report(&mut text, &shown).is_err() {
                let _ = writeln!(text, "{shown}");
            }
        }
        text.extend(self.others.iter().map(|other| other.render(color)));
        text
    }

    /// Each problem for a program.
    pub fn json(&self) -> Vec<ProblemJson> {
        let item = |problem: &Problem| {
            let place = problem.at.map(|at| line_and_column(self.texts.of(at.origin).1, at.start));
            ProblemJson {
                message: problem.message.clone(),
                help: problem.help.clone(),
                file: self.texts.of(problem.at.map_or(Origin::File, |at| at.origin)).0.to_owned(),
                line: place.map(|(line, _)| line),
                column: place.map(|(_, column)| column),
            }
        };
        self.list.iter().map(item).chain(self.others.iter().flat_map(Self::json)).collect()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.json().into_iter().enumerate() {
            let separator = if position > 0 { "\n" } else { "" };
            match (problem.line, problem.column) {
                (Some(line), Some(column)) => write!(f, "{separator}{}:{line}:{column}: {}", problem.file, problem.message)?,
                _ => write!(f, "{separator}{}: {}", problem.file, problem.message)?,
            }
            if let Some(help) = problem.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl Texts {
    fn of(&self, origin: Origin) -> (&str, &str) {
        match origin {
            Origin::File => (&self.path, &self.text),
            Origin::Set(index) => ("--set", self.sets.get(index).map_or("", String::as_str)),
        }
    }
}

fn origin_rank(origin: Origin) -> usize {
    match origin {
        Origin::File => 0,
        Origin::Set(index) => 1 + index,
    }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}

// === how one is drawn ===

/// One problem with the text it is about.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: NamedSource<String>,
    labels: Vec<LabeledSpan>,
}

impl<'a> Shown<'a> {
    fn new(texts: &Texts, problem: &'a Problem) -> Self {
        let (name, text) = texts.of(problem.at.map_or(Origin::File, |at| at.origin));
        let range = |span: Span| {
            let start = span.start.min(text.len());
            (start, span.end.clamp(start, text.len()) - start)
        };
        let mut labels: Vec<LabeledSpan> =
            problem.at.map(|at| LabeledSpan::new_primary_with_span(Some("here".to_owned()), range(at))).into_iter().collect();
        if let Some((span, what)) = problem.beside {
            labels.push(LabeledSpan::new_with_span(Some(what.to_owned()), range(span)));
        }
        Self { problem, source: NamedSource::new(name, text.to_owned()), labels }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'b>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.labels.is_empty()).then_some(&self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<dyn Iterator<Item = LabeledSpan> + '_>)
    }
}
