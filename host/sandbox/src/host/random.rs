//! `wasi:random` and `floe:capability/random`: numbers that nobody outside the run can foresee, and that are the same on every attempt
//! of a call. They follow from a secret of the run and from the call, so no record has them.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::Error;
use crate::state::{Reached, State};

/// What the randomness of a run follows from, beside its calls: whoever knows it and a trace's id can foresee the trace's numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u8; 32]);

/// A stream of numbers.
pub(crate) struct Random {
    /// Of this stream alone: one that is known tells nothing of another, and its numbers do not tell it.
    key: [u8; 32],
    /// Blocks that were drawn.
    blocks: u64,
    /// What is left of the last one.
    left: Vec<u8>,
    max: u64,
}

/// How the linker reaches it.
pub(crate) struct HasRandom;

impl HasData for HasRandom {
    type Data<'a> = &'a mut Random;
}

/// Adds `floe:capability/random` to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance("floe:capability/random@0.1.0")?.func_wrap("next", |mut store: StoreContextMut<'_, State>, (): ()| {
        Ok((store.data_mut().capable_of("random")?.random().next(),))
    })
}

// === impl Secret ===

impl Secret {
    /// One that was drawn before; for a test, any.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws one.
    ///
    /// # Errors
    /// [`Error::Random`], where the system has none.
    pub fn draw() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// To keep it where nobody else reads it.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

// === impl Random ===

impl Random {
    /// A stream that follows from the secret and `seed`; one request gets at most `max` bytes.
    pub(crate) fn new(secret: &Secret, seed: [&str; 4], max: u64) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
        for part in seed {
            // With its length, so that `ab`, `c` and `a`, `bc` differ.
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        Self { key: mac.finalize().into_bytes().into(), blocks: 0, left: Vec::new(), max }
    }

    /// The hash of the key and a counter, which has one length for all, is as good as random to whoever does not know the key.
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.left.is_empty() {
                let block = Sha256::new().chain_update(self.key).chain_update(self.blocks.to_le_bytes()).finalize();
                self.left.extend_from_slice(&block);
                self.blocks += 1;
            }
            *byte = self.left.pop().expect("it was filled");
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        let mut word = [0; 8];
        self.fill(&mut word);
        u64::from_le_bytes(word)
    }

    fn bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > self.max {
            return Err(Reached { limit: "random", used: length, max: self.max }.into());
        }
        let mut bytes = vec![0; usize::try_from(length)?];
        self.fill(&mut bytes);
        Ok(bytes)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}

impl random::Host for Random {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next())
    }
}

impl insecure::Host for Random {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.next())
    }
}

impl insecure_seed::Host for Random {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.next(), self.next()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Random, Reached, Secret};

    #[test]
    fn numbers_follow_from_the_call_and_are_limited() {
        let draw = |secret: u8, seed| Random::new(&Secret::new([secret; 32]), seed, 100).bytes(100).unwrap();
        assert_eq!(draw(1, ["tenant", "trace", "id", "node"]), draw(1, ["tenant", "trace", "id", "node"]));
        assert_ne!(
            draw(1, ["tenant", "trace", "id", "node"]),
            draw(2, ["tenant", "trace", "id", "node"]),
            "not without the secret"
        );
        assert_ne!(draw(1, ["tenant", "trace", "id", "node"]), draw(1, ["other", "trace", "id", "node"]));
        assert_ne!(draw(1, ["ab", "c", "d", ""]), draw(1, ["a", "bc", "d", ""]));
        let error = Random::new(&Secret::new([0; 32]), ["", "", "", ""], 100).bytes(101).unwrap_err();
        assert_eq!(error.downcast_ref::<Reached>().map(|reached| reached.limit), Some("random"));
    }

    #[test]
    fn no_number_comes_twice() {
        let mut random = Random::new(&Secret::new([7; 32]), ["tenant", "trace", "id", "node"], 0);
        let mut numbers: Vec<u64> = (0..10_000).map(|_| random.next()).collect();
        let ones: u32 = numbers.iter().map(|number| number.count_ones()).sum();
        assert!((310_000..330_000).contains(&ones), "{ones} of 640 000 bits are set");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 10_000);
        assert!(!format!("{:?}", Secret::new([7; 32])).contains('7'));
    }
}
