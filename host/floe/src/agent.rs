//! `floe agent run`: one question to the agents of a flow, with their thoughts and the answer on the terminal while they come.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use floe_agent::{Envelope, Reason, Usage};
use floe_flow::{End, Flow, Item, Payload, Submission, Terminal};
use floe_sandbox::plain;
use serde_json::{Value, json};

use crate::cli::AgentRunArgs;
use crate::file::{self, Node};
use crate::settings::Settings;
use crate::{Error, Exit, assemble, builder, start};

/// Characters of a thought or an event that a line shows.
const SHOWN: usize = 200;

/// Asks, shows what happens, and says how it ended.
pub fn run(args: &AgentRunArgs, settings: &Settings) -> Result<Exit, Error> {
    let flow = file::Flow::load(&args.flow, &args.set)?;
    if args.build {
        builder::build_for_flow(&flow, args.trust)?;
    }
    if !flow.file.nodes.iter().any(|(_, node)| matches!(node, Node::Agent(_))) {
        let message = format!("`{}` has no node with an `agent`", flow.path());
        return Err(Error::wrong(message).with_help("`floe run` runs any flow; examples/agent has one with an agent"));
    }
    let context = args.context.as_deref().map(serde_json::from_str::<Value>).transpose();
    let context = context.map_err(|error| Error::wrong(format!("--context is not JSON: {error}")))?;
    let question = match context {
        Some(context) => json!({ "query": args.query, "context": context }),
        None => json!({ "query": args.query }),
    };
    let sandbox = start::sandbox(settings)?;
    start::runtime()?.block_on(async {
        let assembled = assemble::assemble(&flow, &sandbox, settings.cores.get()).await?;
        for warning in &assembled.warnings {
            tracing::warn!("{warning}");
        }
        let running = Flow::start(assembled.graph, start::config(&flow, &sandbox));
        let submission = Submission::new("agent", &args.tenant, Payload::from(question));
        let mut handle = running.submit(submission).await.map_err(|error| Error::wrong(error.to_string()))?;
        let mut shown = Shown { as_json: args.json, streamed: BTreeMap::new(), envelope: None };
        let terminal = loop {
            tokio::select! {
                item = handle.next() => match item {
                    Some(Item::End(terminal)) => break Some(terminal),
                    Some(item) => shown.item(&item)?,
                    None => break None,
                },
                _ = tokio::signal::ctrl_c() => {
                    handle.cancel();
                }
            }
        };
        running.stop(Duration::ZERO).await;
        shown.end(terminal.as_ref())
    })
}

/// What has been shown of a run.
struct Shown {
    as_json: bool,
    /// Pieces of each stream so far.
    streamed: BTreeMap<Arc<str>, usize>,
    envelope: Option<Payload>,
}

impl Shown {
    /// Thoughts and events go to standard error, the answer to standard output.
    fn item(&mut self, item: &Item) -> Result<(), Error> {
        match item {
            Item::Chunk { stream, text, .. } if **stream == *"answer" && !self.as_json => {
                let mut out = std::io::stdout().lock();
                write!(out, "{}", visible(text))?;
                out.flush()?;
                *self.streamed.entry(Arc::clone(stream)).or_default() += text.len();
            }
            Item::Progress { kind, data, .. } => {
                let data = data.value();
                let name = data.get("node").and_then(Value::as_str).unwrap_or_default();
                let line = match kind.as_str() {
                    "tool_start" => format!("calls {} {}", plain(name, 64), plain(&data["args"].to_string(), SHOWN)),
                    "tool_error" => {
                        format!("{} fails: {}", plain(name, 64), plain(data["error"].as_str().unwrap_or_default(), SHOWN))
                    }
                    "refused" => format!("is not let: {}", plain(data["why"].as_str().unwrap_or_default(), SHOWN)),
                    "restarted" => "the model begins again".to_owned(),
                    _ => return Ok(()),
                };
                writeln!(std::io::stderr().lock(), "· {line}")?;
            }
            Item::Output { message, .. } => self.envelope = Some(message.payload.clone()),
            _ => {}
        }
        Ok(())
    }

    fn end(self, terminal: Option<&Terminal>) -> Result<Exit, Error> {
        let mut out = std::io::stdout().lock();
        let Some(payload) = self.envelope else {
            let error = terminal.and_then(|terminal| terminal.error.as_ref());
            let why = error.map_or_else(|| "it ended without an answer".to_owned(), |error| error.message.clone());
            let how = terminal.map_or("stopped", |terminal| terminal.end.name());
            return Err(Error::Lost(format!("{how}: {}", plain(&why, 1000))));
        };
        if self.as_json {
            writeln!(out, "{}", payload.text())?;
        }
        let envelope: Option<Envelope> = serde_json::from_str(payload.text()).ok();
        let Some(envelope) = envelope else {
            // Other nodes of the flow have made something else of it.
            if !self.as_json {
                writeln!(out, "{}", payload.text())?;
            }
            return Ok(exit(terminal, true));
        };
        if !self.as_json {
            match (&envelope.answer, self.streamed.contains_key("answer")) {
                (Some(_), true) => writeln!(out)?,
                (Some(answer), false) => writeln!(out, "{}", visible(answer))?,
                (None, _) => {}
            }
        }
        let mut errors = std::io::stderr().lock();
        if let Some(error) = &envelope.error {
            writeln!(errors, "{}: {}", json!(envelope.reason).as_str().unwrap_or_default(), plain(error, 1000))?;
        }
        writeln!(errors, "{}", used(&envelope.usage, envelope.steps.len()))?;
        Ok(exit(terminal, envelope.reason == Reason::AnswerComplete))
    }
}

fn exit(terminal: Option<&Terminal>, is_answered: bool) -> Exit {
    let is_complete = terminal.is_some_and(|terminal| terminal.end == End::Completed);
    if is_complete && is_answered { Exit::Completed } else { Exit::Incomplete }
}

/// An answer is text for a person: line breaks stay, what would steer a terminal goes.
fn visible(text: &str) -> String {
    text.split_inclusive('\n').map(|line| if line == "\n" { line.to_owned() } else { kept(line) }).collect()
}

fn kept(line: &str) -> String {
    line.chars().filter(|char| matches!(char, '\n' | '\t') || !char.is_control()).collect()
}

fn used(usage: &Usage, steps: usize) -> String {
    let Usage { model_calls, tool_calls, input_tokens, output_tokens, cost, unpriced, .. } = usage;
    let money = match (cost, unpriced) {
        (0, 0) => String::new(),
        (cost, 0) => format!("; ${:.6}", *cost as f64 / 1e6),
        (cost, _) => format!("; at least ${:.6}, of some answers the price is not known", *cost as f64 / 1e6),
    };
    format!(
        "{steps} steps, {model_calls} answers of models, {tool_calls} calls of tools; {input_tokens} tokens read, {output_tokens} written{money}"
    )
}
