//! `floe:capability/state`: values that outlive a call, in the space that the plugin is granted and of the tenant whose call it is.
//! Linked by hand, because its types are the contract's.

use std::borrow::Cow;
use std::sync::Arc;

use floe_flow::journal::JournalError;
use floe_flow::state::{Entry, MAX_STATE_KEY, MAX_STATE_KEYS, MAX_STATE_LISTED, MAX_STATE_VALUE, Owner, Place, Put, Written};
use floe_flow::{Failure, FailureKind, Origin, Payload, Resource};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use crate::bindings::floe::plugin::types;
use crate::convert::{self, Wrong};
use crate::learn::Asked;
use crate::scrubbed;
use crate::state::State;
use crate::tape::Said;

/// Bytes of keys and values that a plugin's grant allows a tenant, unless it says how many: a thousand small values.
pub const DEFAULT_STATE_BYTES: u64 = 1 << 20;

/// A grant of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Whoever is granted the same one shares its values: 1 to 64 of a-z, 0-9, `_` and `-`.
    pub name: String,
    /// Bytes of keys and values that each tenant may have in it.
    pub bytes: u64,
}

impl Space {
    /// A space of that name for every plugin, in a ceiling.
    pub const ANY: &str = "*";

    /// As much of it as a ceiling lets be; none: the ceiling is for another space.
    pub(crate) fn at_most(&self, most: &Self) -> Option<Self> {
        let fits = most.name == Self::ANY || most.name == self.name;
        fits.then(|| Self { name: self.name.clone(), bytes: self.bytes.min(most.bytes) })
    }
}

/// Whose values, as a guest says it.
#[expect(dead_code, reason = "the derived code makes them from a guest's numbers")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum Scope {
    #[component(name = "tenant")]
    Tenant,
    #[component(name = "user")]
    User,
    #[component(name = "session")]
    Session,
}

/// A value, as a guest gets it.
#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
struct Value {
    value: String,
    version: u64,
}

type Answer<T> = wasmtime::Result<(Result<T, types::Failure>,)>;

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut state = linker.instance("floe:capability/state@0.1.0")?;
    state.func_wrap_async("get", |mut store: StoreContextMut<'_, State>, (scope, key): (Scope, String)| {
        Box::new(async move { answer(store.data_mut().state_get(scope, &key).await) })
    })?;
    state.func_wrap_async("set", |mut store: StoreContextMut<'_, State>, (scope, key, value): (Scope, String, String)| {
        Box::new(async move { answer(store.data_mut().state_set("state.set", scope, &key, value, None).await) })
    })?;
    state.func_wrap_async(
        "compare-and-set",
        |mut store: StoreContextMut<'_, State>, (scope, key, version, value): (Scope, String, u64, String)| {
            let name = "state.compare-and-set";
            Box::new(async move { answer(store.data_mut().state_set(name, scope, &key, value, Some(version)).await) })
        },
    )?;
    state.func_wrap_async("delete", |mut store: StoreContextMut<'_, State>, (scope, key): (Scope, String)| {
        Box::new(async move { answer(store.data_mut().state_delete(scope, &key).await) })
    })?;
    type Keys = (Scope, String, Option<String>, u32);
    state.func_wrap_async("keys", |mut store: StoreContextMut<'_, State>, (scope, prefix, after, limit): Keys| {
        Box::new(async move { answer(store.data_mut().state_keys(scope, &prefix, after.as_deref(), limit).await) })
    })
}

/// An answer, as the linker takes it. The failure is the guest's; the error ends its call.
fn answer<T>(said: wasmtime::Result<Result<T, Failure>>) -> Answer<T> {
    Ok((said?.map_err(convert::failure_to_guest),))
}

impl State {
    async fn state_get(&mut self, scope: Scope, key: &str) -> wasmtime::Result<Result<Option<Value>, Failure>> {
        self.host_call()?;
        let place = match self.space(scope).and_then(|(place, _)| self.check_key(key).map(|()| place)) {
            Ok(place) => place,
            Err(failure) => return Ok(Err(failure)),
        };
        let said = match self.call.answers.recorded::<Said<Option<(Arc<str>, u64)>>>("state.get")? {
            Some(recorded) => recorded,
            None => {
                let found = self.plugin.values.get(&place, key).await.map_err(|error| self.unavailable(&error));
                let said = Said::from(found.map(|entry| entry.map(|Entry { value, version }| (value, version))));
                self.call.answers.keep("state.get", &said);
                said
            }
        };
        let value = |(value, version): (Arc<str>, u64)| Value { value: value.as_ref().to_owned(), version };
        Ok(Result::from(said).map(|found: Option<_>| found.map(value)))
    }

    async fn state_set(
        &mut self,
        name: &'static str,
        scope: Scope,
        key: &str,
        value: String,
        expected: Option<u64>,
    ) -> wasmtime::Result<Result<u64, Failure>> {
        self.host_call()?;
        self.call.bytes_out += (key.len() + value.len()) as u64;
        let space = self.space(scope).and_then(|space| self.check_key(key).map(|()| space));
        let ((place, max_bytes), value) = match space.and_then(|space| Ok((space, self.scrubbed(check_value(value)?)))) {
            Ok(wanted) => wanted,
            Err(failure) => return Ok(Err(failure)),
        };
        let spent = self.spend(Resource::StateWrites);
        if let Some(recorded) = self.call.answers.recorded::<Said<u64>>(name)? {
            return Ok(recorded.into());
        }
        let written = match spent {
            Ok(()) => {
                let written = self.plugin.values.put(&place, key, Put { value, expected, max_bytes }).await;
                written.map_err(|error| self.unavailable(&error)).and_then(|written| self.written(written, max_bytes))
            }
            Err(over) => Err(over),
        };
        let said = Said::from(written);
        self.call.answers.keep(name, &said);
        Ok(said.into())
    }

    /// Without the values of the plugin's secrets.
    fn scrubbed(&self, value: Arc<str>) -> Arc<str> {
        let Some(scrubber) = self.scrubber() else { return value };
        let payload = Payload::parse(&*value).expect("a value is checked before");
        scrubbed::payload(payload, scrubber).text().into()
    }

    fn check_key(&self, key: &str) -> Result<(), Failure> {
        match key.len() {
            0 => Err(Failure::new(FailureKind::InvalidInput, "a key has at least one byte")),
            used if used > MAX_STATE_KEY => Err(fixed("state.key", used as u64, MAX_STATE_KEY as u64)),
            // With stars in its place, two keys could become one.
            _ if self.scrubber().is_some_and(|scrubber| matches!(scrubber.text(key), Cow::Owned(_))) => {
                Err(Failure::new(FailureKind::Denied, "a key may not have a secret's value in it"))
            }
            _ => Ok(()),
        }
    }

    async fn state_delete(&mut self, scope: Scope, key: &str) -> wasmtime::Result<Result<bool, Failure>> {
        self.host_call()?;
        let place = match self.space(scope).and_then(|(place, _)| self.check_key(key).map(|()| place)) {
            Ok(place) => place,
            Err(failure) => return Ok(Err(failure)),
        };
        let spent = self.spend(Resource::StateWrites);
        if let Some(recorded) = self.call.answers.recorded::<Said<bool>>("state.delete")? {
            return Ok(recorded.into());
        }
        let deleted = match spent {
            Ok(()) => self.plugin.values.delete(&place, key).await.map_err(|error| self.unavailable(&error)),
            Err(over) => Err(over),
        };
        let said = Said::from(deleted);
        self.call.answers.keep("state.delete", &said);
        Ok(said.into())
    }

    async fn state_keys(
        &mut self,
        scope: Scope,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<String>, Failure>> {
        self.host_call()?;
        let long = |text: &str| text.len() > MAX_STATE_KEY;
        let place = match self.space(scope) {
            Ok(_) if long(prefix) || after.is_some_and(long) => {
                return Ok(Err(fixed("state.key", prefix.len().max(after.map_or(0, str::len)) as u64, MAX_STATE_KEY as u64)));
            }
            Ok((place, _)) => place,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(recorded) = self.call.answers.recorded::<Said<Vec<String>>>("state.keys")? {
            return Ok(recorded.into());
        }
        let keys = self.plugin.values.keys(&place, prefix, after, limit.min(MAX_STATE_LISTED)).await;
        let said = Said::from(keys.map_err(|error| self.unavailable(&error)));
        self.call.answers.keep("state.keys", &said);
        Ok(said.into())
    }

    /// Where the values are, and how many bytes there may be.
    fn space(&self, scope: Scope) -> Result<(Place, u64), Failure> {
        let Some(ctx) = &self.call.ctx else {
            return Err(Failure::new(
                FailureKind::Denied,
                "a plugin that describes itself has no tenant whose values these could be",
            ));
        };
        let Some(space) = &self.plugin.grants.state else {
            self.plugin.denied(Asked::Capability("state"));
            let line = self.plugin.grant_line("state", |grants| grants.state.is_some());
            let why = format!("no state is granted; add {line}");
            return Err(Failure::new(FailureKind::Denied, why));
        };
        let owner = owner(scope, ctx.origin())?;
        Ok((Place { tenant: Arc::clone(&ctx.origin().tenant), space: space.name.as_str().into(), owner }, space.bytes))
    }

    fn written(&self, written: Written, max_bytes: u64) -> Result<u64, Failure> {
        match written {
            Written::Done(version) => Ok(version),
            Written::Conflict(version) => {
                let mut failure = Failure::new(FailureKind::Conflict, format!("the value's version is {version}"));
                failure.detail = Some(serde_json::json!({ "version": version }));
                Err(failure)
            }
            Written::Full(used) => {
                let line = self
                    .plugin
                    .grant_line("state.bytes", |grants| grants.state.as_ref().is_some_and(|space| space.bytes > max_bytes));
                Err(Failure::limit(FailureKind::Exhausted, "state.bytes", used, max_bytes, &line))
            }
            Written::TooManyKeys => Err(fixed("state.keys", MAX_STATE_KEYS + 1, MAX_STATE_KEYS)),
        }
    }

    /// What the store says is for the operator: it names files of the host.
    fn unavailable(&self, error: &JournalError) -> Failure {
        tracing::warn!(plugin = self.plugin.name, %error, "A value was neither read nor written.");
        Failure::new(FailureKind::Unavailable, "the store of values does not work; the host's log says why")
    }
}

fn owner(scope: Scope, origin: &Origin) -> Result<Owner, Failure> {
    let missing = |what: &str| Failure::new(FailureKind::InvalidInput, format!("the request came without a {what}"));
    match scope {
        Scope::Tenant => Ok(Owner::Tenant),
        Scope::User => origin.user.clone().map(Owner::User).ok_or_else(|| missing("user")),
        Scope::Session => {
            let session = origin.session.clone().ok_or_else(|| missing("session"))?;
            Ok(Owner::Session { user: origin.user.clone(), session })
        }
    }
}

fn check_value(value: String) -> Result<Arc<str>, Failure> {
    if value.len() > MAX_STATE_VALUE {
        return Err(fixed("state.value", value.len() as u64, MAX_STATE_VALUE as u64));
    }
    let payload = convert::payload(value).map_err(|Wrong(what)| Failure::new(FailureKind::InvalidInput, what))?;
    Ok(payload.text().into())
}

/// A limit that no line raises was reached.
fn fixed(limit: &str, used: u64, max: u64) -> Failure {
    let mut failure =
        Failure::new(FailureKind::Exhausted, format!("limit `{limit}` reached: used {used} of {max}; this is fixed"));
    failure.detail = Some(serde_json::json!({ "limit": limit, "used": used, "max": max }));
    failure
}
