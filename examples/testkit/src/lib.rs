//! What a host program may have of its own: a native node, and a flow file that it runs. `tests/flow.rs` tests both.

use std::path::Path;
use std::sync::Arc;

use floe::flow::{Failure, FailureKind, Graph, Invoke, Outcome, native};
use floe::sandbox::Sandbox;
use floe::{Error, assemble, file};
use serde_json::json;

/// A native node: a customer in, the same customer with a discount out.
pub fn discount() -> Arc<dyn Invoke> {
    native(|call| {
        let mut customer = call.message.payload.value().into_owned();
        let percent = match customer.get("plan").and_then(|plan| plan.as_str()) {
            Some("gold") => 20,
            Some("silver") => 10,
            Some(_) => 0,
            None => return Err(Failure::new(FailureKind::InvalidInput, "a customer has a plan")),
        };
        customer["discount"] = json!(percent);
        Ok(Outcome::one(customer.into()))
    })
}

/// The graph of the flow file in a folder, with its plugins; `sets` are as for `floe run --set`.
pub async fn graph(folder: &Path, sets: &[String], sandbox: &Sandbox) -> Result<Graph, Error> {
    let file = file::Flow::load(folder, sets)?;
    Ok(assemble::assemble(&file, sandbox, 1).await?.graph)
}
