//! Tickets of a support desk: how urgent they are, and who works on them.

use floe_guest::{Context, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a word says about urgency.
const WEIGHTS: [(&str, u8); 5] = [("outage", 8), ("down", 6), ("urgent", 3), ("refund", 2), ("slow", 2)];
/// No ticket is more urgent.
const MOST: u8 = 10;

/// A ticket as a customer writes it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ticket {
    pub(crate) id: u32,
    /// What it is about, such as `checkout`.
    pub(crate) product: String,
    pub(crate) text: String,
}

/// A ticket with its urgency.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Rated {
    pub(crate) id: u32,
    pub(crate) product: String,
    pub(crate) text: String,
    /// From 0, not at all, to 10.
    #[schemars(range(max = 10))]
    pub(crate) urgency: u8,
}

/// Says how urgent a ticket is.
pub(crate) struct Rate;

impl Node for Rate {
    const NAME: &'static str = "rate";
    const DESCRIPTION: &'static str = "Says how urgent a ticket is, by its words.";
    const TAGS: &'static [&'static str] = &["tickets"];
    type Config = ();
    type Input = Ticket;
    type Output = Rated;

    fn handle((): (), ticket: Ticket, _: &Context) -> Result<Outcome<Rated>> {
        let urgency = urgency(&ticket.text);
        Ok(Rated { id: ticket.id, product: ticket.product, text: ticket.text, urgency }.into())
    }
}

fn urgency(text: &str) -> u8 {
    let text = text.to_lowercase();
    let weight = |(word, weight): (&str, u8)| if text.contains(word) { weight } else { 0 };
    WEIGHTS.into_iter().map(weight).sum::<u8>().min(MOST)
}

/// Hands work to a team.
pub(crate) struct Assign;

/// Whom it is handed to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Team {
    team: String,
}

/// Work of any shape, and who has it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Assigned {
    team: String,
    work: Value,
}

impl Node for Assign {
    const NAME: &'static str = "assign";
    const DESCRIPTION: &'static str = "Hands work of any shape to the team of its configuration.";
    const TAGS: &'static [&'static str] = &["tickets"];
    type Config = Team;
    /// Any JSON, read. `Json` would be any JSON untouched, but it is no part of another type.
    type Input = Value;
    type Output = Assigned;

    fn handle(config: Team, work: Value, _: &Context) -> Result<Outcome<Assigned>> {
        Ok(Assigned { team: config.team, work }.into())
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::{FailureKind, test};
    use serde_json::json;

    use super::*;

    #[test]
    fn words_make_a_ticket_urgent() {
        for (text, wanted) in [
            ("How do I change my name?", 0),
            ("Search is slow", 2),
            ("URGENT: I want a refund", 5),
            ("An outage: everything is down, this is urgent", 10),
        ] {
            let rated = test::run::<Rate>((), json!({ "id": 1, "product": "search", "text": text })).payloads();
            assert_eq!(rated, [json!({ "id": 1, "product": "search", "text": text, "urgency": wanted })]);
        }
    }

    #[test]
    fn work_of_any_shape_is_assigned() {
        for work in [json!(null), json!([1, { "a": "b" }])] {
            let assigned = test::run::<Assign>(json!({ "team": "desk" }), &work).payloads();
            assert_eq!(assigned, [json!({ "team": "desk", "work": work })]);
        }
    }

    #[test]
    fn somebody_must_have_it() {
        let failure = test::run::<Assign>((), json!(1)).result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidInput);
        assert!(failure.message.contains("missing field `team`"), "{}", failure.message);
    }
}
