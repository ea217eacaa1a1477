//! The way out at its public surface: what is permitted, where it goes, what secrets become, what comes back.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod addresses;
mod exchange;
mod policy;
mod redirects;
mod scrub;
mod secrets;
mod support;
