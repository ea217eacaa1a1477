//! Outbound `wasi:http`: any component that speaks it works, under the same policy, secrets and limits as `floe:capability/http`.

use std::future::Future;
use std::sync::Arc;

use floe_egress::target::Target;
use floe_egress::{Error, Request, RequestBody, Session, is_refused};
use floe_flow::{Amounts, Failure};
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use wasmtime::component::Linker;
use wasmtime_wasi_http::p2::bindings::LinkOptions;
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types};
use wasmtime_wasi_http::{
    Error as WasiError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use super::http::shorten;
use crate::scrubbed;
use crate::state::{Identity, State};

/// Adds the interfaces to the linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    outgoing_handler::add_to_linker::<State, wasmtime_wasi_http::WasiHttp>(linker, State::http)?;
    types::add_to_linker::<State, wasmtime_wasi_http::WasiHttp>(linker, &LinkOptions::default().into(), State::http)
}

/// What a call holds of `wasi:http`.
pub(crate) struct WasiHttp {
    ctx: WasiHttpCtx,
    hooks: Hooks,
}

impl WasiHttp {
    /// Whether something was asked: such a call cannot be made again from a record.
    pub(crate) fn was_used(&self) -> bool {
        self.hooks.was_used
    }
}

struct Hooks {
    plugin: Arc<Identity>,
    session: Result<Session, Failure>,
    given: Amounts,
    was_used: bool,
}

/// Every call of the guest to `wasi:http` passes here and is counted.
impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.call.host_calls += 1;
        if self.http.is_none() {
            let mut ctx = WasiHttpCtx::new();
            ctx.set_field_size_limit(usize::try_from(self.plugin.limits.fields).unwrap_or(usize::MAX));
            let hooks =
                Hooks { plugin: Arc::clone(&self.plugin), session: self.session(), given: self.call.given, was_used: false };
            self.http = Some(Box::new(WasiHttp { ctx, hooks }));
        }
        // Those that it called since may have used some of what it had.
        let maxima = self.maxima();
        // The first is the call's own, the other its tenant's.
        self.call.session.iter().filter_map(|session| session.quotas.first()).for_each(|quota| quota.limit(maxima));
        let http = self.http.as_mut().expect("it was made above");
        WasiHttpCtxView { hooks: &mut http.hooks, table: &mut self.table, ctx: &mut http.ctx }
    }
}

type Exchange = wasmtime_wasi_http::Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), WasiError>> + Send>)>;

impl WasiHttpHooks for Hooks {
    /// Clients set the length of their bodies themselves; it is held to it.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|name| is_refused(name) && name != CONTENT_LENGTH)
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), WasiError>> + Send>,
    ) -> Box<dyn Future<Output = Exchange> + Send> {
        self.was_used = true;
        let (plugin, session, given) = (Arc::clone(&self.plugin), self.session.clone(), self.given);
        Box::new(async move {
            let Ok(mut session) = session else { return Err(WasiError::HttpRequestDenied) };
            if let Some(options) = options {
                shorten(&mut session.limits, options.connect_timeout, options.first_byte_timeout);
            }
            let sent = match outgoing(request) {
                Ok(request) => plugin.network.send(session, request).await,
                Err(error) => Err(error),
            };
            let response = sent.map_err(|error| told(&error, &plugin, &given))?;
            let body = response.body.map_err(move |error| told(&error, &plugin, &given)).boxed_unsync();
            let mut answer = http::Response::new(body);
            *answer.status_mut() = response.status;
            *answer.headers_mut() = response.headers;
            let io: Box<dyn Future<Output = Result<(), WasiError>> + Send> = Box::new(async { Ok(()) });
            Ok((answer, io))
        })
    }
}

fn outgoing(request: http::Request<WasiBody>) -> Result<Request, Error> {
    let (mut head, body) = request.into_parts();
    let target = Target::parse(&head.uri.to_string())?;
    let length = match head.headers.remove(CONTENT_LENGTH) {
        Some(length) => {
            let length = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            Some(
                length
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| Error::Invalid("the content-length is no number".to_owned()))?,
            )
        }
        None => None,
    };
    let body = RequestBody::new(body.map_err(|error| std::io::Error::other(error.to_string()).into()));
    Ok(Request { method: head.method, target, headers: head.headers, body, length })
}

/// What the guest is told. WASI's codes say less than the error, so the operator's log has the rest.
fn told(error: &Error, plugin: &Identity, given: &Amounts) -> WasiError {
    let failure = super::http::failure(error, plugin, given);
    // The guest may know a value, and ask for a place that has it in its name.
    let shown = plugin.grants.secrets.scrubber().map(|scrubber| scrubbed::text(&failure.message, scrubber));
    let shown = shown.as_ref().unwrap_or(&failure.message);
    tracing::info!(plugin = plugin.name, error = shown, "A request of the plugin came to nothing.");
    match error {
        Error::Denied { .. } => WasiError::HttpRequestDenied,
        Error::Address { .. } => WasiError::DestinationIpProhibited,
        Error::TimedOut { phase: "a connection", .. } => WasiError::ConnectionTimeout,
        Error::TimedOut { .. } => WasiError::HttpResponseTimeout,
        Error::Unreachable(_) => WasiError::DestinationUnavailable,
        Error::Broken(_) => WasiError::HttpProtocolError,
        Error::Limit { limit: "http_connections", .. } => WasiError::ConnectionLimitReached,
        Error::Limit { limit: "http_in", max, .. } => WasiError::HttpResponseBodySize(Some(*max)),
        Error::Limit { limit: "egress_bytes", max, .. } => WasiError::HttpRequestBodySize(Some(*max)),
        _ => WasiError::InternalError(Some(failure.message)),
    }
}
