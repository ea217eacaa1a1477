//! The arguments of `floe bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::at_least_one;

/// Commands of `floe bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// What one hop costs: native, in a fresh sandbox, in a reused one, and the floors below them
    Hop(HopArgs),
    /// What the runtime costs around nodes: journals, streams, subflows, joins, cancels, memory
    Runtime(RuntimeArgs),
    /// What a call in a sandbox costs, and each of its limits; what instances take that wait; what loading takes
    Sandbox(SandboxArgs),
    /// What a tenant's calls take beside another tenant who spins, allocates, floods or storms
    Neighbour(NeighbourArgs),
}

/// Arguments of `floe bench hop`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  floe bench hop\n  floe bench hop --hops 20 --messages 10000 --in-flight 1 --json")]
pub struct HopArgs {
    /// Nodes in the chain
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub hops: usize,
    /// Messages through the chain
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one)]
    pub messages: usize,
    /// Messages in the chain at once
    #[arg(long, value_name = "N", default_value_t = floe_flow::flow::DEFAULT_IN_FLIGHT, value_parser = at_least_one)]
    pub in_flight: usize,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `floe bench runtime`.
#[derive(Debug, Args)]
#[command(after_help = RUNTIME_EXAMPLES)]
pub struct RuntimeArgs {
    /// Nodes in a chain, and in a subflow
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub hops: usize,
    /// Messages through a chain, a round; fewer where each waits for the disk alone
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = at_least_one)]
    pub messages: usize,
    /// Pieces of a stream, a round
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = at_least_one)]
    pub chunks: usize,
    /// Guests that are cancelled, a round
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = at_least_one)]
    pub cancels: usize,
    /// Flows whose memory is measured
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one)]
    pub flows: usize,
    /// Rounds in turn; their median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub rounds: usize,
    /// Where journals are written while it measures; a folder on the disk that is to be measured [default: the cache]
    #[arg(long, value_name = "DIR")]
    pub journal_in: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

const RUNTIME_EXAMPLES: &str = "\
Examples:
  floe bench runtime
  floe bench runtime --journal-in /mnt/data
  floe bench runtime --messages 500 --chunks 10000 --rounds 1 --json | jq '.figures[] | select(.verdict == \"missed\")'

Messages go through a chain of native nodes without a journal, with one in memory and with one in SQLite (one file, synced
at each commit), with 1, 8 and 256 requests in flight. Then: what the journal alone takes; pieces of a stream; a call of a
subflow less the same nodes without it; 100 messages that are joined; the time from a cancel to the end of the guest that
it stops; memory. A figure below another, indented, is about that one.";

/// Arguments of `floe bench sandbox`.
#[derive(Debug, Args)]
#[command(after_help = SANDBOX_EXAMPLES)]
pub struct SandboxArgs {
    /// Calls of each kind, a round
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = at_least_one)]
    pub calls: usize,
    /// Instances that are to wait in one pool
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    pub instances: usize,
    /// Rounds in turn; their median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub rounds: usize,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

const SANDBOX_EXAMPLES: &str = "\
Examples:
  floe bench sandbox
  floe bench sandbox --instances 2000
  floe bench sandbox --calls 100 --instances 100 --rounds 1 --json | jq '.figures[] | select(.verdict == \"missed\")'

A call returns its message. What a guard costs is the time of a call with all of them less that of one without it, measured one
after the other; it may be lost in what is around it. Loading is that of a component of 1 MB, made for it.";

/// Arguments of `floe bench neighbour`.
#[derive(Debug, Args)]
#[command(after_help = NEIGHBOUR_EXAMPLES)]
pub struct NeighbourArgs {
    /// Calls of the good tenant, alone and beside each aggressor, a round
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    pub requests: usize,
    /// Rounds in turn; all calls of all rounds count
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub rounds: usize,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
    /// Measure in this process, whose log somebody reads
    #[arg(long, hide = true)]
    pub child: bool,
}

const NEIGHBOUR_EXAMPLES: &str = "\
Examples:
  floe bench neighbour
  floe bench neighbour --requests 50 --rounds 1 --json | jq '.figures[] | select(.verdict == \"missed\")'

The good tenant sends one request after the other to a node that returns its message, with a fresh instance each; the
aggressor keeps as many traces in flight as a tenant may by default, at a node of its own in the same flow and sandbox, under
the limits of the profile `rust`. Both are measured in a process of its own whose log this one reads from a pipe, for a flood
of log lines is to cost what it costs in a run.";
