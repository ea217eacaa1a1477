//! Five ways in which a request ends before its work is done, and one that completes.
//!
//! `cargo run --example cancel -- examples/cancel`

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use floe::flow::{Config, Event, EventKind, Flow, Observer, Payload, Submission};
use floe::settings::Settings;
use floe::{assemble, builder, file, start};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events that may wait for this program; it looks at them between its steps.
const WAITING: usize = 64;

/// Hands events on: whoever observes must not wait, for the trace stands still meanwhile.
#[derive(Debug)]
struct Tell(Sender<Event>);

impl Observer for Tell {
    fn observe(&self, event: Event) {
        // Without room the event is lost, and this program would wait for it in vain; there is room for all.
        let _ = self.0.try_send(event);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("usage: cancel FOLDER")?.into();
    let input = std::fs::read_to_string(folder.join("input.jsonl"))?;
    let payloads = input.lines().map(Payload::parse).collect::<Result<Vec<_>, _>>()?;
    let [quick, slow] = payloads.try_into().map_err(|_| anyhow::anyhow!("a quick and a slow request are needed"))?;

    let settings = Settings::from_env();
    let file = file::Flow::load(&folder, &[])?;
    builder::build_for_flow(&file, false)?;
    let sandbox = start::sandbox(&settings)?;
    let assembled = assemble::assemble(&file, &sandbox, settings.cores.get()).await?;
    let (tx, mut events) = channel(WAITING);
    let config = Config { observer: Some(Arc::new(Tell(tx))), ..start::config(&file, &sandbox) };
    let flow = Flow::start(assembled.graph, config);
    let request = |trace: &str, payload: &Payload| Submission::new(trace, "me", payload.clone());

    let handle = flow.submit(request("quick", &quick)).await?;
    ended(&mut events).await?;
    drop(handle);

    // By its id, wherever that is known: at an admin's desk, in the handler of a DELETE.
    let by_id = flow.submit(request("by-id", &slow)).await?;
    started(&mut events).await?;
    flow.cancel("by-id");
    ended(&mut events).await?;
    drop(by_id);

    // By whoever submitted it.
    let by_handle = flow.submit(request("by-handle", &slow)).await?;
    started(&mut events).await?;
    by_handle.cancel();
    ended(&mut events).await?;

    // By going away: a connection that breaks drops its handle.
    let dropped = flow.submit(request("dropped", &slow)).await?;
    started(&mut events).await?;
    drop(dropped);
    ended(&mut events).await?;

    // By the clock: the request's own time, or the flow's `budget.deadline` if that is shorter.
    let deadline = Some(Duration::from_millis(200));
    let in_time = flow.submit(Submission { deadline, ..request("in-time", &slow) }).await?;
    ended(&mut events).await?;
    drop(in_time);

    // With the flow: what is in flight may come to its end for a while, then it is stopped.
    let stopped = flow.submit(request("stopped", &slow)).await?;
    started(&mut events).await?;
    flow.stop(Duration::from_millis(100)).await;
    ended(&mut events).await?;
    drop(stopped);
    Ok(())
}

/// Waits until a call has begun.
async fn started(events: &mut Receiver<Event>) -> anyhow::Result<()> {
    while !matches!(next(events).await?.kind, EventKind::Started { .. }) {}
    Ok(())
}

/// Waits until a trace has ended, and prints how.
async fn ended(events: &mut Receiver<Event>) -> anyhow::Result<()> {
    loop {
        let event = next(events).await?;
        if let EventKind::Ended { terminal, .. } = event.kind {
            let why = terminal.error.map_or_else(String::new, |error| format!(": {}", error.message));
            writeln!(std::io::stdout(), "{:<10} {}{why}", event.trace, terminal.end.name())?;
            return Ok(());
        }
    }
}

async fn next(events: &mut Receiver<Event>) -> anyhow::Result<Event> {
    events.recv().await.context("the flow is gone")
}
