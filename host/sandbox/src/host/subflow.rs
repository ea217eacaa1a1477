//! `floe:capability/subflow`: runs flows that the operator's file grants to the plugin, within the call's trace. Linked by hand,
//! because its types are the contract's.

use floe_flow::{Context, Failure, FailureKind, Message, Receipt, SubflowRequest};
use serde::{Deserialize, Serialize};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::bindings::floe::plugin::types;
use crate::convert::{self, Wrong};
use crate::state::State;
use crate::tape::Said;
use crate::text::plain;

/// Bytes of a flow's name that a message shows.
const SHOWN: usize = 64;

/// What a call has had done by others.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// Subflows that it has called.
    calls: u32,
    /// What they used.
    pub(crate) fuel: u64,
    pub(crate) hops: u64,
    /// The fuel of those that have run just now, which their traces have counted.
    pub(crate) counted: u64,
}

/// What came of a call, for its record: the outputs as texts, of which no byte changes.
#[derive(Debug, Serialize, Deserialize)]
struct Called {
    fuel: u64,
    hops: u64,
    said: Said<Vec<String>>,
}

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut subflow = linker.instance("floe:capability/subflow@0.1.0")?;
    subflow.func_wrap_async("call", |mut store: StoreContextMut<'_, State>, (flow, payload): (String, String)| {
        Box::new(async move { Ok((store.data_mut().call_subflow(flow, payload).await?,)) })
    })
}

impl State {
    async fn call_subflow(&mut self, flow: String, payload: String) -> wasmtime::Result<Result<Vec<String>, types::Failure>> {
        self.host_call()?;
        let (ctx, message) = match self.wanted(&flow, payload) {
            Ok(wanted) => wanted,
            Err(failure) => return Ok(Err(convert::failure_to_guest(failure))),
        };
        let call = format!("{}.{flow}", self.call.children.calls);
        self.call.children.calls += 1;
        let called = match self.call.answers.recorded::<Called>("subflow.call")? {
            Some(recorded) => recorded,
            None => {
                let mut receipt = Receipt::default();
                let request = SubflowRequest { message: &message, call: &call, most: ctx.max_payload() };
                let said = ctx.call(&flow, &request, &mut receipt).await;
                let said = said.map(|outputs| outputs.iter().map(|output| output.text().to_owned()).collect());
                let called = Called { fuel: receipt.fuel, hops: receipt.hops, said: said.into() };
                self.call.children.counted = self.call.children.counted.saturating_add(receipt.fuel);
                self.call.answers.keep("subflow.call", &called);
                called
            }
        };
        let Called { fuel, hops, said } = called;
        self.call.children.fuel = self.call.children.fuel.saturating_add(fuel);
        self.call.children.hops = self.call.children.hops.saturating_add(hops);
        Ok(Result::from(said).map_err(convert::failure_to_guest))
    }

    /// What the plugin has called with, as a message to the flow; refused unless the flow is granted.
    fn wanted(&mut self, flow: &str, payload: String) -> Result<(Context, Message), Failure> {
        let (Some(ctx), Some(message)) = (&self.call.ctx, &self.call.message) else {
            return Err(Failure::new(FailureKind::Denied, "a plugin that describes itself has no trace to call in"));
        };
        if !self.plugin.grants.subflow.as_ref().is_some_and(|granted| granted.contains(flow)) {
            let (flow, plugin) = (plain(flow, SHOWN), &self.plugin.name);
            let why = format!("the subflow `{flow}` is not granted; add it to `plugins.{plugin}.grants.subflow`");
            return Err(Failure::new(FailureKind::Denied, why));
        }
        let wanted = (ctx.clone(), Message::clone(message));
        self.call.bytes_out += payload.len() as u64;
        let payload = convert::payload(payload).map_err(|Wrong(what)| Failure::new(FailureKind::InvalidInput, what))?;
        Ok((wanted.0, Message { payload, ..wanted.1 }))
    }
}
