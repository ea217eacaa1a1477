//! Floe as a library: reads flow files and the environment, wires host crates together, prints.
//!
//! This is the only crate that knows files, the environment and the terminal. The binary `floe` parses arguments and calls the
//! command's module here. Start with [`file::Flow::load`] to see what a flow file becomes.

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
