//! Floe as a library: reads flow files and the environment, wires host crates together, prints.
//!
//! This is the only crate that knows files, the environment and the terminal. The binary `floe` parses arguments and calls the
//! command's module here. Start with [`file::Flow::load`] to see what a flow file becomes.
//!
//! A program that embeds Floe does what [`run`] does:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use floe::{assemble::assemble, file, settings::Settings, start};
//! use floe_flow::{End, Flow, Payload, Submission};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::from_env();
//! let file = file::Flow::load(Path::new("examples/speeches"), &[])?;
//! let sandbox = start::sandbox(&settings)?;
//! let assembled = assemble(&file, &sandbox, settings.cores.get()).await?;
//! let flow = Flow::start(assembled.graph, start::config(&file, &sandbox));
//!
//! let payload = Payload::parse(r#"{"year": 1790, "text": "I embrace with great satisfaction …"}"#)?;
//! let (outputs, terminal) = flow.submit(Submission::new("trace-1", "me", payload)).await?.finish().await;
//! assert_eq!((outputs.len(), terminal.end), (1, End::Completed));
//! # Ok(())
//! # }
//! ```

pub mod assemble;
pub mod bench;
pub mod builder;
pub mod cli;
pub mod doctor;
mod error;
pub mod file;
pub mod new;
pub mod plugin;
pub mod run;
pub mod schema;
pub mod settings;
pub mod start;
mod table;
pub mod validate;
pub mod viz;

pub use error::{Error, Exit};
