//! What a ticket asks for: one of several types, each with fields of its own.

use floe_guest::{Context, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::Serialize;

use crate::tickets::Ticket;

/// Says what a ticket asks for.
pub(crate) struct Classify;

/// What a ticket asks for. serde writes the variant's name as `kind`; the schema lists the three names, so that the host knows
/// what a router by `kind` must expect.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Case {
    /// Money back for an order.
    Refund { id: u32, order: u32 },
    /// A product does not work.
    Outage { id: u32, product: String },
    /// Anything else.
    Question { id: u32, text: String },
}

impl Node for Classify {
    const NAME: &'static str = "classify";
    const DESCRIPTION: &'static str = "Says what a ticket asks for: a refund, an end to an outage, or an answer.";
    const TAGS: &'static [&'static str] = &["tickets"];
    type Config = ();
    type Input = Ticket;
    type Output = Case;

    fn handle((): (), ticket: Ticket, _: &Context) -> Result<Outcome<Case>> {
        let Ticket { id, product, text } = ticket;
        let words = text.to_lowercase();
        let case = match order(&words) {
            Some(order) if words.contains("refund") => Case::Refund { id, order },
            _ if words.contains("down") || words.contains("outage") => Case::Outage { id, product },
            _ => Case::Question { id, text },
        };
        Ok(case.into())
    }
}

/// The number behind the word `order`.
fn order(words: &str) -> Option<u32> {
    let mut words = words.split(|char: char| !char.is_alphanumeric()).skip_while(|word| *word != "order");
    words.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use floe_guest::test;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_ticket_is_one_of_three() {
        for (text, wanted) in [
            ("Please refund order 1042.", json!({ "kind": "refund", "id": 1, "order": 1042 })),
            ("Checkout is DOWN", json!({ "kind": "outage", "id": 1, "product": "checkout" })),
            ("A refund, please", json!({ "kind": "question", "id": 1, "text": "A refund, please" })),
            ("Where is order 7?", json!({ "kind": "question", "id": 1, "text": "Where is order 7?" })),
        ] {
            let ticket = json!({ "id": 1, "product": "checkout", "text": text });
            assert_eq!(test::run::<Classify>((), ticket).payloads(), [wanted]);
        }
    }

    /// A router by `kind` is checked against these names.
    #[test]
    fn the_schema_lists_the_kinds() {
        let schema = <<Classify as Node>::Output as floe_guest::IntoJson>::schema().unwrap();
        for kind in ["refund", "outage", "question"] {
            assert!(schema.as_str().contains(&format!("\"const\":\"{kind}\"")), "{}", schema.as_str());
        }
    }
}
