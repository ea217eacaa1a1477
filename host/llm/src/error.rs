//! Why there is no answer. Whatever a provider wrote is data: bounded, without control characters.

use std::fmt;
use std::time::Duration;

/// Characters of a provider's explanation that an error keeps: a sentence or two.
pub const MAX_EXPLANATION: usize = 300;
/// Characters of an answer that could not be used, as an error keeps them: enough to see what the model was at.
pub const MAX_RECEIVED: usize = 2_000;

/// What a caller can do about it. `model` is the [name](crate::Model::name) of the model that was asked.
///
/// [`is_passing`](Error::is_passing) says whether the same model may be asked again, [`moves_on`](Error::moves_on) whether another
/// one should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The provider has had enough of us for now: ask again after a while.
    #[error("`{model}` takes no more requests for now{}: {message}", wait(*.retry_after))]
    RateLimited {
        /// Which model.
        model: String,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
        /// What the provider said.
        message: String,
    },
    /// The provider is overloaded, out of order or not reached, or broke off: ask again.
    #[error("`{model}` cannot be asked at the moment{}: {message}", wait(*.retry_after))]
    Unavailable {
        /// Which model.
        model: String,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
        /// What happened.
        message: String,
    },
    /// It took too long: ask again, or allow more.
    #[error("`{model}` took more than the {after:?} that `{limit}` allows")]
    TimedOut {
        /// Which model.
        model: String,
        /// Which time-out.
        limit: TimeOut,
        /// How long it allows.
        after: Duration,
    },
    /// The messages are more than the model reads at once: ask with less, or a model that reads more.
    #[error("the messages are longer than `{model}` can read: {message}")]
    ContextTooLong {
        /// Which model.
        model: String,
        /// What the provider said.
        message: String,
    },
    /// The request cannot be served as it is.
    #[error("`{model}` refuses the request: {message}")]
    BadRequest {
        /// Which model.
        model: String,
        /// What the provider said.
        message: String,
    },
    /// The provider does not know the model, or not at this address.
    #[error("there is no `{model}`: {message}; check the model's name and the base URL")]
    UnknownModel {
        /// Which model.
        model: String,
        /// What the provider said.
        message: String,
    },
    /// The key is missing or not accepted, or its account may not, or has no credit.
    #[error("`{model}` does not accept the key: {message}; check the key and its account")]
    Authentication {
        /// Which model.
        model: String,
        /// What the provider said. The key has been taken out of it.
        message: String,
    },
    /// The provider's filter, or the model itself, will not answer this.
    #[error("`{model}` will not answer this: {message}")]
    Refused {
        /// Which model.
        model: String,
        /// What the provider said.
        message: String,
    },
    /// There is an answer, and it is not what was asked for.
    #[error("the answer of `{model}` cannot be used: {message}")]
    Malformed {
        /// Which model.
        model: String,
        /// What is wrong with it.
        message: String,
        /// Its beginning.
        received: String,
    },
    /// Something is larger than this host takes.
    #[error("limit `{limit}` of `{model}` reached: used {used} of {max} bytes; `{limit}` of the model's settings raises it")]
    Limit {
        /// Which model.
        model: String,
        /// The limit's name.
        limit: &'static str,
        /// What it would have come to.
        used: u64,
        /// What is allowed.
        max: u64,
    },
    /// Whoever read the pieces has gone: nobody waits for the answer.
    #[error("nobody reads the answer of `{model}` any more")]
    Cancelled {
        /// Which model.
        model: String,
    },
    /// A setting or a script that cannot be followed, with its remedy.
    #[error("{0}")]
    Invalid(String),
}

/// The times that a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOut {
    /// To be connected.
    Connect,
    /// From the sent request to the head of the answer.
    Header,
    /// From one part of the answer to the next.
    Chunk,
    /// Everything, repetitions included.
    Total,
}

impl TimeOut {
    /// What it is called in settings and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Header => "header",
            Self::Chunk => "chunk",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for TimeOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Error {
    /// Whether it may pass by itself, so that the same request to the same model may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } => true,
            Self::TimedOut { limit, .. } => *limit != TimeOut::Total,
            Self::ContextTooLong { .. }
            | Self::BadRequest { .. }
            | Self::UnknownModel { .. }
            | Self::Authentication { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Limit { .. }
            | Self::Cancelled { .. }
            | Self::Invalid(_) => false,
        }
    }

    /// Whether another model should be asked. Not for a request that is wrong in itself, which each would refuse, nor when nobody
    /// waits any more, nor when a script or a setting is wrong, which another model would only hide.
    pub fn moves_on(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::TimedOut { .. }
            | Self::ContextTooLong { .. }
            | Self::UnknownModel { .. }
            | Self::Authentication { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Limit { .. } => true,
            Self::BadRequest { .. } | Self::Cancelled { .. } | Self::Invalid(_) => false,
        }
    }

    /// How long to wait at least before the next try, if the provider said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Unavailable { retry_after, .. } => *retry_after,
            Self::TimedOut { .. }
            | Self::ContextTooLong { .. }
            | Self::BadRequest { .. }
            | Self::UnknownModel { .. }
            | Self::Authentication { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Limit { .. }
            | Self::Cancelled { .. }
            | Self::Invalid(_) => None,
        }
    }
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map(|after| format!(" and says to wait {after:?}")).unwrap_or_default()
}

/// What a stranger wrote, for an error: at most `max` characters, line breaks as spaces, no other control characters.
pub(crate) fn plain(text: &str, max: usize) -> String {
    let as_space = |char: char| if char.is_whitespace() { ' ' } else { char };
    let is_seen = |char: &char| !char.is_control() && !is_invisible(*char);
    let mut chars = text.chars().map(as_space).filter(is_seen);
    let mut plain: String = chars.by_ref().take(max).collect();
    if chars.next().is_some() {
        plain.push('…');
    }
    plain.trim().to_owned()
}

/// Characters that turn the direction of text or hide in it (Unicode's `Bidi_Control`, zero-width ones and tags).
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}
