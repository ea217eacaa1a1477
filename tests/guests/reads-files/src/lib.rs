//! Reads the directories that it was granted, as a program does, and attacks them by the functions of `wasi:filesystem`, without a
//! library between.

mod attack;

use floe_guest::{Context, Failure, Json, Node, Outcome, Result};

floe_guest::export!(nodes: [Read, List, attack::Attack]);

/// Reads a file.
struct Read;

impl Node for Read {
    const NAME: &'static str = "read";
    const DESCRIPTION: &'static str = "Gives the text of a file.";
    type Config = ();
    type Input = String;
    type Output = String;

    fn handle((): (), path: String, _: &Context) -> Result<Outcome<String>> {
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::not_found(format!("{path}: {error}")))?;
        Ok(text.into())
    }
}

/// Lists a directory.
struct List;

impl Node for List {
    const NAME: &'static str = "list";
    const DESCRIPTION: &'static str = "Gives the names in a directory, in order.";
    type Config = ();
    type Input = String;
    type Output = Json;

    fn handle((): (), path: String, _: &Context) -> Result<Outcome<Json>> {
        let failed = |error: std::io::Error| Failure::internal(error.to_string());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().into_string().unwrap_or_default());
        }
        names.sort_unstable();
        Ok(Json::new(&names)?.into())
    }
}
