//! `floe:capability/http`: one exchange at a time, for languages without a WASI HTTP client. Linked by hand, because its failures
//! are the contract's. Also on whose account a call speaks to others, here and by `wasi:http`.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use floe_egress::target::Target;
use floe_egress::{DEFAULT_CONNECT, DEFAULT_FIELD_COUNT, Error, Limits, Maxima, Quota, RequestBody, Session};
use floe_flow::{Amounts, Failure, FailureKind, Resource};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use serde::{Deserialize, Serialize};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use crate::bindings::floe::plugin::types;
use crate::convert;
use crate::learn::Asked;
use crate::state::{Identity, State};
use crate::tape::Said;
use crate::text::plain;

/// Bytes of something the guest wrote, as a message shows it.
const SHOWN: usize = 64;

/// What the guest asks for.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    #[component(name = "timeout-ms")]
    timeout_ms: Option<u64>,
}

/// What it gets.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An exchange, for the call's record: what it used, and what came of it.
#[derive(Debug, Serialize, Deserialize)]
struct Exchanged {
    requests: u64,
    egress_bytes: u64,
    said: Said<Told>,
}

/// An answer, for the call's record.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    status: u16,
    headers: Vec<(String, String)>,
    /// Base64, which takes less room than a list of numbers.
    body: String,
}

/// Adds the interface to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut http = linker.instance("floe:capability/http@0.1.0")?;
    http.func_wrap_async("send", |mut store: StoreContextMut<'_, State>, (request,): (Request,)| {
        Box::new(async move { Ok((store.data_mut().send(request).await?,)) })
    })
}

impl State {
    /// Sends, or takes the answer from the record.
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, types::Failure>> {
        self.host_call()?;
        let said = match self.call.answers.recorded::<Exchanged>("http.send")? {
            Some(Exchanged { requests, egress_bytes, said }) => {
                self.call.used[Resource::Requests] += requests;
                self.call.used[Resource::EgressBytes] += egress_bytes;
                said
            }
            None => {
                let before = [Resource::Requests, Resource::EgressBytes].map(|resource| self.used(resource));
                let said = Said::from(self.exchange(request).await);
                let [requests, egress_bytes] = [Resource::Requests, Resource::EgressBytes].map(|resource| self.used(resource));
                let (requests, egress_bytes) = (requests - before[0], egress_bytes - before[1]);
                let exchanged = Exchanged { requests, egress_bytes, said };
                self.call.answers.keep("http.send", &exchanged);
                exchanged.said
            }
        };
        Ok(Result::from(said).and_then(response).map_err(convert::failure_to_guest))
    }

    async fn exchange(&mut self, request: Request) -> Result<Told, Failure> {
        let mut session = self.session()?;
        let timeout = request.timeout_ms.map(Duration::from_millis);
        shorten(&mut session.limits, timeout, timeout);
        session.limits.time = timeout.map_or(session.limits.time, |timeout| session.limits.time.min(timeout));
        let failure = |error: Error| failure(&error, &self.plugin, &self.call.given);
        let request = outgoing(request).map_err(failure)?;
        let told = self.plugin.network.run(|client| async move {
            let floe_egress::Response { status, headers, body } = client.send(&session, request).await?;
            let body = body.collect().await?.to_bytes();
            let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
            Ok(Told { status: status.as_u16(), headers, body: STANDARD.encode(body) })
        });
        told.await.map_err(failure)
    }

    /// On whose account this call speaks to others; refused without a grant, and while a plugin describes itself.
    pub(crate) fn session(&mut self) -> Result<Session, Failure> {
        let denied = |why: String| Failure::new(FailureKind::Denied, why);
        let Some(policy) = &self.plugin.grants.http else {
            let line = self.plugin.grant_line("http", |grants| grants.http.is_some());
            return Err(denied(format!("`http` is not granted; add it to {line}")));
        };
        if self.call.ctx.is_none() {
            return Err(denied("a plugin that describes itself has nobody to ask".to_owned()));
        }
        let (limits, deadline) = (&self.plugin.limits, self.call.deadline);
        let maxima = self.maxima();
        let session = self.call.session.get_or_insert_with(|| {
            Box::new(Session {
                policy: Arc::clone(policy),
                secrets: self.plugin.grants.secrets.clone(),
                limits: Limits {
                    fields: usize::try_from(limits.fields).unwrap_or(usize::MAX),
                    field_count: DEFAULT_FIELD_COUNT,
                    connect: DEFAULT_CONNECT.min(limits.http_time),
                    first_byte: limits.http_time,
                    time: limits.http_time,
                },
                quotas: [Quota::of_call(maxima)].into_iter().chain(self.plugin.egress.clone()).collect(),
                deadline: Some(deadline),
            })
        });
        // The first is the call's own.
        session.quotas.iter().take(1).for_each(|quota| quota.limit(maxima));
        Ok(Session::clone(session))
    }

    /// What this call may still use for itself, when those that it called have used some of it.
    pub(crate) fn maxima(&self) -> Maxima {
        let (limits, children) = (&self.plugin.limits, &self.call.children.used);
        let most = |resource| self.call.given[resource].saturating_sub(children[resource]);
        Maxima {
            requests: most(Resource::Requests),
            connections: limits.http_connections.into(),
            bytes_out: most(Resource::EgressBytes),
            bytes_in: limits.http_in,
        }
    }
}

/// As the guest wants it, but never longer.
pub(crate) fn shorten(limits: &mut Limits, connect: Option<Duration>, first_byte: Option<Duration>) {
    limits.connect = connect.map_or(limits.connect, |wanted| limits.connect.min(wanted));
    limits.first_byte = first_byte.map_or(limits.first_byte, |wanted| limits.first_byte.min(wanted));
}

fn outgoing(request: Request) -> Result<floe_egress::Request, Error> {
    let no = |what: &str, text: &str| Error::Invalid(format!("`{}` is no {what}", plain(text, SHOWN)));
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| no("method", &request.method))?;
    let target = Target::parse(&request.url)?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let key: HeaderName = name.parse().map_err(|_| no("name of a header", name))?;
        let value = HeaderValue::from_str(value).map_err(|_| no("value of a header", value))?;
        headers.try_append(key, value).map_err(|_| Error::Invalid("those are too many headers".to_owned()))?;
    }
    let body = Full::new(Bytes::from(request.body.unwrap_or_default()));
    let body = RequestBody::new(body.map_err(|never| match never {}));
    Ok(floe_egress::Request { method, target, headers, body, length: None })
}

fn response(told: Told) -> Result<Response, Failure> {
    let broken = |_| Failure::new(FailureKind::Internal, "the record of an answer is damaged");
    let body = STANDARD.decode(&told.body).map_err(broken)?;
    Ok(Response { status: told.status, headers: told.headers, body })
}

/// What the guest is told, with the line that would change it.
pub(crate) fn failure(error: &Error, plugin: &Identity, given: &Amounts) -> Failure {
    let grants = |key: &str| format!("{error}; add it to `plugins.{}.grants.{key}`", plugin.name);
    match error {
        Error::Denied { by_ceiling, rule, .. } => {
            plugin.denied(Asked::Http(rule.clone()));
            let line = plugin.grant_line("http", |_| *by_ceiling);
            Failure::new(FailureKind::Denied, format!("{error}; add it to {line}"))
        }
        Error::Secret(_) => {
            plugin.denied(Asked::Refused(error.to_string()));
            Failure::new(FailureKind::Denied, grants("secrets"))
        }
        Error::Address { .. } => {
            plugin.denied(Asked::Refused(error.to_string()));
            Failure::new(FailureKind::Denied, error.to_string())
        }
        Error::Limit { limit: "requests", used, .. } => plugin.over(Resource::Requests, *used, given[Resource::Requests]),
        Error::Limit { limit: "egress_bytes", used, .. } => {
            plugin.over(Resource::EgressBytes, *used, given[Resource::EgressBytes])
        }
        Error::Limit { limit, used, max } if limit.starts_with("http_") || *limit == "fields" => {
            plugin.limit(FailureKind::Exhausted, limit, *used, *max)
        }
        Error::Limit { limit, used, max } if limit.starts_with("network.") => plugin.over_network(limit, *used, *max),
        Error::Limit { .. } => Failure::new(FailureKind::Exhausted, format!("{error}; this is fixed")),
        Error::TimedOut { limit, .. } => {
            Failure::new(FailureKind::TimedOut, format!("{error}; raise it with {}", plugin.line(limit)))
        }
        Error::Invalid(_) => Failure::new(FailureKind::InvalidInput, error.to_string()),
        _ => Failure::new(FailureKind::Unavailable, error.to_string()),
    }
}
