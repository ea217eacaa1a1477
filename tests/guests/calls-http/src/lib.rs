//! Asks whom it is told to, and tells everybody what it heard, by every way there is.

use floe_guest::capability::{http, secrets};
use floe_guest::{Context, Failure, Json, Node, Outcome, Output, Result, SideEffect, budget, emit, field, log};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

floe_guest::export!(nodes: [Ask]);

/// What to ask, and what to do with the answer.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    timeout_ms: Option<u64>,
    /// Times that it asks.
    times: u32,
    /// In `headers`, `url` and `body`, `SECRET` is the placeholder of this secret.
    secret: Option<String>,
    /// Or what this variable of the environment has.
    variable: Option<String>,
    /// Tells everybody what it heard, and then ends so: `return`, `fail`, `panic`.
    spill: Option<String>,
    /// The answer is written backwards: turns it round.
    backwards: bool,
    /// Asks only what is left.
    budget: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            url: String::new(),
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
            times: 1,
            secret: None,
            variable: None,
            spill: None,
            backwards: false,
            budget: false,
        }
    }
}

struct Ask;

impl Node for Ask {
    const NAME: &'static str = "ask";
    const DESCRIPTION: &'static str = "Asks whom it is told to, and gives the status and what it has in memory of the answer.";
    const SIDE_EFFECT: SideEffect = SideEffect::External;
    type Config = ();
    type Input = Wanted;
    type Output = Json;

    fn handle((): (), wanted: Wanted, _: &Context) -> Result<Outcome<Json>> {
        let placeholder = match (&wanted.secret, &wanted.variable) {
            (Some(name), _) => secrets::placeholder(name)?,
            (None, Some(name)) => std::env::var_os(name)
                .and_then(|value| value.into_string().ok())
                .ok_or_else(|| Failure::not_found("there is no such variable"))?,
            (None, None) => String::new(),
        };
        let put = |text: &str| text.replace("SECRET", &placeholder);
        let request = http::Request {
            method: wanted.method.clone(),
            url: put(&wanted.url),
            headers: wanted.headers.iter().map(|(name, value)| (name.clone(), put(value))).collect(),
            body: wanted.body.as_deref().map(|body| put(body).into_bytes()),
            timeout_ms: wanted.timeout_ms,
        };
        let mut heard = None;
        for _ in 0..wanted.times {
            heard = Some(http::send(&request)?);
        }
        let left = json!({ "requests": budget::left("requests"), "egress": budget::left("egress-bytes") });
        let Some(heard) = heard else { return Ok(Json::new(&left)?.into()) };
        let text = String::from_utf8_lossy(&heard.body);
        let text: String = if wanted.backwards { text.chars().rev().collect() } else { text.into_owned() };
        let headers = format!("{:?}", heard.headers);
        let told = json!({
            "status": heard.status,
            // In a form that nobody takes anything out of: what this memory has.
            "memory": hex(&heard.body),
            "headers": hex(headers.as_bytes()),
            "placeholder": placeholder,
            "left": left,
            "text": text,
        });
        if let Some(how) = &wanted.spill {
            spill(&text)?;
            match how.as_str() {
                "fail" => return Err(Failure::internal(&text).detail(json!({ "heard": text }))),
                "panic" => panic!("{text}"),
                _ => {}
            }
        }
        Ok(Json::new(&told)?.into())
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "what is printed is one of the ways out")]
fn spill(text: &str) -> Result<()> {
    log::info(text, [field("heard", text), field(text, 1)]);
    println!("{text}");
    eprintln!("{text}");
    emit::message(text)?;
    emit::output(Output::new(text).topic(text).meta("heard", text).meta(text, 1))?;
    emit::chunk(text)?;
    emit::Stream::named("heard").meta("heard", text).chunk(text)?;
    emit::Stream::named(text).meta(text, 1).done()?;
    emit::progress("heard", text)?;
    emit::progress(text, 1)?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
