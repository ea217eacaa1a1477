//! What a plugin may do beyond computing, when the operator grants it: one module per feature of this crate.
//!
//! Hosts serve all but `model` and `approval` so far. The functions of those are the contract's own, and may still
//! change with it. There is no stand-in for any in a native test: keep the calls apart from the logic that you want to test.

#[cfg(feature = "approval")]
pub use crate::bindings::capability::approval;
#[cfg(feature = "model")]
pub use crate::bindings::capability::model;

/// Values that outlive a call: `grants: { state: { space: NAME, bytes: 1MiB } }`.
///
/// A value that was set stays, also if the call fails afterwards and is made again: [`compare_and_set`](state::compare_and_set) and
/// [`update`](state::update) tell one from the other.
#[cfg(feature = "state")]
pub mod state {
    use crate::bindings::capability::state;
    use crate::failure::Result;
    use crate::json::{FromJson, IntoJson, Json};
    use crate::{Failure, FailureKind};

    pub use crate::bindings::capability::state::Scope;

    /// Tries of [`update`]: more would mean that many change one value all the time.
    const TRIES: usize = 16;
    /// Keys of a page, as many as hosts give at once.
    const PAGE: u32 = 1000;

    /// A value and its version, by which [`compare_and_set`] knows it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Entry<T> {
        /// The value.
        pub value: T,
        /// Grows with each write to the space and never comes back.
        pub version: u64,
    }

    /// The value under a key, if there is one.
    pub fn get<T: FromJson>(scope: Scope, key: &str) -> Result<Option<Entry<T>>> {
        let Some(entry) = state::get(scope, key)? else { return Ok(None) };
        let value = T::from_json(Json::from_text(entry.value))?;
        Ok(Some(Entry { value, version: entry.version }))
    }

    /// Sets a value, whatever is there. Returns its version.
    pub fn set(scope: Scope, key: &str, value: impl IntoJson) -> Result<u64> {
        state::set(scope, key, value.into_json()?.as_str())
    }

    /// Sets a value if the one there still has this version, 0 for none there; otherwise the failure is a `conflict`. Returns the
    /// new version.
    pub fn compare_and_set(scope: Scope, key: &str, version: u64, value: impl IntoJson) -> Result<u64> {
        state::compare_and_set(scope, key, version, value.into_json()?.as_str())
    }

    /// Sets what `change` makes of the value that is there, again if another call was faster. Returns what was set; `busy` if others
    /// were faster time and again.
    pub fn update<T: FromJson + IntoJson + Clone>(
        scope: Scope,
        key: &str,
        mut change: impl FnMut(Option<T>) -> Result<T>,
    ) -> Result<T> {
        for _ in 0..TRIES {
            let (value, version) = get(scope, key)?.map_or((None, 0), |entry: Entry<T>| (Some(entry.value), entry.version));
            let value = change(value)?;
            match compare_and_set(scope, key, version, value.clone()) {
                Err(Failure { kind: FailureKind::Conflict, .. }) => {}
                Err(failure) => return Err(failure),
                Ok(_) => return Ok(value),
            }
        }
        Err(Failure::busy("others changed the value each time"))
    }

    /// Removes a value, and says whether there was one.
    pub fn delete(scope: Scope, key: &str) -> Result<bool> {
        state::delete(scope, key)
    }

    /// All keys that begin with the prefix, in the order of their bytes.
    pub fn keys(scope: Scope, prefix: &str) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        loop {
            let page = keys_after(scope, prefix, keys.last().map(String::as_str), PAGE)?;
            let last = page.len() < PAGE as usize;
            keys.extend(page);
            if last {
                return Ok(keys);
            }
        }
    }

    /// Keys that begin with the prefix, in the order of their bytes, after the given one if any: at most `limit`, of which a host
    /// gives no more than 1000.
    pub fn keys_after(scope: Scope, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
        state::keys(scope, prefix, after, limit)
    }
}

/// Time, as coarse as the grant says: `grants: { clock: { resolution: 1ms } }`, or `{ fixed: 2026-01-01T00:00:00Z }`. The clocks of the
/// standard library tell the same, without a grant as coarse as a millisecond.
#[cfg(feature = "clock")]
pub mod clock {
    use std::time::{Duration, SystemTime};

    use crate::bindings::capability::clock;

    /// What time it is.
    pub fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(clock::now())
    }

    /// A time that never runs backwards, since a moment that is the same for all of a call.
    pub fn monotonic() -> Duration {
        Duration::from_nanos(clock::monotonic())
    }
}

/// Numbers that nobody outside the run can foresee, and that are the same on every attempt of a call: `grants: { random: true }`.
#[cfg(feature = "random")]
pub mod random {
    use crate::bindings::capability::random;

    /// The next number, any of 64 bits.
    pub fn next() -> u64 {
        random::next()
    }

    /// The next number below `end`, each as likely as the others; 0 if `end` is.
    pub fn below(end: u64) -> u64 {
        // Numbers beyond the last whole multiple would make the first ones likelier.
        let Some(beyond) = u64::MAX.checked_rem(end).map(|rest| u64::MAX - rest) else { return 0 };
        loop {
            let number = next();
            if number < beyond {
                return number % end;
            }
        }
    }
}

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

/// Tools that the operator's file grants to the plugin by name: `grants: { tools: [PLUGIN/TOOL] }`.
#[cfg(feature = "tools")]
pub mod tools {
    use crate::bindings::capability::tools;
    use crate::failure::Result;
    use crate::json::{FromJson, IntoJson, Json};

    /// Calls a tool within this call, and returns its result. Its failure is this call's with `?`.
    pub fn call<T: FromJson>(tool: &str, arguments: impl IntoJson) -> Result<T> {
        T::from_json(Json::from_text(tools::call(tool, arguments.into_json()?.as_str())?))
    }

    /// Calls several at once, each on an equal part of what this call has left; the results in the order of the calls.
    pub fn call_all<T: FromJson>(calls: impl IntoIterator<Item = (String, Json)>) -> Vec<Result<T>> {
        let calls: Vec<(String, String)> =
            calls.into_iter().map(|(tool, arguments)| (tool, arguments.as_str().to_owned())).collect();
        let results = tools::call_all(&calls);
        results.into_iter().map(|result| T::from_json(Json::from_text(result?))).collect()
    }
}

/// HTTP requests that the operator's file grants to the plugin: `grants: { http: [{ host: api.example.com }] }`.
#[cfg(feature = "http")]
pub mod http {
    use crate::bindings::capability::http;
    pub use crate::bindings::capability::http::{Request, Response};
    use crate::failure::Result;

    /// Asks for what is at the URL. Any status is an answer; a failure is this call's with `?`.
    pub fn get(url: &str) -> Result<Response> {
        send(&Request { method: "GET".to_owned(), url: url.to_owned(), headers: Vec::new(), body: None, timeout_ms: None })
    }

    /// Sends a request and waits for the whole answer.
    pub fn send(request: &Request) -> Result<Response> {
        http::send(request)
    }
}

/// Secrets that the operator's file grants to the plugin by name. Their values stay in the host.
#[cfg(feature = "secrets")]
pub mod secrets {
    use crate::bindings::capability::secrets;
    use crate::failure::Result;

    /// What to put into a request where the secret belongs: the host puts the value there, where the secret is bound.
    pub fn placeholder(name: &str) -> Result<String> {
        secrets::placeholder(name)
    }
}
