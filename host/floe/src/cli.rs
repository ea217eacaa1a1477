//! The command line: every argument of every command, with help that teaches.

mod bench;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::file::Profile;

pub use bench::{BenchCommand, HopArgs, RuntimeArgs};

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

Environment: FLOE_CACHE is the folder of compiled plugins (by default `floe` in the user's cache), NO_COLOR means what it says.

Exit codes: 0 all completed, 1 some did not, 2 something is wrong with the call, the flow or a plugin, 130 interrupted.";

/// What `floe` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a flow over its input and print what it gives
    Run(RunArgs),
    /// Go on with a run that was stopped or killed, from its journal
    Resume(ResumeArgs),
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
    /// Look at a plugin, or call it
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print the JSON Schema of a file, for editors
    Schema(SchemaArgs),
    /// Measure this machine
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Show versions, directories and limits, and whether this machine can build plugins
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  floe completions bash > ~/.local/share/bash-completion/completions/floe\n  floe completions zsh > \"${fpath[1]}/_floe\""
    )]
    Completions(CompletionsArgs),
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

/// Arguments of `floe run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// The flow: a flow file, or a folder with a `flow.yaml`
    #[arg(value_name = "FLOW")]
    pub flow: PathBuf,
    /// What to run it over: a `.json` file is one payload, a `.jsonl` file or `-` (standard input) has one a line
    #[arg(long, short, value_name = "FILE|-", default_value = "-")]
    pub input: PathBuf,
    /// Build plugins whose sources have changed, first; only sources inside the flow's own repository
    #[arg(long)]
    pub build: bool,
    /// With --build: also build sources outside the flow's repository. Their build runs with your rights
    #[arg(long, requires = "build")]
    pub trust: bool,
    /// Traces at once
    #[arg(long, value_name = "N", default_value_t = floe_flow::flow::DEFAULT_IN_FLIGHT, value_parser = at_least_one)]
    pub in_flight: usize,
    /// Whose work this is
    #[arg(long, value_name = "TENANT", default_value = "local")]
    pub tenant: String,
    /// Write outputs here and not to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write every event of every trace here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Put another value into the flow file for this run; VALUE is YAML. May be given more than once
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Lines of the input are messages: `payload`, `headers`, `meta`, `trace_id`, `deadline`
    #[arg(long)]
    pub envelope: bool,
    /// Keep here whatever is accepted, until it is done: the same call again, or `floe resume FILE`, goes on after a crash
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// With --journal: go on although the flow, a plugin or the input is not what the journal was begun with
    #[arg(long, requires = "journal")]
    pub migrate: bool,
}

/// Arguments of `floe resume`.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    /// The journal of the run
    #[arg(value_name = "FILE")]
    pub journal: PathBuf,
    /// Traces at once
    #[arg(long, value_name = "N", default_value_t = floe_flow::flow::DEFAULT_IN_FLIGHT, value_parser = at_least_one)]
    pub in_flight: usize,
    /// Write every event of every trace from here on here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Go on although a plugin or the input is not what the journal was begun with
    #[arg(long)]
    pub migrate: bool,
}

const RESUME_EXAMPLES: &str = "\
Examples:
  floe run examples/speeches --input speeches.jsonl --journal j.db --output out.jsonl
  floe resume j.db

Traces go on where their last record is, the input where it was last accepted, the output where it was last safe. A file
given with --output has every line once; on standard output the last lines before the crash may come again. The flow is the
one that the journal has. A call that must not be made twice, and may have been made, waits: see `floe resolve`.";

const RUN_EXAMPLES: &str = "\
Examples:
  floe run examples/speeches --build --input speeches.jsonl
  echo '{\"text\": \"hello\"}' | floe run hello
  floe run hello --input in.jsonl --set nodes.split.config.words=100 --output out.jsonl
  floe run hello --input in.jsonl --in-flight 1 --events events.jsonl
  floe run hello --input in.jsonl --journal hello.db --output out.jsonl; floe resume hello.db

Standard output has one JSON object a line: {\"trace_id\", \"line\", \"node\", \"payload\"} for each output, and
{\"trace_id\", \"line\", \"terminal\", \"error\"} for each trace that did not complete. Ctrl-C lets what runs come to its end;
a second one stops it.";

/// The journal that a command looks into.
#[derive(Debug, Clone, Args)]
pub struct JournalArg {
    /// The journal, as given to `floe run --journal`
    #[arg(long, value_name = "FILE", env = "FLOE_JOURNAL")]
    pub journal: PathBuf,
}

/// Arguments of `floe traces`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  floe traces --journal j.db\n  FLOE_JOURNAL=j.db floe traces --running --json")]
pub struct TracesArgs {
    /// Where they are.
    #[command(flatten)]
    pub journal: JournalArg,
    /// Only those that have not ended
    #[arg(long, conflicts_with = "ended")]
    pub running: bool,
    /// Only those that have ended
    #[arg(long)]
    pub ended: bool,
    /// Only this tenant's
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe history`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  floe history 7-1f0c2b9a --journal j.db\n  floe history 7-1f0c2b9a --journal j.db --tail 3 | jq ."
)]
pub struct HistoryArgs {
    /// The trace
    #[arg(value_name = "TRACE")]
    pub trace: String,
    /// Where it is.
    #[command(flatten)]
    pub journal: JournalArg,
    /// Only the last records
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
}

/// Arguments of `floe dead-letters`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  floe dead-letters --journal j.db\n  floe retry 7-1f0c2b9a --journal j.db")]
pub struct DeadLettersArgs {
    /// Where they are.
    #[command(flatten)]
    pub journal: JournalArg,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe retry`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  floe retry 7-1f0c2b9a --journal j.db\n\nThe request is accepted again as 7-1f0c2b9a~2, and the run \
goes on as with `floe resume`."
)]
pub struct RetryArgs {
    /// The trace
    #[arg(value_name = "TRACE")]
    pub trace: String,
    /// Where it is.
    #[command(flatten)]
    pub journal: JournalArg,
    /// Traces at once
    #[arg(long, value_name = "N", default_value_t = floe_flow::flow::DEFAULT_IN_FLIGHT, value_parser = at_least_one)]
    pub in_flight: usize,
    /// Go on although a plugin or the input is not what the journal was begun with
    #[arg(long)]
    pub migrate: bool,
}

/// Arguments of `floe replay`.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub struct ReplayArgs {
    /// The trace
    #[arg(value_name = "TRACE")]
    pub trace: String,
    /// Where it is.
    #[command(flatten)]
    pub journal: JournalArg,
    /// Only the attempts, or the records, of this node
    #[arg(long, value_name = "NODE")]
    pub node: Option<String>,
    /// Run nothing: print the records, one JSON object a line
    #[arg(long)]
    pub print: bool,
    /// With --print: wait so many seconds between two records
    #[arg(long, value_name = "S", requires = "print", default_value = "0", value_parser = crate::replay::seconds)]
    pub delay: std::time::Duration,
    /// Print one JSON object for each attempt, and one for all
    #[arg(long)]
    pub json: bool,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  floe replay 7-1f0c2b9a --journal j.db
  floe replay 7-1f0c2b9a --journal j.db --node split --json | jq .differences
  floe replay 7-1f0c2b9a --journal j.db --print --delay 0.5

Each attempt runs once more, alone: the recorded code gets the recorded message, fuel and answers of the host (clocks, budget,
numbers of chunks). It is identical if its outputs, or its failure, and its fuel are. Nothing is recorded, sent or streamed; what
it logs is shown by --log debug. Routers choose once more; what joins gather follows from the records.

Not replayed, and said so: what was ended from outside (time-outs, budgets), calls of nodes with `reuse`, of which nothing is
recorded, and whatever ran on another engine or with other code.

Exit codes: 0 nothing differs, 1 something does, 2 the trace or its flow cannot be read.";

/// Arguments of `floe resolve`.
#[derive(Debug, Args)]
#[command(after_help = RESOLVE_EXAMPLES)]
pub struct ResolveArgs {
    /// The trace
    #[arg(value_name = "TRACE")]
    pub trace: String,
    /// Where it is.
    #[command(flatten)]
    pub journal: JournalArg,
    /// What to do.
    #[command(flatten)]
    pub decision: DecisionArgs,
}

/// Exactly one decision.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct DecisionArgs {
    /// It took effect, and this is its output. May be given more than once, for several outputs
    #[arg(long, value_name = "JSON")]
    pub done: Vec<String>,
    /// It took no effect: make it again
    #[arg(long)]
    pub retry: bool,
    /// It has failed: the node's `on_failure` decides what follows
    #[arg(long)]
    pub fail: bool,
}

const RESOLVE_EXAMPLES: &str = "\
Examples:
  floe resolve 7-1f0c2b9a --journal j.db --done '{\"charged\": true}'
  floe resolve 7-1f0c2b9a --journal j.db --retry

A call of a node that writes or acts outside, and does not say that it is idempotent, is never made twice unasked. If the
process dies during such a call its trace ends `in_doubt` and waits here. Then: floe resume j.db";

/// Arguments of `floe purge`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  floe purge --journal j.db --older-than 720h\n  floe purge --journal j.db --tenant acme")]
pub struct PurgeArgs {
    /// Where they are.
    #[command(flatten)]
    pub journal: JournalArg,
    /// All of this tenant's traces that are done with
    #[arg(long, value_name = "TENANT", required_unless_present_any = ["older_than", "keep"], conflicts_with_all = ["older_than", "keep"])]
    pub tenant: Option<String>,
    /// Those that were done longer ago, such as 720h
    #[arg(long, value_name = "TIME", value_parser = crate::file::parse_time)]
    pub older_than: Option<std::time::Duration>,
    /// All but so many, the newest
    #[arg(long, value_name = "N")]
    pub keep: Option<u32>,
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
and at the top of a flow file, for editors with the YAML language server:
  # yaml-language-server: $schema=flow.schema.json";

/// Files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The flow file.
    Flow,
}

/// Arguments of `floe doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
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
