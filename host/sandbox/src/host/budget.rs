//! `floe:plugin/budget`: what is left for the call. Linked by hand, because what is left of the fuel stands in the store.

use floe_flow::Resource;
use tokio::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::state::State;

type Remaining = Vec<(String, u64)>;

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut budget = linker.instance("floe:plugin/budget@0.1.0")?;
    budget.func_wrap("remaining", |mut store: StoreContextMut<'_, State>, (): ()| -> wasmtime::Result<(Remaining,)> {
        store.data_mut().host_call()?;
        if let Some(recorded) = store.data_mut().call.answers.recorded("budget.remaining")? {
            return Ok((recorded,));
        }
        let fuel = store.get_fuel()?;
        let state = store.data_mut();
        let remaining = remaining(state, fuel);
        state.call.answers.keep("budget.remaining", &remaining);
        Ok((remaining,))
    })?;
    budget.func_wrap("cancelled", |mut store: StoreContextMut<'_, State>, (): ()| -> wasmtime::Result<(bool,)> {
        let state = store.data_mut();
        state.host_call()?;
        if let Some(recorded) = state.call.answers.recorded("budget.cancelled")? {
            return Ok((recorded,));
        }
        let cancelled = state.call.ctx.as_ref().is_some_and(floe_flow::Context::is_cancelled);
        state.call.answers.keep("budget.cancelled", &cancelled);
        Ok((cancelled,))
    })
}

/// The store's fuel is already the least of the call's limit and the trace's budget.
fn remaining(state: &State, fuel: u64) -> Remaining {
    let time = state.call.deadline.saturating_duration_since(Instant::now());
    let mut remaining =
        vec![("fuel".to_owned(), fuel), ("time-ms".to_owned(), u64::try_from(time.as_millis()).unwrap_or(u64::MAX))];
    let counted = [Resource::HostCalls, Resource::LogLines, Resource::Emits, Resource::Calls];
    remaining.extend(counted.map(|resource| (resource.name().replace('_', "-"), state.left(resource))));
    if state.plugin.grants.state.is_some() {
        remaining.push(("state-writes".to_owned(), state.left(Resource::StateWrites)));
    }
    if state.plugin.grants.http.is_some() {
        let counted = [Resource::Requests, Resource::EgressBytes];
        remaining.extend(counted.map(|resource| (resource.name().replace('_', "-"), state.left(resource))));
    }
    if let Some(ctx) = &state.call.ctx {
        remaining.push(("hops".to_owned(), ctx.hops_left()));
    }
    remaining
}
