//! The planner and its memory at their public surface.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "scripts are written with values where they are used")]

mod memory;
mod planner;
mod support;
