//! Why a command did not do what it was asked, and how a command ends.

use crate::file::Problems;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The flow is wrong: each problem with its place.
    #[error("{0}")]
    Flow(Box<Problems>),
    /// The call, a plugin or the machine is not as it must be.
    #[error("{message}")]
    Wrong {
        /// What, and where.
        message: String,
        /// What to do about it, where the message does not say it.
        help: Option<String>,
    },
    /// The caller stopped it.
    #[error("interrupted")]
    Interrupted,
    /// It ran, but not all that it gave or read is accounted for.
    #[error("{0}")]
    Lost(String),
    /// What it prints could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

/// How a command ends, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked is done: 0.
    Completed,
    /// Some of it is not, such as traces that did not complete: 1.
    Incomplete,
    /// Nothing was done, because the call, the flow or a plugin is wrong: 2.
    Wrong,
    /// The caller stopped it: 130.
    Interrupted,
}

// === impl Error ===

impl Error {
    /// Something is not as it must be.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self::Wrong { message: message.into(), help: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        match self {
            Self::Wrong { message, .. } => Self::Wrong { message, help: Some(help.into()) },
            Self::Flow(_) | Self::Interrupted | Self::Lost(_) | Self::Output(_) => self,
        }
    }

    /// How the command ends. A reader that went away (`floe viz … | head`) has what it wanted.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Flow(_) | Self::Wrong { .. } => Exit::Wrong,
            Self::Interrupted => Exit::Interrupted,
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Completed,
            Self::Lost(_) | Self::Output(_) => Exit::Incomplete,
        }
    }

    /// What a person reads; nothing if there is nothing to say.
    pub fn render(&self, color: bool) -> String {
        let word = |word: &str| if color { format!("\u{1b}[1;31m{word}\u{1b}[0m") } else { word.to_owned() };
        match self {
            Self::Flow(problems) => problems.render(color),
            Self::Wrong { message, help: None } => format!("{}: {message}\n", word("error")),
            Self::Wrong { message, help: Some(help) } => {
                let help = help.replace('\n', "\n        ");
                format!("{}: {message}\n  help: {help}\n", word("error"))
            }
            Self::Interrupted => String::new(),
            Self::Output(_) if self.exit() == Exit::Completed => String::new(),
            Self::Lost(_) | Self::Output(_) => format!("{}: {self}\n", word("error")),
        }
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Self {
        Self::Flow(Box::new(problems))
    }
}

// === impl Exit ===

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Incomplete => 1,
            Self::Wrong => 2,
            Self::Interrupted => 130,
        }
    }
}
