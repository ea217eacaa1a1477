//! Every guest, built once: constants with the paths of components, for the tests of all crates.
//!
//! [`foreach_guest`] lets a test file insist on a test for each: `foreach_guest!(assert_test_exists)`.

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// Reads a component.
///
/// # Panics
///
/// If it is not there: then the build failed.
pub fn bytes(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Damage for a fuzzer's input: each edit is its kind, where, and how much of it. Any numbers do.
pub type Edit = (u8, u16, u16);

/// The bytes after all edits: flipped, cut out, doubled, overwritten, cut off, swapped.
pub fn edited(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(kind, at, size) in edits {
        if bytes.is_empty() {
            break;
        }
        // Anywhere, however long the input is.
        let at = usize::from(at).wrapping_mul(7919) % bytes.len();
        let end = bytes.len().min(at + 1 + usize::from(size) % 1024);
        match kind % 6 {
            0 => bytes[at] ^= 1 << (size % 8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => bytes[at] = size.to_le_bytes()[0],
            4 => bytes.truncate(at),
            _ => bytes.swap(at, end - 1),
        }
    }
    bytes
}
