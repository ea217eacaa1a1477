//! Which headers pass, in either direction. Those that speak of the connection, or of where a message ends, are the host's: two
//! readers of one message must never see two messages.

use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, shown};
use crate::scrub::Scrubber;

/// Bytes that a field costs beside its name and value.
const FIELD: usize = 4;

/// Whether a request may not set this header.
pub fn is_refused(name: &HeaderName) -> bool {
    is_of_connection(name) || [HOST, CONTENT_LENGTH, EXPECT].contains(name)
}

/// Headers of one connection (RFC 9110 §7.6.1), of which the next reader must not hear.
fn is_of_connection(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "http2-settings")
        || name.as_str().starts_with("proxy-")
}

/// Looks at the headers of a request, or at its trailers; then sets what the answer is asked for.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Error> {
    match headers.keys().find(|name| is_refused(name)) {
        Some(name) => {
            let name = shown(name.as_str());
            Err(Error::Invalid(format!("the header `{name}` belongs to the connection: the host sets it, leave it out")))
        }
        None => Ok(()),
    }
}

/// Asks for an answer that can be read, whatever the request asked for.
pub(crate) fn ask_uncompressed(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Refuses an answer that cannot be read: secrets could be in it.
pub(crate) fn check_uncompressed(headers: &HeaderMap) -> Result<(), Error> {
    let is_plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    // Which one is not said: it is the server's text, and a secret may be echoed in it.
    if headers.get_all(CONTENT_ENCODING).iter().any(|value| !is_plain(value)) {
        return Err(Error::Broken("the answer has a content-encoding, though it was asked for without".to_owned()));
    }
    let is_chunked = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if headers.get_all(TRANSFER_ENCODING).iter().any(|value| !is_chunked(value)) {
        return Err(Error::Broken("the answer has a transfer-encoding other than `chunked`".to_owned()));
    }
    Ok(())
}

/// Takes out of an answer's headers, or trailers, what is not for the one who asked.
pub(crate) fn clean(headers: &mut HeaderMap, scrubber: Option<&Scrubber>) {
    let listed = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> = listed.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    let gives_away = |name: &HeaderName| scrubber.is_some_and(|scrubber| scrubber.is_in_name(name.as_str()));
    let gone: Vec<HeaderName> =
        headers.keys().filter(|name| is_of_connection(name) || named.contains(name) || gives_away(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
    let Some(scrubber) = scrubber else { return };
    for value in headers.values_mut() {
        if let std::borrow::Cow::Owned(masked) = scrubber.bytes(value.as_bytes()) {
            *value = HeaderValue::from_bytes(&masked).unwrap_or_else(|_| HeaderValue::from_static("*"));
        }
    }
}

/// What the headers come to, in bytes.
pub(crate) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum()
}
