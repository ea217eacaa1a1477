//! Components and compiled code that were damaged, in whatever way: read or refused, never loaded as what they are not.

use std::fs;
use std::sync::LazyLock;

use floe_sandbox::{Error, inspect};
use floe_tests::Edit;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::cache::{entries, is_taken, load_echo};

/// Guests with nodes, tools, imports and odd names.
static GUESTS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| [floe_tests::ECHO, floe_tests::TEXT, floe_tests::EVIL_NAMES].map(floe_tests::bytes).to_vec());

/// Nothing, the beginning of one, a component's and a module's.
const HEADS: &[&[u8]] = &[b"", b"\0asm", b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0"];

fn check(bytes: &[u8]) {
    let size = bytes.len() as u64;
    let inspection = match inspect(bytes) {
        Ok(inspection) => inspection,
        Err(Error::Damaged { offset, size: told, reason }) => {
            assert!(offset <= size && told == size && !reason.is_empty(), "{offset} of {told}, in truth {size}: {reason}");
            return;
        }
        Err(Error::NotAComponent { found, remedy }) => {
            assert!(!found.is_empty() && !remedy.is_empty());
            return;
        }
        Err(other) => panic!("{other}"),
    };
    assert_eq!((inspection.size, &inspection.digest), (size, &floe_sandbox::digest(bytes)));
    let imports = &inspection.imports;
    let names: Vec<&String> = [&imports.contract, &imports.inert]
        .into_iter()
        .flatten()
        .chain(imports.questionable())
        .chain(&inspection.exports)
        .collect();
    assert!(names.iter().all(|name| name.chars().all(|char| char.is_ascii_graphic())), "{names:?}");
    // All of them are in the bytes; so is all that is counted, an item a byte at least.
    assert!(names.iter().map(|name| name.len() as u64).sum::<u64>() <= size);
    let counts = inspection.counts;
    let items = counts.functions + counts.memories + counts.tables + counts.modules + counts.components + counts.imports;
    assert!(items + counts.instances <= size, "{counts:?} in {size} bytes");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_inspected_or_refused(
        head in select(HEADS), bytes in vec(any::<u8>(), 0..2000),
    ) {
        check(&[head, &bytes].concat());
    }

    /// Sections of a component with any content.
    #[test]
    fn any_sections_are_inspected_or_refused(sections in vec((0_u8..14, vec(any::<u8>(), 0..60)), 0..6)) {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        for (id, content) in sections {
            bytes.extend([id, u8::try_from(content.len()).unwrap()]);
            bytes.extend(content);
        }
        check(&bytes);
    }

    #[test]
    fn damaged_components_are_inspected_or_refused(guest in 0..3_usize, edits in vec(any::<Edit>(), 1..4)) {
        check(&floe_tests::edited(&GUESTS[guest], &edits));
    }
}

#[test]
fn what_is_not_damaged_is_inspected() {
    for guest in GUESTS.iter() {
        check(guest);
    }
    assert!(inspect(&GUESTS[0]).unwrap().node);
}

/// What is done to an entry: damage, and parts of the same and of another entry before and behind.
#[derive(Debug, Clone)]
enum Change {
    Edits(Vec<Edit>),
    Twice,
    Behind(usize),
    Head(usize),
    OtherCode,
    OtherTag,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => vec(any::<Edit>(), 1..4).prop_map(Change::Edits),
        1 => Just(Change::Twice),
        1 => (0..4096_usize).prop_map(Change::Behind),
        1 => (0..4096_usize).prop_map(Change::Head),
        1 => Just(Change::OtherCode),
        1 => Just(Change::OtherTag),
    ]
}

/// Bytes of the seal at an entry's head.
const SEAL: usize = 32;

impl Change {
    fn apply(&self, entry: &[u8], other: &[u8]) -> Vec<u8> {
        match self {
            Self::Edits(edits) => floe_tests::edited(entry, edits),
            Self::Twice => [entry, entry].concat(),
            Self::Behind(size) => [entry, &other[..other.len().min(1 + size)]].concat(),
            Self::Head(size) => entry[..entry.len().min(*size)].to_vec(),
            Self::OtherCode => [&entry[..SEAL], &other[SEAL..]].concat(),
            Self::OtherTag => [&other[..SEAL], &entry[SEAL..]].concat(),
        }
    }
}

/// Only the entry as it was written is loaded; with any other, and with any other key, the plugin is compiled again.
#[test]
fn a_changed_entry_or_key_is_never_loaded() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let (entry, other) = runtime.block_on(async {
        load_echo(cache.path()).await;
        let entry = entries(cache.path()).remove(0);
        crate::support::load(&crate::cache::sandbox(cache.path()), &GUESTS[1]).await.unwrap();
        let other = entries(cache.path()).into_iter().find(|path| *path != entry).unwrap();
        (entry, fs::read(other).unwrap())
    });
    let key = cache.path().join("key");
    let (genuine, genuine_key) = (fs::read(&entry).unwrap(), fs::read(&key).unwrap());
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (proptest::option::weighted(0.8, change()), proptest::option::weighted(0.3, vec(any::<Edit>(), 1..3)));
    let tested = proptest::test_runner::TestRunner::new(config).run(&strategy, |(change, key_edits)| {
        let bytes = change.map_or_else(|| genuine.clone(), |change| change.apply(&genuine, &other));
        let key_bytes = key_edits.map_or_else(|| genuine_key.clone(), |edits| floe_tests::edited(&genuine_key, &edits));
        fs::write(&entry, &bytes).unwrap();
        fs::write(&key, &key_bytes).unwrap();
        let is_genuine = bytes == genuine && key_bytes == genuine_key;
        prop_assert_eq!(runtime.block_on(is_taken(cache.path(), floe_tests::ECHO)), is_genuine);
        Ok(())
    });
    tested.unwrap();
    fs::write(&key, &genuine_key).unwrap();
    fs::write(&entry, [&genuine[..], &genuine].concat()).unwrap();
    runtime.block_on(async {
        load_echo(cache.path()).await;
        assert!(is_taken(cache.path(), floe_tests::ECHO).await, "it was compiled again");
    });
}
