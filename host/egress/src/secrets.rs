//! Values that only the host knows. Whoever asks has a placeholder; where a request to a place that a binding names carries it as
//! the binding says, the value takes its place on the way out. Anywhere else the request is refused: a placeholder is never
//! replaced where nobody said so, and never sent as it is.

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use http::HeaderName;
use http::header::AUTHORIZATION;
use sha2::Sha256;

use crate::Error;
use crate::headers::is_refused;
use crate::policy::{HostPattern, Scope};
use crate::scrub::Scrubber;

/// Bytes of a value. A shorter one would be found in texts that have nothing to do with it, and be taken out of them.
pub const MIN_VALUE: usize = 8;
/// Bytes of a value: keys and tokens have up to some hundreds.
pub const MAX_VALUE: usize = 4096;
/// Bytes of a name.
const MAX_NAME: usize = 64;
/// Hexadecimal digits of a placeholder's random part.
const MAX_RANDOM: usize = 32;
/// What a placeholder begins with; all of it is unreserved in URLs, so that no client escapes it.
const PREFIX: &str = "floe-secret-";
/// What stands for the value in a header's form.
const VALUE: &str = "{secret}";
/// What stands for the signature in a header's form.
const SIGNATURE: &str = "{signature}";

/// Where in a request the value may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a header, within a form such as `Bearer {secret}`. The placeholder stands there alone or within the same form.
    Header {
        /// The header.
        name: HeaderName,
        /// Its value, with `{secret}` once.
        form: String,
    },
    /// As the password of `Authorization: Basic`, which the host computes. The placeholder stands there alone, as `Basic
    /// PLACEHOLDER`, or encoded with the user as a client does it.
    Basic {
        /// The user.
        user: String,
    },
    /// As the key of a signature that the host computes: HMAC-SHA-256, in lower-case hexadecimal digits, of the lines `METHOD`,
    /// `PATH?QUERY`, the date, and the SHA-256 of the body in hexadecimal digits, joined by line feeds. The placeholder stands alone in
    /// the signature's header.
    Hmac {
        /// The signature's header.
        name: HeaderName,
        /// Its value, with `{signature}` once.
        form: String,
        /// The header that the host sets to the date: seconds since 1970 in decimal digits.
        date: HeaderName,
    },
    /// As the whole value of a parameter of the query.
    Query {
        /// The parameter.
        name: String,
    },
    /// Anywhere in the body, escaped as its `content-type` asks (JSON, forms).
    Body,
}

/// Where a secret may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// To which requests.
    pub scope: Scope,
    /// Where in them.
    pub place: Place,
}

impl Binding {
    fn check(&self) -> Result<(), Error> {
        let bad = |why: &str| Err(Error::Invalid(format!("the binding {self} is none: {why}")));
        if self.scope.host == HostPattern::Any {
            return bad("a secret is bound to a host by name or address, or to `*.name`");
        }
        let is_text = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        match &self.place {
            Place::Header { name, .. } | Place::Hmac { name, .. } if is_refused(name) => {
                bad("this header belongs to the connection, and the host sets it")
            }
            Place::Hmac { date, name, .. } if is_refused(date) || date == name => bad("the date needs a header of its own"),
            Place::Header { form, .. } if form.matches(VALUE).count() != 1 || !is_text(form) => {
                bad("its form has `{secret}` once, and visible ASCII characters")
            }
            Place::Hmac { form, .. } if form.matches(SIGNATURE).count() != 1 || !is_text(form) => {
                bad("its form has `{signature}` once, and visible ASCII characters")
            }
            Place::Basic { user } if user.contains(':') || !is_text(user) => {
                bad("a user has no colon, and visible ASCII characters")
            }
            Place::Query { name }
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) =>
            {
                bad("a parameter is letters, digits and `-._~`")
            }
            Place::Header { .. } | Place::Basic { .. } | Place::Hmac { .. } | Place::Query { .. } | Place::Body => Ok(()),
        }
    }
}

/// As the operator writes it, in one line.
impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {}, ", self.scope)?;
        match &self.place {
            Place::Header { name, form } if form == VALUE => write!(f, "header: {name}"),
            Place::Header { name, form } => write!(f, "header: {name}, form: \"{form}\""),
            Place::Basic { user } => write!(f, "basic: \"{user}\""),
            Place::Hmac { name, form, date } => write!(f, "hmac: {name}, form: \"{form}\", date: {date}"),
            Place::Query { name } => write!(f, "query: {name}"),
            Place::Body => f.write_str("body: true"),
        }?;
        f.write_str(" }")
    }
}

/// A value with its name and where it may go. Neither its `Debug` nor anything else here shows the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    name: String,
    value: Box<str>,
    placeholder: String,
    bindings: Vec<Binding>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).field("bindings", &self.bindings).finish_non_exhaustive()
    }
}

impl Secret {
    /// A secret whose placeholder follows from `key`: random bytes of this process or installation, so that nobody guesses it.
    /// Fails if the value could not be sent in a header or be found again in an answer, or a binding is too wide.
    pub fn try_new(name: &str, value: &str, bindings: Vec<Binding>, key: &[u8]) -> Result<Self, Error> {
        let bad = |why: &str| Error::Invalid(format!("the secret `{}` cannot be used: {why}", crate::error::shown(name)));
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(is_name) {
            return Err(bad("its name is at most 64 of a-z, 0-9, `-` and `_`"));
        }
        if !(MIN_VALUE..=MAX_VALUE).contains(&value.len()) {
            return Err(bad("its value has 8 to 4096 characters; a shorter one could not be told from other text"));
        }
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) || value.trim() != value {
            return Err(bad("its value is visible ASCII characters, without line breaks or spaces around it"));
        }
        bindings.iter().try_for_each(Binding::check)?;
        let mut random = hex(&hmac(key, name.as_bytes()));
        random.truncate(MAX_RANDOM);
        Ok(Self { placeholder: format!("{PREFIX}{name}-{random}"), name: name.to_owned(), value: value.into(), bindings })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands for it in a request.
    pub fn placeholder(&self) -> &str {
        &self.placeholder
    }

    pub(crate) fn value(&self) -> &str {
        &self.value
    }

    pub(crate) fn bindings(&self) -> &[Binding] {
        &self.bindings
    }
}

/// The secrets that one plugin or tool was granted.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    list: Arc<[Secret]>,
    scrubber: Option<Arc<Scrubber>>,
}

impl PartialEq for Secrets {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Secrets {}

impl Secrets {
    /// Fails for two of one name.
    pub fn try_new(list: Vec<Secret>) -> Result<Self, Error> {
        for (index, secret) in list.iter().enumerate() {
            if list[..index].iter().any(|earlier| earlier.name == secret.name) {
                return Err(Error::Invalid(format!("there are two secrets `{}`", secret.name)));
            }
        }
        let scrubber = Scrubber::new(&list).map(Arc::new);
        Ok(Self { list: list.into(), scrubber })
    }

    /// The secret of this name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.list.iter().find(|secret| secret.name == name)
    }

    /// All of them.
    pub fn list(&self) -> &[Secret] {
        &self.list
    }

    /// What takes their values out of texts; `None` if there are none.
    pub fn scrubber(&self) -> Option<&Arc<Scrubber>> {
        self.scrubber.as_ref()
    }
}

/// The header's value with the secret in it.
pub(crate) fn filled(form: &str, value: &str) -> String {
    form.replacen(VALUE, value, 1)
}

/// The header's value with the signature in it.
pub(crate) fn signed(form: &str, signature: &str) -> String {
    form.replacen(SIGNATURE, signature, 1)
}

/// A binding to suggest where a header had the placeholder and none took it.
pub(crate) fn header_place(name: &HeaderName) -> Place {
    let form = if name == AUTHORIZATION { format!("Bearer {VALUE}") } else { VALUE.to_owned() };
    Place::Header { name: name.clone(), form }
}

pub(crate) fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}
