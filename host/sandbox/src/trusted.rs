//! The only hand-written unsafe code: loading compiled code, after proof that this installation compiled it.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

/// The bytes of an authentication code.
const TAG: usize = 32;

/// This installation's secret. Whoever has it can run machine code here.
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn mac(&self, digest: &str, fingerprint: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        // Each part with its length, so that no two entries authenticate the same bytes.
        for part in [digest.as_bytes(), fingerprint.as_bytes(), code] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            mac.update(part);
        }
        mac
    }

    /// What is written to disk: the code and its authentication for this component and engine.
    pub(crate) fn seal(&self, digest: &str, fingerprint: &str, code: &[u8]) -> Vec<u8> {
        let tag = self.mac(digest, fingerprint, code).finalize().into_bytes();
        [tag.as_slice(), code].concat()
    }

    /// The code, if it was sealed with this key for this component and engine.
    pub(crate) fn open<'a>(&self, digest: &str, fingerprint: &str, sealed: &'a [u8]) -> Option<Verified<'a>> {
        let (tag, code) = sealed.split_at_checked(TAG)?;
        self.mac(digest, fingerprint, code).verify_slice(tag).ok()?;
        Some(Verified(code))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Compiled code in memory whose authentication was checked. Only [`Key::open`] makes it.
pub(crate) struct Verified<'a>(&'a [u8]);

impl Verified<'_> {
    /// Loads the code.
    #[expect(unsafe_code, reason = "deserialising compiled code trusts its bytes")]
    pub(crate) fn load(self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: `deserialize` is sound for bytes that `Component::serialize` returned, unaltered. The bytes carry an
        // authentication code under a key that only this installation's user can read, and the only caller of `Key::seal`
        // passes it what `Component::serialize` returned. They were checked where they lie in memory and are borrowed since,
        // so that nobody can change them in between; Wasmtime copies them. Code of another version or configuration of
        // Wasmtime is refused by the fingerprint in the authentication code, and once more by `deserialize` itself.
        unsafe { Component::deserialize(engine, self.0) }
    }
}
