//! One request to a provider and its answer: bounded, timed, streamed, and without the key in whatever comes back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_egress::policy::{HostPattern, Policy, Rule, Scope};
use floe_egress::secrets::{Binding, Place, Secrets};
use floe_egress::target::{Host, Scheme, Target};
use floe_egress::{Body, Limits, RequestBody, Response, Session};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::lines::{Fault, Framing, Lines, MAX_EVENT};
use super::refusal::retry_after;
use super::reply::Reply;
use super::{Config, MAX_NAME, Provider};
use crate::error::{MAX_RECEIVED, plain};
use crate::{Abilities, Answer, Answering, Error, Finish, Model, Output, Request, TimeOut, status};

/// Bytes of a provider's explanation that are read: some have a page of HTML.
pub const MAX_REFUSAL: usize = 64 << 10;
/// Bytes and number of headers, as for plugins.
const FIELDS: usize = 32 << 10;
const FIELD_COUNT: usize = 100;
/// What the key is called among secrets.
const KEY: &str = "model-key";
/// The version of Anthropic's interface that is spoken.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// A model at a provider's.
#[derive(Debug)]
pub struct Remote {
    name: String,
    config: Config,
    /// Where an answer is asked for, whole and streamed.
    whole: Target,
    streamed: Target,
    headers: HeaderMap,
    session: Session,
    /// Whose prices hold.
    vendor: &'static str,
}

impl Remote {
    /// Fails for what could never be asked: a model's name or a base URL that is none, a key that cannot be sent, or would go over the
    /// public network in clear text.
    pub fn try_new(config: Config) -> Result<Self, Error> {
        let Config { provider, model, .. } = &config;
        let name = format!("{}/{}", provider.name(), plain(model, MAX_NAME));
        let bad = |why: &str| Error::Invalid(format!("the model `{name}` cannot be used: {why}"));
        // Gemini has it in the path.
        let is_fine = |byte: u8| byte.is_ascii_graphic() && (*provider != Provider::Gemini || !b"/?#%\\;".contains(&byte));
        if model.is_empty() || model.len() > MAX_NAME || !model.bytes().all(is_fine) {
            return Err(bad(
                "its name is at most 200 visible ASCII characters, without spaces, and for Gemini without `/?#%;` and `\\`",
            ));
        }
        let own = provider.base_url();
        let base = config.base_url.as_deref().unwrap_or(own).trim_end_matches('/');
        let authority = base.split_once("://").map_or(base, |(_, rest)| rest).split('/').next().unwrap_or_default();
        if authority.contains('@') {
            // What stands before it is not shown: it may be a password.
            return Err(bad("its base URL has an `@`; a key is a setting of its own"));
        }
        if base.contains(['?', '#']) {
            return Err(bad("its base URL has a `?` or `#`; what is asked for is added at its end"));
        }
        let target = |streams| Target::parse(&format!("{base}{}", provider.path(model, streams)));
        let (whole, streamed) =
            (target(false).map_err(|why| bad(&why.to_string()))?, target(true).map_err(|why| bad(&why.to_string()))?);
        let names_itself = match &whole.host {
            Host::Address(_) => true,
            Host::Name(host) => host == "localhost",
        };
        let private = config.private || names_itself;
        if whole.scheme == Scheme::Http && !private {
            return Err(bad(
                "its base URL is `http:`, which sends everything in clear text; `private: true` says that it is near",
            ));
        }
        let is_own = whole.host == Target::parse(own).map_err(|why| bad(&why.to_string()))?.host;
        if config.key.is_none() && is_own && *provider != Provider::Ollama {
            return Err(bad("its provider asks for a key"));
        }
        // Ollama's price is that of a machine nearby, whatever it is called.
        let is_priced = is_own || *provider == Provider::Ollama && private;
        let vendor = if is_priced { provider.name() } else { "custom" };
        let (headers, secrets) = headers(&config, &whole).map_err(|why| bad(&why.to_string()))?;
        let rule = Rule { scope: scope(&whole), private, redirects: 0 };
        let policy = Arc::new(Policy::try_new(vec![rule]).map_err(|why| bad(&why.to_string()))?);
        let times = config.time_outs;
        let limits = Limits {
            fields: FIELDS,
            field_count: FIELD_COUNT,
            connect: times.connect,
            first_byte: times.header,
            // The total is kept here: theirs comes later, so that it is always known which one it was.
            time: times.total + Duration::from_secs(1),
        };
        let session = Session { policy, secrets, limits, quotas: Vec::new(), deadline: None };
        Ok(Self { name, config, whole, streamed, headers, session, vendor })
    }

    async fn ask(&self, request: &Request) -> Result<Answer, Error> {
        let begun = Instant::now();
        let total = begun + self.config.time_outs.total;
        let end = request.deadline.map_or(total, |deadline| deadline.min(total));
        let late = |_| self.late(TimeOut::Total, end.saturating_duration_since(begun));
        let (reply, finish) = timeout_at(end, self.exchange(request)).await.map_err(late)??;
        reply.check(&self.name)?;
        Ok(Answer {
            cost: self.config.prices.cost(self.vendor, &self.config.model, &reply.usage),
            text: reply.text,
            usage: reply.usage,
            model: reply.model.unwrap_or_else(|| self.config.model.clone()),
            latency: begun.elapsed(),
            finish,
        })
    }

    async fn exchange(&self, request: &Request) -> Result<(Reply, Finish), Error> {
        let response = self.send(request).await?;
        let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let framing = match kind.split(';').next().unwrap_or_default().trim() {
            "text/event-stream" => Some(Framing::Events),
            "application/x-ndjson" => Some(Framing::Lines),
            _ => None,
        };
        let stated = response.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        self.check_size(stated.unwrap_or(0))?;
        let mut reply = Reply::default();
        if let Some(framing) = framing {
            self.read_stream(request, response.body, framing, &mut reply).await?;
            // Whoever stops without a word was cut off.
            let finish = reply.finish.ok_or_else(|| self.unavailable("the stream broke off before the answer was whole"))?;
            return Ok((reply, finish));
        }
        let bytes = self.read_whole(response.body).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| self.malformed(&error.to_string(), &bytes))?;
        let text = self.config.provider.take(&self.name, &mut reply, &value)?;
        if let Some(pieces) = &request.pieces {
            pieces.text(&self.name, &text).await?;
        }
        let finish = reply.finish.unwrap_or(Finish::Stop);
        Ok((reply, finish))
    }

    /// Sends the request; what comes back has a status that says that it went well.
    async fn send(&self, request: &Request) -> Result<Response, Error> {
        let (provider, streams) = (self.config.provider, request.pieces.is_some());
        if request.output == Output::Json && !provider.abilities().json {
            let message = "it has no JSON mode".to_owned();
            return Err(Error::BadRequest { model: self.name.clone(), message });
        }
        let value = provider.body(&self.config.model, request, streams, self.vendor == "custom");
        let body = serde_json::to_vec(&value).map_err(|error| Error::Invalid(error.to_string()))?;
        let (used, max) = (body.len() as u64, self.config.max_request);
        if used > max {
            return Err(Error::Limit { model: self.name.clone(), limit: "max_request", used, max });
        }
        let request = floe_egress::Request {
            method: Method::POST,
            target: if streams { self.streamed.clone() } else { self.whole.clone() },
            headers: self.headers.clone(),
            body: RequestBody::new(Full::new(Bytes::from(body)).map_err(|never| match never {})),
            length: Some(used),
        };
        let response = self.config.client.send(&self.session, request).await.map_err(|error| self.failed(&error))?;
        if response.status.is_success() {
            return Ok(response);
        }
        let (code, after) = (response.status.as_u16(), retry_after(&response.headers));
        let mut body = response.body;
        let mut explanation = Vec::new();
        // What cannot be read of it is not missed: the status says what to do.
        while explanation.len() < MAX_REFUSAL
            && let Ok(Some(part)) = self.part(&mut body).await
        {
            let room = MAX_REFUSAL - explanation.len();
            explanation.extend_from_slice(&part[..part.len().min(room)]);
        }
        Err(status::classify(&self.name, code, after, &String::from_utf8_lossy(&explanation)))
    }

    /// The next part of a body, in time.
    async fn part(&self, body: &mut Body) -> Result<Option<Bytes>, Error> {
        let chunk = self.config.time_outs.chunk;
        loop {
            let frame = timeout(chunk, body.frame()).await.map_err(|_| self.late(TimeOut::Chunk, chunk))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(self.failed(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    async fn read_whole(&self, mut body: Body) -> Result<Vec<u8>, Error> {
        let mut whole = Vec::new();
        while let Some(part) = self.part(&mut body).await? {
            self.check_size((whole.len() + part.len()) as u64)?;
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }

    async fn read_stream(&self, request: &Request, mut body: Body, framing: Framing, reply: &mut Reply) -> Result<(), Error> {
        let mut lines = Lines::new(framing);
        let mut size = 0;
        while !reply.is_over
            && let Some(part) = self.part(&mut body).await?
        {
            size += part.len() as u64;
            self.check_size(size)?;
            let events = lines.push(&part).map_err(|fault| self.unreadable(&fault))?;
            self.take(request, events, reply).await?;
        }
        if !reply.is_over {
            let last = lines.finish().map_err(|fault| self.unreadable(&fault))?;
            self.take(request, last.into_iter().collect(), reply).await?;
        }
        Ok(())
    }

    async fn take(&self, request: &Request, events: Vec<String>, reply: &mut Reply) -> Result<(), Error> {
        for event in events {
            if event.trim() == "[DONE]" {
                reply.is_over = true;
                // Servers that say that they are done, but not why, have been seen.
                reply.finish = reply.finish.or(Some(Finish::Stop));
                return Ok(());
            }
            let value: Value =
                serde_json::from_str(&event).map_err(|error| self.malformed(&error.to_string(), event.as_bytes()))?;
            let text = self.config.provider.take(&self.name, reply, &value)?;
            if let Some(pieces) = &request.pieces {
                pieces.text(&self.name, &text).await?;
            }
        }
        Ok(())
    }

    fn check_size(&self, used: u64) -> Result<(), Error> {
        let max = self.config.max_answer;
        if used > max {
            return Err(Error::Limit { model: self.name.clone(), limit: "max_answer", used, max });
        }
        Ok(())
    }

    fn late(&self, limit: TimeOut, after: Duration) -> Error {
        Error::TimedOut { model: self.name.clone(), limit, after }
    }

    fn unavailable(&self, message: &str) -> Error {
        Error::Unavailable { model: self.name.clone(), retry_after: None, message: plain(message, crate::MAX_EXPLANATION) }
    }

    fn malformed(&self, message: &str, received: &[u8]) -> Error {
        // A character has four bytes at most, and what is cut is not looked at.
        let received = &received[..received.len().min(4 * MAX_RECEIVED)];
        let received = plain(&String::from_utf8_lossy(received), MAX_RECEIVED);
        Error::Malformed { model: self.name.clone(), message: plain(message, crate::MAX_EXPLANATION), received }
    }

    fn unreadable(&self, fault: &Fault) -> Error {
        match fault {
            Fault::TooLong(used) => self.malformed(&format!("an event has {used} bytes, and may have {MAX_EVENT}"), b""),
            Fault::NoText => self.malformed("an event is no UTF-8", b""),
        }
    }

    /// What an exchange that did not come about means.
    fn failed(&self, error: &floe_egress::Error) -> Error {
        use floe_egress::Error as Egress;
        match error {
            Egress::TimedOut { phase: "a connection", after, .. } => self.late(TimeOut::Connect, *after),
            Egress::TimedOut { phase: "the head of the answer", after, .. } => self.late(TimeOut::Header, *after),
            Egress::TimedOut { after, .. } => self.late(TimeOut::Total, *after),
            Egress::Unreachable(why) | Egress::Broken(why) => self.unavailable(why),
            Egress::Limit { .. } => self.malformed(&error.to_string(), b""),
            Egress::Address { .. } => Error::Invalid(format!(
                "`{}` is not asked: {error}; `private: true` of the model's settings is such a rule",
                self.name
            )),
            _ => Error::Invalid(format!("`{}` cannot be asked: {error}", self.name)),
        }
    }
}

impl Model for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn abilities(&self) -> Abilities {
        self.config.provider.abilities()
    }

    fn complete<'a>(&'a self, request: &'a Request) -> Answering<'a> {
        Box::pin(self.ask(request))
    }
}

/// Where this model's requests go, and nothing else.
fn scope(target: &Target) -> Scope {
    Scope {
        scheme: target.scheme,
        host: HostPattern::Exact(target.host.clone()),
        ports: vec![target.port],
        methods: vec![Method::POST],
        path: "/*".parse().expect("it is a pattern"),
    }
}

/// The headers of every request, with what stands for the key.
fn headers(config: &Config, target: &Target) -> Result<(HeaderMap, Secrets), floe_egress::Error> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream, application/x-ndjson"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("floe/", env!("CARGO_PKG_VERSION"))));
    if config.provider == Provider::Anthropic {
        headers.insert(HeaderName::from_static("anthropic-version"), HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    let Some(key) = &config.key else { return Ok((headers, Secrets::default())) };
    let (name, form) = config.provider.key_header();
    let place = Place::Header { name: name.clone(), form: form.to_owned() };
    let random = getrandom::u64().map_err(|error| floe_egress::Error::Invalid(error.to_string()))?.to_le_bytes();
    let secret = floe_egress::secrets::Secret::try_new(KEY, &key.0, vec![Binding { scope: scope(target), place }], &random)?;
    let value = form.replacen("{secret}", secret.placeholder(), 1);
    let value = HeaderValue::from_str(&value).map_err(|error| floe_egress::Error::Invalid(error.to_string()))?;
    headers.insert(name, value);
    Ok((headers, Secrets::try_new(vec![secret])?))
}
