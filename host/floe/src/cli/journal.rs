//! Arguments of the commands that look into a journal, or decide about what is in it.

use std::path::PathBuf;

use clap::Args;

use super::ProcessArgs;

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
    /// Only the last N records; the others are not read
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub tail: Option<u32>,
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
    /// Go on although a plugin or the input is not what the journal was begun with
    #[arg(long)]
    pub migrate: bool,
    /// How it is run.
    #[command(flatten)]
    pub process: ProcessArgs,
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

const PURGE_EXAMPLES: &str = "\
Examples:
  floe purge --journal j.db --older-than 720h
  floe purge --journal j.db --older-than 720h --keep 100000
  floe purge --journal j.db --tenant acme

Traces that have not ended, or whose end the output does not have, stay. The file gets smaller by what goes, so that a run whose
journal has reached --journal-max can go on. It needs the journal for itself: stop the run, purge, then: floe resume j.db";

/// Arguments of `floe purge`.
#[derive(Debug, Args)]
#[command(after_help = PURGE_EXAMPLES)]
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
