//! Takes values of secrets out of what comes back. A value is recognised as it is, and with any of its bytes written as `%41`,
//! `\u0041` or `\/`; and within a Base64 text (standard or URL-safe, padded or not) at each of the three alignments. What is
//! recognised is overwritten by as many `*`, so that lengths and the text around it stay as they are. Other encodings, encryption and
//! compression are beyond it.
//!
//! What is recognised depends on the bytes alone, never on how they were cut into pieces.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::secrets::Secret;
use crate::target::unescape;

const MASK: u8 = b'*';
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// One way to write a value: for each place the bytes that may stand there.
type Form = Vec<Vec<u8>>;

/// Recognises the values of some secrets.
pub struct Scrubber {
    forms: Vec<Form>,
    /// By byte: which forms may begin with it, escapes apart.
    starts: Vec<Vec<usize>>,
    /// The values in lower case, for the names of headers.
    names: Vec<String>,
}

impl std::fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrubber").field("values", &self.names.len()).finish_non_exhaustive()
    }
}

impl Scrubber {
    /// Recognises the values of these secrets; `None` if there are none, so that nothing is spent on looking.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Option<Self> {
        let (mut forms, mut names) = (Vec::new(), Vec::new());
        for secret in secrets {
            let value = secret.value();
            names.push(value.to_ascii_lowercase());
            forms.push(value.bytes().map(|byte| vec![byte]).collect());
            forms.extend((0..3).map(|offset| base64_form(value.as_bytes(), offset)));
        }
        if forms.is_empty() {
            return None;
        }
        let begins = |byte: usize, form: &Form| {
            form[0].iter().any(|first| usize::from(*first) == byte) || byte == b'%'.into() || byte == b'\\'.into()
        };
        let starts = (0..256).map(|byte| (0..forms.len()).filter(|form| begins(byte, &forms[*form])).collect()).collect();
        Some(Self { forms, starts, names })
    }

    /// The text without the values.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            // Only ASCII is recognised, and ASCII is put in its place.
            Cow::Owned(masked) => Cow::Owned(String::from_utf8(masked).expect("masked by characters for characters")),
        }
    }

    /// The bytes, which are all that there are, without the values.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let found = self.find(bytes);
        if found.matches.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut masked = bytes.to_vec();
        for (start, end) in found.matches {
            masked[start..end].fill(MASK);
        }
        Cow::Owned(masked)
    }

    /// Whether the name of a header gives a value away: they are sent in lower case.
    pub(crate) fn is_in_name(&self, name: &str) -> bool {
        self.names.iter().any(|value| name.contains(value.as_str())) || matches!(self.text(name), Cow::Owned(_))
    }

    /// For bytes that come in pieces.
    pub fn stream(self: &Arc<Self>) -> Stream {
        Stream { scrubber: Arc::clone(self), held: Vec::new(), covered: 0 }
    }

    /// All places that are recognised, and where something begins that more bytes would decide.
    fn find(&self, bytes: &[u8]) -> Found {
        let mut found = Found { matches: Vec::new(), undecided: None };
        let mut states = States::default();
        for (start, byte) in bytes.iter().enumerate() {
            for form in &self.starts[usize::from(*byte)] {
                let (end, is_open) = states.run(&self.forms[*form], bytes, start);
                if let Some(end) = end {
                    found.matches.push((start, end));
                }
                if is_open {
                    found.undecided.get_or_insert(start);
                }
            }
        }
        found
    }
}

struct Found {
    matches: Vec<(usize, usize)>,
    undecided: Option<usize>,
}

/// Where in the bytes the readings of a form stand; kept between runs so that they allocate once.
#[derive(Default)]
struct States {
    here: Vec<usize>,
    next: Vec<usize>,
}

impl States {
    /// Reads the form from `start`: the farthest end, and whether a reading reaches the end of the bytes undecided.
    fn run(&mut self, form: &Form, bytes: &[u8], start: usize) -> (Option<usize>, bool) {
        self.here.clear();
        self.here.push(start);
        let mut is_open = false;
        for place in form {
            self.next.clear();
            for at in &self.here {
                let (lengths, is_cut) = readings(&bytes[*at..], place);
                is_open |= is_cut;
                for end in lengths.into_iter().flatten().map(|length| at + length) {
                    if !self.next.contains(&end) {
                        self.next.push(end);
                    }
                }
            }
            std::mem::swap(&mut self.here, &mut self.next);
            if self.here.is_empty() {
                break;
            }
        }
        (self.here.iter().max().copied(), is_open)
    }
}

/// How many bytes one of `place` takes at the beginning of the bytes, as it is or escaped; and whether more bytes could tell more.
fn readings(bytes: &[u8], place: &[u8]) -> ([Option<usize>; 2], bool) {
    let Some(first) = bytes.first() else { return ([None, None], true) };
    let plain = place.contains(first).then_some(1);
    let (escape, longest) = match first {
        b'%' => (unescape(bytes).map(|byte| (byte, 3)), 3),
        b'\\' => match bytes.get(1) {
            Some(b'u') => (unescape_json(bytes).map(|byte| (byte, 6)), 6),
            Some(byte) => (Some((*byte, 2)), 2),
            None => (None, 2),
        },
        _ => (None, 1),
    };
    let escaped = escape.filter(|(byte, _)| place.contains(byte)).map(|(_, length)| length);
    let is_cut = bytes.len() < longest && bytes[1..].iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'u');
    ([plain, escaped], is_cut)
}

/// The ASCII character that `\u00XX` at the beginning stands for.
fn unescape_json(bytes: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(bytes.get(2..6)?).ok()?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u8::try_from(u16::from_str_radix(digits, 16).ok()?).ok()
}

/// What all Base64 texts have in common that have this value `offset` bytes (modulo 3) after their beginning. At both ends a
/// character may carry bits of a neighbour too.
fn base64_form(value: &[u8], offset: usize) -> Form {
    let first = offset * 8;
    let end = first + value.len() * 8;
    let bit = |at: usize| at.checked_sub(first).filter(|at| *at < value.len() * 8).map(|at| value[at / 8] >> (7 - at % 8) & 1);
    let characters = first / 6..end.div_ceil(6);
    let place = |character: usize| {
        let fits = |sextet: &usize| {
            (0..6).all(|at| bit(character * 6 + at).is_none_or(|bit| usize::from(bit) == sextet >> (5 - at) & 1))
        };
        let mut place: Vec<u8> = (0..64).filter(fits).map(|sextet| STANDARD[sextet]).collect();
        for (standard, url_safe) in [(b'+', b'-'), (b'/', b'_')] {
            if place.contains(&standard) {
                place.push(url_safe);
            }
        }
        place
    };
    characters.map(place).collect()
}

/// Scrubs bytes that come in pieces. It holds back no more than what may yet turn out to be a value.
#[derive(Debug)]
pub struct Stream {
    scrubber: Arc<Scrubber>,
    held: Vec<u8>,
    /// How many of the held bytes belong to a value that began before them.
    covered: usize,
}

impl Stream {
    /// Takes the next piece and gives what is certain.
    pub fn push(&mut self, piece: &[u8]) -> Bytes {
        self.held.extend_from_slice(piece);
        let found = self.scrubber.find(&self.held);
        self.release(found.undecided.unwrap_or(self.held.len()), &found.matches)
    }

    /// Gives what was held back: no more comes.
    pub fn finish(&mut self) -> Bytes {
        let found = self.scrubber.find(&self.held);
        self.release(self.held.len(), &found.matches)
    }

    fn release(&mut self, count: usize, matches: &[(usize, usize)]) -> Bytes {
        let rest = self.held.split_off(count);
        let mut out = std::mem::replace(&mut self.held, rest);
        // What a value covers that began before stays covered, also when nothing is given this time.
        let covered = std::mem::take(&mut self.covered);
        let decided = matches.iter().copied().filter(|(start, _)| *start < count);
        for (start, end) in std::iter::once((0, covered)).chain(decided) {
            out[start..count.min(end)].fill(MASK);
            self.covered = self.covered.max(end.saturating_sub(count));
        }
        out.into()
    }
}
