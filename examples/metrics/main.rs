//! Runs a flow and watches it: an alarm for each call that is given up, and numbers of everything.
//!
//! `cargo run --example metrics -- examples/metrics`

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use floe::flow::{
    Buffered, Config, DEFAULT_BUFFERED_EVENTS, Event, EventKind, Flow, Metrics, Observer, Payload, Sample, Several, Submission,
};
use floe::settings::Settings;
use floe::{assemble, builder, file, start};

/// Says when a node gives up. Printing may take long, so it stands behind a buffer.
#[derive(Debug)]
struct Alarm;

impl Observer for Alarm {
    fn observe(&self, event: Event) {
        if let EventKind::GaveUp { node, attempt, error, then, .. } = event.kind {
            let text = format!("ALARM {}: `{node}` gave up at attempt {attempt}: {} ({then})", event.trace, error.message);
            // Nobody reads alarms if standard output is closed.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("usage: metrics FOLDER")?.into();
    let settings = Settings::from_env();
    let file = file::Flow::load(&folder, &[])?;
    builder::build_for_flow(&file, false)?;
    let sandbox = start::sandbox(&settings)?;
    let assembled = assemble::assemble(&file, &sandbox, settings.cores.get()).await?;

    // Counting is quick and misses nothing; whatever takes longer is buffered, and what the buffer drops is counted too.
    let metrics = Arc::new(Metrics::default());
    let alarms = Buffered::start(vec![Arc::new(Alarm)], DEFAULT_BUFFERED_EVENTS, &tokio::runtime::Handle::current());
    metrics.follow(&alarms);
    let observer = Several::new(vec![metrics.clone(), alarms.clone()]);
    let config = Config { observer: Some(Arc::new(observer)), ..start::config(&file, &sandbox) };
    let flow = Flow::start(assembled.graph, config);

    let input = std::fs::read_to_string(folder.join("input.jsonl"))?;
    for (index, line) in input.lines().enumerate() {
        let tenant = if index % 2 == 0 { "acme" } else { "globex" };
        let submission = Submission::new(&format!("request-{}", index + 1), tenant, Payload::parse(line)?);
        flow.submit(submission).await?.finish().await;
    }
    flow.stop(Duration::ZERO).await;
    alarms.close().await;

    let mut out = std::io::stdout().lock();
    for sample in metrics.samples().iter().filter(|sample| is_shown(sample)) {
        let labels: Vec<String> = sample.labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
        writeln!(out, "{} {{{}}} {}", sample.name, labels.join(", "), sample.value)?;
    }
    Ok(())
}

/// Times differ from run to run, and fuel from compiler to compiler; of the rest, what happened at all.
fn is_shown(sample: &Sample) -> bool {
    sample.name.ends_with("_total") && sample.name != "floe_fuel_total" && sample.value > 0.0
}
