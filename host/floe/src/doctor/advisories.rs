//! What is known to be wrong with versions of Wasmtime, and whether it reaches this host.
//!
//! The list was made by hand from the release notes of Wasmtime 48 and the CVE records, and is as old as [`KNOWN_ON`]. Where an
//! advisory begins is only written down as far as the notes of the 48 line tell: nothing here says that an older line is sound.

use serde::Serialize;

/// The day on which the list was made. Later advisories are at [`LATER`].
pub(super) const KNOWN_ON: &str = "2026-11-24";
/// Where later ones are.
pub(super) const LATER: &str = "https://github.com/bytecodealliance/wasmtime/security/advisories";

/// One advisory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Advisory {
    /// As it is called where it was published.
    pub(super) id: &'static str,
    /// The first version that has it, and the first that does not.
    affected: [&'static str; 2],
    /// What goes wrong.
    pub(super) what: &'static str,
    /// It can go wrong in this host.
    pub(super) reaches: bool,
    /// Why it does or does not.
    pub(super) why: &'static str,
}

const OFF_GC: &str = "the engine takes no garbage-collected types";
const OFF_ASYNC: &str = "the engine takes no asynchronous components, and the feature is not compiled in";

const fn advisory(
    id: &'static str,
    affected: [&'static str; 2],
    what: &'static str,
    reaches: bool,
    why: &'static str,
) -> Advisory {
    Advisory { id, affected, what, reaches, why }
}

const ALL: [Advisory; 14] = [
    advisory(
        "CVE-2026-119134 (GHSA-q554-3cjc-rx7p)",
        ["37.0.0", "48.0.6"],
        "handles of component resources are bounded per instance only and charged to no limit",
        true,
        "the host bounds handles by the setting that came with the fix",
    ),
    advisory(
        "GHSA-hmmr-87qq-258j",
        ["48.0.0", "48.0.8"],
        "a UDP socket sends to addresses that were only allowed for receiving",
        false,
        "guests get no sockets",
    ),
    advisory(
        "GHSA-qw58-7h65-crq2",
        ["48.0.0", "48.0.8"],
        "structure types that the host makes are confused between engines",
        false,
        OFF_GC,
    ),
    advisory("GHSA-3982-jqvv-277m", ["48.0.0", "48.0.8"], "typed calls with i31 or null references panic", false, OFF_GC),
    advisory(
        "GHSA-6fr9-xmw9-5352",
        ["48.0.0", "48.0.8"],
        "lending resources between components takes host memory without a bound",
        true,
        "components of several parts may lend resources to each other",
    ),
    advisory(
        "GHSA-h4wp-g4x3-7398",
        ["48.0.0", "48.0.8"],
        "the length of an outgoing HTTP body may differ from its header",
        true,
        "where a host grants HTTP",
    ),
    advisory(
        "GHSA-5m8g-xhq4-4h93",
        ["48.0.0", "48.0.9"],
        "empty writes to an AsyncWriteStream take host memory without a bound",
        false,
        "guests' output goes to a bounded stream of this host's own",
    ),
    advisory(
        "GHSA-43j2-gcp4-m22g",
        ["48.0.0", "48.0.9"],
        "a stale pointer to a collected heap aborts the process",
        false,
        OFF_GC,
    ),
    advisory("GHSA-xrvr-8678-5wp8", ["48.0.0", "48.0.9"], "cancelling a stream's wrong end panics", false, OFF_ASYNC),
    advisory(
        "GHSA-hj27-mpw9-ff4c",
        ["48.0.0", "48.0.9"],
        "Caller::get_module_export panics outside of a guest's call",
        false,
        "this host does not call it",
    ),
    advisory("GHSA-wvgq-g5hf-6gm6", ["48.0.0", "48.0.9"], "a collected heap of an odd size aborts the process", false, OFF_GC),
    advisory(
        "GHSA-rc4p-x33f-vpr2",
        ["48.0.0", "48.0.9"],
        "builds without the cargo feature `gc` abort",
        false,
        "this host is built with it",
    ),
    advisory(
        "GHSA-2674-w29h-wqvj",
        ["48.0.0", "48.0.9"],
        "builds without the cargo feature `threads` abort",
        false,
        "this host is built with it",
    ),
    advisory(
        "GHSA-f8mm-ggr3-89wh",
        ["48.0.0", "48.0.9"],
        "empty writes to an HTTP/2 body take host memory without a bound",
        false,
        "this host speaks HTTP/1.1 only",
    ),
];

/// Those that a version has; none of a version that cannot be read, which is said elsewhere.
pub(super) fn of(version: &str) -> Vec<Advisory> {
    let Some(version) = parse(version) else { return Vec::new() };
    let has = |advisory: &Advisory| {
        let [from, until] = advisory.affected.map(parse);
        from.is_some_and(|from| from <= version) && until.is_some_and(|until| version < until)
    };
    ALL.into_iter().filter(has).collect()
}

fn parse(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let parsed = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::{ALL, of, parse};

    #[test]
    fn each_version_has_its_advisories() {
        assert!(ALL.iter().all(|advisory| advisory.affected.iter().all(|version| parse(version).is_some())));
        let ids = |version| of(version).into_iter().map(|advisory| advisory.id).collect::<Vec<_>>();
        assert_eq!(ids("48.0.5").len(), 14);
        assert!(!ids("48.0.6").iter().any(|id| id.starts_with("CVE-2026-119134")));
        assert_eq!((ids("48.0.7").len(), ids("48.0.8").len(), ids("48.0.9").len()), (13, 8, 0));
        assert_eq!(ids("36.0.18"), [""; 0]);
        assert_eq!(ids("unknown"), [""; 0]);
        let reach = |version| of(version).iter().filter(|advisory| advisory.reaches).count();
        assert_eq!((reach("48.0.5"), reach("48.0.7"), reach("48.0.8")), (3, 2, 0));
    }
}
