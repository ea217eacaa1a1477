//! What may be asked of whom. Nothing is permitted unless a rule says so, and a denial carries the rule that would permit it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Method;

use crate::Error;
use crate::address::Private;
use crate::error::{MAX_SHOWN, shown};
use crate::target::{Host, Scheme, Target};

/// Bytes of a pattern in an operator's file.
const MAX_PATTERN: usize = 1024;
/// The methods of a rule that names none: those that only read.
pub const DEFAULT_METHODS: [Method; 2] = [Method::GET, Method::HEAD];
/// The path of a rule that names none: every path.
pub const DEFAULT_PATH: &str = "/*";

/// Which hosts a rule or a binding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: all.
    Any,
    /// `*.example.com`: all below this name, at any depth, without the name itself.
    Below(String),
    /// This one.
    Exact(Host),
}

impl HostPattern {
    /// Whether this host is meant.
    pub fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Exact(expected), host) => expected == host,
            (Self::Below(parent), Host::Name(name)) => name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
            (Self::Below(_), Host::Address(_)) => false,
        }
    }
}

impl FromStr for HostPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "*" {
            return Ok(Self::Any);
        }
        match text.strip_prefix("*.") {
            None => Ok(Self::Exact(text.parse()?)),
            Some(parent) => match parent.parse()? {
                Host::Name(name) => Ok(Self::Below(name)),
                Host::Address(_) => Err(Error::Invalid(format!("`{}` is no pattern: nothing is below an address", shown(text)))),
            },
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Exact(host) => write!(f, "{host}"),
        }
    }
}

/// Which paths a rule or a binding is about: `/a/b` this one, `/a/*` all that begins with `/a/`, `/*/b` any one segment first. The
/// query is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    /// Whether this path of a [`Target`] is meant. A pattern that tells paths apart holds only for those that every server reads
    /// alike: with an empty segment, an escaped slash or a doubly escaped character a path may mean another place.
    pub fn matches(&self, path: &str) -> bool {
        if self.0 == DEFAULT_PATH {
            return true;
        }
        let is_doubtful = |escape: &&str| path.contains(*escape);
        if ["//", "%2F", "%5C", "%25", "%00", ";"].iter().any(is_doubtful) {
            return false;
        }
        let mut segments = path.split('/');
        let mut expected = self.0.split('/').peekable();
        while let Some(pattern) = expected.next() {
            let Some(segment) = segments.next() else { return false };
            match pattern {
                "*" if expected.peek().is_none() => return true,
                "*" if !segment.is_empty() => {}
                _ if pattern == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

impl FromStr for PathPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Invalid(format!("`{}` is no pattern for paths: {why}", shown(text)));
        if !text.starts_with('/') || text.len() > MAX_PATTERN {
            return Err(bad("it begins with `/`"));
        }
        if text.contains(['?', '#', '\\']) {
            return Err(bad("the query is not looked at"));
        }
        if text.split('/').any(|segment| segment.contains('*') && segment != "*") {
            return Err(bad("`*` stands for a whole segment, or at the end for all that follows"));
        }
        // As a request's path is written, so that both are compared in the same form.
        let Target { path, .. } = Target::parse(&format!("https://host{text}"))?;
        let pattern = Self(path);
        if pattern.0 != DEFAULT_PATH && !pattern.matches(&pattern.0) {
            return Err(bad("servers read such a path in several ways; permit one above it"));
        }
        Ok(pattern)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of places and what may be done there; what a rule permits, or a secret is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// How they are spoken to.
    pub scheme: Scheme,
    /// Who.
    pub host: HostPattern,
    /// At which ports; none: the scheme's.
    pub ports: Vec<u16>,
    /// By which methods.
    pub methods: Vec<Method>,
    /// At which paths.
    pub path: PathPattern,
}

impl Scope {
    /// Whether such a request is meant.
    pub fn contains(&self, method: &Method, target: &Target) -> bool {
        let port = if self.ports.is_empty() { target.port == self.scheme.port() } else { self.ports.contains(&target.port) };
        port && self.scheme == target.scheme
            && self.methods.contains(method)
            && self.host.matches(&target.host)
            && self.path.matches(&target.path)
    }

    /// The narrowest one that contains this request and can be written down.
    pub fn of(method: &Method, target: &Target) -> Self {
        let is_default = target.port == target.scheme.port();
        Self {
            scheme: target.scheme,
            host: HostPattern::Exact(target.host.clone()),
            ports: if is_default { Vec::new() } else { vec![target.port] },
            methods: vec![method.clone()],
            path: Some(&target.path)
                .filter(|path| path.len() <= MAX_SHOWN)
                .and_then(|path| path.parse().ok())
                .unwrap_or_else(|| PathPattern(DEFAULT_PATH.to_owned())),
        }
    }
}

/// As the operator writes it, in one line and without the braces around it.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scheme == Scheme::Http {
            f.write_str("scheme: http, ")?;
        }
        match &self.host {
            HostPattern::Exact(Host::Name(_)) => write!(f, "host: {}", self.host)?,
            _ => write!(f, "host: \"{}\"", self.host)?,
        }
        if !self.ports.is_empty() {
            write!(f, ", ports: {:?}", self.ports)?;
        }
        if self.methods != DEFAULT_METHODS {
            let methods: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
            write!(f, ", methods: [{}]", methods.join(", "))?;
        }
        if self.path.0 != DEFAULT_PATH {
            write!(f, ", path: \"{}\"", self.path)?;
        }
        Ok(())
    }
}

/// One thing that is permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which requests.
    pub scope: Scope,
    /// Whether the host may have addresses of this machine or of its network.
    pub private: bool,
    /// Redirects that are followed, each to where a rule permits; the rest is the caller's answer.
    pub redirects: u32,
}

/// As the operator writes it, in one line.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {}", self.scope)?;
        if self.private {
            f.write_str(", private: true")?;
        }
        if self.redirects > 0 {
            write!(f, ", redirects: {}", self.redirects)?;
        }
        f.write_str(" }")
    }
}

/// Everything that is permitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    /// What permits no more than this.
    within: Option<Arc<Self>>,
}

/// What the rules that permit a request add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permit {
    pub(crate) private: Private,
    pub(crate) redirects: u32,
}

impl Policy {
    /// Fails for a rule that would open the machine's own network to whatever name a guest comes up with.
    pub fn try_new(rules: Vec<Rule>) -> Result<Self, Error> {
        match rules.iter().find(|rule| rule.private && rule.scope.host == HostPattern::Any) {
            Some(rule) => Err(Error::Invalid(format!("{rule}: `private: true` needs a host by name or address, or `*.name`"))),
            None => Ok(Self { rules, within: None }),
        }
    }

    /// What both permit.
    #[must_use]
    pub fn at_most(&self, most: &Self) -> Self {
        let within = match &self.within {
            Some(within) => within.at_most(most),
            None => most.clone(),
        };
        Self { rules: self.rules.clone(), within: Some(Arc::new(within)) }
    }

    /// Whether nothing is permitted.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether such a request is permitted, addresses apart: those are checked when the name has been looked up.
    pub fn check(&self, method: &Method, target: &Target) -> Result<(), Error> {
        self.permit(method, target).map(|_| ())
    }

    pub(crate) fn permit(&self, method: &Method, target: &Target) -> Result<Permit, Error> {
        let mut permit: Option<Permit> = None;
        for rule in self.rules.iter().filter(|rule| rule.scope.contains(method, target)) {
            let private = match (&rule.scope.host, rule.private) {
                (_, false) => Private::None,
                (HostPattern::Exact(Host::Address(_)), true) => Private::Named,
                (_, true) => Private::Some,
            };
            let so_far = permit.unwrap_or(Permit { private: Private::None, redirects: 0 });
            permit = Some(Permit { private: so_far.private.max(private), redirects: so_far.redirects.max(rule.redirects) });
        }
        let permit = permit.ok_or_else(|| {
            let rule = Rule { scope: Scope::of(method, target), private: false, redirects: 0 };
            let url = Target { query: None, ..target.clone() }.to_string();
            Error::Denied { method: shown(method.as_str()), url: shown(&url), rule: rule.to_string(), by_ceiling: false }
        })?;
        let Some(within) = &self.within else { return Ok(permit) };
        let most = within.permit(method, target).map_err(|error| match error {
            Error::Denied { method, url, rule, .. } => Error::Denied { method, url, rule, by_ceiling: true },
            other => other,
        })?;
        Ok(Permit { private: permit.private.min(most.private), redirects: permit.redirects.min(most.redirects) })
    }
}
