//! An agent in a flow of its own: a scripted model, native tools, a journal whose every state can be looked at.

use std::sync::{Arc, Mutex};

use floe_agent::{Agent, Catalog, Envelope, Limits, Tool};
use floe_flow::journal::Pending;
use floe_flow::{
    Call, Config, Entry, Failure, Flow, Graph, Handle, Item, Journal, JournalError, Outcome, Payload, Policy, Record, Schema,
    SideEffect, Submission, Terminal, native,
};
use floe_llm::{Ladder, Scripted};
use serde_json::{Value, json};

/// The calls that tools got, in order.
pub(crate) type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// A model that says these lines, one a call.
pub(crate) fn model(lines: &[Value]) -> Ladder {
    let script: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ladder::new(vec![Arc::new(Scripted::parse("script", &script).unwrap())])
}

pub(crate) fn calls(node: &str, args: Value) -> Value {
    json!({ "action": { "thought": "look", "next_node": node, "args": args }, "usage": { "input": 10, "output": 5 }, "cost": 7 })
}

pub(crate) fn answers(text: &str) -> Value {
    json!({ "action": { "thought": "done", "next_node": null, "args": { "raw_answer": text } }, "usage": { "input": 10, "output": 5 }, "cost": 7 })
}

pub(crate) fn plans(branches: Value, join: Value) -> Value {
    json!({ "action": { "thought": "both", "next_node": null, "args": null, "plan": branches, "join": join } })
}

/// A tool that takes `{"n": number}`.
pub(crate) fn tool(name: &str) -> Tool {
    let input = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } }, "additionalProperties": false });
    Tool {
        name: name.to_owned(),
        description: format!("The tool {name}."),
        check: Schema::compile(&input).unwrap(),
        input,
        output: None,
        side_effect: SideEffect::Read,
        idempotent: false,
        tags: Vec::new(),
        timeout: None,
        retries: 0,
    }
}

pub(crate) fn open(name: &str) -> Tool {
    let input = json!({ "type": "object" });
    Tool { check: Schema::compile(&input).unwrap(), input, ..tool(name) }
}

/// An agent and the tools that it may have.
pub(crate) struct World {
    pub(crate) calls: Calls,
    pub(crate) journal: Option<Arc<Notebook>>,
    pub(crate) limits: Limits,
    pub(crate) tools: Vec<(Tool, Arc<dyn floe_flow::Invoke>)>,
    pub(crate) catalog: Catalog,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { calls: Arc::default(), journal: None, limits: Limits::default(), tools: Vec::new(), catalog: Catalog::default() }
    }

    /// Adds a tool that does this.
    pub(crate) fn with(
        mut self,
        tool: Tool,
        does: impl Fn(&Value, &Call) -> Result<Value, Failure> + Send + Sync + 'static,
    ) -> Self {
        let (calls, name) = (Arc::clone(&self.calls), tool.name.clone());
        let invoke = native(move |call| {
            let args = call.message.payload.value().into_owned();
            calls.lock().unwrap().push((name.clone(), args.clone()));
            does(&args, &call).map(|result| Outcome::one(result.into()))
        });
        self.tools.push((tool, invoke));
        self
    }

    /// Doubles a number, and adds some.
    pub(crate) fn arithmetic() -> Self {
        let n = |args: &Value| args["n"].as_i64().unwrap();
        let sum = |args: &Value, _: &Call| {
            let all = args["numbers"].as_array().cloned().unwrap_or_default();
            Ok(json!({ "sum": all.iter().map(|item| item["n"].as_i64().unwrap()).sum::<i64>() }))
        };
        Self::new().with(tool("double"), move |args, _| Ok(json!({ "n": 2 * n(args) }))).with(open("sum"), sum)
    }

    pub(crate) fn limit(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn flow(&self, model: Ladder) -> Flow {
        let mut graph = Graph::builder("agents");
        let tools = self.tools.iter().map(|(tool, _)| Arc::new(tool.clone())).collect();
        let catalog = Catalog { tools, ..self.catalog.clone() };
        let agent = Agent { model, catalog, instructions: None, temperature: None, limits: self.limits.clone() };
        graph.run("agent", Arc::new(agent), Policy { retries: 0, ..Policy::with_concurrency(1) });
        for (tool, invoke) in &self.tools {
            let input = Some(tool.check.clone());
            graph.tool(&tool.name, floe_flow::Tool { invoke: Arc::clone(invoke), input, output: None });
        }
        let mut config = Config::on_current_runtime();
        config.journal = self.journal.clone().map(|journal| journal as _);
        Flow::start(graph.build().unwrap(), config)
    }

    /// Asks, and gives the envelope.
    pub(crate) async fn ask(&self, lines: &[Value]) -> Envelope {
        let flow = self.flow(model(lines));
        let (outputs, terminal) = submit(&flow, "tenant").await.finish().await;
        assert_eq!(terminal.error, None);
        serde_json::from_str(outputs[0].text()).unwrap()
    }

    pub(crate) fn made(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap().clone()
    }
}

pub(crate) async fn submit(flow: &Flow, tenant: &str) -> Handle {
    flow.submit(Submission::new("run", tenant, Payload::from(json!("what is it?")))).await.unwrap()
}

/// Everything that came out.
pub(crate) async fn read(mut handle: Handle) -> (Vec<Item>, Terminal) {
    let mut items = Vec::new();
    loop {
        match handle.next().await.unwrap() {
            Item::End(terminal) => return (items, terminal),
            item => items.push(item),
        }
    }
}

/// A journal in memory.
#[derive(Debug, Default)]
pub(crate) struct Notebook(pub(crate) Mutex<Vec<(Arc<str>, Entry)>>);

impl Notebook {
    pub(crate) fn with(entries: Vec<(Arc<str>, Entry)>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(entries)))
    }

    pub(crate) fn entries(&self) -> Vec<(Arc<str>, Entry)> {
        self.0.lock().unwrap().clone()
    }
}

impl Journal for Notebook {
    fn append(&self, trace: &Arc<str>, entry: Entry) -> Pending<()> {
        let mut entries = self.0.lock().unwrap();
        let again = matches!(entry.record, Record::Accepted(_)) && entries.iter().any(|(known, _)| known == trace);
        if !again {
            entries.push((Arc::clone(trace), entry));
        }
        let result = if again { Err(JournalError::Duplicate(Arc::clone(trace))) } else { Ok(()) };
        Box::pin(std::future::ready(result))
    }

    fn load(&self, trace: &str) -> Pending<Vec<Entry>> {
        let entries = self.entries().into_iter().filter(|(known, _)| **known == *trace).map(|(_, entry)| entry).collect();
        Box::pin(std::future::ready(Ok(entries)))
    }

    fn unfinished(&self) -> Pending<Vec<Arc<str>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
}
