//! The arguments of the commands for agents.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Commands of `floe agent`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Ask the agent of a flow, and show its answer while it comes
    Run(AgentRunArgs),
}

/// Arguments of `floe agent run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct AgentRunArgs {
    /// The flow: a flow file, or a folder with a `flow.yaml`, that has a node with an `agent`
    #[arg(value_name = "FLOW")]
    pub flow: PathBuf,
    /// The question
    #[arg(long, short, value_name = "TEXT")]
    pub query: String,
    /// What the model is told beside the question
    #[arg(long, value_name = "JSON")]
    pub context: Option<String>,
    /// Build plugins whose sources have changed, first; only sources inside the flow's own repository
    #[arg(long)]
    pub build: bool,
    /// With --build: also build sources outside the flow's repository. Their build runs with your rights
    #[arg(long, requires = "build")]
    pub trust: bool,
    /// Whose question it is
    #[arg(long, value_name = "TENANT", default_value = "local")]
    pub tenant: String,
    /// Put another value into the flow file for this run; VALUE is YAML. May be given more than once
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Print the result as JSON: the answer, and all that led to it
    #[arg(long)]
    pub json: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  floe agent run examples/agent --query 'Which text has more words?' --json
  floe agent run flow.yaml -q 'What was said of canals?' --set nodes.reader.agent.limits.steps=12

The answer goes to standard output, calls of tools and what was used to standard error. It ends with 0
if there is an answer, with 1 if there is none. `floe run` asks agents too, many at once and with a journal.";
