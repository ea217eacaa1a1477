//! Calls whatever tools it is told to, so that tests see what it may call and what comes of it; and tools that are called so.

use floe_guest::capability::tools;
use floe_guest::{Caller, Context, Failure, Json, Node, Outcome, Result, Tool, budget};

floe_guest::export!(nodes: [Ask, AskAll], tools: [Double, Hear, Relay, Spin, WhoAsks]);

/// Takes a list of tools and arguments, calls one after the other, and gives what each gave.
struct Ask;

impl Node for Ask {
    const NAME: &'static str = "ask";
    const DESCRIPTION: &'static str = "Calls the tools that it is told to, one after the other.";
    type Config = ();
    type Input = Vec<(String, serde_json::Value)>;
    type Output = Vec<serde_json::Value>;

    fn handle((): (), wanted: Self::Input, _: &Context) -> Result<Outcome<Self::Output>> {
        let call = |(tool, arguments): (String, serde_json::Value)| tools::call(&tool, Json::new(&arguments)?);
        let answers: Self::Output = wanted.into_iter().map(call).collect::<Result<_>>()?;
        Ok(Outcome::from(answers))
    }
}

/// The same, all at once; of what failed, why.
struct AskAll;

impl Node for AskAll {
    const NAME: &'static str = "ask-all";
    const DESCRIPTION: &'static str = "Calls the tools that it is told to, all at once.";
    type Config = ();
    type Input = Vec<(String, serde_json::Value)>;
    type Output = Vec<serde_json::Value>;

    fn handle((): (), wanted: Self::Input, _: &Context) -> Result<Outcome<Self::Output>> {
        let calls = wanted.into_iter().map(|(tool, arguments)| Ok((tool, Json::new(&arguments)?))).collect::<Result<Vec<_>>>()?;
        let answers = tools::call_all::<serde_json::Value>(calls);
        let shown = answers.into_iter().map(|answer| answer.unwrap_or_else(|failure| failure.message.into()));
        Ok(Outcome::from(shown.collect::<Self::Output>()))
    }
}

/// Doubles a number.
struct Double;

impl Tool for Double {
    const NAME: &'static str = "double";
    const DESCRIPTION: &'static str = "Doubles a number.";
    type Config = ();
    type Input = Number;
    type Output = u64;

    fn call((): (), arguments: Number, _: &Caller) -> Result<u64> {
        arguments.n.checked_mul(2).ok_or_else(|| Failure::invalid_input("that is too large"))
    }
}

/// What is doubled.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Number {
    n: u64,
}

/// Says what it was called with.
struct Hear;

impl Tool for Hear {
    const NAME: &'static str = "hear";
    const DESCRIPTION: &'static str = "Gives its arguments, a line for each character.";
    type Config = ();
    type Input = Json;
    type Output = String;

    fn call((): (), arguments: Json, _: &Caller) -> Result<String> {
        Ok(arguments.as_str().chars().flat_map(|char| [char, '\n']).collect())
    }
}

/// Calls another tool.
struct Relay;

impl Tool for Relay {
    const NAME: &'static str = "relay";
    const DESCRIPTION: &'static str = "Calls the tool that it is told to.";
    type Config = ();
    type Input = Relayed;
    type Output = serde_json::Value;

    fn call((): (), Relayed { tool, with }: Relayed, _: &Caller) -> Result<serde_json::Value> {
        tools::call(&tool, Json::new(&with)?)
    }
}

/// What is called.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Relayed {
    tool: String,
    with: serde_json::Value,
}

/// Asks the host something so many times, and then computes without end.
struct Spin;

impl Tool for Spin {
    const NAME: &'static str = "spin";
    const DESCRIPTION: &'static str = "Computes without end.";
    type Config = ();
    type Input = Spinning;
    type Output = u64;

    fn call((): (), Spinning { asks }: Spinning, _: &Caller) -> Result<u64> {
        for _ in 0..asks {
            std::hint::black_box(budget::cancelled());
        }
        let mut count = 0_u64;
        loop {
            count = std::hint::black_box(count.wrapping_add(1));
        }
    }
}

/// What it asks first.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Spinning {
    #[serde(default)]
    asks: u32,
}

/// Says who calls.
struct WhoAsks;

impl Tool for WhoAsks {
    const NAME: &'static str = "who-asks";
    const DESCRIPTION: &'static str = "Says for whom it is called.";
    type Config = ();
    type Input = Json;
    type Output = (String, String, u32);

    fn call((): (), _: Json, caller: &Caller) -> Result<(String, String, u32)> {
        Ok((caller.tenant.clone(), caller.id.clone(), caller.attempt))
    }
}
