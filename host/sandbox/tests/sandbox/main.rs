//! The sandbox at its public surface: what loads, what a call may do, what is kept on disk.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod cache;
mod calls;
mod contract;
mod fuzz;
mod handed;
mod load;
mod replay;
mod support;
mod versions;
