//! Attacks by real guests on a real sandbox and scheduler. Each one must end as its limit says, leave nothing behind, and leave
//! the plugin, its node and its neighbours at work.
//!
//! Start with `support`: a [`support::Stage`] is a small flow around one node, and its `attack` checks what is the same for all
//! attacks. There is a module for each guest, or this does not compile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls_http;
mod calls_subflow;
mod calls_tools;
mod cancel;
mod cookbook;
mod echo;
mod evil;
mod evil_describe;
mod evil_names;
mod evil_schema;
mod neighbours;
mod reads_files;
mod support;
mod text;
mod wants_clock;
mod wants_http;
mod wants_random;
mod wants_state;

macro_rules! assert_test_exists {
    ($guest:ident) => {
        const _: &str = $guest::GUEST;
    };
}
floe_tests::foreach_guest!(assert_test_exists);
