//! JSON that fits, out of any model.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use expect_test::expect;
use floe_llm::{
    Abilities, Answering, Asked, CORRECTIONS, Error, Fits, Ladder, MAX_COMPLAINT, MAX_ECHO, Model, Output, Piece, Pieces,
    Request, Role, Rung, Schema, Scripted,
};
use serde_json::{Value, json};

use crate::support::{heard, question, scripted};

fn schema() -> Arc<Schema> {
    Arc::new(Schema { name: "number".to_owned(), schema: json!({ "type": "object", "required": ["n"] }) })
}

/// Whether it has a number.
const FITS: Fits<'static> = &|value: &Value| match value.get("n").map(Value::is_number) {
    Some(true) => Ok(()),
    Some(false) => Err("`n` is no number".to_owned()),
    None => Err("`n` is missing".to_owned()),
};

async fn ask(models: Vec<Arc<dyn Model>>) -> Asked {
    let ladder = Ladder::new(models);
    let request = question();
    let schema = schema();
    // It can be asked from any task.
    let asking: Pin<Box<dyn Future<Output = Asked> + Send + '_>> = Box::pin(ladder.ask(&request, &schema, FITS));
    asking.await
}

/// Keeps what it is asked, and answers with a script; refuses outputs as told.
#[derive(Debug)]
struct Watched {
    model: Scripted,
    refuses: Vec<Rung>,
    asked: Mutex<Vec<Request>>,
}

impl Watched {
    fn new(script: &str, abilities: Abilities, refuses: &[Rung]) -> Arc<Self> {
        let model = Scripted::parse("watched", script).unwrap().with(abilities);
        Arc::new(Self { model, refuses: refuses.to_vec(), asked: Mutex::default() })
    }

    fn rungs(&self) -> Vec<Rung> {
        self.asked.lock().unwrap().iter().map(rung).collect()
    }
}

fn rung(request: &Request) -> Rung {
    match request.output {
        Output::Text => Rung::Prompt,
        Output::Json => Rung::Json,
        Output::Schema(_) => Rung::Schema,
    }
}

impl Model for Watched {
    fn name(&self) -> &str {
        "watched"
    }

    fn abilities(&self) -> Abilities {
        self.model.abilities()
    }

    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a> {
        self.asked.lock().unwrap().push(request.clone());
        if self.refuses.contains(&rung(request)) {
            let (model, message) = ("watched".to_owned(), "response_format is not supported".to_owned());
            return Box::pin(std::future::ready(Err(Error::BadRequest { model, message })));
        }
        self.model.complete(request)
    }
}

#[tokio::test]
async fn what_fits_is_given_with_how_it_was_got() {
    let asked = ask(vec![scripted(r#"{"text": "Well: {\"n\": 1,} it is", "usage": {"input": 7}}"#)]).await;
    let found = asked.result.unwrap();
    assert_eq!((found.value, found.repairs, found.is_cut, found.rung), (json!({"n": 1}), 1, false, Rung::Schema));
    assert_eq!((asked.answers.len(), asked.answers[0].usage.input, asked.corrections), (1, Some(7), 0));
}

#[tokio::test]
async fn of_several_objects_the_first_that_fits_counts() {
    let asked = ask(vec![scripted(r#"{"text": "{} and {\"n\": \"x\"} and {\"n\": 3}"}"#)]).await;
    assert_eq!(asked.result.unwrap().value, json!({"n": 3}));
}

#[tokio::test]
async fn a_model_is_told_once_what_was_wrong() {
    let model = Watched::new("{\"text\": \"{\\\"n\\\": \\\"one\\\"}\"}\n{\"text\": \"{\\\"n\\\": 1}\"}", Abilities::ALL, &[]);
    let asked = ask(vec![model.clone()]).await;
    assert_eq!(asked.result.unwrap().value, json!({"n": 1}));
    assert_eq!((asked.answers.len(), asked.corrections), (2, 1));
    let requests = model.asked.lock().unwrap();
    let said: Vec<String> = requests[1].messages.iter().map(|message| format!("{:?}: {}", message.role, message.text)).collect();
    expect![[r#"
        User: What is it?
        Assistant: {"n": "one"}
        User: That answer cannot be used: `n` is no number. Answer again with one corrected JSON object and nothing else."#]]
    .assert_eq(&said.join("\n"));
}

#[tokio::test]
async fn after_the_corrections_the_next_model_is_asked() {
    let first = Watched::new("{\"text\": \"prose\"}\n{\"text\": \"prose again\"}\n{\"text\": \"never\"}", Abilities::ALL, &[]);
    let asked = ask(vec![first.clone(), scripted(r#"{"text": "{\"n\": 2}"}"#)]).await;
    let found = asked.result.unwrap();
    assert_eq!((found.model.as_str(), found.value), ("script", json!({"n": 2})));
    assert_eq!(first.rungs().len(), 1 + CORRECTIONS);
    assert_eq!(asked.answers.len(), 3, "every answer is reported, for what it cost");
}

#[tokio::test]
async fn when_no_model_fits_the_failure_says_what_came() {
    let asked = ask(vec![scripted("{\"text\": \"{\\\"foo\\\":1}\"}\n{\"text\": \"{'x': 3\"}")]).await;
    let error = asked.result.unwrap_err();
    let Error::Malformed { received, .. } = &error else { panic!("{error}") };
    assert_eq!(received, "{'x': 3");
    expect!["the answer of `script` cannot be used: `n` is missing"].assert_eq(&error.to_string());
    assert_eq!((asked.answers.len(), asked.corrections), (2, 1));
}

#[tokio::test]
async fn the_ladder_is_gone_down_and_the_rung_remembered() {
    let script = "{\"text\": \"{\\\"n\\\": 1}\"}\n{\"again\": true}";
    let model = Watched::new(script, Abilities::ALL, &[Rung::Schema, Rung::Json]);
    let ladder = Ladder::new(vec![model.clone()]);
    for _ in 0..2 {
        let asked = ladder.ask(&question(), &schema(), FITS).await;
        assert_eq!(asked.result.unwrap().rung, Rung::Prompt);
    }
    assert_eq!(model.rungs(), [Rung::Schema, Rung::Json, Rung::Prompt, Rung::Prompt]);
    let last = &model.asked.lock().unwrap()[3];
    assert_eq!(last.messages[0].role, Role::System);
    expect![[r#"Answer with one JSON object and nothing else, without a code fence. It must fit this JSON Schema: {"required":["n"],"type":"object"}"#]]
        .assert_eq(&last.messages[0].text);
}

#[tokio::test]
async fn a_model_is_asked_for_no_more_than_it_can() {
    for (abilities, expected) in [
        (Abilities { streams: true, schema: false, json: true }, Rung::Json),
        (Abilities { streams: true, schema: false, json: false }, Rung::Prompt),
    ] {
        let model = Watched::new(r#"{"text": "{\"n\": 1}"}"#, abilities, &[]);
        assert_eq!(ask(vec![model.clone()]).await.result.unwrap().rung, expected);
        assert_eq!(model.rungs(), [expected]);
    }
    let model = Watched::new(r#"{"text": "{\"n\": 1}"}"#, Abilities { json: false, ..Abilities::ALL }, &[Rung::Schema]);
    assert_eq!(ask(vec![model.clone()]).await.result.unwrap().rung, Rung::Prompt);
    assert_eq!(model.rungs(), [Rung::Schema, Rung::Prompt]);
}

#[tokio::test]
async fn a_bad_request_that_is_bad_on_every_rung_is_one_and_no_rung_is_forgotten() {
    let model = Watched::new(r#"{"text": "{\"n\": 1}"}"#, Abilities::ALL, &[Rung::Schema, Rung::Json, Rung::Prompt]);
    let ladder = Ladder::new(vec![model.clone(), scripted(r#"{"text": "{\"n\": 1}"}"#)]);
    for _ in 0..2 {
        let asked = ladder.ask(&question(), &schema(), FITS).await;
        assert!(matches!(asked.result, Err(Error::BadRequest { .. })), "the next model would refuse it, too");
    }
    assert_eq!(model.rungs().len(), 6);
}

#[tokio::test]
async fn a_model_that_is_down_is_passed_over() {
    let asked = ask(vec![scripted(r#"{"fault": "unavailable"}"#), scripted(r#"{"text": "{\"n\": 4}"}"#)]).await;
    assert_eq!(asked.result.unwrap().value, json!({"n": 4}));
    let asked = ask(vec![scripted(r#"{"fault": "unavailable"}"#), scripted(r#"{"fault": "header"}"#)]).await;
    assert!(matches!(asked.result, Err(Error::TimedOut { .. })), "what the last one failed with");
    assert!(ask(Vec::new()).await.result.is_err());
}

#[tokio::test]
async fn an_answer_that_broke_off_says_so() {
    let asked = ask(vec![scripted(r#"{"text": "{\"n\": 1, \"list\": [1, 2", "finish": "length"}"#)]).await;
    let found = asked.result.unwrap();
    assert!(found.is_cut && found.repairs == 1);
    assert_eq!(found.value, json!({"n": 1, "list": [1]}));
    let cut = r#"{"text": "{\"n", "finish": "length"}"#;
    let asked = ask(vec![scripted(&format!("{cut}\n{cut}"))]).await;
    expect!["the answer of `script` cannot be used: it broke off at the limit of tokens, and `n` is missing"]
        .assert_eq(&asked.result.unwrap_err().to_string());
    let asked = ask(vec![scripted(r#"{"text": "I would", "finish": "filter"}"#)]).await;
    assert!(matches!(asked.result, Err(Error::Refused { .. })));
}

#[tokio::test]
async fn a_reader_hears_only_of_the_answer_that_counts() {
    let model = scripted("{\"pieces\": [\"no \", \"JSON\"]}\n{\"pieces\": [\"{\\\"n\\\"\", \": 1}\"]}");
    let (pieces, mut rx) = Pieces::channel(16);
    let asking = async {
        let request = Request { pieces: Some(pieces), ..question() };
        Ladder::new(vec![model]).ask(&request, &schema(), FITS).await
    };
    let asked = asking.await;
    let mut all = Vec::new();
    while let Some(piece) = rx.recv().await {
        all.push(piece);
    }
    assert!(asked.result.is_ok());
    assert_eq!(heard(&all), r#"{"n": 1}"#);
    assert_eq!(all.iter().filter(|piece| **piece == Piece::Restarted).count(), 1);
}

#[tokio::test]
async fn what_a_model_is_shown_of_its_failure_is_bounded() {
    let long = json!({ "text": "x".repeat(3 * MAX_ECHO) }).to_string();
    let model = Watched::new(&format!("{long}\n{long}"), Abilities::ALL, &[]);
    let complaint = "y".repeat(3 * MAX_COMPLAINT);
    let fits = |_: &Value| Err(complaint.clone());
    let objects = json!({ "text": format!("{{}} {}", "x".repeat(3 * MAX_ECHO)) }).to_string();
    let second = Watched::new(&format!("{objects}\n{objects}"), Abilities::ALL, &[]);
    let asked = Ladder::new(vec![model.clone(), second.clone()]).ask(&question(), &schema(), &fits).await;
    assert!(asked.result.is_err());
    assert_eq!(model.asked.lock().unwrap()[1].messages[1].text.len(), MAX_ECHO);
    let told = second.asked.lock().unwrap()[1].messages[2].text.chars().count();
    assert!((MAX_COMPLAINT..MAX_COMPLAINT + 200).contains(&told), "{told}");
}
