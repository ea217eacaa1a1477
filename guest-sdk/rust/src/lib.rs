//! Write Floe plugins in Rust.
//!
//! A plugin is a component with *nodes* (parts of a flow), *tools* (for agents and other callers), or both. A node is a type
//! with the trait [`Node`], a tool one with [`Tool`]; [`export!`] makes the plugin of them. Payloads, configurations and
//! arguments are types with serde and schemars, and the schemas that the host shows and checks come from those types.
//!
//! ```
//! use floe_guest::{Context, Node, Outcome, Result};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Person { name: String }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Greeting { greeting: String }
//!
//! struct Greet;
//!
//! impl Node for Greet {
//!     const NAME: &'static str = "greet";
//!     const DESCRIPTION: &'static str = "Greets a person by name.";
//!     type Config = ();
//!     type Input = Person;
//!     type Output = Greeting;
//!
//!     fn handle((): (), person: Person, _: &Context) -> Result<Outcome<Greeting>> {
//!         Ok(Greeting { greeting: format!("Hello, {}!", person.name) }.into())
//!     }
//! }
//!
//! floe_guest::export!(nodes: [Greet]);
//!
//! // Handlers are tested as they are, without WebAssembly.
//! let ran = floe_guest::test::run::<Greet>((), serde_json::json!({ "name": "Ada" }));
//! assert_eq!(ran.payloads(), [serde_json::json!({ "greeting": "Hello, Ada!" })]);
//! ```
//!
//! Build it as a `cdylib` with `cargo build --release --target wasm32-wasip2`.
//!
//! # Capabilities
//!
//! Computing, [`log`], [`emit`] and [`budget`] are free. Anything else is a capability: a feature of this crate, and a module
//! of the same name in [`capability`]. `floe-guest = { features = ["state"] }` is to a Cargo project what `uses = ["state"]`
//! is in `plugin.toml`: code that reaches for a capability that is not listed does not compile. What the finished component
//! imports, and so what the operator is asked to grant, is what its code really calls: never more than what is listed, and
//! never what only another crate of the same workspace lists.
//!
//! # Size
//!
//! Describing types takes code, and so do the messages of errors. This profile in the plugin's own `Cargo.toml` halves the
//! component, which is then compiled and loaded faster:
//!
//! ```toml
//! [profile.release]
//! opt-level = "s"
//! lto = "fat"
//! codegen-units = 1
//! strip = "symbols"
//! ```
//!
//! # Errors and panics
//!
//! `?` and the constructors of [`Failure`] end a call with one of the contract's kinds, by which the host decides whether to
//! try again. A panic ends the instance: its message goes to standard error, which the host logs.

pub mod bindings;
pub mod budget;
pub mod capability;
pub mod emit;
pub mod log;
#[cfg(not(target_arch = "wasm32"))]
pub mod test;

mod export;
mod failure;
mod host;
mod json;
mod node;
mod tool;

pub use bindings::plugin::types::{Failure, FailureKind, Field, SideEffect};
pub use bindings::toolset::Caller;
pub use failure::Result;
pub use json::{FromJson, IntoJson, Json, field};
pub use node::{Context, Node, Outcome, Output};
pub use tool::Tool;

#[doc(hidden)]
pub use export::{call_tool, describe_node, describe_tool, distinct, handle_node, no_such};
