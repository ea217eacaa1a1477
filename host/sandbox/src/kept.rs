//! Compiled components that are ready: whatever this process has read and verified once, it does not read and verify again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use wasmtime::component::Component;

use crate::inspect::Inspection;

/// Components that are kept ready, so that a plugin is loaded again without a look at the disk.
pub const MAX_KEPT: usize = 64;
/// Bytes of compiled code that are kept ready: a dozen plugins, or one of Python's.
pub const MAX_KEPT_BYTES: usize = 256 << 20;

/// A component, with what was read from the bytes of its digest.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) inspection: Inspection,
    pub(crate) component: Component,
}

/// The components that were used last, by their digests.
pub(crate) struct Kept {
    most: usize,
    most_bytes: usize,
    /// Whatever was used last comes first.
    ready: Mutex<VecDeque<Ready>>,
}

impl Kept {
    pub(crate) fn new(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, ready: Mutex::default() }
    }

    pub(crate) fn get(&self, digest: &str) -> Option<Ready> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let place = ready.iter().position(|ready| ready.inspection.digest == digest)?;
        let found = ready.remove(place)?;
        ready.push_front(found.clone());
        Some(found)
    }

    /// Keeps it, and lets go of what was not used for longest. One that is larger than all may be together is not kept.
    pub(crate) fn put(&self, inspection: &Inspection, component: &Component) {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        ready.retain(|ready| ready.inspection.digest != inspection.digest);
        ready.push_front(Ready { inspection: inspection.clone(), component: component.clone() });
        let mut bytes = 0;
        let fits = ready.iter().take(self.most).take_while(|ready| {
            bytes += size(&ready.component);
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
    use crate::inspect::{Inspection, inspect};
    use wasmtime::Engine;
    use wasmtime::component::Component;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn of(digest: &str) -> Inspection {
        Inspection { digest: digest.to_owned(), ..inspect(EMPTY).expect("it is a component") }
    }

    #[test]
    fn what_was_used_last_stays_ready() {
        let engine = Engine::default();
        let component = Component::from_binary(&engine, EMPTY).expect("an empty component compiles");
        let kept = Kept::new(2, usize::MAX);
        kept.put(&of("a"), &component);
        kept.put(&of("b"), &component);
        assert!(kept.get("a").is_some());
        kept.put(&of("c"), &component);
        assert!(kept.get("a").is_some() && kept.get("b").is_none() && kept.get("c").is_some());

        let kept = Kept::new(10, 2 * size(&component));
        for digest in ["a", "b", "c"] {
            kept.put(&of(digest), &component);
        }
        assert!(kept.get("a").is_none() && kept.get("b").is_some() && kept.get("c").is_some());
        let kept = Kept::new(10, size(&component) - 1);
        kept.put(&of("a"), &component);
        assert!(kept.get("a").is_none());
    }
}
