//! `floe schema`: JSON Schemas of the files that people write, made of the types that read them.

use std::io::Write;

use crate::cli::{SchemaArgs, SchemaOf};
use crate::file::FlowFile;
use crate::{Error, Exit};

/// Prints a schema on standard output.
pub fn execute(args: &SchemaArgs) -> Result<Exit, Error> {
    let schema = match args.of {
        SchemaOf::Flow => flow(),
    };
    writeln!(std::io::stdout().lock(), "{schema:#}")?;
    Ok(Exit::Completed)
}

/// The JSON Schema (2020-12) of the flow file.
pub fn flow() -> serde_json::Value {
    schemars::schema_for!(FlowFile).to_value()
}
