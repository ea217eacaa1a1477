//! Tables that say where messages with a value go. Whoever holds one may change it while messages are routed by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::context::Origin;
use crate::graph::did_you_mean;
use crate::message::Message;
use crate::node::{Failure, FailureKind};

/// What of a message is looked up in a table; named as in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteKey {
    /// The value at this path of the payload; the payload itself if the path is empty.
    Payload(Vec<String>),
    /// Whose message it is: `headers.tenant`.
    Tenant,
    /// Its label: `headers.topic`.
    Topic,
    /// How urgent it is: `headers.priority`.
    Priority,
    /// The id of its trace: `trace`.
    Trace,
}

/// Successors by value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Where a message with this value goes; nowhere if the list is empty.
    pub to: BTreeMap<String, Vec<String>>,
    /// Where all others go; none: to the successor that is called like the value.
    pub otherwise: Option<Vec<String>>,
}

/// The routes of a router; its clones are the same table.
#[derive(Debug, Clone)]
pub struct RoutingTable(Arc<Table>);

#[derive(Debug)]
struct Table {
    /// What routes may name; none: anything, and a message to what is no successor fails.
    successors: Option<BTreeSet<String>>,
    routes: RwLock<Arc<Routes>>,
}

// === impl RouteKey ===

impl RouteKey {
    /// Reads `trace`, `headers.tenant`, `headers.topic`, `headers.priority`, or a path in the payload, which may begin with
    /// `payload.`. The error is for whoever wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts: Vec<&str> = text.split('.').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err("`by` is the name of a field, or names with a `.` between them".to_owned());
        }
        match parts.as_slice() {
            ["trace"] => return Ok(Self::Trace),
            ["headers", "tenant"] => return Ok(Self::Tenant),
            ["headers", "topic"] => return Ok(Self::Topic),
            ["headers", "priority"] => return Ok(Self::Priority),
            ["headers", ..] => {
                let known = "there are `headers.tenant`, `headers.topic` and `headers.priority`";
                return Err(format!("`{text}` is no header; {known}, and the payload's own is `payload.{text}`"));
            }
            ["payload", ..] => {
                parts.remove(0);
            }
            _ => {}
        }
        Ok(Self::Payload(parts.into_iter().map(str::to_owned).collect()))
    }

    /// The text by which a message is looked up. A value that is no text is looked up as JSON writes it.
    fn find(&self, origin: &Origin, message: &Message) -> Result<String, &'static str> {
        match self {
            Self::Payload(path) => {
                let payload = message.payload.value();
                match path.iter().try_fold(payload.as_ref(), |value, key| value.get(key)) {
                    Some(Value::String(text)) => Ok(text.clone()),
                    Some(Value::Null) => Err("is null"),
                    Some(other) => Ok(other.to_string()),
                    None => Err("is not there"),
                }
            }
            Self::Tenant => Ok(origin.tenant.to_string()),
            Self::Topic => message.topic.as_deref().map(str::to_owned).ok_or("is not there"),
            Self::Priority => Ok(message.priority.to_string()),
            Self::Trace => Ok(origin.trace.to_string()),
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload(path) if path.is_empty() => f.write_str("the payload"),
            Self::Payload(path) => write!(f, "the payload's `{}`", path.join(".")),
            Self::Tenant => f.write_str("`headers.tenant`"),
            Self::Topic => f.write_str("`headers.topic`"),
            Self::Priority => f.write_str("`headers.priority`"),
            Self::Trace => f.write_str("`trace`"),
        }
    }
}

// === impl RoutingTable ===

impl RoutingTable {
    /// A table whose routes may name these nodes, now and whenever it is changed; the error says which one is none of them.
    pub fn new<'a>(successors: impl IntoIterator<Item = &'a str>, routes: Routes) -> Result<Self, String> {
        let successors = successors.into_iter().map(str::to_owned).collect();
        let table = Self(Arc::new(Table { successors: Some(successors), routes: RwLock::default() }));
        table.set(routes)?;
        Ok(table)
    }

    /// A table whose routes may name anything.
    pub(super) fn unchecked(routes: Routes) -> Self {
        Self(Arc::new(Table { successors: None, routes: RwLock::new(Arc::new(routes)) }))
    }

    /// The routes as they are.
    pub fn get(&self) -> Arc<Routes> {
        Arc::clone(&self.0.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts other routes in: messages that are routed from now on follow them. If one names what is no successor, nothing is
    /// changed, and the error says which.
    pub fn set(&self, routes: Routes) -> Result<(), String> {
        if let Some(successors) = &self.0.successors {
            let named = routes.to.iter().flat_map(|(value, to)| to.iter().map(move |to| (format!("`{value}`"), to)));
            let others = routes.otherwise.iter().flatten().map(|to| ("`else`".to_owned(), to));
            if let Some((value, to)) = named.chain(others).find(|(_, to)| !successors.contains(*to)) {
                return Err(format!(
                    "{value} goes to `{to}`, which is no successor of this router{}",
                    did_you_mean(to, successors)
                ));
            }
        }
        *self.0.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        Ok(())
    }

    /// Where this message goes.
    pub(super) fn choose(&self, key: &RouteKey, origin: &Origin, message: &Message) -> Result<Vec<String>, Failure> {
        let routes = self.get();
        let found = key.find(origin, message);
        let listed = found.as_ref().ok().and_then(|value| routes.to.get(value)).or(routes.otherwise.as_ref());
        match (listed, found) {
            (Some(targets), _) => Ok(targets.clone()),
            (None, Ok(value)) => Ok(vec![value]),
            (None, Err(what)) => {
                let message = format!("{key} {what}, so it cannot be routed by; add `else`");
                Err(Failure::new(FailureKind::InvalidInput, message))
            }
        }
    }
}
