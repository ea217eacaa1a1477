//! Floe as a library: reads flow files and the environment, wires host crates together, prints.
//!
//! This is the only crate that knows files, the environment and the terminal. The binary `floe` parses arguments and calls the
//! command's module here. To run a flow in a program of your own:
//!
//! ```no_run
//! use std::path::Path;
//! use std::time::Duration;
//!
//! use floe::flow::{Flow, Item, Payload, Submission};
//! use floe::settings::Settings;
//! use floe::{assemble, file, start};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::from_env();
//! let file = file::Flow::load(Path::new("examples/speeches"), &[])?;
//! let sandbox = start::sandbox(&settings)?;
//! let assembled = assemble::assemble(&file, &sandbox, settings.cores.get()).await?;
//! let flow = Flow::start(assembled.graph, start::config(&file, &sandbox));
//!
//! let payload = Payload::parse(r#"{"year": 1790, "name": "George Washington", "party": "none", "text": "Fellow-Citizens"}"#)?;
//! let mut handle = flow.submit(Submission::new("trace-1", "tenant", payload)).await?;
//! while let Some(item) = handle.next().await {
//!     match item {
//!         Item::Output { node, message } => println!("{node}: {}", message.payload.text()),
//!         Item::End(terminal) => println!("{}", terminal.end.name()),
//!         Item::Chunk { .. } | Item::Superseded { .. } | Item::Progress { .. } => {}
//!     }
//! }
//! flow.stop(Duration::from_secs(30)).await;
//! # Ok(())
//! # }
//! ```

pub mod agent;
pub mod assemble;
pub mod attack;
pub mod bench;
pub mod builder;
pub mod check;
pub mod cli;
pub mod doctor;
mod error;
pub mod export;
pub mod file;
pub mod history;
pub mod learn;
mod models;
pub mod new;
pub mod plugin;
pub mod replay;
pub mod run;
pub mod schema;
pub mod settings;
pub mod start;
pub mod store;
mod table;
pub mod validate;
pub mod viz;

pub use floe_flow as flow;
pub use floe_sandbox as sandbox;

pub use error::{Error, Exit};
