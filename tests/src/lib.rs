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
