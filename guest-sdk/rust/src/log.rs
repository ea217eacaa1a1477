//! Lines for the operator; bounded in number and length, never shown to a model.
//!
//! ```
//! use floe_guest::{field, log};
//! log::info("Cut the text.", [field("chunks", 12)]);
//! log::warn("The text is empty.", []);
//! ```

pub use crate::bindings::plugin::log::Level;
use crate::bindings::plugin::types::Field;
use crate::host;

/// Writes a line of this level.
pub fn write(level: Level, message: &str, fields: impl IntoIterator<Item = Field>) {
    let fields: Vec<Field> = fields.into_iter().collect();
    host::log::write(level, message, &fields);
}

/// Every step.
pub fn trace(message: &str, fields: impl IntoIterator<Item = Field>) {
    write(Level::Trace, message, fields);
}

/// For whoever looks for an error.
pub fn debug(message: &str, fields: impl IntoIterator<Item = Field>) {
    write(Level::Debug, message, fields);
}

/// Worth knowing.
pub fn info(message: &str, fields: impl IntoIterator<Item = Field>) {
    write(Level::Info, message, fields);
}

/// Not as it should be, yet the call goes on.
pub fn warn(message: &str, fields: impl IntoIterator<Item = Field>) {
    write(Level::Warn, message, fields);
}

/// Wrong.
pub fn error(message: &str, fields: impl IntoIterator<Item = Field>) {
    write(Level::Error, message, fields);
}
