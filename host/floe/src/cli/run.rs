//! Arguments of `floe run` and of those that go on with a run.

use std::path::PathBuf;

use clap::Args;

use super::at_least_one;

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
