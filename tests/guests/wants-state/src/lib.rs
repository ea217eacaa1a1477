//! Imports the capability `state`: the host must refuse to load it unless that is granted, and say so.

use floe_guest::capability::state::{self, Scope};
use floe_guest::{Context, Failure, Json, Node, Outcome, Result, SideEffect};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

floe_guest::export!(nodes: [Visits, Do]);

/// Counts how often a tenant came by.
struct Visits;

impl Node for Visits {
    const NAME: &'static str = "visits";
    const DESCRIPTION: &'static str = "Counts the tenant's visits.";
    const SIDE_EFFECT: SideEffect = SideEffect::Write;
    type Config = ();
    type Input = Json;
    type Output = u64;

    /// What becomes of a call while the plugin describes itself.
    fn hints() -> Option<Json> {
        let told = state::get::<u64>(Scope::Tenant, "visits").map(|entry| entry.is_some()).map_err(|failure| told(&failure));
        Json::new(&json!({ "described": told })).ok()
    }

    fn handle((): (), _: Json, _: &Context) -> Result<Outcome<u64>> {
        let visits = state::update(Scope::Tenant, "visits", |visits: Option<u64>| Ok(visits.unwrap_or(0) + 1))?;
        Ok(visits.into())
    }
}

/// Does what it is told to, one after the other.
struct Do;

/// What is to be done: sizes are bytes of a text that is made here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Op {
    Get(Whose, String),
    Set(Whose, String, Value),
    SetText(Whose, usize, String),
    CompareAndSet(Whose, String, u64, Value),
    Delete(Whose, String),
    Keys(Whose, String),
    KeysAfter(Whose, String, Option<String>, u32),
    Fill(Whose, u32, usize),
    Fail,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Whose {
    Tenant,
    User,
    Session,
}

impl From<Whose> for Scope {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Tenant => Self::Tenant,
            Whose::User => Self::User,
            Whose::Session => Self::Session,
        }
    }
}

fn told(failure: &Failure) -> String {
    format!("{:?}: {}", failure.kind, failure.message)
}

fn run(op: Op) -> Result<Value> {
    Ok(match op {
        Op::Get(scope, key) => {
            let entry = state::get::<Json>(scope.into(), &key)?;
            json!(entry.map(|entry| (entry.value.as_str().to_owned(), entry.version)))
        }
        Op::Set(scope, key, value) => json!(state::set(scope.into(), &key, Json::new(&value)?)?),
        Op::SetText(scope, key, text) => {
            json!(floe_guest::bindings::capability::state::set(scope.into(), &"k".repeat(key), &text)?)
        }
        Op::CompareAndSet(scope, key, version, value) => {
            json!(state::compare_and_set(scope.into(), &key, version, Json::new(&value)?)?)
        }
        Op::Delete(scope, key) => json!(state::delete(scope.into(), &key)?),
        Op::Keys(scope, prefix) => json!(state::keys(scope.into(), &prefix)?),
        Op::KeysAfter(scope, prefix, after, limit) => {
            json!(state::keys_after(scope.into(), &prefix, after.as_deref(), limit)?.len())
        }
        Op::Fill(scope, count, bytes) => {
            let value = "x".repeat(bytes);
            for number in 0..count {
                state::set(scope.into(), &format!("fill-{number:06}"), value.as_str())?;
            }
            json!(count)
        }
        Op::Fail => return Err(Failure::invalid_input("it was told to fail")),
    })
}

impl Node for Do {
    const NAME: &'static str = "do";
    const DESCRIPTION: &'static str = "Does what it is told to, and gives a list of what came of it; fails only if told to.";
    const SIDE_EFFECT: SideEffect = SideEffect::Write;
    type Config = ();
    type Input = Vec<Op>;
    type Output = Json;

    fn handle((): (), ops: Vec<Op>, _: &Context) -> Result<Outcome<Json>> {
        let mut all = Vec::new();
        for op in ops {
            let fails = matches!(op, Op::Fail);
            match run(op) {
                Ok(value) => all.push(value),
                Err(failure) if fails => return Err(failure),
                Err(failure) => all.push(told(&failure).into()),
            }
        }
        Ok(Json::new(&all)?.into())
    }
}
