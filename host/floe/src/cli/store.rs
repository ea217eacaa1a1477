//! The arguments of the commands around the plugin store.

use std::path::PathBuf;

use clap::Args;

use crate::file::Profile;

/// Arguments of `floe plugin add`.
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub struct AddArgs {
    /// A `.wasm` file, or the folder of a plugin that is built
    #[arg(value_name = "FILE|DIR")]
    pub plugin: PathBuf,
    /// What it is called in the store; the file's name, unless you say it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Approve what it asks for and says of itself, although that is more than before
    #[arg(long)]
    pub approve: bool,
    /// The most that a flow file may grant it; TERMS are as in a flow file. May be given once for each capability
    #[arg(long = "grant", value_name = "CAPABILITY=TERMS")]
    pub grants: Vec<String>,
    /// The limits that suit the plugin's language
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t = Profile::Rust)]
    pub profile: Profile,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

const ADD_EXAMPLES: &str = "\
Examples:
  floe plugin add plugins/text                       the plugin in this folder, as `text`
  floe plugin add words-2.wasm --name words          another version of `words`
  floe plugin add words-2.wasm --name words --approve
  floe plugin add shop.wasm --grant 'http=[{ host: api.example.com, methods: [GET], path: /* }]'

Adding a plugin approves what it asks for and says of itself: look at what is printed. A new
version that asks for no more takes the old one's place. One that asks for more, or says
something else (imports, nodes, tools, grants, descriptions, schemas, effects), changes nothing
without --approve: what needs approval is printed, and the exit code is 2.

A flow file takes it with `source: store:NAME`, and gets the component whose digest `floe.lock`
has. The store is $FLOE_HOME, or `floe` in the user's data folder (~/.local/share).";

/// Arguments of `floe plugin list`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe plugin list\n  floe plugin list --json | jq -r '.[] | select(.state == \"revoked\") | .digest'"
)]
pub struct ListArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe plugin remove`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe plugin remove words\n\nRuns that have it loaded go on; a journal has its own copy. To stop a plugin, revoke it."
)]
pub struct RemoveArgs {
    /// What it is called in the store
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Arguments of `floe plugin revoke`.
#[derive(Debug, Args)]
#[command(after_help = REVOKE_EXAMPLES)]
pub struct RevokeArgs {
    /// A digest, wherever the component is; or a name of the store, or a file
    #[arg(value_name = "DIGEST|NAME|FILE")]
    pub component: String,
}

const REVOKE_EXAMPLES: &str = "\
Examples:
  floe plugin revoke sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
  floe plugin revoke words          the version that `words` means now

A revoked component is not loaded any more, from the store or from elsewhere. A run that has it
notices within a second or two, ends its traces as failed (code `revoked`), and ends itself;
`floe resume` does the same with traces that wait in a journal. The list is the file `revoked` of
the store, one digest a line: to take one back, remove its line.";

/// Arguments of `floe plugin diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe plugin diff words words-2.wasm\n  floe plugin diff words-1.wasm words-2.wasm --json\n\nExit code: 0 if NEW asks for no more than OLD, 1 if it does or says something else."
)]
pub struct DiffArgs {
    /// The version that is known: a name of the store, a digest in it, a file or a folder
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The other one
    #[arg(value_name = "NEW")]
    pub new: String,
    /// The limits that suit the plugin's language
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t = Profile::Rust)]
    pub profile: Profile,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}
