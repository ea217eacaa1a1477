//! What a plugin may do beyond computing, when the operator grants it: one module per feature of this crate.
//!
//! The functions are the contract's own, and may still change with it. There is no stand-in for them in a native test:
//! keep the calls apart from the logic that you want to test.

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
#[cfg(feature = "subflow")]
pub use crate::bindings::capability::subflow;
#[cfg(feature = "tools")]
pub use crate::bindings::capability::tools;
