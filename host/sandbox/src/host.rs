//! What a guest may call: one module per interface. Each refuses what is wrong as the contract's failure and traps only where
//! a limit ends the call.

pub(crate) mod budget;
pub(crate) mod clock;
pub(crate) mod clocks;
pub(crate) mod emit;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod secrets;
pub(crate) mod state;
pub(crate) mod stdio;
pub(crate) mod subflow;
pub(crate) mod tools;
pub(crate) mod wasi_http;
