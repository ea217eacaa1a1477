//! `floe:capability/tools`: tools that the operator's file grants to the plugin, called within its call. Linked by hand, because its types
//! are the contract's.

use floe_flow::{Account, Context, Failure, FailureKind, Payload, Receipt, Resource, ToolCall};
use serde::{Deserialize, Serialize};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::bindings::floe::plugin::types;
use crate::convert::{self, Wrong};
use crate::interface::Grants;
use crate::learn::Asked;
use crate::scrubbed;
use crate::state::State;
use crate::tape::Said;
use crate::text::plain;

/// Bytes of a tool's name that a message shows.
const SHOWN: usize = 160;

/// What came of a call, for its record: the result as text, of which no byte changes.
#[derive(Debug, Serialize, Deserialize)]
struct Called {
    receipt: Receipt,
    said: Said<String>,
}

type Answer = Result<String, types::Failure>;

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut tools = linker.instance("floe:capability/tools@0.1.0")?;
    tools.func_wrap_async("call", |mut store: StoreContextMut<'_, State>, (tool, arguments): (String, String)| {
        Box::new(async move {
            let answers = call_all(&mut store, vec![(tool, arguments)]).await?;
            let answer = answers.into_iter().next();
            Ok((answer.expect("each call has an answer"),))
        })
    })?;
    tools.func_wrap_async("call-all", |mut store: StoreContextMut<'_, State>, (calls,): (Vec<(String, String)>,)| {
        Box::new(async move { Ok((call_all(&mut store, calls).await?,)) })
    })
}

/// Several at once, each with an equal part of what the call has left, so that none waits for what another has taken.
async fn call_all(store: &mut StoreContextMut<'_, State>, calls: Vec<(String, String)>) -> wasmtime::Result<Vec<Answer>> {
    let fuel = store.get_fuel()?;
    let state = store.data_mut();
    // Each is looked at, also if it is refused.
    for _ in 0..calls.len().max(1) {
        state.host_call()?;
    }
    let calls: Vec<_> = calls.into_iter().map(|(tool, arguments)| state.wanted_tool(tool, arguments)).collect();
    if let Some(recorded) = state.call.answers.recorded::<Vec<Called>>("tools.call")? {
        return finish(store, fuel, calls.into_iter().map(|call| call.map(|_| ())).collect(), recorded);
    }
    let going = u64::try_from(calls.iter().filter(|call| call.is_ok()).count()).unwrap_or(u64::MAX);
    let deadline = Some(state.call.deadline);
    let mut begun: Vec<Result<Result<ToolCall, Failure>, Failure>> = Vec::with_capacity(calls.len());
    let allowances = state.lend_parts(fuel, going);
    let mut allowances = allowances.into_iter();
    for call in calls {
        begun.push(call.map(|Wanted { ctx, tool, arguments, number }| {
            let allowance = allowances.next().expect("there is one for each call that goes out");
            ctx.within(allowance).start_tool(&tool, arguments, number, deadline)
        }));
    }
    let (mut refused, mut called) = (Vec::with_capacity(begun.len()), Vec::new());
    for call in begun {
        refused.push(match call {
            Err(refusal) => Err(refusal),
            Ok(started) => {
                let mut receipt = Receipt::default();
                let said = match started {
                    Ok(call) => call.finish(&mut receipt).await.map(|result| result.text().to_owned()),
                    Err(failure) => Err(failure),
                };
                called.push(Called { receipt, said: said.into() });
                Ok(())
            }
        });
    }
    store.data_mut().call.answers.keep("tools.call", &called);
    finish(store, fuel, refused, called)
}

/// The answers in the order of the calls: of those that were refused, and of those that went out.
fn finish(
    store: &mut StoreContextMut<'_, State>,
    mut fuel: u64,
    refused: Vec<Result<(), Failure>>,
    called: Vec<Called>,
) -> wasmtime::Result<Vec<Answer>> {
    let state = store.data_mut();
    let (mut called, mut answers) = (called.into_iter(), Vec::with_capacity(refused.len()));
    for call in refused {
        let said = match call {
            Err(refusal) => Err(refusal),
            Ok(()) => {
                let Some(Called { receipt, said }) = called.next() else {
                    return Err(crate::tape::Conflict::new("it calls more tools than the record has".to_owned()).into());
                };
                fuel = fuel.saturating_sub(state.settle(&receipt));
                said.into()
            }
        };
        answers.push(said.map_err(convert::failure_to_guest));
    }
    store.set_fuel(fuel)?;
    Ok(answers)
}

/// A call that may go out.
struct Wanted {
    ctx: Context,
    tool: String,
    arguments: Payload,
    number: u64,
}

impl State {
    /// What the plugin asks for, unless the tool is not granted.
    fn wanted_tool(&mut self, tool: String, arguments: String) -> Result<Wanted, Failure> {
        let Some(ctx) = self.call.ctx.clone() else {
            return Err(Failure::new(FailureKind::Denied, "a plugin that describes itself has no trace to call in"));
        };
        let has = |grants: &Grants| grants.tools.as_ref().is_some_and(|granted| granted.contains(&tool));
        if !has(&self.plugin.grants) {
            self.plugin.denied(Asked::Tool(tool.clone()));
            let line = self.plugin.grant_line("tools", has);
            let why = format!("the tool `{}` is not granted; add it to {line}", plain(&tool, SHOWN));
            return Err(Failure::new(FailureKind::Denied, why));
        }
        self.spend(Resource::Calls)?;
        self.call.bytes_out += arguments.len() as u64;
        let arguments = convert::payload(arguments).map_err(|Wrong(what)| Failure::new(FailureKind::InvalidInput, what))?;
        let arguments = match self.scrubber() {
            Some(scrubber) => scrubbed::payload(arguments, scrubber),
            None => arguments,
        };
        let number = self.call.children.number();
        Ok(Wanted { ctx, tool, arguments, number })
    }

    /// What the call has left, in equal parts.
    fn lend_parts(&mut self, fuel: u64, parts: u64) -> Vec<std::sync::Arc<Account>> {
        let mut left = self.left_for_others(fuel);
        for resource in Resource::ALL {
            if left[resource] != u64::MAX {
                left[resource] /= parts.max(1);
            }
        }
        (0..parts).map(|_| self.allowance(left)).collect()
    }
}
