//! Why an exchange did not come about.

use std::net::IpAddr;
use std::time::Duration;

use crate::address::Class;

/// Characters of something that a guest or a server wrote, as errors show it.
pub(crate) const MAX_SHOWN: usize = 200;

/// What a caller can do about it. What a message shows of the request is bounded and has no control characters.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It can never be sent: make another request.
    #[error("{0}")]
    Invalid(String),
    /// No rule permits it; the message has the one that would.
    #[error("`{method} {url}` is not granted; the rule that would grant it: {rule}")]
    Denied {
        /// The method.
        method: String,
        /// Where it was to go, without its query.
        url: String,
        /// The rule, as the operator writes it.
        rule: String,
        /// It is a ceiling that lacks it (see [`Policy::at_most`](crate::policy::Policy::at_most)).
        by_ceiling: bool,
    },
    /// The host has an address that the rule does not extend to.
    #[error(
        "`{host}` has the address {address}, which is {class}; {}",
        match class {
            Class::Private => "a rule that names this host and says `private: true` would grant it",
            Class::Link => "a rule that names this very address as its host and says `private: true` would grant it",
            Class::Public | Class::Never => "no rule can grant it",
        }
    )]
    Address {
        /// The host.
        host: String,
        /// The address, in canonical form.
        address: IpAddr,
        /// What the address is.
        class: Class,
    },
    /// A secret's placeholder stands where no binding of the secret takes it.
    #[error("{0}")]
    Secret(String),
    /// A limit is reached.
    #[error("limit `{limit}` reached: used {used} of {max}")]
    Limit {
        /// Its name.
        limit: &'static str,
        /// What it would have come to.
        used: u64,
        /// What is allowed.
        max: u64,
    },
    /// It took too long.
    #[error("`{limit}` allows {after:?} for {phase}, and that is over")]
    TimedOut {
        /// The limit's name.
        limit: &'static str,
        /// What took too long.
        phase: &'static str,
        /// How long it was allowed to take.
        after: Duration,
    },
    /// No connection: it may work later.
    #[error("{0}")]
    Unreachable(String),
    /// The other side broke off or did not answer as HTTP asks for: it may work later.
    #[error("the exchange broke off: {0}")]
    Broken(String),
}

/// What a stranger wrote, for a message: bounded, without control characters.
pub(crate) fn shown(text: &str) -> String {
    let mut chars = text.chars().filter(|char| !char.is_control());
    let mut shown: String = chars.by_ref().take(MAX_SHOWN).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}
