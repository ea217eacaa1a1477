//! Runs whatever flows it is told to, so that tests see what it may run and what comes of it.

use floe_guest::capability::subflow;
use floe_guest::{Context, Json, Node, Outcome, Result, SideEffect};

floe_guest::export!(nodes: [Ask]);

/// Takes a list of flows and payloads, runs one after the other, and gives what came out of each.
struct Ask;

impl Node for Ask {
    const NAME: &'static str = "ask";
    const DESCRIPTION: &'static str = "Runs the flows that it is told to, and gives a list of their outputs.";
    const SIDE_EFFECT: SideEffect = SideEffect::Pure;
    type Config = ();
    type Input = Vec<(String, serde_json::Value)>;
    type Output = Vec<Vec<serde_json::Value>>;

    fn handle((): (), wanted: Self::Input, _: &Context) -> Result<Outcome<Self::Output>> {
        let run = |(flow, payload): (String, serde_json::Value)| subflow::call(&flow, Json::new(&payload)?);
        let answers: Self::Output = wanted.into_iter().map(run).collect::<Result<_>>()?;
        Ok(Outcome::from(answers))
    }
}
