//! `floe:capability/subflow`: runs flows that the operator's file grants to the plugin, within the call's trace. Linked by hand,
//! because its types are the contract's.

use std::sync::Arc;

use floe_flow::{Account, Amounts, Context, Failure, FailureKind, Message, Receipt, Resource, SubflowRequest};
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

/// Bytes of a flow's name that a message shows.
const SHOWN: usize = 64;

/// What a call has had done by others.
#[derive(Debug)]
pub(crate) struct Children {
    /// Subflows and tools that it has called.
    calls: u32,
    /// What they have used.
    pub(crate) used: Amounts,
    pub(crate) hops: u64,
    /// What those live on that run now.
    pub(crate) running: Vec<Arc<Account>>,
}

impl Children {
    /// Tells the calls of one attempt apart.
    pub(crate) fn number(&mut self) -> u64 {
        self.calls += 1;
        u64::from(self.calls - 1)
    }
}

impl Default for Children {
    fn default() -> Self {
        Self { calls: 0, used: Amounts::NONE, hops: 0, running: Vec::new() }
    }
}

/// What came of a call, for its record: the outputs as texts, of which no byte changes.
#[derive(Debug, Serialize, Deserialize)]
struct Called {
    receipt: Receipt,
    said: Said<Vec<String>>,
}

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut subflow = linker.instance("floe:capability/subflow@0.1.0")?;
    subflow.func_wrap_async("call", |mut store: StoreContextMut<'_, State>, (flow, payload): (String, String)| {
        Box::new(async move { Ok((call(&mut store, flow, payload).await?,)) })
    })
}

type Outputs = Result<Vec<String>, types::Failure>;

async fn call(store: &mut StoreContextMut<'_, State>, flow: String, payload: String) -> wasmtime::Result<Outputs> {
    let fuel = store.get_fuel()?;
    let state = store.data_mut();
    state.host_call()?;
    let (ctx, message) = match state.wanted(&flow, payload) {
        Ok(wanted) => wanted,
        Err(failure) => return Ok(Err(convert::failure_to_guest(failure))),
    };
    let call = format!("{}.{flow}", state.call.children.number());
    let called = match state.call.answers.recorded::<Called>("subflow.call")? {
        Some(recorded) => recorded,
        None => {
            let left = state.left_for_others(fuel);
            let ctx = ctx.within(state.allowance(left));
            let mut receipt = Receipt::default();
            let request = SubflowRequest { message: &message, call: &call, most: ctx.max_payload() };
            let said = ctx.call(&flow, &request, &mut receipt).await;
            let said = said.map(|outputs| outputs.iter().map(|output| output.text().to_owned()).collect());
            let called = Called { receipt, said: said.into() };
            state.call.answers.keep("subflow.call", &called);
            called
        }
    };
    let Called { receipt, said } = called;
    let fuel = fuel.saturating_sub(state.settle(&receipt));
    store.set_fuel(fuel)?;
    Ok(Result::from(said).map_err(convert::failure_to_guest))
}

impl State {
    /// What this call has left for those that it calls; it waits for them meanwhile.
    pub(crate) fn left_for_others(&self, fuel: u64) -> Amounts {
        let mut left = Amounts::UNLIMITED;
        for resource in Resource::ALL {
            left[resource] = match resource {
                Resource::Fuel => fuel,
                Resource::Memory => self.call.given[resource].saturating_sub(self.limiter.held()),
                _ => self.left(resource),
            };
        }
        left
    }

    /// Something of it for one that is called.
    pub(crate) fn allowance(&mut self, left: Amounts) -> Arc<Account> {
        let allowance = Arc::new(Account::new(format!("plugins.{}.limits", self.plugin.name).into(), left));
        self.call.children.running.push(Arc::clone(&allowance));
        allowance
    }

    /// What others used is this call's own use. Returns their fuel, which is to be taken from the store's.
    pub(crate) fn settle(&mut self, receipt: &Receipt) -> u64 {
        let children = &mut self.call.children;
        children.running.clear();
        children.used = children.used.plus(receipt.amounts());
        children.hops = children.hops.saturating_add(receipt.hops);
        receipt.fuel
    }

    /// What the plugin has called with, as a message to the flow; refused unless the flow is granted.
    fn wanted(&mut self, flow: &str, payload: String) -> Result<(Context, Message), Failure> {
        let (Some(ctx), Some(message)) = (&self.call.ctx, &self.call.message) else {
            return Err(Failure::new(FailureKind::Denied, "a plugin that describes itself has no trace to call in"));
        };
        let has = |grants: &Grants| grants.subflow.as_ref().is_some_and(|granted| granted.contains(flow));
        if !has(&self.plugin.grants) {
            self.plugin.denied(Asked::Subflow(flow.to_owned()));
            let line = self.plugin.grant_line("subflow", has);
            let why = format!("the subflow `{}` is not granted; add it to {line}", plain(flow, SHOWN));
            return Err(Failure::new(FailureKind::Denied, why));
        }
        let wanted = (ctx.clone(), Message::clone(message));
        self.spend(Resource::Calls)?;
        self.call.bytes_out += payload.len() as u64;
        let payload = convert::payload(payload).map_err(|Wrong(what)| Failure::new(FailureKind::InvalidInput, what))?;
        let payload = match self.scrubber() {
            Some(scrubber) => scrubbed::payload(payload, scrubber),
            None => payload,
        };
        Ok((wanted.0, Message { payload, ..wanted.1 }))
    }
}
