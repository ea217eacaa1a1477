//! Puts values of secrets into a request that has passed the policy and whose addresses have been checked.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::error::shown;
use crate::policy::Scope;
use crate::secrets::{Binding, Place, Secret, Secrets, filled, header_place, hex, hmac, signed};
use crate::target::Target;

/// A request with the values in its query and headers, and what is to be done with its body.
#[derive(Debug)]
pub(crate) struct Filled<'a> {
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    in_body: Vec<&'a Secret>,
    signatures: Vec<Signature<'a>>,
}

#[derive(Debug)]
struct Signature<'a> {
    key: &'a Secret,
    name: &'a HeaderName,
    form: &'a str,
    date: &'a HeaderName,
}

/// A request's shape and a secret that it carries somewhere.
struct Asked<'a> {
    secret: &'a Secret,
    bindings: Vec<&'a Binding>,
    method: &'a Method,
    target: &'a Target,
}

impl Asked<'_> {
    fn misplaced(&self, at: &str, place: Place) -> Error {
        let (name, scope) = (self.secret.name(), Scope::of(self.method, self.target));
        Error::Secret(format!(
            "the placeholder of the secret `{name}` stands in {at}, and no binding of it says so for this request; the binding that would: {}",
            Binding { scope, place }
        ))
    }
}

/// Fills in the query and the headers. Fails if a placeholder stands where no binding takes it.
pub(crate) fn fill<'a>(
    secrets: &'a Secrets,
    method: &'a Method,
    target: &'a Target,
    headers: &HeaderMap,
) -> Result<Filled<'a>, Error> {
    let mut filled = Filled { target: target.clone(), headers: headers.clone(), in_body: Vec::new(), signatures: Vec::new() };
    for secret in secrets.list() {
        let bindings = secret.bindings().iter().filter(|binding| binding.scope.contains(method, target)).collect();
        let asked = Asked { secret, bindings, method, target };
        let place = format!("{}{}", target.host, target.path);
        if is_in(secret, place.as_bytes()) || headers.keys().any(|name| is_in(secret, name.as_str().as_bytes())) {
            let name = secret.name();
            return Err(Error::Secret(format!(
                "the placeholder of the secret `{name}` stands in a host, path or header's name, where none may stand"
            )));
        }
        if asked.bindings.iter().any(|binding| binding.place == Place::Body) {
            filled.in_body.push(secret);
        }
        if let Some(query) = &mut filled.target.query {
            *query = fill_query(&asked, query)?;
        }
        for (name, value) in filled.headers.iter_mut().filter(|(name, value)| is_carried(secret, name, value)) {
            match signature(&asked, name, value) {
                Some(signature) => filled.signatures.push(signature),
                None => *value = fill_header(&asked, name, value)?,
            }
        }
    }
    Ok(filled)
}

impl Filled<'_> {
    /// Whether the body has to be there as a whole.
    pub(crate) fn needs_body(&self) -> bool {
        !self.in_body.is_empty() || !self.signatures.is_empty()
    }

    /// Fills in the body and signs the request.
    pub(crate) fn complete(&mut self, method: &Method, body: Bytes) -> Bytes {
        let kind = self.headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes().to_ascii_lowercase()).unwrap_or_default();
        let mut body = body;
        for secret in self.in_body.iter().filter(|secret| is_in(secret, &body)).copied().collect::<Vec<_>>() {
            let value = escape(secret.value(), &kind);
            body = replace(&body, secret.placeholder().as_bytes(), value.as_bytes()).into();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        for Signature { key, name, form, date } in &self.signatures {
            let hash = hex(&Sha256::digest(&body));
            let text = format!("{method}\n{}\n{now}\n{hash}", self.target.path_and_query());
            let signature = signed(form, &hex(&hmac(key.value().as_bytes(), text.as_bytes())));
            self.headers.insert(*date, HeaderValue::from(now));
            self.headers.insert(*name, HeaderValue::from_str(&signature).expect("a form is visible ASCII"));
        }
        body
    }
}

/// Takes out of a request what must not go with it to another origin: credentials, and whatever carries a secret.
pub(crate) fn drop_credentials(secrets: &Secrets, headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    headers.remove(COOKIE);
    let carries = |(name, value): (&HeaderName, &HeaderValue)| {
        secrets.list().iter().any(|secret| is_carried(secret, name, value)).then(|| name.clone())
    };
    let carriers: Vec<HeaderName> = headers.iter().filter_map(carries).collect();
    for name in carriers {
        headers.remove(name);
    }
}

fn fill_query(asked: &Asked<'_>, query: &str) -> Result<String, Error> {
    let placeholder = asked.secret.placeholder();
    let mut pairs = Vec::new();
    for pair in query.split('&') {
        if !is_in(asked.secret, pair.as_bytes()) {
            pairs.push(pair.to_owned());
            continue;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_bound = |binding: &&Binding| matches!(&binding.place, Place::Query { name: bound } if bound == name);
        if value != placeholder || !asked.bindings.iter().any(is_bound) {
            let at = format!("the query's `{}`", shown(name));
            let name = if is_in(asked.secret, name.as_bytes()) { "NAME" } else { name };
            return Err(asked.misplaced(&at, Place::Query { name: shown(name) }));
        }
        pairs.push(format!("{name}={}", percent(asked.secret.value())));
    }
    Ok(pairs.join("&"))
}

/// The signature that this header asks for.
fn signature<'a>(asked: &Asked<'a>, name: &HeaderName, value: &HeaderValue) -> Option<Signature<'a>> {
    asked.bindings.iter().find_map(|binding| match &binding.place {
        Place::Hmac { name: bound, form, date } if bound == name && value.as_bytes() == asked.secret.placeholder().as_bytes() => {
            Some(Signature { key: asked.secret, name: bound, form, date })
        }
        Place::Hmac { .. } | Place::Header { .. } | Place::Basic { .. } | Place::Query { .. } | Place::Body => None,
    })
}

fn fill_header(asked: &Asked<'_>, name: &HeaderName, value: &HeaderValue) -> Result<HeaderValue, Error> {
    let (secret, placeholder) = (asked.secret, asked.secret.placeholder());
    let is = |text: &str| value.as_bytes() == text.as_bytes();
    let text = asked.bindings.iter().find_map(|binding| match &binding.place {
        Place::Header { name: bound, form } if bound == name && (is(placeholder) || is(&filled(form, placeholder))) => {
            Some(filled(form, secret.value()))
        }
        Place::Basic { user } if name == AUTHORIZATION => {
            let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let is_bound = is(placeholder) || is(&format!("Basic {placeholder}")) || is(&basic(placeholder));
            is_bound.then(|| basic(secret.value()))
        }
        Place::Header { .. } | Place::Basic { .. } | Place::Hmac { .. } | Place::Query { .. } | Place::Body => None,
    });
    let at = || format!("the header `{}`", shown(name.as_str()));
    let text = text.ok_or_else(|| asked.misplaced(&at(), header_place(name)))?;
    let mut value = HeaderValue::from_str(&text).expect("values and forms are visible ASCII");
    value.set_sensitive(true);
    Ok(value)
}

/// Whether the header has the secret's placeholder, as it is or as a client encodes passwords.
fn is_carried(secret: &Secret, name: &HeaderName, value: &HeaderValue) -> bool {
    let basic = || {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") { STANDARD.decode(encoded.trim()).ok() } else { None }
    };
    is_in(secret, value.as_bytes()) || name == AUTHORIZATION && basic().is_some_and(|decoded| is_in(secret, &decoded))
}

/// Whether the bytes contain the secret's placeholder.
fn is_in(secret: &Secret, bytes: &[u8]) -> bool {
    position(bytes, secret.placeholder().as_bytes()).is_some()
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn replace(bytes: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some(at) = position(rest, part) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + part.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The value as a body of this type has it within a text.
fn escape(value: &str, kind: &[u8]) -> String {
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if kind == b"application/json" || kind.ends_with(b"+json") {
        value.replace('\\', "\\\\").replace('"', "\\\"")
    } else if kind == b"application/x-www-form-urlencoded" {
        percent(value)
    } else {
        value.to_owned()
    }
}

fn percent(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    value.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Looks for placeholders in bytes that come in pieces.
#[derive(Debug)]
pub(crate) struct Watch {
    secrets: Secrets,
    tail: Vec<u8>,
}

impl Watch {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        Self { secrets: secrets.clone(), tail: Vec::new() }
    }

    /// Fails as soon as a whole placeholder has come.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), Error> {
        if self.secrets.list().is_empty() {
            return Ok(());
        }
        self.tail.extend_from_slice(piece);
        if let Some(secret) = self.secrets.list().iter().find(|secret| is_in(secret, &self.tail)) {
            let name = secret.name();
            return Err(Error::Secret(format!(
                "the placeholder of the secret `{name}` stands in the body, and no binding of it with `body: true` is for this request"
            )));
        }
        let longest = self.secrets.list().iter().map(|secret| secret.placeholder().len()).max().unwrap_or(1);
        self.tail.drain(..self.tail.len().saturating_sub(longest - 1));
        Ok(())
    }
}
