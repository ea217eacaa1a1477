//! Everything of the contract `floe:plugin@0.1.0`, used once. `tests/golden/plugin-0.1.0.wasm` was made of it, once:
//!
//! ```text
//! RUSTFLAGS="--remap-path-prefix=$HOME/.cargo=cargo --remap-path-prefix=$PWD=floe" \
//! CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --target wasm32-wasip2 -p contract
//! ```
//!
//! That file stays as it is, however the SDK and this source change: it stands for the plugins that are out there.

use floe_guest::{Caller, Context, Failure, Json, Node, Outcome, Output, Result, SideEffect, Tool, budget, emit, field, log};

floe_guest::export!(nodes: [Echo, Everything], tools: [Shout]);

/// The least that a node can do.
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

/// The most that a node can do.
struct Everything;

impl Node for Everything {
    const NAME: &'static str = "everything";
    const DESCRIPTION: &'static str = "Logs, emits, streams and shows, and ends as the payload says.";
    const SIDE_EFFECT: SideEffect = SideEffect::Read;
    const IDEMPOTENT: bool = true;
    const TAGS: &'static [&'static str] = &["golden"];
    type Config = Json;
    type Input = String;
    type Output = Json;

    fn hints() -> Option<Json> {
        Some(Json::from_text(r#"{"cost":"low"}"#))
    }

    fn handle(config: Json, end: String, ctx: &Context) -> Result<Outcome<Json>> {
        budget::check()?;
        log::info("everything", [field("fuel-is-limited", budget::left("fuel").is_some())]);
        emit::output(Output::new(config).meta("key", "value").topic("topic").priority(7))?;
        emit::chunk("a piece")?;
        emit::Stream::named("side").done()?;
        emit::progress("status", ctx.turn)?;
        match end.as_str() {
            "outputs" => Ok(Output::new(Json::new(&end)?).meta("key", "value").topic("topic").priority(7).into()),
            "again" => Ok(Outcome::Again { memory: Json::new(&end)?, tokens_used: 3 }),
            "final" => Ok(Outcome::Final(Json::new(&end)?)),
            _ => Err(Failure::conflict("as the payload says")),
        }
    }
}

/// A tool.
struct Shout;

impl Tool for Shout {
    const NAME: &'static str = "shout";
    const DESCRIPTION: &'static str = "Says it louder.";
    const SCOPES: &'static [&'static str] = &["noise"];
    type Config = ();
    type Input = Json;
    type Output = String;

    fn call((): (), arguments: Json, _: &Caller) -> Result<String> {
        Ok(arguments.as_str().to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use floe_guest::test;

    use super::*;

    #[test]
    fn everything_is_used() {
        let ran = test::run::<Everything>(Json::from_text("1"), Json::from_text("\"final\""));
        assert_eq!(ran.result, Ok(Outcome::Final(Json::from_text("\"final\""))));
        let test::Record { emitted, chunks, progress, logs } = ran.record;
        assert_eq!((emitted.len(), chunks.len(), progress.len(), logs.len()), (1, 2, 1, 1));
    }
}
