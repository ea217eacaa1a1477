//! Whose memory it is: three parts, all required, and never joined into one text.

use std::sync::Arc;

use floe_flow::state::{Owner, Place};

use super::MemoryError;

/// Bytes of a part: identities of any kind have room, and a key is kept with each conversation.
pub const MAX_KEY_PART: usize = 256;

/// One conversation of one person at one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemoryKey {
    tenant: Arc<str>,
    user: Arc<str>,
    session: Arc<str>,
}

impl MemoryKey {
    /// From what a run knows of itself. Fails with [`MemoryError::NoKey`] where a part is missing, empty or too long: a default in
    /// its place would show one person's conversation to another.
    pub fn try_new(tenant: Option<Arc<str>>, user: Option<Arc<str>>, session: Option<Arc<str>>) -> Result<Self, MemoryError> {
        Ok(Self { tenant: part("tenant", tenant)?, user: part("user", user)?, session: part("session", session)? })
    }

    /// Whose work it is.
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// The person.
    pub fn user(&self) -> &Arc<str> {
        &self.user
    }

    /// The conversation, among the person's.
    pub fn session(&self) -> &Arc<str> {
        &self.session
    }

    /// Where the conversation is kept.
    pub(super) fn place(&self, space: &Arc<str>) -> Place {
        let owner = Owner::Session { user: Some(Arc::clone(&self.user)), session: Arc::clone(&self.session) };
        Place { tenant: Arc::clone(&self.tenant), space: Arc::clone(space), owner }
    }
}

fn part(name: &str, value: Option<Arc<str>>) -> Result<Arc<str>, MemoryError> {
    match value {
        Some(value) if value.len() > MAX_KEY_PART => {
            let size = value.len();
            Err(MemoryError::NoKey(format!("its `{name}` has {size} bytes, and at most {MAX_KEY_PART} are taken; shorten it")))
        }
        Some(value) if !value.is_empty() => Ok(value),
        _ => Err(MemoryError::NoKey(format!("it has no `{name}`; memory needs a tenant, a user and a session"))),
    }
}
