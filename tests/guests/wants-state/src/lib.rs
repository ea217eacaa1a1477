//! Imports the capability `state`: the host must refuse to load it unless that is granted, and say so.

use floe_guest::capability::state::{self, Scope};
use floe_guest::{Context, Failure, Json, Node, Outcome, Result, SideEffect};

floe_guest::export!(nodes: [Visits]);

/// Counts how often a tenant came by.
struct Visits;

impl Node for Visits {
    const NAME: &'static str = "visits";
    const DESCRIPTION: &'static str = "Counts the tenant's visits.";
    const SIDE_EFFECT: SideEffect = SideEffect::Write;
    type Config = ();
    type Input = Json;
    type Output = u64;

    fn handle((): (), _: Json, _: &Context) -> Result<Outcome<u64>> {
        let (visits, version) = match state::get(Scope::Tenant, "visits")? {
            Some(entry) => (Json::from_text(entry.value).parse::<u64>()?, entry.version),
            None => (0, 0),
        };
        let visits = visits + 1;
        state::compare_and_set(Scope::Tenant, "visits", version, Json::new(&visits)?.as_str())
            .map_err(|failure| Failure::busy(failure.message))?;
        Ok(visits.into())
    }
}
