//! Spans and numbers of Floe for those who collect them. Confines OpenTelemetry and an HTTP server; knows nothing of flows but
//! their metrics and the names of crates whose spans are exported, and reads no files.
//!
//! Both parts are features, off by default: `otlp` (start at `otlp::init`) and `prometheus` (start at `prometheus::Server`). Each
//! module shows how it is wired.

#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "prometheus")]
pub mod prometheus;
