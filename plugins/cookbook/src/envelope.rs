//! What travels with a payload: metadata, a topic, a priority, and whose request it is.

use std::collections::BTreeMap;

use floe_guest::{Context, Json, Node, Outcome, Output, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::tickets::Ticket;

/// Words by which a text is taken for German.
const GERMAN: [&str; 5] = ["das", "der", "die", "ist", "nicht"];
/// The priority of what somebody calls urgent.
const URGENT: i32 = 5;

/// Writes on the envelope what it finds out about a ticket.
pub(crate) struct Tag;

impl Node for Tag {
    const NAME: &'static str = "tag";
    const DESCRIPTION: &'static str =
        "Adds a ticket's language to its metadata, its product as topic, and a priority if it is urgent.";
    const TAGS: &'static [&'static str] = &["tickets"];
    type Config = ();
    type Input = Ticket;
    type Output = Ticket;

    fn handle((): (), ticket: Ticket, _: &Context) -> Result<Outcome<Ticket>> {
        let words = ticket.text.to_lowercase();
        let german = words.split(|char: char| !char.is_alphabetic()).any(|word| GERMAN.contains(&word));
        let urgent = words.contains("urgent") || words.contains("dringend");
        let topic = ticket.product.clone();
        // The payload stays as it is. Keys that came in stay too, unless one of the same name is put over them.
        let output = Output::new(ticket).meta("language", if german { "de" } else { "en" }).topic(topic);
        Ok(if urgent { output.priority(URGENT) } else { output }.into())
    }
}

/// Shows all that a call is told of its message.
pub(crate) struct Show;

/// A message, envelope included.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Shown {
    /// The node that sent it.
    source: Option<String>,
    tenant: String,
    user: Option<String>,
    session: Option<String>,
    topic: Option<String>,
    priority: i32,
    meta: BTreeMap<String, Value>,
    payload: Value,
}

impl Node for Show {
    const NAME: &'static str = "show";
    const DESCRIPTION: &'static str = "Shows a message with its envelope.";
    type Config = ();
    type Input = Json;
    type Output = Shown;

    fn handle((): (), payload: Json, ctx: &Context) -> Result<Outcome<Shown>> {
        let meta = ctx.meta.iter().map(|(key, value)| Ok((key.clone(), serde_json::from_str(value)?)));
        let shown = Shown {
            source: ctx.source.clone(),
            tenant: ctx.tenant.clone(),
            user: ctx.user.clone(),
            session: ctx.session.clone(),
            topic: ctx.topic.clone(),
            priority: ctx.priority,
            meta: meta.collect::<Result<_>>()?,
            payload: payload.parse()?,
        };
        Ok(shown.into())
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::{field, test};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_ticket_is_tagged_and_stays_as_it_is() {
        for (text, language, priority) in [
            ("It is not there", "en", None),
            ("Das ist dringend!", "de", Some(URGENT)),
            ("Urgent: a dashing dart", "en", Some(URGENT)),
        ] {
            let ticket = json!({ "id": 1, "product": "search", "text": text });
            let ran = test::run::<Tag>((), &ticket);
            assert_eq!(ran.payloads(), [ticket]);
            let Ok(Outcome::Outputs(outputs)) = ran.result else { unreachable!("there are payloads") };
            assert_eq!(outputs[0].meta, [field("language", language)], "{text}");
            assert_eq!((outputs[0].topic.as_deref(), outputs[0].priority), (Some("search"), priority), "{text}");
        }
    }

    #[test]
    fn an_envelope_is_shown_whole() {
        let ctx = Context {
            source: Some("tag".to_owned()),
            topic: Some("search".to_owned()),
            meta: vec![field("plan", "gold")],
            ..Context::default()
        };
        let shown = json!({
            "source": "tag", "tenant": "tenant", "user": null, "session": null, "topic": "search", "priority": 0,
            "meta": { "plan": "gold" }, "payload": [1],
        });
        assert_eq!(test::run_with::<Show>(ctx, (), json!([1])).payloads(), [shown]);
    }
}
