//! Arguments of `floe run` and of those that go on with a run.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::at_least_one;
use crate::file::{Bytes, Time, parse_bytes, parse_time};

/// How long the first Ctrl-C waits for what is in flight: as long as service managers wait before they kill.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// Whoever waits longer than a day for an end has no grace, but a run.
pub const MAX_GRACE: Duration = Duration::from_secs(24 * 3600);
/// A tenant served so often in a row leaves the others little to notice; more would be all.
pub const MAX_WEIGHT: u32 = 1000;
/// The smallest limit of a journal: a plugin and some traces.
pub const MIN_JOURNAL: u64 = 1 << 20;

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
    /// Whose work this is
    #[arg(long, value_name = "TENANT", default_value = "local")]
    pub tenant: String,
    /// Write outputs here and not to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
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
    /// How it is run.
    #[command(flatten)]
    pub process: ProcessArgs,
}

/// How a process runs what a flow file or a journal says; a journal does not keep it.
#[derive(Debug, Clone, Args)]
pub struct ProcessArgs {
    /// Traces at once
    #[arg(long, value_name = "N", default_value_t = floe_flow::flow::DEFAULT_IN_FLIGHT, value_parser = at_least_one)]
    pub in_flight: usize,
    /// Where tenants wait for a node, serve this one N times in a row, 1 to 1000; others, once. May be given once for each tenant
    #[arg(long, value_name = "TENANT=N", value_parser = weight)]
    pub weight: Vec<(Arc<str>, NonZeroU32)>,
    /// What each tenant may have at most: rights, limits, plugins, requests and computation a minute, room. `floe schema tenants`
    /// says what can stand in it
    #[arg(long, value_name = "FILE")]
    pub tenants: Option<PathBuf>,
    /// Look every second whether a plugin's component has changed, and take the new one if it can do what the old one does, with the
    /// same schemas and grants. Traces under way run on with what they began with
    #[arg(long)]
    pub reload: bool,
    /// How long what is in flight has to come to its end after Ctrl-C or SIGTERM; 0s stops it at once
    #[arg(long, value_name = "TIME", default_value_t = Time(DEFAULT_GRACE), value_parser = grace)]
    pub grace: Time,
    /// Write every event of every trace here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Serve numbers for Prometheus at http://ADDRESS/metrics as long as it runs: 9464 is a port for this machine alone, 0 any that
    /// is free, 0.0.0.0:9464 is for others too. Who reaches it reads the names of nodes and tenants
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub metrics: Option<SocketAddr>,
    /// Send spans of traces and attempts to an OpenTelemetry collector, by OTLP over HTTP: http://127.0.0.1:4318. One that is down
    /// is warned of and fails nothing; the process waits 5 s at most for it to take the last spans
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// With --journal: how large its file may get, such as 10GiB; none: as large as the disk lets it. At the limit the run ends with 1
    /// and goes on after `floe purge`, or with a higher limit. The log beside the file takes 16 MiB more
    #[arg(long, value_name = "SIZE", requires = "journal", value_parser = journal_size)]
    pub journal_max: Option<u64>,
}

fn weight(text: &str) -> Result<(Arc<str>, NonZeroU32), String> {
    let wrong = || format!("write TENANT=N, with N from 1 to {MAX_WEIGHT}");
    // A tenant's name may have the sign in it.
    let (tenant, weight) = text.rsplit_once('=').filter(|(tenant, _)| !tenant.is_empty()).ok_or_else(wrong)?;
    let weight = weight.parse().ok().filter(|weight: &NonZeroU32| weight.get() <= MAX_WEIGHT).ok_or_else(wrong)?;
    Ok((tenant.into(), weight))
}

fn grace(text: &str) -> Result<Time, String> {
    match parse_time(text)? {
        grace if grace > MAX_GRACE => Err("it must be 24h or less".to_owned()),
        grace => Ok(Time(grace)),
    }
}

fn journal_size(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        bytes if bytes < MIN_JOURNAL => Err(format!("a journal needs {} at least", Bytes(MIN_JOURNAL))),
        bytes => Ok(bytes),
    }
}

/// A port of this machine, or an address and a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<u16>() {
        Ok(port) => Ok((Ipv4Addr::LOCALHOST, port).into()),
        Err(_) => text.parse().map_err(|_| "write a port (9464), or an address and a port (0.0.0.0:9464, [::1]:9464)".to_owned()),
    }
}

/// Arguments of `floe resume`.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    /// The journal of the run
    #[arg(value_name = "FILE")]
    pub journal: PathBuf,
    /// Go on although a plugin or the input is not what the journal was begun with
    #[arg(long)]
    pub migrate: bool,
    /// How it is run.
    #[command(flatten)]
    pub process: ProcessArgs,
}

const RESUME_EXAMPLES: &str = "\
Examples:
  floe run examples/speeches --input speeches.jsonl --journal j.db --output out.jsonl
  floe resume j.db
  floe resume j.db --metrics 9464 --otlp http://127.0.0.1:4318

Traces go on where their last record is, the input where it was last accepted, the output where it was last safe. A file
given with --output has every line once; on standard output the last lines before the crash may come again. The flow is the
one that the journal has. A call that must not be made twice, and may have been made, waits: see `floe resolve`. What belongs to
this process, such as --in-flight, --metrics or --journal-max, is not in the journal: say it again.";

const RUN_EXAMPLES: &str = "\
Examples:
  floe run examples/speeches --build --input speeches.jsonl
  echo '{\"text\": \"hello\"}' | floe run hello
  floe run hello --input in.jsonl --set nodes.split.config.words=100 --output out.jsonl
  floe run hello --input in.jsonl --in-flight 1 --events events.jsonl
  floe run hello --envelope --weight acme=3 --weight corp=2 --grace 5m
  floe run hello --input in.jsonl --journal hello.db --output out.jsonl; floe resume hello.db
  floe run hello --input in.jsonl --metrics 9464 --otlp http://127.0.0.1:4318

Standard output has one JSON object a line: {\"trace_id\", \"line\", \"node\", \"payload\"} for each output, and
{\"trace_id\", \"line\", \"terminal\", \"error\"} for each trace that did not complete. Ctrl-C lets what runs come to its end;
a second one, or the end of --grace, stops it. --metrics and --otlp are features `prometheus` and `otlp` of a build, there by default.";
