//! Passes any payload on.

use floe_guest::{Context, Json, Node, Outcome, Result};

/// The end of a branch that a router has chosen, or a place to hang a policy on.
pub(crate) struct Pass;

impl Node for Pass {
    const NAME: &'static str = "pass";
    const DESCRIPTION: &'static str = "Passes any payload on unchanged.";
    type Config = ();
    type Input = Json;
    type Output = Json;

    fn handle((): (), payload: Json, _: &Context) -> Result<Outcome<Json>> {
        Ok(payload.into())
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::test;

    use super::*;

    #[test]
    fn not_a_byte_is_changed() {
        let payload = Json::from_text("{\"b\":1e0,\n \"a\":\"\\u0041\"}");
        assert_eq!(test::run::<Pass>((), payload.clone()).result, Ok(payload.into()));
    }
}
