//! The planner and its memory at their public surface.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod planner;
mod support;
