//! The journals at their public surface: one suite for all of them, and what a file must survive.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod crash;
mod file;
mod flows;
mod full;
mod group;
mod history;
mod run;
mod state;
mod support;
