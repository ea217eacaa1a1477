//! One conversation at a time: what is known of it, who works at it, and how it is read and written. What counts is what the store
//! has: each change is made to that, and made again to whatever somebody else has written meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_flow::state::{Place, Put, Written};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::state::State;
use super::{MemoryError, MemoryKey, Shared};

/// Conversations that are kept at hand: more are not under way at once, and each has some ten kilobytes. The others are read when
/// they are used.
pub const MAX_CONVERSATIONS: usize = 1024;
/// Times that a change is made again because somebody else wrote meanwhile: each time another one got through, and a conversation
/// has few writers.
pub const MAX_CONFLICTS: usize = 16;

/// The one value of a conversation.
const KEY: &str = "memory";

/// What a process has of a conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) key: MemoryKey,
    place: Place,
    /// Held while the store is read and written, and never while a model is asked.
    known: tokio::sync::Mutex<Known>,
    work: Mutex<Work>,
    /// Nobody summarises any more.
    pub(super) idle: Notify,
}

/// The state that the store had last.
#[derive(Debug)]
struct Known {
    /// 0: the store has none.
    version: u64,
    state: State,
}

/// Who makes summaries.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Ends the task that does, if there is one.
    pub(super) stop: Option<CancellationToken>,
    /// It waits for its time or its turn, and may be ended without loss.
    pub(super) is_waiting: bool,
    /// When a model was asked last.
    pub(super) tried: Option<Instant>,
    /// Why the last one stopped, if not because all was done or the model is down.
    pub(super) failure: Option<MemoryError>,
}

/// The conversations at hand, by key, and when they were used.
#[derive(Debug, Default)]
pub(super) struct AtHand {
    slots: HashMap<MemoryKey, (Arc<Conversation>, u64)>,
    uses: u64,
}

// === impl Conversation ===

impl Conversation {
    fn new(key: &MemoryKey, space: &Arc<str>) -> Self {
        let known = Known { version: 0, state: State::empty() };
        let known = tokio::sync::Mutex::new(known);
        Self { key: key.clone(), place: key.place(space), known, work: Mutex::default(), idle: Notify::new() }
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl AtHand ===

impl AtHand {
    /// The conversation of this key. If there are too many, the one that was used longest ago makes way, of those that nobody uses.
    pub(super) fn take(&mut self, key: &MemoryKey, space: &Arc<str>) -> Result<Arc<Conversation>, MemoryError> {
        self.uses += 1;
        if let Some((conversation, used)) = self.slots.get_mut(key) {
            *used = self.uses;
            return Ok(Arc::clone(conversation));
        }
        if self.slots.len() >= MAX_CONVERSATIONS {
            self.make_way()?;
        }
        let conversation = Arc::new(Conversation::new(key, space));
        self.slots.insert(key.clone(), (Arc::clone(&conversation), self.uses));
        Ok(conversation)
    }

    /// All of a conversation that matters is in the store, so that whoever is not used just goes. One whose summary waits for its
    /// time is held by that task alone; the task ends, and the next use begins it again.
    fn make_way(&mut self) -> Result<(), MemoryError> {
        let is_free = |conversation: &Arc<Conversation>| {
            let work = conversation.work();
            let holders = 1 + usize::from(work.stop.is_some());
            Arc::strong_count(conversation) <= holders && (work.stop.is_none() || work.is_waiting)
        };
        let free = self.slots.iter().filter(|(_, (conversation, _))| is_free(conversation));
        let oldest = free.min_by_key(|(_, (_, used))| *used).map(|(key, _)| key.clone());
        let oldest = oldest.ok_or(MemoryError::Busy { max: MAX_CONVERSATIONS })?;
        if let Some((conversation, _)) = self.slots.remove(&oldest)
            && let Some(stop) = &conversation.work().stop
        {
            stop.cancel();
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

// === impl Shared ===

impl Shared {
    /// The conversation as the store has it.
    pub(super) async fn look(&self, conversation: &Conversation) -> Result<State, MemoryError> {
        let mut known = conversation.known.lock().await;
        self.refresh(conversation, &mut known).await?;
        Ok(known.state.clone())
    }

    /// Changes the conversation as the store has it, and gives it as it is then. A change that leaves all as it was is not written.
    /// If the future is dropped, or the store fails, the change may have been made or not.
    pub(super) async fn change<T>(
        &self,
        conversation: &Conversation,
        change: impl Fn(&mut State) -> Result<T, MemoryError>,
    ) -> Result<(T, State), MemoryError> {
        let mut known = conversation.known.lock().await;
        for _ in 0..MAX_CONFLICTS {
            self.refresh(conversation, &mut known).await?;
            let mut next = known.state.clone();
            let result = change(&mut next)?;
            if next == known.state {
                return Ok((result, next));
            }
            let value = next.encode(&self.config)?.into();
            let max = self.config.max_bytes;
            let put = Put { value, expected: Some(known.version), max_bytes: max };
            match self.store.put(&conversation.place, KEY, put).await? {
                Written::Done(version) => {
                    let before = std::mem::replace(&mut *known, Known { version, state: next.clone() });
                    self.tell(&conversation.key, &before.state, &next);
                    return Ok((result, next));
                }
                Written::Conflict(_) => {}
                Written::Full(used) => return Err(MemoryError::Full { used, max }),
                Written::TooManyKeys => return Err(MemoryError::TooManyKeys),
            }
        }
        Err(MemoryError::Conflict { tries: MAX_CONFLICTS })
    }

    /// Has whoever summarises leave, unless a turn came since it looked. Whoever adds one looks for it afterwards: so none is left
    /// waiting in between.
    pub(super) async fn leave(&self, conversation: &Conversation) -> bool {
        let known = conversation.known.lock().await;
        let may_leave = known.state.pending.is_empty();
        if may_leave {
            conversation.work().stop = None;
        }
        may_leave
    }

    /// Removes a value that cannot be read.
    pub(super) async fn delete(&self, conversation: &Conversation) -> Result<(), MemoryError> {
        let mut known = conversation.known.lock().await;
        self.store.delete(&conversation.place, KEY).await?;
        *known = Known { version: 0, state: State::empty() };
        Ok(())
    }

    async fn refresh(&self, conversation: &Conversation, known: &mut Known) -> Result<(), MemoryError> {
        let entry = self.store.get(&conversation.place, KEY).await?;
        *known = match entry {
            Some(entry) if entry.version == known.version => return Ok(()),
            Some(entry) => Known { version: entry.version, state: State::decode(&entry.value)? },
            None => Known { version: 0, state: State::empty() },
        };
        Ok(())
    }

    fn tell(&self, key: &MemoryKey, before: &State, after: &State) {
        let Some(observer) = &self.observer else { return };
        if before.summary != after.summary {
            observer.on_summary_updated(key, &before.summary, &after.summary);
        }
        if before.health != after.health {
            observer.on_health_changed(key, before.health, after.health);
        }
    }
}
