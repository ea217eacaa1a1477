//! `wasi:random`, the same at every run of the same call: not for secrets.

use wasmtime::component::HasData;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::state::Reached;

/// A stream of numbers: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
    max: u64,
}

/// How the linker reaches it.
pub(crate) struct HasRandom;

impl HasData for HasRandom {
    type Data<'a> = &'a mut Random;
}

impl Random {
    /// A stream that follows from `seed`; one request gets at most `max` bytes.
    pub(crate) fn new(seed: [&str; 3], max: u64) -> Self {
        let mut random = Self { state: 0, max };
        for part in seed {
            for chunk in part.as_bytes().chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                random.state ^= u64::from_le_bytes(word);
                random.state = random.next();
            }
            // So that `ab`, `c` and `a`, `bc` differ.
            random.state ^= part.len() as u64;
            random.state = random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > self.max {
            return Err(Reached { limit: "random", used: length, max: self.max }.into());
        }
        let length = usize::try_from(length)?;
        let mut bytes = Vec::with_capacity(length + 7);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        Ok(bytes)
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
    use super::{Random, Reached};

    #[test]
    fn numbers_follow_from_the_call_and_are_limited() {
        let draw = |seed| Random::new(seed, 100).bytes(100).unwrap();
        assert_eq!(draw(["trace", "id", "node"]), draw(["trace", "id", "node"]));
        assert_ne!(draw(["trace", "id", "node"]), draw(["trace", "id", "other"]));
        assert_ne!(draw(["ab", "c", "d"]), draw(["a", "bc", "d"]));
        let error = Random::new(["", "", ""], 100).bytes(101).unwrap_err();
        assert_eq!(error.downcast_ref::<Reached>().map(|reached| reached.limit), Some("random"));
    }
}
