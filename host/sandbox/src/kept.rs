//! Compiled components that are ready: whatever this process has verified once, it does not read and verify again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use wasmtime::component::Component;

/// Components that are kept ready, so that a plugin is loaded again without a look at the disk.
pub const MAX_KEPT: usize = 64;
/// Bytes of compiled code that are kept ready: a dozen plugins, or one of Python's.
pub const MAX_KEPT_BYTES: usize = 256 << 20;

/// The components that were used last, by their digests.
pub(crate) struct Kept {
    most: usize,
    most_bytes: usize,
    /// Whatever was used last comes first.
    ready: Mutex<VecDeque<(String, Component)>>,
}

impl Kept {
    pub(crate) fn new(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, ready: Mutex::default() }
    }

    pub(crate) fn get(&self, digest: &str) -> Option<Component> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let place = ready.iter().position(|(known, _)| known == digest)?;
        let found = ready.remove(place)?;
        let component = found.1.clone();
        ready.push_front(found);
        Some(component)
    }

    /// Keeps it, and lets go of what was not used for longest. One that is larger than all may be together is not kept.
    pub(crate) fn put(&self, digest: &str, component: &Component) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|(known, _)| known != digest);
        ready.push_front((digest.to_owned(), component.clone()));
        let mut bytes = 0;
        let fits = ready.iter().take(self.most).take_while(|(_, component)| {
            bytes += size(component);
            bytes <= self.most_bytes
        });
        let fits = fits.count();
        ready.truncate(fits);
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("most", &self.most).finish_non_exhaustive()
    }
}

/// Bytes of its code and data.
fn size(component: &Component) -> usize {
    let image = component.image_range();
    image.end.addr() - image.start.addr()
}

#[cfg(test)]
mod tests {
    use super::{Kept, size};
    use wasmtime::Engine;
    use wasmtime::component::Component;

    #[test]
    fn what_was_used_last_stays_ready() {
        let engine = Engine::default();
        let component = Component::from_binary(&engine, b"\0asm\x0d\0\x01\0").expect("an empty component compiles");
        let kept = Kept::new(2, usize::MAX);
        kept.put("a", &component);
        kept.put("b", &component);
        assert!(kept.get("a").is_some());
        kept.put("c", &component);
        assert!(kept.get("a").is_some() && kept.get("b").is_none() && kept.get("c").is_some());

        let kept = Kept::new(10, 2 * size(&component));
        for digest in ["a", "b", "c"] {
            kept.put(digest, &component);
        }
        assert!(kept.get("a").is_none() && kept.get("b").is_some() && kept.get("c").is_some());
        let kept = Kept::new(10, size(&component) - 1);
        kept.put("a", &component);
        assert!(kept.get("a").is_none());
    }
}
