//! An exchange from beginning to end: policy, addresses, secrets, connection, answer, and redirects where they are granted.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Body as _;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::address::{self, Resolver};
use crate::body::{Rules, Sent};
use crate::connect::{self, Fate, Tls};
use crate::error::shown;
use crate::policy::{Permit, Policy};
use crate::quota::{Connection, Quota};
use crate::secrets::Secrets;
use crate::substitute::{Watch, drop_credentials, fill};
use crate::target::Target;
use crate::{Body, Error, RequestBody, headers};

/// A server on the other side of the world takes a second with TLS, two when a packet is lost.
pub const DEFAULT_CONNECT: Duration = Duration::from_secs(5);
/// As long as the whole: services compute before they answer.
pub const DEFAULT_FIRST_BYTE: Duration = Duration::from_secs(10);
/// As long as a call may take.
pub const DEFAULT_TIME: Duration = Duration::from_secs(10);
/// A request with cookies and tokens has some KiB.
pub const DEFAULT_FIELDS: usize = 32 << 10;
/// Services answer with a dozen or two.
pub const DEFAULT_FIELD_COUNT: usize = 100;
/// The methods that there are (RFC 9110 and 5789); of these, `CONNECT` and `TRACE` are for proxies and for looking at them.
const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH];

/// What one exchange may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the headers of a request, and of those of an answer; of trailers as well.
    pub fields: usize,
    /// Headers of a request, and of an answer.
    pub field_count: usize,
    /// Time for a connection: the look-up of the name, TCP, TLS.
    pub connect: Duration,
    /// Time from the sent request to the head of the answer.
    pub first_byte: Duration,
    /// Time for everything.
    pub time: Duration,
}

/// How a [`Client`] is made.
#[derive(Debug, Clone)]
pub struct Config {
    /// What finds the addresses of names.
    pub resolver: Arc<dyn Resolver>,
    /// Certificates of private authorities, DER-encoded, trusted beside Mozilla's list.
    pub roots: Vec<Vec<u8>>,
}

/// On whose account an exchange takes place.
#[derive(Debug, Clone)]
pub struct Session {
    /// What is permitted.
    pub policy: Arc<Policy>,
    /// The secrets in play.
    pub secrets: Secrets,
    /// What each exchange may take.
    pub limits: Limits,
    /// What all exchanges together may use: of the call, of the tenant.
    pub quotas: Vec<Arc<Quota>>,
    /// When the call is over.
    pub deadline: Option<Instant>,
}

/// What is asked.
#[derive(Debug)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Whom, and what for.
    pub target: Target,
    /// Headers, without those of the connection.
    pub headers: HeaderMap,
    /// The body, as it comes.
    pub body: RequestBody,
    /// How many bytes the body has, if that was said; it must be true.
    pub length: Option<u64>,
}

/// The answer. Secrets have been taken out of it.
#[derive(Debug)]
pub struct Response {
    /// The status, as it came.
    pub status: StatusCode,
    /// Headers, without those of the connection.
    pub headers: HeaderMap,
    /// The body, as it comes.
    pub body: Body,
}

/// Speaks HTTP/1.1 to the outside, a connection for each exchange.
#[derive(Debug, Clone)]
pub struct Client {
    resolver: Arc<dyn Resolver>,
    tls: Tls,
}

/// Until when, and by which limit.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Instant,
    limit: &'static str,
    after: Duration,
}

impl End {
    fn of(session: &Session) -> Self {
        let (now, after) = (Instant::now(), session.limits.time);
        match session.deadline {
            Some(deadline) if deadline < now + after => Self { at: deadline, limit: "wall", after: deadline - now },
            _ => Self { at: now + after, limit: "http_time", after },
        }
    }

    /// The future, if it is done in time: in `allowed`, and before this end.
    async fn within<T>(
        self,
        phase: &'static str,
        allowed: Duration,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let at = Instant::now() + allowed;
        let end = if at < self.at { Self { at, limit: "http_time", after: allowed } } else { self };
        let timed_out = |_| Error::TimedOut { limit: end.limit, phase, after: end.after };
        timeout_at(end.at, future).await.map_err(timed_out)?
    }
}

impl Client {
    /// Fails if a root certificate is none.
    pub fn try_new(config: Config) -> Result<Self, Error> {
        Ok(Self { resolver: config.resolver, tls: Tls::try_new(&config.roots)? })
    }

    /// Sends the request and waits for the head of the answer. Needs a runtime with timers and I/O. Dropping the future, or the
    /// answer's body, closes the connection.
    pub async fn send(&self, session: &Session, request: Request) -> Result<Response, Error> {
        let end = End::of(session);
        let Request { mut method, mut target, mut headers, mut body, mut length } = request;
        let mut redirects = None;
        loop {
            let permit = check(session, &method, &target, &headers)?;
            let left = *redirects.get_or_insert(permit.redirects);
            let is_known_empty = body.is_end_stream();
            let hop = Hop { session, end, method: &method, target: &target, headers: &headers };
            let (response, fate) = hop.send(self, permit, body, length).await?;
            let Some(next) = redirect(&response, &target).filter(|_| left > 0) else {
                return Ok(clean(session, response));
            };
            // A body that has gone is not there to be sent again; what would take a secret elsewhere is not followed.
            let becomes_get = match response.status {
                StatusCode::SEE_OTHER => method != Method::HEAD,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method == Method::POST,
                _ => false,
            };
            // Clients that stream begin every request with a body; where none belongs, none will come.
            let is_bodiless = method == Method::GET || method == Method::HEAD;
            let is_empty = is_known_empty || is_bodiless && !fate.has_data.load(Ordering::Relaxed);
            let gives_away = |scrubber: &Arc<_>| is_masked(scrubber, &next);
            if !is_empty && !becomes_get || session.secrets.scrubber().is_some_and(gives_away) {
                return Ok(clean(session, response));
            }
            if !next.is_same_origin(&target) {
                drop_credentials(&session.secrets, &mut headers);
            }
            if becomes_get {
                method = Method::GET;
                headers.remove(CONTENT_TYPE);
            }
            (target, body, length, redirects) = (next, empty(), None, Some(left - 1));
        }
    }
}

/// A body without bytes.
fn empty() -> RequestBody {
    RequestBody::new(Full::new(Bytes::new()).map_err(|never| match never {}))
}

fn is_masked(scrubber: &crate::scrub::Scrubber, target: &Target) -> bool {
    let written = target.to_string();
    // As it is, for an encoding differs in case; and in lower case, as a host is, whatever the answer wrote.
    matches!(scrubber.text(&written), Cow::Owned(_)) || scrubber.is_in_name(&written.to_ascii_lowercase())
}

/// Everything that can be said before a name is looked up.
fn check(session: &Session, method: &Method, target: &Target, fields: &HeaderMap) -> Result<Permit, Error> {
    if !METHODS.contains(method) {
        return Err(Error::Invalid(format!("`{}` is no method that is sent", shown(method.as_str()))));
    }
    headers::check(fields)?;
    let Limits { fields: max, field_count, .. } = session.limits;
    for (limit, used, max) in [("fields", headers::size(fields), max), ("field count", fields.len(), field_count)] {
        if used > max {
            return Err(Error::Limit { limit, used: used as u64, max: max as u64 });
        }
    }
    session.policy.permit(method, target)
}

/// Where the answer sends on to.
fn redirect(response: &Response, from: &Target) -> Option<Target> {
    if !matches!(response.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    from.join(response.headers.get(LOCATION)?.to_str().ok()?).ok()
}

/// The answer as the asking side may see it.
fn clean(session: &Session, mut response: Response) -> Response {
    headers::clean(&mut response.headers, session.secrets.scrubber().map(Arc::as_ref));
    response
}

/// One request to one place.
struct Hop<'a> {
    session: &'a Session,
    end: End,
    method: &'a Method,
    target: &'a Target,
    headers: &'a HeaderMap,
}

impl Hop<'_> {
    async fn send(
        &self,
        client: &Client,
        permit: Permit,
        body: RequestBody,
        length: Option<u64>,
    ) -> Result<(Response, Arc<Fate>), Error> {
        let Self { session, end, method, target, .. } = *self;
        let Session { limits, quotas, .. } = session;
        quotas.iter().try_for_each(|quota| quota.request())?;
        let places = quotas.iter().map(Quota::connection).collect::<Result<Vec<Connection>, Error>>()?;
        let begun = Instant::now();
        let lookup = address::checked(client.resolver.as_ref(), &target.host, permit.private);
        let addresses = end.within("a connection", limits.connect, lookup).await?;
        let (request, fate) = self.draft(body, length).await?;
        let connecting = connect::open(target, &addresses, &client.tls, limits);
        let open = end.within("a connection", limits.connect.saturating_sub(begun.elapsed()), connecting).await?;
        let exchange = open.exchange(request, limits, &fate);
        let (answer, connection) = end.within("the head of the answer", limits.first_byte, exchange).await?;
        let (head, incoming) = answer.into_parts();
        quotas.iter().try_for_each(|quota| quota.bytes_in(headers::size(&head.headers) as u64))?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Broken("the server switched to another protocol".to_owned()));
        }
        if *method != Method::HEAD {
            headers::check_uncompressed(&head.headers)?;
        }
        let rules = Rules {
            quotas: quotas.clone(),
            scrubber: session.secrets.scrubber().cloned(),
            fate: Arc::clone(&fate),
            end: Box::pin(sleep_until(end.at)),
            limit: end.limit,
            after: end.after,
        };
        let body = Body::new(incoming, connection, places, rules);
        Ok((Response { status: head.status, headers: head.headers, body }, fate))
    }

    /// The request as it goes out, with its secrets.
    async fn draft(&self, body: RequestBody, length: Option<u64>) -> Result<(http::Request<Sent>, Arc<Fate>), Error> {
        let Self { session, end, method, target, headers } = *self;
        let mut filled = fill(&session.secrets, method, target, headers)?;
        let (mut inner, mut expected) = (body, length);
        if filled.needs_body() {
            let whole = end.within("the request's body", session.limits.time, self.whole(inner)).await?;
            if length.is_some_and(|length| length != whole.len() as u64) {
                return Err(Error::Invalid("the body has other than the bytes that its content-length says".to_owned()));
            }
            let whole = filled.complete(method, whole);
            expected = Some(whole.len() as u64);
            inner = RequestBody::new(Full::new(whole).map_err(|never| match never {}));
        }
        let uri = filled.target.origin_form()?;
        let line = method.as_str().len() + filled.target.path_and_query().len();
        let mut fields = filled.headers;
        headers::ask_uncompressed(&mut fields);
        let host = HeaderValue::from_str(&target.authority()).map_err(|error| Error::Invalid(error.to_string()))?;
        fields.insert(HOST, host);
        fields.insert(CONNECTION, HeaderValue::from_static("close"));
        let size = (line + headers::size(&fields)) as u64;
        session.quotas.iter().try_for_each(|quota| quota.bytes_out(size))?;
        let fate = Arc::new(Fate::default());
        let (quotas, watch) = (session.quotas.clone(), Watch::new(&session.secrets));
        let sent = Sent { inner, expected, sent: 0, quotas, watch, fate: Arc::clone(&fate) };
        let mut request = http::Request::new(sent);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = fields;
        Ok((request, fate))
    }

    /// The body as a whole, for what has to be computed over it.
    async fn whole(&self, body: RequestBody) -> Result<Bytes, Error> {
        let quotas = &self.session.quotas;
        let max = quotas.iter().map(|quota| quota.left_out()).min().unwrap_or(crate::DEFAULT_BYTES_OUT);
        let (mut whole, mut body) = (Vec::new(), body);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Error::Invalid(format!("the request's body ended early: {error}")))?;
            let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            let used = (whole.len() + data.len()) as u64;
            if used > max {
                return Err(Error::Limit { limit: "egress_bytes", used, max });
            }
            whole.extend_from_slice(data);
        }
        Ok(whole.into())
    }
}
