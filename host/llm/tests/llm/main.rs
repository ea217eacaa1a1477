//! The crate at its public surface: scripts, structured output, streams, retries, prices, and providers over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod extract;
mod ladder;
mod languages;
mod partial;
mod prices;
mod recorder;
mod remote;
mod retry;
mod scripted;
mod server;
mod streams;
mod support;
