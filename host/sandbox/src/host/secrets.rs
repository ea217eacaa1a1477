//! `floe:capability/secrets`: what stands for a secret. The value itself never comes here.

use floe_flow::{Failure, FailureKind};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::bindings::floe::plugin::types;
use crate::convert;
use crate::interface::Grants;
use crate::learn::Asked;
use crate::state::State;
use crate::tape::Said;
use crate::text::plain;

/// Bytes of a secret's name that a message shows.
const SHOWN: usize = 64;

type Placeholder = Result<String, types::Failure>;

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut secrets = linker.instance("floe:capability/secrets@0.1.0")?;
    secrets.func_wrap(
        "placeholder",
        |mut store: StoreContextMut<'_, State>, (name,): (String,)| -> wasmtime::Result<(Placeholder,)> {
            Ok((store.data_mut().placeholder(&name)?,))
        },
    )
}

impl State {
    /// A process has placeholders of its own, so this is recorded.
    fn placeholder(&mut self, name: &str) -> wasmtime::Result<Placeholder> {
        self.host_call()?;
        let said = match self.call.answers.recorded::<Said<String>>("secrets.placeholder")? {
            Some(recorded) => recorded,
            None => {
                let found = self.plugin.grants.secrets.get(name).map(|secret| secret.placeholder().to_owned());
                let said = Said::from(found.ok_or_else(|| self.no_such(name)));
                self.call.answers.keep("secrets.placeholder", &said);
                said
            }
        };
        Ok(Result::from(said).map_err(convert::failure_to_guest))
    }

    fn no_such(&self, name: &str) -> Failure {
        self.plugin.denied(Asked::Secret(name.to_owned()));
        let has = |grants: &Grants| grants.secrets.get(name).is_some();
        // A ceiling that takes secrets away is one of HTTP.
        let is_kept_back = self.plugin.within.as_ref().is_some_and(|within| has(&within.granted));
        let line = self.plugin.grant_line(if is_kept_back { "http" } else { "secrets" }, has);
        let why = format!("the secret `{}` is not granted; add it to {line}", plain(name, SHOWN));
        Failure::new(FailureKind::Denied, why)
    }
}
