//! The scheduler at its public surface, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod budgets;
mod crashes;
mod defaults;
mod ends;
mod fairness;
mod faults;
mod framing;
mod fuzz;
mod graphs;
mod joins;
mod journal;
mod metrics;
mod notebook;
mod notes;
mod observers;
mod policies;
mod properties;
mod quotas;
mod random;
mod recoveries;
mod releases;
mod rooms;
mod routes;
mod schemas;
mod slots;
mod spans;
mod streams;
mod subflows;
mod support;
mod testkit;
