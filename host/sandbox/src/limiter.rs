//! Counts the memory of one store: every memory and table together, as Wasmtime's own limiter counts each alone.

use wasmtime::ResourceLimiter;

use crate::limits::Limits;

/// What a table's element takes in the host.
const TABLE_ELEMENT: u64 = 8;

/// The memory that one store holds and may hold. Installed before the first instantiation.
#[derive(Debug)]
pub(crate) struct Limiter {
    max: u64,
    max_elements: u64,
    tables: usize,
    memories: usize,
    instances: usize,
    held: u64,
    elements: u64,
    /// The charge of the growth that was allowed last, while it may still fail.
    last: u64,
    /// The most held since [`Self::begin`].
    pub(crate) peak: u64,
    /// The first growth refused since [`Self::begin`].
    pub(crate) refused: Option<Refused>,
}

/// A growth that would have gone beyond a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused {
    /// The limit's name.
    pub(crate) limit: &'static str,
    /// What the guest would have held.
    pub(crate) wanted: u64,
    /// What it may hold.
    pub(crate) max: u64,
}

impl Limiter {
    /// `memory`: bytes that the first call may hold.
    pub(crate) fn new(limits: &Limits, memory: u64) -> Self {
        let usize = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            max: memory,
            max_elements: limits.table_elements,
            tables: usize(limits.tables),
            memories: usize(limits.memories),
            instances: usize(limits.instances),
            held: 0,
            elements: 0,
            last: 0,
            peak: 0,
            refused: None,
        }
    }

    /// A new call begins on this store.
    pub(crate) fn begin(&mut self, memory: u64) {
        self.max = memory;
        self.peak = self.held;
        self.refused = None;
    }

    /// Bytes held now.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    fn charge(&mut self, bytes: u64) -> bool {
        let wanted = self.held.saturating_add(bytes);
        if wanted > self.max {
            self.refuse(Refused { limit: "memory", wanted, max: self.max });
            return false;
        }
        self.held = wanted;
        self.peak = self.peak.max(wanted);
        true
    }

    fn refuse(&mut self, refused: Refused) {
        self.refused.get_or_insert(refused);
    }
}

impl ResourceLimiter for Limiter {
    /// A growth beyond the type's own maximum is refused here, so that after a charge only the operating system can fail.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = bytes(desired.saturating_sub(current));
        if maximum.is_some_and(|maximum| desired > maximum) || !self.charge(more) {
            return Ok(false);
        }
        self.last = more;
        Ok(true)
    }

    /// Gives the charge back. Wasmtime also reports growths here for which it never asked (beyond what the memory's type can
    /// express); those were not charged, or a guest could pay for a page and have it refunded without end.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.chain().any(|cause| cause.is::<std::io::Error>()) {
            self.held -= std::mem::take(&mut self.last);
        }
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let more = bytes(desired.saturating_sub(current));
        let elements = self.elements.saturating_add(more);
        if elements > self.max_elements {
            self.refuse(Refused { limit: "table_elements", wanted: elements, max: self.max_elements });
            return Ok(false);
        }
        if !self.charge(more.saturating_mul(TABLE_ELEMENT)) {
            return Ok(false);
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use wasmtime::ResourceLimiter;

    use super::Limiter;
    use crate::limits::{Limits, Profile};

    #[test]
    fn growth_is_counted_over_all_memories_and_given_back_once() {
        let limits = Limits { memory: 1000, table_elements: 50, ..Limits::profile(Profile::Rust) };
        let mut limiter = Limiter::new(&limits, limits.memory);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(!limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.table_growing(0, 50, None).unwrap());
        assert!(!limiter.table_growing(50, 51, None).unwrap());
        assert!(!limiter.memory_growing(600, 601, None).unwrap(), "the table's 400 bytes count");
        assert_eq!(limiter.refused.unwrap().wanted, 1200);
        assert_eq!(limiter.peak, 1000);

        let mut limiter = Limiter::new(&limits, limits.memory);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        limiter.memory_grow_failed(wasmtime::Error::msg("beyond the type")).unwrap();
        assert!(!limiter.memory_growing(0, 600, None).unwrap(), "what was never charged is not given back");
        let no_memory = || wasmtime::Error::from(std::io::Error::from(std::io::ErrorKind::OutOfMemory));
        limiter.memory_grow_failed(no_memory()).unwrap();
        limiter.memory_grow_failed(no_memory()).unwrap();
        assert!(limiter.memory_growing(0, 1000, None).unwrap());
    }
}
