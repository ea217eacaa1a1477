//! `floe schema`: JSON Schemas of the files that people write, made of the types that read them.

use std::io::Write;

use schemars::JsonSchema;
use serde_json::Value;

use crate::cli::{SchemaArgs, SchemaOf};
use crate::file::{FlowFile, TenantsFile};
use crate::{Error, Exit};

/// Prints a schema on standard output.
pub fn execute(args: &SchemaArgs) -> Result<Exit, Error> {
    let schema = match args.of {
        SchemaOf::Flow => flow(),
        SchemaOf::Tenants => of::<TenantsFile>(),
    };
    writeln!(std::io::stdout().lock(), "{schema:#}")?;
    Ok(Exit::Completed)
}

/// The JSON Schema (2020-12) of the flow file.
pub fn flow() -> Value {
    of::<FlowFile>()
}

fn of<T: JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    bound(&mut schema);
    schema
}

/// Editors know no formats of integers, only numbers.
fn bound(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("format").is_some_and(|format| format == "uint32") {
                map.insert("maximum".to_owned(), u32::MAX.into());
            }
            map.values_mut().for_each(bound);
        }
        Value::Array(items) => items.iter_mut().for_each(bound),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
