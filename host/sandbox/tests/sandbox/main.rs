//! The sandbox at its public surface: what loads, what a call may do, what is kept on disk.

mod cache;
mod calls;
mod load;
mod support;
