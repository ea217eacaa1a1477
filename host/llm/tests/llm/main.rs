//! The crate at its public surface.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod extract;
mod ladder;
mod partial;
mod prices;
mod recorder;
mod retry;
mod scripted;
mod streams;
mod support;
