//! The arguments of `floe attack`.

use std::path::PathBuf;

use clap::Args;

use crate::file::Profile;

/// Arguments of `floe attack`.
#[derive(Debug, Args)]
#[command(after_help = ATTACK_EXAMPLES)]
pub struct AttackArgs {
    /// Attack under the limits of a plugin of this flow: a flow file, or a folder with a `flow.yaml`
    #[arg(value_name = "FLOW")]
    pub flow: Option<PathBuf>,
    /// The plugin of the flow; not needed where it has one
    #[arg(long, value_name = "NAME", requires = "flow")]
    pub plugin: Option<String>,
    /// Without a flow: the limits that suit a language
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t = Profile::Rust)]
    pub profile: Profile,
    /// Change a limit, as in the flow file. May be given more than once
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<String>,
    /// Only the cases whose name begins so; `*` is anything. May be given more than once
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// List the cases and run none
    #[arg(long)]
    pub list: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Run these cases in this process, which may die of it
    #[arg(long, hide = true, value_name = "NAMES")]
    pub child: Option<String>,
}

const ATTACK_EXAMPLES: &str = "\
Examples:
  floe attack                                      every hostile component, under the limits of the profile `rust`
  floe attack examples/speeches                    under the limits that this flow gives its plugin
  floe attack --only spin --only '*/post-return'   some of them
  floe attack --limit fuel=1e18 --only spin/handle exits with 1: without that limit, it is not contained
  floe attack --json | jq '.runs[] | select(.contained | not)'

Cases run in processes of their own with limits on memory and time, beside a well-behaved neighbour that is called all the time.
A run is contained if what was to hold it did; if it was over in time; if the process lives, grew within bounds and has no
descriptor more; if the same plugin served its next caller; if the neighbour's calls went well; and if nothing reached the log
that is more than text. NEIGHBOUR'S P99 is beside the attack what it is alone, so many times.

Exit codes: 0 all are contained, 1 some are not, 2 something is wrong with the call.";
