//! The only hand-written unsafe code: loading compiled code, after proof that this installation compiled it.
//!
//! There are two kinds of it: what was compiled just now, here or by a process that this one started for it ([`Compiled`]), and what
//! was kept on disk and carries this installation's seal ([`Verified`]). Nothing else is ever loaded.

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
    pub(crate) fn seal(&self, digest: &str, fingerprint: &str, code: &Compiled) -> Vec<u8> {
        let tag = self.mac(digest, fingerprint, &code.0).finalize().into_bytes();
        [tag.as_slice(), &code.0].concat()
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

/// Code that a compiler with this engine's configuration made a moment ago, in memory that nobody else has. Only the two functions
/// here make it.
#[derive(Debug)]
pub(crate) struct Compiled(Vec<u8>);

impl Compiled {
    /// Compiles in this process.
    pub(crate) fn here(engine: &Engine, component: &[u8]) -> wasmtime::Result<Self> {
        engine.precompile_component(component).map(Self)
    }

    /// What a process that was started for it wrote into its pipe; nothing if its engine, `theirs`, is another than `ours`.
    pub(crate) fn by_child(code: Vec<u8>, theirs: &str, ours: &str) -> Option<Self> {
        (theirs == ours).then_some(Self(code))
    }

    /// Loads the code.
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        load(engine, &self.0)
    }
}

/// Compiled code in memory whose authentication was checked. Only [`Key::open`] makes it.
pub(crate) struct Verified<'a>(&'a [u8]);

impl Verified<'_> {
    /// Loads the code.
    pub(crate) fn load(self, engine: &Engine) -> wasmtime::Result<Component> {
        load(engine, self.0)
    }
}

#[expect(unsafe_code, reason = "deserialising compiled code trusts its bytes")]
fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` is sound for bytes that `Engine::precompile_component` returned, unaltered. There are two callers.
    //
    // `Compiled`: the bytes are what that function returned in this process, or in a child that this process started from its own
    // program, with an engine of the same fingerprint, and wrote into a pipe that only the two have. No other process can write
    // there. The child reads a stranger's component, and if that makes the compiler crash or run out of something, the answer is
    // cut off, its length or its exit code says so, and it is not used. What remains is a component that takes over the child by
    // a bug of the compiler; it could write any code, but so it could if the same bug were used in this process, where the code
    // runs without this detour. So the child protects the host against exhaustion and corruption, not against a compiler that
    // writes wrong code: that is the promise, and it is not more without the child.
    //
    // `Verified`: the bytes carry an authentication code under a key that only this installation's user can read, and `Key::seal`
    // takes only `Compiled`. They were checked where they lie in memory and are borrowed since, so that nobody can change them in
    // between; they are not read from the disk a second time. Wasmtime copies them.
    //
    // Code of another version or configuration of Wasmtime is refused by the fingerprint, which the child sends and the seal
    // covers, and once more by `deserialize` itself.
    unsafe { Component::deserialize(engine, code) }
}
