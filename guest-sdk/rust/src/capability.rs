//! What a plugin may do beyond computing, when the operator grants it: one module per feature of this crate.
//!
//! Hosts serve `subflow` so far. The functions of the others are the contract's own, and may still change with it. There is no
//! stand-in for any in a native test: keep the calls apart from the logic that you want to test.

#[cfg(feature = "approval")]
pub use crate::bindings::capability::approval;
#[cfg(feature = "clock")]
pub use crate::bindings::capability::clock;
#[cfg(feature = "http")]
pub use crate::bindings::capability::http;
#[cfg(feature = "model")]
pub use crate::bindings::capability::model;
#[cfg(feature = "random")]
pub use crate::bindings::capability::random;
#[cfg(feature = "secrets")]
pub use crate::bindings::capability::secrets;
#[cfg(feature = "state")]
pub use crate::bindings::capability::state;
#[cfg(feature = "tools")]
pub use crate::bindings::capability::tools;

/// Flows that the operator's file grants to the plugin by name: `grants: { subflow: [NAME] }`.
#[cfg(feature = "subflow")]
pub mod subflow {
    use crate::bindings::capability::subflow;
    use crate::failure::Result;
    use crate::json::{FromJson, IntoJson, Json};

    /// Runs a flow to its end within this call, and returns its outputs in the order in which they left it. Its failure is this
    /// call's with `?`.
    pub fn call<T: FromJson>(flow: &str, payload: impl IntoJson) -> Result<Vec<T>> {
        let outputs = subflow::call(flow, payload.into_json()?.as_str())?;
        outputs.into_iter().map(|output| T::from_json(Json::from_text(output))).collect()
    }
}
