//! A policy that is code: which successor a ticket goes to.

use floe_guest::{Context, Node, Outcome, Output, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::tickets::Rated;

/// Sends a ticket to one of two successors.
pub(crate) struct Choose;

/// Which tickets go where; both are names of nodes in the flow.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ways {
    /// From this urgency on a ticket is urgent.
    #[serde(default = "eight")]
    from: u8,
    /// Where urgent ones go.
    urgent: String,
    /// Where all others go.
    other: String,
}

impl Node for Choose {
    const NAME: &'static str = "choose";
    const DESCRIPTION: &'static str = "Sends urgent tickets, and those of urgent requests, one way and all others another.";
    const TAGS: &'static [&'static str] = &["tickets", "policy"];
    type Config = Ways;
    type Input = Rated;
    type Output = Rated;

    fn handle(ways: Ways, ticket: Rated, ctx: &Context) -> Result<Outcome<Rated>> {
        // The priority is the request's: whoever sent it may know what no word of the ticket says.
        let urgent = ticket.urgency >= ways.from || ctx.priority > 0;
        Ok(Output::new(ticket).to(if urgent { ways.urgent } else { ways.other }).into())
    }
}

fn eight() -> u8 {
    8
}

#[cfg(test)]
mod tests {
    use floe_guest::{Json, test};
    use serde_json::json;

    use super::*;

    fn way(urgency: u8, priority: i32) -> Vec<String> {
        let ticket = json!({ "id": 1, "product": "search", "text": "slow", "urgency": urgency });
        let ctx = Context { priority, ..Context::default() };
        let ran = test::run_with::<Choose>(ctx, json!({ "urgent": "page", "other": "desk" }), &ticket);
        let Ok(Outcome::Outputs(mut outputs)) = ran.result else { panic!("{:?}", ran.result) };
        let Output { payload, to, .. } = outputs.remove(0);
        assert_eq!(Json::parse::<serde_json::Value>(&payload).unwrap(), ticket);
        to
    }

    #[test]
    fn urgency_and_priority_decide() {
        assert_eq!(way(7, 0), ["desk"]);
        assert_eq!(way(8, 0), ["page"]);
        assert_eq!(way(0, 1), ["page"]);
    }
}
