//! The smallest plugin: copy it, rename it, and replace `greet`.

use floe_guest::{Context, Json, Node, Outcome, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

floe_guest::export!(nodes: [Echo, Greet]);

/// Says it again, without looking at it: `Json` takes any payload and passes it on byte for byte.
struct Echo;

impl Node for Echo {
    const NAME: &'static str = "echo";
    const DESCRIPTION: &'static str = "Passes any payload on unchanged.";
    type Config = ();
    type Input = Json;
    type Output = Json;

    fn handle((): (), payload: Json, _: &Context) -> Result<Outcome<Json>> {
        Ok(payload.into())
    }
}

/// Greets by name. The schemas that the host checks and shows come from the three types below, comments included.
struct Greet;

/// How to greet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Manner {
    /// The word before the name.
    #[serde(default = "hello")]
    word: String,
}

/// Whom to greet.
#[derive(Deserialize, JsonSchema)]
struct Person {
    name: String,
}

/// The greeting.
#[derive(Serialize, JsonSchema)]
struct Greeting {
    greeting: String,
}

impl Node for Greet {
    const NAME: &'static str = "greet";
    const DESCRIPTION: &'static str = "Greets a person by name.";
    type Config = Manner;
    type Input = Person;
    type Output = Greeting;

    fn handle(manner: Manner, person: Person, _: &Context) -> Result<Outcome<Greeting>> {
        Ok(Greeting { greeting: format!("{}, {}!", manner.word, person.name) }.into())
    }
}

fn hello() -> String {
    "Hello".to_owned()
}

#[cfg(test)]
mod tests {
    use floe_guest::{FailureKind, test};
    use serde_json::json;

    use super::*;

    #[test]
    fn echo_touches_nothing() {
        let text = r#"{ "z": 1.000, "a": [ ] }"#;
        let ran = test::run::<Echo>((), Json::from_text(text));
        assert_eq!(ran.result, Ok(Json::from_text(text).into()));
    }

    #[test]
    fn greet_greets() {
        let person = json!({ "name": "Ada" });
        assert_eq!(test::run::<Greet>((), &person).payloads(), [json!({ "greeting": "Hello, Ada!" })]);
        assert_eq!(test::run::<Greet>(json!({ "word": "Hi" }), &person).payloads(), [json!({ "greeting": "Hi, Ada!" })]);
    }

    #[test]
    fn greet_refuses_what_is_not_a_person() {
        let failure = test::run::<Greet>((), json!({ "nome": "Ada" })).result.expect_err("there is no name");
        assert_eq!(failure.kind, FailureKind::InvalidInput);
        assert!(failure.message.contains("`name`"), "{}", failure.message);
    }
}
