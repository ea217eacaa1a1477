//! The arguments of `floe plugin learn`.

use std::path::PathBuf;

use clap::Args;

use crate::file::Profile;

/// Arguments of `floe plugin learn`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LearnArgs {
    /// A `.wasm` file, or the folder of a plugin that is built
    #[arg(value_name = "FILE|DIR")]
    pub plugin: PathBuf,
    /// The node or tool
    #[arg(value_name = "NODE|TOOL")]
    pub member: String,
    /// What it is called with: a file of lines of JSON, a `.json` file, one JSON value, or `-` for lines on standard input
    #[arg(long, short, value_name = "FILE|JSON|-", default_value = "null")]
    pub input: String,
    /// The configuration
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub config: String,
    /// What it is granted already, as under `grants` in a flow file; this is really granted while it learns
    #[arg(long, value_name = "YAML")]
    pub grants: Option<String>,
    /// The limits that suit the plugin's language
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t = Profile::Rust)]
    pub profile: Profile,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  floe plugin learn shop.wasm search --input '{\"words\": \"tea\"}'
  floe plugin learn shop.wasm search --input lines.jsonl > grants.yaml
  floe plugin learn shop.wasm search --input lines.jsonl --grants \"$(cat grants.yaml)\"

The plugin is called with each input, and everything that it asks for is denied and written
down: nothing is sent, read or kept. Standard output has the `grants` that would allow exactly
that, to be pasted under the plugin in a flow file; standard error what must be known first.
Read them: they say what the plugin wants, not what it should have.

A call that ends at its first denial asks for nothing more. The third line above goes on from
there: with --grants the plugin really may do what they say, over the network too, and what is
denied then is added. Tools and subflows stand in a flow and cannot be called here: each call
of one fails. A clock and random numbers cannot be denied; it gets those that all plugins have.

Exit codes: 0 it was called, whatever came of that; 2 it could not be.";
