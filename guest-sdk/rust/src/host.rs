//! The functions of the host that every plugin has: the contract's imports in a component, a recorder anywhere else.

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::plugin::{budget, emit, log};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::test::{budget, emit, log};
