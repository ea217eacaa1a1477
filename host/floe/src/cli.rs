//! The command line: every argument of every command, with help that teaches.

mod agent;
mod attack;
mod bench;
mod journal;
mod learn;
mod run;
mod store;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::file::Profile;

pub use agent::{AgentCommand, AgentRunArgs};
pub use attack::AttackArgs;
pub use bench::{BenchCommand, HopArgs, NeighbourArgs, RuntimeArgs, SandboxArgs};
pub use journal::{
    DeadLettersArgs, DecisionArgs, HistoryArgs, JournalArg, PurgeArgs, ReplayArgs, ResolveArgs, RetryArgs, TracesArgs,
};
pub use learn::LearnArgs;
pub use run::{DEFAULT_GRACE, MAX_GRACE, MAX_WEIGHT, MIN_JOURNAL, ProcessArgs, ResumeArgs, RunArgs};
pub use store::{AddArgs, DiffArgs, ListArgs, RemoveArgs, RevokeArgs};

/// Runs flows whose nodes are untrusted WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "floe", version, propagate_version = true, arg_required_else_help = true, after_help = TOUR)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log lines of the host and of plugins, on standard error, from this level on.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", value_enum)]
    pub log: LogLevel,
}

const TOUR: &str = "\
A first flow:
  floe new hello             makes a plugin with a test and a flow that runs it
  floe run hello --build     builds the plugin and runs the flow
  floe viz hello             draws the flow

Environment: FLOE_CACHE is the folder of compiled plugins (by default `floe` in the user's cache), FLOE_HOME
the folder of the plugin store (by default `floe` in the user's data), NO_COLOR means what it says.

Exit codes: 0 all completed, 1 some did not, 2 something is wrong with the call, the flow or a plugin, 130 interrupted.";

/// What `floe` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a flow over its input and print what it gives
    Run(RunArgs),
    /// Go on with a run that was stopped or killed, from its journal
    Resume(ResumeArgs),
    /// Ask agents
    #[command(subcommand)]
    Agent(AgentCommand),
    /// List the traces of a journal
    Traces(TracesArgs),
    /// Print what the journal has of a trace
    History(HistoryArgs),
    /// List what failed for good
    #[command(name = "dead-letters")]
    DeadLetters(DeadLettersArgs),
    /// Run a trace that failed once more
    Retry(RetryArgs),
    /// Make the attempts of a trace once more, and say whether they come out the same
    Replay(ReplayArgs),
    /// Decide about a call that may have been made when the process died, and must not be made twice
    Resolve(ResolveArgs),
    /// Remove what is done with from a journal
    Purge(PurgeArgs),
    /// Build plugins from their sources
    Build(BuildArgs),
    /// Say what is wrong with a flow and its plugins, without running it
    Validate(ValidateArgs),
    /// Draw a flow
    Viz(VizArgs),
    /// Make a plugin: Rust source, a test, and a flow that runs it
    New(NewArgs),
    /// Look at plugins, call them, keep them in the store
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print the JSON Schema of a file, for editors
    Schema(SchemaArgs),
    /// Run hostile components against this installation, and say whether each was contained
    Attack(AttackArgs),
    /// Measure this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Show versions, directories and limits, and whether this machine can build plugins
    Doctor(DoctorArgs),
    /// Compile the plugin on standard input: `floe` starts itself for it
    #[command(name = crate::settings::COMPILE, hide = true)]
    CompilePlugin(CompileArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  floe completions bash > ~/.local/share/bash-completion/completions/floe\n  floe completions zsh > \"${fpath[1]}/_floe\""
    )]
    Completions(CompletionsArgs),
}

impl Command {
    /// How it runs a flow, if it does.
    pub fn process(&self) -> Option<&ProcessArgs> {
        match self {
            Self::Run(args) => Some(&args.process),
            Self::Resume(args) => Some(&args.process),
            Self::Retry(args) => Some(&args.process),
            _ => None,
        }
    }
}

/// Levels of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// And what is odd.
    Warn,
    /// And what is worth knowing.
    Info,
    /// And what helps to find a fault.
    Debug,
    /// And everything else.
    Trace,
}

/// Arguments of `floe build`.
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub struct BuildArgs {
    /// Folders of plugins (with a `Cargo.toml` or a `plugin.toml`) or of flows, whose plugins are built
    #[arg(value_name = "DIR", default_value = ".")]
    pub dirs: Vec<PathBuf>,
    /// Also build sources outside a flow's own repository; shows the command first. A build runs with your rights
    #[arg(long)]
    pub trust: bool,
    /// Build even if nothing has changed
    #[arg(long)]
    pub force: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

const BUILD_EXAMPLES: &str = "\
Examples:
  floe build                     the plugin in this folder
  floe build plugins/text        that plugin
  floe build examples/speeches   every plugin of that flow

A Cargo project needs no more than its Cargo.toml. Anything else says how it is built in plugin.toml:
  name = \"words\"
  version = \"0.1.0\"
  uses = []
  [build]
  command = \"make words.wasm\"
  artifact = \"words.wasm\"

The command finds the contract under $FLOE_WIT, with worlds `node-plugin`, `tool-plugin` and `plugin`
that import what `uses` lists.";

/// Arguments of `floe validate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe validate examples/speeches\n  floe validate flow.yaml --set nodes.split.config.words=0 --json"
)]
pub struct ValidateArgs {
    /// The flow: a flow file, or a folder with a `flow.yaml`
    #[arg(value_name = "FLOW")]
    pub flow: PathBuf,
    /// Put another value into the flow file first; VALUE is YAML. May be given more than once
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe viz`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  floe viz examples/speeches\n  floe viz flow.yaml --format svg > flow.svg")]
pub struct VizArgs {
    /// The flow: a flow file, or a folder with a `flow.yaml`
    #[arg(value_name = "FLOW")]
    pub flow: PathBuf,
    /// The language of the drawing
    #[arg(long, short, value_enum, default_value_t = VizFormat::Mermaid)]
    pub format: VizFormat,
    /// Put another value into the flow file first; VALUE is YAML. May be given more than once
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

/// Languages of drawings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VizFormat {
    /// Mermaid, as Markdown viewers draw it.
    Mermaid,
    /// Graphviz.
    Dot,
    /// A picture, as browsers show it.
    Svg,
}

/// Arguments of `floe new`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe new hello && floe run hello --build --input hello/input.jsonl\n  floe new lookup --kind tool"
)]
pub struct NewArgs {
    /// The plugin's name (`[a-z0-9_-]+`) and its folder
    #[arg(value_name = "NAME")]
    pub name: PathBuf,
    /// What the plugin has
    #[arg(long, value_enum, default_value_t = PluginKind::Node)]
    pub kind: PluginKind,
}

/// What a new plugin has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PluginKind {
    /// A node, for flows.
    Node,
    /// A tool, for agents and other callers.
    Tool,
}

/// Commands of `floe plugin`.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Show what a plugin has, imports and asks for, without running its nodes
    Inspect(InspectArgs),
    /// Call one node or tool of a plugin and show what it gave and used
    Call(CallArgs),
    /// Call one with everything denied, and write the grants for what it asked for
    Learn(LearnArgs),
    /// Show what a flow's plugins ask for, what they are granted, what tenants' ceilings let them have, and what is missing
    Check(CheckArgs),
    /// Add a plugin, or a new version of one, to the store, and show what it asks for
    Add(AddArgs),
    /// List the plugins of the store
    List(ListArgs),
    /// Remove a plugin from the store
    Remove(RemoveArgs),
    /// Never run a component again, and end the traces that use it
    Revoke(RevokeArgs),
    /// Show what a version of a plugin asks for and says that another does not
    Diff(DiffArgs),
}

/// Arguments of `floe plugin inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  floe plugin inspect plugins/text\n  floe plugin inspect words.wasm --json")]
pub struct InspectArgs {
    /// A `.wasm` file, or the folder of a plugin that is built
    #[arg(value_name = "FILE|DIR")]
    pub plugin: PathBuf,
    /// The limits that suit the plugin's language
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t = Profile::Rust)]
    pub profile: Profile,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe plugin check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe plugin check examples/speeches\n  floe plugin check flow.yaml --tenants tenants.yaml --tenant acme --json\n\nExit codes: 0 every plugin has what it asks for, 1 something is missing."
)]
pub struct CheckArgs {
    /// The flow: a flow file, or a folder with a `flow.yaml`
    #[arg(value_name = "FLOW")]
    pub flow: PathBuf,
    /// The file of tenants
    #[arg(long, value_name = "FILE")]
    pub tenants: Option<PathBuf>,
    /// Only this tenant of it
    #[arg(long, value_name = "TENANT", requires = "tenants")]
    pub tenant: Option<String>,
    /// Put another value into the flow file first; VALUE is YAML. May be given more than once
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe plugin call`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe plugin call plugins/text split --input '{\"text\": \"one two\"}' --config '{\"words\": 1}'\n  floe plugin call words.wasm count --input - < payload.json"
)]
pub struct CallArgs {
    /// A `.wasm` file, or the folder of a plugin that is built
    #[arg(value_name = "FILE|DIR")]
    pub plugin: PathBuf,
    /// The node or tool
    #[arg(value_name = "NODE|TOOL")]
    pub member: String,
    /// The payload or the arguments; `-` reads standard input
    #[arg(long, short, value_name = "JSON|-", default_value = "null")]
    pub input: String,
    /// The configuration
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub config: String,
    /// The limits that suit the plugin's language
    #[arg(long, value_name = "PROFILE", value_enum, default_value_t = Profile::Rust)]
    pub profile: Profile,
    /// Print result and receipt as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe schema`.
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// Of which file
    #[arg(value_enum)]
    pub of: SchemaOf,
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  floe schema flow > flow.schema.json
  floe schema tenants > tenants.schema.json
and at the top of a flow file, for editors with the YAML language server:
  # yaml-language-server: $schema=flow.schema.json";

/// Files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The flow file.
    Flow,
    /// The file of tenants.
    Tenants,
}

/// Arguments of `floe doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe compile-plugin`, which only `floe_sandbox` makes and reads.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// What it may use
    #[arg(value_name = "LIMIT", hide = true)]
    pub limits: Vec<OsString>,
}

/// Arguments of `floe completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("it must be a whole number from 1".to_owned()),
    }
}
