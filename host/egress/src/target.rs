//! Where a request goes, in the one form that is checked and sent. What could mean two things to two readers (user information,
//! odd hosts, dot segments, back slashes) is refused, not repaired.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use url::Url;

use crate::Error;
use crate::error::shown;

/// Bytes of a URL: servers take some 8 KiB.
pub const MAX_URL: usize = 8 << 10;
/// Bytes of a name and of one of its labels (RFC 1035).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is given.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scheme {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            other => Err(Error::Invalid(format!("`{}` is no scheme; there are https and http", shown(other)))),
        }
    }
}

/// A host in canonical form: lower case, punycode, without a trailing dot; an address as an address however it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name.
    Name(String),
    /// An address; one of IPv4 wrapped in IPv6 stays as it was asked for.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl FromStr for Host {
    type Err = Error;

    /// A host as it stands in a URL.
    fn from_str(text: &str) -> Result<Self, Error> {
        let odd = |why: &str| Error::Invalid(format!("`{}` is no host: {why}", shown(text)));
        if text.is_empty() || text.len() > 4 * MAX_NAME {
            return Err(odd("it is empty or too long"));
        }
        // Escapes and zones have several readings; the rest would end the host.
        if text.chars().any(|char| char.is_control() || char.is_whitespace() || "%@/\\?#".contains(char)) {
            return Err(odd("it has characters that do not belong into one"));
        }
        match url::Host::parse(text.strip_suffix('.').unwrap_or(text)).map_err(|error| odd(&error.to_string()))? {
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(address.into())),
            url::Host::Domain(name) => {
                let is_label = |label: &str| {
                    (1..=MAX_LABEL).contains(&label.len())
                        && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
                };
                if name.len() > MAX_NAME || !name.split('.').all(is_label) {
                    return Err(odd("a name is labels of letters, digits, `-` and `_`"));
                }
                Ok(Self::Name(name))
            }
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Who is asked.
    pub host: Host,
    /// At which port.
    pub port: u16,
    /// The path, beginning with `/`; what need not be escaped is not, other escapes are in upper case.
    pub path: String,
    /// What follows the `?`, if there is one.
    pub query: Option<String>,
}

impl Target {
    /// Reads an absolute URL. A fragment is dropped, as clients do.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Invalid(format!("`{}` is no URL to send to: {why}", shown(text)));
        if text.len() > MAX_URL {
            return Err(Error::Limit { limit: "url", used: text.len() as u64, max: MAX_URL as u64 });
        }
        // A lenient parser drops some of these and takes others for a slash.
        if text.chars().any(|char| char.is_control() || char.is_whitespace() || char == '\\') {
            return Err(bad("it has white space, control characters or back slashes"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it does not begin with https:// or http://"))?;
        let scheme: Scheme = scheme.to_ascii_lowercase().parse()?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.contains('@') {
            return Err(bad("it has user information; send credentials in a header"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("its port is none"))?;
        Self::of(scheme, host, port, tail)
    }

    /// Puts a target together: `tail` is path, query and fragment as they stand in a URL.
    fn of(scheme: Scheme, host: &str, port: Option<u16>, tail: &str) -> Result<Self, Error> {
        let host: Host = host.parse()?;
        let tail = tail.split('#').next().unwrap_or_default();
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (tail, None),
        };
        let path = canonical_path(if path.is_empty() { "/" } else { path })?;
        let query = query.map(canonical_query);
        Ok(Self { scheme, host, port: port.unwrap_or_else(|| scheme.port()), path, query })
    }

    /// The target of a redirect from here.
    pub(crate) fn join(&self, location: &str) -> Result<Self, Error> {
        if location.contains('\\') || location.len() > MAX_URL {
            return Err(Error::Invalid(format!("`{}` is no place to be sent to", shown(location))));
        }
        let base = Url::parse(&self.to_string()).map_err(|error| Error::Invalid(error.to_string()))?;
        let joined = base.join(location);
        let joined =
            joined.map_err(|error| Error::Invalid(format!("`{}` is no place to be sent to: {error}", shown(location))))?;
        Self::parse(joined.as_str())
    }

    /// Host and port as the `Host` header has them.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.port() { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Path and query as the request line has them.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// Whether scheme, host and port are the same.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host == other.host && self.port == other.port
    }

    /// Path and query for the request line.
    pub(crate) fn origin_form(&self) -> Result<Uri, Error> {
        let text = self.path_and_query();
        text.parse().map_err(|error| Error::Invalid(format!("`{}` is no path to send: {error}", shown(&text))))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.path_and_query())
    }
}

/// Host and port of an authority; the host of an IPv6 address keeps its brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_brackets..].find(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = authority.split_at(after_brackets + at);
            let port = &port[1..];
            let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| is_number && *port != 0)?;
            Some((host, Some(port)))
        }
    }
}

/// The path with one way to write it. Dot segments, in whatever disguise, are refused: a server may go up where the policy's
/// pattern did not.
fn canonical_path(path: &str) -> Result<String, Error> {
    let path = escaped(path, b"\"<>`{}^|");
    for segment in path.split('/') {
        let mut name = segment.to_owned();
        // Twice, for servers that decode what has been decoded.
        for _ in 0..3 {
            let bare = name.split(';').next().unwrap_or_default();
            if bare == "." || bare == ".." || name.split(['/', '\\']).any(|part| part == "..") {
                return Err(Error::Invalid(format!("the path `{}` has dot segments; ask for the place itself", shown(&path))));
            }
            name = decoded(&name);
        }
    }
    Ok(path)
}

fn canonical_query(query: &str) -> String {
    escaped(query, b"\"<>")
}

/// Escapes what is not ASCII or among `special`, undoes escapes of what needs none, and writes the others in upper case.
fn escaped(text: &str, special: &[u8]) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match unescape(&bytes[at..]) {
            Some(plain) if is_unreserved(plain) => out.push(char::from(plain)),
            Some(other) => out.push_str(&format!("%{other:02X}")),
            None if byte == b'%' => out.push_str("%25"),
            None if byte.is_ascii_graphic() && !special.contains(&byte) => out.push(char::from(byte)),
            None => out.push_str(&format!("%{byte:02X}")),
        }
        at += if unescape(&bytes[at..]).is_some() { 3 } else { 1 };
    }
    out
}

/// The byte that `%XX` at the beginning stands for.
pub(crate) fn unescape(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let plain = unescape(rest);
        out.push(plain.unwrap_or(*first));
        rest = if plain.is_some() { &rest[3..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 3986 §2.3: an escape of one of these means the same as the character itself.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}
