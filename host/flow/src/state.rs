//! Values that outlive a call: one trait, and a store for as long as the process lives.
//!
//! A value belongs to a tenant, in a space that the operator names, and within it to the tenant as a whole, to a user, or to a user's
//! session: parts that are kept apart and never joined into one text, so that no choice of names reaches another's values. Who may
//! ask, how large a key and a value are, and what space a plugin has, is for the caller to check.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::ready;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::journal::Pending;

/// Bytes of a key: a path or a digest has room, and a thousand of them are a small answer.
pub const MAX_STATE_KEY: usize = 512;
/// Bytes of a value: a long document's summary, and a call may read some before its record is full.
pub const MAX_STATE_VALUE: usize = 256 << 10;
/// Keys of a tenant's space: each costs the store some hundred bytes that the quota does not count.
pub const MAX_STATE_KEYS: u64 = 100_000;
/// Bytes that a space may be granted: what a store in memory can hold beside everything else.
pub const MAX_STATE_BYTES: u64 = 1 << 30;
/// Keys of one answer.
pub const MAX_STATE_LISTED: u32 = 1000;

/// Keeps values. `host/store` has one in the journal's file; [`Memory`] is here. One test holds both to the same.
pub trait StateStore: Send + Sync + Debug {
    /// The value under a key, if there is one.
    fn get(&self, place: &Place, key: &str) -> Pending<Option<Entry>>;

    /// Sets a value. It is there for good when the future says so, and if the process dies before, it may be there or not; it is
    /// written also if the future is dropped.
    fn put(&self, place: &Place, key: &str, put: Put) -> Pending<Written>;

    /// Removes a value, and says whether there was one. As lasting as [`StateStore::put`].
    fn delete(&self, place: &Place, key: &str) -> Pending<bool>;

    /// Keys that begin with the prefix, in the order of their bytes, after the given one if any, at most `limit`.
    fn keys(&self, place: &Place, prefix: &str, after: Option<&str>, limit: u32) -> Pending<Vec<String>>;
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose work it is.
    pub tenant: Arc<str>,
    /// The space's name. Whoever is granted the same one shares its values, within a tenant.
    pub space: Arc<str>,
    /// Whose it is within the tenant.
    pub owner: Owner,
}

/// Whose a value is within its tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// Everybody's.
    Tenant,
    /// A person's.
    User(Arc<str>),
    /// A conversation's. Two users who name the same session do not share it.
    Session {
        /// The person in it, if known.
        user: Option<Arc<str>>,
        /// Which.
        session: Arc<str>,
    },
}

/// A value as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// JSON text, as it was written.
    pub value: Arc<str>,
    /// Grows with each write to the space and never comes back, also if the value is removed meanwhile.
    pub version: u64,
}

/// What is to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// JSON text.
    pub value: Arc<str>,
    /// Only if the value still has this version (0: is not there); none: whatever is there.
    pub expected: Option<u64>,
    /// Bytes of keys and values that the tenant may have in the space afterwards.
    pub max_bytes: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is there, in this version.
    Done(u64),
    /// The value has another version (0: is not there), and is as it was.
    Conflict(u64),
    /// So many bytes it would be, more than there may be. All is as it was.
    Full(u64),
    /// There are [`MAX_STATE_KEYS`] others. All is as it was.
    TooManyKeys,
}

/// What a tenant has in a space, as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The version that was given last.
    pub version: u64,
    /// Keys.
    pub keys: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

// === impl Usage ===

impl Usage {
    /// Decides whether a value may be set, and how the whole is used then. `before` is the version and the bytes of what is there.
    ///
    /// # Errors
    /// Why it may not.
    pub fn put(self, key: &str, put: &Put, before: Option<(u64, u64)>) -> Result<Self, Written> {
        let (version, old) = before.unwrap_or_default();
        if put.expected.is_some_and(|expected| expected != version) {
            return Err(Written::Conflict(version));
        }
        if before.is_none() && self.keys >= MAX_STATE_KEYS {
            return Err(Written::TooManyKeys);
        }
        let (key, value) = (key.len() as u64, put.value.len() as u64);
        let kept = if before.is_some() { self.bytes.saturating_sub(old) } else { self.bytes.saturating_add(key) };
        let bytes = kept.saturating_add(value);
        // What is there already may be made smaller, also where a grant has been lowered below it.
        if bytes > put.max_bytes && bytes > self.bytes {
            return Err(Written::Full(bytes));
        }
        Ok(Self { version: self.version + 1, keys: self.keys + u64::from(before.is_none()), bytes })
    }

    /// How the whole is used without a value of so many bytes.
    #[must_use]
    pub fn without(self, key: &str, value: u64) -> Self {
        let bytes = self.bytes.saturating_sub(key.len() as u64 + value);
        Self { keys: self.keys.saturating_sub(1), bytes, ..self }
    }
}

/// Values for as long as the process lives.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Spaces>);

/// By tenant and name.
type Spaces = BTreeMap<(Arc<str>, Arc<str>), Space>;

#[derive(Debug, Default)]
struct Space {
    usage: Usage,
    values: BTreeMap<Owner, BTreeMap<String, Entry>>,
}

// === impl Memory ===

impl Memory {
    fn spaces(&self) -> MutexGuard<'_, Spaces> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, place: &Place, read: impl FnOnce(&BTreeMap<String, Entry>) -> T) -> Option<T> {
        let spaces = self.spaces();
        let space = spaces.get(&(Arc::clone(&place.tenant), Arc::clone(&place.space)))?;
        space.values.get(&place.owner).map(read)
    }
}

impl StateStore for Memory {
    fn get(&self, place: &Place, key: &str) -> Pending<Option<Entry>> {
        Box::pin(ready(Ok(self.read(place, |values| values.get(key).cloned()).flatten())))
    }

    fn put(&self, place: &Place, key: &str, put: Put) -> Pending<Written> {
        let mut spaces = self.spaces();
        let space = spaces.entry((Arc::clone(&place.tenant), Arc::clone(&place.space))).or_default();
        Box::pin(ready(Ok(space.put(&place.owner, key, put))))
    }

    fn delete(&self, place: &Place, key: &str) -> Pending<bool> {
        let mut spaces = self.spaces();
        let space = spaces.get_mut(&(Arc::clone(&place.tenant), Arc::clone(&place.space)));
        Box::pin(ready(Ok(space.is_some_and(|space| space.delete(&place.owner, key)))))
    }

    fn keys(&self, place: &Place, prefix: &str, after: Option<&str>, limit: u32) -> Pending<Vec<String>> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let keys = self.read(place, |values| {
            let keys = values.range::<str, _>((from, Bound::Unbounded)).map(|(key, _)| key);
            keys.take_while(|key| key.starts_with(prefix)).take(limit as usize).cloned().collect()
        });
        Box::pin(ready(Ok(keys.unwrap_or_default())))
    }
}

// === impl Space ===

impl Space {
    fn put(&mut self, owner: &Owner, key: &str, put: Put) -> Written {
        let before = self.values.get(owner).and_then(|values| values.get(key));
        let before = before.map(|entry| (entry.version, entry.value.len() as u64));
        match self.usage.put(key, &put, before) {
            Ok(usage) => self.usage = usage,
            Err(refused) => return refused,
        }
        let version = self.usage.version;
        self.values.entry(owner.clone()).or_default().insert(key.to_owned(), Entry { value: put.value, version });
        Written::Done(version)
    }

    fn delete(&mut self, owner: &Owner, key: &str) -> bool {
        let Some(values) = self.values.get_mut(owner) else { return false };
        let Some(gone) = values.remove(key) else { return false };
        if values.is_empty() {
            self.values.remove(owner);
        }
        self.usage = self.usage.without(key, gone.value.len() as u64);
        true
    }
}
