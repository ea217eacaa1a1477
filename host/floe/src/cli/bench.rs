//! The arguments of `floe bench`.

use clap::{Args, Subcommand};

use super::at_least_one;

/// Commands of `floe bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// What one hop costs: native, in a fresh sandbox, in a reused one, and the floors below them
    Hop(HopArgs),
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
