//! The only way out to the network: HTTP exchanges that a policy permits, with addresses that were checked, secrets that the asking
//! side never sees, quotas, and answers from which those secrets have been taken out again.
//!
//! It knows neither WebAssembly nor files nor the environment: rules, secrets and limits come to it as plain data. Start at
//! [`Client::send`].
//!
//! What is absent: a proxy taken from the environment, connections that are kept or shared, redirects that nobody granted,
//! compressed answers, cookies, a second look-up of a name that has been checked.

pub mod address;
mod body;
mod client;
mod connect;
mod error;
mod headers;
pub mod policy;
mod quota;
pub mod scrub;
pub mod secrets;
mod substitute;
pub mod target;

pub use body::{Body, RequestBody};
pub use client::{Client, Config, Limits, Request, Response, Session};
pub use client::{DEFAULT_CONNECT, DEFAULT_FIELD_COUNT, DEFAULT_FIELDS, DEFAULT_FIRST_BYTE, DEFAULT_TIME};
pub use error::Error;
pub use headers::is_refused;
pub use quota::{DEFAULT_BYTES_IN, DEFAULT_BYTES_OUT, DEFAULT_CONNECTIONS, DEFAULT_REQUESTS};
pub use quota::{Maxima, Quota, Used};
