//! A component is inspected, or refused with a place in it.

#![no_main]

use floe_sandbox::{Error, inspect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let size = bytes.len() as u64;
    match inspect(bytes) {
        Ok(inspection) => {
            assert_eq!((inspection.size, &inspection.digest), (size, &floe_sandbox::digest(bytes)));
            assert!(inspection.exports.iter().map(|name| name.len() as u64).sum::<u64>() <= size);
        }
        Err(Error::Damaged { offset, size: told, .. }) => assert!(offset <= size && told == size, "{offset} of {told}"),
        Err(Error::NotAComponent { .. }) => {}
        Err(other) => panic!("{other}"),
    }
});
